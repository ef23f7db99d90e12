//! Margin losses φ(m) of the binary margin `m = y f`, with y = ±1: logistic, hinge and their kin, and the hinges with
//! other tails beyond m = 1.
//!
//! Two classes: `f = h_1 − h_0`. More: the sum over the classes of each against the rest, with f its own score.
//! Sources: Bartlett, Jordan, McAuliffe, JASA 2006; the tails, Dai, ICML 2025, appendix D.

use burn::config::Config;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::rows::RowLoss;

use super::LogitLoss;
use super::binary_margins::{margin, margins_of, put_slope};
use super::of_target::SHAPES;
use crate::config::require;
use crate::objective::{Build, ObjectiveEntry};
use crate::quantity::{Case, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// A function φ of the margin m.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarginLoss {
    /// `log(1 + exp(−m))`: binary cross-entropy.
    Logistic,
    /// `max(0, 1 − m)`.
    Hinge,
    /// `max(0, 1 − m)²`.
    SquaredHinge,
    /// `exp(−m)`.
    Exponential,
    /// `(1 − σ(m))² log(1 + exp(−m))`: focal loss with γ = 2 and no class weights.
    BinaryFocal,
    /// `1 − m`, from m = 1 on `1/m − 1`.
    HingeInverseTail,
    /// `1 − m`, from m = 1 on `exp(−(m − 1)) − 1`.
    HingeExponentialTail,
    /// `1 − m`, from m = 1 on `−log m`: not bounded below, so not a loss to train with.
    HingeLogTail,
    /// `1 − m`, from m = 1 on `e/log(m + e − 1) − e`.
    HingeInverseLogTail,
}

/// Configuration of a margin loss.
#[derive(Config, Debug)]
pub struct MarginLossConfig {
    /// The function of the margin.
    pub loss: MarginLoss,
    /// For the exponential loss: the exponent from which it goes on as a straight line of the same slope. None: the plain
    /// loss.
    pub max_exponent: Option<f64>,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl MarginLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the exponent is not positive.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let max_exponent = self.max_exponent.unwrap_or(f64::INFINITY);
        require(
            "margin_loss",
            "max_exponent",
            max_exponent,
            "above 0",
            |exponent| exponent > 0.0,
        )?;
        let rows = OfBinaryMargins {
            loss: self.loss,
            max_exponent,
        };
        Ok(LogitLoss::of_rows(rows, self.reduction))
    }
}

#[derive(Clone, Copy, Debug)]
struct OfBinaryMargins {
    loss: MarginLoss,
    max_exponent: f64,
}

impl RowLoss for OfBinaryMargins {
    fn row(&self, _: usize, scores: &mut [f64], target: usize, gradient: &mut [f64]) -> f64 {
        (0..margins_of(scores.len()))
            .map(|which| {
                let (loss, slope) = self.at(margin(scores, target, which));
                put_slope(gradient, target, which, slope);
                loss
            })
            .sum()
    }
}

impl OfBinaryMargins {
    /// φ and φ′ at m.
    fn at(&self, m: f64) -> (f64, f64) {
        let below_one = m <= 1.0;
        match self.loss {
            MarginLoss::Logistic => (softplus(-m), -sigmoid(-m)),
            MarginLoss::Hinge => ((1.0 - m).max(0.0), if m < 1.0 { -1.0 } else { 0.0 }),
            MarginLoss::SquaredHinge => {
                let short = (1.0 - m).max(0.0);
                (short * short, -2.0 * short)
            }
            MarginLoss::Exponential => {
                let capped = (-m).min(self.max_exponent);
                let slope = capped.exp();
                let beyond = if -m > capped { slope * (-m - capped) } else { 0.0 };
                (slope + beyond, -slope)
            }
            MarginLoss::BinaryFocal => {
                let (wrong, right, loss) = (sigmoid(-m), sigmoid(m), softplus(-m));
                let value = wrong * wrong * loss;
                (value, -2.0 * right * value - wrong.powi(3))
            }
            _ if below_one => (1.0 - m, -1.0),
            MarginLoss::HingeInverseTail => (m.recip() - 1.0, -(m * m).recip()),
            MarginLoss::HingeExponentialTail => ((1.0 - m).exp_m1(), -(1.0 - m).exp()),
            MarginLoss::HingeLogTail => (-m.ln(), -m.recip()),
            MarginLoss::HingeInverseLogTail => {
                let e = std::f64::consts::E;
                let inner = m + (e - 1.0);
                let log = inner.ln();
                (e / log - e, -e / (log * log * inner))
            }
        }
    }
}

/// `log(1 + exp(x))`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1/(1 + exp(−x))`, to relative precision at both ends.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        (1.0 + (-x).exp()).recip()
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

