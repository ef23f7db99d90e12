//! What is kept of each sample between the batches it is in.

use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::unimodal::{UnimodalSamples, unimodal_step};
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Case, QuantityError};

/// How temperatures follow their gradients: `m ← (1−β)m + β clamp(g, ±clip)`, `τ ← clamp(τ − ηm, least, most)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemperatureRule {
    /// Divergence ρ that a temperature is to give.
    pub rho: f64,
    /// Weight β of a new gradient in the momentum.
    pub beta: f64,
    /// Step size η.
    pub eta: f64,
    /// Least temperature.
    pub tau_min: f64,
    /// Largest temperature.
    pub tau_max: f64,
    /// Gradients are cut to this size.
    pub grad_clip: f64,
}

impl Default for TemperatureRule {
    /// ρ 0.4, β 0.5, η 0.03, temperatures from 0.05 to 1, gradients cut at 3.
    fn default() -> Self {
        Self {
            rho: 0.4,
            beta: 0.5,
            eta: 0.03,
            tau_min: 0.05,
            tau_max: 1.0,
            grad_clip: 3.0,
        }
    }
}

impl TemperatureRule {
    /// The default rule with another ρ.
    pub fn towards(rho: f64) -> Self {
        Self {
            rho,
            ..Self::default()
        }
    }

    /// Checks it.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let name = "isogclr";
        let positive = |parameter, value: f64| {
            require(name, parameter, value, "above 0 and finite", |value| {
                value > 0.0 && value.is_finite()
            })
        };
        let least_zero = |parameter, value: f64| {
            require(name, parameter, value, "at least 0 and finite", |value| {
                value >= 0.0 && value.is_finite()
            })
        };
        least_zero("rho", self.rho)?;
        least_zero("eta", self.eta)?;
        require(name, "beta", self.beta, "from 0 to 1", |beta| {
            (0.0..=1.0).contains(&beta)
        })?;
        positive("grad_clip", self.grad_clip)?;
        let least = positive("tau_min", self.tau_min)?;
        require(
            name,
            "tau_max",
            self.tau_max,
            "at least tau_min and finite",
            |most| most >= least && most.is_finite(),
        )?;
        Ok(self)
    }

    /// Gradient, momentum and temperature after a step.
    pub(super) fn step(&self, gradient: f64, momentum: f64, temperature: f64) -> [f64; 3] {
        let gradient = gradient.clamp(-self.grad_clip, self.grad_clip);
        let momentum = (1.0 - self.beta) * momentum + self.beta * gradient;
        let temperature = (temperature - self.eta * momentum).clamp(self.tau_min, self.tau_max);
        [gradient, momentum, temperature]
    }
}

/// The step size of temperatures over the epochs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Schedule {
    /// η throughout.
    Constant,
    /// `least + (η − least) cos(π/2 · epoch/epochs)`.
    Cosine {
        /// Where it ends.
        least: f64,
    },
    /// `(η − least) ratio^(epoch − 1) + least`, epochs from 1.
    Exponential {
        /// Where it ends.
        least: f64,
        /// Factor of an epoch.
        ratio: f64,
    },
}

impl Schedule {
    /// The step size in an epoch, of which there are `epochs`.
    pub fn at(self, eta: f64, epoch: usize, epochs: usize) -> f64 {
        match self {
            Self::Constant => eta,
            Self::Cosine { least } => {
                let share = epoch as f64 / epochs as f64;
                least + (eta - least) * (std::f64::consts::FRAC_PI_2 * share).cos()
            }
            Self::Exponential { least, ratio } => (eta - least) * ratio.powf(epoch as f64 - 1.0) + least,
        }
    }
}

/// Why a batch cannot be learned from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A sample that is not known.
    #[error("sample {id} is not in 0..{samples}")]
    Unknown {
        /// Its number.
        id: usize,
        /// How many there are.
        samples: usize,
    },
    /// A sample that is twice in a batch, so that it would be remembered twice.
    #[error("sample {0} is in the batch more than once")]
    Repeated(usize),
    /// Numbers of other than the batch's samples.
    #[error("{ids} sample numbers were given for a batch of {batch}")]
    Count {
        /// Numbers given.
        ids: usize,
        /// Rows of a view.
        batch: usize,
    },
    /// A batch without negatives.
    #[error("a batch of {0} has no negatives; at least 2 samples are needed")]
    TooSmall(usize),
}

/// Configuration of [`SogClr`].
#[derive(Config, Debug)]
pub struct SogClrConfig {
    /// Samples of the training split.
    pub samples: usize,
    /// Weight γ of a batch in the moving averages, above 0, at most 1.
    #[config(default = 0.8)]
    pub gamma: f64,
    /// Temperature of all samples at the start.
    #[config(default = 0.1)]
    pub temperature: f64,
    /// How temperatures are learned; none: they stay as they are, which is SogCLR.
    pub rule: Option<TemperatureRule>,
}

