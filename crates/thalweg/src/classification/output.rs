//! Output layers that own their weights and descend by themselves, for more classes than a tensor of scores should be made
//! for. The network below is burn's: a layer takes its hidden vectors, makes one step of plain SGD on its own weights, and
//! returns the loss before that step, whose `backward` gives the network its gradient.
//!
//! | layer | loss | a step costs, of D classes, m samples, width d |
//! |---|---|---|
//! | [`FactoredOutput`] | any member of the spherical family | `m d² + m² d`, whatever D |
//! | [`HierarchicalSoftmaxOutput`] | two-level softmax | `m √D d` |
//! | [`LogSoftmaxOutput`] | cross-entropy | `m D d` |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use thalweg::classification::output::{FactoredOutputConfig, OutputLayer};
//!
//! let mut layer = FactoredOutputConfig::new(1000, 2).init(0)?;
//! let device = Device::flex().autodiff();
//! let hidden = Tensor::<2>::from_floats([[0.3, -1.0], [0.2, 0.5]], &device).require_grad();
//! let targets = Tensor::from_ints([7, 912], &device);
//! let loss = layer.train(hidden.clone(), targets, 0.1)?;
//! let gradient = hidden.grad(&loss.backward()).unwrap();
//! assert_eq!(gradient.dims(), [2, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod embedding;
mod factored;
mod hierarchical;
mod log_softmax;

pub use embedding::EmbeddingRows;
pub use factored::{
    CheckpointError, Drift, FactoredOutput, FactoredOutputConfig, InverseUpkeep, Scored, Stabilised,
    Stability,
};
pub use hierarchical::{HierarchicalSoftmaxOutput, HierarchicalWeights, hierarchical_softmax_loss};
pub use log_softmax::LogSoftmaxOutput;

use burn::tensor::{Element, Int, Tensor};
use thalweg_kernels::random::Stream;
use thalweg_kernels::real::Real;

use crate::Reduction;
use crate::bridge::{class_indices, constant, with_gradients};
use crate::quantity::Quantity;

/// Why a step was not made; the layer is as it was before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OutputError {
    /// The learning rate is negative or not finite.
    #[error("the learning rate is {0}; it must be at least 0 and finite")]
    LearningRate(f64),
    /// The learning rate times the weight decay reaches 1, which would leave nothing of the weights.
    #[error("learning rate {learning_rate} times weight decay {weight_decay} must stay below 1")]
    Decay {
        /// The learning rate.
        learning_rate: f64,
        /// The weight decay.
        weight_decay: f64,
    },
    /// A target is no class.
    #[error("target {target} of sample {sample} is not in 0..{classes}")]
    Target {
        /// The target; the largest `u32` for a negative one.
        target: u32,
        /// The sample.
        sample: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The number of targets is not that of the samples, or a multiple of it.
    #[error(
        "{targets} targets for {samples} samples; every sample has the same number of them, at least one"
    )]
    Targets {
        /// Targets given.
        targets: usize,
        /// Samples given.
        samples: usize,
    },
    /// A loss is not a number or infinite: hidden vectors or weights have diverged.
    #[error("the loss of sample {sample} is {loss}; lower the learning rate")]
    NotFinite {
        /// The sample.
        sample: usize,
        /// Its loss.
        loss: f64,
    },
}

/// An output layer that descends by itself.
pub trait OutputLayer {
    /// One step of plain SGD on the layer's weights; returns the loss before it.
    ///
    /// # Shapes
    /// - hidden `[batch, width]`, targets `[batch]` with values in `0..classes`; returns `[1]`, or `[batch]` where the
    ///   reduction is none, for which the step is that of the sum.
    ///
    /// # Errors
    /// When a target is no class or the learning rate is refused; the layer is then as it was.
    ///
    /// # Panics
    /// When the batch is empty or the hidden vectors are not of the layer's width.
    fn train(
        &mut self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        learning_rate: f64,
    ) -> Result<Tensor<1>, OutputError>;
}

fn check_rate(learning_rate: f64) -> Result<(), OutputError> {
    if learning_rate >= 0.0 && learning_rate.is_finite() {
        Ok(())
    } else {
        Err(OutputError::LearningRate(learning_rate))
    }
}

/// Targets as class indices, the same number for each of `samples`.
fn check_targets(targets: &[u32], samples: usize, classes: usize) -> Result<(), OutputError> {
    if targets.is_empty() || !targets.len().is_multiple_of(samples) {
        return Err(OutputError::Targets {
            targets: targets.len(),
            samples,
        });
    }
    match targets.iter().position(|&target| target as usize >= classes) {
        Some(at) => Err(OutputError::Target {
            target: targets[at],
            sample: at * samples / targets.len(),
            classes,
        }),
        None => Ok(()),
    }
}

/// The elements of hidden vectors, outside their autodiff graph.
fn vectors<F: Element>(hidden: &Tensor<2>, width: usize) -> Vec<F> {
    let [batch, columns] = hidden.dims();
    assert!(batch > 0, "an empty batch has no loss");
    assert_eq!(
        columns, width,
        "hidden [{batch}, {columns}] meets a layer of width {width}"
    );
    let data = hidden.clone().detach().into_data();
    data.try_into_vec_as::<F>().expect("hidden vectors are floats")
}

fn one_target_each(targets: Tensor<1, Int>, samples: usize, classes: usize) -> Result<Vec<u32>, OutputError> {
    let targets = class_indices(targets);
    if targets.len() != samples {
        return Err(OutputError::Targets {
            targets: targets.len(),
            samples,
        });
    }
    check_targets(&targets, samples, classes)?;
    Ok(targets)
}

/// Losses and the gradient of hidden vectors, which is already scaled for the reduction, as one node of burn's graph.
fn assembled<F: Real + Element>(
    hidden: Tensor<2>,
    losses: Vec<F>,
    gradient: Vec<F>,
    reduction: Reduction,
) -> Tensor<1> {
    let [batch, width] = hidden.dims();
    let (device, dtype) = (hidden.device(), hidden.dtype());
    let value = match reduction {
        Reduction::None => constant(losses, [batch], &device, dtype),
        Reduction::Mean | Reduction::Sum => {
            let sum: f64 = losses.iter().map(|loss| loss.to_f64()).sum();
            constant(vec![sum * reduction.scale(batch)], [1], &device, dtype)
        }
    };
    let gradient = constant(gradient, [batch, width], &device, dtype);
    with_gradients(value, [(hidden, gradient)])
}

/// `len` weights uniform in `±1/√width`.
fn uniform_weights<F: Real>(stream: &mut Stream, width: usize, len: usize) -> Vec<F> {
    let bound = 1.0 / (width as f64).sqrt();
    (0..len)
        .map(|_| F::from_f64(bound * (2.0 * stream.uniform() - 1.0)))
        .collect()
}

pub(super) fn quantities() -> Vec<Quantity> {
    factored::quantities()
        .into_iter()
        .chain(hierarchical::quantities())
        .collect()
}
