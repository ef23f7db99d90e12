//! Comp-sum losses `Φ^τ(u) = ((1+u)^(1−τ) − 1)/(1−τ)`, `u = Σ_{k≠y} exp(h_k − h_y)`.
//!
//! τ = 0 is the sum-exponential loss `1/p_y − 1`, τ = 1 cross-entropy `−log p_y`, 1 < τ < 2 generalised cross-entropy
//! `(1 − p_y^q)/q` with `q = τ − 1`, τ = 2 mean absolute error `1 − p_y` (half the L1 distance to the one-hot vector).
//! In nats where τ = 1. Gradient: `∂ℓ/∂h_k = p_y^(τ−1) (p_k − 1[k = y])`.
//!
//! Source: Mao, Mohri, Zhong, "Cross-Entropy Loss Functions: Theoretical Analysis and Applications", ICML 2023.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::rowwise::{Coefficients, Member, Row};

use super::LogitLoss;
use super::rowwise::{RowwiseLoss, log_prob_of_target};
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::{Outputs, Quantity};
use crate::{ConfigError, Reduction};

/// Configuration of the comp-sum loss.
#[derive(Config, Debug)]
pub struct CompSumLossConfig {
    /// Family parameter τ, at least 0.
    #[config(default = 1.0)]
    pub tau: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
    /// For τ < 1, where the loss grows like `exp((1−τ)(h_max − h_y))`: the exponent from which it goes on as a straight
    /// line of the same slope, so that one badly wrong sample cannot overflow a training step. None: the plain loss.
    pub max_exponent: Option<f64>,
}

impl CompSumLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When τ is negative or the exponent is not positive.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let tau = require("comp_sum", "tau", self.tau, "at least 0 and finite", |tau| {
            tau >= 0.0 && tau.is_finite()
        })?;
        let max_exponent = self.max_exponent.unwrap_or(f64::INFINITY);
        require("comp_sum", "max_exponent", max_exponent, "above 0", |exponent| {
            exponent > 0.0
        })?;
        Ok(LogitLoss::of_softmax(
            CompSum { tau, max_exponent },
            self.reduction,
        ))
    }
}

/// `Φ^τ` as a function of `log p_y = −log(1+u)`.
#[derive(Clone, Copy, Debug)]
struct CompSum {
    tau: f64,
    max_exponent: f64,
}

impl Member for CompSum {
    fn row(&self, row: Row) -> Coefficients {
        let power = 1.0 - self.tau;
        if power == 0.0 {
            return Coefficients::of_log_p(-row.log_p, -1.0);
        }
        let exponent = -power * row.log_p;
        let capped = exponent.min(self.max_exponent);
        let slope = capped.exp();
        let beyond = if exponent > capped {
            slope * (exponent - capped)
        } else {
            0.0
        };
        Coefficients::of_log_p((capped.exp_m1() + beyond) / power, -slope)
    }
}

impl RowwiseLoss for CompSum {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let surprise = -log_prob_of_target(logits, targets);
        phi_of_log1p(surprise, self.tau, self.max_exponent)
    }
}

/// `Φ^τ(u)` of `log(1+u)`, on any backend.
fn phi_of_log1p(log1p_u: Tensor<1>, tau: f64, max_exponent: f64) -> Tensor<1> {
    let power = 1.0 - tau;
    if power == 0.0 {
        return log1p_u;
    }
    let exponent = log1p_u * power;
    let (capped, beyond) = if max_exponent.is_finite() {
        let capped = exponent.clone().clamp_max(max_exponent);
        let beyond = capped.clone().exp() * (exponent - capped.clone());
        (capped, Some(beyond))
    } else {
        (exponent, None)
    };
    // exp(x) − 1 without cancellation: tanh(x/2)·(exp(x) + 1).
    let grown = (capped.clone() * 0.5).tanh() * (capped.exp() + 1.0);
    let total = match beyond {
        Some(beyond) => grown + beyond,
        None => grown,
    };
    // Not `/ power`: burn differentiates a division by a number in single precision.
    total * (1.0 / power)
}

