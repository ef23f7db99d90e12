//! Lion.

use burn::config::Config;
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use thalweg_kernels::optimizer as kernels;

use super::{AverageState, decay, factor};
use crate::ConfigError;
use crate::bridge::{CpuFloat, InPlace, in_place};

/// Configuration of [`Lion`]; defaults are those of its authors' code.
#[derive(Config, Debug)]
pub struct LionConfig {
    /// Weight of the momentum in the direction, β₁ in `[0, 1)`.
    #[config(default = 0.9)]
    pub beta_1: f64,
    /// What the momentum keeps per step, β₂ in `[0, 1)`.
    #[config(default = 0.99)]
    pub beta_2: f64,
    /// Decoupled weight decay λ, at least 0.
    #[config(default = 0.0)]
    pub weight_decay: f64,
}

impl LionConfig {
    /// The rule for one parameter group.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn build(&self) -> Result<Lion, ConfigError> {
        Ok(Lion {
            beta_1: factor("Lion", "beta_1", self.beta_1)?,
            beta_2: factor("Lion", "beta_2", self.beta_2)?,
            weight_decay: decay("Lion", self.weight_decay)?,
        })
    }

    /// The optimiser of a whole module.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<ModuleOptimizer, ConfigError> {
        self.build().map(ModuleOptimizer::from)
    }
}

/// Evolved sign momentum. With gradient g and learning rate η:
///
/// - `θ ← θ − η·(sign(β₁·m + (1 − β₁)·g) + λ·θ)`;
/// - `m ← β₂·m + (1 − β₂)·g`, after the parameters.
///
/// The sign of 0 is 0. Learning rates are three to ten times smaller than AdamW's.
///
/// Source: Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, algorithm 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    beta_1: f64,
    beta_2: f64,
    weight_decay: f64,
}

impl InPlace<2> for kernels::Lion {
    fn run<F: CpuFloat>(self, [parameters, momentum]: [&mut [F]; 2], gradient: &[F]) {
        self.step(parameters, gradient, momentum);
    }
}

impl Lion {
    /// The same by tensor operations.
    pub(super) fn composed<const D: usize>(
        &self,
        rate: f64,
        [parameters, momentum]: [Tensor<D>; 2],
        gradient: Tensor<D>,
    ) -> [Tensor<D>; 2] {
        let direction = momentum.clone() * self.beta_1 + gradient.clone() * (1.0 - self.beta_1);
        let momentum = momentum * self.beta_2 + gradient * (1.0 - self.beta_2);
        let decayed = parameters.clone() * (rate * self.weight_decay);
        [parameters - (direction.sign() * rate + decayed), momentum]
    }
}

impl Optimizer for Lion {
    type State<const D: usize> = AverageState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AverageState<D>>,
    ) -> (Tensor<D>, Option<AverageState<D>>) {
        let momentum = state.map_or_else(|| parameters.zeros_like(), |state| state.average);
        let rule = kernels::Lion {
            learning_rate: rate,
            beta1: self.beta_1,
            beta2: self.beta_2,
            weight_decay: self.weight_decay,
        };
        let [parameters, average] = in_place([parameters, momentum], &gradient, rule)
            .unwrap_or_else(|changed| self.composed(rate, changed, gradient));
        (parameters, Some(AverageState { average }))
    }

    fn to_device<const D: usize>(state: AverageState<D>, device: &Device) -> AverageState<D> {
        AverageState {
            average: state.average.to_device(device),
        }
    }
}
