//! What of SAF matters: how far back it looks, the temperature, which way its divergence goes, and whose outputs they are.

use super::compared::{Compared, SAF, each, trained};
use super::data::Labels;
use super::method::Method;
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight, points};

const WEIGHT: f64 = 0.8;

/// With seeds of their own number: half as many as the comparison, at least two.
fn seeds(scale: &Scale) -> usize {
    scale.seeds().div_ceil(2).max(2).min(scale.seeds())
}

fn variants() -> Vec<Method> {
    let lag = |lag| Method::Saf {
        weight: WEIGHT,
        temperature: 5.0,
        lag,
    };
    let temperature = Method::Saf {
        weight: WEIGHT,
        temperature: 1.0,
        lag: 3,
    };
    let lags = [1, 2, 4, 5, 6, 7, 8].map(lag);
    let others = [
        temperature,
        Method::Swapped { weight: WEIGHT },
        Method::Strangers { weight: WEIGHT },
    ];
    [&lags[..], &others[..]].concat()
}

pub(super) fn steps(scale: &Scale) -> usize {
    variants().len() * seeds(scale)
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    compared: &Compared,
    advance: &Advance,
) -> Result<(Table, Claim), LabError> {
    let seeds = seeds(scale);
    let baseline = &compared.saf()[..seeds];
    let of_baseline = each(baseline, |outcome| outcome.accuracy);
    let mut rows = vec![row(
        &format!("{} (lag 3, τ 5)", SAF.label()),
        baseline,
        String::new(),
    )];
    let mut strangers = None;
    for method in variants() {
        let outcomes = trained(scale, pool, Labels::Noisy, method, seeds, advance)?;
        let gain = paired(&each(&outcomes, |outcome| outcome.accuracy), &of_baseline);
        rows.push(row(&method.label(), &outcomes, points(&gain)));
        if let Method::Strangers { .. } = method {
            let accuracy = each(&outcomes, |outcome| outcome.accuracy);
            strangers = Some(paired(&of_baseline, &accuracy));
        }
    }
    let loss = strangers.expect("it is among the variants");
    let claim = Claim {
        text: "it matters whose past outputs they are".to_owned(),
        criterion: "95% interval of what accuracy loses with those of another sample above 0".to_owned(),
        evidence: points(&loss),
        verdict: Some(Verdict::above_zero(&loss)),
        weight: Weight::Supporting,
    };
    let table = Table {
        title: format!("SAF with one thing changed, noisy labels, {seeds} seeds: accuracy in %"),
        columns: [
            "changed",
            "accuracy",
            "minus SAF",
            "eigenvalue",
            "rise",
            "training loss",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows,
    };
    Ok((table, claim))
}

fn row(label: &str, outcomes: &[super::run::Outcome], gain: String) -> Vec<String> {
    let mean = |number: fn(&super::run::Outcome) -> f64| summary(&each(outcomes, number)).mean;
    vec![
        label.to_owned(),
        format!("{:.2}", 100.0 * mean(|outcome| outcome.accuracy)),
        gain,
        format!("{:.3}", mean(|outcome| outcome.top_eigenvalue)),
        format!("{:.3}", mean(|outcome| outcome.worst_case)),
        format!("{:.3}", mean(|outcome| outcome.train_loss)),
    ]
}
