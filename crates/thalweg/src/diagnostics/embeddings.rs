//! The spectrum of an embedding in memory: singular values, classical rank, eigenvalues of the covariance.

use faer::MatRef;

use super::{DiagnosticError, effective_rank, rankme_of_singular_values};
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// Embeddings `[samples, width]`, row-major: at least one sample and one feature, all finite.
#[derive(Clone, Copy, Debug)]
pub struct Embeddings<'a> {
    values: &'a [f64],
    width: usize,
}

impl<'a> Embeddings<'a> {
    /// Of the rows in `values`, each `width` long.
    ///
    /// # Errors
    /// When there is none, rows are not whole or a number is not finite.
    pub fn new(values: &'a [f64], width: usize) -> Result<Self, DiagnosticError> {
        if values.is_empty() || width == 0 {
            return Err(DiagnosticError::Empty);
        }
        if !values.len().is_multiple_of(width) {
            return Err(DiagnosticError::Ragged {
                found: values.len(),
                width,
            });
        }
        check_finite(values, width, 0)?;
        Ok(Self { values, width })
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.values.len() / self.width
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.width
    }

    pub(super) fn values(&self) -> &'a [f64] {
        self.values
    }

    /// The `min(samples, width)` singular values σ, descending. Rows are neither centred nor normalised.
    pub fn singular_values(&self) -> Vec<f64> {
        let (scaled, scale) = scaled(self.values);
        let matrix = MatRef::from_row_major_slice(&scaled, self.samples(), self.width);
        let values = matrix.singular_values().expect(CONVERGES);
        values.into_iter().map(|sigma| sigma * scale).collect()
    }

    /// The classical rank `#{σ_k > σ_1 · max(samples, width) · ε}`, ε the machine epsilon of f64.
    pub fn numerical_rank(&self) -> usize {
        let sigma = self.singular_values();
        let least = sigma[0] * self.samples().max(self.width) as f64 * f64::EPSILON;
        sigma.iter().filter(|&&value| value > least).count()
    }

    /// The `min(samples, width)` largest eigenvalues, descending, of the covariance of the centred rows, divided by
    /// `samples − 1`.
    ///
    /// # Errors
    /// When there is one sample only.
    pub fn covariance_eigenvalues(&self) -> Result<Vec<f64>, DiagnosticError> {
        let samples = self.samples();
        if samples < 2 {
            return Err(DiagnosticError::OneSample);
        }
        let mean = mean(self.values, self.width);
        let rows = self.values.chunks_exact(self.width);
        let centred: Vec<f64> = rows
            .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean))
            .collect();
        let sigma = Embeddings::new(&centred, self.width)
            .map_err(|_| DiagnosticError::Overflow)?
            .singular_values();
        let scale = 1.0 / (samples - 1) as f64;
        Ok(sigma.into_iter().map(|value| value * value * scale).collect())
    }

    /// RankMe with a given ε; see [`rankme_of_singular_values`].
    ///
    /// # Errors
    /// When all embeddings are 0 or ε is negative.
    pub fn rankme(&self, epsilon: f64) -> Result<f64, DiagnosticError> {
        rankme_of_singular_values(&self.singular_values(), epsilon)
    }

    /// The effective rank; see [`effective_rank`].
    ///
    /// # Errors
    /// When all embeddings are 0.
    pub fn effective_rank(&self) -> Result<f64, DiagnosticError> {
        effective_rank(&self.singular_values())
    }
}

/// Finite numbers below the overflow of their squares have a singular value decomposition.
pub(super) const CONVERGES: &str = "the decomposition of finite, scaled numbers converges";

/// The values over the power of two next to the largest, and that power: squares then neither overflow nor vanish.
pub(super) fn scaled(values: &[f64]) -> (Vec<f64>, f64) {
    let scale = scale_of(values);
    let inverse = 1.0 / scale;
    (values.iter().map(|value| value * inverse).collect(), scale)
}

/// The power of two at or below the largest magnitude, within the range whose reciprocal is a number; 1 where all are 0.
pub(super) fn scale_of(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
    if largest == 0.0 {
        return 1.0;
    }
    2.0_f64.powi(largest.log2().floor().clamp(-1000.0, 1000.0) as i32)
}

/// The mean of each column, as the sum of shares, which does not overflow.
pub(super) fn mean(values: &[f64], width: usize) -> Vec<f64> {
    let share = 1.0 / (values.len() / width) as f64;
    let mut mean = vec![0.0; width];
    for row in values.chunks_exact(width) {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += share * value;
        }
    }
    mean
}

