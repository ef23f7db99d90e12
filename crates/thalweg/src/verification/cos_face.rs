//! CosFace (also AM-Softmax): a margin of the cosine, `t' = t − m`.
//!
//! Source: Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, "CosFace: large margin cosine loss for deep face recognition",
//! CVPR 2018 (arXiv 1801.09414). PyTorch Metric Learning's `CosFaceLoss` has m = 0.35 by default.

use burn::config::Config;
use serde::{Deserialize, Serialize};

use super::head::Adjusted;
use super::{Head, MarginSoftmaxLoss};
use crate::config::require;
use crate::{ConfigError, Reduction};

/// The head of CosFace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CosFace {
    /// Margin m of the cosine, at least 0.
    pub margin: f64,
}

impl CosFace {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let valid = |margin: f64| (0.0..f64::INFINITY).contains(&margin);
        require("cosface", "margin", self.margin, "at least 0 and finite", valid).map(drop)
    }

    pub(super) fn adjusted(&self, cosine: f64) -> Adjusted {
        Adjusted {
            cosine: cosine - self.margin,
            by_cosine: 1.0,
            by_norm: 0.0,
        }
    }
}

/// Configuration of the CosFace loss.
#[derive(Config, Debug)]
pub struct CosFaceLossConfig {
    /// Margin m of the cosine, at least 0.
    #[config(default = 0.5)]
    pub margin: f64,
    /// Scale s of cosines, above 0.
    #[config(default = 64.0)]
    pub scale: f64,
    /// How the losses of samples become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl CosFaceLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<MarginSoftmaxLoss, ConfigError> {
        let head = Head::CosFace(CosFace { margin: self.margin });
        MarginSoftmaxLoss::new(head, self.scale, self.reduction)
    }
}
