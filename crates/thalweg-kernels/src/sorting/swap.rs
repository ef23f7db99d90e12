//! How far a comparator leaves two numbers where they are.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use serde::{Deserialize, Serialize};

/// Of `v = β(b − a)`, the probability `α = F(v)` that a and b are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distribution {
    /// `1/(1 + exp(−v))`.
    Logistic,
    /// The logistic of `v/(|b − a| + 1e-10)^λ`.
    LogisticPhi,
    /// The normal distribution function.
    Gaussian,
    /// `(v/(2 + |v|) + 1)/2`.
    Reciprocal,
    /// `atan(v)/π + 1/2`.
    Cauchy,
    /// `1/2 + v` within 1/4 of 0, `1 − 1/(16v)` above and its mirror below: the monotone one of least error.
    Optimal,
}

impl Distribution {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::Logistic,
        Self::LogisticPhi,
        Self::Gaussian,
        Self::Reciprocal,
        Self::Cauchy,
        Self::Optimal,
    ];
}

/// A comparator's rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelaxedSwap {
    distribution: Distribution,
    steepness: f64,
    art_lambda: f64,
}

/// What a comparator does with two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Swap {
    /// α.
    pub in_order: f64,
    /// `1 − α`, with all its digits where it is small.
    pub out_of_order: f64,
    /// The derivative of α by `b − a`.
    pub slope: f64,
    /// `b − a`.
    pub difference: f64,
}

impl Swap {
    /// `αa + (1−α)b` and `(1−α)a + αb`.
    #[inline]
    pub fn mix(&self, a: f64, b: f64) -> (f64, f64) {
        (
            self.in_order * a + self.out_of_order * b,
            self.out_of_order * a + self.in_order * b,
        )
    }
}

impl RelaxedSwap {
    /// With steepness β; `art_lambda`, λ, matters to [`Distribution::LogisticPhi`] only.
    pub fn new(distribution: Distribution, steepness: f64, art_lambda: f64) -> Self {
        Self {
            distribution,
            steepness,
            art_lambda,
        }
    }

    /// For numbers with the difference `b − a`.
    pub fn of(&self, difference: f64) -> Swap {
        let v = self.steepness * difference;
        let size = v.abs();
        // The smaller of α and 1 − α, which is a function of |v|, and the slope of α by v.
        let (smaller, slope) = match self.distribution {
            Distribution::Logistic => logistic(size),
            Distribution::LogisticPhi => {
                let gap = difference.abs() + 1e-10;
                let power = gap.powf(-self.art_lambda);
                let (smaller, slope) = logistic(size * power);
                (
                    smaller,
                    slope * power * (1.0 - self.art_lambda * difference.abs() / gap),
                )
            }
            Distribution::Gaussian => (
                0.5 * libm::erfc(size * FRAC_1_SQRT_2),
                (-0.5 * v * v).exp() / (2.0 * PI).sqrt(),
            ),
            Distribution::Reciprocal => (1.0 / (2.0 + size), 1.0 / ((2.0 + size) * (2.0 + size))),
            Distribution::Cauchy => {
                let smaller = if size > 1.0 {
                    (1.0 / size).atan() / PI
                } else {
                    0.5 - size.atan() / PI
                };
                (smaller, 1.0 / (PI * (1.0 + v * v)))
            }
            Distribution::Optimal if size <= 0.25 => (0.5 - size, 1.0),
            Distribution::Optimal => (0.0625 / size, 0.0625 / (v * v)),
        };
        let larger = 1.0 - smaller;
        let (in_order, out_of_order) = if v < 0.0 {
            (smaller, larger)
        } else {
            (larger, smaller)
        };
        Swap {
            in_order,
            out_of_order,
            slope: self.steepness * slope,
            difference,
        }
    }
}

/// `1/(1 + exp(v))` and its slope, for v of at least 0.
fn logistic(v: f64) -> (f64, f64) {
    let odds = (-v).exp();
    let smaller = odds / (1.0 + odds);
    (smaller, smaller / (1.0 + odds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exchanged_numbers_have_the_opposite_order(
            distribution in prop::sample::select(Distribution::ALL.to_vec()), steepness in 0.1_f64..100.0, difference in -50.0_f64..50.0,
        ) {
            let rule = RelaxedSwap::new(distribution, steepness, 0.25);
            let (swap, exchanged) = (rule.of(difference), rule.of(-difference));
            prop_assert_eq!(swap.in_order, exchanged.out_of_order);
            prop_assert!((swap.in_order + swap.out_of_order - 1.0).abs() < 1e-15);
            let v = steepness * difference;
            if matches!(distribution, Distribution::Cauchy | Distribution::Reciprocal | Distribution::Optimal) {
                prop_assert!(swap.out_of_order - v * swap.slope / steepness >= -1e-15);
            }
        }
    }

    #[test]
    fn equal_numbers_are_half_in_order() {
        for distribution in Distribution::ALL {
            let swap = RelaxedSwap::new(distribution, 7.0, 0.25).of(0.0);
            assert_eq!((swap.in_order, swap.out_of_order), (0.5, 0.5));
            assert!(swap.slope.is_finite());
        }
    }

    #[test]
    fn far_apart_the_smaller_side_keeps_its_digits() {
        let smaller = |distribution| RelaxedSwap::new(distribution, 1.0, 0.25).of(1e12).out_of_order;
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-12;
        assert!(near(smaller(Distribution::Cauchy), 1e-12 / PI));
        assert!(near(smaller(Distribution::Reciprocal), 1.0 / (1e12 + 2.0)));
        assert!(near(smaller(Distribution::Optimal), 6.25e-14));
        assert_eq!(smaller(Distribution::Logistic), 0.0);
    }
}
