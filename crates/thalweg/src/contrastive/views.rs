//! Contrastive losses as objectives of views, for any trainer.
//!
//! Losses of pairs compare the first two views; supervised ones take all views of all samples of a class as positives.

use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use super::isogclr::SogClr;
use super::{
    ClipLoss, GroCoLoss, HardNtXentLoss, InfoNceLoss, NtXentLoss, SigLipLoss, Similarity, SupConLoss,
};
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

impl ViewObjective for InfoNceLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [queries, keys] = views.pair();
        self.forward(queries, keys)
    }
}

impl ViewObjective for NtXentLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [first, second] = views.pair();
        self.forward(first, second)
    }
}

impl ViewObjective for HardNtXentLoss {
    fn loss(&mut self, views: &EmbeddedViews, progress: &Progress, _: &mut Stream) -> Tensor<1> {
        let [first, second] = views.pair();
        self.forward_in(progress.epoch, first, second)
    }
}

impl ViewObjective for ClipLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [left, right] = views.pair();
        self.forward(left, right)
    }
}

impl ViewObjective for SigLipLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [left, right] = views.pair();
        self.forward(left, right)
    }
}

impl ViewObjective for SupConLoss {
    /// # Panics
    /// When training sees no labels.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let (embeddings, labels) = views.labelled();
        self.forward(embeddings, labels)
    }
}

impl ViewObjective for GroCoLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        self.forward(&views.embeddings)
    }
}

impl ViewObjective for SogClr {
    /// Embeddings are brought to unit rows first.
    ///
    /// # Panics
    /// When a sample is unknown or twice in the batch, or there is no negative.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [first, second] = views.pair().map(|view| unit_rows(view, Similarity::LEAST_NORM));
        let loss = self.forward(first, second, &views.ids);
        loss.unwrap_or_else(|refused| panic!("{refused}"))
    }
}

/// Rows over their norms, which are at least `least`; a row of zeros has no slope.
pub(crate) fn unit_rows(rows: Tensor<2>, least: f64) -> Tensor<2> {
    // Not the norm itself is bounded: the square root has no slope at 0 to cut off.
    let squares = rows.clone().square().sum_dim(1).clamp_min(least * least);
    rows / squares.sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Int};

    use super::super::in_batch::tests::{all_gradients, embeddings, number};
    use super::super::isogclr::SogClrConfig;
    use super::super::{
        ClipLossConfig, GroCoLossConfig, HardNtXentLossConfig, InfoNceLossConfig, NtXentLossConfig,
        SigLipLossConfig, SupConLossConfig,
    };
    use super::*;

    fn views() -> EmbeddedViews {
        let [first, second] = embeddings([6, 6], 4, 1.0, 3, DType::F64);
        EmbeddedViews {
            labels: Some(Tensor::<1, Int>::from_ints([0, 1, 0, 2, 1, 0], &first.device())),
            embeddings: vec![first, second],
            targets: None,
            ids: vec![7, 0, 3, 4, 9, 1],
        }
    }

    fn loss(objective: &mut dyn ViewObjective, views: &EmbeddedViews) -> f64 {
        let progress = Progress {
            epoch: 0,
            epochs: 1,
            step: 0,
            steps: 1,
        };
        number(objective.loss(views, &progress, &mut Stream::new(0, "", 0)))
    }

    #[test]
    fn each_is_its_loss_of_the_views() {
        let views = views();
        let [first, second] = views.pair();
        let pair = || (first.clone(), second.clone());
        macro_rules! of_pair {
            ($config:expr) => {{
                let mut objective = $config.init().unwrap();
                let (first, second) = pair();
                assert_eq!(
                    loss(&mut objective, &views),
                    number(objective.forward(first, second))
                );
            }};
        }
        of_pair!(InfoNceLossConfig::new());
        of_pair!(NtXentLossConfig::new());
        of_pair!(HardNtXentLossConfig::new());
        of_pair!(ClipLossConfig::new());
        of_pair!(SigLipLossConfig::new());
        let mut groups = GroCoLossConfig::new().with_topk_neg(3).init().unwrap();
        assert_eq!(
            loss(&mut groups, &views),
            number(groups.forward(&views.embeddings))
        );
        let mut supervised = SupConLossConfig::new().init().unwrap();
        let classes = Tensor::<1, Int>::from_ints([0, 1, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0], &first.device());
        let both = Tensor::cat(vec![first.clone(), second.clone()], 0);
        assert_eq!(
            loss(&mut supervised, &views),
            number(supervised.forward(both, classes))
        );
    }

    #[test]
    fn what_is_kept_of_samples_goes_by_their_numbers() {
        let mut objective = SogClrConfig::individual(10).init().unwrap();
        let before = objective.temperatures().to_vec();
        let views = views();
        loss(&mut objective, &views);
        for (id, (after, before)) in objective.temperatures().iter().zip(before).enumerate() {
            assert_eq!(*after != before, views.ids.contains(&id), "sample {id}");
        }
    }

    #[test]
    #[should_panic(expected = "sample 3 is in the batch more than once")]
    fn a_sample_twice_is_refused() {
        let mut views = views();
        views.ids[0] = 3;
        loss(&mut SogClrConfig::new(10).init().unwrap(), &views);
    }

    #[test]
    fn a_row_of_zeros_has_no_slope() {
        let [x, _] = embeddings([2, 2], 3, 0.0, 0, DType::F32);
        let slopes = &all_gradients(unit_rows(x.clone(), 1e-12).sum(), &[&x], &[])[1];
        assert!(slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
    }
}
