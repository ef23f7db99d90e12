//! Training of an encoder on episodes.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::optim::GradientsParams;
use burn::tensor::Device;
use thalweg::objective::{EpisodeObjective, Model, Progress};
use thalweg::optimizer::AdamWConfig;
use thalweg_kernels::random::Stream;

use super::episodes::Episode;
use super::{Classes, Part};
use crate::LabError;
use crate::model::Network;

/// Episodes that count as an epoch, as few-shot papers have it.
const EPOCH: usize = 100;

/// A trained encoder, and how it went.
pub struct TrainedEncoder {
    /// After the last episode.
    pub encoder: Network,
    /// Mean loss of each 100 episodes; one that is no number ended training.
    pub losses: Vec<f64>,
}

impl TrainedEncoder {
    /// Whether a loss was no number.
    pub fn diverged(&self) -> bool {
        self.losses.iter().any(|loss| !loss.is_finite())
    }
}

/// Trains an encoder on episodes of the base classes. None when `interrupted` was set before it ended.
///
/// # Errors
/// When the objective has no loss of such episodes.
pub fn train(
    classes: &Classes,
    objective: &mut dyn EpisodeObjective,
    interrupted: &AtomicBool,
) -> Result<Option<TrainedEncoder>, LabError> {
    let trial = classes.trial;
    let fits = objective.accepts(trial.training);
    fits.map_err(|unfit| LabError::Plan(unfit.to_string()))?;
    let device = Device::flex().autodiff();
    let shape = &classes.dataset.feature_shape;
    let mut encoder = Network::new(&trial.encoder, shape, trial.embedding, trial.seed, &device);
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.0).init()?;
    let mut losses = Vec::with_capacity(trial.episodes);
    for step in 0..trial.episodes {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let progress = Progress {
            epoch: step / EPOCH,
            epochs: trial.episodes.div_ceil(EPOCH),
            step,
            steps: trial.episodes,
        };
        let episode = Episode::draw(classes, Part::Base, step);
        let embedded = episode.embedded(&encoder.forward(episode.inputs(&device)));
        let mut random = Stream::new(trial.seed, "episode objective", step as u64);
        let loss = objective.loss(&embedded, &progress, &mut random);
        losses.push(loss.clone().into_scalar::<f64>());
        if losses[step].is_nan() {
            break;
        }
        let mut gradients = loss.backward();
        let of_encoder = GradientsParams::from_module(&mut gradients, &encoder);
        encoder = optimizer.step(trial.learning_rate, encoder, of_encoder);
        objective.learn(&mut gradients, trial.learning_rate);
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    Ok(Some(TrainedEncoder {
        encoder,
        losses: losses.chunks(EPOCH).map(mean).collect(),
    }))
}
