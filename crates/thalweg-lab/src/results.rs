//! What a comparison found: the one record that the table, `--json`, `results.csv` and `report.html` are drawn from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use thalweg::calibration::ReliabilityBin;
use thalweg::objective::Task;

use crate::undefined;
use crate::verification::CurvePoint;

/// A finished comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The exact command that made it.
    pub command: String,
    /// Version of thalweg, then of what it stands on.
    pub versions: Vec<(String, String)>,
    /// When it was started, RFC 3339, UTC.
    pub started: String,
    /// What the trials were trained on.
    pub data: DataSummary,
    /// The fixed parts of every trial.
    pub protocol: Protocol,
    /// One entry per noise level, in rising order; at least one.
    pub conditions: Vec<Condition>,
    /// What follows from it.
    pub recommendation: Recommendation,
}

/// What to train with, and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recommendation {
    /// One sentence.
    pub sentence: String,
    /// The numbers it rests on, one or two sentences.
    pub evidence: String,
    /// The lines of Rust that use it.
    pub code: String,
}

/// The data set as the trials saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataSummary {
    /// File name, or the name of the embedded set.
    pub name: String,
    /// Samples in all, before splitting.
    pub samples: usize,
    /// Features per sample.
    pub features: usize,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Samples per class, in label order.
    pub class_counts: Vec<usize>,
    /// Samples in the training, validation and test splits.
    pub split: [usize; 3],
    /// Largest over smallest class in the training split, where it was made so.
    pub imbalance: Option<f64>,
    /// The bags, where targets are known by bag only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bags: Option<BagSummary>,
}

/// Bags as the trials saw them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BagSummary {
    /// Bags in the training, validation and test splits.
    pub split: [usize; 3],
    /// Samples of the smallest bag to train on.
    pub smallest: usize,
    /// Samples of the largest.
    pub largest: usize,
    /// The column of the targets, where they are numbers.
    pub target: Option<String>,
}

impl BagSummary {
    /// In words, such as `mean progression known for 40 bags of 5 to 7 samples`.
    pub fn words(&self) -> String {
        let of = match &self.target {
            Some(target) => format!("mean {target}"),
            None => "shares of the classes".to_owned(),
        };
        let sizes = match (self.smallest, self.largest) {
            (1, 1) => "1 sample".to_owned(),
            (smallest, largest) if smallest == largest => format!("{smallest} samples"),
            (smallest, largest) => format!("{smallest} to {largest} samples"),
        };
        format!("{of} known for {} bags of {sizes} to train on", self.split[0])
    }
}

/// What is the same for all that is compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Protocol {
    /// Model in words, such as `mlp 64-64-10, ReLU`.
    pub model: String,
    /// Optimiser in words.
    pub optimizer: String,
    /// Paired repetitions.
    pub seeds: usize,
    /// Passes over the training split in a trial.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Tuning trials each was given.
    pub tuning_trials: usize,
    /// The metric that ranks.
    pub metric: String,
    /// What differences are taken to.
    pub baseline: String,
    /// The objective that all descend, where optimisers are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Attack of the robust accuracy, such as `l_inf:0.1`.
    pub attack: Option<String>,
    /// The teacher of distilled students.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherSummary>,
    /// What is trained for.
    #[serde(default)]
    pub task: Task,
    /// Metrics of an encoder with its first weights, where embeddings are compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untrained: BTreeMap<String, Summary>,
}

impl Protocol {
    /// What is compared, in a word.
    pub fn compared(&self) -> &'static str {
        match self.objective {
            None => "objective",
            Some(_) => "optimiser",
        }
    }

    /// What training does not know of the samples it is judged on, where embeddings are compared.
    pub fn unseen(&self) -> Option<&'static str> {
        match self.task {
            Task::Classification => None,
            Task::SelfSupervised => Some("labels unseen"),
            Task::FewShot | Task::Verification => Some("classes unseen"),
        }
    }
}

/// A teacher as its students met it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TeacherSummary {
    /// What it is, such as `mlp 32-256-256-60, ReLU`.
    pub description: String,
    /// Its accuracy on the test split.
    pub accuracy: f64,
}

