//! The step up a gradient that sharpness-aware minimisation takes before it looks at the gradient again.

use super::{check_sizes, sweep};
use crate::dispatch;
use crate::real::Real;

/// What a coordinate is measured by: T in `ε = ρ T² g / ‖T g‖`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// T = 1: all coordinates alike.
    Euclidean,
    /// T = |θ| + η: in proportion to the parameter.
    Adaptive {
        /// η, at least 0.
        eta: f64,
    },
}

impl Metric {
    #[inline(always)]
    fn of(self, parameter: f64) -> f64 {
        match self {
            Self::Euclidean => 1.0,
            Self::Adaptive { eta } => parameter.abs() + eta,
        }
    }
}

/// A Euclidean norm that neither overflows nor vanishes on the way: `largest·√squares`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Length {
    largest: f64,
    squares: f64,
}

impl Length {
    /// Of `T g`.
    ///
    /// # Panics
    /// When the sizes disagree.
    pub fn of<F: Real>(metric: Metric, parameters: &[F], gradient: &[F]) -> Self {
        check_sizes(parameters.len(), [("the gradient", gradient.len())]);
        let pairs = || parameters.iter().zip(gradient);
        let measured = |(&parameter, &slope): (&F, &F)| metric.of(parameter.to_f64()) * slope.to_f64();
        let largest = pairs().fold(0.0, |top: f64, pair| measured(pair).abs().larger(top));
        let squares = if largest > 0.0 {
            pairs().map(|pair| (measured(pair) / largest).powi(2)).sum()
        } else {
            // What is no number must not pass for a gradient of nothing.
            pairs().map(measured).map(|slope| slope * slope).sum()
        };
        Self { largest, squares }
    }

    /// Of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let largest = self.largest.larger(other.largest);
        let share = |part: Self| match part.largest {
            0.0 => part.squares,
            own => part.squares * (own / largest).powi(2),
        };
        Self {
            largest,
            squares: share(self) + share(other),
        }
    }

    /// The norm.
    pub fn value(self) -> f64 {
        match self.largest {
            0.0 => self.squares.sqrt(),
            largest => largest * self.squares.sqrt(),
        }
    }
}

/// The step `ε = s T² g`, with `s = ρ/‖T g‖` for one of length ρ in the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// T.
    pub metric: Metric,
    /// Factor s.
    pub scale: f64,
}

impl Ascent {
    /// The gradient becomes the step up it.
    ///
    /// # Panics
    /// When the sizes disagree.
    pub fn step<F: Real>(&self, gradient: &mut [F], parameters: &[F]) {
        check_sizes(parameters.len(), [("the gradient", gradient.len())]);
        let rule = *self;
        sweep(parameters, [gradient], &|parameters, [gradient]| {
            dispatch!([F: Real] ascent_block, (rule: Ascent, parameters: &[F], gradient: &mut [F]));
        });
    }
}

#[inline(always)]
fn ascent_block<F: Real>(rule: Ascent, parameters: &[F], gradient: &mut [F]) {
    for (slope, &parameter) in gradient.iter_mut().zip(parameters) {
        let measure = rule.metric.of(parameter.to_f64());
        // In this order a large factor meets a small slope first.
        *slope = F::from_f64(rule.scale * (measure * slope.to_f64()) * measure);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_step_is_as_long_as_asked(
            pairs in prop::collection::vec((-3.0_f64..3.0, -2.0_f64..2.0), 1..70),
            eta in 0.0_f64..0.1, rho in 0.01_f64..2.0, size in -200_i32..150, cut in 0_usize..70,
        ) {
            let (parameters, gradient): (Vec<f64>, Vec<f64>) =
                pairs.into_iter().map(|(w, g)| (w, g * 10.0_f64.powi(size))).unzip();
            for metric in [Metric::Euclidean, Metric::Adaptive { eta }] {
                let length = Length::of(metric, &parameters, &gradient);
                let cut = cut.min(gradient.len());
                let halves = Length::of(metric, &parameters[..cut], &gradient[..cut])
                    .and(Length::of(metric, &parameters[cut..], &gradient[cut..]));
                prop_assert!((halves.value() / length.value() - 1.0).abs() < 1e-13);
                let mut step = gradient.clone();
                Ascent { metric, scale: rho / length.value() }.step(&mut step, &parameters);
                let own = step.iter().zip(&parameters).filter(|(step, _)| **step != 0.0);
                let square: f64 = own.map(|(step, &w)| (step / metric.of(w)).powi(2)).sum();
                prop_assert!((square.sqrt() / rho - 1.0).abs() < 1e-12, "{} for {rho}", square.sqrt());
                prop_assert!(step.iter().zip(&gradient).all(|(step, slope)| step * slope >= 0.0));
            }
        }
    }

    #[test]
    fn nothing_is_of_no_length_and_what_is_no_number_of_none() {
        assert_eq!(Length::of::<f32>(Metric::Euclidean, &[], &[]).value(), 0.0);
        assert_eq!(
            Length::of(Metric::Euclidean, &[1.0, 2.0], &[0.0, -0.0]).value(),
            0.0
        );
        assert_eq!(
            Length::of(Metric::Adaptive { eta: 0.0 }, &[0.0], &[5.0]).value(),
            0.0
        );
        let part = Length::of(Metric::Euclidean, &[1.0], &[f64::NAN]);
        assert!(part.value().is_nan());
        assert!(
            part.and(Length::of(Metric::Euclidean, &[1.0], &[1.0]))
                .value()
                .is_nan()
        );
        assert_eq!(
            Length::of(Metric::Euclidean, &[0.0; 2], &[-3e38_f32, 2e38]).value(),
            {
                let (a, b) = (f64::from(3e38_f32), f64::from(2e38_f32));
                a * (1.0 + (b / a) * (b / a)).sqrt()
            }
        );
    }
}
