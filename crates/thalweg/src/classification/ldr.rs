//! LDR-KL: `λ log( (1/K) Σ_k exp(δ_k/λ) )` of the margins `δ_k = f_k − f_y + c·1[k ≠ y]`, in units of scores.
//!
//! It is the worst case over label weights, `max_p p·δ − λ KL(p ‖ 1/K)`, attained at `p* = softmax(δ/λ)`; the gradient is
//! `p* − onehot`. λ = 1 and c = 0: cross-entropy less log K. λ → 0: the largest margin, the loss of Crammer and Singer;
//! λ → ∞: the mean margin. Not the cross-entropy of `f/λ`, which lacks the factor λ in value and gradient.
//!
//! Source: Zhu, Ying, Yang, "Label Distributionally Robust Losses for Multi-class Classification: Consistency, Robustness
//! and Adaptivity", ICML 2023.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::rowwise::{Coefficients, Entry, Member, Row};

use super::LogitLoss;
use super::ldr_k::Capped;
use super::logit_normalization::LogitNormalization;
use super::margins::{Average, Largest, OfMargins, Worst, into_margins};
use super::rowwise::{RowwiseLoss, host_scores, log_prob_of_target};
use crate::bridge::{class_indices, constant};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::{Outputs, Quantity};
use crate::{ConfigError, Reduction};

/// Configuration of the LDR-KL loss.
#[derive(Config, Debug)]
pub struct LdrKlLossConfig {
    /// Temperature λ, at least 0; 0 is the largest margin, infinity their mean.
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

/// λ below which a loss is taken for its limit at 0.
pub(super) const COLD: f64 = 1e-12;

/// λ from which `λ log(mean exp)` would lose digits to cancellation, and the margins are summed with care instead.
const WARM: f64 = 1e3;

impl LdrKlLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When λ or the margin is negative.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let lambda = require_lambda("ldr_kl", self.lambda)?;
        let margin = require_margin("ldr_kl", self.margin)?;
        let loss = if lambda < COLD {
            LogitLoss::of_rows(
                OfMargins {
                    margin,
                    worst: Largest,
                },
                self.reduction,
            )
        } else if lambda < WARM {
            LogitLoss::of_softmax(LdrKl { lambda, margin }, self.reduction)
        } else if lambda.is_finite() {
            let worst = Capped { k: 1, lambda };
            LogitLoss::of_rows(OfMargins { margin, worst }, self.reduction)
        } else {
            LogitLoss::of_rows(
                OfMargins {
                    margin,
                    worst: Average,
                },
                self.reduction,
            )
        };
        Ok(loss.normalized(self.normalization))
    }

    /// The worst-case label weights `p*` of a batch, outside any autodiff graph.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]`; returns `[batch, classes]`, each row a distribution.
    ///
    /// # Errors
    /// When λ or the margin is negative.
    ///
    /// # Panics
    /// When the batch sizes differ or a target is out of range.
    pub fn weights(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Result<Tensor<2>, ConfigError> {
        let lambda = require_lambda("ldr_kl", self.lambda)?;
        let margin = require_margin("ldr_kl", self.margin)?;
        let worst: &dyn Worst = if lambda.is_infinite() {
            &Average
        } else if lambda < COLD {
            &Largest
        } else {
            &Capped { k: 1, lambda }
        };
        let logits = match self.normalization {
            Some(normalization) => normalization.of(logits),
            None => logits,
        };
        let [batch, classes] = logits.dims();
        let mut scores = host_scores(&logits);
        let targets = class_indices(targets);
        assert_eq!(targets.len(), batch, "logits and targets differ in batch size");
        let mut weights = vec![0.0; scores.len()];
        let rows = scores
            .chunks_exact_mut(classes)
            .zip(weights.chunks_exact_mut(classes));
        for ((row, weights), y) in rows.zip(targets) {
            into_margins(row, y as usize, margin);
            worst.of(row, weights);
        }
        Ok(constant(
            weights,
            [batch, classes],
            &logits.device(),
            logits.dtype(),
        ))
    }
}

pub(super) fn require_lambda(objective: &'static str, lambda: f64) -> Result<f64, ConfigError> {
    require(objective, "lambda", lambda, "at least 0", |lambda| lambda >= 0.0)
}

