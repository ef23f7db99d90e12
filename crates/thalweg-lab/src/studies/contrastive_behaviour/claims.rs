//! What the runs say of the temperature.

use super::runs::{Method, Run, Runs};
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

type Number = fn(&Run) -> f64;

const fn at(temperature: f64) -> Method {
    Method::Ordinary { temperature }
}

/// Below 0.1 short training does not get as uniform as it might.
const RISING: [Method; 4] = [at(0.2), at(0.5), at(1.0), at(2.0)];

const NEIGHBOURS: Number = |run| run.scored.clean.neighbours;
const UNIFORM: Number = |run| run.minus_uniformity;
const TOLERANT: Number = |run| run.tolerance;

pub(super) fn judge(runs: &Runs) -> (Vec<Table>, Vec<Claim>) {
    let claims = vec![
        less_uniform(runs),
        more_tolerant(runs),
        beats(runs, at(2.0)),
        beats(runs, at(0.05)),
        hard_is_uniform(runs),
        hard_is_accurate(runs),
    ];
    (vec![table(runs)], claims)
}

fn difference(runs: &Runs, method: Method, other: Method, number: Number) -> Paired {
    paired(&runs.of(method, number), &runs.of(other, number))
}

fn plain(difference: &Paired) -> String {
    let Paired { mean, low, high, .. } = difference;
    format!("{mean:+.3} [{low:+.3}, {high:+.3}]").replace('-', "−")
}

fn less_uniform(runs: &Runs) -> Claim {
    let falls: Vec<Paired> = RISING
        .windows(2)
        .map(|pair| difference(runs, pair[0], pair[1], UNIFORM))
        .collect();
    let evidence: Vec<String> = falls.iter().map(plain).collect();
    Claim {
        text: "embeddings are the less uniform the higher the temperature: 0.2, 0.5, 1, 2".to_owned(),
        criterion: "95% interval of the fall of minus uniformity from each to the next above 0".to_owned(),
        evidence: evidence.join("; "),
        verdict: Some(Verdict::of_all(falls.iter().map(Verdict::above_zero))),
        weight: Weight::Decisive,
    }
}

fn more_tolerant(runs: &Runs) -> Claim {
    let gain = difference(runs, at(1.0), at(0.2), TOLERANT);
    Claim {
        text: "embeddings are more tolerant at temperature 1 than at 0.2".to_owned(),
        criterion: "mean paired difference above 0".to_owned(),
        evidence: plain(&gain),
        verdict: Some(if gain.mean > 0.0 {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    }
}

fn beats(runs: &Runs, rival: Method) -> Claim {
    let gain = difference(runs, at(0.2), rival, NEIGHBOURS);
    Claim {
        text: format!(
            "a moderate temperature is best: 20-NN at τ = 0.2 beats {}",
            rival.label(&runs.epochs)
        ),
        criterion: "95% interval of the paired difference above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight: Weight::Decisive,
    }
}

fn hard_is_uniform(runs: &Runs) -> Claim {
    let gain = difference(runs, Method::Hard, Method::OrdinaryShorter, UNIFORM);
    Claim {
        text: "at temperature 1 hard negatives, after a warm-up, make embeddings more uniform than all negatives do".to_owned(),
        criterion: "95% interval of the paired difference in minus uniformity above 0, equally many epochs".to_owned(),
        evidence: plain(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight: Weight::Decisive,
    }
}

fn hard_is_accurate(runs: &Runs) -> Claim {
    let gain = difference(runs, Method::Hard, Method::OrdinaryShorter, NEIGHBOURS);
    Claim {
        text: "and 20-NN more accurate".to_owned(),
        criterion: "95% interval of the paired difference above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight: Weight::Supporting,
    }
}

fn table(runs: &Runs) -> Table {
    const SHARES: [(&str, Number); 4] = [
        ("20-NN", NEIGHBOURS),
        ("probe", |run| run.scored.clean.probe),
        ("NN, views", |run| run.scored.augmented.neighbours),
        ("probe, views", |run| run.scored.augmented.probe),
    ];
    const PLAIN: [(&str, Number); 2] = [("−unif.", UNIFORM), ("tolerance", TOLERANT)];
    let percent = |values: &[f64]| format!("{:.1}", 100.0 * summary(values).mean);
    let trained = Method::ALL.into_iter().map(|method| {
        let label = method.label(&runs.epochs);
        let shares = SHARES
            .iter()
            .map(|&(_, number)| percent(&runs.of(method, number)));
        let others = PLAIN
            .iter()
            .map(|&(_, number)| format!("{:.3}", summary(&runs.of(method, number)).mean).replace('-', "−"));
        std::iter::once(label).chain(shares).chain(others).collect()
    });
    let before = &runs.untrained;
    let of_untrained = [
        before
            .iter()
            .map(|scored| scored.clean.neighbours)
            .collect::<Vec<_>>(),
        before.iter().map(|scored| scored.clean.probe).collect(),
        before.iter().map(|scored| scored.augmented.neighbours).collect(),
        before.iter().map(|scored| scored.augmented.probe).collect(),
    ];
    let untrained =
        std::iter::once("untrained".to_owned()).chain(of_untrained.iter().map(|values| percent(values)));
    let untrained = untrained.chain(["—".to_owned(), "—".to_owned()]).collect();
    let columns = SHARES.iter().chain(&PLAIN).map(|(name, _)| (*name).to_owned());
    Table {
        title: "A. Digits under NT-Xent: accuracy in % on test digits and on views of them; −uniformity and tolerance of test \
                embeddings; means over the seeds"
            .to_owned(),
        columns: std::iter::once("training".to_owned()).chain(columns).collect(),
        rows: trained.chain([untrained]).collect(),
    }
}
