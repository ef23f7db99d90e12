//! Pruning: which weights of a trained network it can do without, and a fair comparison of the ways to tell.
//!
//! Optimal Brain Surgeon with the empirical Fisher information ([`Saliency::MFac`], [`Saliency::WoodFisher`]) beside what
//! needs no inverse: magnitudes and the diagonal. Every way prunes copies of the same networks, at once or in several
//! steps with gradients anew in between.

mod dense;
pub mod gradients;
mod plan;
mod record;
mod steps;
mod trial;
mod verdict;

#[cfg(test)]
mod tests;

pub use dense::{Model, ModelFileError, Origin};
pub use plan::{Checked, Plan};
pub use record::{Judged, Point, Protocol, Pruning};
pub use steps::{PrunedNetwork, PruningSpec, prune};

use thalweg::compression::Saliency;

/// What networks are pruned by, with the names on the command line and in records.
pub const METHODS: [(&str, Saliency); 4] = [
    ("magnitude", Saliency::Magnitude),
    ("diagonal_fisher", Saliency::DiagonalFisher),
    ("woodfisher", Saliency::WoodFisher),
    ("m_fac", Saliency::MFac),
];

/// The name of a way to rank weights.
fn name(saliency: Saliency) -> &'static str {
    let found = METHODS.iter().find(|(_, known)| *known == saliency);
    found.expect("every way has a name").0
}
