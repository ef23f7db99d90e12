//! A network pruned step by step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use thalweg::Reduction;
use thalweg::classification::CompSumLossConfig;
use thalweg::compression::{PruningConfig, Saliency, sparsity_schedule};
use thalweg_data::Dataset;
use thalweg_kernels::random::Stream;

use super::gradients::per_sample_gradients;
use crate::LabError;
use crate::metrics::Scores;
use crate::model::Network;
use crate::trial::{Part, Prepared, TrialSpec, scores, targets, train_on};

/// How a network is pruned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PruningSpec {
    /// By what weights are ranked.
    pub saliency: Saliency,
    /// Share of the weights that are 0 in the end.
    pub sparsity: f64,
    /// Steps on the way there, each with gradients anew; 1 for all at once.
    pub recomputations: usize,
    /// Training samples whose gradients each step takes; all, where there are fewer.
    pub gradients: usize,
    /// Dampening λ of the Fisher information.
    pub dampening: f64,
    /// Consecutive weights among which curvature is looked at; all of them where none.
    pub block_size: Option<usize>,
    /// Whether weights that stay are moved for all that go together.
    pub joint: bool,
    /// Passes over the training split after each step, the weights that went staying 0.
    pub finetune: usize,
}

/// A network that was pruned.
#[derive(Debug)]
pub struct PrunedNetwork {
    /// The network.
    pub network: Network,
    /// Which of its [weights of matrices](Network::matrix_weights) are left.
    pub alive: Vec<bool>,
    /// By how much the mean cross-entropy was expected to grow, all steps together; NaN by magnitudes, which expect nothing.
    pub predicted_loss_increase: f64,
    /// By how much it grew on the training split, all steps together, fine-tuning between them apart.
    pub measured_loss_increase: f64,
    /// Diagonal elements of inverses that rounding had put below what they can be.
    pub clamped: usize,
    /// Seconds that the steps took: gradients, ranking and removal.
    pub seconds: f64,
}

impl PrunedNetwork {
    /// A network of which nothing was removed but what is 0 already.
    pub(super) fn untouched(network: Network) -> Self {
        Self {
            alive: network.matrix_weights().iter().map(|w| *w != 0.0).collect(),
            network,
            predicted_loss_increase: 0.0,
            measured_loss_increase: 0.0,
            clamped: 0,
            seconds: 0.0,
        }
    }

    /// Share of the weights that are gone.
    pub fn sparsity(&self) -> f64 {
        let left = self.alive.iter().filter(|alive| **alive).count();
        1.0 - left as f64 / self.alive.len() as f64
    }

