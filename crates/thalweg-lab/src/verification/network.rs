//! The network of verification trials: hidden layers, each with batch normalisation and ReLU, and a linear embedding.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use crate::model::{BatchNorm, Dense, Frozen, Parameters, Trained};
use crate::self_supervised::Samples;

/// Samples embedded at once.
const CHUNK: usize = 1024;

/// Widths of an embedder `inputs → hidden (batch norm, ReLU) → … → embedding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderSpec {
    /// Of each hidden layer.
    pub hidden: Vec<usize>,
    /// Of the embedding.
    pub embedding: usize,
}

impl Default for EmbedderSpec {
    fn default() -> Self {
        Self {
            hidden: vec![128],
            embedding: 16,
        }
    }
}

/// A network from samples to embeddings.
#[derive(Module, Debug)]
pub struct Embedder {
    hidden: Vec<Dense>,
    norms: Vec<BatchNorm>,
    embedding: Dense,
}

impl Embedder {
    /// For samples of so many numbers, its weights drawn under `seed`.
    pub fn new(spec: &EmbedderSpec, inputs: usize, seed: u64, device: &Device) -> Self {
        let dense = |widths, layer| {
            let mut random = Stream::new(seed, "embedder weights", layer as u64);
            Dense::new(widths, &mut random, device)
        };
        let widths: Vec<usize> = [inputs].iter().chain(&spec.hidden).copied().collect();
        let pairs = widths.windows(2).enumerate();
        let last = widths[widths.len() - 1];
        Self {
            hidden: pairs
                .map(|(layer, pair)| dense([pair[0], pair[1]], layer))
                .collect(),
            norms: spec
                .hidden
                .iter()
                .map(|&width| BatchNorm::new(width, device))
                .collect(),
            embedding: dense([last, spec.embedding], spec.hidden.len()),
        }
    }

    /// Embeddings `[batch, embedding]` of inputs `[batch, inputs]`, for a step of training.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.embed(inputs, &Trained)
    }

    fn embed(&self, inputs: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        let layers = self.hidden.iter().zip(&self.norms);
        let hidden = layers.fold(inputs, |hidden, (layer, norm)| {
            relu(parameters.normalize(norm, layer.of(hidden, parameters)))
        });
        self.embedding.of(hidden, parameters)
    }

    /// Embeddings of all samples, row-major, by running statistics.
    pub fn embeddings(&self, samples: &Samples) -> Vec<f32> {
        let device = Device::flex();
        let mut embeddings = Vec::new();
        for rows in samples.values.chunks(CHUNK * samples.width) {
            let shape = [rows.len() / samples.width, samples.width];
            let inputs = Tensor::from_data(TensorData::new(rows.to_vec(), shape), &device);
            let embedded = self.embed(inputs, &Frozen).into_data();
            let embedded = embedded.try_into_vec_as::<f32>();
            embeddings.extend(embedded.expect("embeddings are floats"));
        }
        embeddings
    }
}
