//! Metric learning: labels tell which embeddings are alike, and losses bring those together and the others apart.
//!
//! They speak the language of [`contrastive`](crate::contrastive): [`Similarity`] says how alike two embeddings are (a distance
//! is a similarity with its sign turned), [`Reduction`](crate::Reduction) how losses become one number. Here every embedding
//! of a batch is an anchor, those of its label are its positives, all others its negatives, and [`MeanOver`] says what a mean is
//! over. The supervised contrastive loss, the softmax among them, is
//! [`SupConLoss`](crate::contrastive::SupConLoss).
//!
//! All of them hold the similarities of the batch, `[n, n]`, and nothing larger: triplets are summed without being listed.
//! The loss of each anchor and its slopes are f64, whatever the embeddings are. A batch without a single pair or triplet that
//! the loss is about has loss 0 and gradient 0; an embedding that is no number makes the loss none.

mod anchors;
mod circle;
mod contrastive_pair;
mod multi_similarity;
mod n_pairs;
mod pages;
mod softmax;
mod triplet;
mod triplet_rules;
mod views;

pub use anchors::MeanOver;
pub use circle::{CircleLoss, CircleLossConfig};
pub use contrastive_pair::{ContrastivePairLoss, ContrastivePairLossConfig, Hinge};
pub use multi_similarity::{MultiSimilarityLoss, MultiSimilarityLossConfig, PairMining};
pub use n_pairs::{NPairsLoss, NPairsLossConfig};
pub use triplet::{Mining, TripletMarginLoss, TripletMarginLossConfig};

use burn::tensor::{Int, Tensor};

use crate::contrastive::Similarity;
use crate::objective::ObjectiveEntry;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    pages::objectives()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        triplet::quantities(),
        n_pairs::quantities(),
        contrastive_pair::quantities(),
        circle::quantities(),
        multi_similarity::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Case<'_> {
    /// The parameter `distance`, checked against the embeddings `x`.
    ///
    /// # Errors
    /// When it is no known one, or needs directions and a row of `x` has none.
    fn distance(&self) -> Result<Similarity, QuantityError> {
        let similarity = self.choice(
            "distance",
            &[
                ("cosine", Similarity::Cosine),
                ("dot", Similarity::Dot),
                ("euclidean", Similarity::Euclidean),
                ("squared_euclidean", Similarity::SquaredEuclidean),
                ("chord", Similarity::Chord),
            ],
        )?;
        if matches!(similarity, Similarity::Cosine | Similarity::Chord) {
            self.no_zero_rows("x")?;
        }
        Ok(similarity)
    }

    /// The parameter `mean_over`.
    ///
    /// # Errors
    /// When it is neither `non_zero` nor `all`.
    fn mean_over(&self) -> Result<MeanOver, QuantityError> {
        self.choice(
            "mean_over",
            &[("non_zero", MeanOver::NonZero), ("all", MeanOver::All)],
        )
    }

    /// A loss of embeddings `x` `[N, d]` with `labels` `[N]`: `value` and `grad_x`.
    ///
    /// # Errors
    /// When embeddings or labels are none.
    fn labelled_loss(
        &self,
        loss: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>,
    ) -> Result<Outputs, QuantityError> {
        self.embeddings(&["x"])?;
        let labels = self.labels("labels", 1 << 31)?;
        let x = self.variable::<2>("x");
        Ok(self.value_and_gradients(loss(x.clone(), labels), &[("x", &x)]))
    }
}

#[cfg(test)]
mod tests;
