//! Lion-K: momentum pushed through the slope of a convex function K, weights decayed apart.
//!
//! With m minus an average of gradients, gradient g, learning rate η and weight decay λ:
//!
//! - `m̃ = β₁·m − (1 − β₁)·g`, then `m ← β₂·m − (1 − β₂)·g`;
//! - explicit: `x ← x + η·(∂K(m̃) − λ·x)`; implicit: `x ← (x + η·∂K(m̃))/(1 + η·λ)`.
//!
//! What that descends is `f(x) + K*(λx)/λ`, K* the conjugate of K: the slopes of K lie where K* is finite, so λx is drawn
//! there by a factor `1 − ηλ` a step (phase 1) and never leaves; then the objective itself falls (phase 2), which
//! [`Certificate`] shows step by step. K = ‖·‖₁ is Lion and bounds every weight by 1/λ; the nuclear norm is Muon.
//!
//! Source: Chen, Liu, Liang, Liu, "Lion secretly solves constrained optimization: as Lyapunov predicts", ICLR 2024
//! (arXiv 2310.05898).

mod bounded;
mod composite;
mod flow;
mod joint;
mod kernel;
mod lyapunov;
mod module;
mod quantities;
mod root;
mod separable;
mod step;
#[cfg(test)]
mod tests;

pub use bounded::{BoundedMinimum, Curved, bounded_minimum};
pub use composite::{Quadratic, Smooth, composite_minimum};
pub use flow::{Flow, FlowError};
pub use joint::Joint;
pub use kernel::Kernel;
pub use lyapunov::{Certificate, Dissipation};
pub use module::{LionK, LionKConfig, domain_distance};
pub use separable::Separable;
pub use step::{LionKStep, Scheme, StepError};

pub(crate) use quantities::quantities;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
