//! The weights of a network, taken out.

use burn::tensor::Tensor;

use super::Network;

/// A linear layer's weights.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// Row-major, `[outputs, inputs]`.
    pub weight: Vec<f32>,
    /// As many as outputs.
    pub bias: Vec<f32>,
}

impl LayerWeights {
    /// Numbers that the layer reads.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// Numbers that the layer gives.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }
}

impl Network {
    /// The linear layers, in order; the last is the head.
    ///
    /// # Panics
    /// When batch normalisation stands between them: they are then not the whole network.
    pub fn linear_layers(&self) -> Vec<LayerWeights> {
        fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
            let data = tensor.without_autodiff().into_data();
            data.try_into_vec_as::<f32>().expect("weights are floats")
        }
        assert!(
            self.norms.is_empty(),
            "layers with batch normalisation between are not a perceptron"
        );
        self.layers
            .iter()
            .map(|layer| LayerWeights {
                weight: floats(layer.weight.val().transpose()),
                bias: floats(layer.bias.val()),
            })
            .collect()
    }
}
