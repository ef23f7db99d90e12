//! One step of Lion-K over slices.

use serde::{Deserialize, Serialize};

use super::Kernel;
use crate::ConfigError;
use crate::config::require;

/// Which x is decayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// The one before the step, as every library has it.
    #[default]
    Explicit,
    /// The one after it, as theory has it. It is the explicit scheme at the learning rate `η/(1 + ηλ)`.
    Implicit,
}

/// The rule of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LionKStep {
    /// K.
    pub kernel: Kernel,
    /// Learning rate η, above 0.
    pub learning_rate: f64,
    /// Weight β₁ of the momentum in the direction, in `[0, 1)`.
    pub beta_1: f64,
    /// What the momentum keeps, β₂ in `[0, 1)`.
    pub beta_2: f64,
    /// Decoupled weight decay λ, at least 0.
    pub weight_decay: f64,
    /// Which x is decayed.
    pub scheme: Scheme,
}

/// Why a step was not taken; nothing was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("entry {index} of the gradient is {value}")]
pub struct StepError {
    /// The first entry that is no finite number.
    pub index: usize,
    /// What it is.
    pub value: f64,
}

impl LionKStep {
    /// Checks its numbers.
    ///
    /// # Errors
    /// When one is out of its range, or the explicit scheme would overshoot 0 by decay alone (`ηλ ≥ 1`).
    pub fn checked(self) -> Result<Self, ConfigError> {
        let unit = |value: f64| (0.0..1.0).contains(&value);
        let rate = self.learning_rate;
        require("lion_k", "lr", rate, "above 0 and finite", |rate| {
            rate > 0.0 && rate.is_finite()
        })?;
        require("lion_k", "beta1", self.beta_1, "at least 0 and below 1", unit)?;
        require("lion_k", "beta2", self.beta_2, "at least 0 and below 1", unit)?;
        let explicit = self.scheme == Scheme::Explicit;
        let accepted = "at least 0, finite, and below 1/lr in the explicit scheme";
        require("lion_k", "weight_decay", self.weight_decay, accepted, |decay| {
            decay >= 0.0 && decay.is_finite() && !(explicit && rate * decay >= 1.0)
        })?;
        Ok(self)
    }

    /// Steps parameters `x` and momentum `m`, and leaves the direction m̃ in `direction`.
    ///
    /// # Errors
    /// When an entry of the gradient is not finite; nothing is changed then.
    ///
    /// # Panics
    /// When lengths differ, or the kernel does not fit them.
    pub fn step(
        &self,
        x: &mut [f64],
        m: &mut [f64],
        gradient: &[f64],
        direction: &mut [f64],
    ) -> Result<(), StepError> {
        if let Some(index) = gradient.iter().position(|g| !g.is_finite()) {
            let value = gradient[index];
            return Err(StepError { index, value });
        }
        for ((direction, m), g) in direction.iter_mut().zip(&mut *m).zip(gradient) {
            *direction = self.beta_1 * *m - (1.0 - self.beta_1) * g;
            *m = self.beta_2 * *m - (1.0 - self.beta_2) * g;
        }
        let mut slope = vec![0.0; x.len()];
        self.kernel.slope(direction, &mut slope);
        let (keep, move_by) = self.factors();
        for (x, slope) in x.iter_mut().zip(slope) {
            *x = keep * *x + move_by * slope;
        }
        Ok(())
    }

    /// What x and the slope are multiplied by.
    pub(super) fn factors(&self) -> (f64, f64) {
        let shrink = self.learning_rate * self.weight_decay;
        match self.scheme {
            Scheme::Explicit => (1.0 - shrink, self.learning_rate),
            Scheme::Implicit => (1.0 / (1.0 + shrink), self.learning_rate / (1.0 + shrink)),
        }
    }
}