/// `Φ^τ(u)` for `u >= 0` `[batch]`, differentiable in `u`.
pub(crate) fn phi(u: Tensor<1>, tau: f64) -> Tensor<1> {
    phi_of_log1p(u.log1p(), tau, f64::INFINITY)
}

/// Where a straight line takes over when τ < 1 is trained: `e^20`, far above any loss that still teaches something.
const TRAINING_EXPONENT: f64 = 20.0;

const SOURCE: &str = "Mao, Mohri, Zhong, ICML 2023 (arXiv 2304.07288)";
const SHAPES: &str = "logits [batch, classes], targets [batch] → [1]";
const PATH: &str = "thalweg::classification::CompSumLossConfig";

fn trained(tau: f64) -> Result<Box<dyn crate::objective::Objective>, ConfigError> {
    let config = CompSumLossConfig::new().with_tau(tau);
    let config = if tau < 1.0 {
        config.with_max_exponent(Some(TRAINING_EXPONENT))
    } else {
        config
    };
    Ok(Box::new(config.init()?))
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let common = ObjectiveEntry {
        name: "comp_sum",
        title: "Comp-sum loss",
        family: "classification",
        formula: "ℓ = ((1+u)^(1−τ) − 1)/(1−τ),  u = Σ_{k≠y} exp(h_k − h_y);  τ = 1: ℓ = log(1+u)",
        shapes: SHAPES,
        good_for: &["noisy labels", "robust", "one knob from convex to bounded"],
        cost: "as cross-entropy",
        when: "Some labels are wrong and you do not know how many: τ between 1 and 2 trades the speed of cross-entropy \
               for a bounded loss that a wrong label cannot dominate.",
        when_not: "Labels are clean and probabilities matter: τ = 1 is cross-entropy, and only it is calibrated in nats.",
        source: SOURCE,
        parameters: vec![Parameter {
            name: "tau",
            meaning: "family parameter τ",
            default: 1.5,
            range: (0.0, 2.0),
            scale: Scale::Linear,
        }],
        rust: "CompSumLossConfig::new().with_tau({tau}).init()?",
        path: PATH,
        build: Build::Scores(|value| trained(value("tau"))),
    };
    vec![
        ObjectiveEntry {
            name: "cross_entropy",
            title: "Cross-entropy",
            formula: "ℓ = −log p_y,  p = softmax(h)",
            good_for: &[
                "clean labels",
                "calibration",
                "probabilities",
                "the everyday choice",
            ],
            cost: "one pass over the scores",
            when: "Labels can be trusted and probabilities are wanted. The baseline of every comparison.",
            when_not: "A noticeable share of labels is wrong: it will learn them by heart.",
            parameters: vec![],
            rust: "CompSumLossConfig::new().init()?",
            build: Build::Scores(|_| trained(1.0)),
            ..common.clone()
        },
        ObjectiveEntry {
            name: "generalized_cross_entropy",
            title: "Generalised cross-entropy",
            formula: "ℓ = (1 − p_y^q)/q",
            good_for: &["noisy labels", "robust"],
            when: "Up to about half of the labels are wrong. q near 0 is cross-entropy, q = 1 mean absolute error.",
            when_not: "Many classes and few epochs with q near 1: gradients of hard samples vanish.",
            source: "Zhang, Sabuncu, NeurIPS 2018; comp-sum with τ = 1 + q",
            parameters: vec![Parameter {
                name: "q",
                meaning: "0: cross-entropy, 1: mean absolute error",
                default: 0.7,
                range: (0.05, 1.0),
                scale: Scale::Linear,
            }],
            rust: "CompSumLossConfig::new().with_tau(1.0 + {q}).init()?",
            build: Build::Scores(|value| {
                let q = require(
                    "generalized_cross_entropy",
                    "q",
                    value("q"),
                    "above 0 and at most 1",
                    |q| q > 0.0 && q <= 1.0,
                )?;
                trained(1.0 + q)
            }),
            ..common.clone()
        },
        ObjectiveEntry {
            name: "mean_absolute_error",
            title: "Mean absolute error of the probability",
            formula: "ℓ = 1 − p_y",
            good_for: &["noisy labels", "robust", "few classes"],
            when: "Few classes, very noisy labels, patience: symmetric noise does not move its minimiser.",
            when_not: "Many classes or short training: it starts slowly and may leave whole classes unlearned.",
            source: "Ghosh, Kumar, Sastry, AAAI 2017; comp-sum with τ = 2",
            parameters: vec![],
            rust: "CompSumLossConfig::new().with_tau(2.0).init()?",
            build: Build::Scores(|_| trained(2.0)),
            ..common.clone()
        },
        ObjectiveEntry {
            name: "sum_exponential",
            title: "Sum-exponential loss",
            formula: "ℓ = Σ_{k≠y} exp(h_k − h_y) = 1/p_y − 1",
            good_for: &["clean labels", "large margins"],
            when: "Labels are clean and hard samples should dominate, as in boosting.",
            when_not: "Any label may be wrong: the loss of a wrong one grows exponentially.",
            source: "Weston, Watkins 1998; comp-sum with τ = 0",
            parameters: vec![],
            rust: "CompSumLossConfig::new().with_tau(0.0).with_max_exponent(Some(20.0)).init()?",
            build: Build::Scores(|_| trained(0.0)),
            ..common.clone()
        },
        common,
    ]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "comp_sum_loss",
            "comp-sum loss of a batch, per sample, and its gradient",
        )
        .param("tau", 1.0)
        .param("reduction", "mean")
        .input("logits", "[N, C]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("logits")?;
            let config = CompSumLossConfig::new().with_tau(case.param("tau")?);
            let logits = case.variable::<2>("logits");
            let labels = case.class_labels("labels", "logits")?;
            let loss = config.clone().with_reduction(case.reduction()?).init()?;
            let each = config.with_reduction(Reduction::None).init()?;
            let per_sample = each.forward(case.tensor("logits"), labels.clone());
            Ok(case
                .value_and_gradients(loss.forward(logits.clone(), labels), &[("logits", &logits)])
                .with_tensor("per_sample", per_sample))
        }),
        Quantity::new("comp_sum_phi", "the function Φ^τ and its derivative (1+u)^(−τ)")
            .param("tau", 1.0)
            .input("u", "[M]")
            .eval(|case| {
                let tau = case.param("tau")?;
                CompSumLossConfig::new().with_tau(tau).init()?;
                let u = &case.array("u").data;
                if let Some(at) = u.iter().position(|&u| u < 0.0) {
                    return case.refuse_input("u", format!("holds {} at index {at}; u is at least 0", u[at]));
                }
                let value: Vec<f64> = u.iter().map(|&u| super::comp_sum_theory::phi(u, tau)).collect();
                let derivative: Vec<f64> = u.iter().map(|&u| (-tau * u.ln_1p()).exp()).collect();
                Ok(Outputs::new().with("value", value).with("derivative", derivative))
            }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::rowwise::tests::*;
    use super::*;

    fn loss(tau: f64, reduction: Reduction) -> LogitLoss {
        CompSumLossConfig::new()
            .with_tau(tau)
            .with_reduction(reduction)
            .init()
            .unwrap()
    }

    fn per_sample(tau: f64, logits: &Tensor<2>, targets: &Tensor<1, Int>) -> Vec<f64> {
        let value = loss(tau, Reduction::None).forward(logits.clone(), targets.clone());
        value.into_data().try_into_vec_as::<f64>().unwrap()
    }

    #[test]
    fn kernel_and_composition_agree() {
        for tau in [0.0, 0.5, 1.0 - 1e-9, 1.0, 1.0 + 1e-9, 1.3, 1.7, 2.0, 3.0] {
            kernel_equals_composition(&CompSum {
                tau,
                max_exponent: f64::INFINITY,
            });
        }
        kernel_equals_composition(&CompSum {
            tau: 0.0,
            max_exponent: 1.0,
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn members_are_the_named_losses(seed in 0_u64..10_000, classes in 2_usize..12, q in 0.05_f64..0.95) {
            let (logits, targets) = random_batch(6, classes, 4.0, seed, DType::F64);
            let log_p = log_prob_of_target(logits.clone(), targets.clone()).into_data().try_into_vec_as::<f64>().unwrap();
            for (i, &log_p) in log_p.iter().enumerate() {
                let p = log_p.exp();
                let close = |tau: f64, expected: f64| {
                    let found = per_sample(tau, &logits, &targets)[i];
                    prop_assert!((found - expected).abs() < 1e-11 * (1.0 + expected), "τ = {tau}: {found} against {expected}");
                    Ok(())
                };
                close(0.0, 1.0 / p - 1.0)?;
                close(1.0, -log_p)?;
                close(1.0 + q, (1.0 - p.powf(q)) / q)?;
                close(2.0, 1.0 - p)?;
                close(1.0 + 1e-9, -log_p + 1e-9 * log_p * log_p / -2.0)?;
            }
        }

        #[test]
        fn exact_properties(seed in 0_u64..10_000, classes in 2_usize..12, tau in 0.0_f64..2.5, shift in -50.0_f64..50.0) {
            let (logits, targets) = random_batch(5, classes, 3.0, seed, DType::F64);
            let here = per_sample(tau, &logits, &targets);
            // Shift invariance.
            let shifted = per_sample(tau, &logits.clone().add_scalar(shift), &targets);
            assert_close(&here, &shifted, 1e-10);
            // Non-increasing in τ.
            let above = per_sample(tau + 0.1, &logits, &targets);
            prop_assert!(here.iter().zip(&above).all(|(here, above)| above <= &(here + 1e-12)));
            // Per-sample gradients sum to 0 over classes.
            let (_, gradient) = value_and_gradient(&logits, |h| loss(tau, Reduction::Sum).forward(h, targets.clone()));
            for row in gradient.chunks(classes) {
                prop_assert!(row.iter().sum::<f64>().abs() < 1e-9 * (1.0 + row.iter().fold(0.0, |m: f64, g| m.max(g.abs()))));
            }
        }
    }

    #[test]
    fn continuous_in_tau_at_one() {
        let (logits, targets) = random_batch(8, 5, 3.0, 4, DType::F64);
        let middle = per_sample(1.0, &logits, &targets);
        for tau in [1.0 - 1e-9, 1.0 + 1e-9] {
            let beside = per_sample(tau, &logits, &targets);
            assert!(
                middle
                    .iter()
                    .zip(beside)
                    .all(|(a, b)| (a - b).abs() < 1e-7 && (a - b).abs() < 1e-9 * (1.0 + a * a))
            );
        }
    }

    #[test]
    fn huge_logits_give_no_nan() {
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_ints([1], &device);
        for tau in [0.0, 0.5, 1.0, 1.5, 2.0] {
            let logits = Tensor::<2>::from_floats([[1e4, -1e4, 0.0]], &device);
            let (value, gradient) = value_and_gradient(&logits, |h| {
                loss(tau, Reduction::Mean).forward(h, targets.clone())
            });
            assert!(gradient.iter().all(|g| g.is_finite()), "τ = {tau}: {gradient:?}");
            match tau {
                0.0 | 0.5 => assert_eq!(value, [f64::INFINITY]),
                2.0 => assert_eq!(value, [1.0]),
                _ => assert!(value[0].is_finite()),
            }
        }
        let capped = CompSumLossConfig::new()
            .with_tau(0.0)
            .with_max_exponent(Some(20.0))
            .init()
            .unwrap();
        let logits = Tensor::<2>::from_floats([[1e4, -1e4, 0.0]], &device);
        assert!(capped.forward(logits, targets).into_scalar::<f32>().is_finite());
    }

    #[test]
    fn bad_parameters_are_refused() {
        for tau in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(CompSumLossConfig::new().with_tau(tau).init().is_err());
        }
        assert!(
            CompSumLossConfig::new()
                .with_max_exponent(Some(0.0))
                .init()
                .is_err()
        );
    }

    #[test]
    #[should_panic(expected = "at least 2 classes")]
    fn one_class_is_refused() {
        let device = Device::flex();
        loss(1.0, Reduction::Mean)
            .forward(Tensor::zeros([2, 1], &device), Tensor::from_ints([0, 0], &device));
    }
}
