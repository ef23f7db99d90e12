//! A loss of logits and labels behind one type, whatever computes it.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use thalweg_kernels::rows::RowLoss;

use super::logit_normalization::LogitNormalization;
use super::rowwise::{FusedLoss, RowwiseLoss, reduced_rows};
use crate::Reduction;
use crate::objective::ScoreLoss;

type Reduced = dyn Fn(Tensor<2>, Tensor<1, Int>, Reduction) -> Tensor<1> + Send + Sync;

/// The loss of a batch of logits and labels, as the `init` of many configurations makes it.
#[derive(Clone)]
pub struct LogitLoss {
    reduced: Arc<Reduced>,
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
        Self {
            reduced: Arc::new(move |logits, targets, reduction| loss.reduced(logits, targets, reduction)),
            normalization: None,
            reduction,
        }
    }

    /// A loss that needs the whole row.
    pub(super) fn of_rows(loss: impl RowLoss + Send + 'static, reduction: Reduction) -> Self {
        Self {
            reduced: Arc::new(move |logits, targets, reduction| {
                reduced_rows(&loss, logits, targets, reduction)
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

    fn reduce(&self, logits: Tensor<2>, targets: Tensor<1, Int>, reduction: Reduction) -> Tensor<1> {
        let logits = match self.normalization {
            Some(normalization) => normalization.of(logits),
            None => logits,
        };
        (self.reduced)(logits, targets, reduction)
    }
}

impl ScoreLoss for LogitLoss {
    fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.forward(logits, targets)
    }
}
