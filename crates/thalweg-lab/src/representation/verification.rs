//! Verification trials of a comparison.

use std::sync::atomic::AtomicBool;

use thalweg::objective::{EmbeddingSpace, ObjectiveEntry};
use thalweg_data::Dataset;

use super::{Judged, RepresentationTrial, timed};
use crate::LabError;
use crate::comparison::refuse;
use crate::trial::JudgedOn;
use crate::verification::{Batches, EmbedderSpec, Identities, Verification, run as run_trial};

/// Samples of each class in a batch, where there are classes enough for that: losses of pairs live on them.
const EACH: usize = 4;

/// A trial of a data set's classes under `seed`.
pub(super) fn training(
    dataset: &Dataset,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    seed: u64,
) -> Verification {
    let usual = Verification::new(epochs, seed);
    // A third of the classes at least is trained on.
    let crowded = dataset.classes.len() / 2 >= batch_size / EACH && batch_size.is_multiple_of(EACH);
    Verification {
        batches: if crowded {
            Batches::PerIdentity(EACH)
        } else {
            Batches::Shuffled
        },
        batch_size,
        learning_rate,
        ..usual
    }
}

/// In words, such as `embedder 64-128-16`.
pub(super) fn describe(training: &Verification, inputs: usize) -> String {
    let EmbedderSpec { hidden, embedding } = &training.embedder;
    let widths: Vec<String> = std::iter::once(&inputs)
        .chain(hidden)
        .chain([embedding])
        .map(ToString::to_string)
        .collect();
    let batches = match training.batches {
        Batches::PerIdentity(each) => format!("; {each} samples of each class in a batch"),
        Batches::Shuffled => String::new(),
    };
    format!("embedder {}{batches}", widths.join("-"))
}

/// Samples to train on, to tune by and to judge on.
///
/// # Errors
/// When the data make no such trial, or tuning has nothing to go by.
pub(super) fn split(training: &Verification, dataset: &Dataset, tuned: bool) -> Result<[usize; 3], LabError> {
    let Identities {
        train,
        validation,
        test,
        ..
    } = Identities::of(dataset, training)?;
    if tuned && validation.is_empty() {
        return refuse("too few classes to hold some out for tuning; run it with --tune 0");
    }
    Ok([train, validation, test].map(|samples| samples.len()))
}

pub(super) fn run(
    trial: &RepresentationTrial,
    training: &Verification,
    entry: &ObjectiveEntry,
    dataset: &Dataset,
    interrupted: &AtomicBool,
) -> Result<Option<Judged>, LabError> {
    let (outcome, seconds) = timed(|| {
        run_trial(
            dataset,
            training,
            |told| {
                let space = EmbeddingSpace {
                    samples: told.samples,
                    classes: told.classes,
                    width: told.width,
                    device: told.device.clone(),
                    seed: told.seed,
                };
                Ok(entry.build_in(&space, &trial.settings)?)
            },
            interrupted,
        )
    });
    let Some(outcome) = outcome? else {
        return Ok(None);
    };
    let judgement = match (trial.judged_on, outcome.validation) {
        (JudgedOn::Validation, Some(validation)) => validation,
        (JudgedOn::Validation, None) => return refuse("there are no classes to tune by"),
        (JudgedOn::Test, _) => outcome.test,
    };
    Ok(Some(Judged {
        losses: outcome.losses,
        metrics: judgement.metrics,
        diverged: outcome.diverged,
        seconds,
        roc: judgement.curve,
    }))
}
