//! Sharpness-aware training for free (SAF): cross-entropy, and the trajectory loss against what the model said of the same
//! samples `lag` epochs ago. One forward and one backward pass, and memory for past outputs.
//!
//! Why it flattens: on a batch the loss `lag` epochs ago minus the loss now is about the sum over the steps between of
//! `η ‖∇L‖²`-like terms, which is the sharpness that SAM penalises, gathered along the path. The divergence of outputs
//! stands for that difference, since it holds back their change and not the fall of the loss.
//!
//! Outputs are recorded in every epoch, also before the term starts, and before the past ones are read. A sample without
//! outputs of that epoch (left out then, or the epoch is before the first) has cross-entropy alone. Where targets are mixed
//! from batch to batch (MixUp, CutMix) a sample's past output is of another mixture: do not combine them. An optimiser that
//! looks at a batch more than once a step has the outputs of its last look recorded.
//!
//! Source: Du, Zhou, Feng, Tan, Zhou, "Sharpness-Aware Training for Free", NeurIPS 2022 (arXiv 2205.14083).

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use super::history::{HistoryError, OutputHistory, PastOutputs};
use super::trajectory::{TrajectoryLoss, TrajectoryLossConfig};
use super::window::{Moment, Window};
use crate::ConfigError;
use crate::config::require;
use crate::objective::{Batch, Model, Objective, Progress};

/// Configuration of [`Saf`].
#[derive(Config, Debug)]
pub struct SafConfig {
    /// Temperature τ of both softmaxes, above 0.
    #[config(default = 5.0)]
    pub temperature: f64,
    /// Weight λ of the trajectory loss, at least 0.
    #[config(default = 0.3)]
    pub weight: f64,
    /// Whether λ is multiplied by τ².
    #[config(default = true)]
    pub temperature_squared: bool,
    /// Epochs between the outputs compared; with 0 they are the same, and the term vanishes.
    #[config(default = 3)]
    pub lag: usize,
    /// The term is active in epochs after it; the authors' code says epoch 5.
    #[config(default = "Moment::Share(0.3)")]
    pub start: Moment,
    /// The term is active in epochs before it.
    #[config(default = "Moment::Share(1.0)")]
    pub end: Moment,
    /// Share of the label that cross-entropy spreads evenly over all classes, in `[0, 1]`.
    #[config(default = 0.0)]
    pub label_smoothing: f64,
    /// How past outputs are kept.
    #[config(default = "PastOutputs::Full")]
    pub past_outputs: PastOutputs,
}

impl SafConfig {
    /// The objective, of a training that has not begun.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<Saf, ConfigError> {
        if let PastOutputs::Top { kept } = self.past_outputs {
            require("saf", "kept", kept as f64, "at least 1", |kept| kept >= 1.0)?;
        }
        let window = Window {
            start: self.start,
            end: self.end,
        };
        Ok(Saf {
            loss: TrajectoryLossConfig::new()
                .with_temperature(self.temperature)
                .with_weight(self.weight)
                .with_temperature_squared(self.temperature_squared)
                .with_label_smoothing(self.label_smoothing)
                .init()?,
            window: window.checked("saf")?,
            history: OutputHistory::new(self.lag, self.past_outputs, self.temperature),
        })
    }
}

/// The objective, with the outputs that it remembers.
#[derive(Clone, Debug)]
pub struct Saf {
    loss: TrajectoryLoss,
    window: Window,
    history: OutputHistory,
}

impl Saf {
    /// The outputs that it remembers.
    pub fn history(&self) -> &OutputHistory {
        &self.history
    }

    /// All that it remembers, to go on later to the same bits.
    ///
    /// # Errors
    /// When it cannot be laid out.
    pub fn state(&self) -> Result<Vec<u8>, HistoryError> {
        self.history.state()
    }

    /// The same objective, remembering what the one did that the bytes are of.
    ///
    /// # Errors
    /// When the bytes are of no such objective, or of one of another lag, temperature or memory.
    pub fn with_state(self, bytes: &[u8]) -> Result<Self, HistoryError> {
        Ok(Self {
            history: self.history.with_state(bytes)?,
            ..self
        })
    }
}

impl Objective for Saf {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, progress: &Progress, _: &mut Stream) -> Tensor<1> {
        let logits = model.forward(batch.inputs.clone());
        let targets = batch.targets.clone();
        self.history.record(progress.epoch, &batch.ids, &logits);
        if self.window.holds(progress.epoch, progress.epochs) {
            let past = self.history.recalled(progress.epoch, &batch.ids);
            self.loss.against(&logits, targets, &past)
        } else {
            self.loss.base(logits, targets)
        }
    }
}

#[cfg(test)]
mod tests;
