//! How per-sample losses become one number.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Reduction of per-sample losses `[batch]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reduction {
    /// Their mean, `[1]`.
    Mean,
    /// Their sum, `[1]`.
    Sum,
    /// None: per sample, `[batch]`.
    None,
}

impl Reduction {
    /// Reduces per-sample losses.
    pub fn of(self, per_sample: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Mean => per_sample.mean(),
            Self::Sum => per_sample.sum(),
            Self::None => per_sample,
        }
    }

    /// Factor of a per-sample gradient in the gradient of the reduced loss.
    pub fn scale(self, batch: usize) -> f64 {
        match self {
            Self::Mean => 1.0 / batch as f64,
            Self::Sum | Self::None => 1.0,
        }
    }
}
