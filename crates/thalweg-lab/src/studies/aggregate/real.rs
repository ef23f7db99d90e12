//! Part E: real data in random bags. A linear model of the diabetes data, and a network on the breast cancer data told
//! the share of malignant tumours of each bag.

use std::sync::Arc;

use thalweg::aggregate::{AggregateLinear, Bags};
use thalweg::objective::Settings;
use thalweg_data::Dataset;
use thalweg_kernels::random::Stream;

use super::simulation::dot;
use crate::LabError;
use crate::model::ModelSpec;
use crate::pool::Pool;
use crate::statistics::{paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight, points};
use crate::trial::{BagForming, DataSpec, JudgedOn, Outcome, TrialSpec};

const SIZES: [usize; 5] = [2, 3, 5, 10, 20];
const SPLITS: usize = 50;
/// Rows of the diabetes data to train on, and to choose ρ by; the rest is the test.
const TRAINING: usize = 265;
const VALIDATION: usize = 88;
/// How much worse than the better end interpolation may be.
const SLACK: f64 = 1.01;
const NETWORK_SIZES: [usize; 2] = [5, 20];
const NETWORK_RHOS: [f64; 5] = [0.0, 0.1, 0.3, 0.6, 1.0];

fn splits(scale: &Scale) -> usize {
    scale.pick(SPLITS, 2)
}

fn network_seeds(scale: &Scale) -> u64 {
    scale.pick(10, 2)
}

pub(super) fn steps(scale: &Scale) -> usize {
    let trials = NETWORK_SIZES.len() * NETWORK_RHOS.len() * 2;
    splits(scale) + trials * network_seeds(scale) as usize
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    advance: &Advance,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let (linear_table, linear_claim) = diabetes(scale, pool, advance)?;
    let (network_table, network_claim) = breast_cancer(scale, pool)?;
    Ok((
        vec![linear_table, network_table],
        vec![linear_claim, network_claim],
    ))
}

/// Rows with a constant, standardised on those to train on.
struct Patients {
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

impl Patients {
    fn shuffled(dataset: &Dataset, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..dataset.len()).collect();
        Stream::new(seed, "rows", 0).shuffle(&mut order);
        let scaler = thalweg_data::standardize::Standardizer::fit(dataset, &order[..TRAINING]);
        let rows = order.iter().map(|&row| {
            let mut features = dataset.row(row).to_vec();
            scaler.apply(&mut features);
            std::iter::once(1.0)
                .chain(features.into_iter().map(f64::from))
                .collect()
        });
        let numbers = dataset.numbers.as_ref().expect("targets are numbers");
        Self {
            rows: rows.collect(),
            targets: order.iter().map(|&row| numbers.values[row]).collect(),
        }
    }

    /// Rows from `first` on in bags of `size`; what does not fill a bag is left out.
    fn bags(&self, first: usize, count: usize, size: usize) -> (Vec<f64>, Vec<f64>, Bags) {
        let count = count / size * size;
        let bags = Bags::new((0..count).map(|row| row / size).collect()).expect("every bag has a row");
        let means = bags.means(&self.targets[first..first + count], 1);
        (self.rows[first..first + count].concat(), means, bags)
    }

    /// Mean squared error on the test rows.
    fn error(&self, theta: &[f64]) -> f64 {
        let test = TRAINING + VALIDATION..;
        let rows = self.rows[test.clone()].iter().zip(&self.targets[test]);
        let count = rows.len() as f64;
        rows.map(|(row, target)| (dot(row, theta) - target).powi(2))
            .sum::<f64>()
            / count
    }
}

/// Test errors of bag level, instance level and the ρ that validation chose, and that ρ.
fn one_split(dataset: &Dataset, seed: u64, size: usize) -> [f64; 4] {
    let table = Patients::shuffled(dataset, seed);
    let width = dataset.width() + 1;
    let (x, means, bags) = table.bags(0, TRAINING, size);
    let linear = AggregateLinear::new(&x, width, &means, &bags);
    let (x, means, bags) = table.bags(TRAINING, VALIDATION, size);
    let candidates: Vec<(f64, Vec<f64>, f64)> = (0..=10)
        .map(|tenths| {
            let rho = f64::from(tenths) / 10.0;
            let theta = linear.estimate(rho).expect("ρ is in its range");
            let predicted: Vec<f64> = x.chunks_exact(width).map(|row| dot(row, &theta)).collect();
            let gaps = bags.means(&predicted, 1).into_iter().zip(&means);
            let validated = gaps.map(|(f, y)| (f - y).powi(2)).sum();
            (rho, theta, validated)
        })
        .collect();
    let chosen = candidates
        .iter()
        .min_by(|a, b| a.2.total_cmp(&b.2))
        .expect("there are candidates");
    let error = |candidate: &(f64, Vec<f64>, f64)| table.error(&candidate.1);
    [
        error(&candidates[0]),
        error(&candidates[10]),
        error(chosen),
        chosen.0,
    ]
}

