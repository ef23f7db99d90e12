//! The metrics as quantities of confidences and flags.

use super::Predictions;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

fn predictions(case: &Case) -> Result<Predictions, QuantityError> {
    case.not_empty("confidences")?;
    let correct = &case.array("correct").data;
    if let Some(at) = correct.iter().position(|&flag| flag != 0.0 && flag != 1.0) {
        return case.refuse_input(
            "correct",
            format!("holds {} at index {at}; flags are 0 or 1", correct[at]),
        );
    }
    let flags = correct.iter().map(|&flag| flag == 1.0).collect();
    let confidences = case.array("confidences").data.clone();
    Predictions::new(confidences, flags)
        .or_else(|error| case.refuse_input("confidences", format!("is refused: {error}")))
}

/// A case may not ask for work without end.
fn n_bins(case: &Case) -> Result<usize, QuantityError> {
    match case.count("n_bins", 1)? {
        bins if bins <= 1_000_000 => Ok(bins),
        _ => case.refuse_param("n_bins", "a whole number from 1 to 1000000"),
    }
}

pub(in crate::calibration) fn quantities() -> Vec<Quantity> {
    let on_predictions = |name, meaning| {
        Quantity::new(name, meaning)
            .input("confidences", "[N]")
            .input("correct", "[N]")
    };
    vec![
        on_predictions(
            "expected_calibration_error",
            "mean and largest gap between confidence and accuracy over bins (lo, hi] of equal width",
        )
        .param("n_bins", 25.0)
        .eval(|case| {
            let (predictions, bins) = (predictions(case)?, n_bins(case)?);
            Ok(Outputs::new()
                .with("value", predictions.expected_calibration_error(bins))
                .with("max_calibration_error", predictions.max_calibration_error(bins)))
        }),
        on_predictions(
            "adaptive_calibration_error",
            "mean gap between confidence and accuracy over bins of equally many samples",
        )
        .param("n_bins", 25.0)
        .eval(|case| {
            let (predictions, bins) = (predictions(case)?, n_bins(case)?);
            Ok(Outputs::new().with("value", predictions.adaptive_calibration_error(bins)))
        }),
        on_predictions(
            "ks_calibration_error",
            "largest gap between cumulated confidence and correctness, by rising confidence",
        )
        .eval(|case| Ok(Outputs::new().with("value", predictions(case)?.ks_calibration_error()))),
        on_predictions(
            "top_label_brier_score",
            "mean squared difference of confidence and correctness",
        )
        .eval(|case| Ok(Outputs::new().with("value", predictions(case)?.top_label_brier_score()))),
        on_predictions(
            "correctness_auroc",
            "chance that a correct prediction is more confident than a wrong one",
        )
        .eval(|case| match predictions(case)?.correctness_auroc() {
            Ok(area) => Ok(Outputs::new().with("value", area)),
            Err(error) => case.refuse_input("correct", format!("does not do: {error}")),
        }),
    ]
}
