//! MSBReg: embeddings as particles. All views of a sample are attracted to their centroid as a slow target network sees it (M),
//! dispersed globally by equal singular values (S), locally by Brownian kicks (B): `L = L_c + λ_s L_s + λ_b L_b`.
//!
//! Where there is a predictor, it is its output that is attracted; embeddings themselves are dispersed.
//!
//! Source: Moon, Buracas, Park, Kim, Canny, "An embedding-dynamic approach to self-supervised learning", WACV 2023
//! (arXiv 2207.03552). The weights λ_s and the normalisation of S are not published.

use burn::config::Config;
use burn::tensor::{Gradients, Tensor};
use thalweg_kernels::random::Stream;

use super::brownian::Kicks;
use super::dispersion::{Dispersed, DispersionConfig};
use super::multiview_centroid::{CentroidForm, MultiviewCentroidLoss, MultiviewCentroidLossConfig, views};
use super::predictor::{Predictor, PredictorConfig, predicted};
use super::singular_value::SingularForm;
use super::target_network::TargetMomentum;
use crate::ConfigError;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::quantity::Quantity;

/// Configuration of [`MsbReg`].
#[derive(Config, Debug)]
pub struct MsbRegConfig {
    /// What is pulled to what.
    #[config(default = "CentroidForm::ViewToCentroid")]
    pub centroid_form: CentroidForm,
    /// Weights of the dispersion and how unequal singular values count.
    #[config(default = "DispersionConfig::new()")]
    pub dispersion: DispersionConfig,
    /// A predictor between embeddings and centroid; by default none.
    pub predictor: Option<PredictorConfig>,
    /// Of the target network.
    #[config(default = "TargetMomentum::Rising(0.996)")]
    pub momentum: TargetMomentum,
}

impl MsbRegConfig {
    /// The objective.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn init(&self) -> Result<MsbReg, ConfigError> {
        let predictor = self.predictor.as_ref().map(PredictorConfig::init).transpose()?;
        let attraction = Attraction {
            loss: MultiviewCentroidLossConfig::new()
                .with_form(self.centroid_form)
                .init(),
            predictor,
            momentum: self.momentum.checked("msbreg")?,
        };
        Ok(Dispersed::new(attraction, self.dispersion.init()?))
    }
}

/// MSBReg as an objective of views: dispersed attraction. Asks for a target network.
pub type MsbReg = Dispersed<Attraction>;

/// The multiview centroid loss as an objective of views, with its predictor if any. Asks for a target network.
#[derive(Clone)]
pub struct Attraction {
    loss: MultiviewCentroidLoss,
    predictor: Option<Predictor>,
    momentum: TargetMomentum,
}

impl ViewObjective for Attraction {
    /// # Panics
    /// When there is no target network.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let online = predicted(self.predictor.as_mut(), &views.embeddings, random);
        self.loss.forward(&online, views.of_target())
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
    let defaults = DispersionConfig::new();
    vec![
        Quantity::new(
            "msbreg_loss",
            "attraction to the centroid, equal singular values and Brownian kicks together, and their gradient",
        )
        .param("lambda_s", defaults.lambda_s)
        .param("lambda_b", defaults.lambda_b)
        .param("centroid_form", "view_to_centroid")
        .param("singular_form", "gram")
        .input("online", "[V, B, d]")
        .input("target", "[V, B, d]")
        .input("noise", "[B, d]")
        .eval(|case| {
            let form = case.choice("centroid_form", &CentroidForm::NAMES)?;
            let dispersion = DispersionConfig {
                lambda_s: case.param("lambda_s")?,
                lambda_b: case.param("lambda_b")?,
                singular_form: case.choice("singular_form", &SingularForm::NAMES)?,
            }
            .init()?;
            case.embeddings(&["noise"])?;
            case.no_zero_rows("noise")?;
            let [online, target] = case.online_and_target(form)?;
            let (of_online, of_target) = (views(online.clone()), views(target));
            let loss = MultiviewCentroidLossConfig::new().with_form(form).init();
            let attraction = loss.forward(&of_online, &of_target);
            let noise = case.tensor("noise");
            let value = match dispersion.forward(&of_online, &Kicks::Along(&noise)) {
                Some(apart) => attraction + apart,
                None => attraction,
            };
            Ok(case.value_and_gradients(value, &[("online", &online)]))
        }),
    ]
}
