//! The main job on the embedded digits, small: determined by its plan, whatever the number of jobs; resumed without loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thalweg_data::Dataset;
use thalweg_lab::LabError;
use thalweg_lab::comparison::{Mover, Plan};
use thalweg_lab::model::ModelSpec;
use thalweg_lab::pool::{Ledger, Pool, Reuse};
use thalweg_lab::results::{Comparison, Entry};
use thalweg_lab::store::Store;
use thalweg_lab::trial::NoiseKind;

fn plan() -> Plan {
    Plan {
        objectives: ["cross_entropy", "generalized_cross_entropy", "focal"]
            .map(str::to_owned)
            .to_vec(),
        noise: vec![0.0, 0.4],
        noise_kind: NoiseKind::Uniform,
        imbalance: None,
        model: ModelSpec::mlp(vec![16]),
        seeds: 3,
        epochs: Some(4),
        batch_size: 64,
        optimizers: Vec::new(),
        optimizer: Mover::adam(),
        weight_decay: None,
        tries: 2,
        bags: None,
        metric: Some("accuracy".to_owned()),
        attack: None,
        command: "test".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        versions: Vec::new(),
    }
}

fn digits() -> Arc<Dataset> {
    Arc::new(thalweg_data::digits())
}

/// What must not depend on how it was run: all but the clock and the memory.
fn timeless(mut comparison: Comparison) -> String {
    let entries = comparison
        .conditions
        .iter_mut()
        .flat_map(|condition| &mut condition.entries);
    for entry in entries {
        let Entry {
            seconds_per_epoch,
            peak_bytes,
            ..
        } = entry;
        seconds_per_epoch.values.clear();
        (
            seconds_per_epoch.mean,
            seconds_per_epoch.low,
            seconds_per_epoch.high,
            *peak_bytes,
        ) = (0.0, 0.0, 0.0, 0);
    }
    serde_json::to_string(&comparison).unwrap()
}

fn run(plan: &Plan, jobs: usize) -> Comparison {
    let (dataset, interrupted) = (digits(), AtomicBool::new(false));
    let pool = Pool {
        jobs,
        ledger: None,
        interrupted: &interrupted,
        on_done: &|_, _| {},
    };
    plan.check(&dataset).unwrap().run(&pool).unwrap()
}

#[test]
fn one_job_and_two_find_the_same_and_it_is_learning() {
    let comparison = run(&plan(), 1);
    for condition in &comparison.conditions {
        for entry in &condition.entries {
            let accuracy = &entry.metrics["accuracy"];
            assert!(
                accuracy.mean > 0.5,
                "{} at noise {}: {}",
                entry.name,
                condition.noise,
                accuracy.mean
            );
            assert_eq!(accuracy.values.len(), 3);
            assert_eq!(entry.difference.is_none(), entry.name == "cross_entropy");
        }
    }
    let clean = comparison.conditions[0].entries[0].metrics["accuracy"].mean;
    let noisy = comparison.conditions[1].entries[0].metrics["accuracy"].mean;
    assert!(clean > noisy);
    assert_eq!(timeless(comparison), timeless(run(&plan(), 2)));
}

#[test]
fn an_interrupted_comparison_resumes_where_it_was() {
    let (plan, dataset) = (plan(), digits());
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("runs.sqlite");
    let ledger = |reuse| {
        let store = Store::open(&store).unwrap();
        Ledger {
            run: store.begin_run("test").unwrap(),
            store,
            reuse,
        }
    };
    let interrupted = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    let stop_at_seven = |_: &_, _: &_| {
        if done.fetch_add(1, Ordering::SeqCst) + 1 == 7 {
            interrupted.store(true, Ordering::SeqCst);
        }
    };
    let first = ledger(Reuse::None);
    let pool = Pool {
        jobs: 2,
        ledger: Some(&first),
        interrupted: &interrupted,
        on_done: &stop_at_seven,
    };
    let checked = plan.check(&dataset).unwrap();
    assert!(matches!(checked.run(&pool), Err(LabError::Interrupted)));
    // The other job may have been past its last look at the flag.
    let kept = first.store.runs().unwrap()[0].trials;
    assert!((7..=8).contains(&kept), "{kept} trials kept");

    interrupted.store(false, Ordering::SeqCst);
    let second = ledger(Reuse::Finished);
    let pool = Pool {
        jobs: 2,
        ledger: Some(&second),
        interrupted: &interrupted,
        on_done: &|_, _| {},
    };
    let resumed = checked.run(&pool).unwrap();
    assert_eq!(timeless(resumed), timeless(run(&plan, 2)));
    let runs = second.store.runs().unwrap();
    assert_eq!(
        runs.iter().map(|run| run.trials as usize).max(),
        Some(checked.trials())
    );
}

