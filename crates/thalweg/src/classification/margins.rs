//! Losses of the margins of a row, `δ_k = f_k − f_y + c·1[k ≠ y]`, which any worst case over label weights is.
//!
//! By the envelope theorem the gradient of `max_p p·δ − λ R(p)` in `δ` is the maximiser itself, so that a loss and its
//! weights are computed together.

use thalweg_kernels::rows::RowLoss;

/// A function of a row's margins.
pub(super) trait Worst: Sync {
    /// The function's value, and its gradient in the margins into `weights`.
    fn of(&self, margins: &[f64], weights: &mut [f64]) -> f64;
}

/// Such a function as a loss of scores: gradient `w_k`, and `−Σ_{k≠y} w_k` at the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfMargins<W> {
    /// Added to every margin but the target's own 0.
    pub margin: f64,
    /// The function.
    pub worst: W,
}

impl<W: Worst> RowLoss for OfMargins<W> {
    fn row(&self, _: usize, scores: &mut [f64], target: usize, gradient: &mut [f64]) -> f64 {
        into_margins(scores, target, self.margin);
        let loss = self.worst.of(scores, gradient);
        gradient[target] = 0.0;
        gradient[target] = -gradient.iter().sum::<f64>();
        loss
    }
}

/// Replaces scores by their margins.
pub(super) fn into_margins(scores: &mut [f64], target: usize, margin: f64) {
    let own = scores[target];
    scores.iter_mut().for_each(|score| *score = *score - own + margin);
    scores[target] = 0.0;
}

/// `max_k δ_k`; its gradient goes to the first of several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Largest;

impl Worst for Largest {
    fn of(&self, margins: &[f64], weights: &mut [f64]) -> f64 {
        let first = (1..margins.len()).fold(0, |best, k| if margins[k] > margins[best] { k } else { best });
        weights.fill(0.0);
        weights[first] = 1.0;
        margins[first]
    }
}

/// `(1/K) Σ_k δ_k`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average;

impl Worst for Average {
    fn of(&self, margins: &[f64], weights: &mut [f64]) -> f64 {
        let share = 1.0 / margins.len() as f64;
        weights.fill(share);
        margins.iter().sum::<f64>() * share
    }
}

/// `(1/K) Σ_k [δ_k]_+`; flat where a margin is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct AverageHinge;

impl Worst for AverageHinge {
    fn of(&self, margins: &[f64], weights: &mut [f64]) -> f64 {
        let share = 1.0 / margins.len() as f64;
        for (weight, &margin) in weights.iter_mut().zip(margins) {
            *weight = if margin > 0.0 { share } else { 0.0 };
        }
        margins.iter().map(|margin| margin.max(0.0)).sum::<f64>() * share
    }
}

/// `p·δ`, without `∞·0`.
pub(super) fn weighted(weights: &[f64], margins: &[f64]) -> f64 {
    let carried = weights.iter().zip(margins).filter(|(weight, _)| **weight > 0.0);
    carried.map(|(weight, margin)| weight * margin).sum()
}

/// Indices of `values`, largest first, equal ones in order.
pub(super) fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}
