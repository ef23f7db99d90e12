//! What losses of labelled embeddings have in common: each embedding is an anchor with a row of similarities, and a loss says
//! what one row costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_kernels::rows::RowLoss;

use crate::Reduction;
use crate::contrastive::row_loss;

/// What [`Reduction::Mean`] is a mean over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeanOver {
    /// Those that the loss is not 0 of, so that what has been learned does not thin out what has not.
    NonZero,
    /// All of them.
    All,
}

/// An embedding as one that others are compared with.
pub(super) struct Anchor<'a> {
    own: usize,
    classes: &'a [u32],
    similarities: &'a [f64],
}

impl Anchor<'_> {
    /// Place and similarity of all others of its class.
    pub fn positives(&self) -> impl Iterator<Item = (usize, f64)> + Clone {
        self.others(true).filter(|&(at, _)| at != self.own)
    }

    /// Place and similarity of those of another class.
    pub fn negatives(&self) -> impl Iterator<Item = (usize, f64)> + Clone {
        self.others(false)
    }

    fn others(&self, same: bool) -> impl Iterator<Item = (usize, f64)> + Clone {
        let class = self.classes[self.own];
        let each = self.classes.iter().zip(self.similarities).enumerate();
        each.filter(move |(_, (other, _))| (**other == class) == same)
            .map(|(at, (_, &similarity))| (at, similarity))
    }
}

/// The terms of an anchor, whatever they are terms of: triplets, pairs, the anchor itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// Their sum.
    pub total: f64,
    /// How many there are.
    pub all: usize,
    /// How many are not 0.
    pub non_zero: usize,
}

/// A loss that is a sum of terms of anchors.
pub(super) trait AnchorLoss: Sync {
    /// The terms of one anchor, and the slopes of their sum by its similarities into `slopes`, which holds zeros.
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms;
}

/// The sum of all terms `[1]`, over their number for a mean; the sum of each anchor's `[n]` without a reduction.
///
/// # Shapes
/// - similarities `[n, n]`, a class for each.
pub(super) fn loss_of_anchors(
    loss: &impl AnchorLoss,
    similarities: Tensor<2>,
    classes: &[u32],
    mean_over: MeanOver,
    reduction: Reduction,
) -> Tensor<1> {
    let rows = Anchors {
        loss,
        classes,
        mean_over,
        counted: AtomicUsize::new(0),
    };
    let own = (0..classes.len() as u32).collect();
    match reduction {
        Reduction::None => row_loss(&rows, similarities, own, Reduction::None),
        Reduction::Sum => row_loss(&rows, similarities, own, Reduction::Sum),
        Reduction::Mean => {
            let total = row_loss(&rows, similarities, own, Reduction::Sum);
            total * (1.0 / rows.counted.into_inner().max(1) as f64)
        }
    }
}

struct Anchors<'a, L> {
    loss: &'a L,
    classes: &'a [u32],
    mean_over: MeanOver,
    counted: AtomicUsize,
}

impl<L: AnchorLoss> RowLoss for Anchors<'_, L> {
    fn row(&self, own: usize, similarities: &mut [f64], _: usize, slopes: &mut [f64]) -> f64 {
        slopes.fill(0.0);
        let anchor = Anchor {
            own,
            classes: self.classes,
            similarities,
        };
        let terms = self.loss.terms(&anchor, slopes);
        let counted = match self.mean_over {
            MeanOver::NonZero => terms.non_zero,
            MeanOver::All => terms.all,
        };
        self.counted.fetch_add(counted, Ordering::Relaxed);
        terms.total
    }
}
