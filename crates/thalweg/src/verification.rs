//! Telling whether two samples are of one identity, also of identities that training never saw: margin heads over class
//! weights, UNPG with its in-batch negatives, and the metrics of verification.
//!
//! A loss is a [`MarginSoftmaxLoss`], made by the configuration of its head ([`CosFaceLossConfig`], [`ArcFaceLossConfig`],
//! [`MagFaceLossConfig`], [`NormalizedSoftmaxLossConfig`]) or by [`UnpgLossConfig`]. [`MarginClassifier`] owns the class
//! weights and trains an encoder. [`Roc`] judges scored pairs.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use thalweg::verification::{ArcFace, Head, UnpgLossConfig};
//!
//! let device = Device::flex().autodiff();
//! let features = Tensor::<2>::from_floats([[1.0, 0.2], [0.1, 0.9], [0.8, 0.4]], &device).require_grad();
//! let weights = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device).require_grad();
//! let labels = Tensor::from_ints([0, 1, 0], &device);
//! let head = Head::ArcFace(ArcFace { margin: 0.5 });
//! let loss = UnpgLossConfig::new(head).with_scale(16.0).init()?;
//! let gradients = loss.forward(features.clone(), weights.clone(), labels)?.backward();
//! assert_eq!(features.grad(&gradients).unwrap().dims(), [3, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arc_face;
mod box_whisker;
mod classifier;
mod composed;
mod cos_face;
mod error;
mod fused;
mod head;
mod histogram;
mod mag_face;
mod margin_softmax;
mod mismatch;
mod normalized_softmax;
mod pages;
mod pairs;
mod roc;
mod templates;
#[cfg(test)]
mod tests;
mod units;
mod unpg;

pub use arc_face::{ArcFace, ArcFaceLossConfig};
pub use box_whisker::{PairFilter, Whiskers};
pub use classifier::{MarginClassifier, MarginClassifierConfig};
pub use cos_face::{CosFace, CosFaceLossConfig};
pub use error::{Problem, VerificationError};
pub use head::{Adjusted, Head, WeightInit};
pub use histogram::CosineHistogram;
pub use mag_face::{MagFace, MagFaceLossConfig};
pub use margin_softmax::MarginSoftmaxLoss;
pub use mismatch::wasserstein_distance;
pub use normalized_softmax::NormalizedSoftmaxLossConfig;
pub use pairs::InBatchPairs;
pub use roc::{BestThreshold, Roc, RocPoint};
pub use templates::Templates;
pub use unpg::UnpgLossConfig;

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        margin_softmax::quantities(),
        mag_face::quantities(),
        pairs::quantities(),
        box_whisker::quantities(),
        unpg::quantities(),
        roc::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
