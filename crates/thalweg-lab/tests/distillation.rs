//! Distillation on small clouds: determined by its plan, whatever the number of jobs; resumed without loss; one teacher,
//! whether trained or read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thalweg_data::Dataset;
use thalweg_data::generators::gaussian_blobs;
use thalweg_lab::LabError;
use thalweg_lab::distillation::{Method, Plan, Teacher, teacher_trial};
use thalweg_lab::model::{AuxiliaryHeadSpec, ModelSpec};
use thalweg_lab::pool::{Ledger, Pool, Reuse};
use thalweg_lab::results::Comparison;
use thalweg_lab::store::Store;
use thalweg_lab::trial::{self, Source};

fn blobs() -> Arc<Dataset> {
    Arc::new(gaussian_blobs(480, 6, 5, 0.5, 1))
}

fn teacher(dataset: &Arc<Dataset>) -> Teacher {
    let spec = teacher_trial(dataset, ModelSpec::mlp(vec![32]), Some(20), 32);
    let trained = Teacher::train(&spec, dataset, &AtomicBool::new(false), &|| {});
    trained.unwrap().expect("nobody interrupts")
}

fn plan() -> Plan {
    let names = ["cross_entropy"].into_iter().chain(
        thalweg::catalogue::objectives()
            .iter()
            .filter(|entry| entry.family == "distillation")
            .map(|entry| entry.name),
    );
    Plan {
        methods: names
            .map(|name| Method {
                objective: name.to_owned(),
                settings: Default::default(),
            })
            .collect(),
        student: ModelSpec::mlp(vec![6]),
        auxiliary_head: AuxiliaryHeadSpec::NonLinear,
        seeds: 2,
        epochs: Some(12),
        batch_size: 32,
        learning_rate: 0.05,
        weight_decay: 5e-4,
        metric: "accuracy".to_owned(),
        command: "test".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        versions: Vec::new(),
    }
}

/// What must not depend on how it was run: all but the clock and the memory.
fn timeless(mut comparison: Comparison) -> String {
    for entry in comparison.conditions.iter_mut().flat_map(|c| &mut c.entries) {
        entry.seconds_per_epoch.values.clear();
        entry.seconds_per_epoch.mean = 0.0;
        (entry.seconds_per_epoch.low, entry.seconds_per_epoch.high) = (0.0, 0.0);
        entry.peak_bytes = 0;
    }
    serde_json::to_string(&comparison).unwrap()
}

fn run(
    plan: &Plan,
    dataset: &Arc<Dataset>,
    teacher: &Teacher,
    jobs: usize,
    ledger: Option<&Ledger>,
) -> Comparison {
    let interrupted = AtomicBool::new(false);
    let pool = Pool {
        jobs,
        ledger,
        interrupted: &interrupted,
        on_done: &|_, _| {},
    };
    plan.check(dataset).unwrap().run(teacher, &pool).unwrap()
}

#[test]
fn one_job_and_two_find_the_same_and_every_method_learns() {
    let (dataset, plan) = (blobs(), plan());
    let teacher = teacher(&dataset);
    let comparison = run(&plan, &dataset, &teacher, 1, None);
    let summary = comparison.protocol.teacher.clone().unwrap();
    assert!(summary.accuracy > 0.9, "{summary:?}");
    let entries = &comparison.conditions[0].entries;
    assert_eq!(entries.len(), plan.methods.len());
    for entry in entries {
        let accuracy = entry.metrics["accuracy"].mean;
        assert!(accuracy > 0.75, "{}: {accuracy}", entry.name);
    }
    assert_eq!(comparison.protocol.baseline, "cross_entropy");
    assert_eq!(
        timeless(comparison),
        timeless(run(&plan, &dataset, &teacher, 2, None))
    );
}

