//! Cross-entropy as a quantity, to labels or to class probabilities.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::CrossEntropyLossConfig;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

pub(in super::super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "cross_entropy_loss",
            "cross-entropy with smoothing, class weights, ignored labels and log-partition regulariser, and its gradient; \
             to labels or to class probabilities, one of which must be given",
        )
        .param("label_smoothing", 0.0)
        .param("ignore_index", "none")
        .param("logsumexp_z", 0.0)
        .param("reduction", "mean")
        .input("logits", "[N, C]")
        .optional_input("labels", "[N]")
        .with_example("labels", vec![2.0, 0.0])
        .optional_input("target_probs", "[N, C]")
        .optional_input("class_weights", "[C]")
        .with_example("class_weights", vec![1.0, 0.5, 2.0])
        .eval(evaluate),
    ]
}

fn evaluate(case: &Case) -> Result<Outputs, QuantityError> {
    case.not_empty("logits")?;
    case.two_columns("logits")?;
    let ignored = case.optional_integer("ignore_index")?;
    let weights = case
        .gives("class_weights")
        .then(|| case.array("class_weights").data.clone());
    let loss = CrossEntropyLossConfig::new()
        .with_label_smoothing(case.param("label_smoothing")?)
        .with_class_weights(weights)
        .with_ignore_index(ignored)
        .with_logsumexp_z_loss(case.param("logsumexp_z")?)
        .with_reduction(case.reduction()?)
        .init()?;
    let (logits, constant) = (case.variable::<2>("logits"), case.tensor::<2>("logits"));
    let (value, per_sample) = match (case.gives("labels"), case.gives("target_probs")) {
        (true, false) => {
            let targets = labels(case, ignored)?;
            (
                loss.forward(logits.clone(), targets.clone()),
                loss.per_sample(constant, targets),
            )
        }
        (false, true) => {
            case.finite("target_probs")?;
            if ignored.is_some_and(|class| class >= 0) {
                return case.refuse_param(
                    "ignore_index",
                    "left out or negative: `target_probs` have no labels",
                );
            }
            let targets = case.tensor::<2>("target_probs");
            (
                loss.forward_soft(logits.clone(), targets.clone()),
                loss.per_sample_soft(constant, targets),
            )
        }
        (true, true) => {
            return case.refuse_input("target_probs", "is given beside `labels`; give one of the two");
        }
        (false, false) => {
            return case.refuse_input(
                "labels",
                "is missing, and so is `target_probs`; give one of the two",
            );
        }
    };
    Ok(case
        .value_and_gradients(value, &[("logits", &logits)])
        .with_tensor("per_sample", per_sample))
}

/// Labels that are columns of the logits, or ignored.
fn labels(case: &Case, ignored: Option<i64>) -> Result<Tensor<1, Int>, QuantityError> {
    let (data, classes) = (&case.array("labels").data, case.array("logits").shape[1]);
    let valid = |label: f64| {
        label.fract() == 0.0
            && ((0.0..classes as f64).contains(&label)
                || ignored.is_some_and(|ignored| label == ignored as f64))
    };
    if let Some(at) = data.iter().position(|&label| !valid(label)) {
        let also = ignored.map_or(String::new(), |ignored| format!(", or {ignored} to be ignored"));
        let problem = format!(
            "holds {} at index {at}; labels are whole numbers from 0 to {}{also}",
            data[at],
            classes - 1
        );
        return case.refuse_input("labels", problem);
    }
    let labels: Vec<i64> = data.iter().map(|&label| label as i64).collect();
    let shape = [labels.len()];
    Ok(Tensor::from_data(TensorData::new(labels, shape), &Device::flex()))
}
