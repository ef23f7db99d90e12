//! Dual-head distillation: `γ CE(s₁, y) + α BinaryKL(s₂, t)`, each loss on a head of its own over common features.
//!
//! The main head s₁ answers; the auxiliary head s₂ only trains and is discarded. Nothing of the teacher reaches the main
//! head and no label the auxiliary one; they meet in the features, where their gradients mostly agree. Where they do not,
//! the teacher's can be [aligned](super::align).
//!
//! Source: Yang, Zong, Huang, Feng, An, "Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an Auxiliary
//! Head", KDD 2025 (arXiv 2411.08937). α = 1 and T = 2 are its CIFAR-100 setting; 0.1 and 2 that for ImageNet.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::kd::{temperature_parameter, weight};
use super::one_head::{ALPHA, GAMMA, SOURCE};
use super::{AlignmentScope, BinaryDivergence, SHAPES, TeacherLoss};
use crate::classification::{CompSumLossConfig, LogitLoss};
use crate::objective::{Batch, Build, Descent, DualHead, Model, Needs, Objective, ObjectiveEntry, Progress};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`DualHeadDistillationLoss`].
#[derive(Config, Debug)]
pub struct DualHeadDistillationLossConfig {
    /// The loss of the auxiliary head's logits.
    #[config(default = "BinaryDivergence::Normalized")]
    pub divergence: BinaryDivergence,
    /// Weight α of that loss, at least 0.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight γ of the main head's cross-entropy, at least 0.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// Temperature T, above 0.
    #[config(default = 2.0)]
    pub temperature: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl DualHeadDistillationLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<DualHeadDistillationLoss, ConfigError> {
        Ok(DualHeadDistillationLoss {
            cross_entropy: CompSumLossConfig::new().with_reduction(Reduction::None).init()?,
            gamma: weight("dual_head", "gamma", self.gamma)?,
            taught: self.divergence.at(self.temperature)?,
            alpha: weight("dual_head", "alpha", self.alpha)?,
            reduction: self.reduction,
        })
    }
}

/// The loss of the logits of two heads.
#[derive(Clone, Debug)]
pub struct DualHeadDistillationLoss {
    cross_entropy: LogitLoss,
    gamma: f64,
    taught: TeacherLoss,
    alpha: f64,
    reduction: Reduction,
}

impl DualHeadDistillationLoss {
    /// # Shapes
    /// - logits of the main head, the auxiliary head and the teacher `[batch, classes]`, targets `[batch]`; returns `[1]`,
    ///   or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the shapes disagree or a target is out of range.
    pub fn forward(
        &self,
        main: Tensor<2>,
        auxiliary: Tensor<2>,
        teacher: Tensor<2>,
        targets: Tensor<1, Int>,
    ) -> Tensor<1> {
        self.of_main(main, targets) + self.of_auxiliary(auxiliary, teacher)
    }

    /// The main head's part. Shapes as [`forward`](Self::forward).
    ///
    /// # Panics
    /// When the shapes disagree or a target is out of range.
    pub fn of_main(&self, main: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.reduction.of(self.cross_entropy.forward(main, targets)) * self.gamma
    }

    /// The auxiliary head's part. Shapes as [`forward`](Self::forward).
    ///
    /// # Panics
    /// When the shapes disagree.
    pub fn of_auxiliary(&self, auxiliary: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        self.reduction.of(self.taught.per_sample(auxiliary, teacher)) * self.alpha
    }
}

/// Configuration of [`DualHeadDistillation`].
#[derive(Config, Debug)]
pub struct DualHeadDistillationConfig {
    /// The loss of the auxiliary head's logits.
    #[config(default = "BinaryDivergence::Normalized")]
    pub divergence: BinaryDivergence,
    /// Weight α of that loss, at least 0.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight γ of the main head's cross-entropy, at least 0.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// Temperature T, above 0.
    #[config(default = 2.0)]
    pub temperature: f64,
    /// Over which parameters the teacher's gradient is kept from opposing that of the labels; none: it is not.
    pub alignment: Option<AlignmentScope>,
}

impl DualHeadDistillationConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<DualHeadDistillation, ConfigError> {
        let loss = DualHeadDistillationLossConfig::new()
            .with_divergence(self.divergence)
            .with_alpha(self.alpha)
            .with_gamma(self.gamma)
            .with_temperature(self.temperature)
            .init()?;
        Ok(DualHeadDistillation {
            loss,
            alignment: self.alignment,
        })
    }
}

/// Training with two heads. Needs a model that offers [`Model::dual_head`] and a batch with teacher logits.
#[derive(Clone, Debug)]
pub struct DualHeadDistillation {
    loss: DualHeadDistillationLoss,
    alignment: Option<AlignmentScope>,
}

fn heads(model: &dyn Model) -> &dyn DualHead {
    model
        .dual_head()
        .expect("dual-head distillation needs a model with an auxiliary head")
}

