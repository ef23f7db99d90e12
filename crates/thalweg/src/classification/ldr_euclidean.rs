//! Euclidean LDR: `max_p p·δ − (λ/2) ‖p − 1/K‖²` over the simplex; `p*` is the projection of `1/K + δ/λ`, and sparse.
//!
//! λ = 0 is the largest margin, λ = ∞ their mean. In units of scores.
//!
//! Source: Zhu, Ying, Yang, "Label Distributionally Robust Losses for Multi-class Classification", ICML 2023.

use burn::config::Config;

use super::LogitLoss;
use super::ldr::{COLD, LAMBDA, MARGIN, SOURCE, require_lambda, require_margin};
use super::logit_normalization::LogitNormalization;
use super::margins::{Average, Largest, OfMargins, Worst, descending, weighted};
use crate::objective::{Build, ObjectiveEntry};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the Euclidean LDR loss.
#[derive(Config, Debug)]
pub struct LdrEuclideanLossConfig {
    /// Temperature λ, at least 0; infinity is the mean of the margins.
    #[config(default = 1.0)]
    pub lambda: f64,
    /// Margin c by which the target's score is to lead, at least 0.
    #[config(default = 0.1)]
    pub margin: f64,
    /// How logits are normalised first, if at all.
    pub normalization: Option<LogitNormalization>,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl LdrEuclideanLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When λ or the margin is negative.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let lambda = require_lambda("ldr_euclidean", self.lambda)?;
        let margin = require_margin("ldr_euclidean", self.margin)?;
        let loss = if lambda < COLD {
            LogitLoss::of_rows(
                OfMargins {
                    margin,
                    worst: Largest,
                },
                self.reduction,
            )
        } else if lambda.is_infinite() {
            LogitLoss::of_rows(
                OfMargins {
                    margin,
                    worst: Average,
                },
                self.reduction,
            )
        } else {
            let worst = Projected { lambda };
            LogitLoss::of_rows(OfMargins { margin, worst }, self.reduction)
        };
        Ok(loss.normalized(self.normalization))
    }
}

#[derive(Clone, Copy, Debug)]
struct Projected {
    lambda: f64,
}

impl Worst for Projected {
    fn of(&self, margins: &[f64], weights: &mut [f64]) -> f64 {
        let share = 1.0 / margins.len() as f64;
        let order = descending(margins);
        let largest = margins[order[0]];
        // p = [v − θ]_+ with Σ p = 1: θ from the longest prefix of descending v that stays above it.
        let v = |i: usize| (margins[i] - largest) / self.lambda;
        let (mut sum, mut threshold) = (0.0, -1.0);
        for (rank, &i) in order.iter().enumerate() {
            sum += v(i);
            let candidate = (sum - 1.0) / (rank + 1) as f64;
            if v(i) <= candidate {
                break;
            }
            threshold = candidate;
        }
        for (i, weight) in weights.iter_mut().enumerate() {
            *weight = (v(i) - threshold).max(0.0);
        }
        let distance: f64 = weights.iter().map(|p| (p - share).powi(2)).sum();
        weighted(weights, margins) - 0.5 * self.lambda * distance
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "ldr_euclidean",
        title: "Euclidean LDR loss",
        family: "classification",
        formula: "ℓ = max_p p·δ − (λ/2) ‖p − 1/K‖²,  δ_k = f_k − f_y + c·1[k ≠ y]",
        shapes: "logits [batch, classes], targets [batch] → [1]",
        good_for: &["large margins", "clean labels", "sparse weights"],
        cost: "a sort of each row",
        when: "Classes that are far behind should not be pushed at all, unlike under cross-entropy.",
        when_not: "Probabilities are wanted, or labels are noisy.",
        source: SOURCE,
        parameters: vec![LAMBDA, MARGIN],
        rust: "LdrEuclideanLossConfig::new().with_lambda({lambda}).with_margin({margin}).init()?",
        path: "thalweg::classification::LdrEuclideanLossConfig",
        build: Build::Scores(|value| {
            let config = LdrEuclideanLossConfig::new().with_lambda(value("lambda"));
            Ok(Box::new(config.with_margin(value("margin")).init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "ldr_euclidean_loss",
            "Euclidean LDR loss of a batch, per sample, and its gradient",
        )
        .param("lambda", 1.0)
        .param("margin", 0.1)
        .param("reduction", "mean")
        .input("logits", "[N, K]")
        .input("labels", "[N]")
        .eval(|case| {
            let config = LdrEuclideanLossConfig::new().with_lambda(case.param("lambda")?);
            let config = config.with_margin(case.param("margin")?);
            case.logit_loss(&config.with_reduction(case.reduction()?).init()?)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn the_gradient_is_numeric() {
        for lambda in [0.0, 0.3, 2.0, 50.0, f64::INFINITY] {
            let loss = LdrEuclideanLossConfig::new().with_lambda(lambda).init().unwrap();
            gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn from_the_largest_margin_to_the_mean(seed in 0_u64..10_000, classes in 2_usize..9, lambda in 0.01_f64..10.0) {
            let (logits, targets) = random_batch(4, classes, 4.0, seed, DType::F64);
            let of = |lambda| {
                let loss = LdrEuclideanLossConfig::new().with_lambda(lambda).init().unwrap();
                let values = loss.per_sample(logits.clone(), targets.clone());
                values.into_data().try_into_vec_as::<f64>().unwrap()
            };
            assert_close(&of(1e-9), &of(0.0), 1e-8);
            assert_close(&of(1e10), &of(f64::INFINITY), 1e-8);
            let (cooler, here) = (of(0.9 * lambda), of(lambda));
            prop_assert!(cooler.iter().zip(&here).all(|(cooler, here)| here <= &(cooler + 1e-12)));
        }

        #[test]
        fn no_other_weights_are_worse(seed in 0_u64..10_000, classes in 2_usize..7, lambda in 0.05_f64..5.0) {
            let mut stream = thalweg_kernels::random::Stream::new(seed, "weights", 0);
            let margins: Vec<f64> = (0..classes).map(|_| 6.0 * stream.uniform() - 3.0).collect();
            let mut weights = vec![0.0; classes];
            let worst = Projected { lambda }.of(&margins, &mut weights);
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(weights.iter().all(|&p| p >= 0.0));
            for vertex in 0..classes {
                for step in [1e-3, 0.1, 0.5] {
                    let mut other: Vec<f64> = weights.iter().map(|p| p * (1.0 - step)).collect();
                    other[vertex] += step;
                    let distance: f64 = other.iter().map(|p| (p - 1.0 / classes as f64).powi(2)).sum();
                    prop_assert!(weighted(&other, &margins) - 0.5 * lambda * distance <= worst + 1e-12);
                }
            }
        }
    }
}
