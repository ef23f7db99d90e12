//! The networks that trials train: a linear map, a multilayer perceptron, a small convolutional net.
//!
//! Initial weights are those of PyTorch's layers, uniform in `±1/√fan_in`, drawn from a named stream: the same for
//! every objective at the same seed.

mod auxiliary;
mod batch_norm;
mod watched;
mod weights;

pub use auxiliary::AuxiliaryHeadSpec;
pub use batch_norm::BatchNorm;
pub(crate) use watched::{WatchedLayer, watched};
pub use weights::LayerWeights;

use burn::module::{Module, Param};
use burn::tensor::activation::{relu, tanh};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg::layers::{conv2d, linear, max_pool2d};
use thalweg::objective::DualHead;
use thalweg_kernels::random::Stream;

/// What network, apart from the data's shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSpec {
    /// Scores linear in the features.
    Linear,
    /// Hidden layers of the given widths.
    Mlp {
        /// Width of each hidden layer.
        hidden: Vec<usize>,
        /// What follows each of them.
        #[serde(default, skip_serializing_if = "Activation::is_relu")]
        activation: Activation,
        /// What follows each activation.
        #[serde(default, skip_serializing_if = "Normalization::is_none")]
        normalization: Normalization,
        /// What its last layer gives.
        #[serde(default, skip_serializing_if = "ScoreForm::is_by_class")]
        scores: ScoreForm,
    },
    /// 3x3 convolutions of 16 and 32 channels, each with ReLU and 2x2 max pooling, then a linear layer. Images only.
    Cnn,
}

/// What a hidden layer's sums go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(0, x)`.
    #[default]
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    fn is_relu(&self) -> bool {
        *self == Self::Relu
    }

    fn of(self, sums: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Relu => relu(sums),
            Self::Tanh => tanh(sums),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::Tanh => "tanh",
        }
    }
}

/// What a hidden layer's activations go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// Nothing.
    #[default]
    None,
    /// Batch normalisation.
    Batch,
}

impl Normalization {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// How a network says what it thinks of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreForm {
    /// A score for each class.
    #[default]
    ByClass,
    /// One number f for two classes: the scores are `(0, f)`.
    Single,
}

impl ScoreForm {
    fn is_by_class(&self) -> bool {
        *self == Self::ByClass
    }
}

const CHANNELS: [usize; 2] = [16, 32];

/// The smallest image side that two poolings leave something of.
pub const LEAST_SIDE: usize = 4;

impl ModelSpec {
    /// Hidden layers of the given widths with ReLU.
    pub fn mlp(hidden: Vec<usize>) -> Self {
        Self::Mlp {
            hidden,
            activation: Activation::Relu,
            normalization: Normalization::None,
            scores: ScoreForm::ByClass,
        }
    }

    /// In words, such as `mlp 64-64-10, ReLU`.
    pub fn describe(&self, shape: &[usize], classes: usize) -> String {
        let width: usize = shape.iter().product();
        match self {
            Self::Linear => format!("linear {width}-{classes}"),
            Self::Mlp {
                hidden,
                activation,
                normalization,
                scores,
            } => {
                let outputs = match scores {
                    ScoreForm::ByClass => classes,
                    ScoreForm::Single => 1,
                };
                let widths: Vec<_> = [width]
                    .iter()
                    .chain(hidden)
                    .chain([&outputs])
                    .map(usize::to_string)
                    .collect();
                let normalized = match normalization {
                    Normalization::None => "",
                    Normalization::Batch => ", batch norm",
                };
                format!("mlp {}, {}{normalized}", widths.join("-"), activation.words())
            }
            Self::Cnn => format!(
                "cnn 3x3 convolutions of {} and {} channels, ReLU",
                CHANNELS[0], CHANNELS[1]
            ),
        }
    }
}

#[derive(Module, Debug)]
struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// A linear layer.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    /// Of the given widths, its weights drawn from a stream.
    pub(crate) fn new([inputs, outputs]: [usize; 2], stream: &mut Stream, device: &Device) -> Self {
        Self {
            weight: uniform([inputs, outputs], inputs, stream, device),
            bias: uniform([outputs], inputs, stream, device),
        }
    }

    pub(crate) fn of(&self, inputs: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        let bias = parameters.use_tensor(&self.bias);
        let sums = linear(inputs.clone(), parameters.use_tensor(&self.weight), Some(bias));
        parameters.watch(inputs, sums)
    }
}

