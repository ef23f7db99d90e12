//! Part 1: Lion on softmax regression against the minimum under the bound, from a start far outside it.

use thalweg::optimizer::lion_k::{
    BoundedMinimum, Kernel, LionKStep, Scheme, Separable, Smooth, bounded_minimum,
};
use thalweg_kernels::optimizer::AdamW;
use thalweg_kernels::random::Stream;

use super::regression::Regression;
use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const DECAYS: [f64; 4] = [0.5, 1.0, 2.0, 5.0];
/// Relative gap of the loss to the bounded minimum.
const GAP: f64 = 2e-3;
/// How far beyond the bound, in units of it.
const BEYOND: f64 = 1e-9;
/// What a step may lack of the promised factor by rounding.
const ROUNDING: f64 = 1e-12;
/// Decayed weights from here count as at the bound.
const AT_BOUND: f64 = 0.99;
/// Least overlap of the sets of weights at the bound.
const OVERLAP: f64 = 0.85;

/// Certified relative gap that ends the search for the minimum.
const CERTIFIED: f64 = 1e-10;

const L1: Kernel = Kernel::Separable(Separable::L1);

/// Where a run of Lion ends, and the worst of its way.
struct Run {
    gap: f64,
    largest: f64,
    at_bound: f64,
    overlap: f64,
    /// Steps whose distance was above the promised one.
    broken: usize,
    /// The first step within the bound, but for [`BEYOND`].
    feasible: usize,
    /// Of AdamW with the same decay.
    adam_gap: f64,
    adam_largest: f64,
}

