//! Exact risk of the linear estimators as features and samples grow together.
//!
//! Features `x ~ N(0, I_d)`, `y = x·θ₀ + ε`, `d/n → ψ`, bags of k equal samples, `r² = ‖θ₀‖²`, `σ² = Var ε`. Risk is
//! `E‖θ̂ − θ₀‖²` = bias + variance; the risk of predictions is σ² more.
//!
//! The formulas are for ρ > 0 and ψ < 1 through the root v of an increasing function; at ρ = 0 those of least squares on
//! bag means, the shortest solution where there are fewer bags than features; for ψ > 1 those of interpolation, which no
//! longer depend on ρ > 0.

use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Outputs, Quantity};

const NAME: &str = "aggregate_asymptotic_risk";

/// A linear problem with aggregate responses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Features over samples ψ, above 0.
    pub psi: f64,
    /// Samples of a bag k, at least 1.
    pub bag_size: f64,
    /// Squared norm r² of the true coefficients, at least 0.
    pub signal: f64,
    /// Variance σ² of the noise, at least 0.
    pub noise_variance: f64,
}

/// The risk of an estimator, in squared units of coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AsymptoticRisk {
    /// Squared bias.
    pub bias: f64,
    /// Variance.
    pub variance: f64,
}

impl AsymptoticRisk {
    /// Bias and variance together.
    pub fn risk(self) -> f64 {
        self.bias + self.variance
    }

    const INFINITE: Self = Self {
        bias: f64::INFINITY,
        variance: f64::INFINITY,
    };
}

impl Setting {
    /// The setting, checked.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn checked(self) -> Result<Self, ConfigError> {
        require(NAME, "psi", self.psi, "above 0 and finite", |psi| {
            psi > 0.0 && psi.is_finite()
        })?;
        require(NAME, "bag_size", self.bag_size, "at least 1 and finite", |size| {
            size >= 1.0 && size.is_finite()
        })?;
        for (name, value) in [("signal", self.signal), ("noise_variance", self.noise_variance)] {
            require(NAME, name, value, "at least 0 and finite", |value| {
                value >= 0.0 && value.is_finite()
            })?;
        }
        Ok(self)
    }

    /// The risk at ρ.
    ///
    /// # Errors
    /// When a number of the setting is out of its range or ρ not in `[0, 1]`.
    pub fn risk(self, rho: f64) -> Result<AsymptoticRisk, ConfigError> {
        let setting = self.checked()?;
        let rho = require(NAME, "rho", rho, "from 0 to 1", |rho| (0.0..=1.0).contains(&rho))?;
        Ok(setting.at(rho))
    }

    fn at(self, rho: f64) -> AsymptoticRisk {
        if rho == 0.0 {
            self.bag_level()
        } else if self.psi < 1.0 {
            self.mixed(rho)
        } else {
            self.interpolating()
        }
    }

    fn bag_level(self) -> AsymptoticRisk {
        let g = self.bag_size * self.psi;
        if g < 1.0 {
            AsymptoticRisk {
                bias: 0.0,
                variance: self.noise_variance * g / (1.0 - g),
            }
        } else if g > 1.0 {
            AsymptoticRisk {
                bias: self.signal * (1.0 - 1.0 / g),
                variance: self.noise_variance / (g - 1.0),
            }
        } else {
            AsymptoticRisk::INFINITE
        }
    }

    fn interpolating(self) -> AsymptoticRisk {
        if self.psi == 1.0 {
            return AsymptoticRisk::INFINITE;
        }
        let w = 1.0 / self.bag_size;
        let a = w / self.psi;
        let spread = w * (1.0 - a).powi(2) + (1.0 - w) * a * a;
        AsymptoticRisk {
            bias: self.signal * ((1.0 - a).powi(2) + spread / (self.psi - 1.0)),
            variance: self.noise_variance * w / (self.psi - 1.0),
        }
    }

    fn mixed(self, rho: f64) -> AsymptoticRisk {
        let w = 1.0 / self.bag_size;
        let v = root(w, rho, self.psi);
        let (bag, single) = ((1.0 + v).recip(), (1.0 + rho * v).recip());
        let a = w * v * bag / self.psi;
        let denominator = w * bag * bag + (1.0 - w) * rho * single * single;
        let spread = w * ((1.0 - a) * bag).powi(2) + (1.0 - w) * (rho * a * single).powi(2);
        AsymptoticRisk {
            bias: self.signal * ((1.0 - a).powi(2) + v * spread / denominator),
            variance: self.noise_variance * v * w * bag * bag / denominator,
        }
    }
}

