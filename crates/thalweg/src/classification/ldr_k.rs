//! LDR-k: `max_{p ∈ Ω(k)} p·δ − λ KL(p ‖ 1/K)` over `Ω(k) = {p in the simplex, p_i ≤ 1/k}`, in units of scores.
//!
//! k = 1 is LDR-KL, k = K the mean of the margins; λ = 0 the mean of the k largest, the top-k SVM.
//!
//! Source: Zhu, Ying, Yang, "Label Distributionally Robust Losses for Multi-class Classification", ICML 2023.

use burn::config::Config;

use super::LogitLoss;
use super::ldr::{COLD, LAMBDA, MARGIN, SOURCE, require_lambda, require_margin};
use super::logit_normalization::LogitNormalization;
use super::margins::{Average, OfMargins, Worst, descending, weighted};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the LDR-k loss.
#[derive(Config, Debug)]
pub struct LdrKLossConfig {
    /// No label weighs more than 1/k; at least 1. More than there are classes counts as all of them.
    #[config(default = 2)]
    pub k: usize,
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

impl LdrKLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When k is 0, or λ or the margin negative.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        require("ldr_k", "k", self.k as f64, "at least 1", |k| k >= 1.0)?;
        let lambda = require_lambda("ldr_k", self.lambda)?;
        let margin = require_margin("ldr_k", self.margin)?;
        let loss = if lambda.is_infinite() {
            LogitLoss::of_rows(
                OfMargins {
                    margin,
                    worst: Average,
                },
                self.reduction,
            )
        } else {
            let worst = Capped { k: self.k, lambda };
            LogitLoss::of_rows(OfMargins { margin, worst }, self.reduction)
        };
        Ok(loss.normalized(self.normalization))
    }
}

/// The worst case over weights of at most 1/k; the entropy-like part is summed from terms that do not cancel, so that
/// any finite λ is accurate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capped {
    pub k: usize,
    pub lambda: f64,
}

impl Worst for Capped {
    fn of(&self, margins: &[f64], weights: &mut [f64]) -> f64 {
        let classes = margins.len();
        let k = self.k.min(classes);
        let cap = 1.0 / k as f64;
        if k == classes {
            weights.fill(cap);
            return weighted(weights, margins);
        }
        if self.lambda < COLD {
            weights.fill(0.0);
            descending(margins).iter().take(k).for_each(|&i| weights[i] = cap);
            return weighted(weights, margins);
        }
        let order = descending(margins);
        let largest = margins[order[0]];
        let z = |i: usize| (margins[i] - largest) / self.lambda;
        // log Σ exp z over all but the m largest.
        let mut log_tail = vec![f64::NEG_INFINITY; classes + 1];
        for m in (0..classes).rev() {
            log_tail[m] = log_add(log_tail[m + 1], z(order[m]));
        }
        // The mass that m capped entries leave is spread like exp z; the fewest of which the next is within its cap.
        let log_share = |m: usize| ((k - m) as f64 * cap).ln() - log_tail[m];
        let capped = (0..k)
            .find(|&m| log_share(m) + z(order[m]) <= cap.ln())
            .unwrap_or(k);
        for (rank, &i) in order.iter().enumerate() {
            weights[i] = if rank < capped {
                cap
            } else if capped == k {
                0.0
            } else {
                (log_share(capped) + z(i)).exp()
            };
        }
        weighted(weights, margins) - self.lambda * divergence_from_uniform(weights)
    }
}

fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        high
    } else {
        high + (low - high).exp().ln_1p()
    }
}

