//! Cross-entropy with the options of everyday training, in nats.
//!
//! To labels y, with class weights w and smoothing ε over C classes:
//! `ℓ = −(1−ε) w_y log p_y − (ε/C) Σ_k w_k log p_k + c (log Σ_k exp h_k)²`.
//!
//! To class probabilities t: `ℓ = −Σ_k w_k ((1−ε) t_k + ε/C) log p_k + c (log Σ_k exp h_k)²`.
//!
//! Their mean: over labels the cross-entropy is divided by `Σ w_y` of the samples that count, over probabilities by the
//! batch size. The [log-partition regulariser](super::LogsumexpZLoss) has no class and hence no weight: its mean is over
//! the samples that count. Where no sample counts, a mean is NaN, its gradient 0, and a sum 0: a batch of nothing but
//! padding moves no parameter, and its loss does not pass for a perfect one.
//!
//! Source: PyTorch's `CrossEntropyLoss` (value, weighting, reductions); Szegedy et al., CVPR 2016 (smoothing); Chowdhery et
//! al., arXiv 2204.02311 (regulariser).

mod labels;
mod quantities;
#[cfg(test)]
mod tests;

pub(super) use quantities::quantities;

use burn::config::Config;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use thalweg_kernels::pairs::SoftTargets;
use thalweg_kernels::rowwise::ClassWeights;

use super::logsumexp_z_loss::{coefficient, log_sum_exp};
use crate::config::require;
use crate::distillation::reduced_pair;
use crate::objective::ScoreLoss;
use crate::{ConfigError, Reduction};

/// Configuration of cross-entropy with all its options.
#[derive(Config, Debug)]
pub struct CrossEntropyLossConfig {
    /// Share ε of the target that is spread evenly over all classes, in `[0, 1]`.
    #[config(default = 0.0)]
    pub label_smoothing: f64,
    /// Weight of each class, at least 0; all 1 where there are none.
    pub class_weights: Option<Vec<f64>>,
    /// The label of samples that do not count. Soft targets have no labels: there it must be none or negative.
    pub ignore_index: Option<i64>,
    /// Factor c of the log-partition regulariser, at least 0; 1e-4 is usual in language models.
    #[config(default = 0.0)]
    pub logsumexp_z_loss: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl CrossEntropyLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When ε is not in `[0, 1]`, or a weight or the regulariser's factor is negative or not finite.
    pub fn init(&self) -> Result<CrossEntropyLoss, ConfigError> {
        let name = "cross_entropy";
        let smoothing = require(name, "label_smoothing", self.label_smoothing, "in [0, 1]", |e| {
            (0.0..=1.0).contains(&e)
        })?;
        for &weight in self.class_weights.iter().flatten() {
            require(name, "class_weights", weight, "at least 0 and finite", |w| {
                w >= 0.0 && w.is_finite()
            })?;
        }
        Ok(CrossEntropyLoss {
            smoothing,
            class_weights: self.class_weights.clone().map(ClassWeights::new),
            ignore_index: self.ignore_index,
            logsumexp_z: coefficient(name, "logsumexp_z_loss", self.logsumexp_z_loss)?,
            reduction: self.reduction,
        })
    }
}

/// Cross-entropy with all its options.
#[derive(Clone, Debug)]
pub struct CrossEntropyLoss {
    smoothing: f64,
    class_weights: Option<ClassWeights>,
    ignore_index: Option<i64>,
    logsumexp_z: f64,
    reduction: Reduction,
}

impl CrossEntropyLoss {
    /// The loss of labels. Ignored samples are not read: their loss and gradient are 0, whatever their logits.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]` with values in `0..classes` or the ignored one; returns `[1]`, or
    ///   `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the batch sizes differ, there are not as many class
    /// weights as classes, or a target is out of range.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.of_labels(logits, targets, self.reduction)
    }

    /// The loss of each sample, `[batch]`, whatever the reduction. Shapes and panics as [`forward`](Self::forward).
    pub fn per_sample(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.of_labels(logits, targets, Reduction::None)
    }

    /// The loss of class probabilities, which are constants: no gradient reaches them. Rows need not sum to 1.
    ///
    /// # Shapes
    /// - logits and probabilities `[batch, classes]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the shapes differ, there are not as many class weights
    /// as classes, or a class is ignored.
    pub fn forward_soft(&self, logits: Tensor<2>, target_probs: Tensor<2>) -> Tensor<1> {
        self.of_probabilities(logits, target_probs, self.reduction)
    }

    /// The loss of each sample, `[batch]`, whatever the reduction. Shapes and panics as
    /// [`forward_soft`](Self::forward_soft).
    pub fn per_sample_soft(&self, logits: Tensor<2>, target_probs: Tensor<2>) -> Tensor<1> {
        self.of_probabilities(logits, target_probs, Reduction::None)
    }

    fn of_probabilities(&self, logits: Tensor<2>, targets: Tensor<2>, reduction: Reduction) -> Tensor<1> {
        if let Some(class @ 0..) = self.ignore_index {
            panic!("class {class} is to be ignored; target probabilities have no label to ignore");
        }
        assert_eq!(
            logits.dims(),
            targets.dims(),
            "logits and target probabilities differ in shape"
        );
        self.check_weights(&logits);
        let kernel = SoftTargets {
            smoothing: self.smoothing,
            class_weights: self.class_weights.as_ref().map(ClassWeights::each),
            logsumexp_z: self.logsumexp_z,
        };
        reduced_pair(
            &kernel,
            |logits, targets| self.composed_soft(logits, targets),
            logits,
            targets,
            reduction,
        )
    }

    /// Per-sample losses of class probabilities by tensor operations.
    fn composed_soft(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let shares = targets * (1.0 - self.smoothing) + self.smoothing / classes as f64;
        let shares = shares * self.weights_like(&logits).reshape([1, classes]);
        let cross = (shares * log_softmax(logits.clone(), 1))
            .sum_dim(1)
            .reshape([batch]);
        let log_sum_exp = log_sum_exp(logits);
        log_sum_exp.clone() * log_sum_exp * self.logsumexp_z - cross
    }

    fn check_weights(&self, logits: &Tensor<2>) {
        let [_, classes] = logits.dims();
        if let Some(weights) = &self.class_weights {
            let given = weights.each().len();
            assert_eq!(given, classes, "{given} class weights for {classes} classes");
        }
    }

    fn weight(&self, class: usize) -> f64 {
        self.class_weights
            .as_ref()
            .map_or(1.0, |weights| weights.each()[class])
    }

    /// The class weights `[classes]`, where the logits are and of their type.
    fn weights_like(&self, logits: &Tensor<2>) -> Tensor<1> {
        let [_, classes] = logits.dims();
        let weights: Vec<f64> = (0..classes).map(|class| self.weight(class)).collect();
        Tensor::from_data(
            TensorData::new(weights, [classes]),
            (&logits.device(), logits.dtype()),
        )
    }
}

impl ScoreLoss for CrossEntropyLoss {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.forward(logits, targets)
    }
}
