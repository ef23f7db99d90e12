//! Learning representations from which vectors belong together: losses of embeddings, and what embeddings are like.
//!
//! One vocabulary for all: [`Pairs`] says which embeddings meet and who is whose positive, [`Similarity`] how alike two are,
//! [`Temperature`] how sharply that counts (fixed, learned, one a sample), [`Reduction`](crate::Reduction) how losses become
//! one number. The losses are compositions of those over [`InBatchSoftmax`], which streams and never holds all pairs.

pub mod amcl;
mod clip;
mod groco;
mod group_ordering;
mod hard_nt_xent;
mod in_batch;
mod info_nce;
pub mod isogclr;
mod limits;
mod measures;
mod nt_xent;
mod pages;
mod pairs;
mod permutation;
mod prepared;
mod score_loss;
mod scores;
mod sig_lip;
mod sorting;
mod sup_con;
mod views;
mod within;

pub use clip::{ClipLoss, ClipLossConfig};
pub use groco::{GroCoLoss, GroCoLossConfig, OrderTarget, OtherSide};
pub use group_ordering::{GroupOrderingLoss, GroupOrderingLossConfig, ordering_errors};
pub use hard_nt_xent::{HardNtXentLoss, HardNtXentLossConfig};
pub use in_batch::InBatchSoftmax;
pub use info_nce::{InfoNceLoss, InfoNceLossConfig};
pub use limits::{large_temperature_expansion, relative_penalty};
pub use measures::{alignment, uniformity};
pub use nt_xent::{NtXentLoss, NtXentLossConfig};
pub(crate) use pairs::classes_of;
pub(crate) use pairs::dense_classes;
pub use pairs::{Pairs, Positives, Similarity, Temperature};
pub use permutation::{PermutationBceLoss, PermutationBceLossConfig};
pub(crate) use score_loss::row_loss;
pub use score_loss::{HardNegatives, ScoresLoss};
pub use scores::{
    HardContrastiveLossConfig, HardestNegativeLossConfig, ScoresInfoNceLossConfig,
    SimpleContrastiveLossConfig,
};
pub use sig_lip::{SigLipLoss, SigLipLossConfig};
pub use sorting::{DifferentiableSort, DifferentiableSortConfig, Distribution, Network};
pub use sup_con::{SupConLoss, SupConLossConfig};
pub(crate) use views::unit_rows;

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        info_nce::quantities(),
        scores::quantities(),
        limits::quantities(),
        measures::quantities(),
        nt_xent::quantities(),
        sup_con::quantities(),
        clip::quantities(),
        sig_lip::quantities(),
        sorting::quantities(),
        group_ordering::quantities(),
        groco::quantities(),
        permutation::quantities(),
        isogclr::quantities(),
        amcl::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
