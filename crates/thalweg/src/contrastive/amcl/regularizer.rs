//! What a temperature costs: `Ω(τ) = (d/2) log τ + 1/τ`, with its minimum at 2/d.
//!
//! Up to a constant, `−cos/τ + Ω(τ)` is minus the log-likelihood of a unit vector under a Gaussian about another one with
//! variance τ in each of d directions.

use burn::tensor::Tensor;
use thalweg_kernels::adaptive_temperature::Limits;

use super::OBJECTIVE;
use super::limits::limited;
use crate::config::require;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// `Ω(τ)` for vectors of so many numbers.
pub fn regularizer(width: f64, temperature: f64) -> f64 {
    0.5 * width * temperature.ln() + 1.0 / temperature
}

/// `Ω'(τ) = d/(2τ) − 1/τ²`.
pub fn regularizer_slope(width: f64, temperature: f64) -> f64 {
    (0.5 * width - 1.0 / temperature) / temperature
}

/// [`regularizer`] of each temperature of a tensor.
pub(super) fn regularizers<const D: usize>(width: f64, temperatures: Tensor<D>) -> Tensor<D> {
    temperatures.clone().log() * (0.5 * width) + temperatures.recip()
}

/// Where `−s/τ + β Ω(τ)` is lowest within the limits, s the similarity of a positive pair: `2(β − s)/(β d)` for `s < β`, and
/// the lower limit for the others, since it falls all the way towards 0. At β = 0 only a limit holds it; at β = 1 it is the
/// variance of largest likelihood, `‖z − z⁺‖²/d`.
pub fn optimal_positive_temperature(similarity: f64, beta: f64, width: f64, limits: Limits) -> f64 {
    if similarity >= beta {
        return limits.lower;
    }
    (2.0 * (beta - similarity) / (beta * width)).clamp(limits.lower, limits.upper)
}

/// The weight β of Ω, at least 0.
pub(super) fn beta(value: f64) -> Result<f64, ConfigError> {
    require(OBJECTIVE, "beta", value, "at least 0 and finite", |beta| {
        beta >= 0.0 && beta.is_finite()
    })
}

impl Case<'_> {
    /// The parameter `dim`: the numbers d of a vector.
    pub(super) fn dim(&self) -> Result<f64, QuantityError> {
        Ok(require(
            OBJECTIVE,
            "dim",
            self.param("dim")?,
            "above 0 and finite",
            |dim| dim > 0.0 && dim.is_finite(),
        )?)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "amcl_temperature_regularizer",
            "Ω(τ) = (d/2) log τ + 1/τ of temperatures, and its gradient",
        )
        .param("dim", 128.0)
        .param("reduction", "sum")
        .input("tau", "[..]")
        .with_example("tau", vec![0.1, 0.5, 2.0])
        .eval(|case| {
            let (dim, reduction) = (case.dim()?, case.reduction()?);
            case.above_zero("tau")?;
            let Array { shape, data } = case.array("tau");
            if data.is_empty() {
                return case.refuse_input("tau", "is empty; it must hold at least one temperature");
            }
            let array = |of: &dyn Fn(f64) -> f64| Array {
                shape: shape.clone(),
                data: data.iter().map(|&tau| of(tau)).collect(),
            };
            let values = array(&|tau| regularizer(dim, tau));
            let scale = reduction.scale(data.len());
            let outputs = match reduction {
                Reduction::None => Outputs::new().with("value", values),
                Reduction::Mean | Reduction::Sum => {
                    Outputs::new().with("value", scale * values.data.iter().sum::<f64>())
                }
            };
            Ok(outputs.with("grad_tau", array(&|tau| scale * regularizer_slope(dim, tau))))
        }),
        limited(
            "amcl_optimal_positive_temperature",
            "temperature at which −s/τ + β Ω(τ) is lowest within the limits, and whether a limit holds it (1) or not (0)",
        )
        .param("beta", 0.1)
        .param("dim", 128.0)
        .input("sim", "[k]")
        .eval(|case| {
            let (limits, dim) = (case.temperature_limits()?, case.dim()?);
            let beta = beta(case.param("beta")?)?;
            case.finite("sim")?;
            let sim = &case.array("sim").data;
            let best = |s: &f64| optimal_positive_temperature(*s, beta, dim, limits);
            let tau: Vec<f64> = sim.iter().map(best).collect();
            let free = |s: f64| 2.0 * (beta - s) / (beta * dim);
            let clipped = sim.iter().zip(&tau).map(|(&s, &tau)| f64::from(u8::from(free(s) != tau)));
            let clipped = clipped.collect::<Vec<f64>>();
            Ok(Outputs::new().with("tau", tau).with("clipped", clipped))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_lowest_at_two_over_the_width(width in 1_u32..2000, away in 0.5_f64..2.0) {
            let width = f64::from(width);
            let best = 2.0 / width;
            prop_assert!(regularizer_slope(width, best).abs() <= 1e-13 * width * width);
            prop_assert!(regularizer(width, best) <= regularizer(width, best * away));
        }

        #[test]
        fn slopes_are_differences(width in 1_u32..300, temperature in 0.01_f64..3.0) {
            let (width, h) = (f64::from(width), 1e-5 * temperature);
            let difference = (regularizer(width, temperature + h) - regularizer(width, temperature - h)) / (2.0 * h);
            let slope = regularizer_slope(width, temperature);
            prop_assert!((difference - slope).abs() < 1e-6 * (1.0 + width / temperature + temperature.powi(-2)));
        }

        #[test]
        fn the_best_positive_temperature_is_stationary_or_at_a_limit(
            similarity in -1.0_f64..1.0, beta in 0.05_f64..2.0, width in 2_u32..200,
        ) {
            let (width, limits) = (f64::from(width), Limits { lower: 1e-3, upper: 2.0 });
            let best = optimal_positive_temperature(similarity, beta, width, limits);
            let cost = |temperature: f64| -similarity / temperature + beta * regularizer(width, temperature);
            for other in [limits.lower, 0.01, 0.1, 0.3, 1.0, limits.upper, best * 1.1, best / 1.1] {
                let other = other.clamp(limits.lower, limits.upper);
                prop_assert!(cost(best) <= cost(other) + 1e-9 * (1.0 + cost(other).abs()), "{other}");
            }
            if best > limits.lower && best < limits.upper {
                let slope = similarity / best.powi(2) + beta * regularizer_slope(width, best);
                prop_assert!(slope.abs() < 1e-9 * (1.0 + beta * width / best));
            }
        }

        #[test]
        fn at_weight_one_it_is_the_variance(similarity in -1.0_f64..0.99, width in 2_u32..200) {
            let limits = Limits { lower: 1e-6, upper: 10.0 };
            let variance = (2.0 - 2.0 * similarity) / f64::from(width);
            let best = optimal_positive_temperature(similarity, 1.0, f64::from(width), limits);
            prop_assert!((best - variance).abs() < 1e-14);
        }
    }

    #[test]
    fn without_the_regulariser_only_limits_hold_it() {
        let limits = Limits {
            lower: 0.1,
            upper: 2.0,
        };
        let at = |similarity| optimal_positive_temperature(similarity, 0.0, 8.0, limits);
        assert_eq!([at(-0.5), at(0.0), at(0.5)], [2.0, 0.1, 0.1]);
    }

    #[test]
    fn at_the_lowest_default_it_is_as_large_as_the_formula_says() {
        let expected = 1e5 - 5.756_462_732_485_114 * 128.0;
        assert!((regularizer(128.0, 1e-5) - expected).abs() < 1e-8);
    }
}
