//! Whether an embedding is any good, mostly without labels: how many dimensions it uses, how its spectrum decays, how
//! evenly it covers the sphere, and how well such numbers pick among trained models.
//!
//! - Of a matrix in memory: [`Embeddings`].
//! - Of one that is streamed by: [`Gram`] and [`Moments`], with [`ClassSums`] where there are labels.
//! - As something to train on: [`RankMe`].

mod alpha_req;
mod class_sums;
mod embeddings;
mod error;
mod gram;
mod rankme;
mod selection;
mod sphere;

pub use alpha_req::{PowerLaw, PowerLawFit, SpectrumFit, alpha_req};
pub use class_sums::{ClassSums, FeatureCollapse};
pub use embeddings::Embeddings;
pub use error::DiagnosticError;
pub use gram::{Gram, Moments, PrincipalComponents};
pub use rankme::{
    EPSILON, RankMe, RankMeConfig, effective_rank, rankme_of_singular_values, rankme_with_slopes,
};
pub use selection::{Preferred, Selection, kendall, select_by_score, spearman};
pub(crate) use sphere::uniformity_slopes;
pub use sphere::{Tolerance, alignment, to_unit_rows, tolerance, uniformity, unit_rows};

use crate::quantity::Quantity;

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        rankme::quantities(),
        embeddings::quantities(),
        alpha_req::quantities(),
        selection::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
