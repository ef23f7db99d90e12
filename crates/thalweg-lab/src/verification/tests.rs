use std::sync::atomic::AtomicBool;

use burn::tensor::Tensor;
use thalweg::contrastive::SupConLossConfig;
use thalweg::objective::{EmbeddedViews, Progress, ViewObjective};
use thalweg::verification::{ArcFaceLossConfig, MarginClassifierConfig};
use thalweg_data::Dataset;
use thalweg_data::generators::gaussian_blobs;
use thalweg_kernels::random::Stream;

use super::*;
use crate::LabError;
use crate::trial::{NoiseKind, NoiseSpec};

fn blobs() -> Dataset {
    gaussian_blobs(400, 20, 6, 0.5, 1)
}

fn trial(epochs: usize) -> Verification {
    Verification {
        batch_size: 32,
        ..Verification::new(epochs, 5)
    }
}

fn arc_face(told: &Told) -> Result<Box<dyn ViewObjective>, LabError> {
    let loss = ArcFaceLossConfig::new()
        .with_scale(16.0)
        .with_margin(0.2)
        .init()?;
    let classes = MarginClassifierConfig::new(told.classes, told.width)
        .with_momentum(told.momentum)
        .with_weight_decay(told.weight_decay);
    Ok(Box::new(classes.init(loss, told.seed, &told.device)?))
}

fn done(trial: &Verification) -> Outcome {
    run(&blobs(), trial, arc_face, &AtomicBool::new(false))
        .unwrap()
        .unwrap()
}

fn refused(dataset: &Dataset, trial: &Verification) -> String {
    let outcome = run(dataset, trial, arc_face, &AtomicBool::new(false));
    outcome.unwrap_err().to_string()
}

#[test]
fn identities_keep_to_their_part() {
    let dataset = blobs();
    let found = Identities::of(&dataset, &trial(1)).unwrap();
    assert_eq!(
        (
            found.classes,
            found.train.len(),
            found.validation.len(),
            found.test.len()
        ),
        (11, 220, 60, 120)
    );
    assert!(
        found
            .train
            .labels
            .iter()
            .all(|&label| (label as usize) < found.classes)
    );
    assert_eq!(found.true_labels, found.train.labels);
    let other_seed = Verification { seed: 6, ..trial(1) };
    let other = Identities::of(&dataset, &other_seed).unwrap();
    assert_eq!(found.test.labels, other.test.labels);
    assert_ne!(found.train.values, other.train.values);
}

#[test]
fn a_published_test_of_other_identities_is_kept() {
    let mut dataset = blobs();
    let mut order: Vec<usize> = (0..400).collect();
    order.sort_by_key(|&row| dataset.labels[row]);
    dataset.labels = order.iter().map(|&row| dataset.labels[row]).collect();
    let features = order.iter().flat_map(|&row| dataset.row(row).to_vec());
    dataset.features = features.collect();
    dataset.published_test = Some(300);
    let test = Identities::of(&dataset, &trial(1)).unwrap().test;
    assert!(test.len() == 100 && test.labels.iter().all(|&label| label >= 15));
    dataset.published_test = Some(310);
    assert_eq!(Identities::of(&dataset, &trial(1)).unwrap().test.len(), 120);
}

#[test]
fn noise_spares_the_test() {
    let noisy = Verification {
        noise: Some(NoiseSpec {
            rate: 0.5,
            kind: NoiseKind::Uniform,
        }),
        ..trial(1)
    };
    let (clean, found) = (
        Identities::of(&blobs(), &trial(1)).unwrap(),
        Identities::of(&blobs(), &noisy).unwrap(),
    );
    let wrong = found
        .train
        .labels
        .iter()
        .zip(&found.true_labels)
        .filter(|(a, b)| a != b)
        .count();
    assert!((80..140).contains(&wrong), "{wrong} of 220");
    assert_eq!(clean.test, found.test);
    assert_eq!(clean.train.values, found.train.values);
}

#[test]
fn training_tells_unseen_identities_apart_and_is_determined_by_its_seed() {
    let outcome = done(&trial(15));
    assert!(
        outcome.losses[14] < 0.5 * outcome.losses[0],
        "{:?}",
        outcome.losses
    );
    assert!(outcome.test.metrics["auc"] > 0.8, "{:?}", outcome.test.metrics);
    assert!(outcome.validation.is_some() && !outcome.diverged && outcome.classes == 11);
    let again = done(&trial(15));
    assert_eq!((&again.losses, &again.test), (&outcome.losses, &outcome.test));
    assert_ne!(
        done(&Verification { seed: 6, ..trial(15) }).losses,
        outcome.losses
    );
}

#[test]
fn any_objective_of_labels_can_train() {
    let per_identity = Verification {
        batches: Batches::PerIdentity(4),
        warm_up_epochs: 2,
        ..trial(10)
    };
    let make = |_: &Told| -> Result<Box<dyn ViewObjective>, LabError> {
        Ok(Box::new(SupConLossConfig::new().init()?))
    };
    let outcome = run(&blobs(), &per_identity, make, &AtomicBool::new(false))
        .unwrap()
        .unwrap();
    assert!(
        outcome.losses[9] < 0.9 * outcome.losses[0],
        "{:?}",
        outcome.losses
    );
}