/// Exponent from which the catalogue's exponential loss is straight.
const STRAIGHT_FROM: f64 = 20.0;

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let logistic = ObjectiveEntry {
        name: "logistic",
        title: "Logistic loss, one against the rest",
        family: "classification",
        formula: "ℓ = Σ_k log(1 + exp(−m_k)),  m_k = ±h_k, + for the target;  two classes: m = ±(h_1 − h_0)",
        shapes: SHAPES,
        good_for: &["two classes", "clean labels", "classes that may occur together"],
        cost: "a pass in double precision over each row",
        when: "Classes are to be judged one by one; with two classes it is cross-entropy.",
        when_not: "Exactly one of many classes is right: cross-entropy normalises over them.",
        source: "Bartlett, Jordan, McAuliffe, JASA 2006",
        parameters: Vec::new(),
        rust: "MarginLossConfig::new(MarginLoss::Logistic).init()?",
        path: "thalweg::classification::{MarginLoss, MarginLossConfig}",
        build: Build::Scores(|_| Ok(Box::new(MarginLossConfig::new(MarginLoss::Logistic).init()?))),
    };
    vec![
        logistic.clone(),
        ObjectiveEntry {
            name: "hinge",
            title: "Hinge loss, one against the rest",
            formula: "ℓ = Σ_k max(0, 1 − m_k),  m_k = ±h_k, + for the target;  two classes: m = ±(h_1 − h_0)",
            good_for: &["two classes", "clean labels", "large margins"],
            when: "A support vector machine is wanted, with two classes or one against the rest.",
            when_not: "Probabilities are wanted, or many classes overlap.",
            rust: "MarginLossConfig::new(MarginLoss::Hinge).init()?",
            build: Build::Scores(|_| Ok(Box::new(MarginLossConfig::new(MarginLoss::Hinge).init()?))),
            ..logistic.clone()
        },
        ObjectiveEntry {
            name: "squared_hinge",
            title: "Squared hinge loss, one against the rest",
            formula: "ℓ = Σ_k max(0, 1 − m_k)²,  m_k = ±h_k, + for the target;  two classes: m = ±(h_1 − h_0)",
            good_for: &["two classes", "clean labels", "large margins", "smooth"],
            when: "As the hinge, with a smooth minimum and more weight on what is far wrong.",
            when_not: "Labels are noisy: what is far wrong weighs most.",
            rust: "MarginLossConfig::new(MarginLoss::SquaredHinge).init()?",
            build: Build::Scores(|_| Ok(Box::new(MarginLossConfig::new(MarginLoss::SquaredHinge).init()?))),
            ..logistic.clone()
        },
        ObjectiveEntry {
            name: "exponential",
            title: "Exponential loss, one against the rest",
            formula: "ℓ = Σ_k exp(−m_k), straight from m_k = −20 down,  m_k = ±h_k, + for the target;  two classes: m = ±(h_1 − h_0)",
            good_for: &["two classes", "clean labels", "boosting"],
            when: "The loss of boosting is wanted, on separable classes with clean labels.",
            when_not: "A label may be wrong: one sample far on the wrong side outweighs all others.",
            rust: "MarginLossConfig::new(MarginLoss::Exponential).with_max_exponent(Some(20.0)).init()?",
            build: Build::Scores(|_| {
                let config = MarginLossConfig::new(MarginLoss::Exponential);
                Ok(Box::new(config.with_max_exponent(Some(STRAIGHT_FROM)).init()?))
            }),
            ..logistic.clone()
        },
        ObjectiveEntry {
            name: "binary_focal",
            title: "Focal loss, one against the rest",
            formula: "ℓ = Σ_k (1 − σ(m_k))² log(1 + exp(−m_k)),  m_k = ±h_k, + for the target;  two classes: m = ±(h_1 − h_0)",
            good_for: &["two classes", "imbalance", "easy samples outnumber hard ones"],
            when: "Most samples are easy and of one class, as in detection.",
            when_not: "Labels are noisy: it looks at what is hard, and wrong labels are.",
            source: "Lin, Goyal, Girshick, He, Dollar, ICCV 2017",
            rust: "MarginLossConfig::new(MarginLoss::BinaryFocal).init()?",
            build: Build::Scores(|_| Ok(Box::new(MarginLossConfig::new(MarginLoss::BinaryFocal).init()?))),
            ..logistic
        },
    ]
}

const NAMES: [(&str, MarginLoss); 9] = [
    ("logistic", MarginLoss::Logistic),
    ("hinge", MarginLoss::Hinge),
    ("exponential", MarginLoss::Exponential),
    ("binary_focal", MarginLoss::BinaryFocal),
    ("squared_hinge", MarginLoss::SquaredHinge),
    ("hinge_inverse_tail", MarginLoss::HingeInverseTail),
    ("hinge_exponential_tail", MarginLoss::HingeExponentialTail),
    ("hinge_log_tail", MarginLoss::HingeLogTail),
    ("hinge_inverse_log_tail", MarginLoss::HingeInverseLogTail),
];

