//! The predictor of the online branch: `width → hidden (batch norm or none, ReLU) → width`, learning beside the encoder.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Gradients, Tensor};
use thalweg_kernels::random::Stream;

use crate::ConfigError;
use crate::config::require;
use crate::layers::{Linear, LinearConfig};
use crate::optimizer::AdamWConfig;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// What the hidden layer's sums go through before the ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PredictorNorm {
    /// Nothing.
    None,
    /// Batch normalisation. By itself it keeps samples apart: say so where collapse is studied.
    Batch,
}

/// Configuration of [`Predictor`].
#[derive(Config, Debug)]
pub struct PredictorConfig {
    /// Width of the hidden layer, at least 1; BYOL's is 4096 for embeddings of 256.
    #[config(default = 4096)]
    pub hidden: usize,
    /// What its sums go through.
    #[config(default = "PredictorNorm::Batch")]
    pub normalization: PredictorNorm,
}

impl PredictorConfig {
    /// A predictor whose weights are drawn when it sees its first embeddings.
    ///
    /// # Errors
    /// When the hidden layer has no width.
    pub fn init(&self) -> Result<Predictor, ConfigError> {
        require(
            "predictor",
            "hidden",
            self.hidden as f64,
            "at least 1",
            |hidden| hidden >= 1.0,
        )?;
        Ok(Predictor {
            config: self.clone(),
            learner: None,
        })
    }
}

/// A predictor and the Adam (β 0.9 and 0.999, ε 1e-8) that moves it.
#[derive(Clone)]
pub struct Predictor {
    config: PredictorConfig,
    learner: Option<(PredictorNetwork, ModuleOptimizer)>,
}

impl Predictor {
    /// Predictions of all views, which go through together, so that batch normalisation sees them together. The first time, the
    /// network is made for the width, float type and device of the embeddings, its weights drawn from `random`.
    ///
    /// # Panics
    /// When there is no view, or views differ in width from each other or from the first ones ever.
    pub fn predict(&mut self, views: &[Tensor<2>], random: &mut Stream) -> Vec<Tensor<2>> {
        let stacked = Tensor::cat(views.to_vec(), 0);
        let (network, _) = self.learner.get_or_insert_with(|| {
            let [_, width] = stacked.dims();
            let network =
                PredictorNetwork::new(&self.config, width, random, &stacked.device(), stacked.dtype());
            let adam = AdamWConfig::new().with_weight_decay(0.0).init();
            (network, adam.expect("the defaults are in range"))
        });
        network.forward(stacked).chunk(views.len(), 0)
    }

    /// A step along the gradients of the last predictions.
    pub fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        if let Some((network, mut optimizer)) = self.learner.take() {
            let own = GradientsParams::from_module(gradients, &network);
            let network = optimizer.step(learning_rate, network, own);
            self.learner = Some((network, optimizer));
        }
    }
}

/// The embeddings through a predictor, or as they are where there is none.
pub(super) fn predicted(
    predictor: Option<&mut Predictor>,
    embeddings: &[Tensor<2>],
    random: &mut Stream,
) -> Vec<Tensor<2>> {
    match predictor {
        Some(predictor) => predictor.predict(embeddings, random),
        None => embeddings.to_vec(),
    }
}

#[derive(Module, Debug)]
struct PredictorNetwork {
    first: Linear,
    norm: Option<Normalized>,
    second: Linear,
}

/// Scale and shift after normalisation by the batch. Nobody predicts after training: there are no running statistics.
#[derive(Module, Debug)]
struct Normalized {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
}

impl PredictorNetwork {
    fn new(
        config: &PredictorConfig,
        width: usize,
        random: &mut Stream,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let mut layer = |inputs, outputs| {
            let drawn = LinearConfig::new(inputs, outputs).init(random, device);
            Linear {
                weight: of_type(drawn.weight.val(), dtype),
                bias: drawn.bias.map(|bias| of_type(bias.val(), dtype)),
            }
        };
        let (first, second) = (layer(width, config.hidden), layer(config.hidden, width));
        let norm = (config.normalization == PredictorNorm::Batch).then(|| Normalized {
            scale: of_type(Tensor::ones([config.hidden], device), dtype),
            shift: of_type(Tensor::zeros([config.hidden], device), dtype),
        });
        Self { first, norm, second }
    }

    fn forward(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let mut hidden = self.first.forward(embeddings);
        if let Some(norm) = &self.norm {
            let centred = hidden.clone() - hidden.mean_dim(0);
            let deviation = (centred.clone().square().mean_dim(0) + EPSILON).sqrt();
            hidden = centred / deviation * norm.scale.val().unsqueeze() + norm.shift.val().unsqueeze();
        }
        self.second.forward(relu(hidden))
    }
}

/// A parameter with these values, of a float type.
fn of_type<const D: usize>(values: Tensor<D>, dtype: DType) -> Param<Tensor<D>> {
    let device = values.device();
    let values = values.without_autodiff().cast(dtype);
    Param::from_tensor(if device.is_autodiff() {
        values.autodiff()
    } else {
        values
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{leaf, numbers};
    use super::*;

    fn predictor(normalization: PredictorNorm) -> Predictor {
        let config = PredictorConfig::new()
            .with_hidden(6)
            .with_normalization(normalization);
        config.init().unwrap()
    }

    #[test]
    fn it_learns_what_it_is_to_predict() {
        for (normalization, dtype) in [
            (PredictorNorm::None, DType::F64),
            (PredictorNorm::Batch, DType::F32),
        ] {
            let mut predictor = predictor(normalization);
            let views = [1, 2].map(|seed| leaf(&numbers(24, seed), 3, dtype));
            let mut random = Stream::new(0, "predictor", 0);
            let mut losses = Vec::new();
            for _ in 0..200 {
                let predicted = predictor.predict(&views, &mut random);
                assert_eq!(predicted[1].dims(), [8, 3]);
                // The same of every view: minus what is seen.
                let gaps = predicted.into_iter().zip(views.clone());
                let loss = gaps
                    .map(|(a, b)| (a + b).square().mean())
                    .reduce(|a, b| a + b)
                    .unwrap();
                losses.push(loss.clone().into_scalar::<f64>());
                predictor.learn(&mut loss.backward(), 0.02);
            }
            assert!(losses[199] < 0.2 * losses[0], "{} {}", losses[0], losses[199]);
        }
    }

    #[test]
    fn before_it_has_seen_anything_there_is_nothing_to_learn() {
        let mut fresh = predictor(PredictorNorm::None);
        let leaf = leaf(&[1.0], 1, DType::F64);
        fresh.learn(&mut leaf.square().sum().backward(), 0.1);
        assert!(fresh.learner.is_none());
        assert!(PredictorConfig::new().with_hidden(0).init().is_err());
    }
}
