//! Softmax regression on the digits, all samples at once: convex, with a gradient to the last digit.

use std::cell::RefCell;

use thalweg::diagnostics::Gram;
use thalweg::optimizer::lion_k::{Curved, Smooth};
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use crate::LabError;

/// Mean cross-entropy of scores `X Wᵀ` as a function of W `[classes, features]`, no shift.
pub(super) struct Regression {
    rows: Vec<f64>,
    labels: Vec<u32>,
    features: usize,
    classes: usize,
    steepness: f64,
    /// Scores of all samples.
    scores: RefCell<Vec<f64>>,
}

impl Regression {
    pub fn of_digits() -> Result<Self, LabError> {
        let digits = thalweg_data::digits();
        let rows: Vec<f64> = digits.features.iter().map(|&value| f64::from(value)).collect();
        let (features, classes) = (digits.width(), digits.classes.len());
        let mut gram = Gram::new(features);
        let told = |problem: thalweg::diagnostics::DiagnosticError| LabError::Plan(problem.to_string());
        gram.push(&rows).map_err(told)?;
        let largest = gram.finish().map_err(told)?.singular_values()[0];
        // The curvature of cross-entropy by scores is at most ½.
        let steepness = 0.5 * largest * largest / digits.len() as f64;
        Ok(Self {
            scores: RefCell::new(vec![0.0; digits.len() * classes]),
            rows,
            labels: digits.labels.clone(),
            features,
            classes,
            steepness,
        })
    }
}

impl Smooth for Regression {
    fn size(&self) -> usize {
        self.classes * self.features
    }

    fn evaluate(&self, weights: &[f64], gradient: &mut [f64]) -> f64 {
        let mut scores = self.scores.borrow_mut();
        let samples = self.labels.len();
        let rows = Matrix::new(&self.rows, samples, self.features);
        let of_classes = Matrix::new(weights, self.classes, self.features);
        multiply(Work::Alone, &mut scores, 0.0, 1.0, rows, of_classes.transposed());
        let mut total = 0.0;
        for (row, &label) in scores.chunks_exact_mut(self.classes).zip(&self.labels) {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let own = row[label as usize];
            row.iter_mut().for_each(|score| *score = (*score - top).exp());
            let sum: f64 = row.iter().sum();
            total += top + sum.ln() - own;
            row.iter_mut().for_each(|score| *score /= sum);
            row[label as usize] -= 1.0;
        }
        let residuals = Matrix::new(&scores, samples, self.classes);
        let share = (samples as f64).recip();
        multiply(Work::Alone, gradient, 0.0, share, residuals.transposed(), rows);
        total * share
    }

    fn steepness(&self) -> f64 {
        self.steepness
    }
}

impl Curved for Regression {
    /// Block (a, b) is `Xᵀ diag(p_a (δ_ab − p_b)) X / n`.
    fn curvature(&self, weights: &[f64], hessian: &mut [f64]) {
        let (classes, features, samples) = (self.classes, self.features, self.labels.len());
        let mut gradient = vec![0.0; self.size()];
        self.evaluate(weights, &mut gradient);
        let mut shares = self.scores.borrow().clone();
        for (row, &label) in shares.chunks_exact_mut(classes).zip(&self.labels) {
            row[label as usize] += 1.0;
        }
        let rows = Matrix::new(&self.rows, samples, features);
        let mut weighted = vec![0.0; self.rows.len()];
        let mut block = vec![0.0; features * features];
        for a in 0..classes {
            for b in 0..=a {
                let each = weighted.chunks_exact_mut(features);
                let each = each.zip(self.rows.chunks_exact(features));
                for ((out, row), shares) in each.zip(shares.chunks_exact(classes)) {
                    let weight = shares[a] * (f64::from(u8::from(a == b)) - shares[b]);
                    let pairs = out.iter_mut().zip(row);
                    pairs.for_each(|(out, value)| *out = weight * value);
                }
                let weighted = Matrix::new(&weighted, samples, features);
                let share = (samples as f64).recip();
                multiply(Work::Alone, &mut block, 0.0, share, weighted.transposed(), rows);
                for (i, row) in block.chunks_exact(features).enumerate() {
                    for (j, &value) in row.iter().enumerate() {
                        let (i, j) = (a * features + i, b * features + j);
                        hessian[i * self.size() + j] = value;
                        hessian[j * self.size() + i] = value;
                    }
                }
            }
        }
    }
}
