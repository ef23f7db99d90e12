//! AdamW.

use burn::config::Config;
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use thalweg_kernels::optimizer as kernels;

use super::{decay, factor, from_record};
use crate::ConfigError;
use crate::bridge::{CpuFloat, InPlace, in_place};
use crate::config::require;

/// Configuration of [`AdamW`]; defaults are those of `torch.optim.AdamW`.
#[derive(Config, Debug)]
pub struct AdamWConfig {
    /// What the mean gradient m keeps per step, β₁ in `[0, 1)`.
    #[config(default = 0.9)]
    pub beta_1: f64,
    /// What the mean squared gradient v keeps per step, β₂ in `[0, 1)`.
    #[config(default = 0.999)]
    pub beta_2: f64,
    /// Added to the root of the mean square, ε, above 0.
    #[config(default = 1e-8)]
    pub epsilon: f64,
    /// Weight decay λ, at least 0; 0 is Adam.
    #[config(default = 0.01)]
    pub weight_decay: f64,
}

impl AdamWConfig {
    /// The rule for one parameter group.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn build(&self) -> Result<AdamW, ConfigError> {
        let epsilon = require(
            "AdamW",
            "epsilon",
            self.epsilon,
            "above 0 and finite",
            |epsilon| epsilon > 0.0 && epsilon.is_finite(),
        )?;
        Ok(AdamW {
            beta_1: factor("AdamW", "beta_1", self.beta_1)?,
            beta_2: factor("AdamW", "beta_2", self.beta_2)?,
            epsilon,
            weight_decay: decay("AdamW", self.weight_decay)?,
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

/// Adam with decoupled weight decay. Step t with gradient g and learning rate η:
///
/// - `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`;
/// - `θ ← θ − η·(λ·θ + m̂/(√v̂ + ε))` with `m̂ = m/(1 − β₁ᵗ)` and `v̂ = v/(1 − β₂ᵗ)`.
///
/// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2, the decay multiplied by the
/// learning rate as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    weight_decay: f64,
}

/// What [`AdamW`] keeps of a parameter: steps taken and the two moments.
#[derive(Clone, Debug)]
pub struct AdamWState<const D: usize> {
    pub(super) steps: u64,
    pub(super) first_moment: Tensor<D>,
    pub(super) second_moment: Tensor<D>,
}

impl<const D: usize> RecordState for AdamWState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, "steps", self.steps.into());
        out.push_tensor(prefix, "first_moment", self.first_moment.to_data());
        out.push_tensor(prefix, "second_moment", self.second_moment.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        Some(Self {
            steps: u64::try_from(src.take_scalar(prefix, "steps")?).ok()?,
            first_moment: from_record(src.take_tensor(prefix, "first_moment")?, device),
            second_moment: from_record(src.take_tensor(prefix, "second_moment")?, device),
        })
    }
}

struct Step {
    rule: kernels::AdamW,
    number: u64,
}

impl InPlace<3> for Step {
    fn run<F: CpuFloat>(self, [parameters, first, second]: [&mut [F]; 3], gradient: &[F]) {
        self.rule.step(self.number, parameters, gradient, first, second);
    }
}

impl AdamW {
    /// The same by tensor operations.
    pub(super) fn composed<const D: usize>(
        &self,
        rate: f64,
        number: u64,
        [parameters, first, second]: [Tensor<D>; 3],
        gradient: Tensor<D>,
    ) -> [Tensor<D>; 3] {
        let first = first * self.beta_1 + gradient.clone() * (1.0 - self.beta_1);
        let second = second * self.beta_2 + gradient.square() * (1.0 - self.beta_2);
        let bias = |beta: f64| 1.0 - beta.powf(number as f64);
        let spread = second.clone().sqrt() * bias(self.beta_2).sqrt().recip() + self.epsilon;
        let change = first.clone() / spread * (rate / bias(self.beta_1));
        let decayed = parameters.clone() * (rate * self.weight_decay);
        [parameters - (decayed + change), first, second]
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let state = state.unwrap_or_else(|| AdamWState {
            steps: 0,
            first_moment: parameters.zeros_like(),
            second_moment: parameters.zeros_like(),
        });
        let number = state.steps + 1;
        let step = Step {
            rule: kernels::AdamW {
                learning_rate: rate,
                beta1: self.beta_1,
                beta2: self.beta_2,
                epsilon: self.epsilon,
                weight_decay: self.weight_decay,
            },
            number,
        };
        let changed = [parameters, state.first_moment, state.second_moment];
        let [parameters, first_moment, second_moment] = in_place(changed, &gradient, step)
            .unwrap_or_else(|changed| self.composed(rate, number, changed, gradient));
        let state = AdamWState {
            steps: number,
            first_moment,
            second_moment,
        };
        (parameters, Some(state))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamWState {
            steps: state.steps,
            first_moment: state.first_moment.to_device(device),
            second_moment: state.second_moment.to_device(device),
        }
    }
}
