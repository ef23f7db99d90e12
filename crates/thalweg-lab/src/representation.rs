//! The comparison of objectives of embeddings: which one should an encoder of this data be trained with?
//!
//! As for classifiers, every objective is given the same number of tuning trials on validation splits, and is then trained once
//! per seed and judged once on the test split. What differs is how a trial trains and what it is judged by: [`Training`].

mod few_shot;
mod plan;
mod ssl;
mod verification;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thalweg::catalogue;
use thalweg::objective::Settings;
use thalweg_kernels::memory;

pub use few_shot::Episodes;
pub use plan::{Checked, Plan};

use crate::LabError;
use crate::few_shot::FewShot;
use crate::results::EpochPoint;
use crate::self_supervised::SelfSupervised;
use crate::trial::{DataSpec, JudgedOn, Outcome, Source, Trial};
use crate::verification::{CurvePoint, Verification};

/// Raised when a change of the code changes what trials compute, so that older ones are not taken for new ones.
const REVISION: u32 = 1;

/// Everything that decides what a trial of embeddings computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepresentationTrial {
    revision: u32,
    /// The data, and what is held out.
    pub data: DataSpec,
    /// How it trains and is judged.
    pub training: Training,
    /// The objective's name in the catalogue.
    pub objective: String,
    /// Its parameters.
    pub settings: Settings,
    /// What the trained encoder is judged on.
    pub judged_on: JudgedOn,
}

/// A way to train embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Training {
    /// On views of samples, labels unseen.
    SelfSupervised(SelfSupervised),
    /// On episodes of a few labelled samples.
    FewShot(FewShot),
    /// On labelled samples of some classes, to tell others apart.
    Verification(Verification),
}

/// What training and judging give.
struct Judged {
    /// Mean loss of each epoch.
    losses: Vec<f64>,
    /// Metrics by name.
    metrics: BTreeMap<String, f64>,
    /// Whether embeddings ended as no numbers; the metrics are then those of equal ones.
    diverged: bool,
    /// Wall-clock seconds of training alone, of judging too where that cannot be told apart.
    seconds: f64,
    /// How often pairs are accepted, where pairs are judged.
    roc: Vec<CurvePoint>,
}

fn named(metrics: impl IntoIterator<Item = (&'static str, f64)>) -> BTreeMap<String, f64> {
    let metrics = metrics.into_iter();
    metrics.map(|(name, value)| (name.to_owned(), value)).collect()
}

impl RepresentationTrial {
    /// A trial of `objective` with its `settings`, judged on the test split.
    pub fn new(data: DataSpec, training: Training, objective: &str, settings: Settings) -> Self {
        Self {
            revision: REVISION,
            data,
            training,
            objective: objective.to_owned(),
            settings,
            judged_on: JudgedOn::Test,
        }
    }
}

impl Trial for RepresentationTrial {
    fn objective(&self) -> &str {
        &self.objective
    }

    fn run(&self, source: Source, interrupted: &AtomicBool) -> Result<Option<Outcome>, LabError> {
        memory::reset_peak();
        let entry = catalogue::objective(&self.objective)
            .ok_or_else(|| LabError::unknown_objective(&self.objective))?;
        let judged = match &self.training {
            Training::SelfSupervised(training) => {
                ssl::run(self, training, entry, source.dataset, interrupted)?
            }
            Training::FewShot(training) => few_shot::run(self, training, entry, source.dataset, interrupted)?,
            Training::Verification(training) => {
                verification::run(self, training, entry, source.dataset, interrupted)?
            }
        };
        Ok(judged.map(Judged::outcome))
    }
}

impl Judged {
    fn outcome(self) -> Outcome {
        let epochs = self.losses.len().max(1);
        let curve = self.losses.into_iter().enumerate();
        Outcome {
            metrics: self.metrics,
            roc: self.roc,
            curve: curve
                .map(|(epoch, train_loss)| EpochPoint {
                    epoch: epoch + 1,
                    train_loss,
                    validation_accuracy: f64::NAN,
                    fit: None,
                    constraint_distance: None,
                })
                .collect(),
            confusion: Vec::new(),
            reliability: Vec::new(),
            remembered: None,
            diverged: self.diverged,
            seconds_per_epoch: self.seconds / epochs as f64,
            peak_bytes: memory::peak(),
        }
    }
}

/// What `work` gives, and the seconds it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed().as_secs_f64())
}
