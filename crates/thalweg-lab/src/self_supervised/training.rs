//! Training of an encoder on views.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg::objective::{EmbeddedViews, Progress, ViewObjective};
use thalweg::self_supervised::{follow, target_of};
use thalweg_data::augment::Augmentations;
use thalweg_kernels::random::Stream;

use super::{Encoder, EncoderSpec, Samples, tensor};
use crate::LabError;

/// A self-supervised trial apart from its objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfSupervised {
    /// The network.
    pub encoder: EncoderSpec,
    /// What makes a view of a sample.
    pub views: Augmentations,
    /// Views of each sample, at least 2.
    pub views_per_sample: usize,
    /// Samples of a step; those that are left over at the end of an epoch wait for the next.
    pub batch_size: usize,
    /// Passes over the samples.
    pub epochs: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Seed of weights, order and views: the same for every objective.
    pub seed: u64,
}

impl SelfSupervised {
    /// Two views, batches of 200, Adam at 2e-3.
    pub fn new(views: Augmentations, epochs: usize, seed: u64) -> Self {
        Self {
            encoder: EncoderSpec::default(),
            views,
            views_per_sample: 2,
            batch_size: 200,
            epochs,
            learning_rate: 2e-3,
            seed,
        }
    }

    /// A view of every sample, of the name and number of a stream.
    pub fn view(&self, samples: &Samples, name: &str, index: u64) -> Samples {
        let mut random = Stream::new(self.seed, name, index);
        let mut view = samples.clone();
        for row in view.values.chunks_exact_mut(samples.width) {
            self.views.apply(row, &mut random);
        }
        view
    }
}

/// Views of samples in the order in which a trial meets them: the same for every objective, so made once for all of them
/// where they fit memory.
pub struct ViewedSamples<'a> {
    trial: &'a SelfSupervised,
    samples: &'a Samples,
    /// Of each epoch, once made; none where all together take more than [`KEPT`].
    kept: Vec<OnceLock<Epoch>>,
}

/// Bytes of views that are kept for the next objective.
const KEPT: usize = 256 << 20;

/// One pass over the samples.
#[derive(Clone)]
struct Epoch {
    /// Numbers of the samples, batch after batch.
    ids: Vec<usize>,
    /// Of each batch the first view of its samples, then the second, and so on.
    inputs: Vec<f32>,
}

impl<'a> ViewedSamples<'a> {
    /// Of the samples to train on.
    ///
    /// # Errors
    /// When there are fewer samples than a batch holds, or fewer than two samples a batch or views a sample.
    pub fn new(trial: &'a SelfSupervised, samples: &'a Samples) -> Result<Self, LabError> {
        let batch = trial.batch_size;
        if batch < 2 || trial.views_per_sample < 2 {
            let least = "views of two samples or more are compared, two views of each or more";
            return Err(LabError::Plan(least.to_owned()));
        }
        if samples.len() < batch {
            let few = format!("{} samples make no batch of {batch}", samples.len());
            return Err(LabError::Plan(few));
        }
        let bytes = size_of::<f32>() * samples.values.len() * trial.views_per_sample * trial.epochs;
        let kept = if bytes <= KEPT { trial.epochs } else { 0 };
        Ok(Self {
            trial,
            samples,
            kept: (0..kept).map(|_| OnceLock::new()).collect(),
        })
    }

    fn epoch(&self, epoch: usize) -> Cow<'_, Epoch> {
        match self.kept.get(epoch) {
            Some(kept) => Cow::Borrowed(kept.get_or_init(|| self.made(epoch))),
            None => Cow::Owned(self.made(epoch)),
        }
    }

    fn made(&self, epoch: usize) -> Epoch {
        let Self { trial, samples, .. } = self;
        let mut ids: Vec<usize> = (0..samples.len()).collect();
        Stream::new(trial.seed, "view batches", epoch as u64).shuffle(&mut ids);
        ids.truncate(ids.len() / trial.batch_size * trial.batch_size);
        let mut random = Stream::new(trial.seed, "views", epoch as u64);
        let mut inputs = Vec::with_capacity(trial.views_per_sample * ids.len() * samples.width);
        for batch in ids.chunks_exact(trial.batch_size) {
            for _ in 0..trial.views_per_sample {
                for &id in batch {
                    let start = inputs.len();
                    inputs.extend_from_slice(samples.row(id));
                    trial.views.apply(&mut inputs[start..], &mut random);
                }
            }
        }
        Epoch { ids, inputs }
    }
}

