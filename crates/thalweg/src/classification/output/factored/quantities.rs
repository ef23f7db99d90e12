//! The layer's quantities: one step, a training, and the control of U.

use thalweg_kernels::matrix::Matrix;

use super::InverseUpkeep;
use super::linear::{Buffers, product};
use super::stability::{Stability, stabilised};
use super::state::State;
use super::step::{Batch, Descent, Outcome};
use crate::Reduction;
use crate::classification::spherical::{member_of, with_member};
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// A layer of the given weights, and how a case has it descend.
struct Training {
    state: State,
    descent: Descent,
    reduction: Reduction,
}

impl Training {
    fn of(case: &Case, samples: usize) -> Result<Self, QuantityError> {
        let weight = case.array("weight");
        let (classes, width) = (weight.shape[0], weight.shape[1]);
        if classes < 2 || width < 1 {
            return case.refuse_input("weight", "is too small: at least 2 classes of width 1 are needed");
        }
        let learning_rate = case.param("learning_rate")?;
        if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
            return case.refuse_param("learning_rate", "at least 0 and finite");
        }
        let (reduction, upkeep) = (case.reduction()?, InverseUpkeep::Woodbury);
        Ok(Self {
            state: State::new(weight.data.clone(), classes, width, upkeep),
            descent: Descent {
                member: member_of(case)?,
                scale: reduction.scale(samples),
                learning_rate,
                keep: 1.0,
                upkeep,
            },
            reduction,
        })
    }

    fn step(&mut self, case: &Case, hidden: &[f64], labels: &[usize]) -> Result<Outcome, QuantityError> {
        let targets: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let batch = Batch {
            hidden,
            targets: &targets,
            samples: labels.len(),
        };
        let outcome = self.state.step(&batch, &self.descent, &Buffers::default());
        outcome.or_else(|error| case.refuse_param("learning_rate", &format!("lower: {error}")))
    }

    fn loss(&self, outcome: &Outcome) -> f64 {
        outcome.losses.iter().sum::<f64>() * self.reduction.scale(outcome.losses.len())
    }
}

fn matrix(data: &[f64], shape: [usize; 2]) -> Array {
    Array {
        shape: shape.to_vec(),
        data: data.to_vec(),
    }
}

fn step(case: &Case) -> Result<Outputs, QuantityError> {
    case.not_empty("hidden")?;
    let labels = case.class_indices("labels", case.array("weight").shape[0])?;
    let mut training = Training::of(case, labels.len())?;
    let outcome = training.step(case, &case.array("hidden").data, &labels)?;
    let outputs = Outputs::new();
    let outputs = match training.reduction {
        Reduction::None => outputs.with("value", outcome.losses.clone()),
        Reduction::Mean | Reduction::Sum => outputs.with("value", training.loss(&outcome)),
    };
    let state = training.state;
    let (classes, d) = (state.classes, state.width);
    let inverse = state.u_inverse.as_deref().unwrap_or_default();
    Ok(outputs
        .with("new_weight", matrix(&state.weights(), [classes, d]))
        .with("grad_hidden", matrix(&outcome.gradient, [labels.len(), d]))
        .with("sum_logits", outcome.sum)
        .with("sum_squares", outcome.sum_squares)
        .with("target_logit", outcome.target)
        .with("gram", matrix(&state.gram, [d, d]))
        .with("row_sum", state.row_sum.clone())
        .with("u", matrix(&state.u, [d, d]))
        .with("u_inverse", matrix(inverse, [d, d]))
        .with("omega", state.omega.clone())
        .with("v", matrix(&state.v, [classes, d])))
}

fn training(case: &Case) -> Result<Outputs, QuantityError> {
    let hidden = case.array("hidden");
    let [given, samples, d] = [0, 1, 2].map(|axis| hidden.shape[axis]);
    if samples == 0 {
        return case.refuse_input(
            "hidden",
            "holds batches without samples; each must hold at least one",
        );
    }
    let steps = match case.choice("steps", &[("all", given)]) {
        Ok(all) => all,
        Err(_) => case.count("steps", 0)?,
    };
    if steps > given {
        return case.refuse_param(
            "steps",
            &format!("\"all\" or at most the {given} batches of `hidden`"),
        );
    }
    let labels = case.class_indices("labels", case.array("weight").shape[0])?;
    let mut training = Training::of(case, samples)?;
    let mut losses = Vec::with_capacity(steps);
    let batches = hidden
        .data
        .chunks_exact(samples * d)
        .zip(labels.chunks_exact(samples));
    for (hidden, labels) in batches.take(steps) {
        let outcome = training.step(case, hidden, labels)?;
        losses.push(training.loss(&outcome));
    }
    let state = training.state;
    Ok(Outputs::new()
        .with("losses", losses)
        .with("new_weight", matrix(&state.weights(), [state.classes, d]))
        .with("gram", matrix(&state.gram, [d, d]))
        .with("row_sum", state.row_sum.clone()))
}

fn stabilisation(case: &Case) -> Result<Outputs, QuantityError> {
    let (u, v) = (case.array("u"), case.array("v"));
    let stability = Stability {
        period: 1,
        target: case.param("target")?,
        low: case.param("low")?,
        high: case.param("high")?,
    };
    stability.check()?;
    let d = u.shape[0];
    let Some((new_u, new_v, values)) = (d > 0)
        .then(|| stabilised(&u.data, &v.data, d, &stability))
        .flatten()
    else {
        return case.refuse_input("u", "has no singular values");
    };
    let classes = v.shape[0];
    let weight = product(
        Matrix::new(&new_v, classes, d),
        Matrix::new(&new_u, d, d),
        classes,
        d,
    );
    Ok(Outputs::new()
        .with("u", matrix(&new_u, [d, d]))
        .with("v", matrix(&new_v, [classes, d]))
        .with("singular_values", values)
        .with("weight", matrix(&weight, [classes, d])))
}

pub(in crate::classification::output) fn quantities() -> Vec<Quantity> {
    vec![
        with_member(Quantity::new(
            "factored_spherical_step",
            "one exact step of the factored output layer from V = W, U = I, ω = 0, and the state after it",
        ))
        .required_param("learning_rate")
        .param("reduction", "sum")
        .input("weight", "[D, d]")
        .input("hidden", "[m, d]")
        .input("labels", "[m]")
        .eval(step),
        with_member(Quantity::new(
            "factored_spherical_training",
            "steps of the factored output layer on one batch after the other: the loss before each, and the end",
        ))
        .required_param("learning_rate")
        .param("steps", "all")
        .param("reduction", "sum")
        .input("weight", "[D, d]")
        .input("hidden", "[T, m, d]")
        .input("labels", "[T, m]")
        .eval(training),
        Quantity::new(
            "factored_singular_stabilize",
            "singular values of U put back in bounds, with V U as it was",
        )
        .param("target", 1.0)
        .param("low", 0.5)
        .param("high", 2.0)
        .input("u", "[d, d]")
        .input("v", "[D, d]")
        .eval(stabilisation),
    ]
}
