//! The log-partition regulariser `ℓ = c (log Σ_k exp h_k)²`, with gradient `∂ℓ/∂h_k = 2c (log Σ exp h) p_k`: it draws the
//! normaliser of the softmax to 1, so that logits do not drift. Logits in nats, `c` per squared nat.
//!
//! Language models call it z-loss, after the partition function Z. It has nothing to do with the
//! [Z-loss](super::spherical) of standardised scores.
//!
//! Source: Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", arXiv 2204.02311, with `c = 1e-4`.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::rowwise::{Coefficients, Member, Row};

use super::rowwise::{FusedLoss, RowwiseLoss};
use crate::config::require;
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the log-partition regulariser.
#[derive(Config, Debug)]
pub struct LogsumexpZLossConfig {
    /// Factor c of the squared log-partition, at least 0.
    #[config(default = 1e-4)]
    pub coefficient: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl LogsumexpZLossConfig {
    /// The regulariser.
    ///
    /// # Errors
    /// When the coefficient is negative or not finite.
    pub fn init(&self) -> Result<LogsumexpZLoss, ConfigError> {
        Ok(LogsumexpZLoss {
            loss: SquaredLogPartition {
                coefficient: coefficient("logsumexp_z_loss", "coefficient", self.coefficient)?,
            },
            reduction: self.reduction,
        })
    }
}

/// A factor of the squared log-partition that is one.
pub(super) fn coefficient(
    objective: &'static str,
    parameter: &'static str,
    value: f64,
) -> Result<f64, ConfigError> {
    require(objective, parameter, value, "at least 0 and finite", |c| {
        c >= 0.0 && c.is_finite()
    })
}

/// The log-partition regulariser.
#[derive(Clone, Copy, Debug)]
pub struct LogsumexpZLoss {
    loss: SquaredLogPartition,
    reduction: Reduction,
}

impl LogsumexpZLoss {
    /// # Shapes
    /// - logits `[batch, classes]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or there are fewer than two classes.
    pub fn forward(&self, logits: Tensor<2>) -> Tensor<1> {
        self.reduce(logits, self.reduction)
    }

    /// The loss of each sample, `[batch]`, whatever the reduction. Shapes and panics as [`forward`](Self::forward).
    pub fn per_sample(&self, logits: Tensor<2>) -> Tensor<1> {
        self.reduce(logits, Reduction::None)
    }

    fn reduce(&self, logits: Tensor<2>, reduction: Reduction) -> Tensor<1> {
        let [batch, _] = logits.dims();
        let device = logits.device().without_autodiff();
        // The kernels of rows ask for a target; this loss has none, and any serves.
        self.loss
            .reduced(logits, Tensor::zeros([batch], &device), reduction)
    }
}

#[derive(Clone, Copy, Debug)]
struct SquaredLogPartition {
    coefficient: f64,
}

impl Member for SquaredLogPartition {
    fn row(&self, row: Row) -> Coefficients {
        Coefficients {
            loss: self.coefficient * row.log_sum_exp * row.log_sum_exp,
            softmax: 2.0 * self.coefficient * row.log_sum_exp,
            target: 0.0,
            uniform: 0.0,
        }
    }
}

impl RowwiseLoss for SquaredLogPartition {
    fn composed(&self, logits: Tensor<2>, _: Tensor<1, Int>) -> Tensor<1> {
        let log_sum_exp = log_sum_exp(logits);
        log_sum_exp.clone() * log_sum_exp * self.coefficient
    }
}

/// `log Σ_k exp h_k` of each row, `[batch]`.
pub(super) fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let top = logits.clone().detach().max_dim(1);
    let sum = (logits - top.clone()).exp().sum_dim(1);
    (sum.log() + top).reshape([batch])
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "logsumexp_z_loss",
            "squared log-partition of logits (the z-loss of language models), and its gradient",
        )
        .param("coefficient", 1e-4)
        .param("reduction", "mean")
        .input("logits", "[N, C]")
        .eval(|case| {
            case.not_empty("logits")?;
            case.two_columns("logits")?;
            let config = LogsumexpZLossConfig::new().with_coefficient(case.param("coefficient")?);
            let loss = config.with_reduction(case.reduction()?).init()?;
            let logits = case.variable::<2>("logits");
            let per_sample = loss.per_sample(case.tensor("logits"));
            Ok(case
                .value_and_gradients(loss.forward(logits.clone()), &[("logits", &logits)])
                .with_tensor("per_sample", per_sample))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, activation::log_softmax};
    use proptest::prelude::*;

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn kernel_and_composition_agree() {
        for coefficient in [0.0, 1e-4, 0.3] {
            kernel_equals_composition(&SquaredLogPartition { coefficient });
        }
    }

    #[test]
    fn large_logits_are_squared_and_no_number_stays_none() {
        let loss = LogsumexpZLossConfig::new()
            .with_reduction(Reduction::None)
            .init()
            .unwrap();
        let logits = Tensor::<2>::from_floats([[1e4, -1e4], [-1e4, -1e4], [f32::NAN, 0.0]], &Device::flex());
        let (value, gradient) = value_and_gradient(&logits, |h| loss.forward(h));
        assert_close(&value[..2], &[1e4, 1e4], 2e-4);
        assert_close(&gradient[..4], &[2.0, 0.0, -1.0, -1.0], 2e-4);
        assert!(value[2].is_nan() && gradient[4].is_nan() && gradient[5].is_nan());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn normalised_logits_are_its_minimum(seed in 0_u64..10_000, classes in 2_usize..9, shift in -5.0_f64..5.0) {
            let (logits, _) = random_batch(3, classes, 4.0, seed, DType::F64);
            let loss = LogsumexpZLossConfig::new().with_coefficient(1.0).init().unwrap();
            let shifted = log_softmax(logits, 1) + shift;
            let (value, gradient) = value_and_gradient(&shifted, |h| loss.forward(h));
            assert_close(&value, &[shift * shift], 1e-12);
            // A row's slopes sum to 2·shift, a third of it each in the mean.
            assert_close(&[gradient.iter().sum::<f64>()], &[2.0 * shift], 1e-12);
        }
    }
}
