//! A multilayer perceptron apart from training: on features as they are read, in and out of safetensors.
//!
//! Layers are stored as PyTorch stores them: `NAME.weight` `[outputs, inputs]` and `NAME.bias` `[outputs]`, in the order
//! of the numbers in their names, the activation between them in the metadata (`relu` where nothing is said). How inputs were
//! scaled while training is folded into the first layer, so the file needs nothing else to be used anywhere.

use burn::tensor::activation::{relu, tanh};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use thalweg_data::Dataset;
use thalweg_data::standardize::Standardizer;

use crate::model::{Activation, LayerWeights, ModelSpec, Network, Normalization, ScoreForm};

/// Samples scored at once.
const CHUNK: usize = 1024;

/// Name of the metadata that says what follows each hidden layer.
const ACTIVATION: &str = "activation";

/// Why tensors are no perceptron, or not one for some data.
#[derive(Debug, thiserror::Error)]
pub enum MlpError {
    /// No safetensors.
    #[error("is no safetensors file, or a damaged one: {0}")]
    Damaged(String),
    /// A tensor that cannot be used.
    #[error("`{name}` {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No tensors.
    #[error("holds no layers")]
    NoLayers,
    /// An activation that is not known.
    #[error("its metadata says activation `{0}`; relu and tanh are known")]
    Activation(String),
    /// A network of other data.
    #[error("{what} {found}, and the data has {expected}")]
    Mismatch {
        /// What does not fit, with its verb.
        what: &'static str,
        /// The network's number.
        found: usize,
        /// The data's.
        expected: usize,
    },
}

impl MlpError {
    pub(super) fn damaged(error: safetensors::SafeTensorError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// The linear layers of a perceptron and what stands between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    layers: Vec<LayerWeights>,
    activation: Activation,
}

impl Mlp {
    /// Of a trained network, its inputs' scaling folded in.
    pub(crate) fn of_network(
        network: &Network,
        activation: Activation,
        scaler: Option<&Standardizer>,
    ) -> Self {
        let mut layers = network.linear_layers();
        if let Some(scaler) = scaler {
            fold(&mut layers[0], scaler);
        }
        Self { layers, activation }
    }

    /// Numbers a sample has.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, LayerWeights::inputs)
    }

