//! What the temperature does to a contrastive loss: how the penalty is shared out, and what becomes of the loss at its ends.
//!
//! Source: Wang, Liu, "Understanding the behaviour of contrastive loss", CVPR 2021 (arXiv 2012.09740).

use thalweg_kernels::in_batch::Statistics;

use super::pairs::temperature;
use super::score_loss::others;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// The share of each negative of a row in the penalty, `r_j = exp(s_j/τ)/Σ_{k ≠ i} exp(s_k/τ)`, 0 at the positive; and its
/// entropy `−Σ r log r` in nats, which grows with τ.
///
/// # Panics
/// When the row has no negative.
pub fn relative_penalty(row: &[f64], positive: usize, temperature: f64) -> (Vec<f64>, f64) {
    let negatives = others(row, positive);
    assert!(negatives.clone().count() > 0, "a row needs a negative");
    let scores = negatives.clone().map(|(_, score)| score);
    let statistics = Statistics::of(row[positive], scores, temperature);
    let mut shares = vec![0.0; row.len()];
    for (at, score) in negatives {
        shares[at] = statistics.share(score, temperature);
    }
    let entropy = statistics.sum.ln() - statistics.moment / (statistics.sum * temperature);
    (shares, entropy)
}

/// InfoNCE of a row to first order in 1/τ, `log n − s_p/τ + (1/(nτ)) Σ_k s_k`. What is left out is the variance of the row over
/// 2τ², and less.
pub fn large_temperature_expansion(row: &[f64], positive: usize, temperature: f64) -> f64 {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    (row.len() as f64).ln() + (mean - row[positive]) / temperature
}

/// The rows of `s` and the temperature `tau`.
fn rows_at<'c>(case: &Case, s: &'c Array) -> Result<(Vec<&'c [f64]>, f64), QuantityError> {
    let temperature = temperature("info_nce", case.param("tau")?)?;
    Ok((s.data.chunks(s.shape[1]).collect(), temperature))
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "infonce_similarity_gradient",
            "softmax of each row of similarities, and the slopes of an anchor's InfoNCE by its positive and negatives",
        )
        .param("tau", 0.07)
        .input("s", "[n, n]")
        .eval(|case| {
            let s = case.similarities()?;
            let (rows, temperature) = rows_at(case, s)?;
            let mut probability = vec![0.0; s.data.len()];
            let mut negative = vec![0.0; s.data.len()];
            let mut positive = Vec::with_capacity(rows.len());
            for (own, row) in rows.iter().enumerate() {
                let scores = others(row, own).map(|(_, score)| score);
                let statistics = Statistics::of(row[own], scores, temperature);
                let term = statistics.info_nce(temperature);
                positive.push(term.slope.positive);
                let first = own * row.len();
                probability[first + own] = (-term.loss).exp();
                for (at, score) in others(row, own) {
                    let slope = term.slope.others * statistics.share(score, temperature);
                    negative[first + at] = slope;
                    probability[first + at] = slope * temperature;
                }
            }
            let matrix = |data| Array {
                shape: s.shape.clone(),
                data,
            };
            Ok(Outputs::new()
                .with("probability", matrix(probability))
                .with("grad_positive", positive)
                .with("grad_negative", matrix(negative)))
        }),
        Quantity::new(
            "relative_penalty",
            "share of each negative in the penalty of its row, and the entropy of the shares in nats",
        )
        .param("tau", 0.07)
        .input("s", "[n, n]")
        .eval(|case| {
            let s = case.negatives()?;
            let (rows, temperature) = rows_at(case, s)?;
            let (mut shares, mut entropies) = (Vec::new(), Vec::new());
            for (own, row) in rows.iter().enumerate() {
                let (of_row, entropy) = relative_penalty(row, own, temperature);
                shares.extend(of_row);
                entropies.push(entropy);
            }
            let shares = Array {
                shape: s.shape.clone(),
                data: shares,
            };
            Ok(Outputs::new()
                .with("relative_penalty", shares)
                .with("entropy", entropies))
        }),
        Quantity::new(
            "infonce_large_temperature_expansion",
            "mean InfoNCE to first order in the inverse temperature",
        )
        .required_param("tau")
        .input("s", "[n, n]")
        .eval(|case| {
            let (rows, temperature) = rows_at(case, case.similarities()?)?;
            let total: f64 = rows
                .iter()
                .enumerate()
                .map(|(own, row)| large_temperature_expansion(row, own, temperature))
                .sum();
            Ok(Outputs::new().with("value", total / rows.len() as f64))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(-1.0_f64..1.0, 2..12)
    }

    fn info_nce(row: &[f64], positive: usize, temperature: f64) -> (f64, f64) {
        let scores = others(row, positive).map(|(_, score)| score);
        let term = Statistics::of(row[positive], scores, temperature).info_nce(temperature);
        (term.loss, term.slope.others)
    }

    proptest! {
        #[test]
        fn shares_sum_to_one_and_their_entropy_grows_with_the_temperature(row in row(), at in 0.05_f64..2.0, more in 1.01_f64..2.0) {
            let (shares, entropy) = relative_penalty(&row, 0, at);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-13);
            let (_, warmer) = relative_penalty(&row, 0, at * more);
            let spread = row[1..].iter().fold(0.0_f64, |spread, s| spread.max((s - row[1]).abs()));
            prop_assert!(warmer > entropy || spread < 1e-4, "{entropy} {warmer}");
            // dH/dτ = Var_r(s)/τ³.
            let mean: f64 = shares.iter().zip(&row).map(|(r, s)| r * s).sum();
            let variance: f64 = shares.iter().zip(&row).map(|(r, s)| r * (s - mean) * (s - mean)).sum();
            let beside = |step: f64| relative_penalty(&row, 0, at + step).1;
            let slope = (beside(1e-5 * at) - beside(-1e-5 * at)) / (2e-5 * at);
            prop_assert!((slope - variance / at.powi(3)).abs() < 1e-4 * (1.0 + slope.abs()));
        }

        #[test]
        fn entropy_goes_to_its_limits(row in row(), ties in 1_usize..4) {
            let (_, hot) = relative_penalty(&row, 0, 1e7);
            prop_assert!((hot - ((row.len() - 1) as f64).ln()).abs() < 1e-6);
            let mut tied = row.clone();
            tied.extend(vec![1.5; ties]);
            let (_, cold) = relative_penalty(&tied, 0, 1e-3);
            prop_assert!((cold - (ties as f64).ln()).abs() < 1e-9);
        }

        #[test]
        fn slopes_by_the_negatives_balance_that_by_the_positive(row in row(), at in 0.02_f64..2.0) {
            let scores = others(&row, 0).map(|(_, score)| score);
            let term = Statistics::of(row[0], scores, at).info_nce(at);
            prop_assert_eq!(term.slope.positive, -term.slope.others);
        }

        #[test]
        fn the_expansion_misses_half_the_variance_over_the_temperature_squared(row in row()) {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / row.len() as f64;
            let missed = |at: f64| info_nce(&row, 0, at).0 - large_temperature_expansion(&row, 0, at);
            prop_assert!((missed(300.0) - variance / (2.0 * 9e4)).abs() < 3.0 / 300.0_f64.powi(3));
        }
    }
}