fn diabetes(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let dataset = thalweg_data::embedded::diabetes();
    let found = pool.map(splits(scale), |split| {
        advance(1);
        SIZES.map(|size| one_split(&dataset, split as u64, size))
    })?;
    let mut rows = Vec::new();
    let mut worst = 0.0_f64;
    for (at, size) in SIZES.into_iter().enumerate() {
        let mean =
            |which: usize| summary(&found.iter().map(|sizes| sizes[at][which]).collect::<Vec<_>>()).mean;
        let [bag, instance, chosen, rho] = [0, 1, 2, 3].map(mean);
        worst = worst.max(chosen / bag.min(instance));
        rows.push(vec![
            size.to_string(),
            format!("{bag:.0}"),
            format!("{instance:.0}"),
            format!("{chosen:.0}"),
            format!("{rho:.2}"),
        ]);
    }
    let table = Table {
        title: format!(
            "E. Diabetes, linear model, ρ by bag-level validation: mean squared test error over {} splits",
            splits(scale)
        ),
        columns: ["k", "bag", "instance", "interpolating", "mean ρ"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    };
    let claim = Claim {
        text: "diabetes: interpolation chosen on bags is never much worse than the better end".to_owned(),
        criterion: "mean squared error at most 1% above the smaller of both at every bag size".to_owned(),
        evidence: format!("at worst {worst:.3} of it"),
        verdict: Some(if worst <= SLACK {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Supporting,
    };
    Ok((table, claim))
}

fn trial(
    scale: &Scale,
    fingerprint: &str,
    size: usize,
    rho: f64,
    seed: u64,
    judged_on: JudgedOn,
) -> TrialSpec {
    let data = DataSpec {
        test_fraction: 0.3,
        test_seed: seed,
        validation_fraction: 0.25,
        bags: Some(BagForming::Random(size)),
        ..DataSpec::new(fingerprint.to_owned())
    };
    let settings = Settings::from([("rho".to_owned(), rho)]);
    let mut spec = TrialSpec::new(
        data,
        ModelSpec::mlp(vec![32]),
        "interpolating_aggregate",
        settings,
        seed,
    );
    spec.epochs = scale.pick(40, 1);
    spec.judged_on = judged_on;
    spec
}

fn breast_cancer(scale: &Scale, pool: &Pool) -> Result<(Table, Claim), LabError> {
    let dataset = Arc::new(thalweg_data::embedded::breast_cancer());
    let fingerprint = dataset.fingerprint();
    let seeds = network_seeds(scale);
    let specs: Vec<TrialSpec> = NETWORK_SIZES
        .into_iter()
        .flat_map(|size| (0..seeds).map(move |seed| (size, seed)))
        .flat_map(|(size, seed)| NETWORK_RHOS.map(|rho| (size, seed, rho)))
        .flat_map(|(size, seed, rho)| {
            let fingerprint = &fingerprint;
            [JudgedOn::Validation, JudgedOn::Test]
                .map(move |judged_on| trial(scale, fingerprint, size, rho, seed, judged_on))
        })
        .collect();
    let outcomes = pool.run(&dataset, &specs)?;
    let runs: Vec<[f64; 3]> = outcomes.chunks(2 * NETWORK_RHOS.len()).map(of_run).collect();
    let mut rows = Vec::new();
    let mut verdicts = Vec::new();
    let mut evidence = Vec::new();
    for (size, runs) in NETWORK_SIZES.into_iter().zip(runs.chunks(seeds as usize)) {
        let column = |at: usize| -> Vec<f64> { runs.iter().map(|run| run[at]).collect() };
        let cells = [0, 1, 2].map(|at| format!("{:.1}", 100.0 * summary(&column(at)).mean));
        rows.push([vec![size.to_string()], cells.to_vec()].concat());
        for (at, end) in [(0, "bag"), (1, "instance")] {
            let difference = paired(&column(2), &column(at));
            verdicts.push(Verdict::not_below_zero(&difference));
            evidence.push(format!("k = {size}, minus {end}: {}", points(&difference)));
        }
    }
    let table = Table {
        title: format!(
            "E. Breast cancer, network 30-32-2 on label proportions: test accuracy in %, {seeds} seeds"
        ),
        columns: ["k", "bag", "instance", "interpolating"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    };
    let claim = Claim {
        text: "breast cancer: interpolation chosen on bags is not worse than either end".to_owned(),
        criterion: "no 95% interval of the paired differences in accuracy below 0".to_owned(),
        evidence: evidence.join("; "),
        verdict: Some(Verdict::of_all(verdicts)),
        weight: Weight::Supporting,
    };
    Ok((table, claim))
}

/// Test accuracies at ρ = 0, at 1, and at the ρ of least validated cross-entropy of bags.
fn of_run(outcomes: &[Outcome]) -> [f64; 3] {
    let validated = |at: usize| outcomes[2 * at].metrics["bag_cross_entropy"];
    let accuracy = |at: usize| outcomes[2 * at + 1].metrics["accuracy"];
    let last = NETWORK_RHOS.len() - 1;
    let chosen = (1..=last).fold(
        0,
        |best, at| if validated(at) < validated(best) { at } else { best },
    );
    [accuracy(0), accuracy(last), accuracy(chosen)]
}
