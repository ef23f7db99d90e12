//! Gradient descent, plain and with momentum.

use burn::config::Config;
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::optimizer as kernels;

use super::{AverageState, decay, factor};
use crate::ConfigError;
use crate::bridge::{CpuFloat, InPlace, in_place};

/// Configuration of [`Sgd`].
#[derive(Config, Debug)]
pub struct SgdConfig {
    /// Weight decay λ, added to the gradient, at least 0.
    #[config(default = 0.0)]
    pub weight_decay: f64,
}

impl SgdConfig {
    /// The rule for one parameter group.
    ///
    /// # Errors
    /// When the weight decay is out of its range.
    pub fn build(&self) -> Result<Sgd, ConfigError> {
        Ok(Sgd {
            weight_decay: decay("SGD", self.weight_decay)?,
        })
    }

    /// The optimiser of a whole module.
    ///
    /// # Errors
    /// When the weight decay is out of its range.
    pub fn init(&self) -> Result<ModuleOptimizer, ConfigError> {
        self.build().map(ModuleOptimizer::from)
    }
}

/// Gradient descent with L2 regularisation: `θ ← θ − η·(g + λ·θ)`. It keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    weight_decay: f64,
}

impl InPlace<1> for kernels::Sgd {
    fn run<F: CpuFloat>(self, [parameters]: [&mut [F]; 1], gradient: &[F]) {
        self.step(parameters, gradient);
    }
}

impl Sgd {
    /// The same by tensor operations.
    pub(super) fn composed<const D: usize>(
        &self,
        rate: f64,
        [parameters]: [Tensor<D>; 1],
        gradient: Tensor<D>,
    ) -> [Tensor<D>; 1] {
        let slope = gradient + parameters.clone() * self.weight_decay;
        [parameters - slope * rate]
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = ();

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        _: Option<()>,
    ) -> (Tensor<D>, Option<()>) {
        let rule = kernels::Sgd {
            learning_rate: rate,
            weight_decay: self.weight_decay,
        };
        let [parameters] = in_place([parameters], &gradient, rule)
            .unwrap_or_else(|changed| self.composed(rate, changed, gradient));
        (parameters, None)
    }

    fn to_device<const D: usize>((): (), _: &Device) {}
}

/// How a step follows its velocity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Momentum {
    /// Along the velocity (Polyak 1964): `θ ← θ − η·u`.
    #[default]
    HeavyBall,
    /// Along the velocity as the same gradient would change it once more (Nesterov 1983): `θ ← θ − η·(d + μ·u)`.
    Nesterov,
}

/// Configuration of [`MomentumSgd`].
#[derive(Config, Debug)]
pub struct MomentumSgdConfig {
    /// What the velocity keeps per step, μ in `[0, 1)`.
    #[config(default = 0.9)]
    pub momentum: f64,
    /// How a step follows it.
    #[config(default = "Momentum::HeavyBall")]
    pub kind: Momentum,
    /// Weight decay λ, added to the gradient, at least 0.
    #[config(default = 0.0)]
    pub weight_decay: f64,
}

impl MomentumSgdConfig {
    /// The rule for one parameter group.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn build(&self) -> Result<MomentumSgd, ConfigError> {
        Ok(MomentumSgd {
            momentum: factor("momentum SGD", "momentum", self.momentum)?,
            kind: self.kind,
            weight_decay: decay("momentum SGD", self.weight_decay)?,
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

/// Gradient descent with momentum and L2 regularisation. With gradient g and learning rate η:
///
/// - `d = g + λ·θ`, `u ← μ·u + d`, from a velocity u of 0;
/// - θ moves as its [`Momentum`] says.
///
/// Source: Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in deep learning, ICML 2013;
/// conventions of `torch.optim.SGD` with a dampening of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumSgd {
    momentum: f64,
    kind: Momentum,
    weight_decay: f64,
}

impl InPlace<2> for kernels::MomentumSgd {
    fn run<F: CpuFloat>(self, [parameters, velocity]: [&mut [F]; 2], gradient: &[F]) {
        self.step(parameters, gradient, velocity);
    }
}

impl MomentumSgd {
    /// The same by tensor operations.
    pub(super) fn composed<const D: usize>(
        &self,
        rate: f64,
        [parameters, velocity]: [Tensor<D>; 2],
        gradient: Tensor<D>,
    ) -> [Tensor<D>; 2] {
        let slope = gradient + parameters.clone() * self.weight_decay;
        let velocity = velocity * self.momentum + slope.clone();
        let direction = match self.kind {
            Momentum::HeavyBall => velocity.clone(),
            Momentum::Nesterov => slope + velocity.clone() * self.momentum,
        };
        [parameters - direction * rate, velocity]
    }
}

impl Optimizer for MomentumSgd {
    type State<const D: usize> = AverageState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AverageState<D>>,
    ) -> (Tensor<D>, Option<AverageState<D>>) {
        let velocity = state.map_or_else(|| parameters.zeros_like(), |state| state.average);
        let rule = kernels::MomentumSgd {
            learning_rate: rate,
            momentum: self.momentum,
            kind: match self.kind {
                Momentum::HeavyBall => kernels::Momentum::HeavyBall,
                Momentum::Nesterov => kernels::Momentum::Nesterov,
            },
            weight_decay: self.weight_decay,
        };
        let [parameters, average] = in_place([parameters, velocity], &gradient, rule)
            .unwrap_or_else(|changed| self.composed(rate, changed, gradient));
        (parameters, Some(AverageState { average }))
    }

    fn to_device<const D: usize>(state: AverageState<D>, device: &Device) -> AverageState<D> {
        AverageState {
            average: state.average.to_device(device),
        }
    }
}
