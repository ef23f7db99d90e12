//! ρ-margin losses: `Φ_ρ(t) = min(1, max(0, 1 − t/ρ))`, and `Φ^τ(Σ_{k≠y} Φ_ρ(h_y − h_k))` of a batch, plain or at the
//! worst inputs of a ball.
//!
//! The class y is left out of the sum: `Φ_ρ(0) = 1` would put a constant inside the concave `Φ^τ`. Bounded, and flat
//! outside the margin: a bound to compare with more than a loss to train with.
//!
//! Source: Mao, Mohri, Zhong, ICML 2023.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::adversarial_training::EPSILON;
use super::{Norm, Pgd, PgdConfig};
use crate::classification::{CompSumLossConfig, comp_sum_phi};
use crate::config::require;
use crate::objective::{
    Batch, Build, Model, Objective, ObjectiveEntry, Parameter, Progress, Scale, ScoreLoss,
};
use crate::quantity::{Outputs, Quantity};
use crate::{ConfigError, Reduction};

/// `Φ_ρ(t) = min(1, max(0, 1 − t/ρ))`.
pub fn rho_margin(margin: f64, rho: f64) -> f64 {
    (1.0 - margin / rho).clamp(0.0, 1.0)
}

/// Configuration of [`CompSumRhoMarginLoss`].
#[derive(Config, Debug)]
pub struct CompSumRhoMarginLossConfig {
    /// Family parameter τ, at least 0.
    #[config(default = 1.0)]
    pub tau: f64,
    /// Margin ρ, above 0.
    #[config(default = 1.0)]
    pub rho: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl CompSumRhoMarginLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When τ is negative or ρ is not positive.
    pub fn init(&self) -> Result<CompSumRhoMarginLoss, ConfigError> {
        CompSumLossConfig::new().with_tau(self.tau).init()?;
        let accepted = |rho: f64| rho > 0.0 && rho.is_finite();
        let rho = require(
            "comp_sum_rho_margin",
            "rho",
            self.rho,
            "above 0 and finite",
            accepted,
        )?;
        Ok(CompSumRhoMarginLoss {
            tau: self.tau,
            rho,
            reduction: self.reduction,
        })
    }
}

/// The comp-sum ρ-margin loss of a batch.
#[derive(Clone, Debug)]
pub struct CompSumRhoMarginLoss {
    tau: f64,
    rho: f64,
    reduction: Reduction,
}