/// A classifier of feature rows.
#[derive(Module, Debug)]
pub struct Network {
    convolutions: Vec<Convolution>,
    layers: Vec<Dense>,
    /// One after each hidden layer, or none at all.
    norms: Vec<BatchNorm>,
    auxiliary: Option<auxiliary::AuxiliaryHead>,
    image: [usize; 3],
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    scores: ScoreForm,
}

/// How parameters enter a forward pass.
pub(crate) trait Parameters {
    fn use_tensor<const D: usize>(&self, param: &Param<Tensor<D>>) -> Tensor<D>;
    fn normalize(&self, norm: &BatchNorm, hidden: Tensor<2>) -> Tensor<2>;

    /// What goes on as the sums of a layer that read `inputs`.
    fn watch<const D: usize>(&self, _inputs: Tensor<D>, sums: Tensor<D>) -> Tensor<D> {
        sums
    }
}

/// As what is being trained.
pub(crate) struct Trained;

impl Parameters for Trained {
    fn use_tensor<const D: usize>(&self, param: &Param<Tensor<D>>) -> Tensor<D> {
        param.val()
    }

    fn normalize(&self, norm: &BatchNorm, hidden: Tensor<2>) -> Tensor<2> {
        norm.train_step(hidden)
    }
}

/// As constants.
pub(crate) struct Frozen;

impl Parameters for Frozen {
    fn use_tensor<const D: usize>(&self, param: &Param<Tensor<D>>) -> Tensor<D> {
        param.val().without_autodiff()
    }

    fn normalize(&self, norm: &BatchNorm, hidden: Tensor<2>) -> Tensor<2> {
        norm.frozen(hidden)
    }
}

/// As constants, normalised by the batch as in training: a network that follows another.
pub(crate) struct Followed;

impl Parameters for Followed {
    fn use_tensor<const D: usize>(&self, param: &Param<Tensor<D>>) -> Tensor<D> {
        param.val().without_autodiff()
    }

    fn normalize(&self, norm: &BatchNorm, hidden: Tensor<2>) -> Tensor<2> {
        norm.by_batch(hidden)
    }
}

impl Network {
    /// One without parameters, to stand in for another whose parameters are being stepped: an optimiser copies what two
    /// networks hold.
    pub(crate) fn hollow() -> Self {
        Self {
            convolutions: Vec::new(),
            layers: Vec::new(),
            norms: Vec::new(),
            auxiliary: None,
            image: [0; 3],
            activation: Activation::Relu,
            scores: ScoreForm::default(),
        }
    }

    /// The network for samples of `shape`, its weights drawn under `seed`.
    ///
    /// # Panics
    /// When a convolutional net is asked for other samples than images of at least [`LEAST_SIDE`] pixels a side, or a
    /// single score for other than two classes.
    pub fn new(spec: &ModelSpec, shape: &[usize], classes: usize, seed: u64, device: &Device) -> Self {
        let mut network = Self {
            convolutions: Vec::new(),
            layers: Vec::new(),
            norms: Vec::new(),
            auxiliary: None,
            image: [1, 1, shape.iter().product()],
            activation: Activation::Relu,
            scores: ScoreForm::ByClass,
        };
        let mut widths = vec![network.image[2]];
        match spec {
            ModelSpec::Linear => {}
            ModelSpec::Mlp {
                hidden,
                activation,
                normalization,
                scores,
            } => {
                network.activation = *activation;
                network.scores = *scores;
                if *normalization == Normalization::Batch {
                    network.norms = hidden
                        .iter()
                        .map(|&width| BatchNorm::new(width, device))
                        .collect();
                }
                widths.extend(hidden);
            }
            ModelSpec::Cnn => {
                let [channels, height, width] = *shape else {
                    panic!("a convolutional net needs images [channels, height, width], not {shape:?}");
                };
                assert!(
                    height.min(width) >= LEAST_SIDE,
                    "images of {height}x{width} are too small to pool twice"
                );
                network.image = [channels, height, width];
                let mut inputs = channels;
                for (layer, outputs) in CHANNELS.into_iter().enumerate() {
                    let mut stream = Stream::new(seed, "convolution weights", layer as u64);
                    let fan_in = inputs * 9;
                    network.convolutions.push(Convolution {
                        weight: uniform([outputs, inputs, 3, 3], fan_in, &mut stream, device),
                        bias: uniform([outputs], fan_in, &mut stream, device),
                    });
                    inputs = outputs;
                }
                widths = vec![inputs * (height / 4) * (width / 4)];
            }
        }
        widths.push(match network.scores {
            ScoreForm::ByClass => classes,
            ScoreForm::Single => {
                assert_eq!(classes, 2, "one number tells two classes apart, not {classes}");
                1
            }
        });
        for (layer, pair) in widths.windows(2).enumerate() {
            let mut stream = Stream::new(seed, "weights", layer as u64);
            network
                .layers
                .push(Dense::new([pair[0], pair[1]], &mut stream, device));
        }
        network
    }