#[test]
fn plans_that_make_no_sense_are_refused_before_anything_runs() {
    let dataset = digits();
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        plan.check(&dataset).err().expect("refused").to_string()
    };
    assert!(refused(&|plan| plan.objectives.push("cross_entropie".to_owned())).contains("`cross_entropie`"));
    assert!(refused(&|plan| plan.metric = Some("accuracies".to_owned())).contains("macro_f1"));
    assert!(refused(&|plan| plan.noise = vec![1.5]).contains("1.5"));
    assert!(refused(&|plan| plan.objectives.truncate(1)).contains("two objectives"));
    assert!(refused(&|plan| plan.metric = Some("robust_accuracy".to_owned())).contains("--attack"));
    assert!(
        refused(&|plan| plan.imbalance = Some((0.5, thalweg_lab::trial::ImbalanceKind::Step)))
            .contains("0.5")
    );
    let of_optimizers = |change: &dyn Fn(&mut Plan)| {
        refused(&|plan| {
            plan.objectives = vec!["cross_entropy".to_owned()];
            plan.optimizers = vec!["adamw".to_owned(), "lion".to_owned()];
            change(plan);
        })
    };
    assert!(of_optimizers(&|plan| plan.optimizers.truncate(1)).contains("two optimisers"));
    assert!(of_optimizers(&|plan| plan.optimizers.push("lino".to_owned())).contains("`lino`"));
    assert!(of_optimizers(&|plan| plan.objectives.push("focal".to_owned())).contains("one objective"));
    assert!(of_optimizers(&|plan| plan.weight_decay = Some(-1.0)).contains("-1"));
    assert!(
        of_optimizers(&|plan| plan.metric = Some("constraint_distance".to_owned())).contains("constraint")
    );
}

#[test]
fn optimisers_are_varied_on_one_objective_and_a_bound_is_told() {
    let plan = Plan {
        objectives: vec!["focal".to_owned()],
        optimizers: ["lion", "adamw", "m_fac"].map(str::to_owned).to_vec(),
        noise: vec![0.0],
        epochs: Some(15),
        ..plan()
    };
    let comparison = run(&plan, 2);
    assert_eq!(comparison.protocol.objective.as_deref(), Some("focal"));
    assert_eq!(comparison.protocol.baseline, "adamw");
    let entry = |name: &str| {
        let mut entries = comparison.conditions[0].entries.iter();
        entries.find(|entry| entry.name == name).unwrap()
    };
    for name in ["lion", "adamw", "m_fac"] {
        assert!(entry(name).metrics["accuracy"].mean > 0.5, "{name}");
        assert!(entry(name).parameters.contains_key("weight_decay"), "{name}");
    }
    assert_eq!(entry("lion").metrics["constraint_distance"].mean, 0.0);
    assert!(entry("adamw").curve[0].constraint_distance.is_none());
    assert!(comparison.recommendation.code.contains("let mut optimizer = "));
    assert_eq!(timeless(run(&plan, 1)), timeless(comparison));
}

#[test]
fn weights_far_outside_their_bound_are_drawn_to_it_epoch_by_epoch() {
    // At λ = 30 weights are to stay below 1/30; a quarter of the first ones does.
    let plan = Plan {
        objectives: vec!["cross_entropy".to_owned()],
        optimizers: ["lion", "lion_k_huber"].map(str::to_owned).to_vec(),
        weight_decay: Some(30.0),
        noise: vec![0.0],
        tries: 0,
        epochs: Some(8),
        ..plan()
    };
    for entry in &run(&plan, 2).conditions[0].entries {
        let curve = entry.curve.iter();
        let distances: Vec<f64> = curve.map(|point| point.constraint_distance.unwrap()).collect();
        assert_eq!(entry.parameters["weight_decay"], 30.0);
        assert!(distances[0] > 0.5, "{distances:?}");
        assert!(
            distances.is_sorted_by(|before, after| after < before),
            "{distances:?}"
        );
        let last = entry.metrics["constraint_distance"].mean;
        assert!((last - distances[7]).abs() < 1e-12 && last < 0.5 * distances[0]);
    }
}