    /// What it found beside the metrics of its scores, by name.
    pub(super) fn findings(&self) -> BTreeMap<String, f64> {
        [
            (SPARSITY, self.sparsity()),
            (PREDICTED, self.predicted_loss_increase),
            (MEASURED, self.measured_loss_increase),
            (CLAMPED, self.clamped as f64),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Share of the weights that are 0.
pub(super) const SPARSITY: &str = "sparsity";
/// What removal was expected to cost, nats.
pub(super) const PREDICTED: &str = "predicted_loss_increase";
/// What it cost, nats.
pub(super) const MEASURED: &str = "measured_loss_increase";
/// Diagonal elements that were put right.
pub(super) const CLAMPED: &str = "clamped";

/// Prunes a copy of `network`, the kernels of its convolutions and the matrices of its linear layers; biases and batch
/// normalisation stay. Weights that are 0 count as removed before. None when `interrupted` was set before it ended.
///
/// `training` is how it was trained: on whose data, under whose seed gradient samples are drawn, and how it is fine-tuned,
/// from the epoch on where it ended.
///
/// # Errors
/// When a number of `spec` is out of range, more weights are 0 than it asks for, or the network has no finite gradients.
pub fn prune(
    network: &Network,
    spec: &PruningSpec,
    training: &TrialSpec,
    dataset: &Arc<Dataset>,
    interrupted: &AtomicBool,
) -> Result<Option<PrunedNetwork>, LabError> {
    let pruner = PruningConfig::new()
        .with_saliency(spec.saliency)
        .with_dampening(spec.dampening)
        .with_block_size(spec.block_size)
        .with_joint(spec.joint)
        .init()?;
    let prepared = Prepared::new(dataset, &training.data, training.seed)?;
    let mut pruned = PrunedNetwork::untouched(network.clone());
    let schedule = sparsity_schedule(pruned.sparsity(), spec.sparsity, spec.recomputations)?;
    let mut weights = wide(network.matrix_weights());
    let mut loss = training_loss(network, &prepared);
    for (step, target) in schedule.into_iter().enumerate() {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let started = Instant::now();
        let gradients = match spec.saliency {
            Saliency::Magnitude => Vec::new(),
            _ => gradients(&pruned.network, &prepared, spec.gradients, training.seed, step)?,
        };
        let gone = pruned.alive.iter().filter(|alive| !**alive).count();
        let count = ((target * weights.len() as f64).round() as usize).saturating_sub(gone);
        let found = pruner.prune(&mut weights, &mut pruned.alive, &gradients, count)?;
        let narrow: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
        pruned.network = pruned.network.with_matrix_weights(&narrow);
        pruned.predicted_loss_increase += found.predicted_loss_increase;
        pruned.clamped += found.clamped;
        pruned.seconds += started.elapsed().as_secs_f64();

        let after = training_loss(&pruned.network, &prepared);
        pruned.measured_loss_increase += after - loss;
        loss = after;
        if spec.finetune > 0 {
            let first = training.epochs + step * spec.finetune;
            let masked = |network: Network| masked(network, &pruned.alive);
            let epochs = first..first + spec.finetune;
            let tuned = train_on(
                pruned.network.clone(),
                training,
                epochs,
                dataset,
                interrupted,
                &masked,
            )?;
            let Some(tuned) = tuned else { return Ok(None) };
            weights = wide(tuned.matrix_weights());
            pruned.network = tuned;
            loss = training_loss(&pruned.network, &prepared);
        }
    }
    Ok(Some(pruned))
}

fn wide(weights: Vec<f32>) -> Vec<f64> {
    weights.into_iter().map(f64::from).collect()
}

/// The network with the weights that are gone at 0.
fn masked(network: Network, alive: &[bool]) -> Network {
    let mut weights = network.matrix_weights();
    let gone = weights.iter_mut().zip(alive).filter(|(_, alive)| !**alive);
    gone.for_each(|(weight, _)| *weight = 0.0);
    network.with_matrix_weights(&weights)
}

/// Gradients `[count, weights]` of the cross-entropy of training samples, other samples at each step.
fn gradients(
    network: &Network,
    prepared: &Prepared,
    count: usize,
    seed: u64,
    step: usize,
) -> Result<Vec<f32>, LabError> {
    let Part { rows, labels, .. } = &prepared.train;
    let mut drawn: Vec<usize> = (0..rows.len()).collect();
    Stream::new(seed, "gradients", step as u64).shuffle(&mut drawn);
    drawn.truncate(count);
    let device = Device::flex();
    let rows: Vec<usize> = drawn.iter().map(|&at| rows[at]).collect();
    let labels = targets(drawn.iter().map(|&at| labels[at]), &device);
    let loss = CompSumLossConfig::new().with_reduction(Reduction::Sum).init()?;
    Ok(per_sample_gradients(
        network,
        prepared.inputs(&rows, &device),
        |scores| loss.forward(scores, labels),
    ))
}

/// Mean cross-entropy on the training split; NaN where scores are no numbers.
fn training_loss(network: &Network, prepared: &Prepared) -> f64 {
    let part = &prepared.train;
    let scores = scores(network, prepared, part);
    Scores::new(&scores, prepared.dataset().classes.len(), &part.labels)
        .map_or(f64::NAN, |scores| scores.negative_log_likelihood())
}
