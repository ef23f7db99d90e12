//! Dispersion: what keeps embeddings apart, globally by the singular value loss S and locally by the Brownian diffusive loss B,
//! as `λ_s S + λ_b B` beside any objective of views.

use burn::config::Config;
use burn::tensor::{Gradients, Tensor};
use thalweg_kernels::random::Stream;

use super::brownian::{BrownianDiffusiveLoss, Kicks};
use super::singular_value::{SingularForm, SingularValueLoss, SingularValueLossConfig};
use crate::ConfigError;
use crate::config::require;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

/// Configuration of [`Dispersion`].
#[derive(Config, Debug)]
pub struct DispersionConfig {
    /// Weight λ_s of the singular value loss, at least 0. The paper's is not known; this is that of our study, which brings it
    /// to the order of the pull.
    #[config(default = 4.0)]
    pub lambda_s: f64,
    /// Weight λ_b of the Brownian diffusive loss, at least 0.
    #[config(default = 0.1)]
    pub lambda_b: f64,
    /// How unequal singular values count.
    #[config(default = "SingularForm::Gram")]
    pub singular_form: SingularForm,
}

impl DispersionConfig {
    /// The regulariser.
    ///
    /// # Errors
    /// When a weight is negative or not finite.
    pub fn init(&self) -> Result<Dispersion, ConfigError> {
        let weight = |name, value| {
            let valid = |weight: f64| (0.0..f64::INFINITY).contains(&weight);
            require("dispersion", name, value, "at least 0 and finite", valid)
        };
        Ok(Dispersion {
            lambda_s: weight("lambda_s", self.lambda_s)?,
            lambda_b: weight("lambda_b", self.lambda_b)?,
            singular: SingularValueLossConfig::new()
                .with_form(self.singular_form)
                .init(),
        })
    }
}

/// The regulariser `λ_s S + λ_b B`: S of each view, normalised and not centred, averaged over views; B of all.
#[derive(Clone, Debug)]
pub struct Dispersion {
    lambda_s: f64,
    lambda_b: f64,
    singular: SingularValueLoss,
}

impl Dispersion {
    /// # Shapes
    /// - one view or more `[batch, width]`, of norms that are taken to be at least 1e-12; returns `[1]`, or none where both
    ///   weights are 0.
    ///
    /// # Panics
    /// When there is no view, views differ in shape, or there are not as many kicks as samples.
    pub fn forward(&self, views: &[Tensor<2>], kicks: &Kicks) -> Option<Tensor<1>> {
        let spread = (self.lambda_s > 0.0).then(|| {
            let each = views.iter().map(|view| self.singular.forward(view.clone()));
            let sum = each.reduce(|sum, loss| sum + loss).expect("at least one view");
            sum * (self.lambda_s / views.len() as f64)
        });
        let kicked =
            (self.lambda_b > 0.0).then(|| BrownianDiffusiveLoss.forward(views, kicks) * self.lambda_b);
        match (spread, kicked) {
            (Some(spread), Some(kicked)) => Some(spread + kicked),
            (one, other) => one.or(other),
        }
    }
}

/// An objective with [`Dispersion`] of the encoder's embeddings (not of a predictor's output) added to it.
#[derive(Clone, Debug)]
pub struct Dispersed<O> {
    base: O,
    dispersion: Dispersion,
}

impl<O> Dispersed<O> {
    /// `base` with `dispersion` beside it.
    pub fn new(base: O, dispersion: Dispersion) -> Self {
        Self { base, dispersion }
    }
}

impl<O: ViewObjective> ViewObjective for Dispersed<O> {
    /// Kicks are keyed by a seed drawn from `random`, the step, and the samples' numbers.
    fn loss(&mut self, views: &EmbeddedViews, progress: &Progress, random: &mut Stream) -> Tensor<1> {
        let base = self.base.loss(views, progress, random);
        let kicks = Kicks::Keyed {
            seed: random.below(usize::MAX) as u64,
            step: progress.step,
            samples: &views.ids,
        };
        match self.dispersion.forward(&views.embeddings, &kicks) {
            Some(apart) => base + apart,
            None => base,
        }
    }

    fn target_momentum(&self, progress: &Progress) -> Option<f64> {
        self.base.target_momentum(progress)
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        self.base.learn(gradients, learning_rate);
    }
}
