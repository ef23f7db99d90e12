//! Smooth adversarial comp-sum loss, and ADV-COMP-SUM, which trains with it.
//!
//! `ℓ = Φ^τ(Σ_{k≠y} exp(−(h_y(x) − h_k(x))/ρ)) + ν ‖Δ_h(x', y) − Δ_h(x, y)‖₂`, with
//! `Δ_h(x, y) = (h_y(x) − h_k(x))_{k≠y}` and `x'` an ascent on the norm. For `ν >= √(n−1)/ρ` it bounds the adversarial
//! ρ-margin loss from above. The gradient flows through both scores.
//!
//! Source: Mao, Mohri, Zhong, ICML 2023.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use faer::MatRef;
use thalweg_kernels::random::Stream;

use super::adversarial_training::EPSILON;
use super::pgd::shift_norm;
use super::{Norm, Pgd, PgdConfig};
use crate::classification::{CompSumLossConfig, LogitLoss};
use crate::config::require;
use crate::objective::{Batch, Build, Model, Objective, ObjectiveEntry, Parameter, Progress, Scale};
use crate::quantity::{Outputs, Quantity};
use crate::{ConfigError, Reduction};

/// Configuration of [`SmoothAdversarialCompSumLoss`].
#[derive(Config, Debug)]
pub struct SmoothAdversarialCompSumLossConfig {
    /// Family parameter τ, at least 0.
    #[config(default = 1.0)]
    pub tau: f64,
    /// Margin scale ρ, above 0.
    #[config(default = 1.0)]
    pub rho: f64,
    /// Weight ν of the shift, at least 0.
    #[config(default = 1.0)]
    pub nu: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl SmoothAdversarialCompSumLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When τ or ν is negative or ρ is not positive.
    pub fn init(&self) -> Result<SmoothAdversarialCompSumLoss, ConfigError> {
        let name = "smooth_adversarial_comp_sum";
        let rho = require(name, "rho", self.rho, "above 0 and finite", |rho| {
            rho > 0.0 && rho.is_finite()
        })?;
        let nu = require(name, "nu", self.nu, "at least 0 and finite", |nu| {
            nu >= 0.0 && nu.is_finite()
        })?;
        let clean = CompSumLossConfig::new()
            .with_tau(self.tau)
            .with_reduction(self.reduction)
            .init()?;
        Ok(SmoothAdversarialCompSumLoss {
            rho,
            nu,
            clean,
            reduction: self.reduction,
        })
    }
}

/// The loss of clean and perturbed scores.
#[derive(Clone, Debug)]
pub struct SmoothAdversarialCompSumLoss {
    rho: f64,
    nu: f64,
    clean: LogitLoss,
    reduction: Reduction,
}

impl SmoothAdversarialCompSumLoss {
    /// # Shapes
    /// - clean and perturbed logits `[batch, classes]`, targets `[batch]`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Panics
    /// When the shapes disagree or a target is out of range.
    pub fn forward(&self, clean: Tensor<2>, perturbed: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let shift = self
            .reduction
            .of(shift_norm(clean.clone(), perturbed, targets.clone()));
        self.clean.forward(clean * (1.0 / self.rho), targets) + shift * self.nu
    }
}

/// Configuration of [`AdvCompSum`].
#[derive(Config, Debug)]
pub struct AdvCompSumConfig {
    /// Radius ε of the attack, in units of the inputs.
    pub epsilon: f64,
    /// Family parameter τ, at least 0.
    #[config(default = 1.0)]
    pub tau: f64,
    /// Margin scale ρ, above 0.
    #[config(default = 1.0)]
    pub rho: f64,
    /// Weight ν of the shift, at least 0.
    #[config(default = 1.0)]
    pub nu: f64,
    /// Ascent steps.
    #[config(default = 10)]
    pub steps: usize,
    /// Norm of the ball.
    #[config(default = "Norm::LInf")]
    pub norm: Norm,
}

impl AdvCompSumConfig {
    /// The objective. The paper adds `λ‖θ‖²`: that is the optimiser's weight decay.
    ///
    /// # Errors
    /// When the radius, ρ, ν or τ is out of range.
    pub fn init(&self) -> Result<AdvCompSum, ConfigError> {
        let attack = PgdConfig::new(self.epsilon)
            .with_steps(self.steps)
            .with_norm(self.norm)
            .init()?;
        let loss = SmoothAdversarialCompSumLossConfig::new()
            .with_tau(self.tau)
            .with_rho(self.rho)
            .with_nu(self.nu)
            .init()?;
        Ok(AdvCompSum { attack, loss })
    }
}

