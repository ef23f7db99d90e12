//! The correctness-aware loss `mean (ĉ − c)²`: `ĉ = max_k softmax(z/T)_k` is raised where the prediction is correct
//! (`c = 1[argmax z = y]`) and lowered where it is wrong.
//!
//! Its gradient with respect to the temperature of a sample, `−2 (ĉ − c) ĉ (z_ŷ − Σ p_k z_k) / T²`, is never negative
//! for a correct and never positive for a wrong prediction; cross-entropy's is not so for narrow mistakes.
//!
//! Source: Liu, Wang, Zou, Zou, Zheng, "Optimizing Calibration by Gaining Aware of Prediction Correctness",
//! arXiv 2404.13016.

use burn::config::Config;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::temperature_scaled::scaled;
use crate::Reduction;
use crate::bridge::class_indices;
use crate::classification::CompSumLossConfig;
use crate::quantity::Quantity;

/// How samples count in the correctness-aware loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// All alike.
    Plain,
    /// Those of a batch predicted right as much in total as those predicted wrong: `1 − r` each and `r` each, where r is
    /// the share of right ones, scaled to a mean of 1. All alike where all are right or all wrong.
    Balanced,
}

/// Configuration of [`CorrectnessAwareLoss`].
#[derive(Config, Debug)]
pub struct CorrectnessAwareLossConfig {
    /// How samples count.
    #[config(default = "Weighting::Plain")]
    pub weighting: Weighting,
    /// How per-sample losses, weighted, become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl CorrectnessAwareLossConfig {
    /// The loss.
    pub fn init(&self) -> CorrectnessAwareLoss {
        CorrectnessAwareLoss {
            weighting: self.weighting,
            reduction: self.reduction,
        }
    }
}

/// The correctness-aware loss.
#[derive(Clone, Copy, Debug)]
pub struct CorrectnessAwareLoss {
    weighting: Weighting,
    reduction: Reduction,
}

impl CorrectnessAwareLoss {
    /// # Shapes
    /// - logits `[batch, classes]`, temperatures `[batch]` above 0, targets `[batch]` with values in `0..classes`; returns
    ///   `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// Nothing flows through the choice of the predicted class, the first of equal logits.
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the batch sizes differ, or a target is out of range.
    pub fn forward(&self, logits: Tensor<2>, temperatures: Tensor<1>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let predicted: Tensor<1, Int> = logits.clone().without_autodiff().argmax(1).reshape([batch]);
        let correct = correctness(predicted.clone(), targets, classes);
        let weights = self.weighting.of(&correct);
        let minus_log_confidence = CompSumLossConfig::new()
            .with_reduction(Reduction::None)
            .init()
            .expect("cross-entropy has no bad value")
            .forward(scaled(logits, temperatures), predicted);
        let confidence = (-minus_log_confidence).exp();
        let options = (&confidence.device(), confidence.dtype());
        let [correct, weights] = [correct, weights]
            .map(|values| Tensor::<1>::from_data(TensorData::new(values, [batch]), options));
        self.reduction.of((confidence - correct).square() * weights)
    }
}

impl Weighting {
    /// Weights of mean 1 of samples that are correct (1) or not (0).
    fn of(self, correct: &[f64]) -> Vec<f64> {
        let samples = correct.len() as f64;
        let right: f64 = correct.iter().sum();
        match self {
            Self::Balanced if right > 0.0 && right < samples => correct
                .iter()
                .map(|&c| 0.5 * samples / if c == 1.0 { right } else { samples - right })
                .collect(),
            _ => vec![1.0; correct.len()],
        }
    }
}

