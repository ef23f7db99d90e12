//! Losses of all pairs of a batch, `s_ij = ⟨q_i, k_j⟩`, without a matrix of all pairs.
//!
//! Scores stream through in square blocks, each used while it is in the cache. [`softmax_statistics`] goes over them once and
//! keeps a few numbers of each anchor's softmax; a loss turns those into a [`Slope`] an anchor; [`softmax_gradients`]
//! goes over them again and multiplies the derivatives on to the vectors. Any loss that is a function of each anchor's
//! positive score and of the log-sum-exp of its other scores is computed so, with a temperature of its own for each anchor.
//! [`sigmoid_loss`] judges every pair by itself and needs one pass.
//!
//! Blocks are paired in rounds in which no block has two partners: threads never meet, and sums have one order, whatever the
//! number of threads. Within one set of vectors a pair is computed once for both of its anchors.

mod blocks;
mod classes;
mod lanes;
mod sigmoid;
mod softmax;
mod statistics;
#[cfg(test)]
mod tests;

pub use classes::ClassPositives;
pub use sigmoid::{Sigmoid, SigmoidLoss, sigmoid_loss};
pub use softmax::{softmax_gradients, softmax_statistics};
pub use statistics::{Slope, SoftmaxTerm, Statistics};

/// Those whose softmaxes are taken: one side of the pairs.
#[derive(Clone, Copy, Debug)]
pub struct Anchors<'a> {
    /// Temperature τ of each, above 0.
    pub temperatures: &'a [f64],
    /// The candidate that is the positive of each, kept apart from its other scores; none: all are others.
    pub positives: Option<&'a [u32]>,
}

/// Whether a vector is a candidate of the anchor of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// It is one like any other.
    Counted,
    /// It is none.
    Excluded,
}

/// Which vectors meet. Vectors are `[count, width]`, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Pairs<'a, F> {
    /// Each vector among all the others of its set.
    Within {
        /// The set.
        vectors: &'a [F],
        /// One an anchor.
        anchors: Anchors<'a>,
    },
    /// Each query among the keys.
    Across {
        /// The anchors' vectors.
        queries: &'a [F],
        /// The candidates.
        keys: &'a [F],
        /// One a query.
        anchors: Anchors<'a>,
        /// Whether the key of the same number counts.
        own: Own,
    },
    /// Each vector of either side among those of the other.
    Both {
        /// The vectors of both.
        sides: [&'a [F]; 2],
        /// One a vector of its side.
        anchors: [Anchors<'a>; 2],
    },
}
