//! ALDR-KL: LDR-KL with a temperature λ_i of each training sample's own, kept from batch to batch.
//!
//! Per sample `max_{λ≥0} max_p p·δ − λ KL(p ‖ 1/K) − (α₀/2)(λ − λ₀)²` with `α₀ = α log K / λ₀`, α > 1: a sample whose
//! worst-case weights are peaked gets a small λ, an undecided one stays near λ₀. In units of scores.
//!
//! Source: Zhu, Ying, Yang, "Label Distributionally Robust Losses for Multi-class Classification: Consistency, Robustness
//! and Adaptivity", ICML 2023, section 5.

mod rule;

use std::collections::{BTreeMap, HashSet};

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;
use thalweg_kernels::rows;
use thalweg_kernels::rowwise::{Coefficients, Entry, Member, Row};

use super::ldr::{MARGIN, SOURCE, entry, require_margin, tempered, with_margin};
use super::logit_normalization::LogitNormalization;
use super::rowwise::{FusedLoss, RowwiseLoss, host_scores, log_prob_of_target};
use crate::bridge::{CpuFloats, Floats, class_indices, constant};
use crate::config::require;
use crate::objective::{Batch, Build, Model, Objective, ObjectiveEntry, Parameter, Progress, Scale};
use crate::quantity::{Outputs, Quantity};
use crate::{ConfigError, Reduction};
use rule::{FixedPoint, Rule};

/// Configuration of [`AldrKl`].
#[derive(Config, Debug)]
pub struct AldrKlConfig {
    /// Temperature λ₀ that samples start from and do not exceed, above 0. The paper chooses among 0.1, 1 and 10.
    #[config(default = 10.0)]
    pub lambda0: f64,
    /// Pull α towards λ₀, above 1: temperatures stay at or above `λ₀(1 − 1/α)`.
    #[config(default = 2.0)]
    pub alpha: f64,
    /// Margin c by which the target's score is to lead, at least 0.
    #[config(default = 0.1)]
    pub margin: f64,
    /// Whether the weights that temperatures are updated from count the margin, as in the paper; its code leaves it out.
    #[config(default = true)]
    pub margin_in_weights: bool,
    /// How logits are normalised first, if at all.
    pub normalization: Option<LogitNormalization>,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl AldrKlConfig {
    /// The objective, every sample at λ₀.
    ///
    /// # Errors
    /// When λ₀ is not above 0, α not above 1, or the margin negative.
    pub fn init(&self) -> Result<AldrKl, ConfigError> {
        Ok(AldrKl {
            rule: self.rule()?,
            normalization: self.normalization,
            reduction: self.reduction,
            state: AldrKlState::default(),
        })
    }

    fn rule(&self) -> Result<Rule, ConfigError> {
        let margin = require_margin("aldr_kl", self.margin)?;
        Ok(Rule {
            lambda0: require(
                "aldr_kl",
                "lambda0",
                self.lambda0,
                "above 0 and finite",
                |lambda| lambda > 0.0 && lambda.is_finite(),
            )?,
            alpha: require("aldr_kl", "alpha", self.alpha, "above 1 and finite", |alpha| {
                alpha > 1.0 && alpha.is_finite()
            })?,
            margin,
            margin_in_weights: if self.margin_in_weights { margin } else { 0.0 },
        })
    }
}

/// The temperatures of the samples seen so far, by id. Serialise it with a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AldrKlState {
    /// λ_i by sample id; a sample that is missing is at λ₀.
    pub lambdas: BTreeMap<usize, f64>,
}

/// The objective, with its memory of the samples.
#[derive(Clone, Debug)]
pub struct AldrKl {
    rule: Rule,
    normalization: Option<LogitNormalization>,
    reduction: Reduction,
    state: AldrKlState,
}

