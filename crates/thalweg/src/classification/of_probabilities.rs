//! Losses of all probabilities of a row.

use thalweg_kernels::rows::RowLoss;

/// A function of a row's probabilities.
pub(super) trait ProbabilityFunction: Sync {
    /// Value, and partial derivatives into `slopes`.
    fn of(&self, p: &[f64], target: usize, slopes: &mut [f64]) -> f64;
}

/// Such a function of the softmax of scores: gradient `p_k (g_k − p·g)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfProbabilities<L>(pub L);

impl<L: ProbabilityFunction> RowLoss for OfProbabilities<L> {
    fn row(&self, _: usize, scores: &mut [f64], target: usize, gradient: &mut [f64]) -> f64 {
        softmax(scores);
        let loss = self.0.of(scores, target, gradient);
        let mean: f64 = scores.iter().zip(&*gradient).map(|(p, slope)| p * slope).sum();
        for (slope, p) in gradient.iter_mut().zip(&*scores) {
            *slope = p * (*slope - mean);
        }
        loss
    }
}

fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores
        .iter_mut()
        .for_each(|score| *score = (*score - largest).exp());
    let total: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= total);
}
