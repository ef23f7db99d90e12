//! What embeddings on the unit sphere look like: how evenly they cover it, how close samples of one class lie, how close
//! two views of a sample.
//!
//! - uniformity `log mean_{i<j} exp(−t ‖x_i − x_j‖²)`, at most 0; lower is more even;
//! - tolerance `mean x_i·x_j` over pairs of the same class, i ≠ j;
//! - alignment `mean ‖x_i − y_i‖^α` over the two views of each sample.
//!
//! Rows are used as given: [`unit_rows`] brings them to length 1.
//!
//! Sources: Wang, Isola, "Understanding contrastive representation learning through alignment and uniformity on the
//! hypersphere", ICML 2020; Wang, Liu, "Understanding the behaviour of contrastive loss", CVPR 2021.

use std::ops::Range;

use rayon::prelude::*;
use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::real::Real;

use super::{ClassSums, DiagnosticError};

/// Rows whose distances to all earlier ones are held at once.
const BLOCK: usize = 256;

/// Below this part of their squared lengths a squared distance is taken from the differences, not from an inner product.
const NEAR: f64 = 1e-6;

/// The rows of `values`, each `width` long, in f64 and over their Euclidean norms.
///
/// # Errors
/// When a row is all 0, not finite, or not whole.
pub fn unit_rows<F: Real>(values: &[F], width: usize) -> Result<Vec<f64>, DiagnosticError> {
    check_whole(values.len(), width)?;
    let mut unit: Vec<f64> = values.iter().map(|value| value.to_f64()).collect();
    super::embeddings::check_finite(&unit, width, 0)?;
    let has_direction = to_unit_rows(&mut unit, width);
    match has_direction.iter().position(|has| !has) {
        Some(row) => Err(DiagnosticError::NoDirection { row: row + 1 }),
        None => Ok(unit),
    }
}

/// Divides each row by its Euclidean norm; returns which have one: rows of zeros stay.
///
/// # Panics
/// When the width is 0.
pub fn to_unit_rows(values: &mut [f64], width: usize) -> Vec<bool> {
    let rows = values.chunks_exact_mut(width);
    rows.map(|row| {
        let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        let has_direction = norm > 0.0;
        if has_direction {
            row.iter_mut().for_each(|value| *value /= norm);
        }
        has_direction
    })
    .collect()
}

/// The uniformity of the rows of `values` at a given t (2 by custom), over all pairs, in blocks.
///
/// # Errors
/// When rows are not whole or there are fewer than two.
pub fn uniformity<F: Real>(values: &[F], width: usize, t: f64) -> Result<f64, DiagnosticError> {
    check_whole(values.len(), width)?;
    let samples = values.len() / width;
    if samples < 2 {
        return Err(DiagnosticError::OneSample);
    }
    let values: Vec<f64> = values.iter().map(|value| value.to_f64()).collect();
    let rows = Rows::new(&values, width);
    // In order, so that the sum does not depend on the number of threads.
    let blocks: Vec<(f64, f64)> = rows
        .blocks()
        .into_par_iter()
        .map(|block| rows.block_of_pairs(block, t))
        .collect();
    let (largest, sum) = blocks.into_iter().fold((f64::NEG_INFINITY, 0.0), joined);
    Ok(largest + (sum / pairs(samples)).ln())
}

/// The derivatives by each number of `values` of their [`uniformity`], which is known: `−2t Σ_j p_ij (x_i − x_j)`, p the shares
/// of pairs in the sum of exponentials.
pub(crate) fn uniformity_slopes(values: &[f64], width: usize, t: f64, uniformity: f64) -> Vec<f64> {
    let rows = Rows::new(values, width);
    let log_sum = uniformity + pairs(values.len() / width).ln();
    let blocks: Vec<Vec<f64>> = rows
        .blocks()
        .into_par_iter()
        .map(|block| rows.slopes(block, t, log_sum))
        .collect();
    blocks.concat()
}

fn pairs(samples: usize) -> f64 {
    samples as f64 * (samples - 1) as f64 / 2.0
}

/// Two sums of exponentials, each as the largest exponent and the sum relative to it.
fn joined(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let largest = a.0.max(b.0);
    let scaled = |(own, sum): (f64, f64)| {
        if sum == 0.0 {
            0.0
        } else {
            sum * (own - largest).exp()
        }
    };
    (largest, scaled(a) + scaled(b))
}

/// Rows between which distances are taken, a block of them at a time.
struct Rows<'a> {
    values: &'a [f64],
    width: usize,
    /// The squared length of each.
    squares: Vec<f64>,
}

impl<'a> Rows<'a> {
    fn new(values: &'a [f64], width: usize) -> Self {
        let rows = values.chunks_exact(width);
        Self {
            values,
            width,
            squares: rows.map(|row| row.iter().map(|x| x * x).sum()).collect(),
        }
    }