/// All objectives at one noise level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// Share of training labels replaced.
    pub noise: f64,
    /// What is compared, best first by the ranking metric.
    pub entries: Vec<Entry>,
}

/// One objective or optimiser at one noise level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Name in the catalogue, of an objective or, where optimisers are compared, of an optimiser.
    pub name: String,
    /// Its own parameters as tuned.
    pub parameters: BTreeMap<String, f64>,
    /// Learning rate as tuned.
    pub learning_rate: f64,
    /// Each metric over the seeds, by metric name.
    pub metrics: BTreeMap<String, Summary>,
    /// Paired difference to the baseline in the ranking metric; none for the baseline itself.
    pub difference: Option<Difference>,
    /// Wall-clock seconds per epoch, over the seeds.
    pub seconds_per_epoch: Summary,
    /// Largest memory a trial held, bytes.
    pub peak_bytes: u64,
    /// Mean over seeds after each epoch.
    pub curve: Vec<EpochPoint>,
    /// Counts on the test split summed over seeds: row = true class, column = predicted.
    pub confusion: Vec<Vec<u64>>,
    /// Equal-width reliability bins on the test split, pooled over seeds; an empty one has count 0.
    pub reliability: Vec<ReliabilityBin>,
    /// How often pairs of one class and of two are accepted, mean over seeds, where pairs are judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roc: Vec<CurvePoint>,
    /// Loss and its derivative against the margin of the true class, where the objective is a function of the scores.
    pub margin_curve: Vec<MarginPoint>,
}

/// A number over seeds: mean with a 95% Student interval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Mean.
    #[serde(deserialize_with = "undefined::number")]
    pub mean: f64,
    /// Lower end of the interval; NaN when there are too few seeds for one.
    #[serde(deserialize_with = "undefined::number")]
    pub low: f64,
    /// Upper end of the interval; NaN likewise.
    #[serde(deserialize_with = "undefined::number")]
    pub high: f64,
    /// The value of each seed, in seed order.
    #[serde(deserialize_with = "undefined::numbers")]
    pub values: Vec<f64>,
}

/// Objective minus baseline, paired by seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// Mean difference.
    #[serde(deserialize_with = "undefined::number")]
    pub mean: f64,
    /// Lower end of its 95% interval; NaN when the seeds allow none.
    #[serde(deserialize_with = "undefined::number")]
    pub low: f64,
    /// Upper end of its 95% interval; NaN likewise.
    #[serde(deserialize_with = "undefined::number")]
    pub high: f64,
    /// Two-sided paired t-test.
    #[serde(deserialize_with = "undefined::number")]
    pub p: f64,
    /// The same after Holm's correction over the objectives of the condition.
    #[serde(deserialize_with = "undefined::number")]
    pub p_holm: f64,
    /// What may be said.
    pub finding: Finding,
}

/// What a paired difference allows one to say, at 5% after Holm's correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Better than the baseline.
    Better,
    /// Worse than the baseline.
    Worse,
    /// No difference seen.
    NoDifferenceSeen,
}

/// The state of training after an epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochPoint {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean training objective over the epoch.
    #[serde(deserialize_with = "undefined::number")]
    pub train_loss: f64,
    /// Accuracy on the validation split.
    #[serde(deserialize_with = "undefined::number")]
    pub validation_accuracy: f64,
    /// How well the training split is fitted, where the trial was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Distance of the weights, times their decay, to the set that the optimiser confines them to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint_distance: Option<f64>,
}

/// How well the training split is fitted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Fit {
    /// Accuracy on it.
    #[serde(deserialize_with = "undefined::number")]
    pub accuracy: f64,
    /// Mean cross-entropy on it, nats.
    #[serde(deserialize_with = "undefined::number")]
    pub cross_entropy: f64,
}

/// A point of a loss-against-margin curve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarginPoint {
    /// Score of the true class minus that of every other class.
    pub margin: f64,
    /// Loss there.
    #[serde(deserialize_with = "undefined::number")]
    pub loss: f64,
    /// Its derivative with respect to the margin.
    #[serde(deserialize_with = "undefined::number")]
    pub slope: f64,
}
