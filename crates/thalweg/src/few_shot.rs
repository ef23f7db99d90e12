//! Few-shot learning: losses of an episode, a few labelled samples (the support) and queries about them.
//!
//! N-way K-shot: N classes, K support samples of each; a class is where the mean of its support, its *prototype*, lies. All
//! losses are functions of squared distances, computed by differences and in f64 whatever the embeddings' float type: where
//! neighbours are decided no digit is to spare, and episodes are small.
//!
//! - [`PrototypicalLoss`]: cross-entropy over squared distances to the prototypes. The one to begin with.
//! - [`ProtoTripletLoss`]: a query is closer to its own prototype than to the nearest other one, by a margin.
//! - [`IcnnLoss`]: minus the logarithm of a score of how pure and how tight neighbourhoods are.
//! - [`FewShotLoss`]: the mean of several such terms; what to train with.
//! - [`OriginalIcnnScore`]: the score that the loss was made of, to diagnose an embedding with.
//! - [`episode_interval`]: the accuracy over many episodes, with its 95% interval.

mod distances;
mod few_shot_loss;
mod icnn;
mod interval;
mod neighbors;
mod original_icnn;
mod pages;
mod proto_triplet;
mod prototypical;
#[cfg(test)]
mod tests;

pub use distances::class_prototypes;
pub use few_shot_loss::{EpisodeTerm, FewShotLoss, FewShotLossConfig, QueryTargets};
pub use icnn::{IcnnLoss, IcnnLossConfig, IcnnScore};
pub use interval::{EpisodeInterval, episode_interval};
pub use neighbors::{NearestTarget, TooFewTargets};
pub use original_icnn::{OriginalIcnn, OriginalIcnnConfig, OriginalIcnnScore};
pub use proto_triplet::{ProtoTripletLoss, ProtoTripletLossConfig};
pub use prototypical::{PrototypicalLoss, PrototypicalLossConfig};

use crate::objective::ObjectiveEntry;
use crate::quantity::{Case, Quantity, QuantityError};

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        prototypical::quantities(),
        proto_triplet::quantities(),
        icnn::quantities(),
        original_icnn::quantities(),
        few_shot_loss::quantities(),
        interval::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Case<'_> {
    /// Classes of any numbering.
    fn classes(&self, name: &str) -> Result<Vec<usize>, QuantityError> {
        const EXACT: usize = 1 << 53;
        self.class_indices(name, EXACT)
    }

    /// The inputs `support` `[N, K, d]` and `query` `[M, d]` of an episode.
    fn episode(&self) -> Result<(), QuantityError> {
        self.embeddings(&["support", "query"])?;
        if self.array("support").shape[1] == 0 {
            return self.refuse_input("support", "has no samples of a class; each needs at least one");
        }
        Ok(())
    }
}
