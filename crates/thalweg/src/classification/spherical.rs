//! The spherical family: losses of a row of scores `o` and its target class `c` that know no more of the row than
//! `s = Σ_k o_k`, `q = Σ_k o_k²` and `o_c`.
//!
//! | member | loss |
//! |---|---|
//! | Z-loss | `softplus(a (b − z_c))/a`, `z_k = (o_k − μ)/σ` |
//! | squared error | `q − 2 o_c + 1`, which is `‖o − onehot(c)‖²` |
//! | Taylor softmax | `−log((1 + o_c + o_c²/2) / (D + s + q/2))` |
//! | spherical softmax | `−log((o_c² + ε) / (q + D ε))` |
//!
//! with `μ = s/D` and the population variance `σ² = q/D − μ²`. A [`FactoredOutput`](super::output::FactoredOutput) trains
//! any of them at a cost that does not depend on the number of classes D.
//!
//! Not to be confused with the "z-loss" that keeps the normaliser of a language model near 1, a multiple of the squared
//! log-sum-exp.
//!
//! Source: de Brébisson, Vincent, "An Exploration of Softmax Alternatives Belonging to the Spherical Loss Family", ICLR
//! 2016; the same, "The Z-loss: a shift and scale invariant classification loss belonging to the Spherical Family",
//! arXiv 1604.08859.

mod member;
mod quantities;
mod spherical_softmax;
mod squared_error;
mod taylor_softmax;
mod z_loss;

pub use member::{RowStatistics, SphericalMember};
pub(super) use quantities::{member_of, with_member};
pub use spherical_softmax::SphericalSoftmaxLossConfig;
pub use squared_error::SquaredErrorLossConfig;
pub use taylor_softmax::TaylorSoftmaxLossConfig;
pub use z_loss::ZLossConfig;

use burn::tensor::{Int, Tensor};
use thalweg_kernels::spherical::Member;

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

/// A formula of the family, and the tensor operations that specify it on every backend.
trait SphericalFormula: Member {
    /// Per-sample losses `[batch]` of logits `[batch, classes]` and targets `[batch]`.
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1>;
}

/// `o_c` of each row, `[batch]`.
fn target_logit(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    logits.gather(1, targets.reshape([batch, 1])).reshape([batch])
}

/// `s` and `q` of each row, `[batch]` each.
fn sums(logits: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    let [batch, _] = logits.dims();
    let squares = logits.clone().square().sum_dim(1);
    (logits.sum_dim(1).reshape([batch]), squares.reshape([batch]))
}

const SOURCE: &str = "de Brébisson, Vincent, ICLR 2016 (arXiv 1511.05042)";

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    [
        z_loss::objectives(),
        squared_error::objectives(),
        taylor_softmax::objectives(),
        spherical_softmax::objectives(),
    ]
    .concat()
}

pub(super) fn quantities() -> Vec<Quantity> {
    z_loss::quantities()
        .into_iter()
        .chain(quantities::quantities())
        .collect()
}