impl SogClrConfig {
    /// iSogCLR: temperatures learned by the default rule.
    pub fn individual(samples: usize) -> Self {
        Self::new(samples).with_rule(Some(TemperatureRule::default()))
    }

    /// The objective, nothing seen yet.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn init(&self) -> Result<SogClr, ConfigError> {
        let gamma = gamma(self.gamma)?;
        let temperature = super::super::pairs::temperature("sogclr", self.temperature)?;
        let rule = self.rule.map(TemperatureRule::checked).transpose()?;
        Ok(SogClr {
            gamma,
            rule,
            log_means: vec![None; self.samples],
            temperatures: vec![temperature; self.samples],
            momenta: vec![0.0; self.samples],
        })
    }
}

pub(super) fn gamma(value: f64) -> Result<f64, ConfigError> {
    require("sogclr", "gamma", value, "above 0, at most 1", |gamma| {
        gamma > 0.0 && gamma <= 1.0
    })
}

/// SogCLR or iSogCLR of two views, with what it keeps of each sample. It is serializable: a checkpoint without it is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SogClr {
    gamma: f64,
    rule: Option<TemperatureRule>,
    /// Logarithm of each sample's mean over negatives, where it was seen.
    log_means: Vec<Option<f64>>,
    temperatures: Vec<f64>,
    momenta: Vec<f64>,
}

impl SogClr {
    /// The surrogate loss of a batch, whose gradient is the estimate, and a step of all that is kept of its samples. The value
    /// is not that of the robust loss.
    ///
    /// # Shapes
    /// - two views `[batch, width]` of unit rows, the number of each sample in the training split; returns `[1]`.
    ///
    /// # Errors
    /// When a sample is unknown or twice in the batch, the numbers do not fit, or there is no negative. Nothing is changed then.
    ///
    /// # Panics
    /// When the views differ in shape.
    pub fn forward(
        &mut self,
        first: Tensor<2>,
        second: Tensor<2>,
        ids: &[usize],
    ) -> Result<Tensor<1>, StateError> {
        let [batch, _] = first.dims();
        self.check(ids, batch)?;
        let of = |all: &[f64]| ids.iter().map(|&id| all[id]).collect::<Vec<f64>>();
        let samples = UnimodalSamples {
            log_means: ids.iter().map(|&id| self.log_means[id]).collect(),
            temperatures: of(&self.temperatures),
            momenta: of(&self.momenta),
        };
        let step = unimodal_step(first, second, &samples, self.gamma, self.rule.as_ref());
        for (at, &id) in ids.iter().enumerate() {
            self.log_means[id] = Some(step.log_means[at]);
            self.temperatures[id] = step.temperatures[at];
            self.momenta[id] = step.momenta[at];
        }
        Ok(step.loss)
    }

    /// The temperature of each sample.
    pub fn temperatures(&self) -> &[f64] {
        &self.temperatures
    }

    /// Changes the step size of temperatures, as a [`Schedule`] says.
    pub fn set_eta(&mut self, eta: f64) {
        if let Some(rule) = &mut self.rule {
            rule.eta = eta;
        }
    }

    fn check(&self, ids: &[usize], batch: usize) -> Result<(), StateError> {
        if ids.len() != batch {
            return Err(StateError::Count {
                ids: ids.len(),
                batch,
            });
        }
        if batch < 2 {
            return Err(StateError::TooSmall(batch));
        }
        let samples = self.temperatures.len();
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        if let Some(&id) = sorted.last().filter(|id| **id >= samples) {
            return Err(StateError::Unknown { id, samples });
        }
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(StateError::Repeated(pair[0])),
            None => Ok(()),
        }
    }
}

impl Case<'_> {
    /// The parameters `tau_min` and `tau_max`.
    pub(super) fn temperature_range(&self) -> Result<[f64; 2], QuantityError> {
        let least = require(
            "isogclr",
            "tau_min",
            self.param("tau_min")?,
            "above 0 and finite",
            |least| least > 0.0 && least.is_finite(),
        )?;
        let most = require(
            "isogclr",
            "tau_max",
            self.param("tau_max")?,
            "at least tau_min and finite",
            |most| most >= least && most.is_finite(),
        )?;
        Ok([least, most])
    }

    /// The parameters of a temperature rule.
    pub(super) fn temperature_rule(&self) -> Result<TemperatureRule, QuantityError> {
        let rule = TemperatureRule {
            rho: self.param("rho")?,
            beta: self.param("beta")?,
            eta: self.param("eta")?,
            tau_min: self.param("tau_min")?,
            tau_max: self.param("tau_max")?,
            grad_clip: self.param("grad_clip")?,
        };
        Ok(rule.checked()?)
    }
}

#[cfg(test)]
mod tests;
