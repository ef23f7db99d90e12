//! BinaryKL: every class a coin of its own, `T² Σ_k KL(σ(t_k/T) ‖ σ(s_k/T))`, in nats, both sides of each coin, summed over
//! classes.
//!
//! Unlike the softmax it sees the size of the logits. The gradient is `T (σ(s_k/T) − σ(t_k/T))`, bounded by T.
//!
//! Source: Yang, Zong, Huang, Feng, An, "Dual-Head Knowledge Distillation", KDD 2025; without its clamp of probabilities.

use burn::config::Config;
use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use thalweg_kernels::pairs::{Element, PairElement, Summed};
use thalweg_kernels::real::Real;

use super::TeacherLoss;
use super::kd::temperature;
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the BinaryKL loss.
#[derive(Config, Debug)]
pub struct BinaryKlLossConfig {
    /// Temperature T of both sigmoids, above 0.
    #[config(default = 2.0)]
    pub temperature: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl BinaryKlLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<TeacherLoss, ConfigError> {
        let loss = BinaryKl {
            temperature: temperature("binary_kl", self.temperature)?,
        };
        Ok(TeacherLoss::new(
            Summed(loss),
            move |s, t| loss.composed(s, t),
            self.reduction,
        ))
    }
}

#[derive(Clone, Copy, Debug)]
struct BinaryKl {
    temperature: f64,
}

impl BinaryKl {
    fn composed(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch, _] = student.dims();
        let scale = 1.0 / self.temperature;
        let (student, teacher) = (student * scale, teacher * scale);
        let side = |student: Tensor<2>, teacher: Tensor<2>| {
            let log_teacher = log_sigmoid(teacher);
            log_teacher.clone().exp() * (log_teacher - log_sigmoid(student))
        };
        let both = side(student.clone(), teacher.clone()) + side(-student, -teacher);
        both.sum_dim(1).reshape([batch]) * (self.temperature * self.temperature)
    }
}

/// `KL(σ(t) ‖ σ(s))` as `linear + log factor`, and its derivative with respect to s.
///
/// With the coin turned so that the teacher's side is the unlikely one, u = −|t| and v = ∓s, the divergence is
/// `σ(u)(u − v) + softplus(v) − softplus(u)`: no difference of large numbers, whatever the logits.
#[inline(always)]
pub(super) fn of_coins<F: Real>(student: F, teacher: F) -> Element<F> {
    let half = F::from_f64(0.5);
    // Signs are multiplied and not branched on, so that lanes stay together.
    let turn = if teacher > F::ZERO { -F::ONE } else { F::ONE };
    let (u, v) = (-teacher.abs(), student * turn);
    // 1 + e of e in (0, 1].
    let (e_u, e_v) = (u.exp_lane(), (-v.abs()).exp_lane());
    let share_u = e_u * (F::ONE / (F::ONE + e_u));
    let larger_v = F::ONE / (F::ONE + e_v);
    let share_v = if v > F::ZERO { larger_v } else { e_v * larger_v };
    Element {
        linear: share_u * (u - v) + (v + v.abs()) * half,
        factor: (1.0 + e_v.to_f64()) / (1.0 + e_u.to_f64()),
        slope: (share_v - share_u) * turn,
    }
}

impl PairElement for BinaryKl {
    #[inline(always)]
    fn element<F: Real>(&self, student: F, teacher: F) -> Element<F> {
        let scale = F::from_f64(1.0 / self.temperature);
        let coins = of_coins(student * scale, teacher * scale);
        Element {
            slope: coins.slope * F::from_f64(self.temperature),
            ..coins
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
            "binary_kl_loss",
            "T² KL of sigmoids of teacher and student logits, summed over classes",
        )
        .param("temperature", 2.0)
        .param("reduction", "mean")
        .input("student_logits", "[N, K]")
        .input("teacher_logits", "[N, K]")
        .eval(|case| {
            let config = BinaryKlLossConfig::new().with_temperature(case.param("temperature")?);
            case.teacher_loss(&config.with_reduction(case.reduction()?).init()?)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::DistillKlLossConfig;
    use super::super::teacher_loss::tests::*;
    use super::*;
    use crate::classification::rowwise::tests::{assert_close, value_and_gradient};

    #[test]
    fn kernel_and_composition_agree() {
        for temperature in [0.7, 1.0, 2.0] {
            let loss = BinaryKl { temperature };
            kernel_equals_composition(&Summed(loss), |s, t| loss.composed(s, t));
        }
    }

    #[test]
    fn it_sees_the_size_of_logits_that_the_softmax_does_not() {
        let device = Device::flex();
        let student = Tensor::<2>::from_data([[2.0, 3.0, 4.0]], (&device, DType::F64));
        let teacher = Tensor::<2>::from_data([[-2.0, -1.0, 0.0]], (&device, DType::F64));
        let soft = DistillKlLossConfig::new().init().unwrap();
        let coins = BinaryKlLossConfig::new().init().unwrap();
        assert!(values(soft.forward(student.clone(), teacher.clone()))[0].abs() < 1e-14);
        assert!(values(coins.forward(student, teacher))[0] > 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_gradient_is_the_difference_of_probabilities(
            seed in 0_u64..10_000, classes in 2_usize..9, temperature in 0.5_f64..6.0,
        ) {
            let [student, teacher] = random_pair(1, classes, 9.0, seed, DType::F64);
            let loss = BinaryKlLossConfig::new().with_temperature(temperature).init().unwrap();
            let (value, gradient) = value_and_gradient(&student, |s| loss.forward(s, teacher.clone()));
            let sigmoid = |z: f64| 1.0 / (1.0 + (-z / temperature).exp());
            let numbers = |tensor: Tensor<2>| tensor.into_data().try_into_vec_as::<f64>().unwrap();
            let expected: Vec<f64> = numbers(student)
                .into_iter()
                .zip(numbers(teacher))
                .map(|(s, t)| temperature * (sigmoid(s) - sigmoid(t)))
                .collect();
            assert_close(&gradient, &expected, 1e-13);
            prop_assert!(value[0] >= 0.0);
        }

        #[test]
        fn equal_logits_are_the_minimum(seed in 0_u64..10_000, classes in 2_usize..9) {
            let [student, _] = random_pair(3, classes, 30.0, seed, DType::F64);
            let loss = BinaryKlLossConfig::new().init().unwrap();
            let (value, gradient) = value_and_gradient(&student, |s| loss.forward(s, student.clone()));
            prop_assert!(value.iter().chain(&gradient).all(|x| *x == 0.0));
        }
    }
}
