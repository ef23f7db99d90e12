//! AdamW.

use super::{check_factor, check_sizes, sweep};
use crate::dispatch;
use crate::real::Real;

/// Adam with decoupled weight decay. Step t with gradient g:
///
/// - `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`;
/// - `θ ← θ − η·(λ·θ + m̂/(√v̂ + ε))` with `m̂ = m/(1 − β₁ᵗ)` and `v̂ = v/(1 − β₂ᵗ)`.
///
/// A weight decay of 0 is Adam. The decay is multiplied by the learning rate, as in PyTorch and unlike the paper, where
/// only the schedule multiplies it. An f32 gradient beyond 1.8e19 has an infinite square, which stops its parameter.
///
/// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2; defaults of
/// `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate η; by default 0.001.
    pub learning_rate: f64,
    /// What the mean gradient m keeps per step, β₁ in `[0, 1)`; by default 0.9.
    pub beta1: f64,
    /// What the mean squared gradient v keeps per step, β₂ in `[0, 1)`; by default 0.999.
    pub beta2: f64,
    /// Added to the root of the mean square, ε; by default 1e-8.
    pub epsilon: f64,
    /// Weight decay λ; by default 0.01.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }
}

impl AdamW {
    /// Step number `step`, the first being 1, with the moments m and v as the steps before left them.
    ///
    /// # Panics
    /// When the sizes disagree, `step` is 0, or a β is not in `[0, 1)`.
    pub fn step<F: Real>(
        &self,
        step: u64,
        parameters: &mut [F],
        gradient: &[F],
        first_moment: &mut [F],
        second_moment: &mut [F],
    ) {
        check_sizes(
            parameters.len(),
            [
                ("the gradient", gradient.len()),
                ("the first moment", first_moment.len()),
                ("the second moment", second_moment.len()),
            ],
        );
        check_factor("beta1", self.beta1);
        check_factor("beta2", self.beta2);
        assert!(step >= 1, "steps are counted from 1");
        let coefficients = Coefficients::<F>::of(self, step);
        let coefficients = &coefficients;
        sweep(gradient, [parameters, first_moment, second_moment], &|gradient,
                                                                     [
            parameters,
            first,
            second,
        ]| {
            dispatch!([F: Real] block, (
                coefficients: &Coefficients<F>,
                gradient: &[F],
                parameters: &mut [F],
                first: &mut [F],
                second: &mut [F],
            ));
        });
    }
}

/// What is the same for all elements of a step, rounded once.
struct Coefficients<F> {
    keep_first: F,
    take_first: F,
    keep_second: F,
    take_second: F,
    /// `η·λ`. Applied to θ by itself: `1 − η·λ` would lose most of its digits in f32.
    decay: F,
    /// `η/(1 − β₁ᵗ)`.
    rate: F,
    /// `1/√(1 − β₂ᵗ)`.
    unbias: F,
    epsilon: F,
}

impl<F: Real> Coefficients<F> {
    fn of(rule: &AdamW, step: u64) -> Self {
        let bias = |beta: f64| 1.0 - beta.powf(step as f64);
        Self {
            keep_first: F::from_f64(rule.beta1),
            take_first: F::from_f64(1.0 - rule.beta1),
            keep_second: F::from_f64(rule.beta2),
            take_second: F::from_f64(1.0 - rule.beta2),
            decay: F::from_f64(rule.learning_rate * rule.weight_decay),
            rate: F::from_f64(rule.learning_rate / bias(rule.beta1)),
            unbias: F::from_f64(1.0 / bias(rule.beta2).sqrt()),
            epsilon: F::from_f64(rule.epsilon),
        }
    }
}

#[inline(always)]
fn block<F: Real>(
    c: &Coefficients<F>,
    gradient: &[F],
    parameters: &mut [F],
    first: &mut [F],
    second: &mut [F],
) {
    let moments = first.iter_mut().zip(second);
    for ((parameter, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
        *m = c.keep_first * *m + c.take_first * g;
        *v = c.keep_second * *v + c.take_second * (g * g);
        let spread = v.sqrt() * c.unbias + c.epsilon;
        *parameter = *parameter - (c.decay * *parameter + c.rate * *m / spread);
    }
}
