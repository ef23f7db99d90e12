//! Global contrastive losses with a temperature for each sample (iSogCLR) or one for all (SogCLR), without large batches.
//!
//! The robust loss of anchor i, `F_i = τ_i log mean_j exp(h_ij/τ_i) + τ_i ρ` with h negative minus positive similarity, is the
//! dual of a worst case over weights of the negatives whose divergence from uniform is at most ρ: at its best temperature that
//! divergence is ρ. Frequent semantics, with many similar negatives, get high temperatures, rare ones low.
//!
//! What a batch cannot know, the mean over all negatives, is tracked by a moving average for each sample, which is kept by
//! the sample's number and must go with every checkpoint.
//!
//! Source: Qiu, Hu, Yuan, Zhou, Zhang, Yang, "Not all semantics are created equal", ICML 2023 (arXiv 2305.11965).

mod bimodal;
mod robust;
mod state;
mod unimodal;

pub use bimodal::{BimodalRule, BimodalSide, BimodalStep, bimodal_step};
pub use robust::{RobustTerm, optimal_temperature, robust_term};
pub use state::{Schedule, SogClr, SogClrConfig, StateError, TemperatureRule};
pub use unimodal::{UnimodalSamples, UnimodalStep, unimodal_step};

use crate::quantity::Quantity;

pub(super) fn quantities() -> Vec<Quantity> {
    [
        robust::quantities(),
        unimodal::quantities(),
        bimodal::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
