//! Gradient descent, plain and with momentum.

use super::{check_factor, check_sizes, sweep};
use crate::dispatch;
use crate::real::Real;

/// Plain gradient descent with L2 regularisation: `θ ← θ − η·(g + λ·θ)`.
///
/// Conventions of `torch.optim.SGD` with a momentum of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate η; by default 0.001.
    pub learning_rate: f64,
    /// Weight decay λ, added to the gradient; by default 0.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            weight_decay: 0.0,
        }
    }
}

impl Sgd {
    /// A step.
    ///
    /// # Panics
    /// When the sizes disagree.
    pub fn step<F: Real>(&self, parameters: &mut [F], gradient: &[F]) {
        check_sizes(parameters.len(), [("the gradient", gradient.len())]);
        let (rate, decay) = (F::from_f64(self.learning_rate), F::from_f64(self.weight_decay));
        sweep(gradient, [parameters], &|gradient, [parameters]| {
            dispatch!([F: Real] plain_block, (rate: F, decay: F, gradient: &[F], parameters: &mut [F]));
        });
    }
}

#[inline(always)]
fn plain_block<F: Real>(rate: F, decay: F, gradient: &[F], parameters: &mut [F]) {
    for (parameter, &g) in parameters.iter_mut().zip(gradient) {
        *parameter = *parameter - rate * (g + decay * *parameter);
    }
}

/// How a step follows its velocity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Momentum {
    /// Along the velocity (Polyak 1964): `θ ← θ − η·u`.
    #[default]
    HeavyBall,
    /// Along the velocity as the same gradient would change it once more (Nesterov 1983): `θ ← θ − η·(d + μ·u)`.
    Nesterov,
}

/// Gradient descent with momentum and L2 regularisation. With gradient g:
///
/// - `d = g + λ·θ`, `u ← μ·u + d`;
/// - θ moves as its [`Momentum`] says.
///
/// The velocity u holds no learning rate, so that a change of η acts at once on all of it.
///
/// Source: Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in deep learning, ICML 2013;
/// conventions of `torch.optim.SGD` with a dampening of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumSgd {
    /// Learning rate η; by default 0.001.
    pub learning_rate: f64,
    /// What the velocity keeps per step, μ in `[0, 1)`; by default 0.9.
    pub momentum: f64,
    /// By default along the velocity.
    pub kind: Momentum,
    /// Weight decay λ, added to the gradient; by default 0.
    pub weight_decay: f64,
}

impl Default for MomentumSgd {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            momentum: 0.9,
            kind: Momentum::HeavyBall,
            weight_decay: 0.0,
        }
    }
}

impl MomentumSgd {
    /// A step, with the velocity as the step before left it.
    ///
    /// # Panics
    /// When the sizes disagree or μ is not in `[0, 1)`.
    pub fn step<F: Real>(&self, parameters: &mut [F], gradient: &[F], velocity: &mut [F]) {
        check_sizes(
            parameters.len(),
            [("the gradient", gradient.len()), ("the velocity", velocity.len())],
        );
        check_factor("momentum", self.momentum);
        let (of_gradient, of_velocity) = match self.kind {
            Momentum::HeavyBall => (0.0, self.learning_rate),
            Momentum::Nesterov => (self.learning_rate, self.learning_rate * self.momentum),
        };
        let coefficients = &Coefficients {
            decay: F::from_f64(self.weight_decay),
            keep: F::from_f64(self.momentum),
            of_gradient: F::from_f64(of_gradient),
            of_velocity: F::from_f64(of_velocity),
        };
        sweep(
            gradient,
            [parameters, velocity],
            &|gradient, [parameters, velocity]| {
                dispatch!([F: Real] momentum_block, (
                    coefficients: &Coefficients<F>,
                    gradient: &[F],
                    parameters: &mut [F],
                    velocity: &mut [F],
                ));
            },
        );
    }
}

/// What is the same for all elements of a step, rounded once: `θ ← θ − (of_gradient·d + of_velocity·u)`.
struct Coefficients<F> {
    decay: F,
    keep: F,
    of_gradient: F,
    of_velocity: F,
}

#[inline(always)]
fn momentum_block<F: Real>(c: &Coefficients<F>, gradient: &[F], parameters: &mut [F], velocity: &mut [F]) {
    for ((parameter, &g), u) in parameters.iter_mut().zip(gradient).zip(velocity) {
        let d = g + c.decay * *parameter;
        *u = c.keep * *u + d;
        *parameter = *parameter - (c.of_gradient * d + c.of_velocity * *u);
    }
}
