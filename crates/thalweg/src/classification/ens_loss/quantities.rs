//! The quantities of EnsLoss, each step of the method by itself.

use burn::tensor::{Tensor, TensorData};

use super::{CalibrationCheck, DerivativeShape, box_cox_inverse};
use crate::Reduction;
use crate::bridge::{constant, with_gradients};
use crate::classification::margin_loss::signs;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

pub(in crate::classification) fn quantities() -> Vec<Quantity> {
    let shaped = |quantity: Quantity| {
        quantity
            .param("floor", 1e-6)
            .param("cap", 1.0)
            .param("tail_start", 1.0)
    };
    vec![
        Quantity::new(
            "box_cox_inverse",
            "inverse Box-Cox transform of numbers, infinite or 0 beyond its domain",
        )
        .param("lambda", 0.0)
        .input("z", "[M]")
        .eval(|case| {
            let lambda = case.param("lambda")?;
            let z = case.array("z").data.iter();
            Ok(Outputs::new().with(
                "value",
                z.map(|&z| box_cox_inverse(z, lambda)).collect::<Vec<_>>(),
            ))
        }),
        shaped(
            Quantity::new(
                "ensloss_derivatives",
                "EnsLoss's random derivatives at the margins of a batch, from given normal numbers",
            )
            .param("lambda", 0.0),
        )
        .input("margins", "[B]")
        .input("normals", "[B]")
        .eval(|case| {
            let lambda = case.param("lambda")?;
            let normals = case.array("normals").data.iter();
            let magnitudes = normals.map(|&z| box_cox_inverse(z, lambda)).collect();
            let derivatives = shape(case)?.derivatives(&case.array("margins").data, magnitudes);
            Ok(Outputs::new().with("value", derivatives))
        }),
        Quantity::new(
            "calibrated_derivative_check",
            "whether derivatives at margins may be those of a convex, calibrated loss that is bounded below",
        )
        .param("tail_start", 1.0)
        .input("margins", "[B]")
        .input("derivatives", "[B]")
        .eval(|case| {
            let (margins, derivatives) = (case.array("margins"), case.array("derivatives"));
            let check = CalibrationCheck::of(&margins.data, &derivatives.data, case.param("tail_start")?);
            Ok(Outputs::new()
                .with("monotone_violations", check.monotone_violations as f64)
                .with("all_negative", f64::from(u8::from(check.all_negative)))
                .with("max_tail_product", check.max_tail_product))
        }),
        Quantity::new(
            "ensloss_surrogate",
            "what EnsLoss hands to backward: the sum of derivative times margin, the derivative constant",
        )
        .param("reduction", "mean")
        .input("scores", "[B]")
        .input("labels", "[B]")
        .input("derivatives", "[B]")
        .with_example("labels", vec![1.0, -1.0, 1.0])
        .eval(|case| {
            case.not_empty("scores")?;
            let labels = signs(case, "labels")?;
            let scores = case.variable::<1>("scores");
            let value = surrogate(
                &scores,
                &labels,
                &case.array("derivatives").data,
                case.reduction()?,
            );
            Ok(case.value_and_gradients(value, &[("scores", &scores)]))
        }),
        shaped(
            Quantity::new(
                "ensloss_linear_sgd",
                "a linear score after full-batch steps of EnsLoss from given normal numbers",
            )
            .required_param("learning_rate")
            .required_param("steps"),
        )
        .input("x", "[n, d]")
        .input("labels", "[n]")
        .input("weight", "[d]")
        .input("bias", "number")
        .input("normals", "[T, n]")
        .input("lambdas", "[T]")
        .with_example("steps", 3.0)
        .with_example("labels", vec![1.0, -1.0, 1.0])
        .eval(linear_sgd),
    ]
}

fn shape(case: &Case) -> Result<DerivativeShape, QuantityError> {
    let shape = DerivativeShape {
        cap: case.param("cap")?,
        floor: case.param("floor")?,
        tail_start: case.param("tail_start")?,
    };
    Ok(shape.checked()?)
}

/// `g_i y_i f_i`, reduced, with g constant.
fn surrogate(scores: &Tensor<1>, labels: &[f64], derivatives: &[f64], reduction: Reduction) -> Tensor<1> {
    let batch = labels.len();
    let like = |values: Vec<f64>| constant(values, [batch], &scores.device(), scores.dtype());
    let slopes: Vec<f64> = labels.iter().zip(derivatives).map(|(y, g)| y * g).collect();
    let scale = reduction.scale(batch);
    let gradient = like(slopes.iter().map(|slope| slope * scale).collect());
    let value = reduction.of(scores.clone().without_autodiff() * like(slopes));
    with_gradients(value, [(scores.clone(), gradient)])
}

fn linear_sgd(case: &Case) -> Result<Outputs, QuantityError> {
    case.not_empty("x")?;
    let (rate, steps, shape) = (
        case.param("learning_rate")?,
        case.count("steps", 0)?,
        shape(case)?,
    );
    let lambdas = &case.array("lambdas").data;
    if steps != lambdas.len() {
        let accepted = format!("the number of draws, {}", lambdas.len());
        return case.refuse_param("steps", &accepted);
    }
    let labels = signs(case, "labels")?;
    let x = case.tensor::<2>("x");
    let [n, d] = x.dims();
    let mut weight = case.tensor::<1>("weight");
    let bias = TensorData::new(vec![case.number("bias")], [1]);
    let mut bias = Tensor::<1>::from_data(bias, (&x.device(), x.dtype()));
    for (step, &lambda) in lambdas.iter().enumerate() {
        let w = weight.clone().autodiff().require_grad();
        let b = bias.clone().autodiff().require_grad();
        let scores = x
            .clone()
            .autodiff()
            .matmul(w.clone().reshape([d, 1]))
            .reshape([n])
            + b.clone();
        let values = scores.clone().without_autodiff().into_data();
        let values = values.try_into_vec_as::<f64>().expect("scores are floats");
        let margins: Vec<f64> = values.iter().zip(&labels).map(|(f, y)| f * y).collect();
        let normals = &case.array("normals").data[step * n..(step + 1) * n];
        let magnitudes = normals.iter().map(|&z| box_cox_inverse(z, lambda)).collect();
        let derivatives = shape.derivatives(&margins, magnitudes);
        let gradients = surrogate(&scores, &labels, &derivatives, Reduction::Mean).backward();
        let of = |variable: &Tensor<1>| variable.grad(&gradients).expect("scores depend on it");
        weight = weight - of(&w) * rate;
        bias = bias - of(&b) * rate;
    }
    Ok(Outputs::new()
        .with_tensor("weight", weight)
        .with_scalar("bias", bias))
}