impl AldrKl {
    /// Updates the temperatures of the samples `ids` from their current scores, then returns their loss at those, held
    /// constant.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]`, ids of length `batch`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the batch sizes differ, a target is out of range, or
    /// an id occurs twice.
    pub fn forward(&mut self, logits: Tensor<2>, targets: Tensor<1, Int>, ids: &[usize]) -> Tensor<1> {
        let logits = match self.normalization {
            Some(normalization) => normalization.of(logits),
            None => logits,
        };
        let [batch, classes] = logits.dims();
        assert_eq!(
            ids.len(),
            batch,
            "{} ids for a batch of {batch} samples",
            ids.len()
        );
        let mut seen = HashSet::with_capacity(batch);
        if let Some(id) = ids.iter().find(|id| !seen.insert(**id)) {
            panic!("sample {id} occurs twice in a batch; its temperature can be updated once");
        }
        let previous: Vec<f64> = ids.iter().map(|&id| self.lambda(id)).collect();
        let labels = class_indices(targets.clone());
        let lambdas = match CpuFloats::of(&logits).as_ref().map(CpuFloats::floats) {
            Some(Floats::F32(scores)) => self.rule.updated(scores, &labels, classes, &previous),
            Some(Floats::F64(scores)) => self.rule.updated(scores, &labels, classes, &previous),
            None => self
                .rule
                .updated(&host_scores(&logits), &labels, classes, &previous),
        };
        self.state
            .lambdas
            .extend(ids.iter().copied().zip(lambdas.iter().copied()));
        let loss = Tempered {
            rule: self.rule,
            lambdas: &lambdas,
        };
        loss.reduced(logits, targets, self.reduction)
    }

    /// The temperature of a sample.
    pub fn lambda(&self, id: usize) -> f64 {
        self.state.lambdas.get(&id).copied().unwrap_or(self.rule.lambda0)
    }

    /// What is to be saved with a checkpoint.
    pub fn state(&self) -> &AldrKlState {
        &self.state
    }

    /// Takes the temperatures of a checkpoint.
    ///
    /// # Errors
    /// When one is not between `λ₀(1 − 1/α)` and λ₀: it was saved under other settings.
    pub fn load(&mut self, state: AldrKlState) -> Result<(), ConfigError> {
        let accepted = "between λ₀(1 − 1/α) and λ₀; the state was saved under other settings";
        let bounds = self.rule.bounds();
        for &lambda in state.lambdas.values() {
            require("aldr_kl", "lambdas", lambda, accepted, |lambda| {
                bounds.contains(&lambda)
            })?;
        }
        self.state = state;
        Ok(())
    }
}

impl Objective for AldrKl {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, _: &mut Stream) -> Tensor<1> {
        self.forward(
            model.forward(batch.inputs.clone()),
            batch.targets.clone(),
            &batch.ids,
        )
    }

    fn remembered(&self, id: usize) -> Option<f64> {
        Some(self.lambda(id))
    }
}

/// `L_{λ_i}(f) − (α₀/2)(λ_i − λ₀)²` with the temperatures constant.
struct Tempered<'a> {
    rule: Rule,
    lambdas: &'a [f64],
}

impl Member for Tempered<'_> {
    #[inline(always)]
    fn entry(&self, index: usize) -> Entry {
        entry(self.lambdas[index], self.rule.margin)
    }

    fn row(&self, row: Row) -> Coefficients {
        let lambda = self.lambdas[row.index];
        let plain = tempered(row, lambda);
        Coefficients {
            loss: plain.loss - self.rule.penalty(lambda, row.classes),
            ..plain
        }
    }
}