    /// Classes it scores.
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, LayerWeights::outputs)
    }

    /// What network it is.
    pub fn spec(&self) -> ModelSpec {
        let hidden = self.layers[..self.layers.len() - 1].iter();
        ModelSpec::Mlp {
            hidden: hidden.map(LayerWeights::outputs).collect(),
            activation: self.activation,
            normalization: Normalization::None,
            scores: ScoreForm::ByClass,
        }
    }

    /// In words, such as `mlp 64-256-256-10, ReLU`.
    pub fn describe(&self) -> String {
        self.spec().describe(&[self.inputs()], self.classes())
    }

    /// The same as a network of the workbench, for features as they are read.
    pub(crate) fn network(&self, device: &Device) -> Network {
        Network::of_layers(&self.layers, self.activation, device)
    }

    /// Checks that it reads what samples of `dataset` are and scores its classes.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn check_fits(&self, dataset: &Dataset) -> Result<(), MlpError> {
        for (what, found, expected) in [
            (
                "the number of features it reads is",
                self.inputs(),
                dataset.width(),
            ),
            (
                "the number of classes it scores is",
                self.classes(),
                dataset.classes.len(),
            ),
        ] {
            if found != expected {
                return Err(MlpError::Mismatch {
                    what,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }

    /// Logits of all samples, row-major `[samples, classes]`.
    pub fn logits(&self, dataset: &Dataset) -> Vec<f32> {
        let device = Device::flex();
        let layers: Vec<[Tensor<2>; 2]> = self
            .layers
            .iter()
            .map(|layer| {
                let (inputs, outputs) = (layer.inputs(), layer.outputs());
                let tensor = |values: &Vec<f32>, shape: [usize; 2]| {
                    Tensor::<2>::from_data(TensorData::new(values.clone(), shape), &device)
                };
                [
                    tensor(&layer.weight, [outputs, inputs]).transpose(),
                    tensor(&layer.bias, [1, outputs]),
                ]
            })
            .collect();
        let rows: Vec<usize> = (0..dataset.len()).collect();
        rows.chunks(CHUNK)
            .flat_map(|rows| {
                let features: Vec<f32> = rows.iter().flat_map(|&row| dataset.row(row)).copied().collect();
                let shape = [rows.len(), dataset.width()];
                let mut hidden = Tensor::<2>::from_data(TensorData::new(features, shape), &device);
                for (index, [weight, bias]) in layers.iter().enumerate() {
                    if index > 0 {
                        hidden = match self.activation {
                            Activation::Relu => relu(hidden),
                            Activation::Tanh => tanh(hidden),
                        };
                    }
                    hidden = hidden.matmul(weight.clone()) + bias.clone();
                }
                hidden
                    .into_data()
                    .try_into_vec_as::<f32>()
                    .expect("logits are floats")
            })
            .collect()
    }

    /// As a safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let little =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
        let buffers: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .layers
            .iter()
            .enumerate()
            .flat_map(|(index, layer)| {
                let (inputs, outputs) = (layer.inputs(), layer.outputs());
                [
                    (
                        format!("layers.{index}.weight"),
                        vec![outputs, inputs],
                        little(&layer.weight),
                    ),
                    (format!("layers.{index}.bias"), vec![outputs], little(&layer.bias)),
                ]
            })
            .collect();
        let views = buffers.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name, view.expect("shapes and bytes agree"))
        });
        let activation = match self.activation {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
        };
        let metadata = [(ACTIVATION.to_owned(), activation.to_owned())];
        safetensors::serialize(views, Some(metadata.into_iter().collect()))
            .expect("a few names make no large header")
    }

    /// From a safetensors file.
    ///
    /// # Errors
    /// When it is damaged, or its tensors are not the layers of a perceptron, each as wide as the one before.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MlpError> {
        let tensors = SafeTensors::deserialize(bytes).map_err(MlpError::damaged)?;
        Self::from_tensors(bytes, &tensors)
    }

    /// From the tensors of a safetensors file.
    ///
    /// # Errors
    /// When they are not the layers of a perceptron, each as wide as the one before.
    pub(super) fn from_tensors(bytes: &[u8], tensors: &SafeTensors) -> Result<Self, MlpError> {
        let mut names: Vec<&str> = tensors.names();
        names.sort_by_key(|name| natural(name));
        let mut layers = Vec::new();
        for name in &names {
            let Some(stem) = name.strip_suffix("weight") else {
                let bias_of = name.strip_suffix("bias").map(|stem| format!("{stem}weight"));
                if bias_of.is_some_and(|weight| names.contains(&weight.as_str())) {
                    continue;
                }
                return Err(MlpError::Tensor {
                    name: (*name).to_owned(),
                    problem: "is no weight or bias of a linear layer".to_owned(),
                });
            };
            let weight = matrix(name, tensors)?;
            let bias = format!("{stem}bias");
            let bias = match names.contains(&bias.as_str()) {
                true => vector(&bias, tensors)?,
                false => vec![0.0; weight.shape[0]],
            };
            if bias.len() != weight.shape[0] {
                return Err(MlpError::Tensor {
                    name: (*name).to_owned(),
                    problem: format!("has {} outputs and a bias of {}", weight.shape[0], bias.len()),
                });
            }
            let before = layers.last().map(LayerWeights::outputs);
            if before.is_some_and(|outputs| outputs != weight.shape[1]) {
                return Err(MlpError::Tensor {
                    name: (*name).to_owned(),
                    problem: format!(
                        "reads {} numbers, and the layer before it gives {}",
                        weight.shape[1],
                        before.unwrap_or_default()
                    ),
                });
            }
            layers.push(LayerWeights {
                weight: weight.values,
                bias,
            });
        }
        if layers.is_empty() {
            return Err(MlpError::NoLayers);
        }
        Ok(Self {
            layers,
            activation: activation(bytes)?,
        })
    }
}

/// The scaled features `(x − mean)/scale` as part of the layer that reads them.
fn fold(layer: &mut LayerWeights, scaler: &Standardizer) {
    let inputs = layer.inputs();
    for (row, bias) in layer.weight.chunks_exact_mut(inputs).zip(&mut layer.bias) {
        let mut shift = 0.0;
        for ((weight, mean), scale) in row.iter_mut().zip(scaler.mean()).zip(scaler.scale()) {
            let own = f64::from(*weight) / f64::from(*scale);
            shift += own * f64::from(*mean);
            *weight = own as f32;
        }
        *bias = (f64::from(*bias) - shift) as f32;
    }
}

/// A name in its parts, numbers as numbers: layer 10 comes after layer 2.
fn natural(name: &str) -> Vec<(u64, String)> {
    let parts = name.split(['.', '_']);
    parts
        .map(|part| match part.parse::<u64>() {
            Ok(number) => (number, String::new()),
            Err(_) => {
                let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
                let number = part[letters.len()..].parse().unwrap_or(0);
                (number, letters.to_owned())
            }
        })
        .collect()
}

