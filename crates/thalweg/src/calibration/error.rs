//! Why something cannot be calibrated or judged.

use super::Method;

/// What is wrong with logits, labels, confidences or a calibrator. Samples and classes are counted from 0.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CalibrationError {
    #[error("calibration needs at least one sample")]
    NoSamples,
    #[error("calibration needs at least two classes, not {0}")]
    TooFewClasses(usize),
    #[error("{what} hold {found} numbers; {expected} were expected")]
    Shape {
        what: &'static str,
        found: usize,
        expected: usize,
    },
    #[error("label {label} of sample {sample} is not below the number of classes, {classes}")]
    Label {
        sample: usize,
        label: usize,
        classes: usize,
    },
    #[error("the logit of sample {sample} for class {class} is {value}; logits are finite")]
    Logit { sample: usize, class: usize, value: f64 },
    #[error("view {view}: the logit of sample {sample} for class {class} is {value}; logits are finite")]
    ViewLogit {
        view: usize,
        sample: usize,
        class: usize,
        value: f64,
    },
    #[error("the probabilities of sample {sample} are not within 0 and 1, or do not sum to 1")]
    NoDistribution { sample: usize },
    #[error("the confidence of sample {sample} is {value}; confidences are within 0 and 1")]
    Confidence { sample: usize, value: f64 },
    #[error("every prediction is {outcome}: how well confidence tells right from wrong is not defined")]
    OneOutcome { outcome: &'static str },
    #[error("{method} needs logits of transformed views of each sample, and there are none")]
    ViewsMissing { method: Method },
    #[error("the calibrator was fitted to {fitted} views of each sample, not {given}")]
    ViewsDiffer { fitted: usize, given: usize },
    #[error("the calibrator was fitted to {fitted} classes, not {given}")]
    ClassesDiffer { fitted: usize, given: usize },
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
}
