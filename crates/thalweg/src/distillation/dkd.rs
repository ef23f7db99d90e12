//! Decoupled knowledge distillation: `T² (α TCKD + β NCKD)`, in nats.
//!
//! TCKD is the divergence of the coins (p_y, 1 − p_y) of teacher and student, NCKD that of their softmaxes over the classes
//! other than y; knowledge distillation is `TCKD + (1 − p_y^teacher) NCKD`. The logit of p_y is `z_y/T − log Σ_{k≠y}
//! exp(z_k/T)`, so no probability is ever subtracted from 1.
//!
//! Source: Zhao, Cui, Song, Qiu, Liang, "Decoupled Knowledge Distillation", CVPR 2022; without its warm-up of the weight.

use burn::config::Config;
use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Int, Tensor};
use thalweg_kernels::pairs::{PairLoss, SoftmaxPair};
use thalweg_kernels::real::Real;

use super::binary_kl::of_coins;
use super::kd::{ce_weight, temperature, temperature_parameter, weight};
use super::teacher_loss::reduced;
use super::{OneHeadDistillation, SHAPES, TaughtLoss};
use crate::bridge::class_indices;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`DkdLoss`].
#[derive(Config, Debug)]
pub struct DkdLossConfig {
    /// Weight α of the target class's part, at least 0.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight β of the other classes' part, at least 0; 2 to 8 by the teacher's confidence.
    #[config(default = 8.0)]
    pub beta: f64,
    /// Temperature T, above 0.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl DkdLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<DkdLoss, ConfigError> {
        Ok(DkdLoss {
            weights: Weights {
                alpha: weight("dkd", "alpha", self.alpha)?,
                beta: weight("dkd", "beta", self.beta)?,
                temperature: temperature("dkd", self.temperature)?,
            },
            reduction: self.reduction,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Weights {
    alpha: f64,
    beta: f64,
    temperature: f64,
}

/// The decoupled loss of a batch.
#[derive(Clone, Debug)]
pub struct DkdLoss {
    weights: Weights,
    reduction: Reduction,
}

impl DkdLoss {
    /// # Shapes
    /// - student and teacher logits `[batch, classes]`, targets `[batch]`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the shapes differ or a target is out of range.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let ([batch, classes], indices) = (student.dims(), class_indices(targets.clone()));
        assert_eq!(
            batch,
            indices.len(),
            "logits and targets differ in batch size: {batch} and {}",
            indices.len()
        );
        if let Some(row) = indices.iter().position(|&y| y as usize >= classes) {
            panic!("the target of row {row} is not in 0..{classes}");
        }
        let rows = Rows {
            weights: self.weights,
            targets: &indices,
        };
        reduced(
            &rows,
            |s, t| self.weights.composed(s, t, targets),
            student,
            teacher,
            self.reduction,
        )
    }
}

impl TaughtLoss for DkdLoss {
    fn of_batch(&self, student: Tensor<2>, teacher: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.forward(student, teacher, targets)
    }
}

impl Weights {
    fn composed(&self, student: Tensor<2>, teacher: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, classes] = student.dims();
        let targets = targets.reshape([batch, 1]);
        let is_target = targets
            .clone()
            .one_hot::<3>(classes)
            .reshape([batch, classes])
            .bool();
        let scale = 1.0 / self.temperature;
        // The target's score sunk below all others, so that it has no part in their softmax.
        let parts = |scores: Tensor<2>| {
            let scores = scores * scale;
            let top = scores.clone().detach().max_dim(1);
            let own = scores.clone().gather(1, targets.clone());
            let others = (scores - top.clone()).mask_fill(is_target.clone(), f64::from(f32::MIN) / 4.0);
            let others_top = others.clone().detach().max_dim(1);
            let shifted = (others.clone() - others_top.clone()).exp();
            let log_sum = shifted.sum_dim(1).log() + others_top + top;
            (own - log_sum, log_softmax(others, 1))
        };
        let (own, log_others) = parts(student);
        let (own_teacher, log_others_teacher) = parts(teacher);
        let side = |student: Tensor<2>, teacher: Tensor<2>| {
            let log_teacher = log_sigmoid(teacher);
            log_teacher.clone().exp() * (log_teacher - log_sigmoid(student))
        };
        let target_part = side(own.clone(), own_teacher.clone()) + side(-own, -own_teacher);
        let gap = (log_others_teacher.clone() - log_others).mask_fill(is_target, 0.0);
        let other_part = (log_others_teacher.exp() * gap).sum_dim(1);
        let squared = self.temperature * self.temperature;
        (target_part * (squared * self.alpha) + other_part * (squared * self.beta)).reshape([batch])
    }
}

/// The loss of the rows whose targets these are.
struct Rows<'a> {
    weights: Weights,
    targets: &'a [u32],
}