impl RowwiseLoss for Tempered<'_> {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let (device, dtype) = (logits.device(), logits.dtype());
        let of_each = |value: &dyn Fn(f64) -> f64| -> Tensor<1> {
            let values: Vec<f64> = self.lambdas.iter().map(|&lambda| value(lambda)).collect();
            constant(values, [batch], &device, dtype)
        };
        let cold: Tensor<2> = of_each(&|lambda| 1.0 / lambda).reshape([batch, 1]);
        let entered = with_margin(logits, &targets, self.rule.margin) * cold;
        let surprise = -(log_prob_of_target(entered, targets) + (classes as f64).ln());
        surprise * of_each(&|lambda| lambda) - of_each(&|lambda| self.rule.penalty(lambda, classes))
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "aldr_kl",
        title: "ALDR-KL loss",
        family: "classification",
        formula: "ℓ_i = λ_i log( (1/K) Σ_k exp(δ_k/λ_i) ) − (α₀/2)(λ_i − λ₀)²,\n\
                  λ_i = λ₀ (1 − KL(p_i ‖ 1/K)/(α log K)),  p_i = softmax(δ/λ_i) of the last visit",
        shapes: "logits [batch, classes], targets [batch], sample ids → [1]",
        good_for: &["noisy labels", "robust", "per-sample temperatures", "top-k"],
        cost: "cross-entropy twice; one number a training sample",
        when: "Some labels are wrong, nobody knows which, and one temperature for all samples is too blunt.",
        when_not: "Samples are seen once, or have no identity from epoch to epoch.",
        source: SOURCE,
        parameters: vec![
            Parameter {
                name: "lambda0",
                meaning: "temperature λ₀ that samples start from",
                default: 10.0,
                range: (0.3, 30.0),
                scale: Scale::Logarithmic,
            },
            MARGIN,
        ],
        rust: "AldrKlConfig::new().with_lambda0({lambda0}).with_margin({margin}).init()?",
        path: "thalweg::classification::AldrKlConfig",
        build: Build::Scores(|value| {
            let config = AldrKlConfig::new().with_lambda0(value("lambda0"));
            Ok(Box::new(config.with_margin(value("margin")).init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    let quantity = |name, meaning| {
        Quantity::new(name, meaning)
            .param("lambda0", 1.0)
            .param("alpha", 2.0)
            .param("margin", 0.1)
            .input("logits", "[N, K]")
            .input("labels", "[N]")
    };
    let config = |case: &crate::quantity::Case| -> Result<_, crate::quantity::QuantityError> {
        case.not_empty("logits")?;
        let config = AldrKlConfig::new().with_lambda0(case.param("lambda0")?);
        let config = config.with_alpha(case.param("alpha")?);
        Ok(config.with_margin(case.param("margin")?))
    };
    let positive = |case: &crate::quantity::Case, name: &str| {
        let lambdas = &case.array(name).data;
        match lambdas.iter().position(|&l| l <= 0.0 || l.is_infinite()) {
            Some(at) => case.refuse_input(
                name,
                format!(
                    "holds {} at index {at}; temperatures are above 0 and finite",
                    lambdas[at]
                ),
            ),
            None => Ok(lambdas.clone()),
        }
    };
    vec![
        quantity("aldr_lambda_update", "temperatures after one update from the given ones")
            .param("margin_in_weights", true)
            .input("lambda_prev", "[N]")
            .eval(move |case| {
                let rule = config(case)?.with_margin_in_weights(case.flag("margin_in_weights")?).rule()?;
                let previous = positive(case, "lambda_prev")?;
                let labels = class_indices(case.class_labels("labels", "logits")?);
                let logits = case.array("logits");
                let lambdas = rule.updated(&logits.data, &labels, logits.shape[1], &previous);
                Ok(Outputs::new().with("value", lambdas))
            }),
        quantity("aldr_kl_loss", "ALDR-KL loss at given temperatures, and its gradient with them constant")
            .param("reduction", "mean")
            .input("lambdas", "[N]")
            .eval(move |case| {
                let rule = config(case)?.rule()?;
                let lambdas = positive(case, "lambdas")?;
                let labels = case.class_labels("labels", "logits")?;
                let logits = case.variable::<2>("logits");
                let member = Tempered { rule, lambdas: &lambdas };
                let loss = member.reduced(logits.clone(), labels, case.reduction()?);
                Ok(case.value_and_gradients(loss, &[("logits", &logits)]))
            }),
        quantity(
            "aldr_lambda_fixed_point",
            "temperatures that the update leaves alone, the largest such, and the objective of each sample there",
        )
        .eval(move |case| {
            let rule = config(case)?.rule()?;
            let targets = case.class_labels("labels", "logits")?;
            let labels = class_indices(targets.clone());
            let logits = case.array("logits");
            let mut lambdas = vec![0.0; labels.len()];
            rows::forward(&FixedPoint { rule }, &logits.data, &labels, logits.shape[1], &mut lambdas);
            let member = Tempered { rule, lambdas: &lambdas };
            let per_sample = member.reduced(case.tensor("logits"), targets, Reduction::None);
            Ok(Outputs::new()
                .with("lambdas", lambdas)
                .with_tensor("per_sample", per_sample))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::rowwise::tests::*;
    use super::*;

    fn rule() -> Rule {
        AldrKlConfig::new().rule().unwrap()
    }

    #[test]
    fn kernel_and_composition_agree() {
        let lambdas = [0.6, 1.0, 0.75, 0.5, 0.9];
        for (batch, classes) in [(1, 2), (5, 7), (3, 130)] {
            let loss = Tempered {
                rule: rule(),
                lambdas: &lambdas[..batch],
            };
            kernel_equals_composition_of(&loss, batch, classes, 0);
        }
    }

    #[test]
    fn temperatures_follow_the_sample_through_shuffling() {
        let (logits, targets) = random_batch(4, 5, 3.0, 0, DType::F64);
        let mut straight = AldrKlConfig::new().with_lambda0(1.0).init().unwrap();
        let mut shuffled = straight.clone();
        let order = [2, 0, 3, 1];
        let rows = Tensor::<1, Int>::from_ints(order.map(|row| row as i32), &Device::flex());
        for _ in 0..3 {
            straight.forward(logits.clone(), targets.clone(), &[7, 8, 9, 1_000_000]);
            let ids = order.map(|row| [7, 8, 9, 1_000_000][row]);
            shuffled.forward(
                logits.clone().select(0, rows.clone()),
                targets.clone().select(0, rows.clone()),
                &ids,
            );
        }
        assert_eq!(straight.state(), shuffled.state());
        assert_eq!(straight.remembered(3), Some(1.0), "a sample never seen is at λ₀");
        assert!(straight.lambda(7) < 1.0);
    }

    #[test]
    fn a_checkpoint_continues_where_it_stopped() {
        let (logits, targets) = random_batch(3, 4, 3.0, 1, DType::F64);
        let mut whole = AldrKlConfig::new().init().unwrap();
        whole.forward(logits.clone(), targets.clone(), &[0, 1, 2]);
        let text = serde_json::to_string(whole.state()).unwrap();
        let mut resumed = AldrKlConfig::new().init().unwrap();
        resumed.load(serde_json::from_str(&text).unwrap()).unwrap();
        let next = |objective: &mut AldrKl| {
            let loss = objective.forward(logits.clone(), targets.clone(), &[0, 1, 2]);
            loss.into_scalar::<f64>()
        };
        assert_eq!(next(&mut whole), next(&mut resumed));
        assert_eq!(whole.state(), resumed.state());
        let mut other = AldrKlConfig::new().with_lambda0(40.0).init().unwrap();
        assert!(
            other
                .load(whole.state().clone())
                .unwrap_err()
                .to_string()
                .contains("other settings")
        );
    }

    #[test]
    #[should_panic(expected = "sample 4 occurs twice in a batch")]
    fn a_repeated_id_is_refused() {
        let (logits, targets) = random_batch(3, 4, 3.0, 1, DType::F64);
        AldrKlConfig::new()
            .init()
            .unwrap()
            .forward(logits, targets, &[4, 5, 4]);
    }

    #[test]
    fn settings_without_meaning_are_refused() {
        assert!(AldrKlConfig::new().with_alpha(1.0).init().is_err());
        assert!(AldrKlConfig::new().with_lambda0(0.0).init().is_err());
        assert!(AldrKlConfig::new().with_lambda0(f64::NAN).init().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_gradient_holds_temperatures_constant(seed in 0_u64..10_000) {
            let (logits, targets) = random_batch(3, 4, 3.0, seed, DType::F64);
            let fresh = AldrKlConfig::new().init().unwrap();
            let mut updated = fresh.clone();
            updated.forward(logits.clone(), targets.clone(), &[0, 1, 2]);
            let lambdas: Vec<f64> = (0..3).map(|id| updated.lambda(id)).collect();
            let (_, gradient) = value_and_gradient(&logits, |h| fresh.clone().forward(h, targets.clone(), &[0, 1, 2]));
            let constant = Tempered { rule: rule(), lambdas: &lambdas };
            let expected = central_differences(&logits, |h| constant.reduced(h, targets.clone(), Reduction::Mean));
            assert_close(&gradient, &expected, 1e-8);
        }
    }
}
