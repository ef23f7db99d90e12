//! BYOL: each view, through a predictor, is pulled to the other views as the target network sees them.
//!
//! `mean over i and ordered pairs of views v ≠ w of 2 − 2 cos(q(z_iv), z'_iw)`, from 0 to 4; the paper's symmetric loss of two
//! views is the sum of both directions, twice this. Nothing but the predictor and the slow target keeps embeddings from
//! collapsing.
//!
//! Source: Grill and others, "Bootstrap your own latent", NeurIPS 2020 (arXiv 2006.07733).

use burn::config::Config;
use burn::tensor::{Gradients, Tensor};
use thalweg_kernels::random::Stream;

use super::multiview_centroid::views;
use super::other_views::cosine_with_others;
use super::predictor::{Predictor, PredictorConfig, predicted};
use super::target_network::TargetMomentum;
use crate::ConfigError;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::quantity::Quantity;

/// `mean over ordered pairs of views v ≠ w of 2 − 2 cos(p_v, t_w)`.
///
/// # Shapes
/// - predictions, targets: as many views of each, two or more, `[batch, width]`; returns `[1]`. Norms are taken to be at least
///   1e-12; the targets are constants, whatever they hang on.
///
/// # Panics
/// When there are fewer than two views, not as many of each, or views differ in shape.
pub fn byol_loss(predictions: &[Tensor<2>], targets: &[Tensor<2>]) -> Tensor<1> {
    cosine_with_others(predictions, targets) * -2.0 + 2.0
}

/// Configuration of [`Byol`].
#[derive(Config, Debug)]
pub struct ByolConfig {
    /// The predictor; none: embeddings themselves are pulled.
    #[config(default = "Some(PredictorConfig::new())")]
    pub predictor: Option<PredictorConfig>,
    /// Of the target network.
    #[config(default = "TargetMomentum::Rising(0.996)")]
    pub momentum: TargetMomentum,
}

impl ByolConfig {
    /// The objective.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn init(&self) -> Result<Byol, ConfigError> {
        let predictor = self.predictor.as_ref().map(PredictorConfig::init).transpose()?;
        Ok(Byol {
            predictor,
            momentum: self.momentum.checked("byol")?,
        })
    }
}

/// BYOL as an objective of views, with its predictor. Asks for a target network.
#[derive(Clone)]
pub struct Byol {
    predictor: Option<Predictor>,
    momentum: TargetMomentum,
}

impl ViewObjective for Byol {
    /// # Panics
    /// When there is no target network.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let predictions = predicted(self.predictor.as_mut(), &views.embeddings, random);
        byol_loss(&predictions, views.of_target())
    }

    fn target_momentum(&self, progress: &Progress) -> Option<f64> {
        Some(self.momentum.at(progress))
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        if let Some(predictor) = &mut self.predictor {
            predictor.learn(gradients, learning_rate);
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "byol_loss",
            "BYOL of predictions and the target network's embeddings, mean over ordered pairs of views, and its gradient",
        )
        .input("predictions", "[V, B, d]")
        .input("targets", "[V, B, d]")
        .eval(|case| {
            case.several_views(["predictions", "targets"])?;
            let predictions = case.variable::<3>("predictions");
            let value = byol_loss(&views(predictions.clone()), &views(case.tensor("targets")));
            Ok(case.value_and_gradients(value, &[("predictions", &predictions)]))
        }),
    ]
}