/// The v > 0 with `w v/(1+v) + (1−w) ρv/(1+ρv) = ψ`, by halving intervals of log v: the left side rises from 0 to 1.
fn root(w: f64, rho: f64, psi: f64) -> f64 {
    // Differences to 1 are kept exact: near ψ = 1 both sides are almost 1.
    let excess = |log_v: f64| {
        let v = log_v.exp();
        (1.0 - psi) - (w / (1.0 + v) + (1.0 - w) / (1.0 + rho * v))
    };
    let (mut low, mut high) = (-700.0_f64, 700.0_f64);
    while high - low > f64::EPSILON * high.abs().max(1.0) {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if excess(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

/// Signal over noise `r²/σ²` above which the bag-level estimator has the smaller risk, for `kψ < 1`; infinite beyond.
///
/// # Errors
/// When ψ is not above 0 or the bag size below 1.
pub fn bag_instance_snr_threshold(psi: f64, bag_size: f64) -> Result<f64, ConfigError> {
    let setting = Setting {
        psi,
        bag_size,
        signal: 1.0,
        noise_variance: 1.0,
    };
    let (bag, instance) = (setting.risk(0.0)?, setting.at(1.0));
    if bag_size * psi >= 1.0 {
        return Ok(f64::INFINITY);
    }
    Ok((bag.variance - instance.variance) / instance.bias)
}

/// Points of the coarse search for ρ, equally spaced in log ρ from [`LEAST_RHO`] to 1.
const COARSE: usize = 141;
const LEAST_RHO: f64 = 1e-7;

/// The ρ of least risk, and that risk. Where every ρ > 0 has the same (ψ >= 1), the instance level stands for them.
///
/// # Errors
/// When a number of the setting is out of its range.
pub fn optimal_interpolation(setting: Setting) -> Result<(f64, f64), ConfigError> {
    let setting = setting.checked()?;
    let risk = |log_rho: f64| setting.at(log_rho.exp().min(1.0)).risk();
    let step = -LEAST_RHO.ln() / (COARSE - 1) as f64;
    let (mut best, mut least) = (0.0, risk(0.0));
    for log_rho in (1..COARSE).map(|at| -(at as f64) * step) {
        if risk(log_rho) < least {
            (best, least) = (log_rho, risk(log_rho));
        }
    }
    let refined = golden_section(risk, (best - step).max(LEAST_RHO.ln()), (best + step).min(0.0));
    if risk(refined) < least {
        (best, least) = (refined, risk(refined));
    }
    let at_bags = setting.at(0.0).risk();
    Ok(if at_bags < least {
        (0.0, at_bags)
    } else {
        (best.exp(), least)
    })
}

/// The minimum of a function with one valley between the ends.
fn golden_section(of: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let share = 0.5 * (5.0_f64.sqrt() - 1.0);
    let (mut left, mut right) = (high - share * (high - low), low + share * (high - low));
    let (mut at_left, mut at_right) = (of(left), of(right));
    while high - low > 1e-10 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - share * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + share * (high - low);
            at_right = of(right);
        }
    }
    0.5 * (low + high)
}

pub(super) fn quantities() -> Vec<Quantity> {
    let setting = |quantity: Quantity| {
        quantity
            .required_param("psi")
            .required_param("bag_size")
            .param("signal", 1.0)
            .param("noise_variance", 1.0)
            .with_example("bag_size", 3.0)
    };
    let of_case = |case: &crate::quantity::Case| {
        Ok::<_, crate::quantity::QuantityError>(Setting {
            psi: case.param("psi")?,
            bag_size: case.count("bag_size", 1)? as f64,
            signal: case.param("signal")?,
            noise_variance: case.param("noise_variance")?,
        })
    };
    vec![
        setting(
            Quantity::new(
                NAME,
                "limit of the excess risk of the linear interpolating estimator: bias and variance",
            )
            .param("rho", 0.5),
        )
        .eval(move |case| {
            let found = of_case(case)?.risk(case.param("rho")?)?;
            Ok(Outputs::new()
                .with("bias", found.bias)
                .with("variance", found.variance)
                .with("risk", found.risk()))
        }),
        Quantity::new(
            "bag_instance_snr_threshold",
            "signal over noise above which the bag level has less risk than the instance level",
        )
        .required_param("psi")
        .required_param("bag_size")
        .with_example("psi", 0.1)
        .with_example("bag_size", 3.0)
        .eval(|case| {
            let bag_size = case.count("bag_size", 1)? as f64;
            let threshold = bag_instance_snr_threshold(case.param("psi")?, bag_size)?;
            Ok(Outputs::new().with("value", threshold))
        }),
        setting(Quantity::new(
            "optimal_interpolation",
            "ρ of least asymptotic risk, and that risk",
        ))
        .eval(move |case| {
            let (rho, risk) = optimal_interpolation(of_case(case)?)?;
            Ok(Outputs::new().with("rho", rho).with("risk", risk))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn setting(psi: f64, bag_size: f64) -> Setting {
        Setting {
            psi,
            bag_size,
            signal: 1.3,
            noise_variance: 0.7,
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-8 * (1.0 + a.abs())
    }

    proptest! {
        #[test]
        fn the_instance_level_has_a_closed_form(psi in 0.01..0.99_f64, k in 1..10_u8) {
            let k = f64::from(k);
            let found = setting(psi, k).at(1.0);
            let v = psi / (1.0 - psi);
            prop_assert!(close(found.variance, 0.7 * v / k));
            prop_assert!(close(found.bias, 1.3 * ((1.0 - 1.0 / k).powi(2) + (k - 1.0) * v / (k * k))));
        }

        #[test]
        fn small_rho_nears_the_bag_level_where_bags_suffice(k in 2..6_u8, share in 0.1..0.9_f64) {
            let setting = setting(share / f64::from(k), f64::from(k));
            let (near, at) = (setting.at(1e-9), setting.at(0.0));
            prop_assert!((near.risk() - at.risk()).abs() < 1e-5 * (1.0 + at.risk()));
        }

        #[test]
        fn rho_trades_variance_for_bias(k in 2..6_u8, share in 0.1..0.9_f64, a in 0.001..1.0_f64, b in 0.001..1.0_f64) {
            let setting = setting(share / f64::from(k), f64::from(k));
            let (less, more) = (setting.at(a.min(b)), setting.at(a.max(b)));
            prop_assert!(more.variance <= less.variance + 1e-12);
            prop_assert!(more.bias >= less.bias - 1e-12);
        }

        #[test]
        fn risk_is_continuous_in_rho(psi in 0.05..0.95_f64, k in 1..6_u8, rho in 0.01..0.99_f64) {
            let setting = setting(psi, f64::from(k));
            prop_assert!((setting.at(rho).risk() - setting.at(rho * (1.0 + 1e-9)).risk()).abs() < 1e-6 * (1.0 + setting.at(rho).risk()));
        }

        #[test]
        fn no_rho_beats_the_optimum(psi in 0.05..1.9_f64, k in 1..6_u8, rho in 0.0..1.0_f64) {
            let setting = setting(psi, f64::from(k));
            let (_, least) = optimal_interpolation(setting).unwrap();
            prop_assert!(least <= setting.at(rho).risk() * (1.0 + 1e-9));
        }

        #[test]
        fn the_order_of_risks_turns_at_the_threshold(psi in 0.02..0.3_f64, factor in 0.3..3.0_f64) {
            prop_assume!((factor - 1.0).abs() > 1e-3);
            let k = 3.0;
            let signal = factor * bag_instance_snr_threshold(psi, k).unwrap();
            let setting = Setting { psi, bag_size: k, signal, noise_variance: 1.0 };
            prop_assert_eq!(setting.at(0.0).risk() < setting.at(1.0).risk(), factor > 1.0);
        }
    }

    #[test]
    fn roots_are_found_to_the_edges() {
        for (w, rho, psi) in [(0.25, 1e-7, 0.999_999), (0.5, 0.3, 1e-9), (1.0, 1.0, 0.5)] {
            let v: f64 = root(w, rho, psi);
            let rest = w / (1.0 + v) + (1.0 - w) / (1.0 + rho * v);
            assert!((rest / (1.0 - psi) - 1.0).abs() < 1e-9, "{v}");
        }
    }

    #[test]
    fn bags_as_many_as_features_diverge() {
        assert_eq!(setting(0.5, 2.0).at(0.0).risk(), f64::INFINITY);
        assert_eq!(setting(1.0, 2.0).at(0.5).risk(), f64::INFINITY);
        assert!(setting(0.0, 2.0).risk(0.5).is_err());
        assert!(setting(0.5, 0.5).risk(0.5).is_err());
        assert!(setting(0.5, 2.0).risk(1.5).is_err());
    }
}
