use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use thalweg::compression::Saliency;
use thalweg::objective::Settings;
use thalweg_data::Dataset;
use thalweg_data::generators::gaussian_blobs;

use super::steps::MEASURED;
use super::*;
use crate::LabError;
use crate::distillation::data_spec;
use crate::model::{ModelSpec, Network};
use crate::pool::Pool;
use crate::trial::{Outcome, Source, TrialSpec, train};

static ON: AtomicBool = AtomicBool::new(false);

fn blobs() -> Arc<Dataset> {
    Arc::new(gaussian_blobs(240, 4, 5, 0.7, 3))
}

fn training(dataset: &Dataset) -> TrialSpec {
    let data = data_spec(dataset.fingerprint());
    let mut spec = TrialSpec::new(
        data,
        ModelSpec::mlp(vec![12]),
        "cross_entropy",
        Settings::new(),
        1,
    );
    (spec.epochs, spec.batch_size) = (6, 32);
    spec
}

fn trained(dataset: &Arc<Dataset>) -> Network {
    let found = train(&training(dataset), Source::from(dataset), &ON, &mut |_| {});
    found.unwrap().expect("nobody interrupts").network
}

fn spec(saliency: Saliency, recomputations: usize) -> PruningSpec {
    PruningSpec {
        saliency,
        sparsity: 0.8,
        recomputations,
        gradients: 60,
        dampening: 1e-4,
        block_size: None,
        joint: false,
        finetune: 0,
    }
}

fn pruned(network: &Network, spec: &PruningSpec, dataset: &Arc<Dataset>) -> PrunedNetwork {
    let found = prune(network, spec, &training(dataset), dataset, &ON);
    found.unwrap().expect("nobody interrupts")
}

/// The zeros of a network are those it says and as many as were asked for.
fn assert_pruned(found: &PrunedNetwork, sparsity: f64) {
    let weights = found.network.matrix_weights();
    let gone = (sparsity * weights.len() as f64).round() as usize;
    assert_eq!(weights.iter().filter(|weight| **weight == 0.0).count(), gone);
    for (weight, alive) in weights.iter().zip(&found.alive) {
        assert_eq!(*weight != 0.0, *alive);
    }
}

#[test]
fn every_method_removes_as_many_weights_as_asked_and_leaves_the_network_it_is_given() {
    let dataset = blobs();
    let network = trained(&dataset);
    let before = (network.matrix_weights(), network.linear_layers());
    for (_, saliency) in METHODS {
        for joint in [false, true] {
            let spec = PruningSpec {
                joint,
                ..spec(saliency, 3)
            };
            let found = pruned(&network, &spec, &dataset);
            assert_pruned(&found, 0.8);
            assert_eq!(
                found.predicted_loss_increase.is_nan(),
                saliency == Saliency::Magnitude
            );
            assert!(found.measured_loss_increase.is_finite());
            let biases = |network: &Network| network.linear_layers().into_iter().map(|layer| layer.bias);
            assert!(biases(&found.network).eq(before.1.iter().map(|layer| layer.bias.clone())));
        }
    }
    assert_eq!((network.matrix_weights(), network.linear_layers()), before);
}

#[test]
fn magnitudes_by_and_by_are_magnitudes_at_once() {
    let dataset = blobs();
    let network = trained(&dataset);
    let of = |steps| pruned(&network, &spec(Saliency::Magnitude, steps), &dataset);
    let (once, gradual) = (of(1), of(7));
    assert_eq!(once.network.matrix_weights(), gradual.network.matrix_weights());
    assert!((once.measured_loss_increase - gradual.measured_loss_increase).abs() < 1e-12);
}

#[test]
fn gradients_are_taken_anew_at_each_step() {
    let dataset = blobs();
    let network = trained(&dataset);
    let of = |steps| pruned(&network, &spec(Saliency::MFac, steps), &dataset);
    assert_ne!(of(1).alive, of(4).alive);
    assert_eq!(of(4).network.matrix_weights(), of(4).network.matrix_weights());
}

#[test]
fn what_went_stays_away_while_the_rest_is_fine_tuned() {
    let dataset = blobs();
    let network = trained(&dataset);
    for saliency in [Saliency::Magnitude, Saliency::MFac] {
        let plain = pruned(&network, &spec(saliency, 1), &dataset);
        let tuned = PruningSpec {
            finetune: 3,
            ..spec(saliency, 1)
        };
        let tuned = pruned(&network, &tuned, &dataset);
        assert_pruned(&tuned, 0.8);
        assert_eq!(tuned.alive, plain.alive);
        assert_ne!(tuned.network.matrix_weights(), plain.network.matrix_weights());
        assert_eq!(tuned.measured_loss_increase, plain.measured_loss_increase);
    }
}