#[test]
fn finished_trials_are_found_again_by_the_teacher_they_had() {
    let (dataset, plan) = (blobs(), plan());
    let teacher = teacher(&dataset);
    let folder = tempfile::tempdir().unwrap();
    let ledger = |reuse| {
        let store = Store::open(&folder.path().join("runs.sqlite")).unwrap();
        let run = store.begin_run("test").unwrap();
        Ledger { store, run, reuse }
    };
    let first = run(&plan, &dataset, &teacher, 2, Some(&ledger(Reuse::None)));
    let again = run(&plan, &dataset, &teacher, 2, Some(&ledger(Reuse::Finished)));
    // The clock too: nothing was run.
    assert_eq!(
        serde_json::to_string(&first).unwrap(),
        serde_json::to_string(&again).unwrap()
    );
    let spec = teacher_trial(&dataset, ModelSpec::mlp(vec![8]), Some(2), 32);
    let other = Teacher::train(&spec, &dataset, &AtomicBool::new(false), &|| {}).unwrap();
    let other = run(
        &plan,
        &dataset,
        &other.unwrap(),
        2,
        Some(&ledger(Reuse::Finished)),
    );
    let of = |comparison: &Comparison, name: &str| {
        let entry = comparison.conditions[0]
            .entries
            .iter()
            .find(|entry| entry.name == name);
        entry.unwrap().metrics["nll"].values.clone()
    };
    assert_eq!(of(&first, "cross_entropy"), of(&other, "cross_entropy"));
    assert_ne!(of(&first, "kd"), of(&other, "kd"));
}

#[test]
fn a_teacher_written_and_read_is_the_same() {
    let dataset = blobs();
    let teacher = teacher(&dataset);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teacher.safetensors");
    teacher.save(&path).unwrap();
    let read = Teacher::open(&path, &dataset).unwrap();
    assert_eq!(read.fingerprint(), teacher.fingerprint());
    assert_eq!(read.description(), "mlp 5-32-6, ReLU");
    let wider = gaussian_blobs(480, 6, 4, 0.5, 1);
    let refused = Teacher::open(&path, &wider).unwrap_err().to_string();
    assert!(
        refused.contains("features") && refused.contains("teacher.safetensors"),
        "{refused}"
    );
}

#[test]
fn a_stopped_run_stops_the_teacher_and_tells_its_epochs() {
    let dataset = blobs();
    let spec = teacher_trial(&dataset, ModelSpec::mlp(vec![8]), Some(9), 32);
    let (interrupted, epochs) = (AtomicBool::new(false), AtomicUsize::new(0));
    let advance = || {
        if epochs.fetch_add(1, Ordering::Relaxed) == 3 {
            interrupted.store(true, Ordering::Relaxed);
        }
    };
    let stopped = Teacher::train(&spec, &dataset, &interrupted, &advance).unwrap();
    assert!(stopped.is_none());
    assert_eq!(epochs.into_inner(), 4);
}

#[test]
fn what_a_method_needs_is_asked_for() {
    let dataset = blobs();
    let teacher = teacher(&dataset);
    let plain = teacher_trial(&dataset, ModelSpec::mlp(vec![6]), Some(1), 32);
    let of = |objective: &str| {
        let mut spec = plain.clone();
        spec.objective = objective.to_owned();
        spec
    };
    let interrupted = AtomicBool::new(false);
    let refused = |spec, source: Source| match trial::run(&spec, source, &interrupted) {
        Err(LabError::Plan(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(of("kd"), Source::from(&dataset)).contains("kd learns from a teacher"));
    let taught = of("dual_head_kl")
        .taught(&teacher, AuxiliaryHeadSpec::Linear)
        .unwrap();
    assert!(refused(taught.clone(), Source::from(&dataset)).contains("another teacher"));
    let mut headless = taught.clone();
    headless.distillation.as_mut().unwrap().auxiliary_head = None;
    assert!(refused(headless, Source::taught(&dataset, &teacher)).contains("two heads"));
    let run = trial::run(&taught, Source::taught(&dataset, &teacher), &interrupted);
    assert!(run.unwrap().is_some());
    // Cross-entropy asks for nothing, and its trials are those of any other comparison.
    let labelled = of("cross_entropy")
        .taught(&teacher, AuxiliaryHeadSpec::Linear)
        .unwrap();
    assert_eq!(labelled.distillation, None);
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let dataset = blobs();
    let refused = |change: fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        plan.check(&dataset)
            .err()
            .expect("it must be refused")
            .to_string()
    };
    assert!(refused(|plan| plan.methods.truncate(1)).contains("two methods"));
    assert!(refused(|plan| plan.methods[1].objective = "kdd".to_owned()).contains("kdd"));
    assert!(refused(|plan| plan.metric = "speed".to_owned()).contains("speed"));
    assert!(refused(|plan| plan.metric = "robust_accuracy".to_owned()).contains("robust_accuracy"));
    assert!(refused(|plan| plan.learning_rate = f64::NAN).contains("learning rate"));
    assert!(refused(|plan| plan.seeds = 0).contains("seeds"));
    assert!(
        refused(|plan| {
            plan.methods[1].settings.insert("temperature".to_owned(), -1.0);
        })
        .contains("temperature")
    );
}