/// A trained encoder, and how it went.
pub struct Trained {
    /// After the last epoch.
    pub encoder: Encoder,
    /// Mean loss of each epoch.
    pub losses: Vec<f64>,
    /// What the objective has to say of its last batch, where something is wrong.
    pub warning: Option<String>,
}

/// Trains an encoder, on this thread alone; labels reach the objective. None when `interrupted` was set before it ended.
///
/// An objective that asks for a target network gets one that begins as a copy of the encoder, sees the same views, normalised by
/// the batch as the encoder is, and follows after every step: its weights, and its running statistics like them, which
/// nothing reads.
pub fn train(
    viewed: &ViewedSamples,
    objective: &mut dyn ViewObjective,
    interrupted: &AtomicBool,
) -> Option<Trained> {
    train_as(viewed, viewed.trial.encoder, objective, interrupted)
}

/// The same of another encoder than the trial's, on the same views.
pub fn train_as(
    viewed: &ViewedSamples,
    encoder: EncoderSpec,
    objective: &mut dyn ViewObjective,
    interrupted: &AtomicBool,
) -> Option<Trained> {
    let ViewedSamples { trial, samples, .. } = viewed;
    let device = Device::flex().autodiff();
    let mut encoder = Encoder::new(encoder, samples.width, trial.seed, &device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let steps = samples.len() / trial.batch_size;
    let mut target: Option<Encoder> = None;
    let mut losses = Vec::with_capacity(trial.epochs);
    for epoch in 0..trial.epochs {
        if interrupted.load(Ordering::Relaxed) {
            return None;
        }
        let mut random = Stream::new(trial.seed, "view objective", epoch as u64);
        let mut total = 0.0;
        let views = viewed.epoch(epoch);
        let batches = views
            .inputs
            .chunks_exact(trial.views_per_sample * trial.batch_size * samples.width);
        for (index, (inputs, ids)) in batches.zip(views.ids.chunks_exact(trial.batch_size)).enumerate() {
            let progress = Progress {
                epoch,
                epochs: trial.epochs,
                step: epoch * steps + index,
                steps: trial.epochs * steps,
            };
            let momentum = objective.target_momentum(&progress);
            if momentum.is_some() {
                target.get_or_insert_with(|| target_of(&encoder));
            }
            // All views in one pass, so that batch normalisation sees them together.
            let inputs = tensor(inputs.to_vec(), samples.width, &device);
            let targets = target.as_ref().map(|target| {
                let embeddings = target.followed(inputs.clone().without_autodiff());
                embeddings.chunk(trial.views_per_sample, 0)
            });
            let embedded = EmbeddedViews {
                embeddings: encoder.forward(inputs).chunk(trial.views_per_sample, 0),
                targets,
                ids: ids.to_vec(),
                labels: Some(labels(samples, ids, &device)),
            };
            let loss = objective.loss(&embedded, &progress, &mut random);
            total += loss.clone().into_scalar::<f64>();
            let mut gradients = loss.backward();
            let of_encoder = GradientsParams::from_module(&mut gradients, &encoder);
            encoder = optimizer.step(trial.learning_rate, encoder, of_encoder);
            objective.learn(&mut gradients, trial.learning_rate);
            target = momentum.and_then(|momentum| Some(follow(target.take()?, &encoder, momentum)));
        }
        losses.push(total / steps as f64);
    }
    Some(Trained {
        encoder,
        losses,
        warning: objective.warning(),
    })
}

fn labels(samples: &Samples, ids: &[usize], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = ids.iter().map(|&id| i64::from(samples.labels[id])).collect();
    Tensor::from_data(TensorData::new(labels, [ids.len()]), device)
}