#[test]
fn a_pruned_network_is_pruned_on() {
    let dataset = blobs();
    let first = pruned(&trained(&dataset), &spec(Saliency::MFac, 2), &dataset);
    let further = PruningSpec {
        sparsity: 0.9,
        ..spec(Saliency::Magnitude, 2)
    };
    let second = pruned(&first.network, &further, &dataset);
    assert_pruned(&second, 0.9);
    for (after, before) in second.alive.iter().zip(&first.alive) {
        assert!(*before || !*after, "what is gone does not come back");
    }
    let less = PruningSpec {
        sparsity: 0.5,
        ..further
    };
    assert!(prune(&second.network, &less, &training(&dataset), &dataset, &ON).is_err());
}

#[test]
fn an_interruption_ends_it() {
    let dataset = blobs();
    let network = trained(&dataset);
    let stop = AtomicBool::new(true);
    let found = prune(
        &network,
        &spec(Saliency::MFac, 2),
        &training(&dataset),
        &dataset,
        &stop,
    );
    assert!(found.unwrap().is_none());
}

fn plan() -> Plan {
    Plan {
        origin: Origin::Trained,
        model: ModelSpec::mlp(vec![12]),
        epochs: Some(6),
        batch_size: 32,
        learning_rate: 3e-3,
        methods: vec![Saliency::MFac, Saliency::Magnitude],
        sparsities: vec![0.9, 0.5, 0.9],
        recomputations: 3,
        finetune: 0,
        gradients: 60,
        dampening: 1e-4,
        block_size: None,
        joint: false,
        seeds: 3,
        command: "test".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        versions: Vec::new(),
    }
}

fn pool(jobs: usize) -> Pool<'static> {
    static IGNORE: fn(&str, &Outcome) = |_, _| {};
    Pool {
        jobs,
        ledger: None,
        interrupted: &ON,
        on_done: &IGNORE,
    }
}

/// The numbers of a comparison that do not depend on the clock.
fn timeless(mut found: Pruning) -> String {
    for way in &mut found.ways {
        way.peak_bytes = 0;
        for point in &mut way.points {
            point.metrics.remove("seconds");
        }
    }
    found.dense.remove("seconds");
    serde_json::to_string(&found).unwrap()
}

#[test]
fn a_comparison_has_every_way_at_every_sparsity_whatever_the_number_of_jobs() {
    let (dataset, plan) = (blobs(), plan());
    let checked = plan.check(&dataset).unwrap();
    // Before pruning, by magnitude, and by M-FAC at once and in three steps.
    assert_eq!(checked.trials(), 3 * (1 + 3 * 2));
    let found = checked.run(&pool(1)).unwrap();
    let labels: Vec<String> = found.ways.iter().map(Judged::label).collect();
    assert_eq!(labels, ["magnitude at once", "m_fac at once", "m_fac in 3 steps"]);
    for way in &found.ways {
        assert_eq!(way.points.len(), 2);
        for (point, sparsity) in way.points.iter().zip([0.5, 0.9]) {
            assert_eq!(point.sparsity, sparsity);
            assert!((point.metrics["sparsity"].mean - sparsity).abs() < 0.01);
            assert_eq!(point.difference.is_some(), way.method != "magnitude");
            assert_eq!(point.metrics[MEASURED].values.len(), 3);
        }
    }
    let network = checked.best_network(&found, &pool(1)).unwrap();
    assert_eq!(network.describe(), "mlp 5-12-4, ReLU");
    let again = plan.check(&dataset).unwrap().run(&pool(2)).unwrap();
    assert_eq!(timeless(found), timeless(again));
}

#[test]
fn fine_tuning_has_as_many_epochs_at_once_as_by_and_by_and_sets_magnitudes_apart() {
    let mut plan = plan();
    plan.finetune = 1;
    plan.seeds = 1;
    plan.sparsities = vec![0.9];
    let dataset = blobs();
    let found = plan.check(&dataset).unwrap().run(&pool(2)).unwrap();
    assert_eq!(found.ways.len(), 4);
    assert_eq!(found.protocol.finetune, 3);
    let [once, gradual] = [0, 1].map(|way| found.ways[way].last().measured().mean);
    assert_ne!(once, gradual);
}

#[test]
fn plans_that_make_no_sense_say_why() {
    let dataset = blobs();
    type Change = (&'static str, fn(&mut Plan));
    let change: [Change; 9] = [
        ("seed", |plan| plan.seeds = 0),
        ("recomputation", |plan| plan.recomputations = 0),
        ("gradient", |plan| plan.gradients = 0),
        ("learning rate", |plan| plan.learning_rate = f64::NAN),
        ("sparsity", |plan| plan.sparsities = vec![1.2]),
        ("sparsity", |plan| plan.sparsities = Vec::new()),
        ("method", |plan| plan.methods = Vec::new()),
        ("dampening", |plan| plan.dampening = 0.0),
        ("block_size", |plan| plan.block_size = Some(0)),
    ];
    for (said, change) in change {
        let mut plan = plan();
        change(&mut plan);
        let refused: LabError = plan.check(&dataset).err().expect(said);
        assert!(refused.to_string().contains(said), "{said}: {refused}");
    }
}
