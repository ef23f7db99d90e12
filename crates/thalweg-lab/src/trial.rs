//! One training run: data x model x objective x optimiser x seed. Deterministic given its specification; a finished
//! one is an [`Outcome`], and its specification is the key it is found by.

mod alignment;
mod averaging;
mod bags;
mod data;
mod evaluation;
mod source;
mod training;

pub use bags::{BagForming, PartBags, Responses};
pub(crate) use data::targets;
pub use data::{DataSpec, ImbalanceKind, NoiseKind, NoiseSpec, Part, Prepared, Scaling};
pub(crate) use evaluation::scores;
pub use source::{DistillationSpec, Source};
pub(crate) use training::train_on;
pub use training::{Trained, run, train};

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use thalweg::catalogue;
use thalweg::objective::Settings;
use thalweg::optimizer::OptimizerEntry;
use thalweg::robustness::Norm;

use crate::LabError;
use crate::model::ModelSpec;
use crate::results::{EpochPoint, ReliabilityBin};
use crate::undefined;
use crate::verification::CurvePoint;

/// Raised when a change of the code changes what trials compute, so that older ones are not taken for new ones.
const REVISION: u32 = 3;

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
    /// How weights are moved.
    #[serde(default, skip_serializing_if = "OptimizerSpec::is_adam")]
    pub optimizer: OptimizerSpec,
    /// Learning rate.
    pub learning_rate: f64,
    /// Weight decay, as its optimiser understands it: decoupled, or part of the gradient.
    pub weight_decay: f64,
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Seed of split, weights, batches and the objective's own draws.
    pub seed: u64,
    /// What is recorded after each epoch.
    #[serde(default, skip_serializing_if = "CurveDetail::is_plain")]
    pub curve: CurveDetail,
    /// What the trained model is judged on.
    pub judged_on: JudgedOn,
    /// Attack of the robust accuracy.
    pub attack: Option<AttackSpec>,
    /// The teacher and the second head, where the objective needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<DistillationSpec>,
}

/// An optimiser of the catalogue, as it is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerSpec {
    /// Its name.
    pub name: String,
    /// Its parameters, but for the learning rate and the weight decay.
    pub settings: Settings,
    /// How the learning rate changes.
    pub schedule: Schedule,
}

/// How a learning rate changes from epoch to epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// Divided by 10 before each of these epochs, counted from 0.
    Drops(Vec<usize>),
    /// Half a cosine wave down, which would reach 0 after the last epoch.
    Cosine,
}

impl Schedule {
    /// Factor of the learning rate in an epoch.
    fn factor(&self, epoch: usize, epochs: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Drops(drops) => {
                let passed = drops.iter().filter(|&&drop| drop <= epoch).count();
                0.1_f64.powi(passed as i32)
            }
            Self::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * epoch as f64 / epochs as f64).cos(),
        }
    }
}

impl OptimizerSpec {
    /// AdamW at a constant learning rate.
    pub fn adam() -> Self {
        Self {
            name: "adamw".to_owned(),
            settings: Settings::new(),
            schedule: Schedule::Constant,
        }
    }

    /// Gradient descent with momentum.
    pub fn sgd(momentum: f64, schedule: Schedule) -> Self {
        Self {
            name: "sgd".to_owned(),
            settings: [("momentum".to_owned(), momentum)].into(),
            schedule,
        }
    }

    fn is_adam(&self) -> bool {
        *self == Self::adam()
    }

    /// Its page in the catalogue.
    ///
    /// # Errors
    /// When there is none of its name.
    pub(crate) fn entry(&self) -> Result<&'static OptimizerEntry, LabError> {
        catalogue::optimizer(&self.name).ok_or_else(|| LabError::unknown_optimizer(&self.name))
    }

    /// All its parameters, `weight_decay` among them.
    ///
    /// # Errors
    /// When there is no such optimiser, or it knows no weight decay and is given one.
    pub(crate) fn settings_with(&self, weight_decay: f64) -> Result<Settings, LabError> {
        let mut settings = self.settings.clone();
        if weight_decay != 0.0 || self.entry()?.has(WEIGHT_DECAY) {
            settings.insert(WEIGHT_DECAY.to_owned(), weight_decay);
        }
        Ok(settings)
    }
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self::adam()
    }
}

