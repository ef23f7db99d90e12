//! What the runs say of individual temperatures.

use super::runs::{Method, Run, Runs};
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

const PROBE: fn(&Run) -> f64 = |run| run.scored.clean.probe;
const NEIGHBOURS: fn(&Run) -> f64 = |run| run.scored.clean.neighbours;
/// Share of accuracy that may be lost.
const MARGIN: f64 = 0.01;

pub(super) fn judge(runs: &Runs) -> (Table, Vec<Claim>) {
    let claims = vec![
        frequent_is_hot(runs),
        no_worse_than_the_grid(runs),
        no_worse_than_the_best(runs),
    ];
    (table(runs), claims)
}

/// Of samples of frequent classes, and of rare ones.
fn temperatures(runs: &Runs, method: Method) -> [Vec<f64>; 2] {
    [0, 1].map(|group| {
        runs.of(method, |run| {
            let temperatures = run.temperatures.expect("each sample has its own");
            temperatures[group]
        })
    })
}

fn frequent_is_hot(runs: &Runs) -> Claim {
    let evidence = Method::INDIVIDUAL.map(|method| {
        let [frequent, rare] = temperatures(runs, method);
        let Paired { mean, low, high, .. } = paired(&frequent, &rare);
        let text = format!("{}: {mean:+.3} [{low:+.3}, {high:+.3}]", method.label());
        text.replace('-', "−")
    });
    let [frequent, rare] = temperatures(runs, Method::JUDGED);
    Claim {
        text: "samples of frequent classes come to higher temperatures than those of rare ones".to_owned(),
        criterion: format!(
            "95% interval of the paired difference of mean temperatures above 0, {}",
            Method::JUDGED.label()
        ),
        evidence: evidence.join("; "),
        verdict: Some(Verdict::above_zero(&paired(&frequent, &rare))),
        weight: Weight::Decisive,
    }
}

fn not_inferior(text: &str, against: &str, gain: Paired) -> Claim {
    let above_margin = Paired {
        low: gain.low + MARGIN,
        high: gain.high + MARGIN,
        ..gain
    };
    Claim {
        text: text.to_owned(),
        criterion: format!(
            "95% interval of the paired difference of probe accuracy, {} minus {against}, above −1 point",
            Method::JUDGED.label()
        ),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&above_margin)),
        weight: Weight::Supporting,
    }
}

fn no_worse_than_the_grid(runs: &Runs) -> Claim {
    let each = Method::SINGLE.map(|method| runs.of(method, PROBE));
    let seeds = each[0].len();
    let mean = |seed: usize| each.iter().map(|values| values[seed]).sum::<f64>() / each.len() as f64;
    let grid: Vec<f64> = (0..seeds).map(mean).collect();
    not_inferior(
        "features are no worse than at a single temperature nobody searched for",
        "NT-Xent's mean over its temperatures",
        paired(&runs.of(Method::JUDGED, PROBE), &grid),
    )
}

fn no_worse_than_the_best(runs: &Runs) -> Claim {
    let mean = |method: &Method| summary(&runs.of(*method, PROBE)).mean;
    let best = Method::SINGLE
        .into_iter()
        .max_by(|a, b| mean(a).total_cmp(&mean(b)))
        .expect("there are several");
    not_inferior(
        "features are no worse than at the best single temperature",
        &format!("the best mean, {}", best.label()),
        paired(&runs.of(Method::JUDGED, PROBE), &runs.of(best, PROBE)),
    )
}

fn table(runs: &Runs) -> Table {
    let rows = Method::all().into_iter().map(|method| {
        let shares = [PROBE, NEIGHBOURS]
            .map(|number| format!("{:.1}", 100.0 * summary(&runs.of(method, number)).mean));
        let temperatures = if Method::INDIVIDUAL.contains(&method) {
            temperatures(runs, method).map(|values| format!("{:.3}", summary(&values).mean))
        } else {
            ["—", "—"].map(str::to_owned)
        };
        std::iter::once(method.label())
            .chain(shares)
            .chain(temperatures)
            .collect()
    });
    let columns = ["training", "probe", "20-NN", "τ, frequent", "τ, rare"];
    Table {
        title: "Digits with five rare classes: accuracy in % on all test digits, mean learned temperatures of the samples of \
                frequent and rare classes; means over the seeds"
            .to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}
