//! CLIP: cross-entropy of pairs both ways, `½(CE(rows of s/τ) + CE(columns of s/τ))`, s the similarities of all of one side with
//! all of the other.
//!
//! The paper learns τ, as `exp(−p)` of a parameter p that starts at `ln(1/0.07)`, and keeps it at 0.01 or more.
//!
//! Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021
//! (arXiv 2103.00020).

use burn::config::Config;
use burn::tensor::Tensor;

use super::pairs::temperature;
use super::{InBatchSoftmax, Pairs, Similarity, Temperature};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`ClipLoss`].
#[derive(Config, Debug)]
pub struct ClipLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the losses of pairs become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl ClipLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<ClipLoss, ConfigError> {
        Ok(ClipLoss {
            temperature: temperature("clip", self.temperature)?,
            softmax: InBatchSoftmax {
                similarity: self.similarity,
                reduction: self.reduction,
            },
        })
    }
}

/// CLIP's loss of pairs.
#[derive(Clone, Debug)]
pub struct ClipLoss {
    temperature: f64,
    softmax: InBatchSoftmax,
}

impl ClipLoss {
    /// # Shapes
    /// - both sides `[batch, width]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or the shapes differ.
    pub fn forward(&self, left: Tensor<2>, right: Tensor<2>) -> Tensor<1> {
        self.forward_at(left, right, &self.temperature.into())
    }

    /// At a temperature of its own: learned, or one a pair. Shapes and panics as [`forward`](Self::forward).
    pub fn forward_at(&self, left: Tensor<2>, right: Tensor<2>, temperature: &Temperature) -> Tensor<1> {
        self.softmax.forward(&Pairs::both_ways(left, right), temperature)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "clip_contrastive_loss",
            "mean of the cross-entropies of pairs of image and text both ways, and its gradients",
        )
        .param("tau", 0.07)
        .input("image", "[B, d]")
        .input("text", "[B, d]")
        .eval(|case| {
            case.embeddings(&["image", "text"])?;
            let loss = ClipLossConfig::new()
                .with_temperature(case.param("tau")?)
                .with_similarity(Similarity::Dot)
                .init()?;
            let (image, text) = (case.variable::<2>("image"), case.variable::<2>("text"));
            let value = loss.forward(image.clone(), text.clone());
            Ok(case.value_and_gradients(value, &[("image", &image), ("text", &text)]))
        }),
    ]
}
