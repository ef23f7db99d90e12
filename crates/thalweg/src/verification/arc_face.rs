//! ArcFace: a margin of the angle, `t' = cos(acos t + m)`.
//!
//! Where `acos t + m` exceeds π the head is not monotone in t: it is that of the official code, without its "easy margin".
//!
//! Source: Deng, Guo, Xue, Zafeiriou, "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019
//! (arXiv 1801.07698). PyTorch Metric Learning's `ArcFaceLoss` takes its margin in degrees.

use burn::config::Config;
use serde::{Deserialize, Serialize};

use super::head::{Adjusted, Turned, angle};
use super::{Head, MarginSoftmaxLoss};
use crate::{ConfigError, Reduction};

/// The head of ArcFace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArcFace {
    /// Margin m of the angle, in radians, from 0 to π.
    pub margin: f64,
}

impl ArcFace {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        angle("arcface", "margin", self.margin).map(drop)
    }

    pub(super) fn adjusted(&self, cosine: f64, least: f64) -> Adjusted {
        let turned = Turned::new(cosine, self.margin, least);
        Adjusted {
            cosine: turned.cosine,
            by_cosine: turned.by_cosine,
            by_norm: 0.0,
        }
    }
}

/// Configuration of the ArcFace loss.
#[derive(Config, Debug)]
pub struct ArcFaceLossConfig {
    /// Margin m of the angle, in radians, from 0 to π.
    #[config(default = 0.5)]
    pub margin: f64,
    /// Scale s of cosines, above 0.
    #[config(default = 64.0)]
    pub scale: f64,
    /// How the losses of samples become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl ArcFaceLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<MarginSoftmaxLoss, ConfigError> {
        let head = Head::ArcFace(ArcFace { margin: self.margin });
        MarginSoftmaxLoss::new(head, self.scale, self.reduction)
    }
}
