//! What a model with two heads offers, and what an objective that uses them asks for.

use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use crate::distillation::AlignmentScope;

/// A model with two heads over the same features: the main one answers, the auxiliary one only trains.
pub trait DualHead {
    /// Features `[batch, width]` of inputs `[batch, features]`.
    fn features(&self, inputs: Tensor<2>) -> Tensor<2>;

    /// The main head's scores `[batch, classes]`: those of [`Model::forward`](super::Model::forward).
    fn main(&self, features: Tensor<2>) -> Tensor<2>;

    /// The auxiliary head's scores `[batch, classes]`, as it trains: `random` is for its dropout.
    fn auxiliary(&self, features: Tensor<2>, random: &mut Stream) -> Tensor<2>;
}

/// What an objective asks for beside inputs and targets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Needs {
    /// A teacher's logits in every batch.
    pub teacher: bool,
    /// A model with two heads.
    pub auxiliary_head: bool,
    /// Means of bags instead of targets.
    pub bag_means: bool,
    /// The exponential average of the weights, which keeps this share of itself at every step: see
    /// [`Model::averaged`](super::Model::averaged).
    pub weight_average: Option<f64>,
}

/// What a training step descends.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made and taken apart in each step, none is kept"
)]
#[derive(Debug)]
pub enum Descent {
    /// A scalar `[1]`.
    Loss(Tensor<1>),
    /// Two scalars `[1]` on separate graphs, the gradient of the second without its part against that of the first:
    /// [`align`](crate::distillation::align).
    Aligned {
        /// What has precedence.
        main: Tensor<1>,
        /// What gives way.
        auxiliary: Tensor<1>,
        /// The parameters that conflict is seen over.
        scope: AlignmentScope,
    },
}
