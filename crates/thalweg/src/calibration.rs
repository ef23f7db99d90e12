//! Post-hoc calibration: probabilities of a trained classifier made to mean what they say, and whether they do.
//!
//! [`Calibrator`] fits any [`Method`] to the logits and labels of held-out samples, and is saved and loaded as JSON.
//! [`Predictions`] holds the metrics. The losses of a temperature per sample, and the network that gives it, are those
//! of correctness-aware calibration.

mod affine_scaling;
mod calibrator;
mod correctness_aware;
mod ensemble_temperature;
mod error;
mod histogram_binning;
mod image;
mod isotonic;
pub mod lbfgs;
mod logits;
mod method;
mod metrics;
mod saved;
mod temperature_network;
mod temperature_scaled;
mod temperature_scaling;
mod training;
mod view_features;

pub use affine_scaling::{AffineScaling, AffineScalingConfig, Slope};
pub use calibrator::{Calibrator, CalibratorConfig};
pub use correctness_aware::{CorrectnessAwareLoss, CorrectnessAwareLossConfig, Weighting};
pub use ensemble_temperature::EnsembleTemperatureScaling;
pub use error::CalibrationError;
pub use histogram_binning::HistogramBinning;
pub use image::{color_jitter, image_to_grayscale, rotate};
pub use isotonic::{IsotonicCalibration, IsotonicRegression};
pub use logits::{Logits, SUM_TOLERANCE};
pub use method::Method;
pub use metrics::{Predictions, ReliabilityBin, area_under_roc};
pub use saved::{FORMAT, SavedError, VERSION};
pub use temperature_network::TemperatureNetwork;
pub use temperature_scaled::{
    TemperatureScaledBrierLossConfig, TemperatureScaledCrossEntropyConfig, TemperatureScaledLoss,
};
pub use temperature_scaling::TemperatureScaling;
pub use training::{NetworkTrainingConfig, TemperatureObjective, Trained};
pub use view_features::view_features;

use burn::tensor::{Int, Tensor};

use crate::quantity::{Case, Outputs, Quantity, QuantityError};

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        correctness_aware::quantities(),
        temperature_scaled::quantities(),
        view_features::quantities(),
        temperature_network::quantities(),
        training::quantities(),
        metrics::quantities(),
        temperature_scaling::quantities(),
        image::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A loss of `logits`, `temperatures` and `labels`: `value`, `grad_logits` and `grad_temperatures`.
fn scaled_loss(
    case: &Case,
    loss: impl Fn(Tensor<2>, Tensor<1>, Tensor<1, Int>) -> Tensor<1>,
) -> Result<Outputs, QuantityError> {
    case.not_empty("logits")?;
    let labels = case.class_labels("labels", "logits")?;
    let valid = |temperature: &f64| *temperature > 0.0 && temperature.is_finite();
    let temperatures = &case.array("temperatures").data;
    if let Some(at) = temperatures.iter().position(|temperature| !valid(temperature)) {
        let problem = format!(
            "holds {} at index {at}; temperatures are above 0 and finite",
            temperatures[at]
        );
        return case.refuse_input("temperatures", problem);
    }
    case.finite("logits")?;
    let (logits, temperatures) = (case.variable::<2>("logits"), case.variable::<1>("temperatures"));
    let value = loss(logits.clone(), temperatures.clone(), labels);
    let gradients = value.clone().sum().backward();
    let outputs = match value.dims() {
        [1] if case.reduction()? != crate::Reduction::None => Outputs::new().with_scalar("value", value),
        _ => Outputs::new().with_tensor("value", value),
    };
    let logits_gradient = logits
        .grad(&gradients)
        .unwrap_or_else(|| logits.zeros_like().inner());
    let gradient = temperatures.grad(&gradients);
    let gradient = gradient.unwrap_or_else(|| temperatures.zeros_like().inner());
    Ok(outputs
        .with_tensor("grad_logits", logits_gradient)
        .with_tensor("grad_temperatures", gradient))
}
