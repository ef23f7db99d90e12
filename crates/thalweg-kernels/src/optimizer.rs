//! Steps of optimisers over flat slices, each one pass over parameters, gradient and state: [`AdamW`], [`Sgd`],
//! [`MomentumSgd`], [`Lion`]; the moving average of parameters, [`Average`]; and the step up a gradient, [`Ascent`].
//!
//! The caller owns the state: slices as long as the parameters, zero before the first step. Nothing is allocated. Numbers
//! equal those of PyTorch's optimisers to rounding. What is not a number stays so in the parameter it touches.
//!
//! Every element goes its own way, by operations that each instruction set rounds alike, so that the bits depend neither on
//! the number of threads nor on the processor.

mod adamw;
mod ascent;
mod average;
mod lion;
mod sgd;
#[cfg(test)]
mod tests;

pub use adamw::AdamW;
pub use ascent::{Ascent, Length, Metric};
pub use average::Average;
pub use lion::Lion;
pub use sgd::{Momentum, MomentumSgd, Sgd};

use crate::real::Real;

/// Elements that one task takes: fewer than this are not worth waking another thread.
const BLOCK: usize = 1 << 15;

/// Where slices may be cut, so that no vector straddles two tasks.
const VECTOR: usize = 64;

/// Runs `block` on pieces of the gradient and of the slices it changes, all cut at the same places.
fn sweep<F: Real, const N: usize>(
    gradient: &[F],
    mut changed: [&mut [F]; N],
    block: &(impl Fn(&[F], [&mut [F]; N]) + Sync),
) {
    if gradient.len() <= BLOCK {
        return block(gradient, changed);
    }
    let middle = (gradient.len() / 2).next_multiple_of(VECTOR);
    let (left, right) = gradient.split_at(middle);
    let first = changed.each_mut().map(|slice| {
        slice
            .split_off_mut(..middle)
            .expect("all slices are as long as the gradient")
    });
    rayon::join(|| sweep(left, first, block), || sweep(right, changed, block));
}

fn check_sizes<const N: usize>(parameters: usize, others: [(&str, usize); N]) {
    for (name, length) in others {
        assert_eq!(
            length, parameters,
            "{name} has {length} elements, there are {parameters} parameters"
        );
    }
}

fn check_factor(name: &str, factor: f64) {
    assert!(
        (0.0..1.0).contains(&factor),
        "{name} {factor} is not in [0, 1): averages forget"
    );
}
