//! Normalised softmax (NormFace): cross-entropy of scaled cosines with class weights, without a margin.
//!
//! Source: Wang, Xiang, Cheng, Yuille, "NormFace: L2 hypersphere embedding for face verification", ACM Multimedia 2017
//! (arXiv 1704.06369).

use burn::config::Config;

use super::{Head, MarginSoftmaxLoss};
use crate::{ConfigError, Reduction};

/// Configuration of the normalised softmax loss.
#[derive(Config, Debug)]
pub struct NormalizedSoftmaxLossConfig {
    /// Scale s of cosines, above 0.
    #[config(default = 64.0)]
    pub scale: f64,
    /// How the losses of samples become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl NormalizedSoftmaxLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the scale is out of its range.
    pub fn init(&self) -> Result<MarginSoftmaxLoss, ConfigError> {
        MarginSoftmaxLoss::new(Head::Softmax, self.scale, self.reduction)
    }
}