/// Refuses what is not finite; `before` is the number of samples that came earlier.
pub(super) fn check_finite(values: &[f64], width: usize, before: usize) -> Result<(), DiagnosticError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(DiagnosticError::NotFinite {
            row: before + at / width + 1,
            column: at % width + 1,
            value: values[at],
        }),
        None => Ok(()),
    }
}

/// The input of embeddings, and what it holds.
pub(super) const Z: (&str, &str) = ("z", "embeddings");

/// The input `z`, or why it is refused.
pub(super) fn read<'a>(case: &'a Case) -> Result<Embeddings<'a>, QuantityError> {
    let array = case.array("z");
    Embeddings::new(&array.data, array.shape[1]).or_else(|error| refuse(case, Z, &error))
}

/// Refuses an input, which holds `what`, for what is wrong with it.
pub(super) fn refuse<T>(
    case: &Case,
    (input, what): (&str, &str),
    error: &DiagnosticError,
) -> Result<T, QuantityError> {
    match error {
        DiagnosticError::Config(error) => Err(error.clone().into()),
        problem => case.refuse_input(input, format!("is refused: the {what} {problem}")),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "numerical_rank",
            "number of singular values above the largest times max(n, d) times the machine epsilon",
        )
        .input("z", "[N, D]")
        .eval(|case| Ok(Outputs::new().with("value", read(case)?.numerical_rank() as f64))),
        Quantity::new(
            "covariance_eigenspectrum",
            "eigenvalues of the covariance of centred embeddings, descending, divided by n - 1",
        )
        .input("z", "[N, D]")
        .eval(|case| match read(case)?.covariance_eigenvalues() {
            Ok(eigenvalues) => Ok(Outputs::new().with("eigenvalues", eigenvalues)),
            Err(error) => refuse(case, Z, &error),
        }),
    ]
}

#[cfg(test)]
mod tests {
    use thalweg_kernels::random::Stream;

    use super::*;

    #[test]
    fn singular_values_of_a_diagonal_and_of_extreme_sizes() {
        for scale in [1.0, 1e-180, 1e180, 1e-305] {
            let z: Vec<f64> = [0.0, 3.0, 0.0, 0.0, -4.0, 0.0]
                .map(|value| value * scale)
                .to_vec();
            let found = Embeddings::new(&z, 2).unwrap().singular_values();
            assert!(
                (found[0] / scale - 4.0).abs() < 1e-13 && (found[1] / scale - 3.0).abs() < 1e-13,
                "{found:?}"
            );
        }
    }

    #[test]
    fn rank_counts_independent_directions() {
        let mut stream = Stream::new(0, "rank", 0);
        let outer: Vec<(f64, f64)> = (0..12).map(|_| (stream.uniform(), stream.uniform())).collect();
        let z: Vec<f64> = outer
            .iter()
            .flat_map(|&(a, b)| [a, b, a - b, 2.0 * a, a + 3.0 * b])
            .collect();
        let embeddings = Embeddings::new(&z, 5).unwrap();
        assert_eq!((embeddings.samples(), embeddings.width()), (12, 5));
        assert_eq!(embeddings.numerical_rank(), 2);
        assert_eq!(Embeddings::new(&[0.0; 6], 3).unwrap().numerical_rank(), 0);
    }

    #[test]
    fn the_covariance_is_centred_and_unbiased() {
        // One feature 1, 3 about 2: variance 2. The other is constant.
        let eigenvalues = Embeddings::new(&[1.0, 7.0, 3.0, 7.0], 2)
            .unwrap()
            .covariance_eigenvalues()
            .unwrap();
        assert!((eigenvalues[0] - 2.0).abs() < 1e-14 && eigenvalues[1].abs() < 1e-14);
        let one = Embeddings::new(&[1.0, 7.0], 2).unwrap().covariance_eigenvalues();
        assert_eq!(one, Err(DiagnosticError::OneSample));
    }

    #[test]
    fn what_cannot_be_judged_is_named() {
        let refused = |values: &[f64], width| Embeddings::new(values, width).err();
        assert_eq!(refused(&[], 2), Some(DiagnosticError::Empty));
        assert_eq!(
            refused(&[1.0; 3], 2),
            Some(DiagnosticError::Ragged { found: 3, width: 2 })
        );
        let error = refused(&[1.0, 2.0, 3.0, f64::INFINITY], 2).unwrap();
        assert_eq!(
            error.to_string(),
            "hold inf at sample 2, feature 2; they must be finite"
        );
    }
}