fn correctness(predicted: Tensor<1, Int>, targets: Tensor<1, Int>, classes: usize) -> Vec<f64> {
    let (predicted, targets) = (class_indices(predicted), class_indices(targets));
    assert_eq!(predicted.len(), targets.len(), "every sample has its target");
    let each = predicted.iter().zip(&targets);
    each.map(|(predicted, &target)| {
        assert!(
            (target as usize) < classes,
            "target {target} is not below the number of classes, {classes}"
        );
        f64::from(u8::from(*predicted == target))
    })
    .collect()
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "correctness_aware_loss",
            "squared difference of confidence at given temperatures and correctness, and its gradients",
        )
        .param("balanced", false)
        .param("reduction", "mean")
        .input("logits", "[N, C]")
        .input("temperatures", "[N]")
        .input("labels", "[N]")
        .eval(|case| {
            let weighting = if case.flag("balanced")? {
                Weighting::Balanced
            } else {
                Weighting::Plain
            };
            let config = CorrectnessAwareLossConfig::new().with_weighting(weighting);
            let loss = config.with_reduction(case.reduction()?).init();
            super::scaled_loss(case, |logits, temperatures, labels| {
                loss.forward(logits, temperatures, labels)
            })
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::temperature_scaled::tests::{temperature_gradient, tensors};
    use super::super::{Logits, Predictions};
    use super::*;

    fn loss(weighting: Weighting, reduction: Reduction) -> CorrectnessAwareLoss {
        let config = CorrectnessAwareLossConfig::new().with_weighting(weighting);
        config.with_reduction(reduction).init()
    }

    fn value(
        loss: &CorrectnessAwareLoss,
        logits: &[f64],
        temperatures: &[f64],
        labels: &[usize],
    ) -> Vec<f64> {
        let (logits, temperatures, labels) = tensors(logits, temperatures, labels);
        let value = loss.forward(logits, temperatures, labels);
        value.into_data().try_into_vec_as::<f64>().unwrap()
    }

    fn batch() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<usize>)> {
        (2_usize..6, 1_usize..7).prop_flat_map(|(classes, samples)| {
            (
                prop::collection::vec(-5.0..5.0, samples * classes),
                prop::collection::vec(0.1..10.0, samples),
                prop::collection::vec(0..classes, samples),
            )
        })
    }

    proptest! {
        #[test]
        fn unweighted_it_is_the_brier_score_of_the_prediction((logits, temperatures, labels) in batch()) {
            let classes = logits.len() / labels.len();
            let divided: Vec<f64> =
                logits.iter().enumerate().map(|(i, z)| z / temperatures[i / classes]).collect();
            let probabilities = Logits::new(divided, classes).unwrap().probabilities();
            let expected = Predictions::of_probabilities(&probabilities, classes, &labels).unwrap();
            let found = value(&loss(Weighting::Plain, Reduction::Mean), &logits, &temperatures, &labels)[0];
            prop_assert!((found - expected.top_label_brier_score()).abs() < 1e-12);
        }

        #[test]
        fn the_temperature_gradient_has_the_sign_of_the_mistake((logits, temperatures, labels) in batch()) {
            let classes = logits.len() / labels.len();
            let predicted = Logits::new(logits.clone(), classes).unwrap().predicted();
            for weighting in [Weighting::Plain, Weighting::Balanced] {
                let loss = loss(weighting, Reduction::Sum);
                let gradient =
                    temperature_gradient(&logits, &temperatures, &labels, |z, t, y| loss.forward(z, t, y));
                for (sample, slope) in gradient.into_iter().enumerate() {
                    // A correct one is driven to a lower temperature, a wrong one to a higher.
                    let sign = if predicted[sample] == labels[sample] { 1.0 } else { -1.0 };
                    prop_assert!(sign * slope >= -1e-15, "sample {sample}: {slope}");
                }
            }
        }

        #[test]
        fn balanced_right_and_wrong_weigh_the_same(flags in prop::collection::vec(any::<bool>(), 1..60)) {
            let correct: Vec<f64> = flags.iter().map(|&flag| f64::from(u8::from(flag))).collect();
            let weights = Weighting::Balanced.of(&correct);
            let right: f64 = weights.iter().zip(&correct).map(|(w, c)| w * c).sum();
            let total: f64 = weights.iter().sum();
            prop_assert!((total - flags.len() as f64).abs() < 1e-9);
            if flags.contains(&true) && flags.contains(&false) {
                prop_assert!((2.0 * right - total).abs() < 1e-9);
            } else {
                prop_assert!(weights.iter().all(|&weight| weight == 1.0));
            }
        }
    }

    proptest! {
        #[test]
        fn confidence_falls_strictly(row in prop::collection::vec(-5.0..5.0_f64, 2..6), low in 0.5..9.0_f64, up in 0.1..1.0_f64) {
            let predicted = Logits::new(row.clone(), row.len()).unwrap().predicted()[0];
            let next = row.iter().enumerate().filter(|(k, _)| *k != predicted).map(|(_, z)| *z);
            prop_assume!(next.fold(f64::INFINITY, f64::min) < row[predicted] - 1e-3);
            // Correct, so that the loss is (1 − ĉ)².
            let plain = loss(Weighting::Plain, Reduction::Mean);
            let shortfall = |temperature| value(&plain, &row, &[temperature], &[predicted])[0];
            prop_assert!(shortfall(low) < shortfall(low + up));
        }
    }

    #[test]
    fn confidence_falls_over_the_range_of_the_network() {
        let mut before = 0.0;
        for temperature in [0.1, 0.5, 1.0, 2.0, 5.0, 10.0] {
            // Correct, so that the loss is (1 − ĉ)².
            let loss = loss(Weighting::Plain, Reduction::Mean);
            let shortfall = value(&loss, &[1.0, 0.3, -2.0], &[temperature], &[0])[0];
            assert!(shortfall > before);
            before = shortfall;
        }
    }

    #[test]
    fn a_tie_of_two_is_one_half_at_every_temperature() {
        for temperature in [0.1, 1.0, 10.0] {
            let plain = loss(Weighting::Plain, Reduction::None);
            // The first of equals is predicted: right for label 0, wrong for label 1.
            let values = value(&plain, &[2.0, 2.0, 2.0, 2.0], &[temperature; 2], &[0, 1]);
            assert_eq!(values, [0.25, 0.25]);
            let (logits, temperatures, labels) = (&[2.0, 2.0], &[temperature], &[1]);
            let gradient =
                temperature_gradient(logits, temperatures, labels, |z, t, y| plain.forward(z, t, y));
            assert_eq!(gradient, [0.0]);
        }
    }

    #[test]
    fn single_precision_stands_large_logits() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data(
            TensorData::new(vec![1e4_f32, -1e4, -1e4, 1e4], [2, 2]),
            (&device, DType::F32),
        );
        let logits = logits.require_grad();
        let temperatures =
            Tensor::<1>::from_data(TensorData::new(vec![0.1_f32, 0.1], [2]), (&device, DType::F32));
        let labels = Tensor::<1, Int>::from_ints([0, 0], &device);
        let value = loss(Weighting::Balanced, Reduction::Mean).forward(logits.clone(), temperatures, labels);
        let gradient = logits.grad(&value.backward()).unwrap();
        assert_eq!(value.into_scalar::<f64>(), 0.5);
        assert!(
            gradient
                .into_data()
                .try_into_vec_as::<f64>()
                .unwrap()
                .iter()
                .all(|g| *g == 0.0)
        );
    }
}
