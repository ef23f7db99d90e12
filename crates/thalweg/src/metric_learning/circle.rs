//! Circle loss: each similarity weighs by how far it is from where it should be,
//!
//! `ℓ_a = softplus( log Σ_n exp(γ α_n (s_an − m)) + log Σ_p exp(−γ α_p (s_ap − 1 + m)) )`,
//! `α_p = max(0, 1 + m − s_ap)`, `α_n = max(0, s_an + m)`, s cosines, weights α constants for the gradient (the paper's equations
//! 6 to 10).
//!
//! Each embedding of a batch is an anchor; one without positives or without negatives has loss 0 and does not count in the
//! mean. The paper's loss is that of one anchor.
//!
//! Beside pytorch-metric-learning: its `CircleLoss` is this. It leaves anchors whose loss has come to 0 in its float type
//! out of the mean as well, and drops what `softplus(x)` is above x once x exceeds 20, up to 2e-9.
//!
//! Source: Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei, "Circle loss", CVPR 2020 (arXiv 2002.10857), which suggests m = 0.25 and
//! γ = 256 for faces, 0.25 and 128 for people, 0.4 and 80 for fine-grained retrieval.

use burn::config::Config;
use burn::tensor::{Int, Tensor};

use super::MeanOver;
use super::anchors::{Anchor, AnchorLoss, Terms, loss_of_anchors};
use super::softmax::{softmax_of, softplus};
use crate::config::require;
use crate::contrastive::{Similarity, classes_of};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`CircleLoss`].
#[derive(Config, Debug)]
pub struct CircleLossConfig {
    /// Relaxation m: how far from 1 and from 0 similarities may be; from 0 to less than 1.
    #[config(default = 0.4)]
    pub margin: f64,
    /// Scale γ, above 0.
    #[config(default = 80.0)]
    pub gamma: f64,
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl CircleLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When m is not in `[0, 1)` or γ not positive.
    pub fn init(&self) -> Result<CircleLoss, ConfigError> {
        require(
            "circle",
            "margin",
            self.margin,
            "at least 0, less than 1",
            |margin| (0.0..1.0).contains(&margin),
        )?;
        require("circle", "gamma", self.gamma, "above 0 and finite", |gamma| {
            gamma > 0.0 && gamma.is_finite()
        })?;
        Ok(CircleLoss { config: self.clone() })
    }
}

/// Circle loss of a batch.
#[derive(Clone, Debug)]
pub struct CircleLoss {
    config: CircleLossConfig,
}

impl CircleLoss {
    /// # Shapes
    /// - embeddings `[batch, width]`, labels `[batch]`, any integers; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or the batch sizes differ.
    pub fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let (classes, _) = classes_of(&embeddings, labels);
        let similarities = Similarity::Cosine.within(embeddings);
        loss_of_anchors(
            &self.config,
            similarities,
            &classes,
            MeanOver::All,
            self.config.reduction,
        )
    }
}

impl AnchorLoss for CircleLossConfig {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let &Self { margin, gamma, .. } = self;
        // Slope and logit of each; the slopes are constants of the logits.
        let positives = anchor.positives().map(|(at, similarity)| {
            let slope = -gamma * (1.0 + margin - similarity).max(0.0);
            (at, slope, slope * (similarity - 1.0 + margin))
        });
        let negatives = anchor.negatives().map(|(at, similarity)| {
            let slope = gamma * (similarity + margin).max(0.0);
            (at, slope, slope * (similarity - margin))
        });
        let mut shares = [
            positives.clone().map(|(_, _, logit)| logit).collect::<Vec<_>>(),
            negatives.clone().map(|(_, _, logit)| logit).collect(),
        ];
        if shares.iter().any(Vec::is_empty) {
            return Terms::default();
        }
        let (total, outer) = softplus(shares.iter_mut().map(|logits| softmax_of(logits)).sum());
        let each = positives.chain(negatives).zip(shares.iter().flatten());
        for ((at, slope, _), share) in each {
            slopes[at] = outer * share * slope;
        }
        Terms {
            total,
            all: 1,
            non_zero: usize::from(total != 0.0),
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let defaults = CircleLossConfig::new();
    vec![
        Quantity::new(
            "circle_loss",
            "circle loss of labelled embeddings, each an anchor, and its gradient",
        )
        .param("margin", defaults.margin)
        .param("gamma", defaults.gamma)
        .param("reduction", "mean")
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .eval(|case| {
            case.no_zero_rows("x")?;
            let loss = CircleLossConfig {
                margin: case.param("margin")?,
                gamma: case.param("gamma")?,
                reduction: case.reduction()?,
            }
            .init()?;
            case.labelled_loss(|x, labels| loss.forward(x, labels))
        }),
    ]
}