pub(super) fn require_margin(objective: &'static str, margin: f64) -> Result<f64, ConfigError> {
    require(objective, "margin", margin, "at least 0 and finite", |margin| {
        margin >= 0.0 && margin.is_finite()
    })
}

#[derive(Clone, Copy, Debug)]
struct LdrKl {
    lambda: f64,
    margin: f64,
}

impl Member for LdrKl {
    #[inline(always)]
    fn entry(&self, _: usize) -> Entry {
        entry(self.lambda, self.margin)
    }

    fn row(&self, row: Row) -> Coefficients {
        tempered(row, self.lambda)
    }
}

impl RowwiseLoss for LdrKl {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let log_classes = (logits.dims()[1] as f64).ln();
        let entered = with_margin(logits, &targets, self.margin) * (1.0 / self.lambda);
        (log_prob_of_target(entered, targets) + log_classes) * -self.lambda
    }
}

/// How scores enter the softmax whose target has probability `1 / Σ_k exp(δ_k/λ)`.
#[inline(always)]
pub(super) fn entry(lambda: f64, margin: f64) -> Entry {
    Entry {
        scale: 1.0 / lambda,
        offset: -margin,
    }
}

/// `−λ log p'_y − λ log K`, with gradient `p' − onehot`.
pub(super) fn tempered(row: Row, lambda: f64) -> Coefficients {
    Coefficients {
        loss: -lambda * (row.log_p + (row.classes as f64).ln()),
        softmax: 1.0,
        target: -1.0,
        uniform: 0.0,
    }
}

/// `f_k + c·1[k ≠ y]`.
pub(super) fn with_margin(logits: Tensor<2>, targets: &Tensor<1, Int>, margin: f64) -> Tensor<2> {
    let own: Tensor<2, Int> = targets.clone().one_hot(logits.dims()[1]);
    let own = own.float().cast(logits.dtype());
    logits + (own - 1.0) * -margin
}

pub(super) const SOURCE: &str = "Zhu, Ying, Yang, ICML 2023 (arXiv 2112.14869)";

pub(super) const LAMBDA: Parameter = Parameter {
    name: "lambda",
    meaning: "temperature λ; near 0 only the worst class counts",
    default: 1.0,
    range: (0.1, 10.0),
    scale: Scale::Logarithmic,
};

