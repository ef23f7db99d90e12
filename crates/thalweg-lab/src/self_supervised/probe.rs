//! A linear classifier of features: multinomial logistic regression with an L2 penalty, fitted to convergence.
//!
//! `min Σ_i CE(W x_i + b, y_i) + ½ ‖W‖²/C`, the shifts b free, as scikit-learn's `LogisticRegression` has it. Features are
//! taken as they are: those that have shrunk to nothing stay so.

use thalweg::calibration::lbfgs::{Stop, minimise};
use thalweg_kernels::matrix::{Matrix, Work, multiply};

/// Largest slope, per sample, that counts as none.
const FLAT: f64 = 1e-5;
/// Iterations at most.
const ITERATIONS: usize = 200;

/// A fitted classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticProbe {
    width: usize,
    classes: usize,
    /// `[classes, width + 1]`, the last column the shifts.
    weights: Vec<f64>,
}

impl LogisticProbe {
    /// Fitted to features `[samples, width]` and labels below `classes`, with inverse strength C of the penalty.
    ///
    /// # Panics
    /// When sizes disagree or a label is out of range.
    pub fn fit(features: &[f32], width: usize, labels: &[u32], classes: usize, inverse_penalty: f64) -> Self {
        let samples = labels.len();
        assert_eq!(features.len(), samples * width, "features of width {width}");
        let rows = with_one(features, width);
        let columns = width + 1;
        let rows = Matrix::new(&rows, samples, columns);
        let mut scores = vec![0.0; samples * classes];
        let objective = |weights: &[f64]| {
            let weights_of = Matrix::new(weights, classes, columns);
            multiply(Work::Shared, &mut scores, 0.0, 1.0, rows, weights_of.transposed());
            let mut value = 0.0;
            for (row, &label) in scores.chunks_exact_mut(classes).zip(labels) {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let own = row[label as usize];
                row.iter_mut().for_each(|score| *score = (*score - largest).exp());
                let sum: f64 = row.iter().sum();
                value += largest + sum.ln() - own;
                row.iter_mut().for_each(|score| *score /= sum);
                row[label as usize] -= 1.0;
            }
            let mut gradient = vec![0.0; classes * columns];
            let residuals = Matrix::new(&scores, samples, classes);
            multiply(
                Work::Shared,
                &mut gradient,
                0.0,
                1.0,
                residuals.transposed(),
                rows,
            );
            for (at, (slope, weight)) in gradient.iter_mut().zip(weights).enumerate() {
                if at % columns < width {
                    *slope += weight / inverse_penalty;
                    value += 0.5 * weight * weight / inverse_penalty;
                }
            }
            (value, gradient)
        };
        let stop = Stop {
            iterations: ITERATIONS,
            gradient: FLAT * samples as f64,
        };
        let weights = minimise(vec![0.0; classes * columns], stop, objective);
        Self {
            width,
            classes,
            weights,
        }
    }

    /// The weight of a feature for a class.
    pub fn weight(&self, class: usize, feature: usize) -> f64 {
        self.weights[class * (self.width + 1) + feature]
    }

    /// The likeliest class of each row of features.
    pub fn predict(&self, features: &[f32]) -> Vec<u32> {
        let samples = features.len() / self.width;
        let rows = with_one(features, self.width);
        let mut scores = vec![0.0; samples * self.classes];
        let weights = Matrix::new(&self.weights, self.classes, self.width + 1);
        let rows = Matrix::new(&rows, samples, self.width + 1);
        multiply(Work::Shared, &mut scores, 0.0, 1.0, rows, weights.transposed());
        scores.chunks_exact(self.classes).map(largest).collect()
    }
}

/// The place of the largest number, the first of several.
pub(super) fn largest(row: &[f64]) -> u32 {
    let best = (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    u32::try_from(best).expect("classes are few")
}

fn with_one(features: &[f32], width: usize) -> Vec<f64> {
    let rows = features.chunks_exact(width);
    rows.flat_map(|row| row.iter().map(|&value| f64::from(value)).chain([1.0]))
        .collect()
}
