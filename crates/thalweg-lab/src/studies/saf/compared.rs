//! The methods side by side, with noisy labels and with clean ones.

use super::data::{Labels, Problem};
use super::epochs;
use super::method::Method;
use super::run::{Outcome, Run};
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight, points};

const LABELS: [Labels; 2] = [Labels::Noisy, Labels::Clean];

/// The first is what the others are compared with.
const METHODS: [Method; 6] = [
    Method::Sgd,
    Method::Sam { rho: 0.05 },
    Method::Sam { rho: 0.1 },
    Method::Saf {
        weight: 0.3,
        temperature: 5.0,
        lag: 3,
    },
    SAF,
    Method::Mesa {
        weight: 0.8,
        decay: 0.995,
    },
];

/// The method that is taken apart.
pub(super) const SAF: Method = Method::Saf {
    weight: 0.8,
    temperature: 5.0,
    lag: 3,
};

/// The methods that the claims are of.
const CLAIMED: [usize; 2] = [4, 5];

pub(super) fn steps(scale: &Scale) -> usize {
    LABELS.len() * METHODS.len() * scale.seeds()
}

/// Outcomes by labels and method, those of all seeds together.
pub(super) struct Compared(Vec<Vec<Vec<Outcome>>>);

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Compared, LabError> {
    let of_labels = |labels: Labels| {
        METHODS
            .iter()
            .map(|&method| trained(scale, pool, labels, method, scale.seeds(), advance))
            .collect::<Result<Vec<_>, _>>()
    };
    let outcomes = LABELS.into_iter().map(of_labels);
    Ok(Compared(outcomes.collect::<Result<_, _>>()?))
}

/// The outcomes of a method at the first seeds.
pub(super) fn trained(
    scale: &Scale,
    pool: &Pool,
    labels: Labels,
    method: Method,
    seeds: usize,
    advance: &Advance,
) -> Result<Vec<Outcome>, LabError> {
    let outcomes = pool.map(seeds, |seed| {
        let seed = seed as u64;
        let problem = Problem::new(labels, seed)?;
        let outcome = Run::new(&problem, method, epochs(scale), seed)?
            .trained()
            .outcome();
        advance(1);
        outcome
    })?;
    outcomes.into_iter().collect()
}

/// A number of each outcome.
pub(super) fn each(outcomes: &[Outcome], number: fn(&Outcome) -> f64) -> Vec<f64> {
    outcomes.iter().map(number).collect()
}

fn number(difference: &Paired) -> String {
    let Paired { mean, low, high, .. } = difference;
    format!("{mean:+.3} [{low:+.3}, {high:+.3}]").replace('-', "−")
}

impl Compared {
    /// SAF at its larger weight under noisy labels.
    pub fn saf(&self) -> &[Outcome] {
        &self.0[0][CLAIMED[0]]
    }

    pub fn claims(&self) -> Vec<Claim> {
        let noisy = &self.0[0];
        let claim = |text: &str,
                     number: fn(&Outcome) -> f64,
                     sign: f64,
                     shown: &dyn Fn(&Paired) -> String| {
            let baseline: Vec<f64> = each(&noisy[0], number).iter().map(|x| sign * x).collect();
            let differences = CLAIMED.map(|method| {
                let own: Vec<f64> = each(&noisy[method], number).iter().map(|x| sign * x).collect();
                paired(&own, &baseline)
            });
            let told = CLAIMED.iter().zip(&differences);
            let told = told.map(|(&method, gain)| format!("{}: {}", METHODS[method].label(), shown(gain)));
            Claim {
                text: format!("SAF (λ 0.8) and MESA {text}"),
                criterion: "both 95% intervals of the paired gain over SGD above 0, noisy labels".to_owned(),
                evidence: told.collect::<Vec<_>>().join("; "),
                verdict: Some(Verdict::of_all(differences.iter().map(Verdict::above_zero))),
                weight: Weight::Decisive,
            }
        };
        vec![
            claim(
                "are more accurate than SGD",
                |outcome| outcome.accuracy,
                1.0,
                &points,
            ),
            claim(
                "end where the Hessian's top eigenvalue is smaller",
                |outcome| outcome.top_eigenvalue,
                -1.0,
                &number,
            ),
            claim(
                "end where the loss rises less within a distance of 0.5",
                |outcome| outcome.worst_case,
                -1.0,
                &number,
            ),
        ]
    }

    pub fn tables(&self) -> Vec<Table> {
        let titles = [
            "A fifth of the training labels drawn at random",
            "Clean labels: the gain that is no matter of label noise",
        ];
        let tables = titles.into_iter().zip(&self.0);
        tables.map(|(title, outcomes)| table(title, outcomes)).collect()
    }
}

fn table(title: &str, outcomes: &[Vec<Outcome>]) -> Table {
    let baseline = each(&outcomes[0], |outcome| outcome.accuracy);
    let rows = METHODS.iter().zip(outcomes).map(|(method, outcomes)| {
        let accuracy = each(outcomes, |outcome| outcome.accuracy);
        let mean = |number: fn(&Outcome) -> f64| format!("{:.3}", summary(&each(outcomes, number)).mean);
        let gain = match method {
            Method::Sgd => String::new(),
            _ => points(&paired(&accuracy, &baseline)),
        };
        vec![
            method.label(),
            format!("{:.2}", 100.0 * summary(&accuracy).mean),
            gain,
            mean(|outcome| outcome.top_eigenvalue),
            mean(|outcome| outcome.worst_case),
            mean(|outcome| outcome.train_loss),
        ]
    });
    Table {
        title: format!(
            "{title}: accuracy in %, and of the training loss its Hessian's top eigenvalue, its rise within 0.5, itself"
        ),
        columns: [
            "method",
            "accuracy",
            "minus SGD",
            "eigenvalue",
            "rise",
            "training loss",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: rows.collect(),
    }
}
