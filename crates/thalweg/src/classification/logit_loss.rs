//! A loss of logits and labels behind one type, whatever computes it.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use thalweg_kernels::batch::{RowKernel, forward_backward_in_place};
use thalweg_kernels::real::Real;
use thalweg_kernels::rows::{RowLoss, WholeRows};

use super::logit_normalization::LogitNormalization;
use super::rowwise::{FusedLoss, RowwiseLoss, reduced_rows};
use crate::Reduction;
use crate::objective::ScoreLoss;

type Reduced = dyn Fn(Tensor<2>, Tensor<1, Int>, Reduction) -> Tensor<1> + Send + Sync;

/// A loss on plain memory.
type InPlace = dyn Fn(Scores, &[u32], usize) -> f64 + Send + Sync;

/// Scores `[rows, classes]` in memory, to be replaced by the gradient of the sum of their losses.
pub(super) enum Scores<'a> {
    /// In single precision.
    F32(&'a mut [f32]),
    /// In double precision.
    F64(&'a mut [f64]),
}

/// The loss of a batch of logits and labels, as the `init` of many configurations makes it.
#[derive(Clone)]
pub struct LogitLoss {
    reduced: Arc<Reduced>,
    in_place: Arc<InPlace>,
    normalization: Option<LogitNormalization>,
    reduction: Reduction,
}

impl fmt::Debug for LogitLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut fields = f.debug_struct("LogitLoss");
        fields.field("normalization", &self.normalization);
        fields.field("reduction", &self.reduction).finish_non_exhaustive()
    }
}

impl LogitLoss {
    /// A loss that needs no more of a row than its softmax.
    pub(super) fn of_softmax(loss: impl RowwiseLoss + Send + 'static, reduction: Reduction) -> Self {
        Self::of_kernel(loss, reduction)
    }

    /// A loss with a kernel of its own.
    pub(super) fn of_kernel(loss: impl FusedLoss + Send + Sync + 'static, reduction: Reduction) -> Self {
        let loss = Arc::new(loss);
        let same = loss.clone();
        Self {
            reduced: Arc::new(move |logits, targets, reduction| loss.reduced(logits, targets, reduction)),
            in_place: Arc::new(move |scores, targets, classes| {
                sum_in_place(&same.kernel(), scores, targets, classes)
            }),
            normalization: None,
            reduction,
        }
    }

    /// A loss that needs the whole row.
    pub(super) fn of_rows(loss: impl RowLoss + Send + 'static, reduction: Reduction) -> Self {
        let loss = Arc::new(loss);
        let same = loss.clone();
        Self {
            reduced: Arc::new(move |logits, targets, reduction| {
                reduced_rows(&*loss, logits, targets, reduction)
            }),
            in_place: Arc::new(move |scores, targets, classes| {
                sum_in_place(&WholeRows(&*same), scores, targets, classes)
            }),
            normalization: None,
            reduction,
        }
    }

    pub(super) fn normalized(self, normalization: Option<LogitNormalization>) -> Self {
        Self {
            normalization,
            ..self
        }
    }

    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]` with values in `0..classes`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the batch sizes differ, or a target is out of range.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.reduce(logits, targets, self.reduction)
    }

    /// The loss of each sample, `[batch]`, whatever the reduction. Shapes and panics as [`forward`](Self::forward).
    pub fn per_sample(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.reduce(logits, targets, Reduction::None)
    }

    /// The sum of the losses of all samples, `[1]`, whatever the reduction. Shapes and panics as
    /// [`forward`](Self::forward).
    pub fn summed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.reduce(logits, targets, Reduction::Sum)
    }

    /// The sum of the losses of rows of scores, which their gradient replaces; none where logits are normalised first,
    /// which is not done on plain memory.
    pub(super) fn sum_in_place(&self, scores: Scores, targets: &[u32], classes: usize) -> Option<f64> {
        match self.normalization {
            None => Some((self.in_place)(scores, targets, classes)),
            Some(_) => None,
        }
    }

    fn reduce(&self, logits: Tensor<2>, targets: Tensor<1, Int>, reduction: Reduction) -> Tensor<1> {
        let logits = match self.normalization {
            Some(normalization) => normalization.of(logits),
            None => logits,
        };
        (self.reduced)(logits, targets, reduction)
    }
}

fn sum_in_place(kernel: &impl RowKernel, scores: Scores, targets: &[u32], classes: usize) -> f64 {
    fn sum<F: Real>(kernel: &impl RowKernel, scores: &mut [F], targets: &[u32], classes: usize) -> f64 {
        let mut losses = vec![F::ZERO; targets.len()];
        forward_backward_in_place(kernel, scores, targets, classes, 1.0, &mut losses);
        losses.iter().map(|loss| loss.to_f64()).sum()
    }
    match scores {
        Scores::F32(scores) => sum(kernel, scores, targets, classes),
        Scores::F64(scores) => sum(kernel, scores, targets, classes),
    }
}

impl ScoreLoss for LogitLoss {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.forward(logits, targets)
    }
}
