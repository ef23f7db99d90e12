//! Active-passive losses `α·NCE + β·passive`: normalised cross-entropy `log p_y / Σ_k log p_k` and a loss of p_y that
//! also pushes the other classes down.
//!
//! Passive losses: reverse cross-entropy `−log(10⁻⁴)·(1 − p_y)`, asymmetric generalised cross-entropy
//! `((a+1)^q − (a+p_y)^q)/q`, asymmetric unhinged loss `((a−p_y)^q − (a−1)^q)/q`.
//!
//! Sources: Ma, Huang, Wang, Romano, Erfani, Bailey, "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML
//! 2020; Zhou, Liu, Jiang, Gao, Ji, "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021.

use burn::config::Config;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::rowwise::{Coefficients, Member, Row};

use super::LogitLoss;
use super::of_target::{SHAPES, TargetFunction, rest_of};
use super::rowwise::RowwiseLoss;
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::{ConfigError, Reduction};

/// The passive part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Passive {
    /// `−log(10⁻⁴)·(1 − p_y)`.
    ReverseCrossEntropy,
    /// `((a+1)^q − (a+p_y)^q)/q`.
    AsymmetricGeneralized {
        /// Shift, at least 0.
        a: f64,
        /// Power, above 0.
        q: f64,
    },
    /// `((a−p_y)^q − (a−1)^q)/q`.
    AsymmetricUnhinged {
        /// Shift, above 1.
        a: f64,
        /// Power, above 0.
        q: f64,
    },
}

impl Passive {
    /// Asymmetric generalised cross-entropy with the paper's a = 3 and q = 1.5.
    pub const AGCE: Self = Self::AsymmetricGeneralized { a: 3.0, q: 1.5 };
    /// Asymmetric unhinged loss with the paper's a = 6 and q = 1.5.
    pub const AUL: Self = Self::AsymmetricUnhinged { a: 6.0, q: 1.5 };
}

/// Configuration of an active-passive loss.
#[derive(Config, Debug)]
pub struct ActivePassiveLossConfig {
    /// The passive part.
    pub passive: Passive,
    /// Weight α of normalised cross-entropy, at least 0.
    #[config(default = 5.0)]
    pub active_weight: f64,
    /// Weight β of the passive part, at least 0.
    #[config(default = 5.0)]
    pub passive_weight: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl ActivePassiveLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a weight is negative, or a or q is out of its range.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let weight = |name, weight| {
            require("active_passive", name, weight, "at least 0 and finite", |w| {
                w >= 0.0 && w.is_finite()
            })
        };
        let (a, q, least, accepted) = match self.passive {
            Passive::ReverseCrossEntropy => (0.0, 1.0, 0.0, ""),
            Passive::AsymmetricGeneralized { a, q } => (a, q, 0.0, "at least 0 and finite"),
            Passive::AsymmetricUnhinged { a, q } => (a, q, 1.0 + f64::EPSILON, "above 1 and finite"),
        };
        require("active_passive", "a", a, accepted, |a| {
            a >= least && a.is_finite()
        })?;
        require("active_passive", "q", q, "above 0 and finite", |q| {
            q > 0.0 && q.is_finite()
        })?;
        let loss = ActivePassive {
            active: weight("active_weight", self.active_weight)?,
            weight: weight("passive_weight", self.passive_weight)?,
            passive: self.passive,
        };
        Ok(LogitLoss::of_softmax(loss, self.reduction))
    }
}

const MINUS_LOG_ZERO: f64 = 4.0 * std::f64::consts::LN_10;

impl TargetFunction for Passive {
    fn at(&self, log_p: f64, rest: f64) -> (f64, f64) {
        let p = log_p.exp();
        match *self {
            Self::ReverseCrossEntropy => (MINUS_LOG_ZERO * rest, -MINUS_LOG_ZERO * p),
            Self::AsymmetricGeneralized { a, q } => (
                ((a + 1.0).powf(q) - (a + p).powf(q)) / q,
                -(a + p).powf(q - 1.0) * p,
            ),
            Self::AsymmetricUnhinged { a, q } => (
                ((a - 1.0 + rest).powf(q) - (a - 1.0).powf(q)) / q,
                -(a - 1.0 + rest).powf(q - 1.0) * p,
            ),
        }
    }

