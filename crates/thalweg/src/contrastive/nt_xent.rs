//! NT-Xent: the normalised temperature-scaled cross-entropy of two views. Each of the `2·batch` embeddings has the other view
//! of its sample as its positive, among the `2·batch − 1` other embeddings.
//!
//! Beside pytorch-metric-learning: its `NTXentLoss` is this where each label is that of two embeddings, the views of one sample.
//! Of a label with more it takes each pair by itself, without the other positives below the fraction, which neither this nor
//! [`SupConLoss`](super::SupConLoss) does.
//!
//! Source: Chen, Kornblith, Norouzi, Hinton, "A simple framework for contrastive learning of visual representations",
//! ICML 2020 (arXiv 2002.05709).

use burn::config::Config;
use burn::tensor::Tensor;

use super::pairs::temperature;
use super::{InBatchSoftmax, Pairs, Similarity, Temperature};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`NtXentLoss`].
#[derive(Config, Debug)]
pub struct NtXentLossConfig {
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

impl NtXentLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<NtXentLoss, ConfigError> {
        Ok(NtXentLoss {
            temperature: temperature("nt_xent", self.temperature)?,
            softmax: InBatchSoftmax {
                similarity: self.similarity,
                reduction: self.reduction,
            },
        })
    }
}

/// NT-Xent of two views.
#[derive(Clone, Debug)]
pub struct NtXentLoss {
    temperature: f64,
    softmax: InBatchSoftmax,
}

impl NtXentLoss {
    /// # Shapes
    /// - two views `[batch, width]`; returns `[1]`, or `[2·batch]` for [`Reduction::None`], those of the first view first.
    ///
    /// # Panics
    /// When the batch is empty or the shapes differ.
    pub fn forward(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        self.forward_at(first, second, &self.temperature.into())
    }

    /// At a temperature of its own: learned, or one each for the embeddings of the first view and then the second's. Shapes and
    /// panics as [`forward`](Self::forward).
    pub fn forward_at(&self, first: Tensor<2>, second: Tensor<2>, temperature: &Temperature) -> Tensor<1> {
        self.softmax
            .forward(&Pairs::two_views(first, second), temperature)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "nt_xent_loss",
            "cross-entropy of each view's embedding for its other view, among all others, and its gradients",
        )
        .param("tau", 0.1)
        .param("normalize", true)
        .input("z1", "[n, d]")
        .input("z2", "[n, d]")
        .eval(|case| {
            case.embeddings(&["z1", "z2"])?;
            let loss = NtXentLossConfig::new()
                .with_temperature(case.param("tau")?)
                .with_similarity(case.similarity(&["z1", "z2"])?)
                .init()?;
            let (first, second) = (case.variable::<2>("z1"), case.variable::<2>("z2"));
            let value = loss.forward(first.clone(), second.clone());
            Ok(case.value_and_gradients(value, &[("z1", &first), ("z2", &second)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::super::in_batch::tests::*;
    use super::*;

    #[test]
    fn views_may_change_places() {
        let [first, second] = embeddings([6, 6], 4, 1.0, 0, DType::F64);
        let loss = NtXentLossConfig::new().init().unwrap();
        let there = number(loss.forward(first.clone(), second.clone()));
        assert!((there - number(loss.forward(second, first))).abs() < 1e-12);
    }

    #[test]
    fn collapsed_embeddings_have_the_loss_of_chance() {
        let u = Tensor::<2>::full([40, 3], 0.6, (&burn::tensor::Device::flex(), DType::F64));
        let loss = NtXentLossConfig::new().init().unwrap();
        assert!((number(loss.forward(u.clone(), u)) - 79.0_f64.ln()).abs() < 1e-12);
    }
}
