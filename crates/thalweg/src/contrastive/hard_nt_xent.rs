//! NT-Xent over the hardest negatives alone, once all of them have shaped the embeddings for a while.
//!
//! Of the `2·batch − 2` negatives of each of the `2·batch` embeddings those count that are in its upper α quantile, beside
//! its positive.
//!
//! Source: Wang, Liu, "Understanding the behaviour of contrastive loss", CVPR 2021 (arXiv 2012.09740).

use burn::config::Config;
use burn::tensor::Tensor;

use super::pairs::{beside_the_diagonal, temperature};
use super::score_loss::{Rule, row_loss};
use super::{HardNegatives, NtXentLoss, NtXentLossConfig, ScoresLoss, Similarity};
use crate::{ConfigError, Reduction};

/// Configuration of [`HardNtXentLoss`].
#[derive(Config, Debug)]
pub struct HardNtXentLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Fraction α of the negatives that is kept, above 0; 1 keeps all.
    #[config(default = 0.3)]
    pub alpha: f64,
    /// Epochs of training with all negatives, before only hard ones count.
    #[config(default = 0)]
    pub warm_up: usize,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the losses of embeddings become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl HardNtXentLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive or α not in `(0, 1]`.
    pub fn init(&self) -> Result<HardNtXentLoss, ConfigError> {
        let temperature = temperature("hard_nt_xent", self.temperature)?;
        let hard = HardNegatives::new("hard_nt_xent", self.alpha)?;
        let all = NtXentLossConfig::new()
            .with_temperature(temperature)
            .with_similarity(self.similarity)
            .with_reduction(self.reduction);
        Ok(HardNtXentLoss {
            all: all.init()?,
            warm_up: self.warm_up,
            scores: ScoresLoss::new(Rule::Softmax { temperature }, Some(hard), self.reduction),
            similarity: self.similarity,
            reduction: self.reduction,
        })
    }
}

/// NT-Xent of two views over hard negatives.
#[derive(Clone, Debug)]
pub struct HardNtXentLoss {
    all: NtXentLoss,
    warm_up: usize,
    scores: ScoresLoss,
    similarity: Similarity,
    reduction: Reduction,
}

impl HardNtXentLoss {
    /// Of the hard negatives alone; all pairs are held in memory.
    ///
    /// # Shapes
    /// - two views `[batch, width]`; returns `[1]`, or `[2·batch]` for [`Reduction::None`], those of the first view first.
    ///
    /// # Panics
    /// When the batch is empty or the shapes differ.
    pub fn forward(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        assert_eq!(first.dims(), second.dims(), "two views differ in shape");
        let [batch, _] = first.dims();
        assert!(batch > 0, "an empty batch has no loss");
        let both = Tensor::cat(vec![first, second], 0);
        let scores = beside_the_diagonal(self.similarity.matrix(both.clone(), both));
        // Without itself, an embedding of the first view has the other one of its sample a place further left.
        let count = batch as u32;
        let positives = (count - 1..2 * count - 1).chain(0..count).collect();
        row_loss(&self.scores, scores, positives, self.reduction)
    }

    /// Of all negatives in the epochs before the hard ones, of these from then on. Shapes and panics as
    /// [`forward`](Self::forward).
    pub fn forward_in(&self, epoch: usize, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        if epoch < self.warm_up {
            self.all.forward(first, second)
        } else {
            self.forward(first, second)
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::in_batch::tests::*;
    use super::*;
    use crate::classification::rowwise::host_scores;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_is_that_of_the_definition(batch in 2_usize..7, alpha in 0.05_f64..1.0, at in 0.1_f64..2.0, seed in 0_u64..1000) {
            let [first, second] = embeddings([batch, batch], 3, 1.0, seed, DType::F64);
            let config = HardNtXentLossConfig::new().with_alpha(alpha).with_temperature(at);
            let found = number(config.init().unwrap().forward(first.clone(), second.clone()));
            let both = Tensor::cat(vec![first, second], 0);
            let cosines = host_scores(&Similarity::Cosine.matrix(both.clone(), both));
            let count = 2 * batch;
            let kept = ((alpha * (count - 2) as f64).ceil() as usize).max(1);
            let each = (0..count).map(|i| {
                let positive = (i + batch) % count;
                let row = &cosines[i * count..(i + 1) * count];
                let mut negatives: Vec<f64> = (0..count).filter(|&k| k != i && k != positive).map(|k| row[k]).collect();
                negatives.sort_by(|a, b| b.total_cmp(a));
                let own = (row[positive] / at).exp();
                let sum: f64 = negatives[..kept].iter().map(|score| (score / at).exp()).sum();
                -(own / (own + sum)).ln()
            });
            let expected = each.sum::<f64>() / count as f64;
            prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn all_negatives_are_those_of_nt_xent_and_of_the_warm_up() {
        let [first, second] = embeddings([5, 5], 3, 1.0, 4, DType::F64);
        let config = HardNtXentLossConfig::new().with_warm_up(2);
        let loss = config.init().unwrap();
        let all = NtXentLossConfig::new().with_temperature(1.0).init().unwrap();
        let all = number(all.forward(first.clone(), second.clone()));
        let kept = config.with_alpha(1.0).init().unwrap();
        assert!((number(kept.forward(first.clone(), second.clone())) - all).abs() < 1e-12);
        assert_eq!(number(loss.forward_in(1, first.clone(), second.clone())), all);
        assert!(number(loss.forward_in(2, first, second)) < all - 1e-6);
    }
}