impl PairLoss for Rows<'_> {
    #[inline(always)]
    fn row<F: Real>(
        &self,
        index: usize,
        pair: (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        scratch: &mut [F],
    ) -> f64 {
        let Weights {
            alpha,
            beta,
            temperature,
        } = self.weights;
        let (y, inverse) = (self.targets[index] as usize, 1.0 / temperature);
        let others = SoftmaxPair::new(pair, Some(y), inverse, gradient, scratch);
        let own = |row: &[F], log_others: f64| row[y].to_f64() * inverse - log_others;
        let coins = of_coins(own(pair.0, others.student), own(pair.1, others.teacher));
        let slope = temperature * scale;
        // The others share what the target gains, by their own probabilities.
        let weights = (slope * (beta - alpha * coins.slope), slope * beta);
        others.combine(weights, gradient, scratch);
        gradient[y] = F::from_f64(slope * alpha * coins.slope);
        let target_part = coins.linear + coins.factor.ln();
        temperature * temperature * (alpha * target_part + beta * others.divergence)
    }
}

/// Configuration of training by decoupled distillation.
#[derive(Config, Debug)]
pub struct DkdConfig {
    /// Weight α of the target class's part, at least 0.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight β of the other classes' part, at least 0.
    #[config(default = 8.0)]
    pub beta: f64,
    /// Temperature T, above 0.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// Weight of cross-entropy, at least 0.
    #[config(default = 1.0)]
    pub ce_weight: f64,
}

