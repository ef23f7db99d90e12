//! What the runs say.

use super::runs::{ALL_THREE, CHOICES, CROSS, CROSS_ICNN, CROSS_TRIPLET, Runs, SHOTS, Terms};
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

/// Share of accuracy that may be lost where terms are no worse.
const MARGIN: f64 = 0.01;

pub(super) fn judge(runs: &Runs) -> (Vec<Table>, Vec<Claim>) {
    let mut claims = vec![
        more_accurate(runs, 5, CROSS_ICNN, Weight::Decisive),
        purer(runs, 5, Weight::Decisive),
        no_worse(runs, 5),
        more_accurate(runs, 5, CROSS_TRIPLET, Weight::Supporting),
        more_accurate(runs, 5, ALL_THREE, Weight::Supporting),
    ];
    claims.extend(
        [CROSS_ICNN, CROSS_TRIPLET, ALL_THREE].map(|terms| more_accurate(runs, 1, terms, Weight::Supporting)),
    );
    claims.push(purer(runs, 1, Weight::Supporting));
    (SHOTS.map(|shots| table(runs, shots)).into(), claims)
}

fn over_cross(runs: &Runs, shots: usize, terms: Terms, metric: &str) -> Paired {
    paired(&runs.of(shots, terms, metric), &runs.of(shots, CROSS, metric))
}

fn more_accurate(runs: &Runs, shots: usize, terms: Terms, weight: Weight) -> Claim {
    let gain = over_cross(runs, shots, terms, "accuracy");
    Claim {
        text: format!(
            "{shots}-shot: {} classifies novel classes better than cross",
            terms.label
        ),
        criterion: "95% interval of the paired difference in accuracy above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight,
    }
}

fn purer(runs: &Runs, shots: usize, weight: Weight) -> Claim {
    let gain = over_cross(runs, shots, CROSS_ICNN, "icnn_score");
    Claim {
        text: format!("{shots}-shot: cross + fullicnn gives novel episodes a higher ICNN score than cross"),
        criterion: "95% interval of the paired difference in the score above 0".to_owned(),
        evidence: format!("{:+.4} [{:+.4}, {:+.4}]", gain.mean, gain.low, gain.high).replace('-', "−"),
        verdict: Some(Verdict::above_zero(&gain)),
        weight,
    }
}

fn no_worse(runs: &Runs, shots: usize) -> Claim {
    let gain = over_cross(runs, shots, CROSS_ICNN, "accuracy");
    let above_margin = Paired {
        low: gain.low + MARGIN,
        high: gain.high + MARGIN,
        ..gain
    };
    Claim {
        text: format!("{shots}-shot: cross + fullicnn is at least no worse than cross"),
        criterion: "95% interval of the paired difference in accuracy above −1 point".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&above_margin)),
        weight: Weight::Supporting,
    }
}

fn table(runs: &Runs, shots: usize) -> Table {
    let rows = CHOICES.into_iter().map(|terms| {
        let mean = |metric: &str| summary(&runs.of(shots, terms, metric)).mean;
        let gain = match terms == CROSS {
            true => "–".to_owned(),
            false => points(&over_cross(runs, shots, terms, "accuracy")),
        };
        vec![
            terms.label.to_owned(),
            format!("{:.2}", 100.0 * mean("accuracy")),
            gain,
            format!("{:.4}", mean("icnn_score")),
            format!("{:.4}", mean("original_icnn_score")),
        ]
    });
    Table {
        title: format!(
            "5-way {shots}-shot episodes of 16 novel classes of rotated digits: accuracy in %, its paired difference to cross, \
             and ICNN scores; means over the seeds"
        ),
        columns: ["terms", "accuracy", "over cross", "ICNN score", "original score"]
            .map(str::to_owned)
            .into(),
        rows: rows.collect(),
    }
}