impl Objective for DualHeadDistillation {
    /// The plain sum; alignment acts in [`descent`](Objective::descent).
    ///
    /// # Panics
    /// When the model has no auxiliary head or the batch no teacher logits.
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let heads = heads(model);
        let features = heads.features(batch.inputs.clone());
        let main = heads.main(features.clone());
        let auxiliary = heads.auxiliary(features, random);
        self.loss
            .forward(main, auxiliary, batch.taught(), batch.targets.clone())
    }

    /// With alignment the two losses apart, each on a forward pass of its own: burn's graph is spent by one backward pass.
    fn descent(
        &mut self,
        model: &dyn Model,
        batch: &Batch,
        progress: &Progress,
        random: &mut Stream,
    ) -> Descent {
        let Some(scope) = self.alignment else {
            return Descent::Loss(self.loss(model, batch, progress, random));
        };
        let heads = heads(model);
        let main = model.forward(batch.inputs.clone());
        let auxiliary = heads.auxiliary(heads.features(batch.inputs.clone()), random);
        Descent::Aligned {
            main: self.loss.of_main(main, batch.targets.clone()),
            auxiliary: self.loss.of_auxiliary(auxiliary, batch.taught()),
            scope,
        }
    }

    fn needs(&self) -> Needs {
        Needs {
            teacher: true,
            auxiliary_head: true,
            ..Needs::default()
        }
    }
}

/// What differs between the members in the catalogue.
struct Variant {
    divergence: BinaryDivergence,
    alignment: Option<AlignmentScope>,
}