impl DkdConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<OneHeadDistillation, ConfigError> {
        let taught = DkdLossConfig::new()
            .with_alpha(self.alpha)
            .with_beta(self.beta)
            .with_temperature(self.temperature)
            .init()?;
        let ce_weight = weight("dkd", "ce_weight", self.ce_weight)?;
        OneHeadDistillation::new((ce_weight, 1.0), Box::new(taught))
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let weight = |name, meaning, default, range| Parameter {
        name,
        meaning,
        default,
        range,
        scale: Scale::Logarithmic,
    };
    vec![ObjectiveEntry {
        name: "dkd",
        title: "Decoupled knowledge distillation",
        family: "distillation",
        formula: "ℓ = w_CE CE(s, y) + T² (α TCKD + β NCKD),  \
                  TCKD = KL of the coins (p_y, 1−p_y),  NCKD = KL of the softmaxes over k ≠ y",
        shapes: SHAPES,
        good_for: &["small student of a large teacher", "confident teachers"],
        cost: "teacher logits; a second softmax",
        when: "The teacher is sure of itself: what it says of the other classes then still counts.",
        when_not: "The teacher is weak: β multiplies its mistakes about the other classes.",
        source: "Zhao et al., CVPR 2022",
        parameters: vec![
            weight("alpha", "weight α of the target class's part", 1.0, (0.5, 2.0)),
            weight("beta", "weight β of the other classes' part", 8.0, (2.0, 8.0)),
            temperature_parameter(4.0),
            ce_weight(1.0),
        ],
        rust: "DkdConfig::new().with_alpha({alpha}).with_beta({beta}).with_temperature({temperature})\
               .with_ce_weight({ce_weight}).init()?",
        path: "thalweg::distillation::DkdConfig",
        build: Build::Scores(|value| {
            let config = DkdConfig::new()
                .with_alpha(value("alpha"))
                .with_beta(value("beta"));
            let config = config.with_temperature(value("temperature"));
            Ok(Box::new(config.with_ce_weight(value("ce_weight")).init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new("dkd_loss", "decoupled distillation loss, and its gradient")
            .param("alpha", 1.0)
            .param("beta", 8.0)
            .param("temperature", 4.0)
            .param("reduction", "mean")
            .input("student_logits", "[N, K]")
            .input("teacher_logits", "[N, K]")
            .input("labels", "[N]")
            .eval(|case| {
                let config = DkdLossConfig::new().with_alpha(case.param("alpha")?);
                let config = config.with_beta(case.param("beta")?);
                let config = config.with_temperature(case.param("temperature")?);
                let loss = config.with_reduction(case.reduction()?).init()?;
                case.logits("student_logits")?;
                case.logits("teacher_logits")?;
                let labels = case.class_labels("labels", "student_logits")?;
                let student = case.variable::<2>("student_logits");
                let value = loss.forward(student.clone(), case.tensor("teacher_logits"), labels);
                Ok(case.value_and_gradients(value, &[("student_logits", &student)]))
            }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::DistillKlLossConfig;
    use super::super::teacher_loss::tests::*;
    use super::*;
    use crate::classification::rowwise::tests::{assert_close, random_batch, value_and_gradient};

    fn loss(alpha: f64, beta: f64, temperature: f64) -> DkdLoss {
        DkdLossConfig::new()
            .with_alpha(alpha)
            .with_beta(beta)
            .with_temperature(temperature)
            .with_reduction(Reduction::None)
            .init()
            .unwrap()
    }

    #[test]
    fn kernel_and_composition_agree() {
        for (alpha, beta, temperature) in [(1.0, 8.0, 4.0), (0.5, 2.0, 1.0), (1.0, 0.0, 0.7)] {
            let DkdLoss { weights, .. } = loss(alpha, beta, temperature);
            let targets = [1, 0, 1, 0, 1];
            let rows = Rows {
                weights,
                targets: &targets.map(|y| y as u32),
            };
            kernel_equals_composition(&rows, |s, t| {
                let rows = s.dims()[0];
                let targets = Tensor::<1, Int>::from_ints(&targets[..rows], &t.device());
                weights.composed(s, t, targets)
            });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn knowledge_distillation_is_its_special_sum(
            seed in 0_u64..10_000, classes in 2_usize..9, temperature in 0.5_f64..6.0,
        ) {
            let [student, teacher] = random_pair(4, classes, 5.0, seed, DType::F64);
            let (_, targets) = random_batch(4, classes, 1.0, seed, DType::F64);
            let part = |alpha, beta| values(loss(alpha, beta, temperature).forward(student.clone(), teacher.clone(), targets.clone()));
            let (target_part, other_part) = (part(1.0, 0.0), part(0.0, 1.0));
            let p = log_softmax(teacher.clone() * (1.0 / temperature), 1).exp();
            let p_y = values(p.gather(1, targets.clone().reshape([4, 1])).reshape([4]));
            let sums: Vec<f64> = target_part.iter().zip(&other_part).zip(p_y).map(|((a, b), p)| a + (1.0 - p) * b).collect();
            let kd = DistillKlLossConfig::new().with_temperature(temperature).init().unwrap();
            assert_close(&sums, &values(kd.per_sample(student, teacher)), 1e-11);
        }

        #[test]
        fn equal_logits_are_the_minimum(seed in 0_u64..10_000, classes in 2_usize..9) {
            let [student, _] = random_pair(3, classes, 5.0, seed, DType::F64);
            let (_, targets) = random_batch(3, classes, 1.0, seed, DType::F64);
            let (value, gradient) = value_and_gradient(&student, |s| loss(1.0, 8.0, 4.0).forward(s, student.clone(), targets.clone()));
            prop_assert!(value.iter().chain(&gradient).all(|x| x.abs() < 1e-13));
        }
    }
}
