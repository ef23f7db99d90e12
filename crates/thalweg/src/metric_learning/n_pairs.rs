//! N-pairs loss: one pair of each class, the second of each pair told from those of all other pairs,
//!
//! `(1/N) Σ_i log(1 + Σ_{j≠i} exp(s(a_i, p_j) − s(a_i, p_i)))`, plus `(λ/4N) Σ_i (‖a_i‖² + ‖p_i‖²)` to keep embeddings
//! that are not brought to a length from growing.
//!
//! Anchor and positive of a class are its first two embeddings of the batch; a class with one alone does not take part, nor do
//! the third and further ones. The mean is over pairs.
//!
//! An embedding that is in no pair is not looked at, not even for being a number.
//!
//! Beside pytorch-metric-learning: its `NPairsLoss` picks the same pairs and is this with λ = 0 and [`Similarity::Cosine`], since
//! its distances bring embeddings to unit length unless told `normalize_embeddings=False`. The factor of the squared lengths
//! is that of TensorFlow's `npairs_loss`.
//!
//! Source: Sohn, "Improved deep metric learning with multi-class N-pair loss objective", NeurIPS 2016 ("N-pair-mc").

use burn::config::Config;
use burn::tensor::{Int, Tensor};

use crate::bridge::with_gradients;
use crate::config::require;
use crate::contrastive::{InBatchSoftmax, Pairs, Similarity, classes_of};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`NPairsLoss`].
#[derive(Config, Debug)]
pub struct NPairsLossConfig {
    /// Weight λ of the squared lengths, at least 0.
    #[config(default = 0.002)]
    pub regularization: f64,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Dot")]
    pub similarity: Similarity,
    /// How the losses of pairs become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl NPairsLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When λ is negative or not finite.
    pub fn init(&self) -> Result<NPairsLoss, ConfigError> {
        let regularization = self.regularization;
        require(
            "n_pairs",
            "regularization",
            regularization,
            "at least 0 and finite",
            |weight| (0.0..f64::INFINITY).contains(&weight),
        )?;
        Ok(NPairsLoss {
            regularization,
            softmax: InBatchSoftmax {
                similarity: self.similarity,
                reduction: self.reduction,
            },
        })
    }
}

/// N-pairs loss of a batch.
#[derive(Clone, Debug)]
pub struct NPairsLoss {
    regularization: f64,
    softmax: InBatchSoftmax,
}

impl NPairsLoss {
    /// # Shapes
    /// - embeddings `[batch, width]`, labels `[batch]`, any integers; returns `[1]`, or `[pairs]` for [`Reduction::None`],
    ///   in the order in which their classes come in the batch.
    ///
    /// # Panics
    /// When the batch is empty or the batch sizes differ, or there is no pair to go without reduction.
    pub fn forward(&self, embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let (classes, count) = classes_of(&embeddings, labels);
        let [anchors, positives] = first_two(&classes, count);
        if anchors.is_empty() {
            assert!(
                self.softmax.reduction != Reduction::None,
                "no class has two embeddings, so there is no loss of a pair"
            );
            let nothing = embeddings.clone().detach().zeros_like();
            return with_gradients(nothing.clone().sum(), [(embeddings, nothing)]);
        }
        let pick = |places: &[i64]| {
            let places = Tensor::<1, Int>::from_ints(places, &embeddings.device());
            embeddings.clone().select(0, places)
        };
        let (anchors, positives) = (pick(&anchors), pick(&positives));
        let squares = anchors.clone().square().sum_dim(1) + positives.clone().square().sum_dim(1);
        let loss = self
            .softmax
            .forward(&Pairs::in_batch(anchors, positives), &1.0.into());
        if self.regularization == 0.0 {
            return loss;
        }
        let lengths = self.softmax.reduction.of(squares.squeeze_dim(1));
        loss + lengths * (0.25 * self.regularization)
    }
}

/// Where the first two of each class are, of those that have two.
fn first_two(classes: &[u32], count: usize) -> [Vec<i64>; 2] {
    let mut places = vec![(None, None); count];
    for (at, &class) in classes.iter().enumerate() {
        match &mut places[class as usize] {
            (first @ None, _) => *first = Some(at as i64),
            (_, second @ None) => *second = Some(at as i64),
            _ => {}
        }
    }
    let pairs = places.into_iter().filter_map(|(first, second)| first.zip(second));
    let (anchors, positives) = pairs.unzip();
    [anchors, positives]
}

pub(super) fn quantities() -> Vec<Quantity> {
    let defaults = NPairsLossConfig::new();
    vec![
        Quantity::new(
            "n_pairs_loss",
            "N-pairs loss of the first two embeddings of each label, and its gradient",
        )
        .param("regularization", defaults.regularization)
        .param("distance", "dot")
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .eval(|case| {
            let loss = NPairsLossConfig::new()
                .with_regularization(case.param("regularization")?)
                .with_similarity(case.distance()?)
                .init()?;
            case.labelled_loss(|x, labels| loss.forward(x, labels))
        }),
    ]
}
