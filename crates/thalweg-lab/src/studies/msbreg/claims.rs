//! What the runs say of MSBReg.

use super::methods::{Method, Setting};
use super::runs::{Run, Runs};
use crate::model::Normalization;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

type Number = fn(&Run) -> f64;

const NEIGHBOURS: Number = |run| run.scored.clean.neighbours;
const PROBE: Number = |run| run.scored.clean.probe;
const NEIGHBOURS_OF_VIEWS: Number = |run| run.scored.augmented.neighbours;
const RANK: Number = |run| run.effective_rank;
const COSINE: Number = |run| run.cosine;

/// Share of accuracy that may be lost.
const MARGIN: f64 = 0.005;

pub(super) fn judge(runs: &Runs) -> (Vec<Table>, Vec<Claim>) {
    let mut claims = Vec::new();
    for setting in Setting::ALL {
        claims.push(no_collapse(runs, setting));
        claims.push(helps(runs, setting));
    }
    for setting in [Setting::PLAIN, Setting::PREDICTOR] {
        claims.push(at_no_loss(runs, setting));
    }
    (Setting::ALL.map(|setting| table(runs, setting)).to_vec(), claims)
}

/// The criterion asks for it where nothing but the dispersion is against collapse.
fn weight(setting: Setting) -> Weight {
    if setting == Setting::PLAIN {
        Weight::Decisive
    } else {
        Weight::Supporting
    }
}

fn difference(runs: &Runs, setting: Setting, [method, other]: [Method; 2], number: Number) -> Paired {
    paired(
        &runs.of(setting, method, number),
        &runs.of(setting, other, number),
    )
}

fn plain(difference: &Paired, decimals: usize) -> String {
    let Paired { mean, low, high, .. } = difference;
    format!("{mean:+.decimals$} [{low:+.decimals$}, {high:+.decimals$}]").replace('-', "−")
}

fn no_collapse(runs: &Runs, setting: Setting) -> Claim {
    let pair = [Method::MSBREG, Method::CENTROID];
    let rank = difference(runs, setting, pair, RANK);
    let cosine = difference(runs, setting, [Method::CENTROID, Method::MSBREG], COSINE);
    Claim {
        text: format!(
            "{}: dispersion keeps embeddings from collapsing",
            setting.label()
        ),
        criterion: "95% intervals of the paired differences of MSBReg and attraction alone: effective rank above 0, mean cosine below 0"
            .to_owned(),
        evidence: format!(
            "effective rank {}; mean cosine lower by {}",
            plain(&rank, 2),
            plain(&cosine, 3)
        ),
        verdict: Some(Verdict::of_all([&rank, &cosine].map(Verdict::above_zero))),
        weight: weight(setting),
    }
}

fn helps(runs: &Runs, setting: Setting) -> Claim {
    let gain = difference(runs, setting, [Method::MSBREG, Method::CENTROID], NEIGHBOURS);
    Claim {
        text: format!(
            "{}: 20-NN under MSBReg is better than under attraction alone",
            setting.label()
        ),
        criterion: "95% interval of the paired difference above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight: weight(setting),
    }
}

fn at_no_loss(runs: &Runs, setting: Setting) -> Claim {
    let pair = [Method::ByolDispersed, Method::Byol];
    let gain = difference(runs, setting, pair, NEIGHBOURS);
    let above_margin = Paired {
        low: gain.low + MARGIN,
        high: gain.high + MARGIN,
        ..gain
    };
    let rank = difference(runs, setting, pair, RANK);
    Claim {
        text: format!(
            "{}: dispersion added to BYOL costs nothing and raises the effective rank",
            setting.label()
        ),
        criterion: "95% intervals of the paired differences: 20-NN above −0.5 points, effective rank above 0"
            .to_owned(),
        evidence: format!("20-NN {}; effective rank {}", points(&gain), plain(&rank, 2)),
        verdict: Some(Verdict::of_all([&above_margin, &rank].map(Verdict::above_zero))),
        weight: Weight::Decisive,
    }
}

fn table(runs: &Runs, setting: Setting) -> Table {
    const SHARES: [(&str, Number); 3] = [
        ("20-NN", NEIGHBOURS),
        ("probe", PROBE),
        ("NN, views", NEIGHBOURS_OF_VIEWS),
    ];
    let percent = |values: &[f64]| format!("{:.1}", 100.0 * summary(values).mean);
    let trained = setting.methods().into_iter().map(|method| {
        let mean = |number| summary(&runs.of(setting, method, number)).mean;
        let shares = SHARES
            .iter()
            .map(|&(_, number)| percent(&runs.of(setting, method, number)));
        let others = [
            format!("{:.1}", mean(RANK)),
            format!("{:.3}", mean(COSINE)).replace('-', "−"),
        ];
        std::iter::once(method.label().to_owned())
            .chain(shares)
            .chain(others)
            .collect::<Vec<_>>()
    });
    let before: [Vec<f64>; 3] = [
        runs.untrained
            .iter()
            .map(|scored| scored.clean.neighbours)
            .collect(),
        runs.untrained.iter().map(|scored| scored.clean.probe).collect(),
        runs.untrained
            .iter()
            .map(|scored| scored.augmented.neighbours)
            .collect(),
    ];
    let untrained =
        std::iter::once("untrained".to_owned()).chain(before.iter().map(|values| percent(values)));
    let untrained = untrained.chain(["—".to_owned(), "—".to_owned()]).collect();
    // The encoder before training is one with batch normalisation.
    let untrained = (setting.normalization == Normalization::Batch).then_some(untrained);
    Table {
        title: format!(
            "Digits, {}, {} epochs: accuracy in % on test digits and on views of them; effective rank of 32 and mean cosine of \
             test embeddings; means over the seeds",
            setting.label(),
            setting.epochs(runs.epochs)
        ),
        columns: ["training", "20-NN", "probe", "NN, views", "rank", "cosine"]
            .map(str::to_owned)
            .to_vec(),
        rows: trained.chain(untrained).collect(),
    }
}
