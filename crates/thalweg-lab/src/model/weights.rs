//! The weights of a network, taken out and put in.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Activation, Dense, Network};

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

impl Network {
    /// A perceptron of linear layers, each as wide as the one before it gives.
    ///
    /// # Panics
    /// When there are none, or shapes and weights do not go together.
    pub fn of_layers(layers: &[LayerWeights], activation: Activation, device: &Device) -> Self {
        let mut network = Self::hollow();
        network.activation = activation;
        network.image = [1, 1, layers[0].inputs()];
        let layers = layers.iter().map(|layer| {
            let (inputs, outputs) = (layer.inputs(), layer.outputs());
            let columns = (0..inputs).flat_map(|input| layer.weight.iter().skip(input).step_by(inputs));
            let weight = TensorData::new(columns.copied().collect::<Vec<f32>>(), [inputs, outputs]);
            let bias = TensorData::new(layer.bias.clone(), [outputs]);
            Dense {
                weight: Param::from_tensor(Tensor::from_data(weight, device)),
                bias: Param::from_tensor(Tensor::from_data(bias, device)),
            }
        });
        network.layers = layers.collect();
        network
    }

    /// The kernels of convolutions and the matrices of linear layers as one vector, in the order of the layers: all weights
    /// but biases, those of batch normalisation and those of an auxiliary head. A kernel is `[outputs, inputs, 3, 3]`, a
    /// matrix `[inputs, outputs]`, both row-major.
    pub fn matrix_weights(&self) -> Vec<f32> {
        let kernels = self.convolutions.iter().map(|layer| floats(&layer.weight));
        let matrices = self.layers.iter().map(|layer| floats(&layer.weight));
        kernels.chain(matrices).flatten().collect()
    }

    /// How many of its [`matrix_weights`](Self::matrix_weights) each layer has.
    pub fn matrix_sizes(&self) -> Vec<usize> {
        let kernels = self
            .convolutions
            .iter()
            .map(|layer| layer.weight.shape().num_elements());
        let matrices = self
            .layers
            .iter()
            .map(|layer| layer.weight.shape().num_elements());
        kernels.chain(matrices).collect()
    }

    /// The same network with other [`matrix_weights`](Self::matrix_weights).
    ///
    /// # Panics
    /// When there are not as many.
    #[must_use]
    pub fn with_matrix_weights(mut self, weights: &[f32]) -> Self {
        let sizes = self.matrix_sizes();
        assert_eq!(
            weights.len(),
            sizes.iter().sum::<usize>(),
            "a value for each weight"
        );
        let mut rest = weights;
        let mut own = sizes.into_iter().map(|size| {
            let (own, others) = rest.split_at(size);
            rest = others;
            own
        });
        let mut next = || own.next().expect("a size for each layer");
        for layer in &mut self.convolutions {
            layer.weight = replaced(layer.weight.clone(), next());
        }
        for layer in &mut self.layers {
            layer.weight = replaced(layer.weight.clone(), next());
        }
        self
    }
}

fn floats<const D: usize>(weight: &Param<Tensor<D>>) -> Vec<f32> {
    let data = weight.val().without_autodiff().into_data();
    data.try_into_vec_as::<f32>().expect("weights are floats")
}

fn replaced<const D: usize>(weight: Param<Tensor<D>>, values: &[f32]) -> Param<Tensor<D>> {
    weight.map(|old| {
        let data = TensorData::new(values.to_vec(), old.shape());
        let new = Tensor::<D>::from_data(data, (&old.device().without_autodiff(), old.dtype()));
        if old.is_require_grad() {
            new.autodiff().require_grad()
        } else {
            new
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelSpec;

    #[test]
    fn layers_taken_out_make_the_same_network() {
        let device = Device::flex().autodiff();
        let network = Network::new(&ModelSpec::mlp(vec![5, 4]), &[8], 3, 0, &device);
        let layers = network.linear_layers();
        let other = Network::of_layers(&layers, Activation::Relu, &device);
        assert_eq!(other.linear_layers(), layers);
        assert_eq!(other.matrix_weights(), network.matrix_weights());
    }

    #[test]
    fn weights_go_where_they_came_from() {
        let device = Device::flex().autodiff();
        for spec in [ModelSpec::Cnn, ModelSpec::mlp(vec![5, 4]), ModelSpec::Linear] {
            let network = Network::new(&spec, &[1, 8, 8], 3, 0, &device);
            let weights = network.matrix_weights();
            assert_eq!(weights.len(), network.matrix_sizes().iter().sum::<usize>());
            let doubled: Vec<f32> = weights.iter().map(|w| 2.0 * w).collect();
            let other = network.clone().with_matrix_weights(&doubled);
            assert_eq!(other.matrix_weights(), doubled);
            assert_eq!(other.with_matrix_weights(&weights).matrix_weights(), weights);
            assert_eq!(network.matrix_weights(), weights);
        }
    }
}