    fn scores(&self, inputs: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        let features = self.hidden(inputs, parameters);
        self.answer(features, parameters)
    }

    /// Scores of what the last layer sees.
    fn answer(&self, features: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        let last = self.last().of(features, parameters);
        match self.scores {
            ScoreForm::ByClass => last,
            ScoreForm::Single => Tensor::cat(vec![last.zeros_like(), last], 1),
        }
    }

    /// What the last layer sees.
    fn hidden(&self, inputs: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        let mut hidden = self.convolved(inputs, parameters);
        for (index, layer) in self.layers[..self.layers.len() - 1].iter().enumerate() {
            hidden = self.activation.of(layer.of(hidden, parameters));
            if let Some(norm) = self.norms.get(index) {
                hidden = parameters.normalize(norm, hidden);
            }
        }
        hidden
    }

    fn last(&self) -> &Dense {
        self.layers.last().expect("a network has a layer")
    }

    fn convolved(&self, inputs: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        if self.convolutions.is_empty() {
            return inputs;
        }
        let [batch, _] = inputs.dims();
        let [channels, height, width] = self.image;
        let mut images = inputs.reshape([batch, channels, height, width]);
        for layer in &self.convolutions {
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            let bias = Some(parameters.use_tensor(&layer.bias));
            let weight = parameters.use_tensor(&layer.weight);
            let sums = conv2d(images.clone(), weight, bias, options);
            images = relu(parameters.watch(images, sums));
            images = max_pool2d(images, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
        }
        images.flatten(1, 3)
    }
}

impl thalweg::objective::Model for Network {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.scores(inputs, &Trained)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.scores(inputs, &Frozen)
    }

    fn dual_head(&self) -> Option<&dyn DualHead> {
        self.auxiliary.is_some().then_some(self)
    }
}

fn uniform<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    stream: &mut Stream,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let mut values = vec![0.0_f32; shape.iter().product()];
    stream.fill_uniform(-bound, bound, &mut values);
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

#[cfg(test)]
mod tests {
    use thalweg::objective::Model;

    use super::*;

    #[test]
    fn shapes_and_frozen_scores() {
        let device = Device::flex().autodiff();
        for spec in [
            ModelSpec::Linear,
            ModelSpec::mlp(vec![5, 4]),
            ModelSpec::Mlp {
                hidden: vec![5],
                activation: Activation::Tanh,
                normalization: Normalization::None,
                scores: ScoreForm::ByClass,
            },
            ModelSpec::Cnn,
        ] {
            let network = Network::new(&spec, &[1, 8, 8], 3, 0, &device);
            let inputs = Tensor::<2>::ones([2, 64], &device);
            let scores = network.forward(inputs.clone());
            assert_eq!(scores.dims(), [2, 3]);
            assert!(scores.is_tracked());
            let frozen = network.frozen(inputs.without_autodiff());
            assert!(!frozen.is_tracked());
            assert_eq!(frozen.into_data(), scores.without_autodiff().into_data());
        }
    }

    #[test]
    fn a_single_score_is_that_of_the_second_class() {
        let device = Device::flex().autodiff();
        let spec = ModelSpec::Mlp {
            hidden: vec![5],
            activation: Activation::Relu,
            normalization: Normalization::Batch,
            scores: ScoreForm::Single,
        };
        assert_eq!(spec.describe(&[3], 2), "mlp 3-5-1, ReLU, batch norm");
        let network = Network::new(&spec, &[3], 2, 0, &device);
        let inputs = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]], &device);
        let scores = network.forward(inputs.clone());
        assert_eq!(scores.dims(), [2, 2]);
        assert_eq!(
            scores
                .clone()
                .slice([0..2, 0..1])
                .abs()
                .sum()
                .into_scalar::<f32>(),
            0.0
        );
        let frozen = network.frozen(inputs.without_autodiff()).into_data();
        assert_ne!(
            frozen,
            scores.without_autodiff().into_data(),
            "running statistics lag behind"
        );
    }

    #[test]
    fn weights_depend_on_the_seed_only() {
        let device = Device::flex();
        let weights = |seed| {
            let network = Network::new(&ModelSpec::Linear, &[4], 2, seed, &device);
            network.layers[0].weight.val().into_data()
        };
        assert_eq!(weights(3), weights(3));
        assert_ne!(weights(3), weights(4));
    }
}
