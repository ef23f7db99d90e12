//! Part C: clean against robust accuracy in an l-infinity ball, ADV-COMP-SUM beside TRADES and PGD adversarial training.
//!
//! Robust accuracy counts the samples that withstand two attacks of 40 steps, on cross-entropy and on the margin shift.

use std::sync::Arc;

use thalweg::robustness::Norm;
use thalweg_data::Dataset;

use super::trial;
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Scale, Table, Verdict, Weight, points};
use crate::trial::{AttackSet, AttackSpec, Outcome, TrialSpec};

const EPSILON: f64 = 0.1;

/// A method: its name in the table, the objective, its own parameter.
struct Method {
    label: &'static str,
    objective: &'static str,
    settings: &'static [(&'static str, f64)],
}

const METHODS: [Method; 8] = [
    Method {
        label: "cross-entropy",
        objective: "cross_entropy",
        settings: &[],
    },
    Method {
        label: "PGD adversarial training",
        objective: "adversarial_training",
        settings: &[("epsilon", EPSILON)],
    },
    Method {
        label: "TRADES β = 1",
        objective: "trades",
        settings: &[("epsilon", EPSILON), ("beta", 1.0)],
    },
    Method {
        label: "TRADES β = 3",
        objective: "trades",
        settings: &[("epsilon", EPSILON), ("beta", 3.0)],
    },
    Method {
        label: "TRADES β = 6",
        objective: "trades",
        settings: &[("epsilon", EPSILON), ("beta", 6.0)],
    },
    Method {
        label: "ADV-COMP-SUM ν = 0.1",
        objective: "adv_comp_sum",
        settings: &[("epsilon", EPSILON), ("nu", 0.1)],
    },
    Method {
        label: "ADV-COMP-SUM ν = 0.25",
        objective: "adv_comp_sum",
        settings: &[("epsilon", EPSILON), ("nu", 0.25)],
    },
    Method {
        label: "ADV-COMP-SUM ν = 0.5",
        objective: "adv_comp_sum",
        settings: &[("epsilon", EPSILON), ("nu", 0.5)],
    },
];
const BASELINE: usize = 0;
const TRADES: [usize; 3] = [2, 3, 4];
const ADV_COMP_SUM: [usize; 3] = [5, 6, 7];

pub(super) fn specs(scale: &Scale, fingerprint: &str) -> Vec<TrialSpec> {
    let attack = AttackSpec {
        norm: Norm::LInf,
        epsilon: EPSILON,
        steps: scale.pick(40, 4),
        worst_of: AttackSet::CrossEntropyAndShift,
    };
    METHODS
        .iter()
        .flat_map(|method| {
            (0..scale.seeds() as u64).map(move |seed| {
                let mut spec = trial(scale, fingerprint, 0.0, (method.objective, method.settings), seed);
                spec.attack = Some(attack);
                spec
            })
        })
        .collect()
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    dataset: &Arc<Dataset>,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let outcomes = pool.run(dataset, &specs(scale, &dataset.fingerprint()))?;
    let of = |metric: &str| -> Vec<Vec<f64>> {
        let values = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.metrics[metric]).collect();
        outcomes.chunks(scale.seeds()).map(values).collect()
    };
    let (clean, robust) = (of("accuracy"), of("robust_accuracy"));
    let claims = vec![
        at_matched_robustness(&clean, &robust),
        more_robust(&robust, "TRADES β = 6", TRADES[2]),
        more_robust(&robust, "ADV-COMP-SUM ν = 0.5", ADV_COMP_SUM[2]),
        dial(&clean, &robust),
    ];
    Ok((vec![table(&clean, &robust)], claims))
}

/// Clean accuracy on a method's frontier at a robust accuracy, linear between its points; the nearest end beyond them.
fn on_frontier(mut points: Vec<(f64, f64)>, robust: f64) -> f64 {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (points[0], points[points.len() - 1]);
    if robust <= first.0 {
        return first.1;
    }
    for pair in points.windows(2) {
        if robust <= pair[1].0 {
            let share = (robust - pair[0].0) / (pair[1].0 - pair[0].0).max(f64::MIN_POSITIVE);
            return pair[0].1 + share * (pair[1].1 - pair[0].1);
        }
    }
    last.1
}

fn frontier(clean: &[Vec<f64>], robust: &[Vec<f64>], methods: [usize; 3], seed: usize) -> Vec<(f64, f64)> {
    methods
        .iter()
        .map(|&method| (robust[method][seed], clean[method][seed]))
        .collect()
}

