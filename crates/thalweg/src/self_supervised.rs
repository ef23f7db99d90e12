//! Learning from two views of a sample without labels and without negatives: losses that keep an embedding from collapsing
//! by what its features have in common.

mod barlow_twins;
mod pages;
mod vicreg;

pub use barlow_twins::{BarlowTwinsLoss, BarlowTwinsLossConfig};
pub use vicreg::{VicRegLoss, VicRegLossConfig};

use burn::tensor::Tensor;

use crate::objective::ObjectiveEntry;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [vicreg::quantities(), barlow_twins::quantities()]
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
