//! A student with one head taught by labels and a teacher at once: `w_CE CE(s, y) + w L(s, t)` of any loss of logits.
//!
//! Its members here are BinaryKL alone, and cross-entropy with BinaryKL or BinaryKL-Norm on the same head: the combination
//! that the dual-head method takes apart.

use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::kd::{temperature_parameter, weight};
use super::{BinaryKlLossConfig, BinaryKlNormLossConfig, SHAPES, TaughtLoss, TeacherLoss};
use crate::ConfigError;
use crate::classification::{CompSumLossConfig, LogitLoss};
use crate::objective::{Batch, Build, Model, Needs, Objective, ObjectiveEntry, Parameter, Progress, Scale};

/// Which of the two losses of coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BinaryDivergence {
    /// [`BinaryKlLossConfig`].
    Plain,
    /// [`BinaryKlNormLossConfig`].
    Normalized,
}

impl BinaryDivergence {
    /// Its mean over a batch at a temperature.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn at(self, temperature: f64) -> Result<TeacherLoss, ConfigError> {
        match self {
            Self::Plain => BinaryKlLossConfig::new().with_temperature(temperature).init(),
            Self::Normalized => BinaryKlNormLossConfig::new().with_temperature(temperature).init(),
        }
    }
}

/// Configuration of training one head by a loss of coins and, perhaps, labels.
#[derive(Config, Debug)]
pub struct LogitDistillationConfig {
    /// The loss of student and teacher logits.
    #[config(default = "BinaryDivergence::Normalized")]
    pub divergence: BinaryDivergence,
    /// Weight α of that loss, at least 0.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight γ of cross-entropy, at least 0; 0 leaves the labels unread.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// Temperature T, above 0.
    #[config(default = 2.0)]
    pub temperature: f64,
}

impl LogitDistillationConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the temperature is not positive, or a weight negative.
    pub fn init(&self) -> Result<OneHeadDistillation, ConfigError> {
        let weights = (
            weight("logit_distillation", "gamma", self.gamma)?,
            weight("logit_distillation", "alpha", self.alpha)?,
        );
        OneHeadDistillation::new(weights, Box::new(self.divergence.at(self.temperature)?))
    }
}

/// Training one head by labels and a teacher.
pub struct OneHeadDistillation {
    cross_entropy: LogitLoss,
    label_weight: f64,
    taught: Box<dyn TaughtLoss>,
    teacher_weight: f64,
}

impl OneHeadDistillation {
    /// Of the weights of cross-entropy and of `taught`.
    pub(super) fn new(
        (label_weight, teacher_weight): (f64, f64),
        taught: Box<dyn TaughtLoss>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            cross_entropy: CompSumLossConfig::new().init()?,
            label_weight,
            taught,
            teacher_weight,
        })
    }
}

impl Objective for OneHeadDistillation {
    /// # Panics
    /// When the batch has no teacher logits.
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let student = model.forward(batch.inputs.clone());
        let teacher = batch.taught();
        let taught = self
            .taught
            .of_batch(student.clone(), teacher, batch.targets.clone());
        let taught = taught * self.teacher_weight;
        if self.label_weight == 0.0 {
            return taught;
        }
        self.cross_entropy.forward(student, batch.targets.clone()) * self.label_weight + taught
    }

    fn needs(&self) -> Needs {
        Needs {
            teacher: true,
            ..Needs::default()
        }
    }
}

/// Weight of a loss of coins.
pub(super) const ALPHA: Parameter = Parameter {
    name: "alpha",
    meaning: "weight α of the loss against the teacher",
    default: 1.0,
    range: (0.1, 4.0),
    scale: Scale::Logarithmic,
};

/// Weight of cross-entropy.
pub(super) const GAMMA: Parameter = Parameter {
    name: "gamma",
    meaning: "weight γ of cross-entropy",
    default: 1.0,
    range: (0.1, 2.0),
    scale: Scale::Logarithmic,
};

