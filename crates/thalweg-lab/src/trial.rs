//! One training run: data x model x objective x optimiser x seed. Deterministic given its specification; a finished
//! one is an [`Outcome`], and its specification is the key it is found by.

mod data;
mod evaluation;
mod training;

pub use data::{DataSpec, ImbalanceKind, NoiseKind, NoiseSpec, Prepared};
pub use training::run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thalweg::objective::Settings;
use thalweg::robustness::Norm;

use crate::model::ModelSpec;
use crate::results::{EpochPoint, ReliabilityBin};
use crate::undefined;

/// Raised when a change of the code changes what trials compute, so that older ones are not taken for new ones.
const REVISION: u32 = 1;

/// Everything that decides what a trial computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialSpec {
    revision: u32,
    /// The data, and what is done to it.
    pub data: DataSpec,
    /// The network.
    pub model: ModelSpec,
    /// The objective's name in the catalogue.
    pub objective: String,
    /// Its parameters.
    pub settings: Settings,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// Weight decay of Adam, decoupled.
    pub weight_decay: f64,
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Seed of split, weights, batches and the objective's own draws.
    pub seed: u64,
    /// What the trained model is judged on.
    pub judged_on: JudgedOn,
    /// Attack of the robust accuracy.
    pub attack: Option<AttackSpec>,
}

/// A split to judge on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgedOn {
    /// The validation split: a tuning trial.
    Validation,
    /// The test split: a final trial.
    Test,
}

/// The attack that robust accuracy is measured under: PGD on cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackSpec {
    /// Norm of the ball.
    pub norm: Norm,
    /// Its radius, in units of the model's inputs.
    pub epsilon: f64,
    /// Ascent steps.
    pub steps: usize,
    /// What is ascended: robust accuracy is the least over them.
    pub worst_of: AttackSet,
}

/// Which ascents are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackSet {
    /// Cross-entropy.
    CrossEntropy,
    /// Cross-entropy, and the shift of the margins; a sample counts as robust when it withstands both.
    CrossEntropyAndShift,
}

impl TrialSpec {
    /// A trial of `objective` with its `settings`; everything else at the workbench's defaults.
    pub fn new(data: DataSpec, model: ModelSpec, objective: &str, settings: Settings, seed: u64) -> Self {
        Self {
            revision: REVISION,
            data,
            model,
            objective: objective.to_owned(),
            settings,
            learning_rate: 2e-3,
            weight_decay: 0.0,
            epochs: 30,
            batch_size: 64,
            seed,
            judged_on: JudgedOn::Test,
            attack: None,
        }
    }
}

/// What a finished trial found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Metrics on the split it was judged on, by name.
    #[serde(deserialize_with = "undefined::named")]
    pub metrics: BTreeMap<String, f64>,
    /// The state after each epoch.
    pub curve: Vec<EpochPoint>,
    /// Counts on that split: row = true class, column = predicted.
    pub confusion: Vec<Vec<u64>>,
    /// Reliability bins on that split.
    pub reliability: Vec<ReliabilityBin>,
    /// Whether training ended in scores that are no numbers; the metrics are then those of equal scores.
    pub diverged: bool,
    /// Wall-clock seconds an epoch took.
    pub seconds_per_epoch: f64,
    /// The most memory the trial held at once, in bytes; 0 where nobody counts.
    pub peak_bytes: u64,
}
