//! UNPG: unified negative pair generation. The negatives of a margin softmax are the other classes' weights (CLPG) and all
//! kept pairs of different classes of the batch (MLPG), in one softmax: for each sample
//! `−log( exp(s t'_i) / (exp(s t'_i) + Σ_{j≠y_i} exp(s cos_ij) + Σ_{v∈S'} exp(s v)) )`, the same set S' for all.
//!
//! Positive pairs of the batch are not used, and the margin is not on the pairs. Without a negative pair it is the head's own
//! loss. Quartiles and the choice of the filter are constants for the gradient.
//!
//! Source: Jung, Lee, Oh, Park, Son, "Unified negative pair generation toward well-discriminative feature space for face
//! recognition", BMVC 2022 (arXiv 2203.11593). The published class does not run MagFace's head; this one does.

use burn::config::Config;

use super::margin_softmax::of_head;
use super::{Head, MarginSoftmaxLoss, PairFilter};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the UNPG loss.
#[derive(Config, Debug)]
pub struct UnpgLossConfig {
    /// The margin head.
    pub head: Head,
    /// Which negative pairs of the batch count.
    #[config(default = "PairFilter::BoxWhisker { wisk: 1.5 }")]
    pub filter: PairFilter,
    /// Scale s of cosines and pairs, above 0.
    #[config(default = 64.0)]
    pub scale: f64,
    /// How the losses of samples become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl UnpgLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<MarginSoftmaxLoss, ConfigError> {
        Ok(MarginSoftmaxLoss {
            pairs: Some(self.filter.checked()?),
            ..MarginSoftmaxLoss::new(self.head, self.scale, self.reduction)?
        })
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        of_head(
            "unpg_loss",
            "margin softmax whose negatives are other classes and filtered pairs of the batch, and its gradients",
        )
        .param("lambda_g", 35.0)
        .param("filter", true)
        .param("wisk", 1.5)
        .eval(|case| {
            let head = match case.head()? {
                Head::MagFace(head) => Head::MagFace(super::MagFace {
                    lambda_g: case.param("lambda_g")?,
                    ..head
                }),
                head => head,
            };
            let filter = if case.flag("filter")? {
                let wisk = case.param("wisk")?;
                PairFilter::BoxWhisker { wisk }
            } else {
                PairFilter::All
            };
            let loss = UnpgLossConfig::new(head).with_filter(filter).with_scale(case.param("s")?);
            let (features, weights) = (case.variable::<2>("features"), case.variable::<2>("weights"));
            let labels = case.labels_of_weights()?;
            let value = loss.init()?.forward(features.clone(), weights.clone(), labels)?;
            Ok(case.value_and_gradients(value, &[("features", &features), ("weights", &weights)]))
        }),
    ]
}
