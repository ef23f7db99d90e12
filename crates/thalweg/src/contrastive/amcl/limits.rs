//! Temperatures within limits: `τ = lower + (upper − lower) sigmoid(logit)`.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
pub use thalweg_kernels::adaptive_temperature::Limits;

use super::OBJECTIVE;
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// Share of the range above the lower limit within which a temperature counts as sitting on it: the sigmoid has no slope
/// there that would lead away.
const ON_THE_LIMIT: f64 = 1e-3;

/// Limits that temperatures may have.
///
/// # Errors
/// When the lower one is not above 0 or the upper one not above that.
pub(super) fn limits(lower: f64, upper: f64) -> Result<Limits, ConfigError> {
    let lower = require(OBJECTIVE, "lower", lower, "above 0 and finite", |lower| {
        lower > 0.0 && lower.is_finite()
    })?;
    let upper = require(OBJECTIVE, "upper", upper, "above `lower` and finite", |upper| {
        upper > lower && upper.is_finite()
    })?;
    Ok(Limits { lower, upper })
}

/// The temperatures of logits, on any backend.
pub(super) fn temperatures<const D: usize>(limits: Limits, logits: Tensor<D>) -> Tensor<D> {
    let Limits { lower, upper } = limits;
    (sigmoid(logits) * (upper - lower) + lower).clamp_max(upper)
}

/// Whether a temperature sits on the lower limit.
pub(super) fn is_on_lower(limits: Limits, temperature: f64) -> bool {
    temperature - limits.lower <= ON_THE_LIMIT * (limits.upper - limits.lower)
}

impl Case<'_> {
    /// The parameters `lower` and `upper`.
    pub(super) fn temperature_limits(&self) -> Result<Limits, QuantityError> {
        Ok(limits(self.param("lower")?, self.param("upper")?)?)
    }

    /// Refuses temperatures that are not above 0.
    pub(super) fn above_zero(&self, name: &str) -> Result<(), QuantityError> {
        self.finite(name)?;
        let data = &self.array(name).data;
        match data.iter().position(|temperature| *temperature <= 0.0) {
            Some(at) => self.refuse_input(
                name,
                format!("holds {} at index {at}; temperatures are above 0", data[at]),
            ),
            None => Ok(()),
        }
    }
}

/// A quantity with limits of temperatures.
pub(super) fn limited(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .param("lower", 1e-5)
        .param("upper", 2.0)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        limited(
            "amcl_temperature",
            "temperature within its limits from a logit, and its slope",
        )
        .input("logit", "[k]")
        .eval(|case| {
            let limits = case.temperature_limits()?;
            case.finite("logit")?;
            let logits = &case.array("logit").data;
            let each: Vec<[f64; 2]> = logits.iter().map(|&logit| limits.at(logit)).collect();
            let column = |of: usize| each.iter().map(|pair| pair[of]).collect::<Vec<f64>>();
            Ok(Outputs::new()
                .with("tau", column(0))
                .with("dtau_dlogit", column(1)))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    #[test]
    fn tensors_have_the_temperatures_and_slopes_of_the_kernel() {
        let limits = limits(1e-5, 2.0).unwrap();
        let logits = [-1e4, -700.0, -40.0, -3.0, 0.0, 0.7, 5.0, 40.0, 700.0, 1e4];
        for dtype in [DType::F32, DType::F64] {
            let x = TensorData::new(logits.to_vec(), [10]);
            let x = Tensor::<1>::from_data(x, (&Device::flex(), dtype))
                .autodiff()
                .require_grad();
            let found = temperatures(limits, x.clone());
            let slopes = x.grad(&found.clone().sum().backward()).unwrap();
            let floats = |x: Tensor<1>| x.into_data().try_into_vec_as::<f64>().unwrap();
            let tolerance = if dtype == DType::F64 { 1e-15 } else { 1e-6 };
            let (found, slopes) = (floats(found), floats(slopes));
            for (at, logit) in logits.into_iter().enumerate() {
                let [temperature, slope] = limits.at(logit);
                assert!(
                    (found[at] - temperature).abs() < tolerance,
                    "{logit}: {}",
                    found[at]
                );
                assert!((slopes[at] - slope).abs() < tolerance, "{logit}: {}", slopes[at]);
            }
        }
    }

    #[test]
    fn the_lower_limit_is_seen_before_it_is_met_exactly() {
        let limits = limits(0.05, 1.0).unwrap();
        assert!(is_on_lower(limits, 0.05) && is_on_lower(limits, limits.at(-8.0_f64)[0]));
        assert!(!is_on_lower(limits, limits.at(-6.0_f64)[0]) && !is_on_lower(limits, 1.0));
    }

    #[test]
    fn limits_that_are_none_are_refused() {
        for (lower, upper) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (0.5, 0.1),
            (0.1, f64::INFINITY),
            (f64::NAN, 1.0),
        ] {
            assert!(limits(lower, upper).is_err(), "{lower} {upper}");
        }
    }
}
