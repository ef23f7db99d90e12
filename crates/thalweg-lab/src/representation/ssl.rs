//! Self-supervised trials of a comparison: trained on views of the training split, labels unseen, judged on a held-out one by
//! classifiers that were fitted to the features of the training split with its labels.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use thalweg::diagnostics::{DiagnosticError, Embeddings, alignment, uniformity, unit_rows};
use thalweg::objective::{EmbeddingSpace, ObjectiveEntry};
use thalweg_data::Dataset;
use thalweg_data::augment::{AugmentationError, Augmentations};

use super::{Judged, RepresentationTrial, named, timed};
use crate::LabError;
use crate::self_supervised::{Encoder, EncoderSpec, Samples, SelfSupervised, ViewedSamples, judge, train};
use crate::trial::{JudgedOn, Prepared};

/// ε of RankMe, for embeddings in single precision.
const RANK_EPSILON: f64 = 1e-7;
/// Features from which the hidden layer is twice as wide.
const MANY_FEATURES: usize = 256;

/// A trial of a data set's samples under `seed`.
pub(super) fn training(
    dataset: &Dataset,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    seed: u64,
) -> Result<SelfSupervised, LabError> {
    let views = views(dataset).map_err(|error| LabError::Plan(error.to_string()))?;
    let plain = EncoderSpec::default();
    let factor = if dataset.width() > MANY_FEATURES { 2 } else { 1 };
    Ok(SelfSupervised {
        encoder: EncoderSpec {
            hidden: factor * plain.hidden,
            ..plain
        },
        batch_size,
        learning_rate,
        ..SelfSupervised::new(views, epochs, seed)
    })
}

fn views(dataset: &Dataset) -> Result<Augmentations, AugmentationError> {
    match dataset.feature_shape[..] {
        [_, _, _] => Augmentations::images(&dataset.feature_shape),
        _ => Ok(Augmentations::table(dataset.width())),
    }
}

/// In words, such as `encoder 64-128-64, head 64-32`.
pub(super) fn describe(training: &SelfSupervised, inputs: usize) -> String {
    let EncoderSpec {
        hidden,
        features,
        head,
        embedding,
        ..
    } = training.encoder;
    let changes: Vec<String> = training.views.changes().iter().map(ToString::to_string).collect();
    format!(
        "encoder {inputs}-{hidden}-{features}, head {head}-{embedding}; views: {}",
        changes.join(", ")
    )
}

pub(super) fn run(
    trial: &RepresentationTrial,
    training: &SelfSupervised,
    entry: &ObjectiveEntry,
    dataset: &Arc<Dataset>,
    interrupted: &AtomicBool,
) -> Result<Option<Judged>, LabError> {
    let (samples, held_out) = split(trial, training.seed, dataset)?;
    let space = EmbeddingSpace {
        samples: samples.len(),
        classes: dataset.classes.len(),
        width: training.encoder.embedding,
        device: Device::flex().autodiff(),
        seed: training.seed,
    };
    let mut objective = entry.build_in(&space, &trial.settings)?;
    let viewed = ViewedSamples::new(training, &samples)?;
    let (trained, seconds) = timed(|| train(&viewed, objective.as_mut(), interrupted));
    let Some(trained) = trained else {
        return Ok(None);
    };
    let (metrics, diverged) = match metrics(training, &trained.encoder, &samples, &held_out) {
        Some(metrics) => (metrics, false),
        None => (of_equal_embeddings(&samples, &held_out), true),
    };
    Ok(Some(Judged {
        losses: trained.losses,
        metrics: named(metrics),
        diverged,
        seconds,
        roc: Vec::new(),
    }))
}

/// The metrics of an encoder with its first weights: what training adds is what is above.
pub(super) fn untrained(
    trial: &RepresentationTrial,
    training: &SelfSupervised,
    dataset: &Arc<Dataset>,
) -> Result<Vec<(&'static str, f64)>, LabError> {
    let (samples, held_out) = split(trial, training.seed, dataset)?;
    let encoder = Encoder::new(training.encoder, samples.width, training.seed, &Device::flex());
    encoder.settle(&samples);
    let metrics = metrics(training, &encoder, &samples, &held_out);
    Ok(metrics.unwrap_or_else(|| of_equal_embeddings(&samples, &held_out)))
}

/// Samples to train on and to judge on.
fn split(
    trial: &RepresentationTrial,
    seed: u64,
    dataset: &Arc<Dataset>,
) -> Result<(Samples, Samples), LabError> {
    let prepared = Prepared::new(dataset, &trial.data, seed)?;
    let part = match trial.judged_on {
        JudgedOn::Validation => &prepared.validation,
        JudgedOn::Test => &prepared.test,
    };
    Ok((
        Samples::of_part(&prepared, &prepared.train),
        Samples::of_part(&prepared, part),
    ))
}

/// None where an embedding is no number.
fn metrics(
    training: &SelfSupervised,
    encoder: &Encoder,
    samples: &Samples,
    held_out: &Samples,
) -> Option<Vec<(&'static str, f64)>> {
    let (_, embeddings) = encoder.encoded(held_out);
    let (_, of_training) = encoder.encoded(samples);
    if embeddings
        .iter()
        .chain(&of_training)
        .any(|value| !value.is_finite())
    {
        return None;
    }
    let scored = judge(training, encoder, samples, held_out);
    let width = training.encoder.embedding;
    let wide: Vec<f64> = embeddings.iter().map(|&value| f64::from(value)).collect();
    let rank = Embeddings::new(&wide, width).and_then(|embeddings| embeddings.rankme(RANK_EPSILON));
    let on_sphere = |embeddings: &[f32]| unit_rows(embeddings, width);
    let view = |index| on_sphere(&encoder.encoded(&training.view(held_out, "test views", index)).1);
    let aligned = view(0).and_then(|first| alignment(&first, &view(1)?, width, 2.0));
    let uniform = on_sphere(&embeddings).and_then(|rows| uniformity(&rows, width, 2.0));
    let undefined = |number: Result<f64, DiagnosticError>| number.unwrap_or(f64::NAN);
    Some(vec![
        ("probe_accuracy", scored.clean.probe),
        ("knn_accuracy", scored.clean.neighbours),
        ("view_probe_accuracy", scored.augmented.probe),
        ("view_knn_accuracy", scored.augmented.neighbours),
        ("rankme", undefined(rank)),
        ("alignment", undefined(aligned)),
        ("uniformity", undefined(uniform)),
    ])
}

/// Of embeddings that are all the same: every sample is taken for one of the most frequent class.
fn of_equal_embeddings(samples: &Samples, held_out: &Samples) -> Vec<(&'static str, f64)> {
    let mut counts = std::collections::BTreeMap::<u32, usize>::new();
    for &label in &samples.labels {
        *counts.entry(label).or_default() += 1;
    }
    let frequent = counts
        .iter()
        .max_by_key(|&(_, count)| count)
        .map(|(&label, _)| label);
    let right = held_out.labels.iter().filter(|&&label| Some(label) == frequent);
    let share = right.count() as f64 / held_out.len().max(1) as f64;
    [
        "probe_accuracy",
        "knn_accuracy",
        "view_probe_accuracy",
        "view_knn_accuracy",
    ]
    .map(|name| (name, share))
    .into_iter()
    .chain([
        ("rankme", f64::NAN),
        ("alignment", f64::NAN),
        ("uniformity", f64::NAN),
    ])
    .collect()
}
