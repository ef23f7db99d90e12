//! What an epoch costs: the methods in turns on one thread, an epoch of each after another, so that what else the machine
//! does falls on all alike.

use std::time::Instant;

use super::compared::SAF;
use super::data::{Labels, Problem};
use super::epochs;
use super::method::Method;
use super::run::Run;
use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

/// The first is what the others are compared with.
const METHODS: [Method; 4] = [
    Method::Sgd,
    Method::Sam { rho: 0.05 },
    SAF,
    Method::Mesa {
        weight: 0.8,
        decay: 0.995,
    },
];
const SAM_AT: usize = 1;
const SAF_AT: usize = 2;
/// Epochs from which all terms are active and all memory is there.
const WARM: usize = 10;
/// SAF may take so much of SGD's time, and SAM takes more than so much.
const LIMITS: [f64; 2] = [1.1, 1.5];

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let seconds = pool.map(1, |_| timed(epochs(scale)))?;
    advance(1);
    let seconds = seconds.into_iter().next().expect("one was asked for")?;
    let ratios: Vec<f64> = seconds
        .iter()
        .map(|own| median(own.iter().zip(&seconds[0]).map(|(own, sgd)| own / sgd).collect()))
        .collect();
    let rows = METHODS
        .iter()
        .zip(&seconds)
        .zip(&ratios)
        .map(|((method, seconds), ratio)| {
            vec![
                method.label(),
                format!("{:.2}", 1e3 * median(seconds.clone())),
                format!("{ratio:.2}"),
            ]
        });
    let table = Table {
        title: "Time of an epoch on one thread, the methods in turns: median in ms, and median of the ratios to SGD".to_owned(),
        columns: ["method", "ms", "of SGD"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let cheap = ratios[SAF_AT] < LIMITS[0] && ratios[SAM_AT] > LIMITS[1];
    let claim = Claim {
        text: "SAF costs what SGD does, SAM much more".to_owned(),
        criterion: format!(
            "an epoch of SAF below {} of SGD's, of SAM above {}",
            LIMITS[0], LIMITS[1]
        ),
        evidence: format!("SAF {:.2}, SAM {:.2}", ratios[SAF_AT], ratios[SAM_AT]),
        verdict: Some(if cheap {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    Ok((table, claim))
}

/// Seconds of every epoch of each method but the first ones.
fn timed(epochs: usize) -> Result<Vec<Vec<f64>>, LabError> {
    let problem = Problem::new(Labels::Noisy, 0)?;
    let runs = METHODS.map(|method| Run::new(&problem, method, epochs, 0));
    let mut runs = runs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut seconds = vec![Vec::new(); METHODS.len()];
    for epoch in 0..epochs {
        // Each has its turn at each place.
        for turn in 0..runs.len() {
            let method = (epoch + turn) % METHODS.len();
            let started = Instant::now();
            runs[method].epoch(epoch);
            if epoch >= WARM.min(epochs / 2) {
                seconds[method].push(started.elapsed().as_secs_f64());
            }
        }
    }
    Ok(seconds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        0.5 * (values[middle - 1] + values[middle])
    } else {
        values[middle]
    }
}
