//! What the runs say of group ordering.

use super::runs::{Method, Run, Runs};
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

type Number = fn(&Run) -> f64;

const NEIGHBOURS: Number = |run| run.scored.clean.neighbours;
const PROBE: Number = |run| run.scored.clean.probe;
const NEIGHBOURS_OF_VIEWS: Number = |run| run.scored.augmented.neighbours;
const PROBE_OF_VIEWS: Number = |run| run.scored.augmented.probe;
const ERROR: Number = |run| run.ordering_error;

const NT_XENT: Method = Method::NtXent { temperature: 0.1 };
/// Shares of accuracy that may be lost.
const MARGIN: f64 = 0.01;

pub(super) fn judge(runs: &Runs) -> (Table, Vec<Claim>) {
    let claims = vec![
        as_separable(runs),
        learns(runs),
        comes_into_order(runs),
        one_side_helps(runs),
    ];
    (table(runs), claims)
}

fn difference(runs: &Runs, method: Method, other: Method, number: Number) -> Paired {
    paired(&runs.of(method, number), &runs.of(other, number))
}

fn as_separable(runs: &Runs) -> Claim {
    let gain = difference(runs, Method::GROCO, NT_XENT, PROBE);
    let above_margin = Paired {
        low: gain.low + MARGIN,
        high: gain.high + MARGIN,
        ..gain
    };
    Claim {
        text: "features under GroCo (steepness 1, 2 views) are as separable as under NT-Xent at τ = 0.1"
            .to_owned(),
        criterion: "95% interval of the paired difference of probe accuracy above −1 point".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&above_margin)),
        weight: Weight::Decisive,
    }
}

fn learns(runs: &Runs) -> Claim {
    let gain = difference(runs, Method::GROCO, Method::Untrained, NEIGHBOURS_OF_VIEWS);
    Claim {
        text: "views of test digits are classified better than by the untrained encoder".to_owned(),
        criterion: "95% interval of the paired difference in 20-NN on views above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight: Weight::Decisive,
    }
}

fn comes_into_order(runs: &Runs) -> Claim {
    let [before, after] = [Method::Untrained, Method::GROCO].map(|method| summary(&runs.of(method, ERROR)));
    Claim {
        text: "training brings pairs into order".to_owned(),
        criterion: "mean share of positives below a strongest negative, on test views, at least halved"
            .to_owned(),
        evidence: format!(
            "{:.1} % to {:.1} % [{:.1}, {:.1}]",
            100.0 * before.mean,
            100.0 * after.mean,
            100.0 * after.low,
            100.0 * after.high
        ),
        verdict: Some(if after.mean <= 0.5 * before.mean {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    }
}

fn one_side_helps(runs: &Runs) -> Claim {
    let gain = difference(runs, Method::GROCO, Method::BothSides, NEIGHBOURS);
    Claim {
        text: "holding the other side of a pair constant helps".to_owned(),
        criterion: "mean paired difference in 20-NN above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(if gain.mean > 0.0 {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    }
}

fn table(runs: &Runs) -> Table {
    const COLUMNS: [(&str, Number); 5] = [
        ("20-NN", NEIGHBOURS),
        ("probe", PROBE),
        ("NN, views", NEIGHBOURS_OF_VIEWS),
        ("probe, views", PROBE_OF_VIEWS),
        ("wrong order", ERROR),
    ];
    let rows = Method::ALL.into_iter().map(|method| {
        let numbers = COLUMNS
            .iter()
            .map(|&(_, number)| format!("{:.1}", 100.0 * summary(&runs.of(method, number)).mean));
        std::iter::once(method.label()).chain(numbers).collect()
    });
    let columns = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    Table {
        title: "Digits: accuracy in % on test digits and on views of them; share of pairs of a positive and one of the 10 \
                strongest negatives in the wrong order, in %, on test views; means over the seeds"
            .to_owned(),
        columns: std::iter::once("training".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    }
}
