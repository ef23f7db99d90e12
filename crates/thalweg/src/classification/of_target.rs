//! Losses of the target's probability alone: one formula and its slope make a loss on every backend.

use burn::tensor::{Int, Tensor};
use thalweg_kernels::rowwise::{Coefficients, Member, Row};

use super::rowwise::{RowwiseLoss, log_prob_of_target};

/// A function of the target's probability p.
pub(super) trait TargetFunction: Sync {
    /// Value, and derivative with respect to `log p`, of `log p` and `1 − p`.
    fn at(&self, log_p: f64, rest: f64) -> (f64, f64);

    /// The value in tensor operations, of `log p` `[batch]`.
    fn composed(&self, log_p: Tensor<1>) -> Tensor<1>;
}

/// Such a function as a loss of scores.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfTarget<T>(pub T);

impl<T: TargetFunction> Member for OfTarget<T> {
    fn row(&self, row: Row) -> Coefficients {
        let (loss, slope) = self.0.at(row.log_p, row.rest);
        Coefficients::of_log_p(loss, slope)
    }
}

impl<T: TargetFunction> RowwiseLoss for OfTarget<T> {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.0.composed(log_prob_of_target(logits, targets))
    }
}

/// `1 − p` of `log p`.
pub(super) fn rest_of(log_p: Tensor<1>) -> Tensor<1> {
    -(log_p.exp() - 1.0)
}

/// The shapes of every loss of scores and labels.
pub(super) const SHAPES: &str = "logits [batch, classes], targets [batch] → [1]";
