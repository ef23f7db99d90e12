//! Part A: `Δ01 <= Γ_τ(R_τ(h) − R*_τ)` for random conditional distributions and scores, and where it is an equality.
//!
//! The hypothesis set is complete, so the minimizability gaps are 0 and best risks are means of best conditional errors.

use thalweg::classification::comp_sum_theory::{best_conditional_error, h_consistency_bound, phi};
use thalweg_kernels::random::Stream;

use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const TAUS: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];
const CLASSES: [usize; 3] = [2, 3, 5];

/// Points of the finite input space.
const POINTS: usize = 4;

/// Largest distance of a tight instance's ratio from 1.
const TIGHT: f64 = 1e-10;

/// One step a pair of τ and number of classes.
pub(super) fn steps(_: &Scale) -> usize {
    TAUS.len() * CLASSES.len()
}

pub(super) fn run(scale: &Scale, advance: &Advance) -> (Table, Vec<Claim>) {
    let draws = scale.pick(10_000, 200);
    let mut rows = Vec::new();
    let (mut worst, mut loosest) = (0.0_f64, 0.0_f64);
    for tau in TAUS {
        for classes in CLASSES {
            let ratio = largest_ratio(tau, classes, draws);
            let tight = tight_ratio(tau, classes);
            worst = worst.max(ratio);
            loosest = tight.map_or(loosest, |tight| loosest.max((tight - 1.0).abs()));
            rows.push(vec![
                format!("{tau}"),
                format!("{classes}"),
                format!("{ratio:.6}"),
                tight.map_or("—".to_owned(), |tight| format!("{:.1e}", (tight - 1.0).abs())),
            ]);
            advance(1);
        }
    }
    let table = Table {
        title: format!("A. H-consistency bound: 0-1 gap over bound, {draws} random h each"),
        columns: ["τ", "classes", "largest ratio", "tight instance: |ratio − 1|"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    };
    let holds = |yes: bool| Some(if yes { Verdict::Holds } else { Verdict::DoesNotHold });
    let claims = vec![
        Claim {
            text: "the 0-1 gap never exceeds the bound".to_owned(),
            criterion: "largest ratio at most 1".to_owned(),
            evidence: format!("largest ratio {worst:.6}"),
            verdict: holds(worst <= 1.0),
            weight: Weight::Decisive,
        },
        Claim {
            text: "the bound is tight".to_owned(),
            criterion: "ratio of the tight instances within 1e-10 of 1".to_owned(),
            evidence: format!("farthest from 1 by {loosest:.1e}"),
            verdict: holds(loosest <= TIGHT),
            weight: Weight::Decisive,
        },
    ];
    (table, claims)
}

/// `Σ_y p_y Φ^τ(u_y)`.
fn conditional_error(probs: &[f64], scores: &[f64], tau: f64) -> f64 {
    let likely = probs.iter().enumerate().filter(|(_, p)| **p > 0.0);
    likely
        .map(|(y, p)| {
            let others = scores.iter().enumerate().filter(|(k, _)| *k != y);
            p * phi(others.map(|(_, h)| (h - scores[y]).exp()).sum(), tau)
        })
        .sum()
}

fn largest_ratio(tau: f64, classes: usize, draws: usize) -> f64 {
    let mut stream = Stream::new(0, "bounds", (tau * 100.0) as u64 * 100 + classes as u64);
    let mut largest = 0.0_f64;
    for _ in 0..draws {
        let marginal = simplex(&mut stream, POINTS);
        let spread = 0.1 + 5.0 * stream.uniform();
        let (mut zero_one, mut surrogate) = (0.0, 0.0);
        for weight in marginal {
            let probs = simplex(&mut stream, classes);
            let scores: Vec<f64> = (0..classes)
                .map(|_| spread * (2.0 * stream.uniform() - 1.0))
                .collect();
            let predicted = (1..classes).fold(0, |best, k| if scores[k] > scores[best] { k } else { best });
            let likeliest = probs.iter().copied().fold(0.0, f64::max);
            zero_one += weight * (likeliest - probs[predicted]);
            surrogate +=
                weight * (conditional_error(&probs, &scores, tau) - best_conditional_error(&probs, tau));
        }
        if zero_one > 0.0 {
            largest = largest.max(zero_one / h_consistency_bound(surrogate.max(0.0), tau, classes));
        }
    }
    largest
}

/// Uniform on the simplex.
fn simplex(stream: &mut Stream, corners: usize) -> Vec<f64> {
    let weights: Vec<f64> = (0..corners).map(|_| -(1.0 - stream.uniform()).ln()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// The worst ratio of the tight instances over β, where they are known: `p = ((1+β)/2, (1−β)/2, 0, …)` with the two top
/// scores tied and all others far below, for τ <= 1 and for two classes.
fn tight_ratio(tau: f64, classes: usize) -> Option<f64> {
    if tau > 1.0 && classes > 2 {
        return None;
    }
    let ratios = [0.1, 0.3, 0.5, 0.7, 0.9].map(|beta| {
        let mut probs = vec![0.0; classes];
        (probs[0], probs[1]) = (0.5 * (1.0 + beta), 0.5 * (1.0 - beta));
        let mut scores = vec![-2000.0; classes];
        (scores[0], scores[1]) = (0.0, 0.0);
        let gap = conditional_error(&probs, &scores, tau) - best_conditional_error(&probs, tau);
        beta / h_consistency_bound(gap, tau, classes)
    });
    ratios
        .into_iter()
        .max_by(|a, b| (a - 1.0).abs().total_cmp(&(b - 1.0).abs()))
}
