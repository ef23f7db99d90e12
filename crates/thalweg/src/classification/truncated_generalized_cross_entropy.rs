//! Truncated generalised cross-entropy `min((1 − p_y^q)/q, (1 − k^q)/q)`: a sample with `p_y <= k` teaches nothing.
//!
//! A fresh network believes no sample, so training is to truncate late: [`TruncateLate`] descends the plain loss for the
//! first half of the steps and the truncated one after.
//!
//! Source: Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels", NeurIPS
//! 2018, without the alternating search for samples to drop.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::of_target::{OfTarget, SHAPES, TargetFunction};
use super::{CompSumLossConfig, LogitLoss};
use crate::config::require;
use crate::objective::{
    Batch, Build, Model, Objective, ObjectiveEntry, Parameter, Progress, Scale, ScoreLoss,
};
use crate::{ConfigError, Reduction};

/// Configuration of truncated generalised cross-entropy.
#[derive(Config, Debug)]
pub struct TruncatedGeneralizedCrossEntropyLossConfig {
    /// Near 0 cross-entropy, 1 mean absolute error, above each p_y that is not cut off; in `(0, 1]`.
    #[config(default = 0.7)]
    pub q: f64,
    /// Probability k below which the loss is constant, in `(0, 1)`.
    #[config(default = 0.5)]
    pub k: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl TruncatedGeneralizedCrossEntropyLossConfig {
    /// The objective that truncates in the second half of training only.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_late(&self) -> Result<TruncateLate, ConfigError> {
        let truncated = self.init()?;
        let plain = CompSumLossConfig::new()
            .with_tau(1.0 + self.q)
            .with_reduction(self.reduction)
            .init()?;
        Ok(TruncateLate { plain, truncated })
    }

    /// The loss, truncated throughout.
    ///
    /// # Errors
    /// When q is not in `(0, 1]` or k not in `(0, 1)`.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        const NAME: &str = "truncated_gce";
        let q = require(NAME, "q", self.q, "above 0 and at most 1", |q| {
            q > 0.0 && q <= 1.0
        })?;
        let k = require(NAME, "k", self.k, "above 0 and below 1", |k| k > 0.0 && k < 1.0)?;
        let function = Truncated { q, log_k: k.ln() };
        Ok(LogitLoss::of_softmax(OfTarget(function), self.reduction))
    }
}

/// Generalised cross-entropy, truncated from half of the training steps on.
#[derive(Clone, Debug)]
pub struct TruncateLate {
    plain: LogitLoss,
    truncated: LogitLoss,
}

impl TruncateLate {
    /// The loss of a batch at this point of training.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// As [`LogitLoss::forward`].
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>, progress: &Progress) -> Tensor<1> {
        let loss = if 2 * progress.step < progress.steps {
            &self.plain
        } else {
            &self.truncated
        };
        loss.forward(logits, targets)
    }
}

impl Objective for TruncateLate {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, progress: &Progress, _: &mut Stream) -> Tensor<1> {
        self.forward(
            model.forward(batch.inputs.clone()),
            batch.targets.clone(),
            progress,
        )
    }

    fn on_scores(&self) -> Option<&dyn ScoreLoss> {
        Some(&self.truncated)
    }
}

#[derive(Clone, Copy, Debug)]
struct Truncated {
    q: f64,
    log_k: f64,
}

impl TargetFunction for Truncated {
    fn at(&self, log_p: f64, _: f64) -> (f64, f64) {
        let kept = log_p > self.log_k;
        let exponent = self.q * log_p.max(self.log_k);
        (
            -exponent.exp_m1() / self.q,
            if kept { -exponent.exp() } else { 0.0 },
        )
    }

    fn composed(&self, log_p: Tensor<1>) -> Tensor<1> {
        let power = (log_p.clamp_min(self.log_k) * self.q).exp();
        (power - 1.0) * (-1.0 / self.q)
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "truncated_gce",
        title: "Truncated generalised cross-entropy",
        family: "classification",
        formula: "ℓ = min( (1 − p_y^q)/q, (1 − k^q)/q ) in the second half of training; (1 − p_y^q)/q before",
        shapes: SHAPES,
        good_for: &["noisy labels", "robust"],
        cost: "as cross-entropy",
        when: "Samples that the half-trained network does not believe are likely mislabelled and should be left out.",
        when_not: "Rare or hard samples matter: they are left out too.",
        source: "Zhang, Sabuncu, NeurIPS 2018",
        parameters: vec![
            Parameter {
                name: "q",
                meaning: "near 0: cross-entropy, 1: mean absolute error",
                default: 0.7,
                range: (0.05, 1.0),
                scale: Scale::Linear,
            },
            Parameter {
                name: "k",
                meaning: "probability below which a sample is left out",
                default: 0.5,
                range: (0.01, 0.5),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "TruncatedGeneralizedCrossEntropyLossConfig::new().with_q({q}).with_k({k}).init_late()?",
        path: "thalweg::classification::TruncatedGeneralizedCrossEntropyLossConfig",
        build: Build::Scores(|value| {
            let config = TruncatedGeneralizedCrossEntropyLossConfig::new().with_q(value("q"));
            Ok(Box::new(config.with_k(value("k")).init_late()?))
        }),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for (q, k) in [(0.7, 0.5), (0.05, 0.1), (1.0, 0.01)] {
            kernel_equals_composition(&OfTarget(Truncated { q, log_k: f64::ln(k) }));
        }
    }

    #[test]
    fn nothing_is_cut_off_in_the_first_half() {
        let config = TruncatedGeneralizedCrossEntropyLossConfig::new();
        let (late, truncated) = (config.init_late().unwrap(), config.init().unwrap());
        let plain = CompSumLossConfig::new().with_tau(1.7).init().unwrap();
        let device = burn::tensor::Device::flex();
        let logits = Tensor::<2>::from_floats([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]], &device);
        let targets = Tensor::<1, Int>::from_ints([0, 0], &device);
        let at = |step| {
            let progress = Progress {
                epoch: 0,
                epochs: 1,
                step,
                steps: 10,
            };
            let loss = late.forward(logits.clone(), targets.clone(), &progress);
            loss.into_scalar::<f32>()
        };
        let of = |loss: &LogitLoss| loss.forward(logits.clone(), targets.clone()).into_scalar::<f32>();
        assert_eq!((at(0), at(4)), (of(&plain), of(&plain)));
        assert_eq!((at(5), at(9)), (of(&truncated), of(&truncated)));
        assert!(at(4) > at(5));
    }

    #[test]
    fn below_k_it_is_flat_and_continuous() {
        let loss = Truncated {
            q: 0.7,
            log_k: 0.5_f64.ln(),
        };
        let (at_k, slope) = loss.at(0.5_f64.ln(), 0.5);
        assert_eq!(loss.at(-1e4, 1.0), (at_k, 0.0));
        assert_eq!(slope, 0.0);
        assert!((loss.at(0.5_f64.ln() + 1e-9, 0.5).0 - at_k).abs() < 1e-8);
    }
}
