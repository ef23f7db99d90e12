//! Learning from aggregate responses: targets are known as the means of bags of samples.

mod asymptotics;
mod bags;
mod levels;
mod linear;
mod loss;
mod private;

pub use asymptotics::{AsymptoticRisk, Setting, bag_instance_snr_threshold, optimal_interpolation};
pub use bags::{BagError, Bags};
pub use linear::AggregateLinear;
pub use loss::{AggregateLoss, AggregateLossConfig, PointLoss, within_bag_variance};
pub use private::{Estimator, LabelPrivacy};

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

const SOURCE: &str = "Javanmard, Chen, Mirrokni, Badanidiyuru, Fu, ICLR 2024 (arXiv 2401.11081)";

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    loss::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        bags::quantities(),
        loss::quantities(),
        linear::quantities(),
        asymptotics::quantities(),
        private::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
