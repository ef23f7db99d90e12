//! Multi-similarity loss: pairs are mined by how they compare with those of the other kind, and weigh by their own similarity
//! and by those of their like:
//!
//! `ℓ_a = (1/α) log(1 + Σ_p exp(−α (s_ap − λ))) + (1/β) log(1 + Σ_n exp(β (s_an − λ)))`.
//!
//! Mining keeps the positives with `s_ap < max_n s_an + ε` and the negatives with `s_an > min_p s_ap − ε`; who is kept is a
//! constant for the gradient. An anchor without positives or without negatives keeps none. The mean is over all anchors of the
//! batch, those that keep nothing among them. Without mining every pair counts, also where the other kind is missing.
//!
//! Beside pytorch-metric-learning: its `MultiSimilarityLoss` is this without mining, and with its `MultiSimilarityMiner` before
//! it this with. It gives 0 where at most one positive and one negative pair are left in the batch.
//!
//! The paper has α = 2, β = 50, λ = 1, ε = 0.1; its code, and everybody since, λ = 0.5.
//!
//! Source: Wang, Han, Huang, Dong, Scott, "Multi-similarity loss with general pair weighting for deep metric learning",
//! CVPR 2019 (arXiv 1904.06627).

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::MeanOver;
use super::anchors::{Anchor, AnchorLoss, Terms, loss_of_anchors};
use super::softmax::softmax_beside_one;
use crate::config::require;
use crate::contrastive::{Similarity, classes_of};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Which pairs the multi-similarity loss is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PairMining {
    /// All.
    None,
    /// Positives less similar than the most similar negative and negatives more similar than the least similar positive, or
    /// off from that by less than ε.
    Within {
        /// ε, finite; below 0 fewer are kept.
        epsilon: f64,
    },
}

/// Configuration of [`MultiSimilarityLoss`].
#[derive(Config, Debug)]
pub struct MultiSimilarityLossConfig {
    /// Scale α of positives, above 0.
    #[config(default = 2.0)]
    pub alpha: f64,
    /// Scale β of negatives, above 0.
    #[config(default = 50.0)]
    pub beta: f64,
    /// The similarity λ that is neither.
    #[config(default = 0.5)]
    pub base: f64,
    /// Which pairs count.
    #[config(default = "PairMining::Within { epsilon: 0.1 }")]
    pub mining: PairMining,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl MultiSimilarityLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When α or β is not positive, or a number not finite.
    pub fn init(&self) -> Result<MultiSimilarityLoss, ConfigError> {
        for (name, scale) in [("alpha", self.alpha), ("beta", self.beta)] {
            require("multi_similarity", name, scale, "above 0 and finite", |scale| {
                scale > 0.0 && scale.is_finite()
            })?;
        }
        require("multi_similarity", "base", self.base, "finite", f64::is_finite)?;
        if let PairMining::Within { epsilon } = self.mining {
            require("multi_similarity", "epsilon", epsilon, "finite", f64::is_finite)?;
        }
        Ok(MultiSimilarityLoss { config: self.clone() })
    }
}

/// Multi-similarity loss of a batch.
#[derive(Clone, Debug)]
pub struct MultiSimilarityLoss {
    config: MultiSimilarityLossConfig,
}

impl MultiSimilarityLoss {
    /// # Shapes
    /// - embeddings `[batch, width]`, labels `[batch]`, any integers; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or the batch sizes differ.
    pub fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let config = &self.config;
        let (classes, _) = classes_of(&embeddings, labels);
        let similarities = config.similarity.within(embeddings);
        loss_of_anchors(config, similarities, &classes, MeanOver::All, config.reduction)
    }
}

impl PairMining {
    /// Below which similarity a positive is kept, and above which a negative.
    fn bounds(self, anchor: &Anchor) -> [f64; 2] {
        match self {
            Self::None => [f64::INFINITY, f64::NEG_INFINITY],
            Self::Within { epsilon } => {
                // Of none the bound lets nothing pass.
                let most = anchor
                    .negatives()
                    .fold(f64::NEG_INFINITY, |most, (_, s)| most.max(s));
                let least = anchor
                    .positives()
                    .fold(f64::INFINITY, |least, (_, s)| least.min(s));
                [most + epsilon, least - epsilon]
            }
        }
    }
}

impl AnchorLoss for MultiSimilarityLossConfig {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let &Self {
            alpha, beta, base, ..
        } = self;
        let [below, above] = self.mining.bounds(anchor);
        let positives = anchor.positives().filter(|(_, similarity)| *similarity < below);
        let negatives = anchor.negatives().filter(|(_, similarity)| *similarity > above);
        let mut shares: Vec<f64> = positives.clone().map(|(_, s)| -alpha * (s - base)).collect();
        let of_positives = softmax_beside_one(&mut shares) / alpha;
        for ((at, _), share) in positives.zip(&shares) {
            slopes[at] = -share;
        }
        shares.clear();
        shares.extend(negatives.clone().map(|(_, s)| beta * (s - base)));
        let total = of_positives + softmax_beside_one(&mut shares) / beta;
        for ((at, _), &share) in negatives.zip(&shares) {
            slopes[at] = share;
        }
        Terms {
            total,
            all: 1,
            non_zero: usize::from(total != 0.0),
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let defaults = MultiSimilarityLossConfig::new();
    vec![
        Quantity::new(
            "multi_similarity_loss",
            "multi-similarity loss of labelled embeddings, pairs mined or all, and its gradient",
        )
        .param("alpha", defaults.alpha)
        .param("beta", defaults.beta)
        .param("base", defaults.base)
        .param("mining", "within")
        .param("epsilon", 0.1)
        .param("distance", "cosine")
        .param("reduction", "mean")
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .eval(|case| {
            let within = PairMining::Within {
                epsilon: case.param("epsilon")?,
            };
            let loss = MultiSimilarityLossConfig {
                alpha: case.param("alpha")?,
                beta: case.param("beta")?,
                base: case.param("base")?,
                mining: case.choice("mining", &[("within", within), ("none", PairMining::None)])?,
                similarity: case.distance()?,
                reduction: case.reduction()?,
            }
            .init()?;
            case.labelled_loss(|x, labels| loss.forward(x, labels))
        }),
    ]
}
