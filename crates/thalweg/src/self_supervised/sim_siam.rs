//! SimSiam: each view, through a predictor, is pulled to the other views as the same network sees them, held constant.
//!
//! `−mean over i and ordered pairs of views v ≠ w of cos(q(z_iv), stopgrad(z_iw))`, from −1 to 1; of two views, the paper's
//! `½ D(p₁, z₂) + ½ D(p₂, z₁)`. No target network, no negatives; without the predictor it collapses.
//!
//! Source: Chen, He, "Exploring simple Siamese representation learning", CVPR 2021 (arXiv 2011.10566).

use burn::config::Config;
use burn::tensor::{Gradients, Tensor};
use thalweg_kernels::random::Stream;

use super::multiview_centroid::views;
use super::other_views::cosine_with_others;
use super::predictor::{Predictor, PredictorConfig};
use crate::ConfigError;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::quantity::Quantity;

/// `−mean over ordered pairs of views v ≠ w of cos(p_v, z_w)`.
///
/// # Shapes
/// - predictions, embeddings: as many views of each, two or more, `[batch, width]`; returns `[1]`. Norms are taken to be at
///   least 1e-12; the embeddings are constants, whatever they hang on.
///
/// # Panics
/// When there are fewer than two views, not as many of each, or views differ in shape.
pub fn sim_siam_loss(predictions: &[Tensor<2>], embeddings: &[Tensor<2>]) -> Tensor<1> {
    -cosine_with_others(predictions, embeddings)
}

/// Configuration of [`SimSiam`].
#[derive(Config, Debug)]
pub struct SimSiamConfig {
    /// The predictor: a bottleneck of a quarter of the paper's embeddings of 2048.
    #[config(default = "PredictorConfig::new().with_hidden(512)")]
    pub predictor: PredictorConfig,
}

impl SimSiamConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the predictor is refused.
    pub fn init(&self) -> Result<SimSiam, ConfigError> {
        Ok(SimSiam {
            predictor: self.predictor.init()?,
        })
    }
}

/// SimSiam as an objective of views, with its predictor.
#[derive(Clone)]
pub struct SimSiam {
    predictor: Predictor,
}

impl ViewObjective for SimSiam {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let predictions = self.predictor.predict(&views.embeddings, random);
        sim_siam_loss(&predictions, &views.embeddings)
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        self.predictor.learn(gradients, learning_rate);
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "simsiam_loss",
            "SimSiam of predictions and embeddings held constant, mean over ordered pairs of views, and its gradient",
        )
        .input("predictions", "[V, B, d]")
        .input("embeddings", "[V, B, d]")
        .eval(|case| {
            case.several_views(["predictions", "embeddings"])?;
            let predictions = case.variable::<3>("predictions");
            let value = sim_siam_loss(&views(predictions.clone()), &views(case.tensor("embeddings")));
            Ok(case.value_and_gradients(value, &[("predictions", &predictions)]))
        }),
    ]
}