    fn blocks(&self) -> Vec<Range<usize>> {
        let samples = self.squares.len();
        let starts = (0..samples).step_by(BLOCK);
        starts.map(|start| start..(start + BLOCK).min(samples)).collect()
    }

    fn of(&self, rows: Range<usize>) -> &'a [f64] {
        &self.values[rows.start * self.width..rows.end * self.width]
    }

    fn matrix(&self, rows: Range<usize>) -> Matrix<'a, f64> {
        Matrix::new(self.of(rows.clone()), rows.len(), self.width)
    }

    /// The squared distances of a block from the first `count` rows, each block row in turn; none of those that `skips` says.
    fn distances(
        &self,
        block: Range<usize>,
        count: usize,
        mut told: impl FnMut(usize, usize, f64),
        skips: impl Fn(usize, usize) -> bool,
    ) {
        let mut inner = vec![0.0; block.len() * count];
        let (own, others) = (self.matrix(block.clone()), self.matrix(0..count));
        multiply(Work::Alone, &mut inner, 0.0, 1.0, own, others.transposed());
        for (i, products) in block.zip(inner.chunks_exact(count)) {
            for (j, product) in products.iter().enumerate().filter(|(j, _)| !skips(i, *j)) {
                let together = self.squares[i] + self.squares[j];
                let mut distance = together - 2.0 * product;
                if distance < NEAR * together {
                    let pair = self.of(i..i + 1).iter().zip(self.of(j..j + 1));
                    distance = pair.map(|(a, b)| (a - b).powi(2)).sum();
                }
                told(i, j, distance);
            }
        }
    }

    /// The sum of exponentials over the pairs of the rows of a block with all that come before each.
    fn block_of_pairs(&self, block: Range<usize>, t: f64) -> (f64, f64) {
        let end = block.end;
        let mut exponents = Vec::with_capacity(block.len() * end);
        let told = |_, _, distance: f64| exponents.push(-t * distance);
        self.distances(block, end, told, |i, j| j >= i);
        let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let each = exponents.iter().map(|exponent| (exponent - largest).exp());
        (largest, each.sum())
    }

    fn slopes(&self, block: Range<usize>, t: f64, log_sum: f64) -> Vec<f64> {
        let (samples, width, start) = (self.squares.len(), self.width, block.start);
        let mut shares = vec![0.0; block.len() * samples];
        let told = |i: usize, j: usize, distance: f64| {
            shares[(i - start) * samples + j] = (-t * distance - log_sum).exp();
        };
        self.distances(block.clone(), samples, told, |i, j| i == j);
        let mut slopes = vec![0.0; block.len() * width];
        let weights = Matrix::new(&shares, block.len(), samples);
        multiply(
            Work::Alone,
            &mut slopes,
            0.0,
            2.0 * t,
            weights,
            self.matrix(0..samples),
        );
        let rows = self.of(block).chunks_exact(width);
        let each = slopes.chunks_exact_mut(width).zip(rows);
        for ((slopes, row), shares) in each.zip(shares.chunks_exact(samples)) {
            let factor = 2.0 * t * shares.iter().sum::<f64>();
            slopes
                .iter_mut()
                .zip(row)
                .for_each(|(slope, x)| *slope -= factor * x);
        }
        slopes
    }
}

/// How close samples of one class are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Mean inner product over pairs of the same class.
    pub value: f64,
    /// Mean over all pairs of the inner product where the classes are the same, 0 elsewhere.
    pub joint: f64,
}

/// The tolerance of the rows of `values`, from the sums of each class: its cost grows with the rows, not with the pairs.
///
/// # Errors
/// When rows are not whole, labels are fewer or more than rows, or no two rows are of the same class.
pub fn tolerance<F: Real>(values: &[F], width: usize, labels: &[u32]) -> Result<Tolerance, DiagnosticError> {
    check_whole(values.len(), width)?;
    let mut sums = ClassSums::new(width);
    sums.push(values, labels)?;
    sums.tolerance()
}

/// The alignment of the rows of `first` with those of `second`, at a given exponent α (2 by custom).
///
/// # Errors
/// When rows are not whole, there is none, or their numbers differ.
pub fn alignment<F: Real>(
    first: &[F],
    second: &[F],
    width: usize,
    alpha: f64,
) -> Result<f64, DiagnosticError> {
    check_whole(first.len(), width)?;
    check_whole(second.len(), width)?;
    if first.len() != second.len() {
        return Err(DiagnosticError::Count {
            found: second.len() / width,
            expected: first.len() / width,
        });
    }
    if first.is_empty() {
        return Err(DiagnosticError::Empty);
    }
    let pairs = first.chunks_exact(width).zip(second.chunks_exact(width));
    let total: f64 = pairs
        .map(|(x, y)| {
            let differences = x.iter().zip(y).map(|(x, y)| x.to_f64() - y.to_f64());
            differences.map(|gap| gap * gap).sum::<f64>().powf(0.5 * alpha)
        })
        .sum();
    Ok(total / (first.len() / width) as f64)
}