pub(super) const MARGIN: Parameter = Parameter {
    name: "margin",
    meaning: "margin c by which the target's score is to lead",
    default: 0.1,
    range: (0.0, 1.0),
    scale: Scale::Linear,
};

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "ldr_kl",
        title: "LDR-KL loss",
        family: "classification",
        formula: "ℓ = λ log( (1/K) Σ_k exp(δ_k/λ) ),  δ_k = f_k − f_y + c·1[k ≠ y]",
        shapes: "logits [batch, classes], targets [batch] → [1]",
        good_for: &[
            "top-k",
            "noisy labels",
            "large margins",
            "one knob from SVM to a robust loss",
        ],
        cost: "as cross-entropy",
        when: "The order of all classes matters, not the first alone; a large λ resists wrong labels.",
        when_not: "Scores are to be read as probabilities as they are: they are those of f/λ.",
        source: SOURCE,
        parameters: vec![LAMBDA, MARGIN],
        rust: "LdrKlLossConfig::new().with_lambda({lambda}).with_margin({margin}).init()?",
        path: "thalweg::classification::LdrKlLossConfig",
        build: Build::Scores(|value| {
            let config = LdrKlLossConfig::new().with_lambda(value("lambda"));
            Ok(Box::new(config.with_margin(value("margin")).init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    let quantity = |name, meaning| Quantity::new(name, meaning).param("lambda", 1.0);
    vec![
        quantity(
            "ldr_kl_loss",
            "LDR-KL loss of a batch, per sample, and its gradient",
        )
        .param("margin", 0.1)
        .param("reduction", "mean")
        .input("logits", "[N, K]")
        .input("labels", "[N]")
        .eval(|case| {
            let config = LdrKlLossConfig::new().with_lambda(case.param("lambda")?);
            let config = config.with_margin(case.param("margin")?);
            case.logit_loss(&config.with_reduction(case.reduction()?).init()?)
        }),
        quantity("ldr_kl_weights", "worst-case label weights p* = softmax(δ/λ)")
            .param("margin", 0.1)
            .input("logits", "[N, K]")
            .input("labels", "[N]")
            .eval(|case| {
                case.not_empty("logits")?;
                let config = LdrKlLossConfig::new().with_lambda(case.param("lambda")?);
                let config = config.with_margin(case.param("margin")?);
                let labels = case.class_labels("labels", "logits")?;
                Ok(Outputs::new().with_tensor("value", config.weights(case.tensor("logits"), labels)?))
            }),
        quantity(
            "ldr_kl_conditional_risk",
            "expected LDR-KL loss of one score vector under class probabilities, and its gradient",
        )
        .param("margin", 0.0)
        .input("scores", "[K]")
        .input("class_probs", "[K]")
        .eval(|case| {
            let classes = case.array("scores").data.len();
            if classes < 2 {
                return case.refuse_input("scores", "holds fewer than 2 classes");
            }
            let config = LdrKlLossConfig::new().with_lambda(case.param("lambda")?);
            let loss = config.with_margin(case.param("margin")?).init()?;
            let scores = case.variable::<1>("scores");
            let each = Tensor::<1, Int>::arange(0..classes as i64, &scores.device().without_autodiff());
            let logits = scores.clone().reshape([1, classes]).repeat_dim(0, classes);
            let risk = (loss.per_sample(logits, each) * case.tensor("class_probs")).sum();
            Ok(case.value_and_gradients(risk, &[("scores", &scores)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::CompSumLossConfig;
    use super::super::rowwise::tests::*;
    use super::*;

    fn config(lambda: f64, margin: f64) -> LdrKlLossConfig {
        LdrKlLossConfig::new().with_lambda(lambda).with_margin(margin)
    }

    fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor.into_data().try_into_vec_as::<f64>().unwrap()
    }

    fn per_sample(lambda: f64, margin: f64, logits: &Tensor<2>, targets: &Tensor<1, Int>) -> Vec<f64> {
        let loss = config(lambda, margin).init().unwrap();
        read(loss.per_sample(logits.clone(), targets.clone()))
    }

    #[test]
    fn kernel_and_composition_agree() {
        for (lambda, margin) in [(1.0, 0.0), (0.3, 0.5), (4.0, 0.1)] {
            kernel_equals_composition(&LdrKl { lambda, margin });
        }
    }

    #[test]
    fn gradients_beyond_the_kernel_are_numeric() {
        for lambda in [0.0, 1e4, f64::INFINITY] {
            let loss = config(lambda, 0.1).init().unwrap();
            gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
        }
    }

    #[test]
    fn scores_of_ten_thousand_at_a_small_temperature_stay_finite() {
        let logits = Tensor::<2>::from_floats([[-1e4, 1e4, 0.0]], &Device::flex());
        let targets = Tensor::<1, Int>::from_ints([0], &Device::flex());
        for lambda in [0.0, 1e-11, 0.01] {
            let loss = config(lambda, 0.1).init().unwrap();
            let (value, gradient) = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
            assert!((value[0] - 2e4).abs() < 1.0, "{value:?}");
            assert_eq!(gradient, [-1.0, 1.0, 0.0]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn at_one_it_is_cross_entropy_less_log_k(seed in 0_u64..10_000, classes in 2_usize..12) {
            let (logits, targets) = random_batch(4, classes, 4.0, seed, DType::F64);
            let ce = CompSumLossConfig::new().init().unwrap();
            let ldr = config(1.0, 0.0).init().unwrap();
            let a = value_and_gradient(&logits, |h| ldr.forward(h, targets.clone()));
            let b = value_and_gradient(&logits, |h| ce.forward(h, targets.clone()));
            assert_close(&a.0, &[b.0[0] - (classes as f64).ln()], 1e-12);
            assert_close(&a.1, &b.1, 1e-14);
        }

        #[test]
        fn limits_order_and_gradients(
            seed in 0_u64..10_000, classes in 2_usize..9, lambda in 0.05_f64..20.0, margin in 0.0_f64..1.0,
        ) {
            let (logits, targets) = random_batch(4, classes, 4.0, seed, DType::F64);
            let at = |lambda: f64| per_sample(lambda, margin, &logits, &targets);
            assert_close(&at(1e-9), &at(0.0), 1e-7);
            assert_close(&at(1e9), &at(f64::INFINITY), 1e-6);
            // The same number on both sides of where the margins are summed with care.
            assert_close(&at(WARM * (1.0 - 1e-13)), &at(WARM), 1e-10);
            let (cooler, here, warmer) = (at(0.99 * lambda), at(lambda), at(1.01 * lambda));
            for i in 0..4 {
                prop_assert!(warmer[i] <= here[i] + 1e-12 && here[i] <= cooler[i] + 1e-12);
            }
            // dL/dλ = −KL(p* ‖ 1/K).
            let step = 1e-5 * lambda;
            let (below, above) = (at(lambda - step), at(lambda + step));
            let weights = read(config(lambda, margin).weights(logits.clone(), targets.clone()).unwrap());
            for (i, p) in weights.chunks(classes).enumerate() {
                prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                let entropy: f64 = p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum();
                let divergence = entropy + (classes as f64).ln();
                prop_assert!(((above[i] - below[i]) / (2.0 * step) + divergence).abs() < 1e-6);
            }
            let loss = config(lambda, margin).init().unwrap();
            let (_, gradient) = value_and_gradient(&logits, |h| loss.per_sample(h, targets.clone()));
            for row in gradient.chunks(classes) {
                prop_assert!(row.iter().sum::<f64>().abs() < 1e-12);
            }
        }

        #[test]
        fn convex_in_the_scores(seed in 0_u64..10_000, lambda in 0.05_f64..5.0, share in 0.0_f64..1.0) {
            let (a, targets) = random_batch(4, 5, 4.0, seed, DType::F64);
            let (b, _) = random_batch(4, 5, 4.0, seed + 1, DType::F64);
            let between = a.clone() * share + b.clone() * (1.0 - share);
            let at = |logits: &Tensor<2>| per_sample(lambda, 0.3, logits, &targets);
            let (a, b, between) = (at(&a), at(&b), at(&between));
            for i in 0..4 {
                prop_assert!(between[i] <= share * a[i] + (1.0 - share) * b[i] + 1e-12);
            }
        }

        #[test]
        fn the_mean_form_is_symmetric(seed in 0_u64..10_000, classes in 2_usize..9) {
            let (logits, _) = random_batch(1, classes, 4.0, seed, DType::F64);
            let each = Tensor::<1, Int>::arange(0..classes as i64, &Device::flex());
            let losses = per_sample(f64::INFINITY, 0.0, &logits.repeat_dim(0, classes), &each);
            prop_assert!(losses.iter().sum::<f64>().abs() < 1e-12);
        }

        #[test]
        fn the_conditional_risk_is_least_where_scores_order_like_probabilities(
            seed in 0_u64..10_000, classes in 2_usize..7, lambda in 0.1_f64..5.0,
        ) {
            let mut stream = thalweg_kernels::random::Stream::new(seed, "probabilities", 0);
            let weights: Vec<f64> = (0..classes).map(|_| 0.05 + stream.uniform()).collect();
            let total: f64 = weights.iter().sum();
            let scores: Vec<f64> = weights.iter().map(|w| lambda * (w / total).ln()).collect();
            let array = |data: Vec<f64>| crate::quantity::Value::from(data);
            let risk = crate::catalogue::quantity("ldr_kl_conditional_risk").unwrap();
            let outputs = risk.compute(
                &[("lambda".to_owned(), lambda.into())].into(),
                &[
                    ("scores".to_owned(), array(scores)),
                    ("class_probs".to_owned(), array(weights.iter().map(|w| w / total).collect())),
                ].into(),
            ).unwrap();
            let gradient = outputs.iter().find(|(name, _)| *name == "grad_scores").unwrap().1;
            let crate::quantity::Value::Array(gradient) = gradient else { panic!("{gradient:?}") };
            prop_assert!(gradient.data.iter().all(|g| g.abs() < 1e-12));
        }
    }
}
