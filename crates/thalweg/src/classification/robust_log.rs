//! Robust log loss `log((a+1)/a) − log(a + p_y) + (1/(K−1)) Σ_{k≠y} log(a + p_k)`: symmetric, so that uniform noise does
//! not move its minimiser. In nats.
//!
//! Source: Patel, Sastry, "Memorization in Deep Neural Networks: Does the Loss Function Matter?", PAKDD 2021.

use burn::config::Config;

use super::LogitLoss;
use super::of_probabilities::{OfProbabilities, ProbabilityFunction};
use super::of_target::SHAPES;
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::{ConfigError, Reduction};

/// Configuration of the robust log loss.
#[derive(Config, Debug)]
pub struct RobustLogLossConfig {
    /// Shift a of the probabilities, above 0.
    #[config(default = 0.1)]
    pub alpha: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl RobustLogLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a is not above 0.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let shift = require(
            "robust_log_loss",
            "alpha",
            self.alpha,
            "above 0 and finite",
            |a| a > 0.0 && a.is_finite(),
        )?;
        Ok(LogitLoss::of_rows(
            OfProbabilities(RobustLog { shift }),
            self.reduction,
        ))
    }
}

#[derive(Clone, Copy, Debug)]
struct RobustLog {
    shift: f64,
}

impl ProbabilityFunction for RobustLog {
    fn of(&self, p: &[f64], target: usize, slopes: &mut [f64]) -> f64 {
        let share = 1.0 / (p.len() - 1) as f64;
        let mut loss = (1.0 / self.shift).ln_1p();
        for (k, (slope, p)) in slopes.iter_mut().zip(p).enumerate() {
            let weight = if k == target { -1.0 } else { share };
            loss += weight * (self.shift + p).ln();
            *slope = weight / (self.shift + p);
        }
        loss
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "robust_log_loss",
        title: "Robust log loss",
        family: "classification",
        formula: "ℓ = log((a+1)/a) − log(a + p_y) + (1/(K−1)) Σ_{k≠y} log(a + p_k)",
        shapes: SHAPES,
        good_for: &["noisy labels", "robust", "memorisation"],
        cost: "a pass in double precision over each row",
        when: "Labels are noisy: symmetric and bounded, and quicker to start than mean absolute error.",
        when_not: "Labels are clean and probabilities matter.",
        source: "Patel, Sastry, PAKDD 2021",
        parameters: vec![Parameter {
            name: "alpha",
            meaning: "shift a of the probabilities; large is mean absolute error",
            default: 0.1,
            range: (0.1, 10.0),
            scale: Scale::Logarithmic,
        }],
        rust: "RobustLogLossConfig::new().with_alpha({alpha}).init()?",
        path: "thalweg::classification::RobustLogLossConfig",
        build: Build::Scores(|value| {
            Ok(Box::new(
                RobustLogLossConfig::new().with_alpha(value("alpha")).init()?,
            ))
        }),
    }]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, Int, Tensor};

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn symmetric_with_a_numeric_gradient() {
        let loss = RobustLogLossConfig::new().init().unwrap();
        gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
        let each = Tensor::<1, Int>::arange(0..6, &Device::flex());
        for seed in 0..5 {
            let (logits, _) = random_batch(1, 6, 4.0, seed, DType::F64);
            let losses = loss.per_sample(logits.repeat_dim(0, 6), each.clone());
            let total = losses.sum().into_scalar::<f64>();
            assert!((total - 6.0 * 11.0_f64.ln()).abs() < 1e-12);
        }
    }
}
