//! The network of self-supervised trials: an encoder whose features are kept, and a projection head that is thrown away.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::{Samples, floats, tensor};
use crate::model::{BatchNorm, Dense, Followed, Frozen, Normalization, Parameters, Trained};

/// Samples encoded at once.
const CHUNK: usize = 1024;
/// Batches after which running statistics are within 1 % of a batch's.
const SETTLING: usize = 50;

/// Widths of an encoder `inputs → hidden (batch norm or none, ReLU) → features (ReLU)` and its head `features → head (ReLU) →
/// embedding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderSpec {
    /// Of the hidden layer.
    pub hidden: usize,
    /// Of the features.
    pub features: usize,
    /// Of the head's hidden layer.
    pub head: usize,
    /// Of the embedding that objectives see.
    pub embedding: usize,
    /// What the hidden layer's sums go through before the ReLU.
    #[serde(default = "usual_normalization", skip_serializing_if = "is_usual")]
    pub normalization: Normalization,
}

fn usual_normalization() -> Normalization {
    Normalization::Batch
}

fn is_usual(normalization: &Normalization) -> bool {
    *normalization == usual_normalization()
}

impl Default for EncoderSpec {
    fn default() -> Self {
        Self {
            hidden: 128,
            features: 64,
            head: 64,
            embedding: 32,
            normalization: usual_normalization(),
        }
    }
}

/// An encoder with its head.
#[derive(Module, Debug)]
pub struct Encoder {
    hidden: Dense,
    norm: Option<BatchNorm>,
    features: Dense,
    head: Dense,
    embedding: Dense,
}

impl Encoder {
    /// For samples of so many numbers, its weights drawn under `seed`.
    pub fn new(spec: EncoderSpec, inputs: usize, seed: u64, device: &Device) -> Self {
        let dense =
            |widths, layer| Dense::new(widths, &mut Stream::new(seed, "encoder weights", layer), device);
        Self {
            hidden: dense([inputs, spec.hidden], 0),
            norm: (spec.normalization == Normalization::Batch).then(|| BatchNorm::new(spec.hidden, device)),
            features: dense([spec.hidden, spec.features], 1),
            head: dense([spec.features, spec.head], 2),
            embedding: dense([spec.head, spec.embedding], 3),
        }
    }

    /// Embeddings `[batch, embedding]` of inputs `[batch, inputs]`, for a step of training.
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.project(self.encode(inputs, &Trained), &Trained)
    }

    /// The same of a target network: constants, and nothing of the network is changed.
    pub(super) fn followed(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.project(self.encode(inputs, &Followed), &Followed)
    }

    fn encode(&self, inputs: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        let mut hidden = self.hidden.of(inputs, parameters);
        if let Some(norm) = &self.norm {
            hidden = parameters.normalize(norm, hidden);
        }
        relu(self.features.of(relu(hidden), parameters))
    }

    fn project(&self, features: Tensor<2>, parameters: &impl Parameters) -> Tensor<2> {
        self.embedding
            .of(relu(self.head.of(features, parameters)), parameters)
    }

    /// Brings the running statistics of batch normalisation to those of `samples`, as training would.
    pub fn settle(&self, samples: &Samples) {
        let Some(norm) = &self.norm else { return };
        let device = Device::flex();
        for _ in 0..SETTLING {
            let inputs = tensor(samples.values.clone(), samples.width, &device);
            norm.train_step(self.hidden.of(inputs, &Frozen));
        }
    }

    /// Features and embeddings of all samples, row-major, by running statistics.
    pub fn encoded(&self, samples: &Samples) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex();
        let (mut features, mut embeddings) = (Vec::new(), Vec::new());
        for rows in samples.values.chunks(CHUNK * samples.width) {
            let encoded = self.encode(tensor(rows.to_vec(), samples.width, &device), &Frozen);
            features.extend(floats(encoded.clone()));
            embeddings.extend(floats(self.project(encoded, &Frozen)));
        }
        (features, embeddings)
    }

    /// Features of all samples, row-major, by running statistics.
    pub fn features(&self, samples: &Samples) -> Vec<f32> {
        self.encoded(samples).0
    }
}