/// Remembers what it was shown.
struct Watcher(Vec<(Vec<usize>, Vec<i64>)>);

impl ViewObjective for Watcher {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let labels = views
            .labels
            .clone()
            .unwrap()
            .into_data()
            .try_into_vec_as()
            .unwrap();
        self.0.push((views.ids.clone(), labels));
        views.embeddings[0].clone().square().mean()
    }
}

#[test]
fn batches_of_identities_hold_as_many_of_each() {
    let per_identity = Verification {
        batches: Batches::PerIdentity(4),
        ..trial(2)
    };
    let identities = Identities::of(&blobs(), &per_identity).unwrap();
    let mut watcher = Watcher(Vec::new());
    train(&per_identity, &identities, &mut watcher, &AtomicBool::new(false))
        .unwrap()
        .unwrap();
    assert_eq!(watcher.0.len(), 2 * (220 / 32));
    for (ids, labels) in watcher.0 {
        let (mut ids, mut labels) = (ids, labels);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 32);
        labels.sort_unstable();
        assert!(
            labels
                .chunk_by(|a, b| a == b)
                .all(|of_one| of_one.len().is_multiple_of(4))
        );
    }
}

/// Sends the embedder away.
struct Away;

impl ViewObjective for Away {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        views.embeddings[0].clone().square().sum() * -1e30
    }
}

#[test]
fn what_diverges_is_told_and_judged_as_chance() {
    let outcome = run(
        &blobs(),
        &trial(3),
        |_| Ok(Box::new(Away)),
        &AtomicBool::new(false),
    );
    let outcome = outcome.unwrap().unwrap();
    assert!(outcome.diverged);
    assert_eq!(outcome.test.metrics["auc"], 0.5);
}

#[test]
fn the_rate_rises_and_falls() {
    let trial = Verification {
        warm_up_epochs: 1,
        ..trial(3)
    };
    let rates: Vec<f64> = (0..12).map(|step| trial.rate(step, 4)).collect();
    for (rate, expected) in rates.iter().zip([0.025, 0.05, 0.075, 0.1, 0.1]) {
        assert!((rate - expected).abs() < 1e-15, "{rates:?}");
    }
    assert!((rates[8] - 0.05).abs() < 1e-12 && rates[11] > 0.0);
    assert!(rates[4..].is_sorted_by(|a, b| a > b));
}

#[test]
fn what_makes_no_trial_is_refused() {
    let few = gaussian_blobs(50, 5, 3, 0.5, 0);
    assert_eq!(
        refused(&few, &trial(1)),
        "blobs has 5 identities (classes); verification needs 6 or more, two in each part"
    );
    assert_eq!(
        refused(
            &blobs(),
            &Verification {
                batch_size: 500,
                ..trial(1)
            }
        ),
        "220 training samples make no batch of 500; choose smaller batches"
    );
    let uneven = Verification {
        batches: Batches::PerIdentity(5),
        ..trial(1)
    };
    assert!(refused(&blobs(), &uneven).contains("batches of 32 cannot be made of 5"));
    let mirrored = Verification {
        features: TestFeatures::WithMirrored,
        ..trial(1)
    };
    assert!(refused(&blobs(), &mirrored).contains("only images can be mirrored"));
    let single = gaussian_blobs(20, 20, 3, 0.5, 0);
    assert!(
        refused(
            &single,
            &Verification {
                batch_size: 4,
                ..trial(1)
            }
        )
        .contains("no two test samples")
    );
    let mut numbers = blobs();
    numbers.numbers = Some(thalweg_data::Numbers {
        name: "y".to_owned(),
        values: vec![0.0; 400],
    });
    assert_eq!(
        refused(&numbers, &trial(1)),
        "the targets of blobs are numbers; verification needs identities"
    );
    assert!(
        run(&blobs(), &trial(1), arc_face, &AtomicBool::new(true))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_trial_and_its_outcome_survive_json() {
    let trial = trial(1);
    let text = serde_json::to_string(&trial).unwrap();
    assert_eq!(serde_json::from_str::<Verification>(&text).unwrap(), trial);
    let outcome = done(&trial);
    let read: Outcome = serde_json::from_str(&serde_json::to_string(&outcome).unwrap()).unwrap();
    assert_eq!(read.test, outcome.test);
}

#[test]
fn digits_are_told_apart_with_and_without_their_mirror() {
    let digits = thalweg_data::digits();
    let plain = Verification {
        batch_size: 64,
        ..Verification::new(4, 0)
    };
    let judged = [TestFeatures::Plain, TestFeatures::WithMirrored].map(|features| {
        let trial = Verification {
            features,
            ..plain.clone()
        };
        let outcome = run(&digits, &trial, arc_face, &AtomicBool::new(false));
        outcome.unwrap().unwrap().test
    });
    // Three digits are unseen: chance is a third.
    for found in &judged {
        assert!(found.metrics["rank_1"] > 0.5, "{:?}", found.metrics);
    }
    assert_ne!(judged[0], judged[1]);
}
