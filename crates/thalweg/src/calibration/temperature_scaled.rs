//! The losses that correctness-aware calibration is held against: cross-entropy and the multi-class Brier loss of
//! `softmax(z/T)` with a temperature per sample.
//!
//! `∂CE/∂T = (z_y − Σ p_k z_k)/T²`: where a prediction is narrowly wrong, z_y lies above the mean, and descending
//! cross-entropy *lowers* T and sharpens the wrong class.

use burn::config::Config;
use burn::tensor::{Int, Tensor};

use crate::Reduction;
use crate::classification::{BrierLossConfig, CompSumLossConfig, LogitLoss};
use crate::quantity::Quantity;

/// Configuration of `−log softmax(z/T)_y`.
#[derive(Config, Debug)]
pub struct TemperatureScaledCrossEntropyConfig {
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl TemperatureScaledCrossEntropyConfig {
    /// The loss.
    pub fn init(&self) -> TemperatureScaledLoss {
        let cross_entropy = CompSumLossConfig::new().with_reduction(self.reduction);
        TemperatureScaledLoss(cross_entropy.init().expect("cross-entropy has no bad value"))
    }
}

/// Configuration of `‖softmax(z/T) − onehot(y)‖²`.
#[derive(Config, Debug)]
pub struct TemperatureScaledBrierLossConfig {
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl TemperatureScaledBrierLossConfig {
    /// The loss.
    pub fn init(&self) -> TemperatureScaledLoss {
        let brier = BrierLossConfig::new().with_reduction(self.reduction);
        TemperatureScaledLoss(brier.init().expect("the Brier loss has no bad value"))
    }
}

/// A loss of logits divided by the temperature of their sample.
#[derive(Clone, Debug)]
pub struct TemperatureScaledLoss(LogitLoss);

impl TemperatureScaledLoss {
    /// # Shapes
    /// - logits `[batch, classes]`, temperatures `[batch]` above 0, targets `[batch]` with values in `0..classes`; returns
    ///   `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the batch sizes differ, or a target is out of range.
    pub fn forward(&self, logits: Tensor<2>, temperatures: Tensor<1>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.0.forward(scaled(logits, temperatures), targets)
    }
}

/// `z/T`.
pub(super) fn scaled(logits: Tensor<2>, temperatures: Tensor<1>) -> Tensor<2> {
    let [batch, _] = logits.dims();
    logits / temperatures.reshape([batch, 1])
}

pub(super) fn quantities() -> Vec<Quantity> {
    let declared = |name, meaning| {
        Quantity::new(name, meaning)
            .param("reduction", "mean")
            .input("logits", "[N, C]")
            .input("temperatures", "[N]")
            .input("labels", "[N]")
    };
    vec![
        declared(
            "temperature_scaled_cross_entropy",
            "cross-entropy at given temperatures, and its gradients",
        )
        .eval(|case| {
            let config = TemperatureScaledCrossEntropyConfig::new().with_reduction(case.reduction()?);
            let loss = config.init();
            super::scaled_loss(case, |logits, temperatures, labels| {
                loss.forward(logits, temperatures, labels)
            })
        }),
        declared(
            "temperature_scaled_brier_loss",
            "squared error of the probabilities at given temperatures, and its gradients",
        )
        .eval(|case| {
            let config = TemperatureScaledBrierLossConfig::new().with_reduction(case.reduction()?);
            let loss = config.init();
            super::scaled_loss(case, |logits, temperatures, labels| {
                loss.forward(logits, temperatures, labels)
            })
        }),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    /// f64 tensors of a batch.
    pub fn tensors(
        logits: &[f64],
        temperatures: &[f64],
        labels: &[usize],
    ) -> (Tensor<2>, Tensor<1>, Tensor<1, Int>) {
        let (device, samples) = (Device::flex(), labels.len());
        let classes = logits.len() / samples;
        let logits = TensorData::new(logits.to_vec(), [samples, classes]);
        let temperatures = TensorData::new(temperatures.to_vec(), [samples]);
        let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        (
            Tensor::from_data(logits, (&device, DType::F64)),
            Tensor::from_data(temperatures, (&device, DType::F64)),
            Tensor::from_data(TensorData::new(labels, [samples]), &device),
        )
    }

    /// Gradient of the sum of a loss with respect to the temperatures.
    pub fn temperature_gradient(
        logits: &[f64],
        temperatures: &[f64],
        labels: &[usize],
        loss: impl Fn(Tensor<2>, Tensor<1>, Tensor<1, Int>) -> Tensor<1>,
    ) -> Vec<f64> {
        let (logits, temperatures, labels) = tensors(logits, temperatures, labels);
        let temperatures = temperatures.autodiff().require_grad();
        let value = loss(logits.autodiff(), temperatures.clone(), labels.autodiff());
        let gradient = temperatures.grad(&value.sum().backward()).unwrap();
        gradient.into_data().try_into_vec_as::<f64>().unwrap()
    }

    #[test]
    fn gradients_are_the_closed_form() {
        let logits = [0.3, -1.0, 2.0, 0.5, 0.4, -0.2];
        let (temperatures, labels) = ([1.7, 0.6], [0, 1]);
        let loss = TemperatureScaledCrossEntropyConfig::new().init();
        let gradient = temperature_gradient(&logits, &temperatures, &labels, |z, t, y| loss.forward(z, t, y));
        for sample in 0..2 {
            let (row, t) = (&logits[3 * sample..][..3], temperatures[sample]);
            let mut p = [0.0; 3];
            super::super::logits::softmax(row, 1.0 / t, &mut p);
            let mean: f64 = p.iter().zip(row).map(|(p, z)| p * z).sum();
            // Half of it each: the loss is the mean of two.
            let expected = 0.5 * (row[labels[sample]] - mean) / (t * t);
            assert!((gradient[sample] - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn gradients_are_numeric() {
        let (logits, labels) = ([0.3, -1.0, 2.0, 0.5, 0.4, -0.2], [0, 1]);
        let losses = [
            TemperatureScaledCrossEntropyConfig::new().init(),
            TemperatureScaledBrierLossConfig::new().init(),
        ];
        for loss in losses {
            let at = |t: f64| {
                let (z, t, y) = tensors(&logits, &[t, 0.6], &labels);
                loss.forward(z, t, y).into_scalar::<f64>()
            };
            let slope = (at(1.7 + 1e-5) - at(1.7 - 1e-5)) / 2e-5;
            let found = temperature_gradient(&logits, &[1.7, 0.6], &labels, |z, t, y| loss.forward(z, t, y));
            assert!((found[0] - slope).abs() < 1e-9, "{} against {slope}", found[0]);
        }
    }
}
