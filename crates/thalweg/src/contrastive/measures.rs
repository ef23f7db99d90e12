//! How evenly embeddings fill the sphere and how close positives are, as losses: what
//! [`diagnostics`](crate::diagnostics) computes, with gradients.
//!
//! Source: Wang, Isola, "Understanding contrastive representation learning through alignment and uniformity on the
//! hypersphere", ICML 2020 (arXiv 2005.10242).

use burn::tensor::Tensor;

use super::pairs::dense_classes;
use crate::bridge::{constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::config::require;
use crate::diagnostics::{self, uniformity_slopes};
use crate::quantity::{Outputs, Quantity};

/// `log` of the mean over pairs of different rows of `exp(−t‖x − y‖²)`: at most 0, the lower the more uniform. Computed in f64,
/// in blocks.
///
/// # Shapes
/// - x `[n, width]`, used as given (unit rows, in the paper); returns `[1]`.
///
/// # Panics
/// When there are fewer than two rows, rows without columns, or t is not above 0.
pub fn uniformity(x: Tensor<2>, t: f64) -> Tensor<1> {
    let [count, width] = x.dims();
    assert!(t > 0.0, "t is {t}; it must be above 0");
    let rows = host_scores(&x);
    let value = diagnostics::uniformity(&rows, width, t);
    let value = value.unwrap_or_else(|problem| panic!("rows [{count}, {width}] {problem}"));
    let (device, dtype) = (x.device(), x.dtype());
    let loss = constant(vec![value], [1], &device, dtype);
    if !x.is_tracked() {
        return loss;
    }
    let slopes = uniformity_slopes(&rows, width, t, value);
    let slopes = constant::<2, f64>(slopes, [count, width], &device, dtype);
    with_gradients(loss, [(x, slopes)])
}

/// Mean over rows of `‖x − y‖^α`, of embeddings that belong together. Computed in f64; where two are equal the gradient is 0.
///
/// # Shapes
/// - x and y `[n, width]`, used as given; returns `[1]`.
///
/// # Panics
/// When there are no rows or columns, the shapes differ or α is not above 0.
pub fn alignment(x: Tensor<2>, y: Tensor<2>, alpha: f64) -> Tensor<1> {
    assert_eq!(x.dims(), y.dims(), "what belongs together differs in shape");
    let [count, width] = x.dims();
    assert!(alpha > 0.0, "alpha is {alpha}; it must be above 0");
    let (a, b) = (host_scores(&x), host_scores(&y));
    let value = diagnostics::alignment(&a, &b, width, alpha);
    let value = value.unwrap_or_else(|problem| panic!("rows [{count}, {width}] {problem}"));
    let mut gradient: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    for row in gradient.chunks_mut(width) {
        let square: f64 = row.iter().map(|d| d * d).sum();
        let factor = if square == 0.0 {
            0.0
        } else {
            alpha * square.powf(0.5 * alpha - 1.0) / count as f64
        };
        row.iter_mut().for_each(|d| *d *= factor);
    }
    let (device, dtype) = (x.device(), x.dtype());
    let value = constant(vec![value], [1], &device, dtype);
    let gradient = constant::<2, f64>(gradient, [count, width], &device, dtype);
    with_gradients(value, [(x, gradient.clone()), (y, -gradient)])
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
            let (labels, _) = dense_classes(case.class_indices("labels", 1 << 53)?);
            let x = case.array("x");
            match diagnostics::tolerance(&x.data, x.shape[1], &labels) {
                Ok(found) => Ok(Outputs::new()
                    .with("value", found.value)
                    .with("joint", found.joint)),
                Err(problem) => case.refuse_input("labels", problem.to_string()),
            }
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
    }

    #[test]
    fn gradients_are_slopes() {
        let [x, y] = embeddings([6, 6], 3, 0.7, 1, DType::F64);
        // More than one block of pairs.
        let [many, _] = embeddings([300, 1], 2, 0.7, 1, DType::F64);
        assert_slopes(&many.without_autodiff(), |x| uniformity(x, 2.0));
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
    fn collapsed_embeddings_are_not_uniform() {
        let x = Tensor::<2>::from_data([[0.6, 0.8]; 7], (&Device::flex(), DType::F64));
        assert!(number(uniformity(x, 2.0)).abs() < 1e-14);
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