fn build(value: &dyn Fn(&str) -> f64, variant: Variant) -> Result<DualHeadDistillation, ConfigError> {
    DualHeadDistillationConfig::new()
        .with_divergence(variant.divergence)
        .with_alpha(value("alpha"))
        .with_gamma(value("gamma"))
        .with_temperature(value("temperature"))
        .with_alignment(variant.alignment)
        .init()
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let plain = ObjectiveEntry {
        name: "dual_head_kl",
        title: "Dual-head distillation with BinaryKL",
        family: "distillation",
        formula: "ℓ = γ CE(s₁, y) + α T² Σ_k KL(σ(t_k/T) ‖ σ(s₂_k/T)),  s₁, s₂ two heads; s₁ answers",
        shapes: SHAPES,
        good_for: &["small student of a large teacher", "many classes"],
        cost: "teacher logits; a second head while training",
        when: "There are many classes and labels and teacher are both worth following.",
        when_not: "There are ten classes or so: plain distillation did better on digits.",
        source: SOURCE,
        parameters: vec![ALPHA, GAMMA, temperature_parameter(2.0)],
        rust: "DualHeadDistillationConfig::new().with_divergence(BinaryDivergence::Plain).with_alpha({alpha})\
               .with_gamma({gamma}).with_temperature({temperature}).init()?",
        path: "thalweg::distillation::{BinaryDivergence, DualHeadDistillationConfig}",
        build: Build::Scores(|value| {
            let variant = Variant {
                divergence: BinaryDivergence::Plain,
                alignment: None,
            };
            Ok(Box::new(build(value, variant)?))
        }),
    };
    let norm = ObjectiveEntry {
        name: "dual_head_kl_norm",
        title: "Dual-head distillation",
        formula: "ℓ = γ CE(s₁, y) + α T² Σ_k log cosh((s₂_k − t_k)/(2T)),  s₁, s₂ two heads; s₁ answers",
        rust: "DualHeadDistillationConfig::new().with_alpha({alpha}).with_gamma({gamma})\
               .with_temperature({temperature}).init()?",
        path: "thalweg::distillation::DualHeadDistillationConfig",
        build: Build::Scores(|value| {
            let variant = Variant {
                divergence: BinaryDivergence::Normalized,
                alignment: None,
            };
            Ok(Box::new(build(value, variant)?))
        }),
        ..plain.clone()
    };
    let plain_aligned = ObjectiveEntry {
        name: "dual_head_kl_ga",
        title: "Dual-head distillation with BinaryKL, aligned",
        formula: "as dual_head_kl,  the teacher's gradient without its part against that of the labels",
        cost: "teacher logits, a second head, two forward and backward passes",
        when: "As dual_head_kl, where labels and teacher disagree about the features.",
        when_not: "The two gradients agree anyway: it then changes nothing and costs twice the time.",
        rust: "DualHeadDistillationConfig::new().with_divergence(BinaryDivergence::Plain).with_alpha({alpha})\
               .with_gamma({gamma}).with_temperature({temperature})\
               .with_alignment(Some(AlignmentScope::Full)).init()?",
        path: "thalweg::distillation::*",
        build: Build::Scores(|value| {
            let variant = Variant {
                divergence: BinaryDivergence::Plain,
                alignment: Some(AlignmentScope::Full),
            };
            Ok(Box::new(build(value, variant)?))
        }),
        ..plain.clone()
    };
    let norm_aligned = ObjectiveEntry {
        name: "dual_head_kl_norm_ga",
        title: "Dual-head distillation, aligned",
        formula: "as dual_head_kl_norm,  the teacher's gradient without its part against that of the labels",
        when: "As dual_head_kl_norm, where labels and teacher disagree about the features.",
        rust: "DualHeadDistillationConfig::new().with_alpha({alpha}).with_gamma({gamma})\
               .with_temperature({temperature}).with_alignment(Some(AlignmentScope::Full)).init()?",
        path: "thalweg::distillation::{AlignmentScope, DualHeadDistillationConfig}",
        build: Build::Scores(|value| {
            let variant = Variant {
                divergence: BinaryDivergence::Normalized,
                alignment: Some(AlignmentScope::Full),
            };
            Ok(Box::new(build(value, variant)?))
        }),
        ..plain_aligned.clone()
    };
    vec![plain, norm, plain_aligned, norm_aligned]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "dual_head_distillation_loss",
            "cross-entropy of one linear head and BinaryKL-Norm of another, and all gradients",
        )
        .param("alpha", 1.0)
        .param("gamma", 1.0)
        .param("temperature", 2.0)
        .param("reduction", "mean")
        .input("features", "[N, D]")
        .input("w_main", "[K, D]")
        .input("b_main", "[K]")
        .input("w_aux", "[K, D]")
        .input("b_aux", "[K]")
        .input("teacher_logits", "[N, K]")
        .input("labels", "[N]")
        .eval(|case| {
            let config = DualHeadDistillationLossConfig::new().with_alpha(case.param("alpha")?);
            let config = config.with_gamma(case.param("gamma")?);
            let config = config.with_temperature(case.param("temperature")?);
            let loss = config.with_reduction(case.reduction()?).init()?;
            case.logits("teacher_logits")?;
            let labels = case.class_labels("labels", "teacher_logits")?;
            let [features, w_main, w_aux] =
                ["features", "w_main", "w_aux"].map(|name| case.variable::<2>(name));
            let [b_main, b_aux] = ["b_main", "b_aux"].map(|name| case.variable::<1>(name));
            let head = |weight: &Tensor<2>, bias: &Tensor<1>| {
                features.clone().matmul(weight.clone().transpose()) + bias.clone().unsqueeze()
            };
            let (main, auxiliary) = (head(&w_main, &b_main), head(&w_aux, &b_aux));
            let value = loss.forward(main, auxiliary, case.tensor("teacher_logits"), labels);
            let outputs = case.loss_value(value.clone());
            let gradients = value.sum().backward();
            Ok(outputs
                .with_gradient("features", &features, &gradients)
                .with_gradient("w_main", &w_main, &gradients)
                .with_gradient("b_main", &b_main, &gradients)
                .with_gradient("w_aux", &w_aux, &gradients)
                .with_gradient("b_aux", &b_aux, &gradients))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::teacher_loss::tests::{random_pair, values};
    use super::*;
    use crate::classification::rowwise::tests::random_batch;

    /// Gradients of the two heads' logits.
    fn gradients(alpha: f64, gamma: f64, seed: u64) -> [Vec<f64>; 2] {
        let [main, auxiliary] =
            random_pair(3, 4, 3.0, seed, DType::F64).map(|logits| logits.autodiff().require_grad());
        let [teacher, _] = random_pair(3, 4, 3.0, seed + 1, DType::F64);
        let (_, targets) = random_batch(3, 4, 1.0, seed, DType::F64);
        let config = DualHeadDistillationLossConfig::new()
            .with_alpha(alpha)
            .with_gamma(gamma);
        let loss = config.init().unwrap();
        let value = loss.forward(main.clone(), auxiliary.clone(), teacher, targets);
        let gradients = value.backward();
        [main, auxiliary].map(|logits| {
            let gradient = logits.grad(&gradients).unwrap();
            gradient.into_data().try_into_vec_as::<f64>().unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn each_head_has_its_own_weight_only(seed in 0_u64..1000, alpha in 0.1_f64..4.0, gamma in 0.1_f64..2.0) {
            let [main, auxiliary] = gradients(alpha, gamma, seed);
            let ([other_main, _], [_, other_auxiliary]) = (gradients(3.0 * alpha, gamma, seed), gradients(alpha, 3.0 * gamma, seed));
            prop_assert_eq!(main, other_main);
            prop_assert_eq!(auxiliary, other_auxiliary);
        }
    }

    #[test]
    fn reductions_agree() {
        let [main, auxiliary] = random_pair(3, 4, 3.0, 0, DType::F64);
        let [teacher, _] = random_pair(3, 4, 3.0, 1, DType::F64);
        let (_, targets) = random_batch(3, 4, 1.0, 0, DType::F64);
        let value = |reduction| {
            let loss = DualHeadDistillationLossConfig::new()
                .with_reduction(reduction)
                .init()
                .unwrap();
            values(loss.forward(main.clone(), auxiliary.clone(), teacher.clone(), targets.clone()))
        };
        let each: f64 = value(Reduction::None).iter().sum();
        assert!((value(Reduction::Sum)[0] - each).abs() < 1e-12);
        assert!((value(Reduction::Mean)[0] - each / 3.0).abs() < 1e-12);
    }
}