pub(super) fn steps(scale: &Scale) -> usize {
    DECAYS.len() * scale.seeds()
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Vec<Claim>), LabError> {
    let oracles = pool.map(DECAYS.len(), |index| {
        let regression = Regression::of_digits()?;
        Ok::<_, LabError>(bounded_minimum(&regression, DECAYS[index].recip(), CERTIFIED))
    })?;
    let oracles = oracles.into_iter().collect::<Result<Vec<_>, _>>()?;
    let seeds = scale.seeds();
    let length = scale.pick(3000, 300);
    let runs = pool.map(DECAYS.len() * seeds, |job| {
        let (decay, seed) = (job / seeds, job % seeds);
        let run = one(DECAYS[decay], &oracles[decay], seed as u64, length)?;
        advance(1);
        Ok::<_, LabError>(run)
    })?;
    let runs = runs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let worst = |number: fn(&Run) -> f64| runs.iter().map(number).fold(f64::NEG_INFINITY, f64::max);
    let least_overlap = -worst(|run| -run.overlap);
    let gaps = oracles.iter().map(|oracle| oracle.gap / oracle.value);
    let certified = gaps.fold(0.0, f64::max);
    let broken: usize = runs.iter().map(|run| run.broken).sum();
    let verdict = |holds: bool| {
        Some(if holds {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        })
    };
    let bounded =
        worst(|run| run.gap) < GAP && worst(|run| run.largest) <= 1.0 + BEYOND && least_overlap > OVERLAP;
    let adam_alike = runs
        .iter()
        .filter(|run| (run.adam_largest - 1.0).abs() <= 1e-3 && run.adam_gap <= 10.0 * GAP);
    let adam_alike = adam_alike.count();
    let claims = vec![
        Claim {
            text: "Lion ends at the minimum among weights of at most 1/λ".to_owned(),
            criterion: format!(
                "every λ and seed: loss within {GAP} of it, largest λ|x| at most 1 + {BEYOND:.0e}, overlap of the weights \
                 at the bound above {OVERLAP}"
            ),
            evidence: format!(
                "largest relative gap {:.1e}, largest λ|x| 1 {:+.1e}, least overlap {least_overlap:.3}; the minimum itself \
                 is certified to {certified:.0e}",
                worst(|run| run.gap),
                worst(|run| run.largest) - 1.0
            ),
            verdict: verdict(bounded),
            weight: Weight::Decisive,
        },
        Claim {
            text: "until then every step draws the weights towards the bound".to_owned(),
            criterion: "the distance of λx to the box falls by 1 − ηλ or more, every step of every run"
                .to_owned(),
            evidence: format!("{broken} of {} steps did not", runs.len() * length),
            verdict: verdict(broken == 0),
            weight: Weight::Decisive,
        },
        Claim {
            text: "AdamW with the same decay ends elsewhere".to_owned(),
            criterion: format!(
                "no run with its largest λ|x| within 0.001 of 1 and a loss within {} of the bounded minimum",
                10.0 * GAP
            ),
            evidence: format!("{adam_alike} of {} runs do", runs.len()),
            verdict: verdict(adam_alike == 0),
            weight: Weight::Decisive,
        },
    ];
    let rows = DECAYS.iter().zip(runs.chunks(seeds)).zip(&oracles);
    let rows = rows.map(|((decay, runs), oracle)| {
        let mean = |number: fn(&Run) -> f64| runs.iter().map(number).sum::<f64>() / runs.len() as f64;
        vec![
            decay.to_string(),
            format!("{:.1e}", mean(|run| run.gap)),
            format!("{:.3}", mean(|run| run.at_bound)),
            format!("{:.3}", share(&at_bound(&oracle.x, *decay))),
            format!("{:.3}", mean(|run| run.overlap)),
            format!("{:.0}", mean(|run| run.feasible as f64)),
            format!("{:.1e}", mean(|run| run.adam_gap)),
            format!("{:.2}", mean(|run| run.adam_largest)),
        ]
    });
    let table = Table {
        title: format!(
            "1. Softmax regression on digits, {length} steps from far outside the bound, means over the seeds: relative gap of \
             the loss to the bounded minimum, share of weights at the bound (Lion's, the minimum's, their overlap), first \
             feasible step; AdamW's gap and largest λ|x|"
        ),
        columns: [
            "λ",
            "gap",
            "bound",
            "minimum's",
            "overlap",
            "feasible",
            "AdamW",
            "λ|x|",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: rows.collect(),
    };
    Ok((table, claims))
}

fn one(decay: f64, oracle: &BoundedMinimum, seed: u64, length: usize) -> Result<Run, LabError> {
    let least = oracle.value;
    let regression = Regression::of_digits()?;
    let size = regression.size();
    let mut start = vec![0.0_f32; size];
    Stream::new(seed, "far weights", 0).fill_normal(&mut start);
    let start: Vec<f64> = start.into_iter().map(|x| 3.0 / decay * f64::from(x)).collect();
    let rate = |step: usize| {
        let angle = std::f64::consts::PI * step as f64 / length as f64;
        0.01 / decay * (1.0 + angle.cos()) + 1e-6
    };
    let decayed = |x: &[f64]| x.iter().map(|x| decay * x).collect::<Vec<f64>>();

    let (mut x, mut m) = (start.clone(), vec![0.0; size]);
    let (mut gradient, mut direction) = (vec![0.0; size], vec![0.0; size]);
    let mut distance = L1.domain_distance(&decayed(&x));
    let (mut broken, mut feasible) = (0, length);
    for step in 0..length {
        let rule = LionKStep {
            kernel: L1,
            learning_rate: rate(step),
            beta_1: 0.9,
            beta_2: 0.99,
            weight_decay: decay,
            scheme: Scheme::Explicit,
        };
        regression.evaluate(&x, &mut gradient);
        let stepped = rule.step(&mut x, &mut m, &gradient, &mut direction);
        stepped.map_err(|problem| LabError::Plan(problem.to_string()))?;
        let after = L1.domain_distance(&decayed(&x));
        broken += usize::from(after > (1.0 - rule.learning_rate * decay) * distance + ROUNDING);
        distance = after;
        if distance <= BEYOND {
            feasible = feasible.min(step + 1);
        }
    }
    let (own, of_oracle) = (at_bound(&x, decay), at_bound(&oracle.x, decay));
    let both = own.iter().zip(&of_oracle).filter(|(a, b)| **a && **b).count();
    let either = own.iter().zip(&of_oracle).filter(|(a, b)| **a || **b).count();
    let gap = |loss: f64| (loss - least) / least;
    let largest = |x: &[f64]| x.iter().fold(0.0, |top: f64, x| top.max(decay * x.abs()));

    let adam_loss;
    let mut adam = start;
    {
        let (mut first, mut second) = (vec![0.0; size], vec![0.0; size]);
        for step in 0..length {
            let rule = AdamW {
                learning_rate: rate(step),
                weight_decay: decay,
                ..AdamW::default()
            };
            regression.evaluate(&adam, &mut gradient);
            rule.step(step as u64 + 1, &mut adam, &gradient, &mut first, &mut second);
        }
        adam_loss = regression.evaluate(&adam, &mut gradient);
    }
    Ok(Run {
        gap: gap(regression.evaluate(&x, &mut gradient)),
        largest: largest(&x),
        at_bound: share(&own),
        overlap: if either == 0 {
            1.0
        } else {
            both as f64 / either as f64
        },
        broken,
        feasible,
        adam_gap: gap(adam_loss).abs(),
        adam_largest: largest(&adam),
    })
}

fn at_bound(x: &[f64], decay: f64) -> Vec<bool> {
    x.iter().map(|x| decay * x.abs() > AT_BOUND).collect()
}

fn share(of: &[bool]) -> f64 {
    of.iter().filter(|at| **at).count() as f64 / of.len() as f64
}
