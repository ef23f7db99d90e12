//! What decides a few-shot trial, and what it ends with.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thalweg::objective::{EpisodeObjective, EpisodeShape};
use thalweg_data::Dataset;

use super::{Classes, Part, judge, train};
use crate::LabError;
use crate::model::ModelSpec;
use crate::undefined;

/// A few-shot trial apart from its objective and data. At a seed all objectives begin with the same weights and meet the same
/// classes, episodes and noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FewShot {
    /// Classes that nothing is trained on, to choose settings by; may be 0.
    pub validation_classes: usize,
    /// Classes that the trained encoder is judged on. All others are trained on.
    pub novel_classes: usize,
    /// Episodes to train on.
    pub training: EpisodeShape,
    /// Episodes to judge on; of validation classes no more ways than there are classes.
    pub test: EpisodeShape,
    /// Number of training episodes, a step each.
    pub episodes: usize,
    /// Number of episodes to judge on, of each kind of classes.
    pub test_episodes: usize,
    /// The encoder; its last layer gives the embedding.
    pub encoder: ModelSpec,
    /// Numbers of the embedding.
    pub embedding: usize,
    /// Standard deviation of the normal noise that is added to inputs, anew whenever one is drawn; in units of the inputs, after
    /// columns of a table are standardised.
    pub noise: f32,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Seed of the novel classes: one for all trials of a comparison, so that tuning never sees one of them.
    pub novel_seed: u64,
    /// Seed of the other classes, weights, episodes and noise.
    pub seed: u64,
}

impl FewShot {
    /// For data of so many classes: two fifths are novel (2 at least), a fifth is for validation (none where that is 1). Episodes of 5 ways (20 in training) where
    /// there are as many classes, 5 shots and 15 queries; 300 to train on and 300 to judge on; an encoder with a hidden layer of
    /// 128 and an embedding of 64; Adam at 10⁻³.
    pub fn new(classes: usize, seed: u64) -> Self {
        let novel = (2 * classes / 5).max(2);
        let validation = Some(classes / 5).filter(|&fifth| fifth >= 2).unwrap_or(0);
        let base = classes.saturating_sub(novel + validation);
        let shape = |ways| EpisodeShape {
            ways,
            shots: 5,
            queries: 15,
        };
        Self {
            validation_classes: validation,
            novel_classes: novel,
            training: shape(base.clamp(2, 20)),
            test: shape(novel.min(5)),
            episodes: 300,
            test_episodes: 300,
            encoder: ModelSpec::mlp(vec![128]),
            embedding: 64,
            noise: 0.0,
            learning_rate: 1e-3,
            novel_seed: seed,
            seed,
        }
    }

    /// The shape of episodes of some classes.
    pub(super) fn shape(&self, part: Part) -> EpisodeShape {
        match part {
            Part::Base => self.training,
            Part::Novel => self.test,
            Part::Validation => EpisodeShape {
                ways: self.test.ways.min(self.validation_classes),
                ..self.test
            },
        }
    }
}

/// What a finished few-shot trial found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FewShotOutcome {
    /// By name, NaN where undefined: `accuracy` of the nearest prototype on episodes of novel classes and `accuracy_half_width` of
    /// its 95% interval over episodes, `icnn_score` and `original_icnn_score` of these episodes, higher is better, and
    /// `validation_accuracy`, undefined without validation classes.
    #[serde(deserialize_with = "undefined::named")]
    pub metrics: BTreeMap<String, f64>,
    /// Mean loss of each 100 training episodes, as far as training came.
    #[serde(deserialize_with = "undefined::numbers")]
    pub losses: Vec<f64>,
    /// Whether a loss was no number; training ended there.
    pub diverged: bool,
    /// Wall-clock seconds that training took.
    pub seconds: f64,
}

/// Runs a trial on this thread. None when `interrupted` was set before it ended.
///
/// # Errors
/// When the data have no classes or too few, a class has too few samples, or the objective has no loss of such episodes.
pub fn run(
    dataset: &Dataset,
    trial: &FewShot,
    objective: &mut dyn EpisodeObjective,
    interrupted: &AtomicBool,
) -> Result<Option<FewShotOutcome>, LabError> {
    let classes = Classes::new(dataset, trial)?;
    let begun = Instant::now();
    let Some(trained) = train(&classes, objective, interrupted)? else {
        return Ok(None);
    };
    let seconds = begun.elapsed().as_secs_f64();
    let novel = judge(&classes, &trained.encoder, Part::Novel);
    let validation = match trial.validation_classes {
        0 => f64::NAN,
        _ => judge(&classes, &trained.encoder, Part::Validation).accuracy.mean,
    };
    let metrics = [
        ("accuracy", novel.accuracy.mean),
        ("accuracy_half_width", novel.accuracy.half_width),
        ("icnn_score", novel.icnn_score),
        ("original_icnn_score", novel.original_icnn_score),
        ("validation_accuracy", validation),
    ];
    Ok(Some(FewShotOutcome {
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
        diverged: trained.diverged(),
        losses: trained.losses,
        seconds,
    }))
}
