//! TRADES: `CE(h(x), y) + β KL(softmax h(x) ‖ softmax h(x'))`, in nats; `x'` ascends the divergence.
//!
//! The clean probabilities are held constant inside the attack only: the loss sends its gradient through both.
//!
//! Source: Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan, ICML 2019.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::adversarial_training::EPSILON;
use super::pgd::kl_divergence;
use super::{Norm, Pgd, PgdConfig};
use crate::classification::{CompSumLossConfig, LogitLoss};
use crate::config::require;
use crate::objective::{Batch, Build, Model, Objective, ObjectiveEntry, Parameter, Progress, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`TradesLoss`].
#[derive(Config, Debug)]
pub struct TradesLossConfig {
    /// Weight β of the divergence, at least 0.
    #[config(default = 6.0)]
    pub beta: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl TradesLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When β is negative.
    pub fn init(&self) -> Result<TradesLoss, ConfigError> {
        let beta = require("trades", "beta", self.beta, "at least 0 and finite", |beta| {
            beta >= 0.0 && beta.is_finite()
        })?;
        let clean = CompSumLossConfig::new().with_reduction(self.reduction).init()?;
        Ok(TradesLoss {
            beta,
            clean,
            reduction: self.reduction,
        })
    }
}

/// The loss of clean and perturbed scores.
#[derive(Clone, Debug)]
pub struct TradesLoss {
    beta: f64,
    clean: LogitLoss,
    reduction: Reduction,
}

impl TradesLoss {
    /// # Shapes
    /// - clean and perturbed logits `[batch, classes]`, targets `[batch]`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Panics
    /// When the shapes disagree or a target is out of range.
    pub fn forward(&self, clean: Tensor<2>, perturbed: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let divergence = self.reduction.of(kl_divergence(clean.clone(), perturbed));
        self.clean.forward(clean, targets) + divergence * self.beta
    }
}

/// Configuration of [`Trades`].
#[derive(Config, Debug)]
pub struct TradesConfig {
    /// Radius ε of the attack, in units of the inputs.
    pub epsilon: f64,
    /// Weight β of the divergence.
    #[config(default = 6.0)]
    pub beta: f64,
    /// Ascent steps.
    #[config(default = 10)]
    pub steps: usize,
    /// Norm of the ball.
    #[config(default = "Norm::LInf")]
    pub norm: Norm,
}

impl TradesConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the radius is not positive or β is negative.
    pub fn init(&self) -> Result<Trades, ConfigError> {
        let attack = PgdConfig::new(self.epsilon)
            .with_steps(self.steps)
            .with_norm(self.norm)
            .init()?;
        Ok(Trades {
            attack,
            loss: TradesLossConfig::new().with_beta(self.beta).init()?,
        })
    }
}

/// Training with TRADES. Costs `steps + 2` forward and backward passes; attack and loss share the clean one.
#[derive(Clone, Debug)]
pub struct Trades {
    attack: Pgd,
    loss: TradesLoss,
}

impl Objective for Trades {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let clean = model.forward(batch.inputs.clone());
        let fixed = clean.clone().without_autodiff();
        let start = self.attack.random_start(&batch.inputs, random);
        let perturbed = self.attack.attack(&batch.inputs, start, batch.range, |x| {
            kl_divergence(fixed.clone(), model.frozen(x)).sum()
        });
        self.loss
            .forward(clean, model.forward(perturbed), batch.targets.clone())
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "trades",
        title: "TRADES",
        family: "robustness",
        formula: "ℓ = −log p_y(x) + β KL(p(x) ‖ p(x')),  x' = PGD ascent on the divergence",
        shapes: "model, inputs [batch, features], targets [batch] → [1]",
        good_for: &["robust", "adversarial", "perturbed inputs", "clean accuracy kept"],
        cost: "12 forward and backward passes (10 of them for the inputs only)",
        when: "Robust accuracy is wanted and clean accuracy still counts: β trades one for the other.",
        when_not: "Nobody perturbs the inputs.",
        source: "Zhang et al., ICML 2019",
        parameters: vec![
            EPSILON,
            Parameter {
                name: "beta",
                meaning: "weight β of the divergence",
                default: 6.0,
                range: (1.0, 6.0),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "TradesConfig::new({epsilon}).with_beta({beta}).init()?",
        path: "thalweg::robustness::TradesConfig",
        build: Build::Scores(|value| {
            Ok(Box::new(
                TradesConfig::new(value("epsilon"))
                    .with_beta(value("beta"))
                    .init()?,
            ))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "trades_loss",
            "TRADES of clean and perturbed logits, and both gradients",
        )
        .param("beta", 6.0)
        .param("reduction", "mean")
        .input("clean_logits", "[N, C]")
        .input("adv_logits", "[N, C]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("clean_logits")?;
            let loss = TradesLossConfig::new()
                .with_beta(case.param("beta")?)
                .with_reduction(case.reduction()?)
                .init()?;
            let labels = case.class_labels("labels", "clean_logits")?;
            let (clean, perturbed) = (
                case.variable::<2>("clean_logits"),
                case.variable::<2>("adv_logits"),
            );
            let value = loss.forward(clean.clone(), perturbed.clone(), labels);
            Ok(case.value_and_gradients(value, &[("clean_logits", &clean), ("adv_logits", &perturbed)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::pgd::tests::random_matrix;
    use super::*;

    #[test]
    fn beta_zero_is_cross_entropy_and_equal_scores_have_no_divergence() {
        let mut stream = Stream::new(0, "trades", 0);
        let (clean, perturbed) = (
            random_matrix(4, 3, 2.0, &mut stream),
            random_matrix(4, 3, 2.0, &mut stream),
        );
        let targets = Tensor::<1, Int>::from_ints([0, 1, 2, 0], &Device::flex());
        let value = |beta: f64, perturbed: &Tensor<2>| {
            let loss = TradesLossConfig::new().with_beta(beta).init().unwrap();
            loss.forward(clean.clone(), perturbed.clone(), targets.clone())
                .into_scalar::<f64>()
        };
        let plain = CompSumLossConfig::new()
            .init()
            .unwrap()
            .forward(clean.clone(), targets.clone());
        let plain = plain.into_scalar::<f64>();
        assert!((value(0.0, &perturbed) - plain).abs() < 1e-14);
        assert!((value(6.0, &clean) - plain).abs() < 1e-14);
        assert!(value(6.0, &perturbed) > plain);
    }
}
