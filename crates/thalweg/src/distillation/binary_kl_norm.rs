//! BinaryKL-Norm: the student normalised by its teacher, each class a coin `σ((s_k − t_k)/T)` that is to be fair:
//! `T² Σ_k KL(1/2 ‖ σ((s_k − t_k)/T)) = T² Σ_k log cosh((s_k − t_k)/(2T))`, in nats.
//!
//! The gradient `(T/2) tanh((s_k − t_k)/(2T))` is bounded, odd in the difference and 0 only where the logits are equal. The
//! loss is `(s − t)²/8` for small differences, where T cancels, and `T|s − t|/2` for large ones.
//!
//! Source: Yang, Zong, Huang, Feng, An, "Dual-Head Knowledge Distillation", KDD 2025.

use std::f64::consts::LN_2;

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::pairs::{Element, PairElement, Summed};
use thalweg_kernels::real::Real;

use super::TeacherLoss;
use super::kd::temperature;
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the BinaryKL-Norm loss.
#[derive(Config, Debug)]
pub struct BinaryKlNormLossConfig {
    /// Temperature T of the sigmoid, above 0.
    #[config(default = 2.0)]
    pub temperature: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl BinaryKlNormLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<TeacherLoss, ConfigError> {
        let loss = BinaryKlNorm {
            temperature: temperature("binary_kl_norm", self.temperature)?,
        };
        Ok(TeacherLoss::new(
            Summed(loss),
            move |s, t| loss.composed(s, t),
            self.reduction,
        ))
    }
}

#[derive(Clone, Copy, Debug)]
struct BinaryKlNorm {
    temperature: f64,
}

impl BinaryKlNorm {
    fn composed(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch, _] = student.dims();
        let size = ((student - teacher) * (0.5 / self.temperature)).abs();
        let log_cosh = size.clone() + (size * -2.0).exp().log1p() - LN_2;
        log_cosh.sum_dim(1).reshape([batch]) * (self.temperature * self.temperature)
    }
}

impl PairElement for BinaryKlNorm {
    /// `log cosh u = |u| + log(1 + (exp(−2|u|) − 1)/2)`: the log-sum-exp form without its cancelling log 2.
    #[inline(always)]
    fn element<F: Real>(&self, student: F, teacher: F) -> Element<F> {
        let half = F::from_f64(0.5);
        let u = (student - teacher) * F::from_f64(0.5 / self.temperature);
        let size = u.abs();
        let below_one = (-(size + size)).exp_m1_lane();
        let tanh = -below_one / (F::ONE + F::ONE + below_one);
        let slope = tanh * F::from_f64(self.temperature) * half;
        Element {
            linear: size,
            factor: 1.0 + 0.5 * below_one.to_f64(),
            slope: if u < F::ZERO { -slope } else { slope },
        }
    }

    #[inline(always)]
    fn weight(&self) -> f64 {
        self.temperature * self.temperature
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "binary_kl_norm_loss",
            "T² log cosh of half the logit difference over T, summed over classes",
        )
        .param("temperature", 2.0)
        .param("reduction", "mean")
        .input("student_logits", "[N, K]")
        .input("teacher_logits", "[N, K]")
        .eval(|case| {
            let config = BinaryKlNormLossConfig::new().with_temperature(case.param("temperature")?);
            case.teacher_loss(&config.with_reduction(case.reduction()?).init()?)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::teacher_loss::tests::*;
    use super::*;
    use crate::classification::rowwise::tests::{assert_close, value_and_gradient};

    #[test]
    fn kernel_and_composition_agree() {
        for temperature in [0.7, 1.0, 2.0] {
            let loss = BinaryKlNorm { temperature };
            kernel_equals_composition(&Summed(loss), |s, t| loss.composed(s, t));
        }
    }

    fn loss_of(temperature: f64) -> TeacherLoss {
        BinaryKlNormLossConfig::new()
            .with_temperature(temperature)
            .init()
            .unwrap()
    }

    #[test]
    fn single_precision_keeps_small_differences() {
        let [teacher, _] = random_pair(1, 40, 1.0, 5, DType::F32);
        let (_, gradient) = value_and_gradient(&(teacher.clone() + 1e-3), |s| {
            loss_of(2.0).forward(s, teacher.clone())
        });
        for slope in gradient {
            // A quarter of the difference, of which the subtraction of the logits leaves three digits.
            assert!((slope / 2.5e-4 - 1.0).abs() < 1e-3, "{slope}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_log_of_cosh_and_the_divergence_from_a_fair_coin(
            seed in 0_u64..10_000, classes in 2_usize..9, temperature in 0.5_f64..6.0,
        ) {
            let [student, teacher] = random_pair(1, classes, 5.0, seed, DType::F64);
            let numbers = |tensor: &Tensor<2>| tensor.to_data().try_into_vec_as::<f64>().unwrap();
            let gaps: Vec<f64> = numbers(&student).iter().zip(numbers(&teacher)).map(|(s, t)| s - t).collect();
            let squared = temperature * temperature;
            let cosh: f64 = gaps.iter().map(|gap| (gap / (2.0 * temperature)).cosh().ln()).sum();
            let side = |gap: f64| 0.5 * (0.5 * (1.0 + (-gap / temperature).exp())).ln();
            let coins: f64 = gaps.iter().map(|gap| side(*gap) + side(-gap)).sum();
            let (value, gradient) = value_and_gradient(&student, |s| loss_of(temperature).forward(s, teacher.clone()));
            assert_close(&value, &[squared * cosh], 1e-12);
            assert_close(&value, &[squared * coins], 1e-12);
            let slopes: Vec<f64> = gaps.iter().map(|gap| 0.5 * temperature * (gap / (2.0 * temperature)).tanh()).collect();
            assert_close(&gradient, &slopes, 1e-13);
        }

        #[test]
        fn the_gradient_is_odd_and_the_value_even(seed in 0_u64..10_000, classes in 2_usize..9) {
            let [student, teacher] = random_pair(2, classes, 8.0, seed, DType::F64);
            let there = value_and_gradient(&student, |s| loss_of(2.0).forward(s, teacher.clone()));
            let back = value_and_gradient(&teacher, |t| loss_of(2.0).forward(t, student.clone()));
            prop_assert_eq!(there.0, back.0);
            prop_assert!(there.1.iter().zip(&back.1).all(|(a, b)| *a == -b));
        }

        #[test]
        fn equal_logits_are_the_minimum(seed in 0_u64..10_000, classes in 2_usize..9) {
            let [student, _] = random_pair(3, classes, 30.0, seed, DType::F64);
            let (value, gradient) = value_and_gradient(&student, |s| loss_of(2.0).forward(s, student.clone()));
            prop_assert!(value.iter().chain(&gradient).all(|x| *x == 0.0));
        }
    }
}