/// The parameter that a trial names by itself.
pub(crate) const WEIGHT_DECAY: &str = "weight_decay";

/// What is recorded after each epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurveDetail {
    /// The training loss and the accuracy on the validation split.
    #[default]
    Plain,
    /// How well the training split is fitted as well.
    Fit,
}

impl CurveDetail {
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
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
            optimizer: OptimizerSpec::adam(),
            learning_rate: 2e-3,
            weight_decay: 0.0,
            epochs: 30,
            batch_size: 64,
            seed,
            curve: CurveDetail::Plain,
            judged_on: JudgedOn::Test,
            attack: None,
            distillation: None,
        }
    }
}

/// What a pool runs and a store keeps: its specification, as JSON, is the key it is found by, and decides its outcome.
pub trait Trial: Serialize + Sync {
    /// The objective's name in the catalogue.
    fn objective(&self) -> &str;

    /// Runs it, on this thread alone. None when `interrupted` was set before it ended.
    ///
    /// # Errors
    /// When the objective is unknown or its settings are refused, or the data are not what the trial names or needs.
    fn run(&self, source: Source, interrupted: &AtomicBool) -> Result<Option<Outcome>, LabError>;
}

impl Trial for TrialSpec {
    fn objective(&self) -> &str {
        &self.objective
    }

    fn run(&self, source: Source, interrupted: &AtomicBool) -> Result<Option<Outcome>, LabError> {
        run(self, source, interrupted)
    }
}

/// Means of what an objective remembers of each training sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// Over samples with their true label; NaN where there are none.
    #[serde(deserialize_with = "undefined::number")]
    pub clean: f64,
    /// Over samples whose label noise replaced; NaN where there are none.
    #[serde(deserialize_with = "undefined::number")]
    pub corrupted: f64,
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
    /// How often pairs of one class and of two are accepted, where pairs are judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roc: Vec<CurvePoint>,
    /// What the objective remembers of training samples, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered>,
    /// Whether training ended in scores that are no numbers; the metrics are then those of equal scores.
    pub diverged: bool,
    /// Wall-clock seconds an epoch took.
    pub seconds_per_epoch: f64,
    /// The most memory the trial held at once, in bytes; 0 where nobody counts.
    pub peak_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_plain_trial_does_not_mention_what_it_does_not_use() {
        let data = DataSpec {
            test_fraction: 0.3,
            ..DataSpec::new(String::new())
        };
        let spec = TrialSpec::new(data, ModelSpec::mlp(vec![8]), "focal", Settings::new(), 0);
        let text = serde_json::to_string(&spec).unwrap();
        assert!(
            !["optimizer", "activation", "distillation"]
                .iter()
                .any(|unused| text.contains(unused)),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<TrialSpec>(&text).unwrap(), spec);
    }

    #[test]
    fn the_rate_falls_as_scheduled() {
        let rates =
            |schedule: Schedule| -> Vec<f64> { (0..6).map(|epoch| schedule.factor(epoch, 6)).collect() };
        let drops = rates(Schedule::Drops(vec![2, 4]));
        for (rate, expected) in drops.into_iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
            assert!((rate - expected).abs() < 1e-15);
        }
        let cosine = rates(Schedule::Cosine);
        assert_eq!((cosine[0], cosine[3]), (1.0, 0.5));
        assert!(cosine.is_sorted_by(|a, b| a > b) && cosine[5] > 0.0);
        assert_eq!(Schedule::Constant.factor(100, 200), 1.0);
    }
}
