//! Random derivatives of a convex, calibrated loss at given margins, and the check that they are.

use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::config::require;

/// Below this |λ| the transform is its limit.
const NO_LAMBDA: f64 = 1e-8;

/// The inverse Box-Cox transform `max(0, 1 + λz)^(1/λ)`, `exp(z)` for λ = 0. For negative λ it is infinite where
/// `1 + λz <= 0`.
pub fn box_cox_inverse(z: f64, lambda: f64) -> f64 {
    if lambda.abs() < NO_LAMBDA {
        return z.exp();
    }
    if lambda * z <= -1.0 {
        return if lambda > 0.0 { 0.0 } else { f64::INFINITY };
    }
    ((lambda * z).ln_1p() / lambda).exp()
}

/// What becomes of random magnitudes before they are derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DerivativeShape {
    /// Largest magnitude, above 0.
    pub cap: f64,
    /// Subtracted from every derivative, so that none is 0; at least 0.
    pub floor: f64,
    /// Margin above which a derivative is divided by its margin, above 0.
    pub tail_start: f64,
}

impl Default for DerivativeShape {
    fn default() -> Self {
        Self {
            cap: 1.0,
            floor: 1e-6,
            tail_start: 1.0,
        }
    }
}

impl DerivativeShape {
    pub(super) fn checked(self) -> Result<Self, ConfigError> {
        const NAME: &str = "ens_loss";
        let positive = |parameter, value: f64| {
            require(NAME, parameter, value, "above 0 and finite", |value| {
                value > 0.0 && value.is_finite()
            })
        };
        positive("cap", self.cap)?;
        positive("tail_start", self.tail_start)?;
        require(NAME, "floor", self.floor, "at least 0 and finite", |floor| {
            floor >= 0.0 && floor.is_finite()
        })?;
        Ok(self)
    }

    /// A derivative for each margin, from as many magnitudes: the smallest margin gets the most negative. Equal margins
    /// take theirs in order. A NaN among the margins has no place in that order: then all are NaN.
    ///
    /// # Panics
    /// When there are not as many magnitudes as margins.
    pub fn derivatives(&self, margins: &[f64], mut magnitudes: Vec<f64>) -> Vec<f64> {
        assert_eq!(margins.len(), magnitudes.len(), "each margin needs a magnitude");
        if margins.iter().any(|margin| margin.is_nan()) {
            return vec![f64::NAN; margins.len()];
        }
        magnitudes
            .iter_mut()
            .for_each(|magnitude| *magnitude = magnitude.min(self.cap));
        magnitudes.sort_by(|a, b| b.total_cmp(a));
        let mut derivatives = vec![0.0; margins.len()];
        for (at, magnitude) in ascending(margins).into_iter().zip(magnitudes) {
            let margin = margins[at];
            let damped = if margin > self.tail_start {
                magnitude / margin
            } else {
                magnitude
            };
            derivatives[at] = -damped - self.floor;
        }
        derivatives
    }
}

/// Whether derivatives at margins may be those of a convex, classification-calibrated loss that is bounded below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationCheck {
    /// How often the derivative falls from a margin to the next larger one: 0 for a convex loss.
    pub monotone_violations: usize,
    /// Whether every derivative is negative.
    pub all_negative: bool,
    /// `max −g m` over margins beyond the tail's start, 0 if there are none; it must fall to 0 in the end for a loss that
    /// is bounded below.
    pub max_tail_product: f64,
}

impl CalibrationCheck {
    /// Checks derivatives at margins.
    ///
    /// # Panics
    /// When there are not as many of both.
    pub fn of(margins: &[f64], derivatives: &[f64], tail_start: f64) -> Self {
        assert_eq!(margins.len(), derivatives.len(), "each margin has a derivative");
        let order = ascending(margins);
        let falls = order
            .windows(2)
            .filter(|pair| derivatives[pair[1]] < derivatives[pair[0]]);
        let tail = margins
            .iter()
            .zip(derivatives)
            .filter(|(margin, _)| **margin > tail_start);
        Self {
            monotone_violations: falls.count(),
            all_negative: derivatives.iter().all(|&derivative| derivative < 0.0),
            max_tail_product: tail
                .map(|(margin, derivative)| -derivative * margin)
                .reduce(f64::max)
                .unwrap_or(0.0),
        }
    }
}

