//! Flat minima: objectives that look for them by comparing a model's outputs with earlier ones of the same samples
//! ([`Saf`]) or of its averaged weights ([`Mesa`]), and measures of how sharp a minimum is. The optimisers that they stand
//! beside are [`Sam`](crate::optimizer::Sam)'s.

mod history;
mod landscape;
mod mesa;
mod pages;
mod quadratic;
mod quantities;
mod regression;
mod saf;
mod sharpness;
mod trajectory;
mod window;

pub use history::{HistoryError, OutputHistory, PastOutputs, Recalled, slots};
pub use landscape::{Landscape, ModuleLandscape, Rescaled};
pub use mesa::{Mesa, MesaConfig};
pub use quadratic::largest_in_ball;
pub use regression::SoftmaxRegression;
pub use saf::{Saf, SafConfig};
pub use sharpness::{
    Convergence, Estimate, first_order_sharpness, hessian_trace, hutchinson_trace, sam_sharpness,
    top_eigenvalue, worst_case_sharpness,
};
pub use trajectory::{TrajectoryLoss, TrajectoryLossConfig};
pub use window::{Moment, Window};

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    quantities::quantities()
}
