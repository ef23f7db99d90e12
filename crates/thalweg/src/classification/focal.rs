//! Focal loss `ℓ = −(1 − p_y)^γ log p_y`, in nats.
//!
//! Source: Lin, Goyal, Girshick, He, Dollár, ICCV 2017, in its multi-class form without class weights.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::rowwise::{Coefficients, Member, Row};

use super::LogitLoss;
use super::rowwise::{RowwiseLoss, log_prob_of_target};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the focal loss.
#[derive(Config, Debug)]
pub struct FocalLossConfig {
    /// Focusing parameter γ, at least 0; 0 is cross-entropy.
    #[config(default = 2.0)]
    pub gamma: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl FocalLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When γ is negative.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let gamma = require("focal", "gamma", self.gamma, "at least 0 and finite", |gamma| {
            gamma >= 0.0 && gamma.is_finite()
        })?;
        Ok(LogitLoss::of_softmax(Focal { gamma }, self.reduction))
    }
}

#[derive(Clone, Copy, Debug)]
struct Focal {
    gamma: f64,
}

impl Member for Focal {
    fn row(&self, row: Row) -> Coefficients {
        let focus = row.rest.powf(self.gamma);
        // φ(z) = −(1−p)^γ z with p = e^z: φ' = γ (1−p)^(γ−1) p z − (1−p)^γ, and p·z / (1−p) tends to −1 at p = 1.
        let pull = if row.rest > 0.0 {
            row.p * row.log_p / row.rest
        } else {
            -1.0
        };
        let slope = if self.gamma == 0.0 {
            -1.0
        } else {
            focus * (self.gamma * pull - 1.0)
        };
        Coefficients::of_log_p(-focus * row.log_p, slope)
    }
}

impl RowwiseLoss for Focal {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let log_p = log_prob_of_target(logits, targets);
        // 1 − p = −(exp(z) − 1), as in the comp-sum family without cancellation.
        let rest = -((log_p.clone() * 0.5).tanh() * (log_p.clone().exp() + 1.0));
        -(rest.powf_scalar(self.gamma) * log_p)
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "focal",
        title: "Focal loss",
        family: "classification",
        formula: "ℓ = −(1 − p_y)^γ log p_y",
        shapes: "logits [batch, classes], targets [batch] → [1]",
        good_for: &[
            "imbalance",
            "calibration",
            "overconfidence",
            "easy samples outnumber hard ones",
        ],
        cost: "as cross-entropy",
        when: "Easy samples outnumber the ones that matter, or a network is overconfident.",
        when_not: "Labels are noisy: it stares at the samples it cannot fit, which are the wrong ones.",
        source: "Lin et al., ICCV 2017",
        parameters: vec![Parameter {
            name: "gamma",
            meaning: "focusing parameter γ; 0 is cross-entropy",
            default: 2.0,
            range: (0.5, 5.0),
            scale: Scale::Logarithmic,
        }],
        rust: "FocalLossConfig::new().with_gamma({gamma}).init()?",
        path: "thalweg::classification::FocalLossConfig",
        build: Build::Scores(|value| {
            Ok(Box::new(
                FocalLossConfig::new().with_gamma(value("gamma")).init()?,
            ))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new("focal_loss", "focal loss of a batch, and its gradient")
            .param("gamma", 2.0)
            .param("reduction", "mean")
            .input("logits", "[N, C]")
            .input("labels", "[N]")
            .eval(|case| {
                case.not_empty("logits")?;
                let config = FocalLossConfig::new().with_gamma(case.param("gamma")?);
                let loss = config.with_reduction(case.reduction()?).init()?;
                let logits = case.variable::<2>("logits");
                let labels = case.class_labels("labels", "logits")?;
                Ok(case.value_and_gradients(loss.forward(logits.clone(), labels), &[("logits", &logits)]))
            }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for gamma in [0.0, 0.5, 1.0, 2.0, 5.0] {
            kernel_equals_composition(&Focal { gamma });
        }
    }

    #[test]
    fn a_perfect_row_has_no_loss_and_no_gradient() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[1e4, -1e4]], &device);
        let targets = Tensor::<1, Int>::from_ints([0], &device);
        for gamma in [0.5, 1.0, 2.0] {
            let loss = FocalLossConfig::new().with_gamma(gamma).init().unwrap();
            let (value, gradient) = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
            assert_eq!((value, gradient), (vec![0.0], vec![0.0, 0.0]));
        }
    }
}
