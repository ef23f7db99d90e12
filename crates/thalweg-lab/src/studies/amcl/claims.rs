//! What the runs say of AMCL.

use thalweg::contrastive::amcl::Aggregate;

use super::runs::{ALL_KINDS, FEW_KINDS, Method, Run, Runs, Setting};
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

type Number = fn(&Run) -> f64;

const PROBE: Number = |run| run.scored.clean.probe;
const OVERLAP: Number = |run| run.overlap;

const TUNED: Method = Method::NtXent { temperature: 0.1 };
const POOR: Method = Method::NtXent { temperature: 0.5 };
/// Share of accuracy that may be lost.
const MARGIN: f64 = 0.005;

pub(super) fn judge(runs: &Runs) -> (Vec<Table>, Vec<Claim>) {
    let claims = vec![
        no_worse_than_tuned(runs),
        better_than_poor(runs),
        heads_do_not_hurt(runs),
        heads_overlap_less(runs),
        grows_with_kinds(runs),
        hardest_alone(runs),
    ];
    (vec![table(runs, ALL_KINDS), table(runs, FEW_KINDS)], claims)
}

fn difference(runs: &Runs, kinds: usize, [method, other]: [Method; 2], number: Number) -> Paired {
    let of = |method| runs.of(Setting { kinds, method }, number);
    paired(&of(method), &of(other))
}

fn no_worse_than_tuned(runs: &Runs) -> Claim {
    let gain = difference(runs, ALL_KINDS, [Method::judged(3), TUNED], PROBE);
    let above_margin = Paired {
        low: gain.low + MARGIN,
        high: gain.high + MARGIN,
        ..gain
    };
    Claim {
        text:
            "features under AMCL (log-sum-exp, C = 3, β = 0.1) are as separable as under NT-Xent at τ = 0.1"
                .to_owned(),
        criterion: "95% interval of the paired difference of probe accuracy above −0.5 point".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&above_margin)),
        weight: Weight::Decisive,
    }
}

fn better_than_poor(runs: &Runs) -> Claim {
    let gain = difference(runs, ALL_KINDS, [Method::judged(3), POOR], PROBE);
    Claim {
        text: "they are more separable than under NT-Xent at τ = 0.5".to_owned(),
        criterion: "95% interval of the paired difference of probe accuracy above 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight: Weight::Decisive,
    }
}

fn heads_do_not_hurt(runs: &Runs) -> Claim {
    let gain = difference(runs, ALL_KINDS, [Method::judged(3), Method::judged(1)], PROBE);
    Claim {
        text: "three heads are no worse than one at five kinds of change".to_owned(),
        criterion: "95% interval of the paired difference of probe accuracy not below 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::not_below_zero(&gain)),
        weight: Weight::Decisive,
    }
}

fn heads_overlap_less(runs: &Runs) -> Claim {
    let less = difference(runs, ALL_KINDS, [Method::judged(1), Method::judged(3)], OVERLAP);
    Claim {
        text: "scores of positive and negative pairs overlap less with three heads than with one".to_owned(),
        criterion: "95% interval of the paired difference of 1 − AUC, one head minus three, above 0"
            .to_owned(),
        evidence: points(&less),
        verdict: Some(Verdict::above_zero(&less)),
        weight: Weight::Decisive,
    }
}

fn grows_with_kinds(runs: &Runs) -> Claim {
    let gains = [ALL_KINDS, FEW_KINDS].map(|kinds| {
        let of = |method| runs.of(Setting { kinds, method }, PROBE);
        let pairs = of(Method::judged(3)).into_iter().zip(of(TUNED));
        pairs.map(|(amcl, other)| amcl - other).collect::<Vec<f64>>()
    });
    let more = paired(&gains[0], &gains[1]);
    let [all, few] = [ALL_KINDS, FEW_KINDS].map(|kinds| {
        let gain = difference(runs, kinds, [Method::judged(3), TUNED], PROBE);
        points(&gain)
    });
    Claim {
        text: "the gain over NT-Xent at τ = 0.1 grows with the kinds of change".to_owned(),
        criterion: "95% interval of the paired difference of both gains in probe accuracy above 0".to_owned(),
        evidence: format!(
            "K = {ALL_KINDS}: {all}; K = {FEW_KINDS}: {few}; more by {}",
            points(&more)
        ),
        verdict: Some(Verdict::above_zero(&more)),
        weight: Weight::Supporting,
    }
}

fn hardest_alone(runs: &Runs) -> Claim {
    let printed = Method::Amcl {
        heads: 3,
        aggregate: Aggregate::Max,
        beta: 0.1,
    };
    let gain = difference(runs, ALL_KINDS, [printed, Method::judged(3)], PROBE);
    Claim {
        text: "the hardest negative alone, as the paper's table has it, does as well as all of them"
            .to_owned(),
        criterion: "95% interval of the paired difference of probe accuracy not below 0".to_owned(),
        evidence: points(&gain),
        verdict: Some(Verdict::not_below_zero(&gain)),
        weight: Weight::Supporting,
    }
}

fn table(runs: &Runs, kinds: usize) -> Table {
    const COLUMNS: [(&str, Number); 5] = [
        ("20-NN", |run| run.scored.clean.neighbours),
        ("probe", PROBE),
        ("NN, views", |run| run.scored.augmented.neighbours),
        ("probe, views", |run| run.scored.augmented.probe),
        ("overlap", OVERLAP),
    ];
    let settings = Setting::all()
        .into_iter()
        .filter(|setting| setting.kinds == kinds);
    let rows = settings.map(|setting| {
        let numbers = COLUMNS.iter().map(|&(_, number)| {
            let mean = summary(&runs.of(setting, number)).mean;
            if mean.is_nan() {
                "–".to_owned()
            } else {
                format!("{:.2}", 100.0 * mean)
            }
        });
        std::iter::once(setting.method.label()).chain(numbers).collect()
    });
    let columns = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    Table {
        title: format!(
            "Digits, {kinds} kinds of change: accuracy in % on test digits and on views of them; overlap 1 − AUC of positive \
             and negative pairs of test views, in %; means over the seeds"
        ),
        columns: std::iter::once("training".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    }
}
