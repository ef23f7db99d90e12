//! Training of an embedder under any objective of labelled embeddings.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::objective::{EmbeddedViews, Progress, ViewObjective};
use thalweg::optimizer::MomentumSgdConfig;
use thalweg_kernels::random::Stream;

use super::{Batches, Embedder, Identities, Verification};
use crate::LabError;

/// What an objective is made for.
#[derive(Clone, Debug)]
pub struct Told {
    /// Identities that are trained on: labels are below.
    pub classes: usize,
    /// Numbers of an embedding.
    pub width: usize,
    /// Training samples: their numbers are below.
    pub samples: usize,
    /// Momentum of the embedder's optimiser.
    pub momentum: f64,
    /// Its weight decay.
    pub weight_decay: f64,
    /// The trial's seed.
    pub seed: u64,
    /// Where the embedder is, with gradients.
    pub device: Device,
}

impl Told {
    /// Of a trial on these identities.
    pub fn of(trial: &Verification, identities: &Identities) -> Self {
        Self {
            classes: identities.classes,
            width: trial.embedder.embedding,
            samples: identities.train.len(),
            momentum: trial.momentum,
            weight_decay: trial.weight_decay,
            seed: trial.seed,
            device: Device::flex().autodiff(),
        }
    }
}

/// A trained embedder, and how it went.
pub struct Trained {
    /// After the last step.
    pub embedder: Embedder,
    /// Mean loss of each epoch.
    pub losses: Vec<f64>,
    /// Whether it ended early, in embeddings or a loss that are no numbers.
    pub diverged: bool,
}

/// Trains an embedder on this thread; the objective gets one view and the labels, and may move parameters of its own. None when
/// `interrupted` was set before it ended.
///
/// # Errors
/// When momentum or weight decay are out of their ranges.
///
/// # Panics
/// When the objective does.
pub fn train(
    trial: &Verification,
    identities: &Identities,
    objective: &mut dyn ViewObjective,
    interrupted: &AtomicBool,
) -> Result<Option<Trained>, LabError> {
    let device = Device::flex().autodiff();
    let samples = &identities.train;
    let optimizer = MomentumSgdConfig::new()
        .with_momentum(trial.momentum)
        .with_weight_decay(trial.weight_decay);
    let mut optimizer = optimizer.init()?;
    let mut trained = Trained {
        embedder: Embedder::new(&trial.embedder, samples.width, trial.seed, &device),
        losses: Vec::with_capacity(trial.epochs),
        diverged: false,
    };
    let steps = samples.len() / trial.batch_size;
    for epoch in 0..trial.epochs {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut random = Stream::new(trial.seed, "verification objective", epoch as u64);
        let order = order(trial, &samples.labels, epoch);
        let batches = order.chunks_exact(trial.batch_size);
        let count = batches.len();
        let mut total = 0.0;
        for (index, ids) in batches.enumerate() {
            let progress = Progress {
                epoch,
                epochs: trial.epochs,
                step: epoch * steps + index,
                steps: trial.epochs * steps,
            };
            let rows: Vec<f32> = ids.iter().flat_map(|&id| samples.row(id)).copied().collect();
            let inputs = Tensor::from_data(TensorData::new(rows, [ids.len(), samples.width]), &device);
            let embeddings = trained.embedder.forward(inputs);
            if !finite(&embeddings) {
                trained.diverged = true;
                return Ok(Some(trained));
            }
            let labels: Vec<i64> = ids.iter().map(|&id| i64::from(samples.labels[id])).collect();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [ids.len()]), &device);
            let views = EmbeddedViews {
                targets: None,
                embeddings: vec![embeddings],
                ids: ids.to_vec(),
                labels: Some(labels),
            };
            let loss = objective.loss(&views, &progress, &mut random);
            let value = loss.clone().into_scalar::<f64>();
            if !value.is_finite() {
                trained.diverged = true;
                return Ok(Some(trained));
            }
            total += value;
            let mut gradients = loss.backward();
            let of_embedder = GradientsParams::from_module(&mut gradients, &trained.embedder);
            let rate = trial.rate(progress.step, steps);
            trained.embedder = optimizer.step(rate, trained.embedder, of_embedder);
            objective.learn(&mut gradients, rate);
        }
        trained.losses.push(total / count as f64);
    }
    Ok(Some(trained))
}

fn finite(embeddings: &Tensor<2>) -> bool {
    let data = embeddings.clone().detach().into_data();
    let values = data.try_into_vec_as::<f32>();
    values.is_ok_and(|values| values.iter().all(|value| value.is_finite()))
}

/// Numbers of the samples of an epoch, batch after batch.
fn order(trial: &Verification, labels: &[u32], epoch: usize) -> Vec<usize> {
    let mut random = Stream::new(trial.seed, "verification batches", epoch as u64);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    random.shuffle(&mut order);
    let Batches::PerIdentity(each) = trial.batches else {
        return order;
    };
    // Stable: samples of an identity stay in their random order.
    order.sort_by_key(|&id| labels[id]);
    let of_identities = order.chunk_by(|&a, &b| labels[a] == labels[b]);
    let mut groups: Vec<&[usize]> = of_identities.flat_map(|ids| ids.chunks_exact(each)).collect();
    random.shuffle(&mut groups);
    groups.concat()
}
