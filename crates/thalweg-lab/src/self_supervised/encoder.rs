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

/// Widths of an encoder `inputs → hidden (batch norm or none, ReLU) → features (ReLU)` and its heads `features → head (ReLU) →
/// embedding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderSpec {
    /// Of the hidden layer.
    pub hidden: usize,
    /// Of the features.
    pub features: usize,
    /// Of a head's hidden layer.
    pub head: usize,
    /// Of the embedding that a head gives.
    pub embedding: usize,
    /// What the hidden layer's sums go through before the ReLU.
    #[serde(default = "usual_normalization", skip_serializing_if = "is_usual")]
    pub normalization: Normalization,
    /// Number of heads, each with weights of its own. What objectives see is their embeddings, one after the other.
    #[serde(default = "one_head", skip_serializing_if = "is_one_head")]
    pub heads: usize,
}

fn usual_normalization() -> Normalization {
    Normalization::Batch
}

fn is_usual(normalization: &Normalization) -> bool {
    *normalization == usual_normalization()
}

fn one_head() -> usize {
    1
}

fn is_one_head(heads: &usize) -> bool {
    *heads == one_head()
}

impl Default for EncoderSpec {
    fn default() -> Self {
        Self {
            hidden: 128,
            features: 64,
            head: 64,
            embedding: 32,
            normalization: usual_normalization(),
            heads: one_head(),
        }
    }
}

/// An encoder with its heads.
#[derive(Module, Debug)]
pub struct Encoder {
    hidden: Dense,
    norm: Option<BatchNorm>,
    features: Dense,
    /// The hidden layers of all heads, beside each other.
    head: Dense,
    /// One a head.
    embeddings: Vec<Dense>,
}

impl Encoder {
    /// For samples of so many numbers, its weights drawn under `seed`.
    ///
    /// # Panics
    /// When there is no head.
    pub fn new(spec: EncoderSpec, inputs: usize, seed: u64, device: &Device) -> Self {
        assert!(spec.heads > 0, "an encoder is trained through a head");
        let dense =
            |widths, layer| Dense::new(widths, &mut Stream::new(seed, "encoder weights", layer), device);
        Self {
            hidden: dense([inputs, spec.hidden], 0),
            norm: (spec.normalization == Normalization::Batch).then(|| BatchNorm::new(spec.hidden, device)),
            features: dense([spec.hidden, spec.features], 1),
            head: dense([spec.features, spec.heads * spec.head], 2),
            embeddings: (0..spec.heads as u64)
                .map(|head| dense([spec.head, spec.embedding], 3 + head))
                .collect(),
        }
    }

    /// Embeddings `[batch, heads·embedding]` of inputs `[batch, inputs]`, for a step of training.
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
        let hidden = relu(self.head.of(features, parameters));
        let each = hidden.chunk(self.embeddings.len(), 1);
        let heads = self.embeddings.iter().zip(each);
        let embeddings = heads.map(|(head, hidden)| head.of(hidden, parameters));
        Tensor::cat(embeddings.collect(), 1)
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
