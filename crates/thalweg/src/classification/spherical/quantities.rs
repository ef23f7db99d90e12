//! The family's quantities: any member on rows, and by their statistics.

use burn::tensor::Tensor;

use super::SphericalMember;
use super::member::RowStatistics;
use crate::quantity::{Case, Quantity, QuantityError};

/// Adds the parameters that name a member.
pub(in crate::classification) fn with_member(quantity: Quantity) -> Quantity {
    quantity
        .param("member", "z_loss")
        .param("a", 1.0)
        .param("b", 0.0)
        .param("epsilon", 1e-2)
}

/// The member that a case names.
pub(in crate::classification) fn member_of(case: &Case) -> Result<SphericalMember, QuantityError> {
    type Make = fn(f64, f64, f64) -> SphericalMember;
    let members: [(&str, Make); 4] = [
        ("z_loss", |a, b, _| SphericalMember::ZLoss { a, b }),
        ("squared_error", |_, _, _| SphericalMember::SquaredError),
        ("taylor_softmax", |_, _, _| SphericalMember::TaylorSoftmax),
        ("spherical_softmax", |_, _, epsilon| {
            SphericalMember::SphericalSoftmax { epsilon }
        }),
    ];
    let make = case.choice("member", &members)?;
    let member = make(case.param("a")?, case.param("b")?, case.param("epsilon")?);
    Ok(member.checked()?)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        with_member(Quantity::new(
            "spherical_family_loss",
            "a member of the spherical family of a batch, per sample, and its gradient",
        ))
        .param("reduction", "mean")
        .input("logits", "[N, D]")
        .input("labels", "[N]")
        .eval(|case| case.logit_loss(&member_of(case)?.init(case.reduction()?)?)),
        with_member(Quantity::new(
            "spherical_family_loss_from_statistics",
            "a member of the spherical family by the sum and sum of squares of each row, and its gradients",
        ))
        .required_param("n_classes")
        .param("reduction", "sum")
        .input("sum_logits", "[N]")
        .input("sum_squares", "[N]")
        .input("target_logit", "[N]")
        .eval(|case| {
            case.not_empty("sum_logits")?;
            if let Some(at) = case.array("sum_squares").data.iter().position(|&q| q < 0.0) {
                return case.refuse_input("sum_squares", format!("is negative at index {at}"));
            }
            let (member, classes) = (member_of(case)?, case.count("n_classes", 2)?);
            let reduction = case.reduction()?;
            let names = ["sum_logits", "sum_squares", "target_logit"];
            let [sum, sum_squares, target] = names.map(|name| case.variable::<1>(name));
            let statistics = RowStatistics {
                sum,
                sum_squares,
                target,
            };
            let loss = member.of_statistics(&statistics, classes, reduction);
            let variables: [(&str, &Tensor<1>); 3] = [
                ("sum_logits", &statistics.sum),
                ("sum_squares", &statistics.sum_squares),
                ("target_logit", &statistics.target),
            ];
            Ok(case.value_and_gradients(loss, &variables))
        }),
    ]
}
