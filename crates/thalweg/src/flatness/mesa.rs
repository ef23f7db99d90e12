//! MESA, the memory-efficient SAF: cross-entropy, and the trajectory loss against the exponential average of the weights on
//! the same batch. No outputs are kept; one more forward pass, without gradients.
//!
//! The average `v ← β v + (1 − β) θ` starts at the first weights, is taken after every step, and is evaluated as a trained
//! network is: its batch normalisation by running statistics, which are averaged as well. The trainer keeps it, as
//! [`Needs::weight_average`] asks.
//!
//! Source: Du, Zhou, Feng, Tan, Zhou, "Sharpness-Aware Training for Free", NeurIPS 2022 (arXiv 2205.14083).

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use super::trajectory::{TrajectoryLoss, TrajectoryLossConfig};
use super::window::{Moment, Window};
use crate::ConfigError;
use crate::config::require;
use crate::objective::{Batch, Model, Needs, Objective, Progress};

/// Configuration of [`Mesa`].
#[derive(Config, Debug)]
pub struct MesaConfig {
    /// Temperature τ of both softmaxes, above 0.
    #[config(default = 5.0)]
    pub temperature: f64,
    /// Weight λ of the trajectory loss, at least 0.
    #[config(default = 0.8)]
    pub weight: f64,
    /// Whether λ is multiplied by τ².
    #[config(default = true)]
    pub temperature_squared: bool,
    /// What the average keeps per step, β in `[0, 1]`.
    #[config(default = 0.9995)]
    pub decay: f64,
    /// The term is active in epochs after it; the authors' code says epoch 5.
    #[config(default = "Moment::Share(0.3)")]
    pub start: Moment,
    /// The term is active in epochs before it.
    #[config(default = "Moment::Share(1.0)")]
    pub end: Moment,
    /// Share of the label that cross-entropy spreads evenly over all classes, in `[0, 1]`.
    #[config(default = 0.0)]
    pub label_smoothing: f64,
}

impl MesaConfig {
    /// The objective.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<Mesa, ConfigError> {
        let window = Window {
            start: self.start,
            end: self.end,
        };
        Ok(Mesa {
            loss: TrajectoryLossConfig::new()
                .with_temperature(self.temperature)
                .with_weight(self.weight)
                .with_temperature_squared(self.temperature_squared)
                .with_label_smoothing(self.label_smoothing)
                .init()?,
            window: window.checked("mesa")?,
            decay: require("mesa", "decay", self.decay, "from 0 to 1", |decay| {
                (0.0..=1.0).contains(&decay)
            })?,
        })
    }
}

/// The objective. It needs a trainer that keeps the average of the weights.
#[derive(Clone, Debug)]
pub struct Mesa {
    loss: TrajectoryLoss,
    window: Window,
    decay: f64,
}

impl Objective for Mesa {
    /// # Panics
    /// When the model has no [averaged weights](Model::averaged).
    fn loss(&mut self, model: &dyn Model, batch: &Batch, progress: &Progress, _: &mut Stream) -> Tensor<1> {
        let logits = model.forward(batch.inputs.clone());
        let targets = batch.targets.clone();
        if self.window.holds(progress.epoch, progress.epochs) {
            let averaged = model.averaged(batch.inputs.clone());
            let averaged = averaged.expect("MESA was given a model without the average of its weights");
            self.loss.forward(logits, targets, averaged)
        } else {
            self.loss.base(logits, targets)
        }
    }

    fn needs(&self) -> Needs {
        Needs {
            weight_average: Some(self.decay),
            ..Needs::default()
        }
    }
}
