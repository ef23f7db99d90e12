//! What falls along Lion-K: the Lyapunov functions of the flow and of the implicit scheme, and their certificates.

use super::{Flow, Kernel, LionKStep, Scheme, Smooth, dot};

/// The state of the flow's Lyapunov function
/// `H = α f + (γ/λ) K*(λx) + c·(K*(λx) + K(m) − λ m·x)`, `c = (1 − εγ)/(1 + ελ)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dissipation {
    /// H.
    pub energy: f64,
    /// `Δ₁ = (∂K(m̃) − λx)·(m̃ − ∂K*(λx))`, at least 0.
    pub delta_1: f64,
    /// `Δ₂ = (m̃ − m)·(∂K(m̃) − ∂K(m))`, at least 0.
    pub delta_2: f64,
    /// `dH/dt = −(λ + γ)/(1 + ελ)·Δ₁ − (1 − εγ)/(ε(1 + ελ))·Δ₂`.
    pub rate: f64,
}

impl Dissipation {
    /// At x and m with the value f and the gradient there; none in phase 1, where H is infinite.
    pub fn of(
        kernel: Kernel,
        flow: &Flow,
        value: f64,
        gradient: &[f64],
        x: &[f64],
        m: &[f64],
    ) -> Option<Self> {
        let Flow {
            alpha,
            gamma,
            epsilon,
            weight_decay,
        } = *flow;
        let y: Vec<f64> = x.iter().map(|x| weight_decay * x).collect();
        let conjugate = kernel.conjugate(&y)?;
        let coupling = conjugate + kernel.value(m) - dot(m, &y);
        let direction = flow.direction(m, gradient);
        let (mut ahead, mut here) = (vec![0.0; m.len()], vec![0.0; m.len()]);
        kernel.slope(&direction, &mut ahead);
        kernel.slope(m, &mut here);
        let delta_1 = product(&ahead, &y, &direction, &kernel.conjugate_slope(&y));
        let delta_2 = product(&direction, m, &ahead, &here);
        let apart = 1.0 + epsilon * weight_decay;
        let second = if epsilon > 0.0 {
            (1.0 - epsilon * gamma) / (epsilon * apart) * delta_2
        } else {
            0.0
        };
        Some(Self {
            energy: alpha * value
                + gamma / weight_decay * conjugate
                + (1.0 - epsilon * gamma) / apart * coupling,
            delta_1,
            delta_2,
            rate: -(weight_decay + gamma) / apart * delta_1 - second,
        })
    }
}

/// What an implicit step was promised:
/// `H(x′, m′) − H(x, m) ≤ −η (a Δ₁ + b Δ₂) + (L/2) ‖x′ − x‖²`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// `H = f + K*(λx)/λ + (ηβ₁/D)·(K*(λx) + K(m) − λ m·x)` before the step, `D = ηλ(1 − β₁) + 1 − β₂`.
    pub before: f64,
    /// The same after it.
    pub after: f64,
    /// `Δ₁ = (∂K(m̃) − λx′)·(m̃ − ∂K*(λx′))`, at least 0.
    pub delta_1: f64,
    /// `Δ₂ = (m̃ − m′)·(∂K(m̃) − ∂K(m′))`, at least 0.
    pub delta_2: f64,
    /// The right side.
    pub bound: f64,
}

impl Certificate {
    /// Takes the step from x and m of f, whose gradient changes by no more than
    /// `smoothness` times the way. None where x or x′ is in phase 1, where H is infinite.
    ///
    /// # Panics
    /// When the scheme is not implicit, there is no weight decay, or β₂ is not above β₁: nothing is promised then.
    pub fn of(
        rule: &LionKStep,
        f: &dyn Smooth,
        smoothness: f64,
        x: &mut [f64],
        m: &mut [f64],
    ) -> Option<Self> {
        let LionKStep {
            kernel,
            learning_rate: rate,
            beta_1,
            beta_2,
            weight_decay,
            scheme,
        } = *rule;
        assert_eq!(
            scheme,
            Scheme::Implicit,
            "only the implicit scheme has a certificate"
        );
        assert!(
            weight_decay > 0.0 && beta_2 > beta_1,
            "a certificate needs λ above 0 and β₂ above β₁"
        );
        let d = rate * weight_decay * (1.0 - beta_1) + (1.0 - beta_2);
        let energy = |x: &[f64], m: &[f64], value: f64| -> Option<f64> {
            let y: Vec<f64> = x.iter().map(|x| weight_decay * x).collect();
            let conjugate = kernel.conjugate(&y)?;
            let coupling = conjugate + kernel.value(m) - dot(m, &y);
            Some(value + conjugate / weight_decay + rate * beta_1 / d * coupling)
        };
        let mut gradient = vec![0.0; x.len()];
        let value = f.evaluate(x, &mut gradient);
        let before = energy(x, m, value)?;
        let start = x.to_vec();
        let mut direction = vec![0.0; x.len()];
        rule.step(x, m, &gradient, &mut direction).ok()?;
        let after = energy(x, m, f.evaluate(x, &mut gradient))?;
        let y: Vec<f64> = x.iter().map(|x| weight_decay * x).collect();
        let (mut ahead, mut here) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        kernel.slope(&direction, &mut ahead);
        kernel.slope(m, &mut here);
        let delta_1 = product(&ahead, &y, &direction, &kernel.conjugate_slope(&y));
        let delta_2 = product(&direction, m, &ahead, &here);
        let a = (rate * weight_decay + 1.0 - beta_2) / d;
        let b = beta_1 * (1.0 - beta_2) / ((beta_2 - beta_1) * d);
        let way: f64 = x
            .iter()
            .zip(&start)
            .map(|(x, start)| (x - start) * (x - start))
            .sum();
        Some(Self {
            before,
            after,
            delta_1,
            delta_2,
            bound: -rate * (a * delta_1 + b * delta_2) + 0.5 * smoothness * way,
        })
    }
}

/// `(a − b)·(c − d)`.
fn product(a: &[f64], b: &[f64], c: &[f64], d: &[f64]) -> f64 {
    let left = a.iter().zip(b).map(|(a, b)| a - b);
    let right = c.iter().zip(d).map(|(c, d)| c - d);
    left.zip(right).map(|(left, right)| left * right).sum()
}
