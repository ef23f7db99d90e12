//! Adversarial training: cross-entropy at the inputs that PGD found, `CE(h(x'), y)`, in nats.
//!
//! Source: Madry, Makelov, Schmidt, Tsipras, Vladu, ICLR 2018.

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use super::{Norm, Pgd, PgdConfig};
use crate::ConfigError;
use crate::classification::{CompSumLossConfig, LogitLoss};
use crate::objective::{Batch, Build, Model, Objective, ObjectiveEntry, Parameter, Progress, Scale};

/// Configuration of [`AdversarialTraining`].
#[derive(Config, Debug)]
pub struct AdversarialTrainingConfig {
    /// Radius ε of the attack, in units of the inputs.
    pub epsilon: f64,
    /// Ascent steps.
    #[config(default = 10)]
    pub steps: usize,
    /// Norm of the ball.
    #[config(default = "Norm::LInf")]
    pub norm: Norm,
}

impl AdversarialTrainingConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the radius is not positive.
    pub fn init(&self) -> Result<AdversarialTraining, ConfigError> {
        let attack = PgdConfig::new(self.epsilon)
            .with_steps(self.steps)
            .with_norm(self.norm)
            .init()?;
        Ok(AdversarialTraining {
            attack,
            loss: CompSumLossConfig::new().init()?,
        })
    }
}

/// Cross-entropy at attacked inputs. Costs `steps + 1` forward and backward passes.
#[derive(Clone, Debug)]
pub struct AdversarialTraining {
    attack: Pgd,
    loss: LogitLoss,
}

impl Objective for AdversarialTraining {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let perturbed =
            self.attack
                .attack_cross_entropy(model, &batch.inputs, &batch.targets, batch.range, random);
        self.loss.forward(model.forward(perturbed), batch.targets.clone())
    }
}

/// The radius as a tunable parameter, the same for every objective of the family.
pub(super) const EPSILON: Parameter = Parameter {
    name: "epsilon",
    meaning: "radius ε of the l-infinity ball, in units of the inputs",
    default: 0.1,
    range: (0.03, 0.2),
    scale: Scale::Logarithmic,
};

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "adversarial_training",
        title: "PGD adversarial training",
        family: "robustness",
        formula: "ℓ = −log p_y(x'),  x' = PGD ascent on ℓ in the ball of radius ε",
        shapes: "model, inputs [batch, features], targets [batch] → [1]",
        good_for: &["robust", "adversarial", "perturbed inputs"],
        cost: "11 forward and backward passes (10 of them for the inputs only)",
        when: "Inputs may be perturbed on purpose, and robust accuracy counts most.",
        when_not: "Inputs are only noisy, or training time is short: clean accuracy falls and a step costs ten.",
        source: "Madry et al., ICLR 2018",
        parameters: vec![EPSILON],
        rust: "AdversarialTrainingConfig::new({epsilon}).init()?",
        path: "thalweg::robustness::AdversarialTrainingConfig",
        build: Build::Scores(|value| Ok(Box::new(AdversarialTrainingConfig::new(value("epsilon")).init()?))),
    }]
}
