//! Squared error of the probabilities, `‖onehot − p‖²`: the Brier score.
//!
//! Source: Ghosh, Kumar, Sastry, "Robust Loss Functions under Label Noise for Deep Neural Networks", AAAI 2017.

use burn::config::Config;

use super::LogitLoss;
use super::of_probabilities::{OfProbabilities, ProbabilityFunction};
use super::of_target::SHAPES;
use crate::objective::{Build, ObjectiveEntry};
use crate::{ConfigError, Reduction};

/// Configuration of the Brier loss.
#[derive(Config, Debug)]
pub struct BrierLossConfig {
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl BrierLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// Never: it has nothing to be wrong.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        Ok(LogitLoss::of_rows(OfProbabilities(Brier), self.reduction))
    }
}

#[derive(Clone, Copy, Debug)]
struct Brier;

impl ProbabilityFunction for Brier {
    fn of(&self, p: &[f64], target: usize, slopes: &mut [f64]) -> f64 {
        slopes.copy_from_slice(p);
        // Not 1 − p_y, which loses the digits of a confident row.
        let rest: f64 = p[..target].iter().chain(&p[target + 1..]).sum();
        slopes[target] = -rest;
        let loss = slopes.iter().map(|error| error * error).sum();
        slopes.iter_mut().for_each(|error| *error *= 2.0);
        loss
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "brier",
        title: "Squared error of the probabilities (Brier score)",
        family: "classification",
        formula: "ℓ = ‖onehot(y) − p‖²",
        shapes: SHAPES,
        good_for: &["calibration", "noisy labels", "probabilities", "bounded"],
        cost: "a pass in double precision over each row",
        when: "Probabilities are wanted and a few labels are wrong: a proper score, and bounded.",
        when_not: "Many classes or short training: confident errors move slowly.",
        source: "Brier 1950; Ghosh, Kumar, Sastry, AAAI 2017",
        parameters: vec![],
        rust: "BrierLossConfig::new().init()?",
        path: "thalweg::classification::BrierLossConfig",
        build: Build::Scores(|_| Ok(Box::new(BrierLossConfig::new().init()?))),
    }]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use burn::tensor::activation::softmax;

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn it_is_the_squared_distance_and_its_gradient_numeric() {
        let (logits, targets) = random_batch(4, 6, 3.0, 0, DType::F64);
        let loss = BrierLossConfig::new().init().unwrap();
        let own = targets.clone().one_hot::<2>(6).float().cast(DType::F64);
        let expected = (softmax(logits.clone(), 1) - own)
            .square()
            .sum_dim(1)
            .mean()
            .into_scalar::<f64>();
        let found = loss.forward(logits, targets).into_scalar::<f64>();
        assert!((found - expected).abs() < 1e-14);
        gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
    }
}
