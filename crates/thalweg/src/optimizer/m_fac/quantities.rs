//! M-FAC's quantity.

use super::MFacStep;
use crate::optimizer::lion_k::{Quadratic, Smooth};
use crate::optimizer::{decay, factor};
use crate::quantity::{Array, Outputs, Quantity};

pub(in crate::optimizer) fn quantities() -> Vec<Quantity> {
    vec![trajectory()]
}

fn trajectory() -> Quantity {
    Quantity::new(
        "mfac_optimizer_trajectory_quadratic",
        "M-FAC on a quadratic: parameters after each step",
    )
    .param("lr", 1e-3)
    .param("momentum", 0.0)
    .param("weight_decay", 0.0)
    .param("damp", 1e-5)
    .param("window", 1024.0)
    .param("steps", 10.0)
    .with_example("window", 2.0)
    .input("q_matrix", "[D, D]")
    .input("centre", "[D]")
    .input("w0", "[D]")
    .eval(|case| {
        for name in ["q_matrix", "centre", "w0"] {
            case.not_empty(name)?;
            case.finite(name)?;
        }
        let numbers = |name| case.array(name).data.clone();
        let (f, mut w) = (
            Quadratic::new(numbers("q_matrix"), numbers("centre")),
            numbers("w0"),
        );
        let momentum = factor("MFac", "momentum", case.param("momentum")?)?;
        let weight_decay = decay("MFac", case.param("weight_decay")?)?;
        let (rate, steps, width) = (case.param("lr")?, case.count("steps", 0)?, w.len());
        let refuse = |error| case.curvature_error("w0", &error);
        let mut rule = MFacStep::<f64>::new(
            case.count("window", 1)?,
            width,
            case.param("damp")?,
            momentum,
            weight_decay,
        )
        .map_err(refuse)?;
        let mut data = Vec::with_capacity(steps * width);
        for _ in 0..steps {
            let mut gradient = vec![0.0; width];
            f.evaluate(&w, &mut gradient);
            rule.step(rate, &mut w, gradient).map_err(refuse)?;
            data.extend_from_slice(&w);
        }
        Ok(Outputs::new().with(
            "w",
            Array {
                shape: vec![steps, width],
                data,
            },
        ))
    })
}
