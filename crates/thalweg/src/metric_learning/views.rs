//! Losses of labels as objectives of views: every view of every sample is an embedding with the label of its sample.

use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use super::{CircleLoss, ContrastivePairLoss, MultiSimilarityLoss, NPairsLoss, TripletMarginLoss};
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

/// As [`ViewObjective`]s, all panic when training sees no labels.
macro_rules! of_labelled_views {
    ($($loss:ty),* $(,)?) => {$(
        impl ViewObjective for $loss {
            /// # Panics
            /// When training sees no labels.
            fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
                let (embeddings, labels) = views.labelled();
                self.forward(embeddings, labels)
            }
        }
    )*};
}

of_labelled_views!(
    CircleLoss,
    ContrastivePairLoss,
    MultiSimilarityLoss,
    NPairsLoss,
    TripletMarginLoss,
);
