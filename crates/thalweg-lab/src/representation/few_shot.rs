//! Few-shot trials of a comparison.

use std::sync::atomic::AtomicBool;

use thalweg::objective::{EpisodeShape, ObjectiveEntry};
use thalweg_data::Dataset;

use super::{Judged, RepresentationTrial, named};
use crate::LabError;
use crate::comparison::refuse;
use crate::few_shot::{Classes, FewShot, Part, run as run_trial};
use crate::trial::JudgedOn;

/// Training episodes that an epoch stands for.
pub(super) const EPISODES: usize = 100;
/// The split of novel classes, the same for all trials.
const NOVEL_SEED: u64 = 0;

/// What episodes the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Episodes {
    /// Classes of a test episode.
    pub ways: Option<usize>,
    /// Support samples of each class.
    pub shots: Option<usize>,
}

/// A trial of a data set's classes under `seed`.
pub(super) fn training(
    dataset: &Dataset,
    asked: Episodes,
    epochs: usize,
    learning_rate: f64,
    seed: u64,
) -> FewShot {
    let usual = FewShot::new(dataset.classes.len(), seed);
    let shape = |usual: EpisodeShape, ways: Option<usize>| EpisodeShape {
        ways: ways.unwrap_or(usual.ways),
        shots: asked.shots.unwrap_or(usual.shots),
        ..usual
    };
    FewShot {
        training: shape(usual.training, None),
        test: shape(usual.test, asked.ways),
        episodes: EPISODES * epochs,
        learning_rate,
        novel_seed: NOVEL_SEED,
        ..usual
    }
}

/// In words.
pub(super) fn describe(training: &FewShot, dataset: &Dataset) -> String {
    let EpisodeShape { ways, shots, queries } = training.test;
    format!(
        "{}; test episodes {ways}-way {shots}-shot with {queries} queries a class, {} a trial; {}-way in training",
        training
            .encoder
            .describe(&dataset.feature_shape, training.embedding),
        training.test_episodes,
        training.training.ways,
    )
}

/// Samples to train on, to tune by and to judge on.
///
/// # Errors
/// When the data make no such trial, or tuning has nothing to go by.
pub(super) fn split(training: &FewShot, dataset: &Dataset, tuned: bool) -> Result<[usize; 3], LabError> {
    let classes = Classes::new(dataset, training)?;
    if tuned && training.validation_classes == 0 {
        return refuse(format!(
            "{} classes are too few to hold some out for tuning; run it with --tune 0",
            dataset.classes.len()
        ));
    }
    Ok([Part::Base, Part::Validation, Part::Novel].map(|part| classes.samples(part)))
}

pub(super) fn run(
    trial: &RepresentationTrial,
    training: &FewShot,
    entry: &ObjectiveEntry,
    dataset: &Dataset,
    interrupted: &AtomicBool,
) -> Result<Option<Judged>, LabError> {
    let mut objective = entry.build_of_episodes(&trial.settings)?;
    let Some(outcome) = run_trial(dataset, training, objective.as_mut(), interrupted)? else {
        return Ok(None);
    };
    let found = |name: &str| outcome.metrics.get(name).copied().unwrap_or(f64::NAN);
    let metrics = match trial.judged_on {
        JudgedOn::Validation => vec![("episode_accuracy", found("validation_accuracy"))],
        JudgedOn::Test => vec![
            ("episode_accuracy", found("accuracy")),
            ("episode_half_width", found("accuracy_half_width")),
            ("icnn_score", found("icnn_score")),
            ("original_icnn_score", found("original_icnn_score")),
        ],
    };
    Ok(Some(Judged {
        losses: outcome.losses,
        metrics: named(metrics),
        diverged: outcome.diverged,
        seconds: outcome.seconds,
        roc: Vec::new(),
    }))
}