impl CompSumRhoMarginLoss {
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]` with values in `0..classes`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch sizes differ or a target is out of range.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let targets = targets.reshape([batch, 1]);
        let margins = logits.clone().gather(1, targets.clone()) - logits;
        let violations = (margins * (-1.0 / self.rho) + 1.0).clamp(0.0, 1.0);
        let columns = Tensor::<1, Int>::arange(0..classes as i64, &targets.device()).reshape([1, classes]);
        let own = columns
            .expand([batch, classes])
            .equal(targets.expand([batch, classes]));
        let sum = violations.mask_fill(own, 0.0).sum_dim(1).reshape([batch]);
        self.reduction.of(comp_sum_phi(sum, self.tau))
    }
}

impl ScoreLoss for CompSumRhoMarginLoss {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.forward(logits, targets)
    }
}

/// Configuration of [`AdversarialRhoMargin`].
#[derive(Config, Debug)]
pub struct AdversarialRhoMarginConfig {
    /// Radius ε of the attack, in units of the inputs.
    pub epsilon: f64,
    /// Family parameter τ, at least 0.
    #[config(default = 1.0)]
    pub tau: f64,
    /// Margin ρ, above 0.
    #[config(default = 1.0)]
    pub rho: f64,
    /// Ascent steps.
    #[config(default = 10)]
    pub steps: usize,
    /// Norm of the ball.
    #[config(default = "Norm::LInf")]
    pub norm: Norm,
}

impl AdversarialRhoMarginConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the radius, ρ or τ is out of range.
    pub fn init(&self) -> Result<AdversarialRhoMargin, ConfigError> {
        let attack = PgdConfig::new(self.epsilon)
            .with_steps(self.steps)
            .with_norm(self.norm)
            .init()?;
        let loss = CompSumRhoMarginLossConfig::new()
            .with_tau(self.tau)
            .with_rho(self.rho)
            .init()?;
        Ok(AdversarialRhoMargin { attack, loss })
    }
}

/// The ρ-margin loss at inputs that PGD drives it up to. Costs `steps + 1` forward and backward passes.
#[derive(Clone, Debug)]
pub struct AdversarialRhoMargin {
    attack: Pgd,
    loss: CompSumRhoMarginLoss,
}

impl Objective for AdversarialRhoMargin {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let start = self.attack.random_start(&batch.inputs, random);
        let perturbed = self.attack.attack(&batch.inputs, start, batch.range, |x| {
            self.loss.forward(model.frozen(x), batch.targets.clone())
        });
        self.loss.forward(model.forward(perturbed), batch.targets.clone())
    }
}

const TAU: Parameter = Parameter {
    name: "tau",
    meaning: "family parameter τ",
    default: 1.0,
    range: (0.0, 2.0),
    scale: Scale::Linear,
};

const RHO: Parameter = Parameter {
    name: "rho",
    meaning: "margin ρ",
    default: 1.0,
    range: (0.5, 10.0),
    scale: Scale::Logarithmic,
};

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let plain = ObjectiveEntry {
        name: "comp_sum_rho_margin",
        title: "Comp-sum ρ-margin loss",
        family: "robustness",
        formula: "ℓ = Φ^τ(Σ_{k≠y} Φ_ρ(h_y − h_k)),  Φ_ρ(t) = min(1, max(0, 1 − t/ρ))",
        shapes: "logits [batch, classes], targets [batch] → [1]",
        good_for: &["robust", "margin", "bounded loss"],
        cost: "about twice cross-entropy (composed tensor operations)",
        when: "A bounded loss with an explicit margin is wanted, usually as a bound to compare with.",
        when_not: "Training starts from scratch on hard data: it is flat where margins are wrong by more than nothing.",
        source: "Mao, Mohri, Zhong, ICML 2023 (arXiv 2304.07288)",
        parameters: vec![TAU, RHO],
        rust: "CompSumRhoMarginLossConfig::new().with_tau({tau}).with_rho({rho}).init()?",
        path: "thalweg::robustness::CompSumRhoMarginLossConfig",
        build: Build::Scores(|value| {
            let config = CompSumRhoMarginLossConfig::new()
                .with_tau(value("tau"))
                .with_rho(value("rho"));
            Ok(Box::new(config.init()?))
        }),
    };
    let adversarial = ObjectiveEntry {
        name: "adversarial_rho_margin",
        title: "Adversarial ρ-margin loss",
        formula: "ℓ = sup_{x'} Φ^τ(Σ_{k≠y} Φ_ρ(h_y(x') − h_k(x'))),  by PGD",
        shapes: "model, inputs [batch, features], targets [batch] → [1]",
        good_for: &["robust", "adversarial", "perturbed inputs", "margin"],
        cost: "11 forward and backward passes (10 of them for the inputs only)",
        when: "The robust 0-1 loss itself is to be bounded, from a model that already classifies.",
        when_not: "Training starts from scratch: take its smooth upper bound, adv_comp_sum.",
        parameters: vec![EPSILON, TAU, RHO],
        rust: "AdversarialRhoMarginConfig::new({epsilon}).with_tau({tau}).with_rho({rho}).init()?",
        path: "thalweg::robustness::AdversarialRhoMarginConfig",
        build: Build::Scores(|value| {
            let config = AdversarialRhoMarginConfig::new(value("epsilon"));
            Ok(Box::new(
                config.with_tau(value("tau")).with_rho(value("rho")).init()?,
            ))
        }),
        ..plain.clone()
    };
    vec![plain, adversarial]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new("rho_margin_loss", "the ρ-margin function Φ_ρ of margins")
            .param("rho", 1.0)
            .input("margin", "[M]")
            .eval(|case| {
                let rho = case.param("rho")?;
                CompSumRhoMarginLossConfig::new().with_rho(rho).init()?;
                let value: Vec<f64> = case
                    .array("margin")
                    .data
                    .iter()
                    .map(|&t| rho_margin(t, rho))
                    .collect();
                Ok(Outputs::new().with("value", value))
            }),
        Quantity::new(
            "comp_sum_rho_margin_loss",
            "comp-sum ρ-margin loss of a batch, and per sample",
        )
        .param("tau", 1.0)
        .param("rho", 1.0)
        .param("reduction", "mean")
        .input("logits", "[N, C]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("logits")?;
            let config = CompSumRhoMarginLossConfig::new()
                .with_tau(case.param("tau")?)
                .with_rho(case.param("rho")?)
                .with_reduction(Reduction::None);
            let labels = case.class_labels("labels", "logits")?;
            let per_sample = config.init()?.forward(case.tensor("logits"), labels);
            let reduction = case.reduction()?;
            let value = reduction.of(per_sample.clone());
            let outputs = match reduction {
                Reduction::None => Outputs::new().with_tensor("value", value),
                _ => Outputs::new().with_scalar("value", value),
            };
            Ok(outputs.with_tensor("per_sample", per_sample))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_sum_leaves_out_the_own_class() {
        let device = Device::flex();
        let loss = CompSumRhoMarginLossConfig::new()
            .with_tau(0.0)
            .with_rho(2.0)
            .init()
            .unwrap();
        // Margins 3, −1 and 1 of class 0: violations 0, 1 and 1/2.
        let logits = Tensor::<2>::from_floats([[1.0, -2.0, 2.0, 0.0]], &device);
        let targets = Tensor::<1, Int>::from_ints([0], &device);
        assert!((loss.forward(logits, targets).into_scalar::<f32>() - 1.5).abs() < 1e-6);
    }

    #[test]
    fn it_is_one_below_zero_and_zero_beyond_rho() {
        assert_eq!(
            [-1.0, 0.0, 0.35, 0.7, 9.0].map(|t| rho_margin(t, 0.7)),
            [1.0, 1.0, 0.5, 0.0, 0.0]
        );
    }
}
