//! Cross-entropy to smoothed labels `ℓ = −(1−ε) log p_y − (ε/C) Σ_k log p_k`, in nats.
//!
//! Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, CVPR 2016; PyTorch's `CrossEntropyLoss(label_smoothing)`.

use burn::config::Config;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::rowwise::{Coefficients, Member, Row};

use super::LogitLoss;
use super::rowwise::{RowwiseLoss, log_prob_of_target};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the cross-entropy to smoothed labels.
#[derive(Config, Debug)]
pub struct LabelSmoothingLossConfig {
    /// Share ε of the label that is spread evenly over all classes, in `[0, 1]`.
    #[config(default = 0.1)]
    pub smoothing: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl LabelSmoothingLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When ε is not in `[0, 1]`.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let smoothing = require("label_smoothing", "smoothing", self.smoothing, "in [0, 1]", |e| {
            (0.0..=1.0).contains(&e)
        })?;
        Ok(LogitLoss::of_softmax(Smoothed { smoothing }, self.reduction))
    }
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    smoothing: f64,
}

impl Member for Smoothed {
    const NEEDS_MEAN: bool = true;

    fn row(&self, row: Row) -> Coefficients {
        let kept = 1.0 - self.smoothing;
        Coefficients {
            loss: -kept * row.log_p - self.smoothing * row.mean_log_p,
            softmax: 1.0,
            target: -kept,
            uniform: -self.smoothing / row.classes as f64,
        }
    }
}

impl RowwiseLoss for Smoothed {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, _] = logits.dims();
        let mean_log_p = log_softmax(logits.clone(), 1).mean_dim(1).reshape([batch]);
        log_prob_of_target(logits, targets) * (self.smoothing - 1.0) - mean_log_p * self.smoothing
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "label_smoothing",
        title: "Label smoothing",
        family: "classification",
        formula: "ℓ = −(1−ε) log p_y − (ε/C) Σ_k log p_k",
        shapes: "logits [batch, classes], targets [batch] → [1]",
        good_for: &["calibration", "overconfidence", "noisy labels", "regularisation"],
        cost: "as cross-entropy",
        when: "A network is too sure of itself, or a few labels are wrong.",
        when_not: "Its scores will teach a student (smoothing hides how classes resemble each other), or it is trained \
                   for few epochs and already underconfident.",
        source: "Szegedy et al., CVPR 2016",
        parameters: vec![Parameter {
            name: "smoothing",
            meaning: "share ε of the label spread over all classes",
            default: 0.1,
            range: (0.01, 0.5),
            scale: Scale::Logarithmic,
        }],
        rust: "LabelSmoothingLossConfig::new().with_smoothing({smoothing}).init()?",
        path: "thalweg::classification::LabelSmoothingLossConfig",
        build: Build::Scores(|value| {
            Ok(Box::new(
                LabelSmoothingLossConfig::new()
                    .with_smoothing(value("smoothing"))
                    .init()?,
            ))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "label_smoothing_loss",
            "cross-entropy to smoothed labels, and its gradient",
        )
        .param("smoothing", 0.1)
        .param("reduction", "mean")
        .input("logits", "[N, C]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("logits")?;
            let config = LabelSmoothingLossConfig::new().with_smoothing(case.param("smoothing")?);
            let loss = config.with_reduction(case.reduction()?).init()?;
            let logits = case.variable::<2>("logits");
            let labels = case.class_labels("labels", "logits")?;
            Ok(case.value_and_gradients(loss.forward(logits.clone(), labels), &[("logits", &logits)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::super::CompSumLossConfig;
    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for smoothing in [0.0, 0.1, 1.0] {
            kernel_equals_composition(&Smoothed { smoothing });
        }
    }

    #[test]
    fn without_smoothing_it_is_cross_entropy() {
        let (logits, targets) = random_batch(6, 5, 3.0, 0, DType::F64);
        let smooth = LabelSmoothingLossConfig::new()
            .with_smoothing(0.0)
            .init()
            .unwrap();
        let plain = CompSumLossConfig::new().init().unwrap();
        let a = value_and_gradient(&logits, |h| smooth.forward(h, targets.clone()));
        let b = value_and_gradient(&logits, |h| plain.forward(h, targets.clone()));
        assert_close(&a.0, &b.0, 1e-14);
        assert_close(&a.1, &b.1, 1e-14);
    }

    #[test]
    fn it_is_least_at_the_smoothed_label() {
        // At p = (1−ε)·onehot + ε/C the gradient vanishes.
        let (smoothing, classes) = (0.2_f64, 4);
        let device = burn::tensor::Device::flex();
        let low = (smoothing / classes as f64).ln();
        let high = (1.0 - smoothing + smoothing / classes as f64).ln();
        let logits = Tensor::<2>::from_data([[low, high, low, low]], (&device, DType::F64));
        let loss = LabelSmoothingLossConfig::new()
            .with_smoothing(smoothing)
            .init()
            .unwrap();
        let targets = Tensor::<1, Int>::from_ints([1], &device);
        let (_, gradient) = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
        assert_close(&gradient, &[0.0; 4], 1e-14);
    }
}
