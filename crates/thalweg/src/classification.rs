//! Losses of class scores and labels.

mod active_passive;
mod aldr;
mod binary_margins;
mod brier;
mod comp_sum;
pub mod comp_sum_theory;
mod cross_entropy;
pub mod ens_loss;
mod focal;
mod jensen_shannon;
mod label_noise;
mod label_smoothing;
mod ldr;
mod ldr_euclidean;
mod ldr_k;
mod linear_loss;
mod logit_loss;
mod logit_normalization;
mod logsumexp_z_loss;
mod margin_loss;
mod margins;
mod multiclass_hinge;
mod noise_robust;
mod of_probabilities;
mod of_target;
pub mod output;
mod robust_log;
pub(crate) mod rowwise;
pub mod spherical;
mod symmetric_cross_entropy;
mod top_k;
mod truncated_generalized_cross_entropy;

pub use active_passive::{ActivePassiveLossConfig, Passive};
pub use aldr::{AldrKl, AldrKlConfig, AldrKlState};
pub use brier::BrierLossConfig;
pub use comp_sum::CompSumLossConfig;
pub(crate) use comp_sum::phi as comp_sum_phi;
pub use cross_entropy::{CrossEntropyLoss, CrossEntropyLossConfig};
pub use ens_loss::{EnsLoss, EnsLossConfig, Magnitudes};
pub use focal::FocalLossConfig;
pub use jensen_shannon::JensenShannonLossConfig;
pub use label_noise::{Replacement, inject_label_noise};
pub use label_smoothing::LabelSmoothingLossConfig;
pub use ldr::LdrKlLossConfig;
pub use ldr_euclidean::LdrEuclideanLossConfig;
pub use ldr_k::LdrKLossConfig;
pub use linear_loss::{LinearLoss, LinearLossConfig};
pub use logit_loss::LogitLoss;
pub use logit_normalization::LogitNormalization;
pub use logsumexp_z_loss::{LogsumexpZLoss, LogsumexpZLossConfig};
pub use margin_loss::{MarginLoss, MarginLossConfig};
pub use multiclass_hinge::{MulticlassHingeLossConfig, Violations};
pub use robust_log::RobustLogLossConfig;
pub use symmetric_cross_entropy::SymmetricCrossEntropyLossConfig;
pub use top_k::Ranks;
pub use truncated_generalized_cross_entropy::{TruncateLate, TruncatedGeneralizedCrossEntropyLossConfig};

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    [
        comp_sum::objectives(),
        label_smoothing::objectives(),
        focal::objectives(),
        ldr::objectives(),
        ldr_k::objectives(),
        ldr_euclidean::objectives(),
        aldr::objectives(),
        symmetric_cross_entropy::objectives(),
        truncated_generalized_cross_entropy::objectives(),
        jensen_shannon::objectives(),
        active_passive::objectives(),
        robust_log::objectives(),
        brier::objectives(),
        multiclass_hinge::objectives(),
        margin_loss::objectives(),
        ens_loss::objectives(),
        spherical::objectives(),
    ]
    .concat()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        comp_sum::quantities(),
        comp_sum_theory::quantities(),
        cross_entropy::quantities(),
        logsumexp_z_loss::quantities(),
        label_smoothing::quantities(),
        focal::quantities(),
        ldr::quantities(),
        ldr_k::quantities(),
        ldr_euclidean::quantities(),
        aldr::quantities(),
        logit_normalization::quantities(),
        noise_robust::quantities(),
        label_noise::quantities(),
        margin_loss::quantities(),
        ens_loss::quantities(),
        spherical::quantities(),
        output::quantities(),
        top_k::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
