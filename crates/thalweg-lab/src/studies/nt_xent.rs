//! NT-Xent of two views, all other embeddings of the batch being negatives, or only the hardest of them.

use burn::tensor::{Tensor, TensorData};
use thalweg::objective::{EmbeddedViews, Progress, ViewObjective};
use thalweg_kernels::random::Stream;

/// `−log exp(s_ip/τ) / Σ_{k≠i} exp(s_ik/τ)`, s the cosines of all embeddings of both views and p the other view; mean.
pub(super) struct NtXent {
    /// τ.
    pub temperature: f64,
    /// Which negatives are summed over.
    pub negatives: Negatives,
}

/// Negatives of an embedding.
#[derive(Clone, Copy)]
pub(super) enum Negatives {
    /// All other samples.
    All,
    /// From an epoch on the most similar share of them, `max(1, ⌈share · count⌉)`; before it all.
    Hardest { share: f64, from_epoch: usize },
}

impl ViewObjective for NtXent {
    fn loss(&mut self, views: &EmbeddedViews, progress: &Progress, _: &mut Stream) -> Tensor<1> {
        let inverse = 1.0 / self.temperature;
        let [x, y] = views.pair();
        let [x, y] = [x, y].map(|view| {
            let square = view.clone().square().sum_dim(1);
            view * (square + 1e-12).sqrt().recip()
        });
        let positive = (x.clone() * y.clone()).sum() * (2.0 * inverse);
        let all = Tensor::cat(vec![x, y], 0);
        let [count, _] = all.dims();
        let cosines = all.clone().matmul(all.transpose());
        let summed = match self.negatives {
            Negatives::Hardest { share, from_epoch } if progress.epoch >= from_epoch => {
                positive_and_hardest(cosines.clone(), share)
            }
            _ => Tensor::<2>::eye(count, &cosines.device()) * -1.0 + 1.0,
        };
        // No cosine is above 1: exponents are at most 0.
        let scaled = cosines * inverse - inverse;
        let sums = (scaled.exp() * summed).sum_dim(1).log().sum() + inverse * count as f64;
        (sums - positive) * (1.0 / count as f64)
    }
}

/// 1 for the positive of each row and its most similar negatives, equal ones with them; 0 elsewhere.
fn positive_and_hardest(cosines: Tensor<2>, share: f64) -> Tensor<2> {
    let [count, _] = cosines.dims();
    let device = cosines.device();
    let values: Vec<f32> = cosines.into_data().try_into_vec_as().expect("cosines are floats");
    let mut kept = vec![0.0_f32; values.len()];
    for (i, (row, kept)) in values
        .chunks_exact(count)
        .zip(kept.chunks_exact_mut(count))
        .enumerate()
    {
        let positive = (i + count / 2) % count;
        let is_negative = |k: &usize| *k != i && *k != positive;
        let mut negatives: Vec<f32> = (0..count).filter(is_negative).map(|k| row[k]).collect();
        if !negatives.is_empty() {
            let hardest = ((share * negatives.len() as f64).ceil() as usize).clamp(1, negatives.len());
            let (_, &mut least, _) = negatives.select_nth_unstable_by(hardest - 1, |a, b| b.total_cmp(a));
            (0..count)
                .filter(is_negative)
                .filter(|&k| row[k] >= least)
                .for_each(|k| kept[k] = 1.0);
        }
        kept[positive] = 1.0;
    }
    Tensor::from_data(TensorData::new(kept, [count, count]), &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const ROWS: [[f64; 2]; 4] = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]];

    fn found(negatives: Negatives, epoch: usize) -> f64 {
        let device = Device::flex().autodiff();
        let embeddings = vec![
            Tensor::from_floats([[2.0, 0.0], [0.0, 1.0]], &device),
            Tensor::from_floats([[0.6, 0.8], [-3.0, 0.0]], &device),
        ];
        let views = EmbeddedViews {
            embeddings,
            ids: vec![0, 1],
            labels: None,
        };
        let progress = Progress {
            epoch,
            epochs: 2,
            step: epoch,
            steps: 2,
        };
        let mut loss = NtXent {
            temperature: 0.5,
            negatives,
        };
        loss.loss(&views, &progress, &mut Stream::new(0, "", 0))
            .into_scalar::<f64>()
    }

    fn cosine(i: usize, k: usize) -> f64 {
        ROWS[i].iter().zip(&ROWS[k]).map(|(a, b)| a * b).sum()
    }

    /// Of the definition, over the negatives that `keeps` says.
    fn expected(keeps: impl Fn(usize, usize) -> bool) -> f64 {
        let each = (0..4).map(|i| {
            let positive = (i + 2) % 4;
            let summed = (0..4).filter(|&k| k == positive || k != i && keeps(i, k));
            let sum: f64 = summed.map(|k| (2.0 * cosine(i, k)).exp()).sum();
            sum.ln() - 2.0 * cosine(i, positive)
        });
        each.sum::<f64>() / 4.0
    }

    #[test]
    fn it_is_that_of_the_definition() {
        assert!((found(Negatives::All, 0) - expected(|_, _| true)).abs() < 1e-6);
    }

    #[test]
    fn only_the_hardest_are_summed_over_once_warmed_up() {
        let hardest = Negatives::Hardest {
            share: 0.5,
            from_epoch: 1,
        };
        assert_eq!(found(hardest, 0), found(Negatives::All, 0));
        let is_hardest = |i: usize, k: usize| {
            let others = (0..4).filter(|&other| other != i && other != (i + 2) % 4);
            others.into_iter().all(|other| cosine(i, k) >= cosine(i, other))
        };
        assert!((found(hardest, 1) - expected(is_hardest)).abs() < 1e-6);
        assert!(found(hardest, 1) < found(Negatives::All, 1));
    }
}
