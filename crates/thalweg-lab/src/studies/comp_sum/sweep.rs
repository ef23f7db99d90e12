//! Part B: accuracy against τ, with clean labels and with 40% of them replaced uniformly.

use std::sync::Arc;

use thalweg_data::Dataset;

use super::trial;
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Scale, Table, Verdict, Weight, points};
use crate::trial::TrialSpec;

const TAUS: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];
const NOISE: [f64; 2] = [0.0, 0.4];

pub(super) fn specs(scale: &Scale, fingerprint: &str) -> Vec<TrialSpec> {
    let seeds = scale.seeds() as u64;
    let cells = NOISE
        .into_iter()
        .flat_map(|noise| TAUS.into_iter().map(move |tau| (noise, tau)));
    cells
        .flat_map(|(noise, tau)| {
            (0..seeds).map(move |seed| trial(scale, fingerprint, noise, ("comp_sum", &[("tau", tau)]), seed))
        })
        .collect()
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    dataset: &Arc<Dataset>,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let outcomes = pool.run(dataset, &specs(scale, &dataset.fingerprint()))?;
    let accuracy: Vec<f64> = outcomes
        .iter()
        .map(|outcome| outcome.metrics["accuracy"])
        .collect();
    let cells: Vec<&[f64]> = accuracy.chunks(scale.seeds()).collect();
    let (clean, noisy) = cells.split_at(TAUS.len());
    let of = |cells: &[&[f64]], tau: f64| {
        let index = TAUS
            .iter()
            .position(|&known| known == tau)
            .expect("a τ of the sweep");
        cells[index].to_vec()
    };
    let difference = |cells: &[&[f64]], a: f64, b: f64| paired(&of(cells, a), &of(cells, b));
    let claims = vec![
        claim(
            "clean labels: τ = 1 is no worse than τ = 0",
            &difference(clean, 1.0, 0.0),
            Verdict::not_below_zero,
        ),
        claim(
            "clean labels: τ = 1 is better than τ = 2",
            &difference(clean, 1.0, 2.0),
            Verdict::above_zero,
        ),
        claim(
            "40% noise: τ = 1.5 is better than τ = 1",
            &difference(noisy, 1.5, 1.0),
            Verdict::above_zero,
        ),
        claim(
            "40% noise: τ = 1 is better than τ = 0",
            &difference(noisy, 1.0, 0.0),
            Verdict::above_zero,
        ),
    ];
    Ok((
        vec![
            table(clean, "clean labels"),
            table(noisy, "40% uniform label noise"),
        ],
        claims,
    ))
}

fn claim(text: &str, difference: &Paired, judge: fn(&Paired) -> Verdict) -> Claim {
    let criterion = if judge(&Paired {
        mean: 0.0,
        low: -1.0,
        high: 1.0,
        p: 1.0,
    }) == Verdict::Holds
    {
        "95% interval of the paired difference not below 0"
    } else {
        "95% interval of the paired difference above 0"
    };
    Claim {
        text: text.to_owned(),
        criterion: criterion.to_owned(),
        evidence: points(difference),
        verdict: Some(judge(difference)),
        weight: Weight::Decisive,
    }
}

fn table(cells: &[&[f64]], labels: &str) -> Table {
    let reference = TAUS
        .iter()
        .position(|&tau| tau == 1.0)
        .expect("cross-entropy is in the sweep");
    let rows = TAUS.iter().zip(cells).enumerate().map(|(index, (tau, values))| {
        let summary = summary(values);
        let difference = if index == reference {
            "—".to_owned()
        } else {
            points(&paired(values, cells[reference]))
        };
        let half = 100.0 * 0.5 * (summary.high - summary.low);
        vec![
            format!("{tau}"),
            format!("{:.2} ± {half:.2}", 100.0 * summary.mean),
            difference,
        ]
    });
    Table {
        title: format!("B. τ sweep on digits, {labels}: test accuracy in %, mean ± 95% interval"),
        columns: ["τ", "accuracy", "minus τ = 1"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}
