//! Supervised contrastive loss: `ℓ_i = −(1/|P_i|) Σ_{p ∈ P_i} log( exp(s_ip/τ) / Σ_{j ≠ i} exp(s_ij/τ) )`, `P_i` all other
//! embeddings with the label of i ("L_out").
//!
//! An embedding without positives does not count, neither in the sum nor in the mean.
//!
//! Beside pytorch-metric-learning: its `SupConLoss` is this, but 0 where all embeddings have one label.
//!
//! Source: Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan, NeurIPS 2020 (arXiv 2004.11362).

use burn::config::Config;
use burn::tensor::{Int, Tensor};

use super::pairs::temperature;
use super::{InBatchSoftmax, Pairs, Similarity, Temperature};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`SupConLoss`].
#[derive(Config, Debug)]
pub struct SupConLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 0.1)]
    pub temperature: f64,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the losses of embeddings become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl SupConLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<SupConLoss, ConfigError> {
        Ok(SupConLoss {
            temperature: temperature("sup_con", self.temperature)?,
            softmax: InBatchSoftmax {
                similarity: self.similarity,
                reduction: self.reduction,
            },
        })
    }
}

/// Supervised contrastive loss of a batch.
#[derive(Clone, Debug)]
pub struct SupConLoss {
    temperature: f64,
    softmax: InBatchSoftmax,
}

impl SupConLoss {
    /// # Shapes
    /// - embeddings `[batch, width]`, labels `[batch]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or the batch sizes differ.
    pub fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        self.forward_at(embeddings, labels, &self.temperature.into())
    }

    /// At a temperature of its own: learned, or one an embedding. Shapes and panics as [`forward`](Self::forward).
    pub fn forward_at(
        &self,
        embeddings: Tensor<2>,
        labels: Tensor<1, Int>,
        temperature: &Temperature,
    ) -> Tensor<1> {
        self.softmax
            .forward(&Pairs::labelled(embeddings, labels), temperature)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "sup_con_loss",
            "supervised contrastive loss of labelled embeddings, and its gradient",
        )
        .param("tau", 0.1)
        .param("normalize", true)
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .eval(|case| {
            case.embeddings(&["x"])?;
            let labels = case.labels("labels", 1 << 31)?;
            let loss = SupConLossConfig::new()
                .with_temperature(case.param("tau")?)
                .with_similarity(case.similarity(&["x"])?)
                .init()?;
            let x = case.variable::<2>("x");
            Ok(case.value_and_gradients(loss.forward(x.clone(), labels), &[("x", &x)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::super::NtXentLossConfig;
    use super::super::in_batch::tests::*;
    use super::*;

    #[test]
    fn two_of_each_label_are_two_views() {
        let [first, second] = embeddings([5, 5], 4, 1.0, 3, DType::F64);
        let labels = Tensor::<1, Int>::from_ints([7, -3, 0, 2, 9, 7, -3, 0, 2, 9], &Device::flex());
        let all = Tensor::cat(vec![first.clone(), second.clone()], 0);
        let supervised = SupConLossConfig::new().init().unwrap().forward(all, labels);
        let views = NtXentLossConfig::new().init().unwrap().forward(first, second);
        assert!((number(supervised) - number(views)).abs() < 1e-12);
    }

    #[test]
    fn without_positives_there_is_nothing_to_learn() {
        let [x, _] = embeddings([3, 3], 2, 1.0, 0, DType::F32);
        let labels = Tensor::<1, Int>::from_ints([0, 1, 2], &Device::flex());
        let loss = SupConLossConfig::new().init().unwrap();
        assert_eq!(number(loss.forward(x, labels)), 0.0);
    }
}
