//! What embeddings are like: how evenly they fill the sphere, how close positives are, how close classes stay together.
//!
//! Sources: Wang, Isola, "Understanding contrastive representation learning through alignment and uniformity on the
//! hypersphere", ICML 2020 (arXiv 2005.10242), for uniformity and alignment; Wang, Liu, CVPR 2021 (arXiv 2012.09740), for
//! tolerance.

use burn::tensor::{Element, Tensor};
use thalweg_kernels::in_batch::{
    Anchors, ClassPositives, Own, Pairs, Slope, softmax_gradients, softmax_statistics,
};
use thalweg_kernels::real::Real;

use super::Similarity;
use super::pairs::dense_classes;
use super::prepared::{Prepared, Role};
use crate::bridge::{CpuFloats, Floats, constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::config::require;
use crate::quantity::{Outputs, Quantity};

/// `log` of the mean over pairs of different rows of `exp(−t‖x − y‖²)`: at most 0, the lower the more uniform. A loss as well: it
/// has a gradient, and streams.
///
/// # Shapes
/// - x `[n, width]`, used as given (unit rows, in the paper); returns `[1]`.
///
/// # Panics
/// When there are fewer than two rows or t is not above 0.
pub fn uniformity(x: Tensor<2>, t: f64) -> Tensor<1> {
    let [count, _] = x.dims();
    assert!(count >= 2, "{count} rows have no pairs");
    assert!(t > 0.0, "t is {t}; it must be above 0");
    match CpuFloats::of(&x).as_ref().map(CpuFloats::floats) {
        Some(Floats::F32(memory)) => uniformity_of(memory, &x, t),
        Some(Floats::F64(memory)) => uniformity_of(memory, &x, t),
        None => uniformity_of(&host_scores(&x), &x, t),
    }
}

fn uniformity_of<F: Real + Element>(memory: &[F], x: &Tensor<2>, t: f64) -> Tensor<1> {
    let [count, width] = x.dims();
    let sides =
        [Role::Query, Role::Key].map(|role| Prepared::new(Similarity::SquaredEuclidean, role, memory, width));
    let temperature = 1.0 / t;
    let temperatures = vec![temperature; count];
    let pairs = Pairs::Across {
        queries: sides[0].rows(),
        keys: sides[1].rows(),
        anchors: Anchors {
            temperatures: &temperatures,
            positives: None,
        },
        own: Own::Excluded,
    };
    let statistics = softmax_statistics(&pairs, sides[0].width());
    let of_rows: Vec<f64> = statistics[0]
        .iter()
        .map(|row| row.log_sum_exp(temperature))
        .collect();
    let top = of_rows.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = top + of_rows.iter().map(|row| (row - top).exp()).sum::<f64>().ln();
    let value = total - (count as f64).ln() - ((count - 1) as f64).ln();
    let (device, dtype) = (x.device(), x.dtype());
    let value = constant(vec![F::from_f64(value)], [1], &device, dtype);
    if !x.is_tracked() {
        return value;
    }
    let slope = |row: &f64| Slope {
        positive: 0.0,
        others: t * (row - total).exp(),
    };
    let slopes = [of_rows.iter().map(slope).collect(), Vec::new()];
    let [by_rows, by_columns] = softmax_gradients(&pairs, sides[0].width(), &statistics, &slopes);
    let mut gradient = sides[0].back(by_rows);
    let more = sides[1].back(by_columns);
    gradient.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    let gradient = constant::<2, F>(gradient, [count, width], &device, dtype);
    with_gradients(value, [(x.clone(), gradient)])
}

/// Mean over rows of `‖x − y‖^α`, of embeddings that belong together. Computed in f64; where two are equal the gradient is 0.
///
/// # Shapes
/// - x, y `[n, width]`; returns `[1]`.
///
/// # Panics
/// When there are no rows, the shapes differ or α is not above 0.
pub fn alignment(x: Tensor<2>, y: Tensor<2>, alpha: f64) -> Tensor<1> {
    assert_eq!(x.dims(), y.dims(), "what belongs together differs in shape");
    let [count, width] = x.dims();
    assert!(count > 0, "no rows have no mean");
    assert!(alpha > 0.0, "alpha is {alpha}; it must be above 0");
    let (a, b) = (host_scores(&x), host_scores(&y));
    let mut gradient: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let mut total = 0.0;
    for row in gradient.chunks_mut(width) {
        let square: f64 = row.iter().map(|d| d * d).sum();
        total += square.powf(0.5 * alpha);
        let factor = if square == 0.0 {
            0.0
        } else {
            alpha * square.powf(0.5 * alpha - 1.0) / count as f64
        };
        row.iter_mut().for_each(|d| *d *= factor);
    }
    let (device, dtype) = (x.device(), x.dtype());
    let value = constant(vec![total / count as f64], [1], &device, dtype);
    let gradient = constant::<2, f64>(gradient, [count, width], &device, dtype);
    with_gradients(value, [(x, gradient.clone()), (y, -gradient)])
}

/// How close classes stay together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Mean of `⟨x, y⟩` over pairs of different rows of one class; NaN where there are none.
    pub same: f64,
    /// Mean of `⟨x, y⟩·1[same class]` over all pairs of different rows.
    pub joint: f64,
}