pub(super) fn check_whole(found: usize, width: usize) -> Result<(), DiagnosticError> {
    if width > 0 && found.is_multiple_of(width) {
        Ok(())
    } else {
        Err(DiagnosticError::Ragged { found, width })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::*;

    fn normal(samples: usize, width: usize, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; samples * width];
        Stream::new(seed, "sphere", 0).fill_normal(&mut values);
        values
    }

    fn dot(x: &[f64], y: &[f64]) -> f64 {
        x.iter().zip(y).map(|(x, y)| x * y).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn sums_over_pairs_are_those_of_the_definitions(
            samples in prop::sample::select(vec![2_usize, 7, 255, 256, 300, 520]),
            width in 1_usize..6,
            t in 0.1_f64..40.0,
            seed in 0_u64..1000,
        ) {
            let x = unit_rows(&normal(samples, width, seed), width).unwrap();
            let labels: Vec<u32> = (0..samples as u32).map(|i| i % 3 % samples.div_ceil(2) as u32).collect();
            let row = |i: usize| &x[i * width..(i + 1) * width];
            let (mut sum, mut same, mut same_pairs, mut pairs) = (0.0, 0.0, 0.0, 0.0);
            for i in 0..samples {
                for j in 0..i {
                    let gaps = row(i).iter().zip(row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                    sum += (-t * gaps).exp();
                    pairs += 1.0;
                    if labels[i] == labels[j] {
                        same += dot(row(i), row(j));
                        same_pairs += 1.0;
                    }
                }
            }
            let found = uniformity(&x, width, t).unwrap();
            prop_assert!((found - (sum / pairs).ln()).abs() < 1e-9, "{found}");
            if same_pairs > 0.0 {
                let found = tolerance(&x, width, &labels).unwrap();
                prop_assert!((found.value - same / same_pairs).abs() < 1e-10, "{found:?}");
                prop_assert!((found.joint - same / pairs).abs() < 1e-10, "{found:?}");
            }
        }
    }

    #[test]
    fn one_place_is_neither_uniform_nor_intolerant() {
        let x = unit_rows(&[0.6_f32, 0.8].repeat(300), 2).unwrap();
        assert!(uniformity(&x, 2, 2.0).unwrap().abs() < 1e-12);
        assert!((tolerance(&x, 2, &[0; 300]).unwrap().value - 1.0).abs() < 1e-12);
        assert_eq!(alignment(&x, &x, 2, 2.0).unwrap(), 0.0);
    }

    #[test]
    fn neighbours_closer_than_products_tell_are_measured_by_differences() {
        let found = uniformity(&[1.0, 0.0, 1.0, 1e-9], 2, 1e18).unwrap();
        assert!((found + 1.0).abs() < 1e-9, "{found}");
        // Opposite points at a large t: far below the smallest exponential.
        let far = uniformity(&[1.0, -1.0], 1, 1000.0).unwrap();
        assert!((far + 4000.0).abs() < 1e-9, "{far}");
    }

    #[test]
    fn alignment_by_hand() {
        let found = |alpha| alignment(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0, 0.0, -1.0], 2, alpha).unwrap();
        assert!((found(2.0) - 2.5).abs() < 1e-15 && (found(1.0) - 1.5).abs() < 1e-15);
    }

    #[test]
    fn what_has_no_value_is_named() {
        assert_eq!(
            unit_rows(&[1.0, 0.0, 0.0, 0.0], 2),
            Err(DiagnosticError::NoDirection { row: 2 })
        );
        assert_eq!(uniformity(&[1.0, 0.0], 2, 2.0), Err(DiagnosticError::OneSample));
        assert_eq!(tolerance(&[1.0, 0.0], 1, &[0, 1]), Err(DiagnosticError::NoPair));
        let counts = DiagnosticError::Count {
            found: 1,
            expected: 2,
        };
        assert_eq!(tolerance(&[1.0, 0.0], 1, &[0]), Err(counts.clone()));
        assert_eq!(alignment(&[1.0, 0.0], &[1.0], 1, 2.0), Err(counts));
        assert_eq!(alignment::<f64>(&[], &[], 1, 2.0), Err(DiagnosticError::Empty));
        assert!(matches!(
            uniformity(&[1.0; 3], 2, 2.0),
            Err(DiagnosticError::Ragged { .. })
        ));
    }
}
