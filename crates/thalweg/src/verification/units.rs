//! Rows brought to length 1, refused where they have no direction.

use thalweg_kernels::real::Real;
use thalweg_kernels::unit_rows::{normalize, project};

use super::error::{Problem, VerificationError};

/// Norms up to this are none: their squares underflow.
const LEAST_NORM: f64 = 1e-150;

/// Unit rows, and what they were divided by.
pub(super) struct Units<F> {
    pub rows: Vec<F>,
    pub norms: Vec<f64>,
    pub width: usize,
}

impl<F: Real> Units<F> {
    /// Of `given`, which is called `input`.
    pub fn of(input: &'static str, given: &[F], width: usize) -> Result<Self, VerificationError> {
        let refuse = |problem| Err(VerificationError::new(input, problem));
        if given.is_empty() {
            return refuse(Problem::Empty);
        }
        if !given.len().is_multiple_of(width) {
            let values = given.len();
            return refuse(Problem::Ragged { values, width });
        }
        let mut rows = given.to_vec();
        let norms = normalize(&mut rows, width, LEAST_NORM);
        // What is not a number is in no range.
        let directed = |norm: &f64| *norm > LEAST_NORM && *norm < f64::INFINITY;
        if let Some(row) = norms.iter().position(|norm| !directed(norm)) {
            return refuse(problem(&given[row * width..][..width], row));
        }
        Ok(Self { rows, norms, width })
    }

    pub fn count(&self) -> usize {
        self.norms.len()
    }

    /// From the gradient by unit rows to that by the rows themselves.
    pub fn back(&self, mut gradient: Vec<F>) -> Vec<F> {
        project(&self.rows, self.width, LEAST_NORM, &self.norms, &mut gradient);
        gradient
    }
}

/// What is wrong with a row that has no finite norm above 0.
pub(super) fn problem<F: Real>(values: &[F], row: usize) -> Problem {
    let mut values = values.iter().map(|value| value.to_f64());
    match values.clone().find(|value| !value.is_finite()) {
        Some(value) => Problem::NotFinite { row, value },
        None if values.all(|value| value.abs() < 1.0) => Problem::NoDirection { row },
        None => Problem::TooLarge { row },
    }
}
