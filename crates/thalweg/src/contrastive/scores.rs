//! Losses of given similarities and what explicit hard negatives make of them.
//!
//! - InfoNCE: `−log( exp(s_ii/τ) / Σ_j exp(s_ij/τ) )`, which weighs negatives by their hardness, the more the lower τ.
//! - Simple: `−s_ii + λ Σ_{j ≠ i} s_ij`, which does not.
//! - Hard: either with only those negatives that are in the upper α quantile of their row.
//! - Hardest: `max(0, max_{j ≠ i} s_ij − s_ii)`, the limit of τ times InfoNCE at τ → 0.
//!
//! Source: Wang, Liu, "Understanding the behaviour of contrastive loss", CVPR 2021 (arXiv 2012.09740).

use burn::config::Config;

use super::pairs::temperature;
use super::score_loss::Rule;
use super::{HardNegatives, ScoresLoss};
use crate::config::require;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// Configuration of InfoNCE of similarities.
#[derive(Config, Debug)]
pub struct ScoresInfoNceLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl ScoresInfoNceLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<ScoresLoss, ConfigError> {
        let temperature = temperature("info_nce", self.temperature)?;
        Ok(ScoresLoss::new(
            Rule::Softmax { temperature },
            None,
            self.reduction,
        ))
    }
}

/// Configuration of InfoNCE with explicit hard negatives.
#[derive(Config, Debug)]
pub struct HardContrastiveLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// Fraction α of the negatives that is kept, above 0; 1 keeps all.
    #[config(default = 0.3)]
    pub alpha: f64,
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl HardContrastiveLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive or α not in `(0, 1]`.
    pub fn init(&self) -> Result<ScoresLoss, ConfigError> {
        let temperature = temperature("hard_contrastive", self.temperature)?;
        let hard = HardNegatives::new("hard_contrastive", self.alpha)?;
        Ok(ScoresLoss::new(
            Rule::Softmax { temperature },
            Some(hard),
            self.reduction,
        ))
    }
}

/// Configuration of the simple loss, with hard negatives or all.
#[derive(Config, Debug)]
pub struct SimpleContrastiveLossConfig {
    /// Weight λ of a negative, at least 0.
    #[config(default = 1.0)]
    pub lambda: f64,
    /// Fraction α of the negatives that is kept, above 0; 1 keeps all.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl SimpleContrastiveLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When λ is negative or α not in `(0, 1]`.
    pub fn init(&self) -> Result<ScoresLoss, ConfigError> {
        let lambda = require(
            "simple_contrastive",
            "lambda",
            self.lambda,
            "at least 0 and finite",
            |lambda| lambda >= 0.0 && lambda.is_finite(),
        )?;
        let hard = HardNegatives::new("simple_contrastive", self.alpha)?;
        Ok(ScoresLoss::new(
            Rule::Linear { lambda },
            Some(hard),
            self.reduction,
        ))
    }
}

/// Configuration of the hardest-negative loss: a triplet loss of margin 0.
#[derive(Config, Debug)]
pub struct HardestNegativeLossConfig {
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl HardestNegativeLossConfig {
    /// The loss.
    pub fn init(&self) -> ScoresLoss {
        ScoresLoss::new(Rule::Hardest, None, self.reduction)
    }
}

impl Case<'_> {
    /// Similarities `s` with a positive in every row.
    pub(super) fn similarities(&self) -> Result<&Array, QuantityError> {
        self.not_empty("s")?;
        self.finite("s")?;
        Ok(self.array("s"))
    }

    /// Similarities with a negative in every row.
    pub(super) fn negatives(&self) -> Result<&Array, QuantityError> {
        let s = self.similarities()?;
        if s.shape[1] < 2 {
            return self.refuse_input("s", "has a single column; at least one negative is needed");
        }
        Ok(s)
    }

    fn scores_loss(&self, loss: &ScoresLoss) -> Result<Outputs, QuantityError> {
        self.similarities()?;
        let s = self.variable::<2>("s");
        Ok(self.value_and_gradients(loss.forward(s.clone()), &[("s", &s)]))
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "infonce_similarity_loss",
            "InfoNCE of similarities with positives on the diagonal, and its gradient",
        )
        .param("tau", 0.07)
        .input("s", "[n, n]")
        .eval(|case| {
            let config = ScoresInfoNceLossConfig::new().with_temperature(case.param("tau")?);
            case.scores_loss(&config.init()?)
        }),
        Quantity::new(
            "simple_contrastive_loss",
            "loss linear in positives and negatives, blind to hardness, and its gradient",
        )
        .required_param("lam")
        .input("s", "[n, n]")
        .eval(|case| {
            let config = SimpleContrastiveLossConfig::new().with_lambda(case.param("lam")?);
            case.scores_loss(&config.init()?)
        }),
        Quantity::new(
            "hard_simple_contrastive_loss",
            "the linear loss of the hard negatives only, and its gradient",
        )
        .required_param("lam")
        .required_param("alpha")
        .input("s", "[n, n]")
        .eval(|case| {
            let config = SimpleContrastiveLossConfig::new().with_lambda(case.param("lam")?);
            case.scores_loss(&config.with_alpha(case.param("alpha")?).init()?)
        }),
        Quantity::new(
            "hard_contrastive_loss",
            "InfoNCE of the hard negatives only, its gradient, each row's threshold and whom it keeps",
        )
        .param("tau", 0.07)
        .required_param("alpha")
        .input("s", "[n, n]")
        .eval(|case| {
            let s = case.negatives()?;
            let alpha = case.param("alpha")?;
            let config = HardContrastiveLossConfig::new().with_temperature(case.param("tau")?);
            let outputs = case.scores_loss(&config.with_alpha(alpha).init()?)?;
            let hard = HardNegatives::new("hard_contrastive", alpha)?;
            let rows = s.data.chunks(s.shape[1]).enumerate();
            let thresholds: Vec<f64> = rows
                .clone()
                .filter_map(|(own, row)| hard.threshold(row, own))
                .collect();
            let kept = rows.zip(&thresholds).flat_map(|((own, row), &threshold)| {
                let keeps =
                    move |(at, &score): (usize, &f64)| f64::from(u8::from(at != own && score >= threshold));
                row.iter().enumerate().map(keeps)
            });
            let kept = Array {
                shape: s.shape.clone(),
                data: kept.collect(),
            };
            Ok(outputs.with("kept", kept).with("threshold", thresholds))
        }),
        Quantity::new(
            "infonce_zero_temperature_limit",
            "the limit of temperature times InfoNCE at temperature 0, and its gradient",
        )
        .input("s", "[n, n]")
        .eval(|case| case.scores_loss(&HardestNegativeLossConfig::new().init())),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, Tensor, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::classification::rowwise::tests::{central_differences, random_batch, value_and_gradient};