fn activation(bytes: &[u8]) -> Result<Activation, MlpError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(MlpError::damaged)?;
    let metadata = header.metadata().as_ref();
    match metadata
        .and_then(|metadata| metadata.get(ACTIVATION))
        .map(String::as_str)
    {
        None | Some("relu") => Ok(Activation::Relu),
        Some("tanh") => Ok(Activation::Tanh),
        Some(other) => Err(MlpError::Activation(other.to_owned())),
    }
}

/// Numbers with the shape of a matrix.
pub(super) struct Matrix {
    pub shape: [usize; 2],
    pub values: Vec<f32>,
}

/// The two-dimensional tensor called `name`.
///
/// # Errors
/// When it has another number of dimensions or holds no finite floats.
pub(super) fn matrix(name: &str, tensors: &SafeTensors) -> Result<Matrix, MlpError> {
    let view = tensors.tensor(name).map_err(MlpError::damaged)?;
    match *view.shape() {
        [rows, columns] if rows > 0 && columns > 0 => Ok(Matrix {
            shape: [rows, columns],
            values: floats(name, &view)?,
        }),
        _ => Err(MlpError::Tensor {
            name: name.to_owned(),
            problem: format!("has shape {:?}; a matrix is needed", view.shape()),
        }),
    }
}

fn vector(name: &str, tensors: &SafeTensors) -> Result<Vec<f32>, MlpError> {
    let view = tensors.tensor(name).map_err(MlpError::damaged)?;
    match view.shape() {
        [_] => floats(name, &view),
        shape => Err(MlpError::Tensor {
            name: name.to_owned(),
            problem: format!("has shape {shape:?}; a bias has one dimension"),
        }),
    }
}

fn floats(name: &str, view: &TensorView) -> Result<Vec<f32>, MlpError> {
    let refuse = |problem: String| MlpError::Tensor {
        name: name.to_owned(),
        problem,
    };
    let bytes = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&four| f32::from_le_bytes(four))
            .collect(),
        Dtype::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&eight| f64::from_le_bytes(eight) as f32)
            .collect(),
        other => return Err(refuse(format!("holds {other:?}; save it as F32 or F64"))),
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(refuse(format!("holds {} at index {at}", values[at]))),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mlp() -> Mlp {
        let layer = |inputs: usize, outputs: usize| LayerWeights {
            weight: (0..inputs * outputs).map(|i| (i as f32 * 0.7).sin()).collect(),
            bias: (0..outputs).map(|i| i as f32 * 0.1).collect(),
        };
        Mlp {
            layers: vec![layer(64, 5), layer(5, 4), layer(4, 10)],
            activation: Activation::Tanh,
        }
    }

    #[test]
    fn written_and_read_it_is_the_same() {
        assert_eq!(Mlp::from_bytes(&mlp().to_bytes()).unwrap(), mlp());
        assert_eq!(mlp().describe(), "mlp 64-5-4-10, tanh");
    }

    #[test]
    fn layers_are_read_in_the_order_of_their_numbers() {
        assert!(natural("layers.2.weight") < natural("layers.10.weight"));
        assert!(natural("fc2.weight") < natural("fc10.weight"));
        assert!(natural("0.bias") < natural("0.weight"));
    }

    #[test]
    fn scaling_is_folded_into_the_first_layer() {
        let dataset = thalweg_data::digits();
        let rows: Vec<usize> = (0..500).collect();
        let scaler = Standardizer::fit(&dataset, &rows);
        let mut scaled = dataset.clone();
        scaler.apply(&mut scaled.features);
        let plain = mlp();
        let mut folded = plain.clone();
        fold(&mut folded.layers[0], &scaler);
        for (a, b) in plain.logits(&scaled).iter().zip(folded.logits(&dataset)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_perceptron_is_named() {
        let one = |name: &str, shape: Vec<usize>, metadata: Option<&str>| {
            let bytes = vec![0_u8; 4 * shape.iter().product::<usize>()];
            let view = TensorView::new(Dtype::F32, shape, &bytes).unwrap();
            let metadata =
                metadata.map(|word| [(ACTIVATION.to_owned(), word.to_owned())].into_iter().collect());
            let file = safetensors::serialize([(name, view)], metadata).unwrap();
            Mlp::from_bytes(&file).err().map(|error| error.to_string())
        };
        assert_eq!(one("0.weight", vec![3, 4], None), None);
        let refused = |name: &str, shape, metadata| one(name, shape, metadata).unwrap();
        assert!(refused("conv1.weight", vec![3, 1, 2, 2], None).contains("conv1.weight"));
        assert!(refused("bn.running_mean", vec![3], None).contains("bn.running_mean"));
        assert!(refused("0.weight", vec![3, 4], Some("gelu")).contains("gelu"));
    }
}
