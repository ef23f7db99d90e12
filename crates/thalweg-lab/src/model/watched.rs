//! What each layer of a network reads, and how much each sample's loss depends on what it adds up.

use std::cell::RefCell;

use burn::module::Param;
use burn::tensor::Tensor;

use super::{BatchNorm, Frozen, Network, Parameters};

/// A layer with weights, as it was while a loss was computed.
pub(crate) struct WatchedLayer {
    /// What it read: `[batch, inputs]`, or of a convolution `[batch, channels, height, width]`.
    pub inputs: Vec<f32>,
    /// The shape of that.
    pub shape: Vec<usize>,
    /// Slopes of the summed loss by its sums, `[batch, …]`.
    pub slopes: Vec<f32>,
}

/// Parameters as constants, with zeros added to each layer's sums that the loss is differentiated by.
#[derive(Default)]
struct Watching(RefCell<Vec<Watched>>);

struct Watched {
    inputs: Vec<f32>,
    shape: Vec<usize>,
    zeros: Tensor<2>,
}

impl Parameters for Watching {
    fn use_tensor<const D: usize>(&self, param: &Param<Tensor<D>>) -> Tensor<D> {
        Frozen.use_tensor(param).autodiff()
    }

    fn normalize(&self, norm: &BatchNorm, hidden: Tensor<2>) -> Tensor<2> {
        norm.frozen(hidden)
    }

    fn watch<const D: usize>(&self, inputs: Tensor<D>, sums: Tensor<D>) -> Tensor<D> {
        let shape = inputs.dims().to_vec();
        let dims = sums.dims();
        let zeros = Tensor::<2>::zeros(
            [dims[0], dims[1..].iter().product()],
            (&sums.device().without_autodiff(), sums.dtype()),
        );
        let zeros = zeros.autodiff().require_grad();
        let watched = sums + zeros.clone().reshape(dims);
        self.0.borrow_mut().push(Watched {
            inputs: floats(inputs),
            shape,
            zeros,
        });
        watched
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.without_autodiff().into_data();
    data.try_into_vec_as::<f32>()
        .expect("networks compute with floats")
}

/// The layers with weights in order, as they are for a loss `[1]` of the scores `[batch, classes]` of inputs
/// `[batch, features]`, normalised by running statistics.
pub(crate) fn watched(
    network: &Network,
    inputs: Tensor<2>,
    loss: impl FnOnce(Tensor<2>) -> Tensor<1>,
) -> Vec<WatchedLayer> {
    let watching = Watching::default();
    let gradients = loss(network.scores(inputs.autodiff(), &watching)).backward();
    let layers = watching.0.into_inner().into_iter().map(|layer| WatchedLayer {
        slopes: layer
            .zeros
            .grad(&gradients)
            .map_or_else(|| floats(layer.zeros.zeros_like()), floats),
        inputs: layer.inputs,
        shape: layer.shape,
    });
    layers.collect()
}