/// Training with ADV-COMP-SUM. Costs `steps + 2` forward and backward passes; attack and loss share the clean one.
#[derive(Clone, Debug)]
pub struct AdvCompSum {
    attack: Pgd,
    loss: SmoothAdversarialCompSumLoss,
}

impl AdvCompSum {
    /// The attack, which is an ascent on the shift norm.
    fn perturb(&self, model: &dyn Model, batch: &Batch, clean: &Tensor<2>, random: &mut Stream) -> Tensor<2> {
        let fixed = clean.clone().without_autodiff();
        let start = self.attack.random_start(&batch.inputs, random);
        self.attack.attack(&batch.inputs, start, batch.range, |x| {
            shift_norm(fixed.clone(), model.frozen(x), batch.targets.clone()).sum()
        })
    }
}

impl Objective for AdvCompSum {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, random: &mut Stream) -> Tensor<1> {
        let clean = model.forward(batch.inputs.clone());
        let perturbed = self.perturb(model, batch, &clean, random);
        self.loss
            .forward(clean, model.forward(perturbed), batch.targets.clone())
    }
}

/// `sup ‖Δ_h(x', y) − Δ_h(x, y)‖₂` over the l2 ball of radius ε for the linear model `h = W x + b`, exactly:
/// `ε σ_max(w_y − W)`. `weight` is `[classes, features]`, row-major.
///
/// # Panics
/// When the weights are not finite.
pub fn sup_linear_l2(weight: &[f64], classes: usize, label: usize, epsilon: f64) -> f64 {
    let features = weight.len() / classes;
    let own = &weight[label * features..(label + 1) * features];
    let margins: Vec<f64> = weight
        .chunks_exact(features)
        .flat_map(|row| own.iter().zip(row).map(|(own, w)| own - w))
        .collect();
    let matrix = MatRef::from_row_major_slice(&margins, classes, features);
    let singular = matrix
        .singular_values()
        .expect("singular values of a finite matrix");
    epsilon * singular.first().copied().unwrap_or(0.0)
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "adv_comp_sum",
        title: "ADV-COMP-SUM",
        family: "robustness",
        formula: "ℓ = Φ^τ(Σ_{k≠y} exp(−(h_y − h_k)/ρ)) + ν ‖Δ_h(x', y) − Δ_h(x, y)‖₂,  x' = PGD ascent on the norm",
        shapes: "model, inputs [batch, features], targets [batch] → [1]",
        good_for: &["robust", "adversarial", "perturbed inputs", "clean accuracy kept"],
        cost: "12 forward and backward passes (10 of them for the inputs only)",
        when: "Robust accuracy is wanted and clean accuracy still counts: ν trades one for the other.",
        when_not: "Nobody perturbs the inputs. At the scale of our study it lies on TRADES' frontier, not above it.",
        source: "Mao, Mohri, Zhong, ICML 2023 (arXiv 2304.07288)",
        parameters: vec![
            EPSILON,
            Parameter {
                name: "nu",
                meaning: "weight ν of the shift",
                default: 1.0,
                range: (0.1, 1.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "rho",
                meaning: "margin scale ρ",
                default: 1.0,
                range: (0.5, 2.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "tau",
                meaning: "family parameter τ",
                default: 1.0,
                range: (0.5, 1.8),
                scale: Scale::Linear,
            },
        ],
        rust: "AdvCompSumConfig::new({epsilon}).with_tau({tau}).with_rho({rho}).with_nu({nu}).init()?",
        path: "thalweg::robustness::AdvCompSumConfig",
        build: Build::Scores(|value| {
            let config = AdvCompSumConfig::new(value("epsilon"))
                .with_tau(value("tau"))
                .with_rho(value("rho"))
                .with_nu(value("nu"));
            Ok(Box::new(config.init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "smooth_adversarial_comp_sum_loss",
            "smooth adversarial comp-sum loss of clean and perturbed logits, and both gradients",
        )
        .param("tau", 1.0)
        .param("rho", 1.0)
        .param("nu", 1.0)
        .param("reduction", "mean")
        .input("clean_logits", "[N, C]")
        .input("adv_logits", "[N, C]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("clean_logits")?;
            let loss = SmoothAdversarialCompSumLossConfig::new()
                .with_tau(case.param("tau")?)
                .with_rho(case.param("rho")?)
                .with_nu(case.param("nu")?)
                .with_reduction(case.reduction()?)
                .init()?;
            let labels = case.class_labels("labels", "clean_logits")?;
            let (clean, perturbed) = (
                case.variable::<2>("clean_logits"),
                case.variable::<2>("adv_logits"),
            );
            let value = loss.forward(clean.clone(), perturbed.clone(), labels);
            Ok(case.value_and_gradients(value, &[("clean_logits", &clean), ("adv_logits", &perturbed)]))
        }),
        Quantity::new(
            "smooth_adversarial_sup_linear_l2",
            "largest shift norm of a linear model over an l2 ball, exactly",
        )
        .required_param("epsilon")
        .input("weight", "[C, d]")
        .input("labels", "[N]")
        .eval(|case| {
            let epsilon = case.param("epsilon")?;
            PgdConfig::new(epsilon).init()?;
            let weight = case.array("weight");
            let labels = case.class_indices("labels", weight.shape[0])?;
            if weight.shape[1] == 0 || weight.data.iter().any(|w| w.is_infinite()) {
                return case.refuse_input("weight", "must have at least one column of finite numbers");
            }
            let value: Vec<f64> = labels
                .into_iter()
                .map(|label| sup_linear_l2(&weight.data, weight.shape[0], label, epsilon))
                .collect();
            Ok(Outputs::new().with("value", value))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::super::CompSumRhoMarginLossConfig;
    use super::super::pgd::tests::random_matrix;
    use super::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor.into_data().try_into_vec_as::<f64>().unwrap()
    }

    fn each(tau: f64, rho: f64, nu: f64) -> SmoothAdversarialCompSumLoss {
        let config = SmoothAdversarialCompSumLossConfig::new()
            .with_tau(tau)
            .with_rho(rho)
            .with_nu(nu);
        config.with_reduction(Reduction::None).init().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn above_the_rho_margin_loss_of_the_perturbed_scores(
            seed in 0_u64..100_000, classes in 2_usize..6, tau in 0.0_f64..2.0, rho in 0.3_f64..2.0,
        ) {
            let mut stream = Stream::new(seed, "bound", 0);
            let (clean, perturbed) =
                (random_matrix(6, classes, 3.0, &mut stream), random_matrix(6, classes, 3.0, &mut stream));
            let labels: Vec<i64> = (0..6).map(|_| stream.below(classes) as i64).collect();
            let targets = Tensor::<1, Int>::from_ints(labels.as_slice(), &Device::flex());
            let nu = ((classes - 1) as f64).sqrt() / rho;
            let smooth = numbers(each(tau, rho, nu).forward(clean.clone(), perturbed.clone(), targets.clone()));
            let margin = CompSumRhoMarginLossConfig::new().with_tau(tau).with_rho(rho);
            let margin = margin.with_reduction(Reduction::None).init().unwrap();
            let margin = numbers(margin.forward(perturbed, targets.clone()));
            prop_assert!(smooth.iter().zip(&margin).all(|(smooth, margin)| *smooth >= margin - 1e-10));
            // Without the shift and at ρ = 1 it is the comp-sum loss.
            let plain = CompSumLossConfig::new().with_tau(tau).with_reduction(Reduction::None).init().unwrap();
            let same = numbers(each(tau, 1.0, 0.0).forward(clean.clone(), clean.clone() + 1.0, targets.clone()));
            let plain = numbers(plain.forward(clean, targets));
            prop_assert!(same.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b)));
        }
    }

    #[test]
    fn the_gradient_flows_through_the_clean_scores_of_the_shift() {
        // d/d(clean) of ν‖shift‖ is minus d/d(perturbed): detaching would leave the softmax part only.
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_ints([0], &device);
        let clean = Tensor::<2>::from_floats([[0.0, 1.0]], &device)
            .autodiff()
            .require_grad();
        let perturbed = Tensor::<2>::from_floats([[0.5, 0.0]], &device)
            .autodiff()
            .require_grad();
        let gradients = each(1.0, 1.0, 2.0)
            .forward(clean.clone(), perturbed.clone(), targets)
            .backward();
        assert_eq!(numbers(perturbed.grad(&gradients).unwrap()), [2.0, -2.0]);
        let p = 1.0 / (1.0 + 1.0_f64.exp());
        let found = numbers(clean.grad(&gradients).unwrap());
        assert!((found[0] - (p - 1.0 - 2.0)).abs() < 1e-6 && (found[1] - (1.0 - p + 2.0)).abs() < 1e-6);
    }
}
