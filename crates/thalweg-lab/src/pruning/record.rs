//! What a comparison of pruning found: the one record that the table, `--json`, the numbers and the report are drawn from.

use std::collections::BTreeMap;

use serde::Serialize;

use super::steps::{MEASURED, PREDICTED};
use super::trial::SECONDS;
use crate::results::{DataSummary, Difference, Recommendation, Summary};

/// A finished comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Pruning {
    /// The exact command that made it.
    pub command: String,
    /// Version of thalweg, then of what it stands on.
    pub versions: Vec<(String, String)>,
    /// When it was started, RFC 3339, UTC.
    pub started: String,
    /// The data.
    pub data: DataSummary,
    /// What is the same for all ways.
    pub protocol: Protocol,
    /// Metrics of the networks before anything was removed, by name.
    pub dense: BTreeMap<String, Summary>,
    /// Each way; the one that differences are to comes first.
    pub ways: Vec<Judged>,
    /// What follows from it.
    pub recommendation: Recommendation,
}

/// What is the same for all ways.
#[derive(Clone, Debug, Serialize)]
pub struct Protocol {
    /// Model in words, such as `mlp 64-40-10, ReLU`.
    pub model: String,
    /// Where it comes from, in words.
    pub origin: String,
    /// Weights that may be removed: those of matrices.
    pub weights: usize,
    /// Share of them that was 0 before.
    pub sparsity_before: f64,
    /// Paired repetitions.
    pub seeds: usize,
    /// Training samples whose gradients a step takes.
    pub gradients: usize,
    /// Dampening of the Fisher information.
    pub dampening: f64,
    /// Whether weights that stay are moved for all that go together.
    pub joint: bool,
    /// Passes over the training split in all, after steps.
    pub finetune: usize,
}

/// A way to prune, judged.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// What weights are ranked by.
    pub method: String,
    /// Steps to each sparsity.
    pub recomputations: usize,
    /// Consecutive weights among which curvature is looked at; all, or none, where there is no number.
    pub block_size: Option<usize>,
    /// One for each sparsity, rising.
    pub points: Vec<Point>,
    /// The most memory that a trial held, bytes.
    pub peak_bytes: u64,
}

/// A way at a sparsity.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Share of the weights that was asked to be 0.
    pub sparsity: f64,
    /// Each metric over the seeds, by name; beside those of the test split `sparsity`, `predicted_loss_increase` and
    /// `measured_loss_increase` (nats, on the training split), `clamped` and `seconds`.
    pub metrics: BTreeMap<String, Summary>,
    /// Paired difference in accuracy to the first way at the same sparsity; none for that way itself.
    pub difference: Option<Difference>,
}

impl Judged {
    /// What it is called, such as `m_fac in 8 steps`.
    pub fn label(&self) -> String {
        match self.recomputations {
            1 => format!("{} at once", self.method),
            steps => format!("{} in {steps} steps", self.method),
        }
    }

    /// At the highest sparsity.
    pub fn last(&self) -> &Point {
        self.points.last().expect("there is a sparsity")
    }
}

impl Point {
    /// Accuracy on the test split.
    pub fn accuracy(&self) -> &Summary {
        &self.metrics["accuracy"]
    }

    /// By how much the training loss was expected to grow, nats; NaN where nothing was expected.
    pub fn predicted(&self) -> &Summary {
        &self.metrics[PREDICTED]
    }

    /// By how much it grew.
    pub fn measured(&self) -> &Summary {
        &self.metrics[MEASURED]
    }

    /// Seconds that pruning took.
    pub fn seconds(&self) -> &Summary {
        &self.metrics[SECONDS]
    }
}

impl Pruning {
    /// The way of the highest accuracy at the highest sparsity; of equal ones the first.
    pub fn best(&self) -> usize {
        let accuracy = |way: usize| self.ways[way].last().accuracy().mean;
        (1..self.ways.len()).fold(
            0,
            |best, way| {
                if accuracy(way) > accuracy(best) { way } else { best }
            },
        )
    }
}
