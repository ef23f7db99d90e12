//! Smaller networks: which weights a trained one can do without.
//!
//! A [`Pruner`] removes weights where little is lost, as told by their size or by [`curvature`](crate::curvature), and
//! moves those that stay to make up for it (Optimal Brain Surgeon).

mod pruner;
mod quantities;
mod saliency;
mod schedule;
mod update;

pub use pruner::{Pruned, Pruner, PruningConfig};
pub use saliency::Saliency;
pub use schedule::sparsity_schedule;

pub(crate) use quantities::quantities;

#[cfg(test)]
mod tests;