/// The tolerance of embeddings, through sums over classes: no pair is visited.
///
/// # Shapes
/// - x `[n, width]`, used as given; a label for each row.
///
/// # Panics
/// When the sizes disagree.
pub fn tolerance(x: &[f64], width: usize, labels: &[i64]) -> Tolerance {
    assert_eq!(x.len(), labels.len() * width, "a label for each row");
    let (classes, count) = dense_classes(labels.iter().copied());
    let classes = ClassPositives::new(&classes, count);
    let means = classes.mean_scores(x, x, width);
    let partners = (0..labels.len()).map(|row| classes.count(row) as f64);
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (mean, partners) in means.iter().zip(partners) {
        sum += mean * partners;
        pairs += partners;
    }
    let n = labels.len() as f64;
    Tolerance {
        same: sum / pairs,
        joint: sum / (n * (n - 1.0)),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "uniformity",
            "log of the mean Gaussian potential of pairs of embeddings, and its gradient",
        )
        .param("t", 2.0)
        .input("x", "[n, d]")
        .eval(|case| {
            case.embeddings(&["x"])?;
            if case.array("x").shape[0] < 2 {
                return case.refuse_input("x", "has a single row; a pair is needed");
            }
            let t = require("uniformity", "t", case.param("t")?, "above 0 and finite", |t| {
                t > 0.0 && t.is_finite()
            })?;
            let x = case.variable::<2>("x");
            Ok(case.value_and_gradients(uniformity(x.clone(), t), &[("x", &x)]))
        }),
        Quantity::new(
            "tolerance",
            "mean similarity of pairs of one class, and over all pairs with others counted 0",
        )
        .input("x", "[n, d]")
        .input("labels", "[n]")
        .with_example("labels", vec![1.0, 0.0, 1.0])
        .eval(|case| {
            case.embeddings(&["x"])?;
            let labels: Vec<i64> = case
                .class_indices("labels", 1 << 53)?
                .into_iter()
                .map(|label| label as i64)
                .collect();
            let x = case.array("x");
            let found = tolerance(&x.data, x.shape[1], &labels);
            if found.same.is_nan() {
                return case.refuse_input("labels", "has no label twice; a pair of one class is needed");
            }
            Ok(Outputs::new()
                .with("value", found.same)
                .with("joint", found.joint))
        }),
        Quantity::new(
            "alignment",
            "mean power of the distance of embeddings that belong together, and its gradients",
        )
        .param("alpha", 2.0)
        .input("x", "[n, d]")
        .input("y", "[n, d]")
        .eval(|case| {
            case.embeddings(&["x", "y"])?;
            let alpha = require(
                "alignment",
                "alpha",
                case.param("alpha")?,
                "above 0 and finite",
                |alpha| alpha > 0.0 && alpha.is_finite(),
            )?;
            let (x, y) = (case.variable::<2>("x"), case.variable::<2>("y"));
            let value = alignment(x.clone(), y.clone(), alpha);
            Ok(case.value_and_gradients(value, &[("x", &x), ("y", &y)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::in_batch::tests::{embeddings, number};
    use super::*;
    use crate::classification::rowwise::tests::{central_differences, value_and_gradient};

    fn assert_slopes(x: &Tensor<2>, function: impl Fn(Tensor<2>) -> Tensor<1> + Copy) {
        let (_, gradient) = value_and_gradient(x, function);
        for (a, b) in gradient.iter().zip(central_differences(x, function)) {
            assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{a}, {b} by differences");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn uniformity_is_that_of_all_pairs(n in 2_usize..80, width in 1_usize..5, t in 0.3_f64..4.0, seed in 0_u64..1000) {
            let [x, _] = embeddings([n, 1], width, 0.8, seed, DType::F64);
            let rows = host_scores(&x);
            let rows: Vec<&[f64]> = rows.chunks(width).collect();
            let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            let mut total = 0.0;
            for i in 0..n {
                for j in (0..n).filter(|&j| j != i) {
                    total += (-t * square(rows[i], rows[j])).exp();
                }
            }
            let expected = (total / (n * (n - 1)) as f64).ln();
            prop_assert!((number(uniformity(x.clone(), t)) - expected).abs() < 1e-11 * (1.0 + expected.abs()));
            prop_assert!(expected <= 0.0);
            let single = x.clone().cast(DType::F32);
            prop_assert!((number(uniformity(single, t)) - expected).abs() < 1e-4 * (1.0 + expected.abs()));
        }

        #[test]
        fn tolerance_is_that_of_all_pairs(n in 2_usize..30, width in 1_usize..5, seed in 0_u64..1000) {
            let [x, _] = embeddings([n, 1], width, 1.0, seed, DType::F64);
            let x = host_scores(&x);
            let labels: Vec<i64> = (0..n as i64).map(|i| i * i % 5).collect();
            let rows: Vec<&[f64]> = x.chunks(width).collect();
            let (mut sum, mut same) = (0.0, 0);
            for i in 0..n {
                for j in (0..n).filter(|&j| j != i && labels[i] == labels[j]) {
                    sum += rows[i].iter().zip(rows[j]).map(|(a, b)| a * b).sum::<f64>();
                    same += 1;
                }
            }
            let found = tolerance(&x, width, &labels);
            prop_assert!((found.joint - sum / (n * (n - 1)) as f64).abs() < 1e-12);
            let mean = sum / f64::from(same);
            prop_assert!((same == 0 && found.same.is_nan()) || (found.same - mean).abs() < 1e-12);
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let [x, y] = embeddings([6, 6], 3, 0.7, 1, DType::F64);
        let y = y.without_autodiff();
        assert_slopes(&x.clone().without_autodiff(), |x| uniformity(x, 2.0));
        for alpha in [1.0, 2.0, 3.5] {
            assert_slopes(&x.clone().without_autodiff(), |x| {
                let y = if x.is_tracked() {
                    y.clone().autodiff()
                } else {
                    y.clone()
                };
                alignment(x, y, alpha)
            });
        }
    }

    #[test]
    fn collapsed_embeddings_are_not_uniform_and_fully_tolerant() {
        let x = Tensor::<2>::from_data([[0.6, 0.8]; 7], (&Device::flex(), DType::F64));
        assert!(number(uniformity(x.clone(), 2.0)).abs() < 1e-14);
        let found = tolerance(&host_scores(&x), 2, &[0, 0, 0, 1, 1, 2, 2]);
        assert!((found.same - 1.0).abs() < 1e-14);
    }

    #[test]
    fn equal_rows_are_aligned_without_a_slope() {
        let [x, _] = embeddings([3, 3], 2, 1.0, 0, DType::F64);
        let gradients = alignment(x.clone(), x.clone(), 1.0).backward();
        let slopes = x
            .grad(&gradients)
            .unwrap()
            .into_data()
            .try_into_vec_as::<f64>()
            .unwrap();
        assert_eq!(slopes, [0.0; 6]);
    }
}
