//! Training and judging against perturbed inputs: the attack, and the losses that train against it.

mod adversarial_training;
mod pgd;
mod rho_margin;
mod smooth_adversarial_comp_sum;
mod trades;

pub use adversarial_training::{AdversarialTraining, AdversarialTrainingConfig};
pub use pgd::{Norm, Pgd, PgdConfig, shift_norm};
pub use rho_margin::{
    AdversarialRhoMargin, AdversarialRhoMarginConfig, CompSumRhoMarginLoss, CompSumRhoMarginLossConfig,
    rho_margin,
};
pub use smooth_adversarial_comp_sum::{
    AdvCompSum, AdvCompSumConfig, SmoothAdversarialCompSumLoss, SmoothAdversarialCompSumLossConfig,
    sup_linear_l2,
};
pub use trades::{Trades, TradesConfig, TradesLoss, TradesLossConfig};

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    [
        adversarial_training::objectives(),
        trades::objectives(),
        smooth_adversarial_comp_sum::objectives(),
        rho_margin::objectives(),
    ]
    .concat()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        pgd::quantities(),
        trades::quantities(),
        smooth_adversarial_comp_sum::quantities(),
        rho_margin::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
