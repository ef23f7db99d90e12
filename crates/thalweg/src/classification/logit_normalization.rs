//! Logits scaled to a mean absolute value of 1: `K f/‖f‖₁`, and `K g/‖g‖₁` of `g = log(1 + exp f)`.
//!
//! A temperature then means the same for every network. Gradients flow through the norm.
//!
//! Source: the reference implementation of Zhu, Ying, Yang, ICML 2023 (arXiv 2112.14869).

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// How logits are normalised before a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogitNormalization {
    /// `K f/‖f‖₁`.
    L1,
    /// `K g/‖g‖₁` of `g = softplus(f)`, which is `g / mean_k g_k`.
    SoftplusL1,
}

/// Norm below which logits count as zero, and stay so.
const LEAST_NORM: f64 = 1e-12;

impl LogitNormalization {
    /// Normalised logits.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`; returns the same.
    pub fn of(self, logits: Tensor<2>) -> Tensor<2> {
        let [_, classes] = logits.dims();
        let own = match self {
            Self::L1 => logits,
            Self::SoftplusL1 => -log_sigmoid(-logits),
        };
        let norm = own.clone().abs().sum_dim(1).clamp_min(LEAST_NORM);
        own * classes as f64 / norm
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "l1_logit_normalize",
            "logits scaled to a mean absolute value of 1, and the gradient of their product with a cotangent",
        )
        .param("softplus", false)
        .input("logits", "[N, K]")
        .input("cotangent", "[N, K]")
        .eval(|case| {
            case.not_empty("logits")?;
            let normalization = if case.flag("softplus")? {
                LogitNormalization::SoftplusL1
            } else {
                LogitNormalization::L1
            };
            let logits = case.variable::<2>("logits");
            let normalized = normalization.of(logits.clone());
            let value = (normalized.clone() * case.tensor("cotangent")).sum();
            Ok(case
                .value_and_gradients(value, &[("logits", &logits)])
                .with_tensor("normalized", normalized.inner()))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn the_mean_absolute_value_is_one_and_the_gradient_numeric() {
        let (logits, _) = random_batch(3, 5, 4.0, 0, DType::F64);
        let (weights, _) = random_batch(3, 5, 1.0, 1, DType::F64);
        for normalization in [LogitNormalization::L1, LogitNormalization::SoftplusL1] {
            let mean = normalization.of(logits.clone()).abs().mean_dim(1);
            assert_close(
                &mean.into_data().try_into_vec_as::<f64>().unwrap(),
                &[1.0; 3],
                1e-14,
            );
            let product = |logits| (normalization.of(logits) * weights.clone()).sum();
            let (_, gradient) = value_and_gradient(&logits, product);
            assert_close(&gradient, &central_differences(&logits, product), 1e-8);
        }
    }

    #[test]
    fn softplus_has_no_threshold_and_no_overflow() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[1e4, 0.0, -30.0]], (&device, DType::F64));
        let own = [1e4, 2.0_f64.ln(), (-30.0_f64).exp().ln_1p()];
        let total: f64 = own.iter().sum();
        let (found, gradient) = value_and_gradient(&logits, |h| {
            LogitNormalization::SoftplusL1
                .of(h)
                .slice([0..1, 2..3])
                .reshape([1])
        });
        assert_close(&found, &[3.0 * own[2] / total], 1e-15);
        let expected = 3.0 * (-30.0_f64).exp() / (1.0 + (-30.0_f64).exp()) / total;
        assert!(
            (gradient[2] / expected - 1.0).abs() < 1e-9,
            "{} {expected}",
            gradient[2]
        );
    }

    #[test]
    fn logits_of_zero_stay_zero() {
        let logits = Tensor::<2>::zeros([1, 3], &Device::flex());
        let (value, gradient) = value_and_gradient(&logits, |h| LogitNormalization::L1.of(h).sum());
        assert!(value == [0.0] && gradient.iter().all(|g| g.is_finite()));
    }
}