/// Indices of `margins`, smallest first, equal ones in order.
fn ascending(margins: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..margins.len()).collect();
    order.sort_by(|&a, &b| margins[a].partial_cmp(&margins[b]).expect("none is NaN"));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: DerivativeShape = DerivativeShape {
        cap: 1.0,
        floor: 1e-6,
        tail_start: 1.0,
    };

    fn batch() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, f64)> {
        (1..40_usize).prop_flat_map(|size| {
            let margins = proptest::collection::vec(-5.0..8.0_f64, size);
            let normals = proptest::collection::vec(-4.0..4.0_f64, size);
            (margins, normals, -1.0..1.0_f64)
        })
    }

    proptest! {
        #[test]
        fn every_draw_is_convex_and_calibrated((margins, normals, lambda) in batch()) {
            let magnitudes = normals.iter().map(|&z| box_cox_inverse(z, lambda)).collect();
            let derivatives = SHAPE.derivatives(&margins, magnitudes);
            let check = CalibrationCheck::of(&margins, &derivatives, 1.0);
            prop_assert_eq!(check.monotone_violations, 0);
            prop_assert!(check.all_negative);
            for (m, g) in margins.iter().zip(&derivatives) {
                prop_assert!((-1.0 - 1e-6..=-1e-6).contains(g), "{g}");
                prop_assert!(*m <= 1.0 || -g * m <= 1.0 + 1e-6 * m + 1e-12, "{m}: {g}");
            }
        }

        #[test]
        fn a_batch_in_another_order_gives_the_same_derivatives((margins, normals, lambda) in batch()) {
            let magnitudes: Vec<f64> = normals.iter().map(|&z| box_cox_inverse(z, lambda)).collect();
            let straight = SHAPE.derivatives(&margins, magnitudes.clone());
            let turned: Vec<f64> = margins.iter().rev().copied().collect();
            let mut back = SHAPE.derivatives(&turned, magnitudes.into_iter().rev().collect());
            back.reverse();
            prop_assert_eq!(straight, back);
        }

        #[test]
        fn small_lambda_is_the_exponential(z in -4.0..4.0_f64, sign in prop::bool::ANY) {
            let lambda = if sign { 1e-7 } else { -1e-7 };
            prop_assert!((box_cox_inverse(z, lambda) / z.exp() - 1.0).abs() < 1e-5);
            prop_assert_eq!(box_cox_inverse(z, 1.0), if z <= -1.0 { 0.0 } else { z.ln_1p().exp() });
        }
    }

    #[test]
    fn infinite_magnitudes_are_the_hinge_with_a_logarithmic_tail() {
        let margins = [-3.0, 0.5, 1.0, 2.0, 4.0];
        let none = DerivativeShape { floor: 0.0, ..SHAPE };
        let found = none.derivatives(&margins, vec![f64::INFINITY; 5]);
        assert_eq!(found, [-1.0, -1.0, -1.0, -0.5, -0.25]);
        let constant = none.derivatives(&margins[..3], vec![0.3; 3]);
        assert_eq!(constant, [-0.3; 3]);
    }

    #[test]
    fn beyond_its_domain_the_transform_is_zero_or_infinite() {
        assert_eq!(box_cox_inverse(-2.0, 0.5), 0.0);
        assert_eq!(box_cox_inverse(-8.0, 0.5), 0.0);
        assert_eq!(box_cox_inverse(2.0, -0.5), f64::INFINITY);
        assert_eq!(box_cox_inverse(8.0, -0.5), f64::INFINITY);
        assert_eq!(box_cox_inverse(0.0, -0.7), 1.0);
    }

    #[test]
    fn what_is_not_convex_is_found() {
        let check = CalibrationCheck::of(&[2.0, 0.0, 1.0], &[-3.0, -1.0, 0.5], 1.5);
        assert_eq!(check.monotone_violations, 1);
        assert!(!check.all_negative);
        assert_eq!(check.max_tail_product, 6.0);
        assert_eq!(CalibrationCheck::of(&[0.0], &[-1.0], 1.0).max_tail_product, 0.0);
    }

    #[test]
    fn a_margin_that_is_no_number_leaves_none() {
        let found = SHAPE.derivatives(&[0.0, f64::NAN], vec![1.0, 2.0]);
        assert!(found.iter().all(|derivative| derivative.is_nan()));
    }
}
