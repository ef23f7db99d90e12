//! Generalised Jensen-Shannon divergence of the one-hot label `e` and `p`, `m = w e + (1 − w) p`:
//! `−(w KL(e ‖ m) + (1 − w) KL(p ‖ m)) / ((1 − w) log(1 − w))`.
//!
//! w → 0 is cross-entropy, w → 1 mean absolute error; every w is a function of p_y alone.
//!
//! Source: Englesson, Azizpour, "Generalized Jensen-Shannon Divergence Loss for Learning with Noisy Labels", NeurIPS 2021.

use burn::config::Config;
use burn::tensor::Tensor;

use super::LogitLoss;
use super::of_target::{OfTarget, SHAPES, TargetFunction, rest_of};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::{ConfigError, Reduction};

/// Configuration of the Jensen-Shannon loss.
#[derive(Config, Debug)]
pub struct JensenShannonLossConfig {
    /// Weight w of the label in the mixture, in `(0, 1)`.
    #[config(default = 0.5)]
    pub label_weight: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl JensenShannonLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When w is not in `(0, 1)`.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let w = require(
            "jensen_shannon",
            "label_weight",
            self.label_weight,
            "above 0 and below 1",
            |w| w > 0.0 && w < 1.0,
        )?;
        Ok(LogitLoss::of_softmax(
            OfTarget(JensenShannon { w }),
            self.reduction,
        ))
    }
}

#[derive(Clone, Copy, Debug)]
struct JensenShannon {
    w: f64,
}

impl JensenShannon {
    fn scale(&self) -> f64 {
        -1.0 / ((1.0 - self.w) * (-self.w).ln_1p())
    }
}

impl TargetFunction for JensenShannon {
    fn at(&self, log_p: f64, rest: f64) -> (f64, f64) {
        let (w, v, log_v) = (self.w, 1.0 - self.w, (-self.w).ln_1p());
        let (p, log_m) = (log_p.exp(), (-v * rest).ln_1p());
        let m = w + v * p;
        let to_label = -log_m;
        let to_prediction = p * (log_p - log_m) - rest * log_v;
        // d/dp of the two, the second with 1 − vp/m = w/m.
        let slope = -w * v / m + v * (log_p - log_m + w / m + log_v);
        (
            self.scale() * (w * to_label + v * to_prediction),
            self.scale() * slope * p,
        )
    }

    fn composed(&self, log_p: Tensor<1>) -> Tensor<1> {
        let (v, log_v) = (1.0 - self.w, (-self.w).ln_1p());
        let (p, rest) = (log_p.clone().exp(), rest_of(log_p.clone()));
        let log_m = (rest.clone() * -v).log1p();
        let to_prediction = p * (log_p - log_m.clone()) - rest * log_v;
        (to_prediction * v - log_m * self.w) * self.scale()
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "jensen_shannon",
        title: "Generalised Jensen-Shannon loss",
        family: "classification",
        formula: "ℓ = −(w KL(e ‖ m) + (1−w) KL(p ‖ m)) / ((1−w) log(1−w)),  m = w e + (1−w) p",
        shapes: SHAPES,
        good_for: &["noisy labels", "robust", "one knob from convex to bounded"],
        cost: "as cross-entropy",
        when: "Some labels are wrong: bounded for every w, with the start of cross-entropy for small w.",
        when_not: "Labels are clean and probabilities matter.",
        source: "Englesson, Azizpour, NeurIPS 2021",
        parameters: vec![Parameter {
            name: "label_weight",
            meaning: "near 0: cross-entropy, near 1: mean absolute error",
            default: 0.5,
            range: (0.1, 0.9),
            scale: Scale::Linear,
        }],
        rust: "JensenShannonLossConfig::new().with_label_weight({label_weight}).init()?",
        path: "thalweg::classification::JensenShannonLossConfig",
        build: Build::Scores(|value| {
            let config = JensenShannonLossConfig::new().with_label_weight(value("label_weight"));
            Ok(Box::new(config.init()?))
        }),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for w in [0.1, 0.5, 0.9] {
            kernel_equals_composition(&OfTarget(JensenShannon { w }));
        }
    }

    #[test]
    fn its_ends_are_cross_entropy_and_mean_absolute_error() {
        let log_p = 0.3_f64.ln();
        assert!((JensenShannon { w: 1e-7 }.at(log_p, 0.7).0 + log_p).abs() < 1e-6);
        // (1−w) log(1−w) against the mean absolute error (1 − p)(−(1−w) log(1−w)) + O(1−w): slowly.
        assert!((JensenShannon { w: 1.0 - 1e-9 }.at(log_p, 0.7).0 - 0.7).abs() < 0.05);
        let (loss, slope) = JensenShannon { w: 0.5 }.at(-1e4, 1.0);
        assert!(loss.is_finite() && slope == 0.0);
    }
}
