//! AMCL: several projection heads, and for every pair of every head a temperature of its own.
//!
//! C heads on one encoder give each sample C embeddings. A small network, common to all heads, gives each pair of embeddings a
//! temperature within limits ([`AdaptiveTemperature`]); with unit vectors and a Gaussian of variance τ about each, the
//! likelihood of a pair adds `Ω(τ) = (d/2) log τ + 1/τ` ([`regularizer`]), with weight β, plus for positives and minus for
//! negatives. Losses are means over anchors, summed over heads:
//!
//! - [`AmclLoss`]: SimCLR's and MoCo's, and with the positive among the candidates InfoNCE;
//! - [`AmclSimSiamLoss`], [`AmclBarlowTwinsLoss`];
//! - [`Amcl`], [`AmclSimSiam`], [`AmclBarlowTwins`]: the same as objectives of views that own their temperature network.
//!
//! **The part of a negative has no lower bound**: `s/τ − β Ω(τ)` falls like `(s − β)/τ` where its similarity is below β. Only the
//! lower limit of temperatures stops it: at the defaults of the authors' code, 1e-5 and β = 0.1, at −1e4. Objectives
//! [warn](crate::objective::ViewObjective::warning) when temperatures gather there.
//!
//! Source: Wang, Koniusz, Gedeon, Zheng, "Adaptive multi-head contrastive learning", ECCV 2024 (arXiv 2310.05615). The
//! authors' published training step is another loss; this is the paper's table.

mod barlow_twins;
mod embeddings;
mod learned;
mod limits;
mod loss;
mod network;
mod objectives;
mod pair_pass;
mod regularizer;
mod sim_siam;
mod simclr;
mod streamed;
mod term;
#[cfg(test)]
mod tests;
mod weights;

pub use barlow_twins::{AmclBarlowTwinsLoss, cross_correlation};
pub use embeddings::Tempered;
pub use limits::Limits;
pub use loss::{Aggregate, AmclLoss, AmclLossConfig, Anchors, Candidates, TemperedPairs};
pub use network::{AdaptiveTemperature, AdaptiveTemperatureConfig, PairForm};
pub use objectives::{
    Amcl, AmclBarlowTwins, AmclBarlowTwinsConfig, AmclConfig, AmclSimSiam, AmclSimSiamConfig,
};
pub use regularizer::{optimal_positive_temperature, regularizer, regularizer_slope};
pub use sim_siam::AmclSimSiamLoss;

use crate::quantity::Quantity;

/// What refused parameters are said to be of.
const OBJECTIVE: &str = "amcl";

pub(super) fn quantities() -> Vec<Quantity> {
    [
        limits::quantities(),
        network::quantities(),
        regularizer::quantities(),
        loss::quantities(),
        simclr::quantities(),
        sim_siam::quantities(),
        barlow_twins::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
