//! Losses of class scores and labels.

mod comp_sum;
pub mod comp_sum_theory;
mod focal;
mod label_smoothing;
mod rowwise;

pub(crate) use comp_sum::phi as comp_sum_phi;
pub use comp_sum::{CompSumLoss, CompSumLossConfig};
pub use focal::{FocalLoss, FocalLossConfig};
pub use label_smoothing::{LabelSmoothingLoss, LabelSmoothingLossConfig};

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    [
        comp_sum::objectives(),
        label_smoothing::objectives(),
        focal::objectives(),
    ]
    .concat()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        comp_sum::quantities(),
        comp_sum_theory::quantities(),
        label_smoothing::quantities(),
        focal::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