pub(super) const SOURCE: &str = "Yang, Zong, Huang, Feng, An, KDD 2025";

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        ObjectiveEntry {
            name: "binary_kl",
            title: "BinaryKL distillation",
            family: "distillation",
            formula: "ℓ = α T² Σ_k KL(σ(t_k/T) ‖ σ(s_k/T))",
            shapes: SHAPES,
            good_for: &["small student of a large teacher", "samples without labels"],
            cost: "teacher logits; two sigmoids a class",
            when: "There is a teacher and no labels, or none to be trusted.",
            when_not: "Labels are good: they say what the teacher gets wrong.",
            source: SOURCE,
            parameters: vec![ALPHA, temperature_parameter(2.0)],
            rust: "LogitDistillationConfig::new().with_divergence(BinaryDivergence::Plain).with_alpha({alpha})\
                   .with_gamma(0.0).with_temperature({temperature}).init()?",
            path: "thalweg::distillation::{BinaryDivergence, LogitDistillationConfig}",
            build: Build::Scores(|value| {
                let config = LogitDistillationConfig::new().with_divergence(BinaryDivergence::Plain);
                let config = config.with_alpha(value("alpha")).with_gamma(0.0);
                Ok(Box::new(config.with_temperature(value("temperature")).init()?))
            }),
        },
        ObjectiveEntry {
            name: "ce_binary_kl",
            title: "Cross-entropy and BinaryKL on one head",
            family: "distillation",
            formula: "ℓ = γ CE(s, y) + α T² Σ_k KL(σ(t_k/T) ‖ σ(s_k/T))",
            shapes: SHAPES,
            good_for: &["small student of a large teacher"],
            cost: "teacher logits; two sigmoids a class",
            when: "A second head is not possible and the sizes of the teacher's logits are to count.",
            when_not: "A second head is possible: the two losses pull one head in different directions.",
            source: SOURCE,
            parameters: vec![ALPHA, GAMMA, temperature_parameter(2.0)],
            rust: "LogitDistillationConfig::new().with_divergence(BinaryDivergence::Plain).with_alpha({alpha})\
                   .with_gamma({gamma}).with_temperature({temperature}).init()?",
            path: "thalweg::distillation::{BinaryDivergence, LogitDistillationConfig}",
            build: Build::Scores(|value| {
                let config = LogitDistillationConfig::new().with_divergence(BinaryDivergence::Plain);
                let config = config.with_alpha(value("alpha")).with_gamma(value("gamma"));
                Ok(Box::new(config.with_temperature(value("temperature")).init()?))
            }),
        },
        ObjectiveEntry {
            name: "ce_binary_kl_norm",
            title: "Cross-entropy and BinaryKL-Norm on one head",
            family: "distillation",
            formula: "ℓ = γ CE(s, y) + α T² Σ_k log cosh((s_k − t_k)/(2T))",
            shapes: SHAPES,
            good_for: &["small student of a large teacher"],
            cost: "teacher logits; one exponential a class",
            when: "A second head is not possible and logits are to be matched, with a bounded pull.",
            when_not: "A second head is possible: the two losses pull one head in different directions.",
            source: SOURCE,
            parameters: vec![ALPHA, GAMMA, temperature_parameter(2.0)],
            rust: "LogitDistillationConfig::new().with_alpha({alpha}).with_gamma({gamma})\
                   .with_temperature({temperature}).init()?",
            path: "thalweg::distillation::LogitDistillationConfig",
            build: Build::Scores(|value| {
                let config = LogitDistillationConfig::new();
                let config = config.with_alpha(value("alpha")).with_gamma(value("gamma"));
                Ok(Box::new(config.with_temperature(value("temperature")).init()?))
            }),
        },
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, Int};

    use super::super::teacher_loss::tests::{random_pair, values};
    use super::*;

    struct Identity;

    impl Model for Identity {
        fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
            inputs
        }

        fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
            inputs
        }
    }

    #[test]
    fn labels_and_teacher_count_by_their_weights() {
        let [student, teacher] = random_pair(3, 4, 2.0, 0, DType::F64);
        let targets = Tensor::<1, Int>::from_ints([0, 3, 1], &Device::flex());
        let batch = Batch {
            inputs: student.clone(),
            targets: targets.clone(),
            ids: vec![0, 1, 2],
            range: None,
            bags: None,
            teacher_logits: Some(teacher.clone()),
        };
        let progress = Progress {
            epoch: 0,
            epochs: 1,
            step: 0,
            steps: 1,
        };
        let loss = |alpha: f64, gamma: f64| {
            let config = LogitDistillationConfig::new().with_alpha(alpha).with_gamma(gamma);
            let mut objective = config.init().unwrap();
            assert!(objective.needs().teacher && !objective.needs().auxiliary_head);
            let mut random = Stream::new(0, "unused", 0);
            values(objective.loss(&Identity, &batch, &progress, &mut random))[0]
        };
        let cross_entropy = CompSumLossConfig::new()
            .init()
            .unwrap()
            .forward(student.clone(), targets);
        let taught = BinaryKlNormLossConfig::new()
            .init()
            .unwrap()
            .forward(student, teacher);
        let (cross_entropy, taught) = (values(cross_entropy)[0], values(taught)[0]);
        assert!((loss(0.3, 0.7) - (0.7 * cross_entropy + 0.3 * taught)).abs() < 1e-12);
        assert!((loss(2.0, 0.0) - 2.0 * taught).abs() < 1e-12);
        assert!(LogitDistillationConfig::new().with_alpha(-1.0).init().is_err());
    }
}
