//! Lion.

use super::{check_factor, check_sizes, sweep};
use crate::dispatch;
use crate::real::Real;

/// Evolved sign momentum. With gradient g:
///
/// - `θ ← θ − η·(sign(β₁·m + (1 − β₁)·g) + λ·θ)`;
/// - `m ← β₂·m + (1 − β₂)·g`, after the parameters.
///
/// The sign of 0 is 0. Since every element moves by η, learning rates are three to ten times smaller than AdamW's and
/// weight decays as much larger.
///
/// Source: Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, algorithm 2; defaults of its authors'
/// code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// Learning rate η; by default 0.0001.
    pub learning_rate: f64,
    /// Weight of the momentum in the direction, β₁ in `[0, 1)`; by default 0.9.
    pub beta1: f64,
    /// What the momentum keeps per step, β₂ in `[0, 1)`; by default 0.99.
    pub beta2: f64,
    /// Decoupled weight decay λ, multiplied by the learning rate; by default 0.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.0,
        }
    }
}

impl Lion {
    /// A step, with the momentum m as the step before left it.
    ///
    /// # Panics
    /// When the sizes disagree or a β is not in `[0, 1)`.
    pub fn step<F: Real>(&self, parameters: &mut [F], gradient: &[F], momentum: &mut [F]) {
        check_sizes(
            parameters.len(),
            [("the gradient", gradient.len()), ("the momentum", momentum.len())],
        );
        check_factor("beta1", self.beta1);
        check_factor("beta2", self.beta2);
        let coefficients = &Coefficients {
            of_momentum: F::from_f64(self.beta1),
            of_gradient: F::from_f64(1.0 - self.beta1),
            keep: F::from_f64(self.beta2),
            take: F::from_f64(1.0 - self.beta2),
            rate: F::from_f64(self.learning_rate),
            decay: F::from_f64(self.learning_rate * self.weight_decay),
        };
        sweep(
            gradient,
            [parameters, momentum],
            &|gradient, [parameters, momentum]| {
                dispatch!([F: Real] block, (
                    coefficients: &Coefficients<F>,
                    gradient: &[F],
                    parameters: &mut [F],
                    momentum: &mut [F],
                ));
            },
        );
    }
}

/// What is the same for all elements of a step, rounded once.
struct Coefficients<F> {
    of_momentum: F,
    of_gradient: F,
    keep: F,
    take: F,
    rate: F,
    decay: F,
}

#[inline(always)]
fn block<F: Real>(c: &Coefficients<F>, gradient: &[F], parameters: &mut [F], momentum: &mut [F]) {
    for ((parameter, &g), m) in parameters.iter_mut().zip(gradient).zip(momentum) {
        let direction = c.of_momentum * *m + c.of_gradient * g;
        *m = c.keep * *m + c.take * g;
        *parameter = *parameter - (c.rate * sign(direction) + c.decay * *parameter);
    }
}

/// 1, -1, or the number itself: 0, or none.
#[inline(always)]
fn sign<F: Real>(number: F) -> F {
    if number > F::ZERO {
        F::ONE
    } else if number < F::ZERO {
        -F::ONE
    } else {
        number
    }
}
