//! Knowledge distillation: `T² KL(softmax(t/T) ‖ softmax(s/T))`, in nats, of student logits s and teacher logits t.
//!
//! T² keeps the size of the gradient, `T (softmax(s/T) − softmax(t/T))`, when the temperature changes. The objective adds
//! cross-entropy: `ce_weight·CE + kd_weight·KD`.
//!
//! Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.

use burn::config::Config;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use thalweg_kernels::pairs::{PairLoss, SoftmaxPair};
use thalweg_kernels::real::Real;

use super::{OneHeadDistillation, SHAPES, TeacherLoss};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the distillation loss.
#[derive(Config, Debug)]
pub struct DistillKlLossConfig {
    /// Temperature T of both softmaxes, above 0.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl DistillKlLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<TeacherLoss, ConfigError> {
        let loss = DistillKl {
            temperature: temperature("kd", self.temperature)?,
        };
        Ok(TeacherLoss::new(
            loss,
            move |s, t| loss.composed(s, t),
            self.reduction,
        ))
    }
}

/// A temperature that is one.
pub(super) fn temperature(objective: &'static str, value: f64) -> Result<f64, ConfigError> {
    require(objective, "temperature", value, "above 0 and finite", |t| {
        t > 0.0 && t.is_finite()
    })
}

/// A weight of a loss in a sum.
pub(super) fn weight(
    objective: &'static str,
    parameter: &'static str,
    value: f64,
) -> Result<f64, ConfigError> {
    require(objective, parameter, value, "at least 0 and finite", |weight| {
        weight >= 0.0 && weight.is_finite()
    })
}

#[derive(Clone, Copy, Debug)]
struct DistillKl {
    temperature: f64,
}

impl DistillKl {
    fn composed(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch, _] = student.dims();
        let scale = 1.0 / self.temperature;
        let (student, teacher) = (log_softmax(student * scale, 1), log_softmax(teacher * scale, 1));
        let gap = teacher.clone() - student;
        (teacher.exp() * gap).sum_dim(1).reshape([batch]) * (self.temperature * self.temperature)
    }
}

impl PairLoss for DistillKl {
    #[inline(always)]
    fn row<F: Real>(
        &self,
        _: usize,
        pair: (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        scratch: &mut [F],
    ) -> f64 {
        let softmax = SoftmaxPair::new(pair, None, 1.0 / self.temperature, gradient, scratch);
        let slope = self.temperature * scale;
        softmax.combine((slope, slope), gradient, scratch);
        softmax.divergence * self.temperature * self.temperature
    }
}

/// Configuration of training by knowledge distillation.
#[derive(Config, Debug)]
pub struct KdConfig {
    /// Temperature T of both softmaxes, above 0.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// Weight of cross-entropy, at least 0.
    #[config(default = 0.1)]
    pub ce_weight: f64,
    /// Weight of the divergence from the teacher, at least 0.
    #[config(default = 0.9)]
    pub kd_weight: f64,
}

impl KdConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<OneHeadDistillation, ConfigError> {
        let taught = DistillKlLossConfig::new()
            .with_temperature(self.temperature)
            .init()?;
        let weights = (
            weight("kd", "ce_weight", self.ce_weight)?,
            weight("kd", "kd_weight", self.kd_weight)?,
        );
        OneHeadDistillation::new(weights, Box::new(taught))
    }
}

/// The weight of cross-entropy in objectives that keep their literature's name for it.
pub(super) const fn ce_weight(default: f64) -> Parameter {
    Parameter {
        name: "ce_weight",
        meaning: "weight of cross-entropy",
        default,
        range: (0.1, 1.0),
        scale: Scale::Logarithmic,
    }
}

/// A temperature of softmaxes or sigmoids.
pub(super) const fn temperature_parameter(default: f64) -> Parameter {
    Parameter {
        name: "temperature",
        meaning: "temperature T of student and teacher",
        default,
        range: (1.0, 8.0),
        scale: Scale::Logarithmic,
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "kd",
        title: "Knowledge distillation",
        family: "distillation",
        formula: "ℓ = w_CE CE(s, y) + w_KD T² KL(softmax(t/T) ‖ softmax(s/T))",
        shapes: SHAPES,
        good_for: &["small student of a large teacher", "soft labels"],
        cost: "teacher logits; a second softmax",
        when: "A better model of the same classes is at hand and a smaller one is to come close to it.",
        when_not: "The sizes of the logits matter: adding a constant to them changes nothing here.",
        source: "Hinton, Vinyals, Dean, 2015",
        parameters: vec![
            temperature_parameter(4.0),
            ce_weight(0.1),
            Parameter {
                name: "kd_weight",
                meaning: "weight of the divergence from the teacher",
                default: 0.9,
                range: (0.1, 1.0),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "KdConfig::new().with_temperature({temperature}).with_ce_weight({ce_weight})\
               .with_kd_weight({kd_weight}).init()?",
        path: "thalweg::distillation::KdConfig",
        build: Build::Scores(|value| {
            let config = KdConfig::new().with_temperature(value("temperature"));
            let config = config.with_ce_weight(value("ce_weight"));
            Ok(Box::new(config.with_kd_weight(value("kd_weight")).init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "kd_loss",
            "T² KL of softmax teacher and student logits, and its gradient",
        )
        .param("temperature", 4.0)
        .param("reduction", "mean")
        .input("student_logits", "[N, K]")
        .input("teacher_logits", "[N, K]")
        .eval(|case| {
            let config = DistillKlLossConfig::new().with_temperature(case.param("temperature")?);
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
        for temperature in [0.7, 1.0, 4.0] {
            let loss = DistillKl { temperature };
            kernel_equals_composition(&loss, |s, t| loss.composed(s, t));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_constant_added_to_the_student_changes_nothing(
            seed in 0_u64..10_000, classes in 2_usize..9, temperature in 0.5_f64..6.0, shift in -20.0_f64..20.0,
        ) {
            let [student, teacher] = random_pair(3, classes, 4.0, seed, DType::F64);
            let loss = DistillKlLossConfig::new().with_temperature(temperature).init().unwrap();
            let plain = values(loss.per_sample(student.clone(), teacher.clone()));
            let shifted = values(loss.per_sample(student + shift, teacher));
            prop_assert!(plain.iter().all(|loss| *loss >= 0.0));
            assert_close(&plain, &shifted, 1e-10);
        }

        #[test]
        fn equal_logits_are_the_minimum(seed in 0_u64..10_000, classes in 2_usize..9) {
            let [student, _] = random_pair(3, classes, 4.0, seed, DType::F64);
            let loss = DistillKlLossConfig::new().init().unwrap();
            let (value, gradient) = value_and_gradient(&student, |s| loss.forward(s, student.clone()));
            prop_assert!(value.iter().chain(&gradient).all(|x| x.abs() < 1e-14));
        }
    }
}
