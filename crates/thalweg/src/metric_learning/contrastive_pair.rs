//! Contrastive loss of pairs: those of one label are to be no farther apart than a margin, those of different labels no closer
//! than another: `h(d − positive_margin)` and `h(negative_margin − d)`, h a [`Hinge`].
//!
//! The loss is the mean over pairs of one label plus the mean over pairs of different ones, each over those that are not 0 or
//! over all ([`MeanOver`]); the mean over none is 0. Each pair is seen from both ends, which a mean does not show: a sum
//! counts it twice, and without reduction each embedding has the sum of the pairs that it is in.
//!
//! The distance d is `1 − s` of the cosine and `−s` of every other [`Similarity`].
//!
//! Beside pytorch-metric-learning: its `ContrastiveLoss` is this with [`Similarity::Chord`] and [`Hinge::Linear`]. With its
//! `CosineSimilarity` margins are similarities there and distances here: 1 minus them. The paper's own is
//! [`Hinge::Squared`] of the Euclidean distance with a positive margin of 0, half the mean over all pairs.
//!
//! Source: Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::MeanOver;
use super::anchors::{Anchor, AnchorLoss, Terms, loss_of_anchors};
use crate::config::require;
use crate::contrastive::{Similarity, classes_of};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// What is made of the distance e by which a pair is out of its margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hinge {
    /// `max(0, e)`.
    Linear,
    /// `max(0, e)²/2`.
    Squared,
}

impl Hinge {
    /// Value and slope.
    fn of(self, excess: f64) -> (f64, f64) {
        match self {
            // What is no number is not at most 0.
            _ if excess <= 0.0 => (0.0, 0.0),
            Self::Linear => (excess, 1.0),
            Self::Squared => (0.5 * excess * excess, excess),
        }
    }
}

/// Configuration of [`ContrastivePairLoss`].
#[derive(Config, Debug)]
pub struct ContrastivePairLossConfig {
    /// How far apart those of one label may be, at least 0.
    #[config(default = 0.0)]
    pub positive_margin: f64,
    /// How far apart those of different labels are to be, at least 0.
    #[config(default = 1.0)]
    pub negative_margin: f64,
    /// What is made of the distance that a pair is off by.
    #[config(default = "Hinge::Linear")]
    pub hinge: Hinge,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Chord")]
    pub similarity: Similarity,
    /// Which pairs a mean is over.
    #[config(default = "MeanOver::NonZero")]
    pub mean_over: MeanOver,
    /// How the losses of pairs become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl ContrastivePairLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a margin is negative or not finite.
    pub fn init(&self) -> Result<ContrastivePairLoss, ConfigError> {
        for (name, margin) in [
            ("positive_margin", self.positive_margin),
            ("negative_margin", self.negative_margin),
        ] {
            require(
                "contrastive_pair",
                name,
                margin,
                "at least 0 and finite",
                |margin| (0.0..f64::INFINITY).contains(&margin),
            )?;
        }
        Ok(ContrastivePairLoss { config: self.clone() })
    }
}

/// The contrastive loss of all pairs of a batch.
#[derive(Clone, Debug)]
pub struct ContrastivePairLoss {
    config: ContrastivePairLossConfig,
}

impl ContrastivePairLoss {
    /// # Shapes
    /// - embeddings `[batch, width]`, labels `[batch]`, any integers; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or the batch sizes differ.
    pub fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let config = &self.config;
        let (classes, _) = classes_of(&embeddings, labels);
        let similarities = config.similarity.within(embeddings);
        let (mean_over, reduction) = (config.mean_over, config.reduction);
        let alike = loss_of_anchors(
            &Alike(config),
            similarities.clone(),
            &classes,
            mean_over,
            reduction,
        );
        alike + loss_of_anchors(&Unlike(config), similarities, &classes, mean_over, reduction)
    }
}

/// Pairs of one label.
struct Alike<'a>(&'a ContrastivePairLossConfig);

/// Pairs of different labels.
struct Unlike<'a>(&'a ContrastivePairLossConfig);

impl AnchorLoss for Alike<'_> {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let config = self.0;
        let mut terms = Terms::default();
        for (at, similarity) in anchor.positives() {
            let excess = config.similarity.distance(similarity) - config.positive_margin;
            let (cost, slope) = config.hinge.of(excess);
            add(&mut terms, cost);
            slopes[at] = -slope;
        }
        terms
    }
}

impl AnchorLoss for Unlike<'_> {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let config = self.0;
        let mut terms = Terms::default();
        for (at, similarity) in anchor.negatives() {
            let missing = config.negative_margin - config.similarity.distance(similarity);
            let (cost, slope) = config.hinge.of(missing);
            add(&mut terms, cost);
            slopes[at] = slope;
        }
        terms
    }
}

fn add(terms: &mut Terms, cost: f64) {
    terms.total += cost;
    terms.all += 1;
    terms.non_zero += usize::from(cost != 0.0);
}

pub(super) fn quantities() -> Vec<Quantity> {
    let defaults = ContrastivePairLossConfig::new();
    vec![
        Quantity::new(
            "contrastive_pair_loss",
            "margin loss of all pairs of labelled embeddings, alike and unlike, and its gradient",
        )
        .param("positive_margin", defaults.positive_margin)
        .param("negative_margin", defaults.negative_margin)
        .param("hinge", "linear")
        .param("distance", "chord")
        .param("mean_over", "non_zero")
        .param("reduction", "mean")
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .eval(|case| {
            let loss = ContrastivePairLossConfig {
                positive_margin: case.param("positive_margin")?,
                negative_margin: case.param("negative_margin")?,
                hinge: case.choice("hinge", &[("linear", Hinge::Linear), ("squared", Hinge::Squared)])?,
                similarity: case.distance()?,
                mean_over: case.mean_over()?,
                reduction: case.reduction()?,
            }
            .init()?;
            case.labelled_loss(|x, labels| loss.forward(x, labels))
        }),
    ]
}