/// The paper's claim, at the middle of the robust accuracies that both frontiers of a seed cover.
fn at_matched_robustness(clean: &[Vec<f64>], robust: &[Vec<f64>]) -> Claim {
    let seeds = clean[0].len();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let adv = frontier(clean, robust, ADV_COMP_SUM, seed);
        let trades = frontier(clean, robust, TRADES, seed);
        let least = |points: &[(f64, f64)]| points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = |points: &[(f64, f64)]| points.iter().map(|point| point.0).fold(0.0, f64::max);
        let (low, high) = (least(&adv).max(least(&trades)), most(&adv).min(most(&trades)));
        if low > high {
            continue;
        }
        let matched = 0.5 * (low + high);
        ours.push(on_frontier(adv, matched));
        theirs.push(on_frontier(trades, matched));
    }
    let difference = paired(&ours, &theirs);
    Claim {
        text: "at equal robust accuracy, ADV-COMP-SUM has a higher clean accuracy than TRADES".to_owned(),
        criterion: "95% interval of the paired difference above 0".to_owned(),
        evidence: format!(
            "{} over the {} of {seeds} seeds whose frontiers overlap",
            points(&difference),
            ours.len()
        ),
        verdict: Some(Verdict::above_zero(&difference)),
        weight: Weight::Decisive,
    }
}

fn more_robust(robust: &[Vec<f64>], label: &str, method: usize) -> Claim {
    let difference = paired(&robust[method], &robust[BASELINE]);
    let verdict = match Verdict::above_zero(&difference) {
        Verdict::Holds if difference.mean <= 0.1 => Verdict::Inconclusive,
        verdict => verdict,
    };
    Claim {
        text: format!("{label} is more robust than cross-entropy by over 10 points"),
        criterion: "mean above 10 points and 95% interval above 0".to_owned(),
        evidence: points(&difference),
        verdict: Some(verdict),
        weight: Weight::Supporting,
    }
}

fn dial(clean: &[Vec<f64>], robust: &[Vec<f64>]) -> Claim {
    let [low, middle, high] = ADV_COMP_SUM;
    let steps: Vec<Paired> = [(low, middle), (middle, high)]
        .iter()
        .flat_map(|&(less, more)| {
            [
                paired(&clean[less], &clean[more]),
                paired(&robust[more], &robust[less]),
            ]
        })
        .collect();
    Claim {
        text: "ν trades clean for robust accuracy, step by step".to_owned(),
        criterion: "each step's loss of clean and gain of robust accuracy above 0 by its 95% interval"
            .to_owned(),
        evidence: format!(
            "0.1 to 0.25: clean {} lost, robust {} gained; 0.25 to 0.5: clean {} lost, robust {} gained",
            points(&steps[0]),
            points(&steps[1]),
            points(&steps[2]),
            points(&steps[3])
        ),
        verdict: Some(Verdict::of_all(steps.iter().map(Verdict::above_zero))),
        weight: Weight::Supporting,
    }
}

fn table(clean: &[Vec<f64>], robust: &[Vec<f64>]) -> Table {
    let cell = |values: &[f64]| {
        let summary = summary(values);
        format!(
            "{:.1} ± {:.1}",
            100.0 * summary.mean,
            100.0 * 0.5 * (summary.high - summary.low)
        )
    };
    let rows = METHODS.iter().zip(clean.iter().zip(robust));
    Table {
        title: format!("C. Digits, l-infinity ball of {EPSILON}: test accuracy in %, mean ± 95% interval"),
        columns: ["method", "clean", "robust"].map(str::to_owned).to_vec(),
        rows: rows
            .map(|(method, (clean, robust))| vec![method.label.to_owned(), cell(clean), cell(robust)])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontier_is_linear_between_its_points_and_flat_beyond() {
        let points = vec![(0.8, 0.90), (0.7, 0.95), (0.9, 0.80)];
        let at = |robust| on_frontier(points.clone(), robust);
        assert!((at(0.75) - 0.925).abs() < 1e-12 && (at(0.85) - 0.85).abs() < 1e-12);
        assert_eq!((at(0.1), at(0.99)), (0.95, 0.80));
    }

    #[test]
    fn a_method_above_the_other_frontier_is_seen() {
        let mut clean = vec![vec![0.9; 4]; METHODS.len()];
        let mut robust = vec![vec![0.5; 4]; METHODS.len()];
        for seed in 0..4 {
            for (step, (trades, adv)) in TRADES.into_iter().zip(ADV_COMP_SUM).enumerate() {
                robust[trades][seed] = 0.7 + 0.05 * step as f64;
                robust[adv][seed] = robust[trades][seed] + 0.001 * seed as f64;
                clean[trades][seed] = 0.95 - 0.02 * step as f64;
                clean[adv][seed] = clean[trades][seed] + 0.01 + 0.001 * seed as f64;
            }
        }
        assert_eq!(
            at_matched_robustness(&clean, &robust).verdict,
            Some(Verdict::Holds)
        );
        assert_eq!(
            dial(&clean, &robust).verdict,
            Some(Verdict::Inconclusive),
            "no spread, no interval"
        );
        for (trades, adv) in TRADES.into_iter().zip(ADV_COMP_SUM) {
            clean.swap(trades, adv);
        }
        assert_eq!(
            at_matched_robustness(&clean, &robust).verdict,
            Some(Verdict::DoesNotHold)
        );
    }
}
