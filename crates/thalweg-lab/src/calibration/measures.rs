//! The numbers by which probabilities are judged.

use serde::Serialize;
use thalweg::calibration::{CalibrationError, Predictions, ReliabilityBin};

use crate::metrics::Direction;

/// Bins of reliability diagrams, and of calibration errors where no other number is said.
pub const BINS: usize = 15;
/// Bins of the paper on correctness-aware calibration.
const FINE_BINS: usize = 25;

/// Probabilities, judged. What is undefined or infinite is `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Measures {
    /// Share of correct predictions.
    pub accuracy: f64,
    /// Expected calibration error over 15 bins of equal width.
    pub ece_15: f64,
    /// Over 25 bins of equal width.
    pub ece_25: f64,
    /// Over 15 bins of equally many samples.
    pub ece_equal_mass: f64,
    /// Largest gap of 15 bins of equal width.
    pub mce: f64,
    /// Kolmogorov and Smirnov's calibration error.
    pub ks: f64,
    /// Brier score of the predicted class alone.
    pub brier: f64,
    /// Chance that a correct prediction is more confident than a wrong one; NaN where all are right or all wrong.
    pub auroc: f64,
    /// Mean negative log-likelihood, nats; infinite where a true class was given probability 0.
    pub nll: f64,
    /// Reliability bins of equal width.
    pub reliability: Vec<ReliabilityBin>,
}

/// A number of [`Measures`], for tables.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// As a column head.
    pub title: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// What is wanted of it.
    pub direction: Direction,
    /// The number.
    pub of: fn(&Measures) -> f64,
}

/// All, in the order of tables.
pub const MEASURES: [Measure; 9] = [
    lower(
        "ECE15",
        "expected calibration error over 15 bins of equal width",
        |m| m.ece_15,
    ),
    lower("ECE25", "the same over 25 bins", |m| m.ece_25),
    lower("ECEm", "the same over 15 bins of equally many samples", |m| {
        m.ece_equal_mass
    }),
    lower("MCE", "largest gap of 15 bins of equal width", |m| m.mce),
    lower("KS", "Kolmogorov and Smirnov's calibration error", |m| m.ks),
    lower("Brier", "squared difference of confidence and correctness", |m| {
        m.brier
    }),
    higher(
        "AUROC",
        "chance that a correct prediction is more confident than a wrong one",
        |m| m.auroc,
    ),
    lower("NLL", "mean negative log-likelihood, nats", |m| m.nll),
    higher("acc", "accuracy", |m| m.accuracy),
];

const fn lower(title: &'static str, meaning: &'static str, of: fn(&Measures) -> f64) -> Measure {
    Measure {
        title,
        meaning,
        direction: Direction::LowerIsBetter,
        of,
    }
}

const fn higher(title: &'static str, meaning: &'static str, of: fn(&Measures) -> f64) -> Measure {
    Measure {
        direction: Direction::HigherIsBetter,
        ..lower(title, meaning, of)
    }
}

impl Measures {
    /// Of probabilities `[samples, classes]` and as many labels below `classes`.
    ///
    /// # Errors
    /// When there is no sample.
    pub fn of(probabilities: &[f64], classes: usize, labels: &[usize]) -> Result<Self, CalibrationError> {
        let predictions = Predictions::of_probabilities(probabilities, classes, labels)?;
        let rows = probabilities.chunks_exact(classes).zip(labels);
        let log_likelihood: f64 = rows.map(|(row, &label)| row[label].ln()).sum();
        Ok(Self {
            accuracy: predictions.accuracy(),
            ece_15: predictions.expected_calibration_error(BINS),
            ece_25: predictions.expected_calibration_error(FINE_BINS),
            ece_equal_mass: predictions.equal_mass_calibration_error(BINS),
            mce: predictions.max_calibration_error(BINS),
            ks: predictions.ks_calibration_error(),
            brier: predictions.top_label_brier_score(),
            auroc: predictions.correctness_auroc().unwrap_or(f64::NAN),
            nll: -log_likelihood / labels.len() as f64,
            reliability: predictions.reliability(BINS),
        })
    }
}
