//! Softmaxes of rows of scores times a scale, written over the scores: `exp(s·h_k)/Z`, `Z = Σ_k exp(s·h_k) + exp(beside)`
//! with a term beside that all rows share. And the pieces of it, for sums that many rows make together.
//!
//! Sums are f64. Scores are finite, or negative infinity where they do not count.

use rayon::prelude::*;

use crate::dispatch;
use crate::lanes::{self, exponentials_in_place};
use crate::real::Real;

/// Scores that one task takes, unless a row is longer.
const BLOCK: usize = 1 << 14;

/// `log(exp(a) + exp(b))`; either may be negative infinity.
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    let (larger, smaller) = if a > b { (a, b) } else { (b, a) };
    if smaller == f64::NEG_INFINITY {
        larger
    } else {
        larger + (smaller - larger).exp().ln_1p()
    }
}

/// Writes `factor·exp(s·h_k)/Z` over each score of each row, and returns `log Z` of each row. `beside` is negative infinity
/// where there is no such term.
///
/// # Panics
/// When there are no columns or the scores are no whole number of rows.
pub fn softmax_rows<F: Real>(
    rows: &mut [F],
    columns: usize,
    scale: f64,
    beside: f64,
    factor: f64,
) -> Vec<f64> {
    assert!(
        columns > 0 && rows.len().is_multiple_of(columns),
        "{} scores are no rows of {columns}",
        rows.len()
    );
    let mut logs = vec![0.0; rows.len() / columns];
    let each = (BLOCK / columns).max(1);
    let tasks = rows.par_chunks_mut(each * columns).zip(logs.par_chunks_mut(each));
    tasks.for_each(|(rows, logs)| {
        dispatch!([F: Real] softmax_block, (
            rows: &mut [F],
            columns: usize,
            scale: f64,
            beside: f64,
            factor: f64,
            logs: &mut [f64],
        ));
    });
    logs
}

#[inline(always)]
fn softmax_block<F: Real>(
    rows: &mut [F],
    columns: usize,
    scale: f64,
    beside: f64,
    factor: f64,
    logs: &mut [f64],
) {
    for (row, log) in rows.chunks_exact_mut(columns).zip(logs) {
        let top = lanes::largest(row);
        exponentials_in_place(row, top, F::from_f64(scale));
        let sum = lanes::sum([row], |[e]| e);
        let top = scale * top.to_f64();
        *log = log_add_exp(top + sum.ln(), beside);
        let share = F::from_f64(factor * (top - *log).exp());
        for value in row {
            *value *= share;
        }
    }
}

/// The largest of the scores, negative infinity where there is none.
pub fn largest<F: Real>(scores: &[F]) -> F {
    #[inline(always)]
    fn body<F: Real>(scores: &[F], found: &mut F) {
        *found = lanes::largest(scores);
    }
    let mut found = F::NEG_INFINITY;
    let result = &mut found;
    dispatch!([F: Real] body, (scores: &[F], result: &mut F));
    found
}

/// Writes `exp(s·(h_k − top))` over each score, and returns their sum; no score is above `top`, which is finite.
pub fn exponentiate<F: Real>(scores: &mut [F], top: F, scale: f64) -> f64 {
    #[inline(always)]
    fn body<F: Real>(scores: &mut [F], top: F, scale: f64, sum: &mut f64) {
        exponentials_in_place(scores, top, F::from_f64(scale));
        *sum = lanes::sum([&*scores], |[e]| e);
    }
    let mut sum = 0.0;
    let result = &mut sum;
    dispatch!([F: Real] body, (scores: &mut [F], top: F, scale: f64, result: &mut f64));
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_are_softmaxes_beside_the_shared_term(
            count in 1_usize..5, columns in 1_usize..70, scale in 0.1_f64..64.0, beside in -80.0_f64..80.0, seed in 0_u64..1000,
        ) {
            let mut stream = Stream::new(seed, "scaled softmax", 0);
            let scores: Vec<f64> = (0..count * columns).map(|_| 2.0 * stream.uniform() - 1.0).collect();
            for beside in [beside, f64::NEG_INFINITY] {
                let mut rows = scores.clone();
                let logs = softmax_rows(&mut rows, columns, scale, beside, 0.25);
                let mut narrow: Vec<f32> = scores.iter().map(|&h| h as f32).collect();
                let narrow_logs = softmax_rows(&mut narrow, columns, scale, beside, 0.25);
                for (i, row) in scores.chunks_exact(columns).enumerate() {
                    let expected = (row.iter().map(|h| (scale * h).exp()).sum::<f64>() + beside.exp()).ln();
                    prop_assert!((logs[i] - expected).abs() < 1e-12 * (1.0 + expected.abs()));
                    prop_assert!((narrow_logs[i] - expected).abs() < 1e-5 * (1.0 + expected.abs()));
                    for (k, h) in row.iter().enumerate() {
                        let share = 0.25 * (scale * h - expected).exp();
                        prop_assert!((rows[i * columns + k] - share).abs() < 1e-13);
                        prop_assert!((f64::from(narrow[i * columns + k]) - share).abs() < 3e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn pieces_make_the_whole() {
        let mut scores = [0.3, f64::NEG_INFINITY, -0.7, 0.9];
        let top = largest(&scores);
        assert_eq!(top, 0.9);
        let sum = exponentiate(&mut scores, top, 8.0);
        assert_eq!((scores[1], scores[3]), (0.0, 1.0));
        let expected: f64 = [0.3, -0.7, 0.9]
            .iter()
            .map(|h: &f64| (8.0 * (h - 0.9)).exp())
            .sum();
        assert!((sum - expected).abs() < 1e-15);
        assert_eq!(largest::<f32>(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn a_term_of_nothing_adds_nothing() {
        assert_eq!(log_add_exp(3.0, f64::NEG_INFINITY), 3.0);
        assert_eq!(log_add_exp(f64::NEG_INFINITY, -2.0), -2.0);
        assert_eq!(
            log_add_exp(f64::NEG_INFINITY, f64::NEG_INFINITY),
            f64::NEG_INFINITY
        );
        assert_eq!(log_add_exp(1e4, 0.0), 1e4);
        assert!((log_add_exp(1.0, 1.0) - (1.0 + 2.0_f64.ln())).abs() < 1e-15);
    }
}