/// `KL(p ‖ 1/K)` as `(1/K) Σ_k (t log t − t + 1)` with `t = K p_k`, whose terms are all at least 0.
fn divergence_from_uniform(p: &[f64]) -> f64 {
    let classes = p.len() as f64;
    let term = |t: f64| {
        let d = t - 1.0;
        if t <= 0.0 {
            1.0
        } else if d.abs() < 1e-3 {
            d * d * (1.0 / 2.0 - d * (1.0 / 6.0 - d * (1.0 / 12.0 - d * (1.0 / 20.0 - d / 30.0))))
        } else {
            t * t.ln() - d
        }
    };
    p.iter().map(|&p| term(classes * p)).sum::<f64>() / classes
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "ldr_k",
        title: "LDR-k loss",
        family: "classification",
        formula: "ℓ = max_p p·δ − λ KL(p ‖ 1/K) over p_i ≤ 1/k,  δ_k = f_k − f_y + c·1[k ≠ y]",
        shapes: "logits [batch, classes], targets [batch] → [1]",
        good_for: &["top-k", "robust", "ambiguous classes"],
        cost: "a sort of each row",
        when: "The true class among the first k is good enough, and single scores should not decide.",
        when_not: "There are few classes: k near their number forgets which is likeliest.",
        source: SOURCE,
        parameters: vec![
            Parameter {
                name: "k",
                meaning: "no label weighs more than 1/k (rounded down)",
                default: 2.0,
                range: (1.0, 5.0),
                scale: Scale::Linear,
            },
            LAMBDA,
            MARGIN,
        ],
        rust: "LdrKLossConfig::new().with_k({k} as usize).with_lambda({lambda}).with_margin({margin}).init()?",
        path: "thalweg::classification::LdrKLossConfig",
        build: Build::Scores(|value| {
            let config = LdrKLossConfig::new().with_k(value("k") as usize);
            let config = config.with_lambda(value("lambda")).with_margin(value("margin"));
            Ok(Box::new(config.init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "ldr_k_loss",
            "LDR-k loss of a batch, per sample, and its gradient",
        )
        .param("k", 2.0)
        .param("lambda", 1.0)
        .param("margin", 0.1)
        .param("reduction", "mean")
        .input("logits", "[N, K]")
        .input("labels", "[N]")
        .eval(|case| {
            let config = LdrKLossConfig::new().with_k(case.count("k", 1)?);
            let config = config.with_lambda(case.param("lambda")?);
            let config = config.with_margin(case.param("margin")?);
            case.logit_loss(&config.with_reduction(case.reduction()?).init()?)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Int, Tensor};
    use proptest::prelude::*;

    use super::super::LdrKlLossConfig;
    use super::super::rowwise::tests::*;
    use super::*;

    fn per_sample(config: &LdrKLossConfig, logits: &Tensor<2>, targets: &Tensor<1, Int>) -> Vec<f64> {
        let values = config.init().unwrap().per_sample(logits.clone(), targets.clone());
        values.into_data().try_into_vec_as::<f64>().unwrap()
    }

    #[test]
    fn the_gradient_is_numeric() {
        for (k, lambda) in [(1, 0.7), (2, 0.0), (3, 0.4), (3, 5.0), (5, 1.0)] {
            let loss = LdrKLossConfig::new()
                .with_k(k)
                .with_lambda(lambda)
                .init()
                .unwrap();
            gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nested_from_ldr_kl_to_the_mean(
            seed in 0_u64..10_000, classes in 2_usize..9, lambda in 0.0_f64..4.0, margin in 0.0_f64..1.0,
        ) {
            let (logits, targets) = random_batch(4, classes, 4.0, seed, DType::F64);
            let config = LdrKLossConfig::new().with_lambda(lambda).with_margin(margin);
            let of_k: Vec<_> = (1..=classes + 1)
                .map(|k| per_sample(&config.clone().with_k(k), &logits, &targets))
                .collect();
            let kl = LdrKlLossConfig::new().with_margin(margin);
            let each = |config: LdrKlLossConfig| {
                let values = config.init().unwrap().per_sample(logits.clone(), targets.clone());
                values.into_data().try_into_vec_as::<f64>().unwrap()
            };
            assert_close(&of_k[0], &each(kl.clone().with_lambda(lambda)), 1e-12);
            assert_close(&of_k[classes - 1], &each(kl.with_lambda(f64::INFINITY)), 1e-12);
            assert_close(&of_k[classes], &of_k[classes - 1], 1e-15);
            for pair in of_k.windows(2) {
                prop_assert!(pair[0].iter().zip(&pair[1]).all(|(less, more)| more <= &(less + 1e-12)));
            }
        }

        #[test]
        fn no_other_weights_are_worse(seed in 0_u64..10_000, classes in 2_usize..7, k in 1_usize..5, lambda in 0.05_f64..3.0) {
            let mut stream = thalweg_kernels::random::Stream::new(seed, "weights", 0);
            let margins: Vec<f64> = (0..classes).map(|_| 6.0 * stream.uniform() - 3.0).collect();
            let k = k.min(classes);
            let mut weights = vec![0.0; classes];
            let worst = Capped { k, lambda }.of(&margins, &mut weights);
            let cap = 1.0 / k as f64;
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(weights.iter().all(|&p| (0.0..=cap + 1e-12).contains(&p)));
            // Towards any vertex of Ω(k): equal weights on k classes.
            let order = { let mut order: Vec<usize> = (0..classes).collect(); stream.shuffle(&mut order); order };
            for step in [1e-3, 0.1, 0.5] {
                let mut other: Vec<f64> = weights.iter().map(|p| p * (1.0 - step)).collect();
                order.iter().take(k).for_each(|&i| other[i] += step * cap);
                let value = weighted(&other, &margins) - lambda * divergence_from_uniform(&other);
                prop_assert!(value <= worst + 1e-12);
            }
        }
    }
}
