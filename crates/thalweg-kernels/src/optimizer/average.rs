//! The moving average of parameters.

use super::{check_sizes, sweep};
use crate::dispatch;
use crate::real::Real;

/// Exponential moving average, as target networks follow the network in training: `ξ ← ξ + (1 − m)·(θ − ξ)`.
///
/// Written so, where the two are equal they stay as they are, whatever the rounding of m: `m·ξ + (1 − m)·θ` would not do so
/// in single precision. At m = 1 nothing moves, at m = 0 the parameters are copied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// What is kept per step, m in `[0, 1]`.
    pub momentum: f64,
}

impl Average {
    /// A step of the averages towards the parameters.
    ///
    /// # Panics
    /// When the sizes disagree or m is not in `[0, 1]`.
    pub fn step<F: Real>(&self, averages: &mut [F], parameters: &[F]) {
        check_sizes(parameters.len(), [("the average", averages.len())]);
        assert!(
            (0.0..=1.0).contains(&self.momentum),
            "momentum {} is not in [0, 1]",
            self.momentum
        );
        let share = F::from_f64(1.0 - self.momentum);
        if share == F::ZERO {
            return;
        }
        if share == F::ONE {
            averages.copy_from_slice(parameters);
            return;
        }
        sweep(parameters, [averages], &|parameters, [averages]| {
            dispatch!([F: Real] average_block, (share: F, parameters: &[F], averages: &mut [F]));
        });
    }
}

#[inline(always)]
fn average_block<F: Real>(share: F, parameters: &[F], averages: &mut [F]) {
    for (average, &parameter) in averages.iter_mut().zip(parameters) {
        *average = *average + share * (parameter - *average);
    }
}
