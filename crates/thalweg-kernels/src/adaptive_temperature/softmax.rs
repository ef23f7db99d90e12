//! The softmax of scores over temperatures, `exp(s_j/τ_j)/Σ_k exp(s_k/τ_k)`, of one anchor.

use crate::dispatch;
use crate::lanes::{largest, sum};
use crate::real::Real;

/// What is known of the softmax of an anchor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// The largest ratio `s/τ`.
    pub top: f64,
    /// `Σ exp(s/τ − top)`.
    pub sum: f64,
    /// Where the highest score is, not the largest ratio; the first of several.
    pub hardest: usize,
}

/// The softmax of scores with a temperature each; `exp(s_j/τ_j − top)` goes into `weights`. A score in the place of which
/// stands `-F::MAX`, with a temperature of 1, does not count.
///
/// # Panics
/// When there are not as many of each.
pub fn softmax<F: Real>(scores: &[F], temperatures: &[F], weights: &mut [F]) -> Softmax {
    check(scores, temperatures, weights);
    let mut found = Softmax {
        top: f64::NEG_INFINITY,
        sum: 0.0,
        hardest: 0,
    };
    let out = &mut found;
    dispatch!([F: Real] weigh, (scores: &[F], temperatures: &[F], weights: &mut [F], out: &mut Softmax));
    found
}

/// Puts into the place of each score the slope `factor·w/τ` of the logarithm of the sum, and into that of each temperature
/// its slope `−factor·w·s/τ²`, with the weights that [`softmax`] gave.
///
/// # Panics
/// When there are not as many of each.
pub fn softmax_slopes<F: Real>(scores: &mut [F], temperatures: &mut [F], weights: &[F], factor: f64) {
    check(scores, temperatures, weights);
    let factor = F::from_f64(factor);
    dispatch!([F: Real] slopes, (scores: &mut [F], temperatures: &mut [F], weights: &[F], factor: F));
}

fn check<F>(scores: &[F], temperatures: &[F], weights: &[F]) {
    let count = scores.len();
    assert_eq!(
        temperatures.len(),
        count,
        "a temperature for each of {count} scores"
    );
    assert_eq!(weights.len(), count, "a weight for each of {count} scores");
}

#[inline(always)]
fn weigh<F: Real>(scores: &[F], temperatures: &[F], weights: &mut [F], out: &mut Softmax) {
    for ((weight, &score), &temperature) in weights.iter_mut().zip(scores).zip(temperatures) {
        *weight = score / temperature;
    }
    let top = largest(weights);
    for weight in weights.iter_mut() {
        *weight = (*weight - top).exp_below();
    }
    let highest = largest(scores);
    *out = Softmax {
        top: top.to_f64(),
        sum: sum([weights], |[weight]| weight),
        hardest: scores.iter().position(|&score| score == highest).unwrap_or(0),
    };
}

#[inline(always)]
fn slopes<F: Real>(scores: &mut [F], temperatures: &mut [F], weights: &[F], factor: F) {
    for ((score, temperature), &weight) in scores.iter_mut().zip(temperatures).zip(weights) {
        let inverse = F::ONE / *temperature;
        let slope = factor * weight * inverse;
        *temperature = -(slope * *score * inverse);
        *score = slope;
    }
}