    fn composed(&self, log_p: Tensor<1>) -> Tensor<1> {
        match *self {
            Self::ReverseCrossEntropy => rest_of(log_p) * MINUS_LOG_ZERO,
            Self::AsymmetricGeneralized { a, q } => {
                ((log_p.exp() + a).powf_scalar(q) - (a + 1.0).powf(q)) * (-1.0 / q)
            }
            Self::AsymmetricUnhinged { a, q } => {
                ((-log_p.exp() + a).powf_scalar(q) - (a - 1.0).powf(q)) * (1.0 / q)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct ActivePassive {
    active: f64,
    weight: f64,
    passive: Passive,
}

impl Member for ActivePassive {
    const NEEDS_MEAN: bool = true;

    fn row(&self, row: Row) -> Coefficients {
        let (passive, slope) = self.passive.at(row.log_p, row.rest);
        let passive = Coefficients::of_log_p(self.weight * passive, self.weight * slope);
        // Of log p_y / S with S = Σ log p_k: ∂ log p_y = e − p, ∂S = 1 − K p.
        let classes = row.classes as f64;
        let inverse = 1.0 / (classes * row.mean_log_p);
        let ratio = row.log_p * inverse;
        Coefficients {
            loss: self.active * ratio + passive.loss,
            softmax: self.active * inverse * (classes * ratio - 1.0) + passive.softmax,
            target: self.active * inverse + passive.target,
            uniform: -self.active * inverse * ratio,
        }
    }
}

impl RowwiseLoss for ActivePassive {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, _] = logits.dims();
        let log_p = log_softmax(logits, 1);
        let own: Tensor<1> = log_p
            .clone()
            .gather(1, targets.reshape([batch, 1]))
            .reshape([batch]);
        let active = own.clone() / log_p.sum_dim(1).reshape([batch]);
        active * self.active + self.passive.composed(own) * self.weight
    }
}

fn entry(name: &'static str, title: &'static str, formula: &'static str) -> ObjectiveEntry {
    ObjectiveEntry {
        name,
        title,
        family: "classification",
        formula,
        shapes: SHAPES,
        good_for: &["noisy labels", "robust"],
        cost: "as cross-entropy",
        when: "Labels are noisy: both parts are robust, and together they learn faster than either.",
        when_not: "Labels are clean and probabilities matter.",
        source: "Ma et al., ICML 2020",
        parameters: vec![Parameter {
            name: "alpha",
            meaning: "weight of normalised cross-entropy; the passive part has 10 − α",
            default: 5.0,
            range: (0.1, 9.9),
            scale: Scale::Linear,
        }],
        rust: "",
        path: "thalweg::classification::{ActivePassiveLossConfig, Passive}",
        build: Build::Scores(|_| unreachable!("every entry has its own")),
    }
}

type Built = Result<Box<dyn crate::objective::Objective>, ConfigError>;

fn of_ten(passive: Passive, alpha: f64) -> Built {
    let config = ActivePassiveLossConfig::new(passive).with_active_weight(alpha);
    Ok(Box::new(config.with_passive_weight(10.0 - alpha).init()?))
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        ObjectiveEntry {
            good_for: &["noisy labels", "robust", "few classes"],
            when: "As the active part of a sum; alone, where classes are few and noise is high.",
            when_not: "Alone on many classes: it underfits. Add a passive part.",
            parameters: vec![],
            rust: "ActivePassiveLossConfig::new(Passive::ReverseCrossEntropy)\n    \
                   .with_active_weight(1.0).with_passive_weight(0.0).init()?",
            build: Build::Scores(|_| {
                let config =
                    ActivePassiveLossConfig::new(Passive::ReverseCrossEntropy).with_active_weight(1.0);
                Ok(Box::new(config.with_passive_weight(0.0).init()?))
            }),
            ..entry(
                "normalized_cross_entropy",
                "Normalised cross-entropy",
                "ℓ = log p_y / Σ_k log p_k",
            )
        },
        ObjectiveEntry {
            rust: "ActivePassiveLossConfig::new(Passive::ReverseCrossEntropy)\n    \
                   .with_active_weight({alpha}).with_passive_weight(10.0 - {alpha}).init()?",
            build: Build::Scores(|value| of_ten(Passive::ReverseCrossEntropy, value("alpha"))),
            ..entry(
                "nce_rce",
                "Normalised and reverse cross-entropy",
                "ℓ = α log p_y / Σ_k log p_k + (10−α)·9.21·(1 − p_y)",
            )
        },
        ObjectiveEntry {
            source: "Zhou et al., ICML 2021",
            rust: "ActivePassiveLossConfig::new(Passive::AGCE)\n    \
                   .with_active_weight({alpha}).with_passive_weight(10.0 - {alpha}).init()?",
            build: Build::Scores(|value| of_ten(Passive::AGCE, value("alpha"))),
            ..entry(
                "nce_agce",
                "Normalised and asymmetric generalised CE",
                "ℓ = α log p_y / Σ_k log p_k + (10−α)·((a+1)^q − (a+p_y)^q)/q,  a = 3, q = 1.5",
            )
        },
        ObjectiveEntry {
            source: "Zhou et al., ICML 2021",
            rust: "ActivePassiveLossConfig::new(Passive::AUL)\n    \
                   .with_active_weight({alpha}).with_passive_weight(10.0 - {alpha}).init()?",
            build: Build::Scores(|value| of_ten(Passive::AUL, value("alpha"))),
            ..entry(
                "nce_aul",
                "Normalised CE and asymmetric unhinged loss",
                "ℓ = α log p_y / Σ_k log p_k + (10−α)·((a−p_y)^q − (a−1)^q)/q,  a = 6, q = 1.5",
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for passive in [Passive::ReverseCrossEntropy, Passive::AGCE, Passive::AUL] {
            for (active, weight) in [(1.0, 0.0), (0.1, 9.9), (5.0, 5.0)] {
                kernel_equals_composition(&ActivePassive {
                    active,
                    weight,
                    passive,
                });
            }
        }
    }

    #[test]
    fn normalised_losses_of_all_labels_sum_to_one() {
        let (logits, _) = random_batch(1, 6, 4.0, 0, burn::tensor::DType::F64);
        let config = ActivePassiveLossConfig::new(Passive::AGCE).with_active_weight(1.0);
        let loss = config
            .with_passive_weight(0.0)
            .with_reduction(Reduction::Sum)
            .init()
            .unwrap();
        let each = Tensor::<1, Int>::arange(0..6, &burn::tensor::Device::flex());
        let total = loss.forward(logits.repeat_dim(0, 6), each).into_scalar::<f64>();
        assert!((total - 1.0).abs() < 1e-14);
    }

    #[test]
    fn shifts_that_make_no_loss_are_refused() {
        let refuse = |passive| assert!(ActivePassiveLossConfig::new(passive).init().is_err());
        refuse(Passive::AsymmetricUnhinged { a: 1.0, q: 1.5 });
        refuse(Passive::AsymmetricGeneralized { a: -0.1, q: 1.5 });
        refuse(Passive::AsymmetricGeneralized { a: 3.0, q: 0.0 });
    }
}