    fn losses() -> [ScoresLoss; 5] {
        [
            ScoresInfoNceLossConfig::new()
                .with_temperature(0.3)
                .init()
                .unwrap(),
            HardContrastiveLossConfig::new()
                .with_temperature(0.3)
                .with_alpha(0.5)
                .init()
                .unwrap(),
            SimpleContrastiveLossConfig::new()
                .with_lambda(0.4)
                .init()
                .unwrap(),
            SimpleContrastiveLossConfig::new()
                .with_lambda(0.4)
                .with_alpha(0.4)
                .init()
                .unwrap(),
            HardestNegativeLossConfig::new().init(),
        ]
    }

    fn scores(n: usize, seed: u64) -> Tensor<2> {
        random_batch(n, n, 1.0, seed, DType::F64).0
    }

    fn value(loss: &ScoresLoss, s: Tensor<2>) -> f64 {
        loss.forward(s).into_scalar::<f64>()
    }

    #[test]
    fn gradients_are_slopes() {
        for loss in losses() {
            for n in [1, 2, 5] {
                let s = scores(n, 3);
                let (_, gradient) = value_and_gradient(&s, |s| loss.forward(s));
                let numeric = central_differences(&s, |s| loss.forward(s));
                for (a, b) in gradient.iter().zip(&numeric) {
                    assert!((a - b).abs() < 1e-8, "{loss:?}: {a} {b}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn keeping_all_negatives_changes_nothing(n in 1_usize..9, seed in 0_u64..1000, temperature in 0.05_f64..2.0) {
            let s = scores(n, seed);
            let all = HardContrastiveLossConfig::new().with_temperature(temperature).with_alpha(1.0).init().unwrap();
            let plain = ScoresInfoNceLossConfig::new().with_temperature(temperature).init().unwrap();
            prop_assert_eq!(value_and_gradient(&s, |s| all.forward(s)), value_and_gradient(&s, |s| plain.forward(s)));
        }

        #[test]
        fn a_constant_added_to_a_row_changes_nothing(n in 2_usize..9, seed in 0_u64..1000, shift in -5.0_f64..5.0) {
            let s = scores(n, seed);
            let shifts: Vec<f64> = (0..n).map(|row| shift * row as f64).collect();
            let shifts = Tensor::<2>::from_data(TensorData::new(shifts, [n, 1]), (&s.device(), DType::F64));
            for loss in &losses()[..2] {
                prop_assert!((value(loss, s.clone()) - value(loss, s.clone() + shifts.clone())).abs() < 1e-10);
            }
        }

        #[test]
        fn only_the_quotient_of_score_and_temperature_matters(n in 1_usize..9, seed in 0_u64..1000, factor in 0.1_f64..10.0) {
            let s = scores(n, seed);
            let at = |temperature: f64| ScoresInfoNceLossConfig::new().with_temperature(temperature).init().unwrap();
            prop_assert!((value(&at(0.2), s.clone()) - value(&at(0.2 * factor), s * factor)).abs() < 1e-11);
        }

        #[test]
        fn at_temperature_zero_the_hardest_negative_is_all(n in 2_usize..9, seed in 0_u64..1000) {
            let s = scores(n, seed);
            let temperature = 1e-5;
            let cold = ScoresInfoNceLossConfig::new().with_temperature(temperature).init().unwrap();
            let limit = value(&HardestNegativeLossConfig::new().init(), s.clone());
            // The softmax exceeds the maximum by at most the logarithm of its terms.
            let found = temperature * value(&cold, s);
            prop_assert!(found >= limit - 1e-12 && found <= limit + temperature * (n as f64).ln() + 1e-12);
        }
    }

    #[test]
    fn a_positive_far_ahead_keeps_its_digits() {
        let s = Tensor::<2>::from_data([[1.0, -1.0], [-1.0, 1.0]], (&Device::flex(), DType::F64));
        let loss = ScoresInfoNceLossConfig::new()
            .with_temperature(0.02)
            .init()
            .unwrap();
        let expected = (-100.0_f64).exp();
        assert!((value(&loss, s) / expected - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        let s = Tensor::<2>::from_data([[0.0, f64::NAN], [0.5, 0.1]], (&Device::flex(), DType::F64));
        for loss in losses() {
            assert!(value(&loss, s.clone()).is_nan(), "{loss:?}");
        }
    }

    #[test]
    fn a_fraction_above_one_is_refused() {
        let error = HardContrastiveLossConfig::new()
            .with_alpha(1.5)
            .init()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "hard_contrastive: `alpha` is 1.5; it must be above 0, at most 1"
        );
    }
}