/// The labels of an input, each −1 or 1.
///
/// # Errors
/// When one is neither.
pub(super) fn signs(case: &Case, name: &str) -> Result<Vec<f64>, QuantityError> {
    let labels = &case.array(name).data;
    match labels.iter().position(|label| label.abs() != 1.0) {
        Some(at) => case.refuse_input(
            name,
            format!("holds {} at index {at}; labels are -1 or 1", labels[at]),
        ),
        None => Ok(labels.clone()),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "margin_loss",
            "a loss of the margins of scores and labels of -1 or 1, by name (logistic, hinge, exponential, binary_focal, \
             squared_hinge, hinge_inverse_tail, hinge_exponential_tail, hinge_log_tail, hinge_inverse_log_tail), and its \
             gradient",
        )
        .param("name", "logistic")
        .param("reduction", "mean")
        .input("scores", "[N]")
        .input("labels", "[N]")
        .with_example("labels", vec![1.0, -1.0])
        .eval(|case| {
            case.not_empty("scores")?;
            let config = MarginLossConfig::new(case.choice("name", &NAMES)?);
            let loss = config.with_reduction(case.reduction()?).init()?;
            let classes: Vec<i32> = signs(case, "labels")?
                .into_iter()
                .map(|sign| i32::from(sign > 0.0))
                .collect();
            let scores = case.variable::<1>("scores");
            let column: Tensor<2> = scores.clone().unsqueeze_dim(1);
            let logits = Tensor::cat(vec![column.zeros_like(), column], 1);
            let targets = Tensor::from_ints(classes.as_slice(), &Device::flex());
            Ok(case.value_and_gradients(loss.forward(logits, targets), &[("scores", &scores)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Int};
    use proptest::prelude::*;

    use super::super::rowwise::tests::*;
    use super::*;

    fn of(loss: MarginLoss) -> OfBinaryMargins {
        OfBinaryMargins {
            loss,
            max_exponent: f64::INFINITY,
        }
    }

    proptest! {
        #[test]
        fn all_are_convex_but_the_focal_loss_and_decreasing(a in -30.0..30.0_f64, b in -30.0..30.0_f64) {
            for (name, loss) in NAMES {
                let ((low, at_low), (high, at_high)) = (of(loss).at(a.min(b)), of(loss).at(a.max(b)));
                prop_assert!(high <= low && at_low <= 0.0, "{name}");
                prop_assert!(loss == MarginLoss::BinaryFocal || at_low <= at_high, "{name} at {a} and {b}");
            }
        }

        #[test]
        fn slopes_are_central_differences(m in -20.0..20.0_f64) {
            let h = 1e-6;
            prop_assume!((m - 1.0).abs() > 2.0 * h);
            for (name, loss) in NAMES {
                let difference = (of(loss).at(m + h).0 - of(loss).at(m - h).0) / (2.0 * h);
                let slope = of(loss).at(m).1;
                prop_assert!((difference - slope).abs() < 1e-5 * (1.0 + slope.abs()), "{name} at {m}: {slope} {difference}");
            }
        }
    }

    #[test]
    fn every_loss_is_calibrated_and_every_tail_joins_the_hinge() {
        for (name, loss) in NAMES {
            assert!(of(loss).at(0.0).1 < 0.0, "{name}");
        }
        for (name, loss) in &NAMES[5..] {
            let (value, slope) = of(*loss).at(1.0 + 1e-9);
            assert!(
                value.abs() < 2e-9 && (slope + 1.0).abs() < 1e-8,
                "{name}: {value} {slope}"
            );
        }
    }

    #[test]
    fn extreme_margins_are_finite() {
        for (name, loss) in NAMES {
            for m in [1e4, 1e300] {
                let (value, slope) = of(loss).at(m);
                assert!(value.is_finite() && slope.is_finite(), "{name} at {m}");
            }
            let capped = OfBinaryMargins {
                loss,
                max_exponent: 20.0,
            };
            let (value, slope) = capped.at(-1e4);
            assert!(value.is_finite() && slope.is_finite(), "{name}");
        }
    }

    #[test]
    fn two_classes_are_cross_entropy_and_more_are_each_against_the_rest() {
        let device = Device::flex();
        let loss = MarginLossConfig::new(MarginLoss::Logistic).init().unwrap();
        let cross_entropy = super::super::CompSumLossConfig::new().init().unwrap();
        let logits = Tensor::<2>::from_data([[0.3, -1.2], [2.0, 0.5]], (&device, DType::F64));
        let targets = Tensor::<1, Int>::from_ints([1, 0], &device);
        let [ours, theirs] = [&loss, &cross_entropy]
            .map(|loss| loss.forward(logits.clone(), targets.clone()).into_scalar::<f64>());
        assert!((ours - theirs).abs() < 1e-14);
        let logits = Tensor::<2>::from_data([[0.3, -1.2, 0.7]], (&device, DType::F64));
        let targets = Tensor::<1, Int>::from_ints([2], &device);
        let by_class = softplus(0.3) + softplus(-1.2) + softplus(-0.7);
        assert!((loss.forward(logits, targets).into_scalar::<f64>() - by_class).abs() < 1e-14);
        gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
    }

    #[test]
    fn an_exponent_that_is_not_positive_is_refused() {
        let config = MarginLossConfig::new(MarginLoss::Exponential).with_max_exponent(Some(0.0));
        assert!(config.init().is_err());
    }
}
