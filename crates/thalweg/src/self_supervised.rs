//! Learning from views of a sample without labels. What keeps embeddings from collapsing is what their features have in common
//! (VICReg, Barlow Twins), a predictor and a network that follows slowly (BYOL, SimSiam), a queue of past negatives (MoCo), or
//! dispersion (MSBReg, or [`Dispersed`] around any other).

mod barlow_twins;
mod brownian;
mod byol;
mod dispersion;
#[cfg(test)]
mod fixtures;
mod key_queue;
mod moco;
mod msbreg;
mod multiview_centroid;
mod other_views;
mod pages;
mod predictor;
mod sim_siam;
mod singular_value;
mod target_network;
mod unit_views;
mod vicreg;

pub use crate::optimizer::{averaged, follow, target_of};
pub use barlow_twins::{BarlowTwinsLoss, BarlowTwinsLossConfig};
pub use brownian::{BrownianDiffusiveLoss, Kicks};
pub use byol::{Byol, ByolConfig, byol_loss};
pub use dispersion::{Dispersed, Dispersion, DispersionConfig};
pub use key_queue::KeyQueue;
pub use moco::{Moco, MocoConfig, queue_info_nce};
pub use msbreg::{Attraction, MsbReg, MsbRegConfig};
pub use multiview_centroid::{CentroidForm, MultiviewCentroidLoss, MultiviewCentroidLossConfig};
pub use predictor::{Predictor, PredictorConfig, PredictorNorm};
pub use sim_siam::{SimSiam, SimSiamConfig, sim_siam_loss};
pub use singular_value::{SingularForm, SingularValueLoss, SingularValueLossConfig};
pub use target_network::{TargetMomentum, byol_momentum};
pub use vicreg::{VicRegLoss, VicRegLossConfig};

use burn::tensor::Tensor;

use crate::objective::ObjectiveEntry;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        vicreg::quantities(),
        barlow_twins::quantities(),
        multiview_centroid::quantities(),
        singular_value::quantities(),
        brownian::quantities(),
        msbreg::quantities(),
        target_network::quantities(),
        byol::quantities(),
        sim_siam::quantities(),
        moco::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A loss of the inputs `x` and `y` `[N, D]`, at least two samples: `value`, `grad_x` and `grad_y`.
fn of_pair(case: &Case, loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>) -> Result<Outputs, QuantityError> {
    let samples = case.array("x").shape[0];
    if samples < 2 {
        return case.refuse_input("x", format!("has {samples} rows; at least 2 samples are needed"));
    }
    for name in ["x", "y"] {
        case.finite(name)?;
        if case.array(name).shape[1] == 0 {
            return case.refuse_input(name, "has no columns; at least one feature is needed");
        }
    }
    let (x, y) = (case.variable::<2>("x"), case.variable::<2>("y"));
    Ok(case.value_and_gradients(loss(x.clone(), y.clone()), &[("x", &x), ("y", &y)]))
}
