//! Symmetric cross-entropy `(1 − b)·(−log p_y) + b·A·(1 − p_y)`: cross-entropy and its reverse, whose `log 0` is −A.
//!
//! b = 1 and A = 2 is the mean absolute error in its L1 form, `‖onehot − p‖₁ = 2(1 − p_y)`.
//!
//! Source: Wang, Ma, Chen, Luo, Yi, Bailey, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019.

use burn::config::Config;
use burn::tensor::Tensor;

use super::LogitLoss;
use super::of_target::{OfTarget, SHAPES, TargetFunction, rest_of};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::{ConfigError, Reduction};

/// Configuration of symmetric cross-entropy.
#[derive(Config, Debug)]
pub struct SymmetricCrossEntropyLossConfig {
    /// Share b of the reverse cross-entropy, in `[0, 1]`.
    #[config(default = 0.5)]
    pub balance: f64,
    /// What stands for `−log 0`, at least 0.
    #[config(default = 4.0)]
    pub a: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl SymmetricCrossEntropyLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When b is not in `[0, 1]` or A is negative.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        const NAME: &str = "symmetric_cross_entropy";
        let balance = require(NAME, "balance", self.balance, "in [0, 1]", |b| {
            (0.0..=1.0).contains(&b)
        })?;
        let a = require(NAME, "a", self.a, "at least 0 and finite", |a| {
            a >= 0.0 && a.is_finite()
        })?;
        let function = Symmetric {
            forward: 1.0 - balance,
            reverse: balance * a,
        };
        Ok(LogitLoss::of_softmax(OfTarget(function), self.reduction))
    }
}

#[derive(Clone, Copy, Debug)]
struct Symmetric {
    forward: f64,
    reverse: f64,
}

impl TargetFunction for Symmetric {
    fn at(&self, log_p: f64, rest: f64) -> (f64, f64) {
        let loss = -self.forward * log_p + self.reverse * rest;
        (loss, -self.forward - self.reverse * log_p.exp())
    }

    fn composed(&self, log_p: Tensor<1>) -> Tensor<1> {
        rest_of(log_p.clone()) * self.reverse - log_p * self.forward
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "symmetric_cross_entropy",
        title: "Symmetric cross-entropy",
        family: "classification",
        formula: "ℓ = (1 − b)·(−log p_y) + b·A·(1 − p_y)",
        shapes: SHAPES,
        good_for: &["noisy labels", "robust"],
        cost: "as cross-entropy",
        when: "Some labels are wrong, and training is to start as fast as under cross-entropy.",
        when_not: "Half of the labels are wrong: what is left of cross-entropy still learns them.",
        source: "Wang et al., ICCV 2019",
        parameters: vec![
            Parameter {
                name: "balance",
                meaning: "share b of the reverse cross-entropy",
                default: 0.5,
                range: (0.05, 0.95),
                scale: Scale::Linear,
            },
            Parameter {
                name: "a",
                meaning: "what stands for −log 0 in the reverse",
                default: 4.0,
                range: (2.0, 8.0),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "SymmetricCrossEntropyLossConfig::new().with_balance({balance}).with_a({a}).init()?",
        path: "thalweg::classification::SymmetricCrossEntropyLossConfig",
        build: Build::Scores(|value| {
            let config = SymmetricCrossEntropyLossConfig::new().with_balance(value("balance"));
            Ok(Box::new(config.with_a(value("a")).init()?))
        }),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for (forward, reverse) in [(1.0, 0.0), (0.5, 2.0), (0.0, 2.0)] {
            kernel_equals_composition(&OfTarget(Symmetric { forward, reverse }));
        }
    }
}
