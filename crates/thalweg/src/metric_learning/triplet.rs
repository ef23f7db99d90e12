//! Triplet margin loss: `max(0, d_ap − d_an + margin)`, so that an anchor a is closer to each p of its label than to any n of
//! another, by a margin.
//!
//! Which triplets of a batch count is [`Mining`]; what their mean is over, [`MeanOver`]: those that are not 0 ("BA≠0" of
//! Hermans et al.), or all that were mined. An anchor without positives or without negatives is in no triplet.
//!
//! The distance d is a [`Similarity`] with its sign turned, in its own unit, and so is the margin. FaceNet's is the squared
//! distance of unit rows: twice the cosine distance, so that [`Similarity::Cosine`] with half its margin is half its loss.
//! All triplets are summed in `O(n² log n)`, and no triplet is ever listed.
//!
//! Beside pytorch-metric-learning: its `TripletMarginLoss` is this with [`Similarity::Chord`], margin 0.05, [`Mining::All`]
//! and [`MeanOver::NonZero`] (`MeanReducer` is [`MeanOver::All`]); its `BatchHardMiner` is [`Mining::Hard`]. What it calls
//! `hard` and `semihard` in `TripletMarginMiner` are all triplets whose `d_an − d_ap` is in a range, where here one negative
//! is picked for an anchor or a pair.
//!
//! Sources: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015 (arXiv 1503.03832); Hermans, Beyer, Leibe, "In defense of the
//! triplet loss for person re-identification", 2017 (arXiv 1703.07737).

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::MeanOver;
use super::anchors::loss_of_anchors;
use super::triplet_rules::{All, Hard, SemiHard};
use crate::config::require;
use crate::contrastive::{Similarity, classes_of};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Which triplets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mining {
    /// All of the batch.
    All,
    /// One an anchor: its farthest positive and its closest negative ("batch hard").
    Hard,
    /// One a pair of anchor and positive: with the closest negative of those farther away than the positive, as in FaceNet;
    /// none where no negative is.
    SemiHard,
}

/// Configuration of [`TripletMarginLoss`].
#[derive(Config, Debug)]
pub struct TripletMarginLossConfig {
    /// How much farther negatives are to be, at least 0, in the unit of the distance.
    #[config(default = 0.2)]
    pub margin: f64,
    /// How alike two embeddings are: the distance with its sign turned.
    #[config(default = "Similarity::Chord")]
    pub similarity: Similarity,
    /// Which triplets count. Of several that are equally far, the first in the batch is picked.
    #[config(default = "Mining::All")]
    pub mining: Mining,
    /// Which of them a mean is over.
    #[config(default = "MeanOver::NonZero")]
    pub mean_over: MeanOver,
    /// How the losses of triplets become one number; without reduction, each anchor's are summed.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl TripletMarginLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the margin is negative or not finite.
    pub fn init(&self) -> Result<TripletMarginLoss, ConfigError> {
        require(
            "triplet_margin",
            "margin",
            self.margin,
            "at least 0 and finite",
            |margin| (0.0..f64::INFINITY).contains(&margin),
        )?;
        Ok(TripletMarginLoss { config: self.clone() })
    }
}

/// The triplet margin loss of a batch.
#[derive(Clone, Debug)]
pub struct TripletMarginLoss {
    config: TripletMarginLossConfig,
}

impl TripletMarginLoss {
    /// # Shapes
    /// - embeddings `[batch, width]`, labels `[batch]`, any integers; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or the batch sizes differ.
    pub fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let &TripletMarginLossConfig {
            margin,
            similarity,
            mining,
            mean_over,
            reduction,
        } = &self.config;
        let (classes, _) = classes_of(&embeddings, labels);
        let similarities = similarity.within(embeddings);
        match mining {
            Mining::All => loss_of_anchors(&All { margin }, similarities, &classes, mean_over, reduction),
            Mining::Hard => loss_of_anchors(&Hard { margin }, similarities, &classes, mean_over, reduction),
            Mining::SemiHard => {
                loss_of_anchors(&SemiHard { margin }, similarities, &classes, mean_over, reduction)
            }
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let defaults = TripletMarginLossConfig::new();
    vec![
        Quantity::new(
            "triplet_margin_loss",
            "triplet margin loss of labelled embeddings over all, batch-hard or semi-hard triplets, and its gradient",
        )
        .param("margin", defaults.margin)
        .param("distance", "chord")
        .param("mining", "all")
        .param("mean_over", "non_zero")
        .param("reduction", "mean")
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .eval(|case| {
            let mining = [
                ("all", Mining::All),
                ("hard", Mining::Hard),
                ("semi_hard", Mining::SemiHard),
            ];
            let loss = TripletMarginLossConfig {
                margin: case.param("margin")?,
                similarity: case.distance()?,
                mining: case.choice("mining", &mining)?,
                mean_over: case.mean_over()?,
                reduction: case.reduction()?,
            }
            .init()?;
            case.labelled_loss(|x, labels| loss.forward(x, labels))
        }),
    ]
}
