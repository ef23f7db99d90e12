//! Losses of a row of scores and its target class that need the whole row, in f64 whatever the scores are: sorts,
//! projections, sums of powers of probabilities. One row at a time, rows in parallel.
//!
//! What needs no more of a row than its softmax belongs in [`rowwise`](crate::rowwise), which is faster.

use crate::batch::{self, RowKernel, Rows};
use crate::real::Real;

/// A loss of one row. A row with a score that is not a number is never shown to it: its loss and gradient are NaN.
pub trait RowLoss: Sync {
    /// The loss of the row at `index` of the batch, and its gradient into `gradient`. `scores` is a copy of the row,
    /// to be overwritten at will.
    fn row(&self, index: usize, scores: &mut [f64], target: usize, gradient: &mut [f64]) -> f64;
}

/// The kernel of a loss of whole rows.
#[derive(Clone, Copy, Debug)]
pub struct WholeRows<'l, L>(pub &'l L);

impl<L: RowLoss> RowKernel for WholeRows<'_, L> {
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]) {
        let mut scratch = Scratch::new(rows.classes);
        let each = rows
            .scores
            .chunks_exact(rows.classes)
            .zip(rows.targets)
            .zip(losses);
        for (index, ((row, &y), out)) in (rows.first..).zip(each) {
            *out = F::from_f64(scratch.run(self.0, index, row, y));
        }
    }

    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]) {
        let mut scratch = Scratch::new(rows.classes);
        let each = rows
            .scores
            .chunks_exact(rows.classes)
            .zip(rows.targets)
            .zip(losses);
        let each = each.zip(gradient.chunks_exact_mut(rows.classes));
        for (index, (((row, &y), out), gradient)) in (rows.first..).zip(each) {
            *out = F::from_f64(scratch.run(self.0, index, row, y));
            for (out, &slope) in gradient.iter_mut().zip(&scratch.gradient) {
                *out = F::from_f64(slope * scale);
            }
        }
    }
}

/// Losses of every row into `losses`.
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn forward<F: Real>(
    loss: &impl RowLoss,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    losses: &mut [F],
) {
    batch::forward(&WholeRows(loss), scores, targets, classes, losses);
}

struct Scratch {
    scores: Vec<f64>,
    gradient: Vec<f64>,
}

impl Scratch {
    fn new(classes: usize) -> Self {
        Self {
            scores: vec![0.0; classes],
            gradient: vec![0.0; classes],
        }
    }

    fn run<F: Real>(&mut self, loss: &impl RowLoss, index: usize, row: &[F], y: u32) -> f64 {
        for (copy, &score) in self.scores.iter_mut().zip(row) {
            *copy = score.to_f64();
        }
        // Sorts and maxima have no place for what is not a number, and would hide it.
        if self.scores.iter().any(|score| score.is_nan()) {
            self.gradient.fill(f64::NAN);
            return f64::NAN;
        }
        loss.row(index, &mut self.scores, y as usize, &mut self.gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(index + 1)·h_y²`, which overwrites its copy.
    struct Square;

    impl RowLoss for Square {
        fn row(&self, index: usize, scores: &mut [f64], target: usize, gradient: &mut [f64]) -> f64 {
            let (own, weight) = (scores[target], (index + 1) as f64);
            scores.fill(f64::NAN);
            gradient.fill(0.0);
            gradient[target] = 2.0 * weight * own;
            weight * own * own
        }
    }

    #[test]
    fn every_row_has_its_own_loss_and_gradient_on_any_number_of_threads() {
        let (rows, classes) = (300, 3);
        let scores: Vec<f32> = (0..rows * classes).map(|i| i as f32).collect();
        let targets: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let (mut losses, mut gradient) = (vec![0.0; rows], vec![f32::NAN; rows * classes]);
            pool.unwrap().install(|| {
                batch::forward_backward(
                    &WholeRows(&Square),
                    &scores,
                    &targets,
                    classes,
                    0.5,
                    &mut losses,
                    &mut gradient,
                );
            });
            (losses, gradient)
        };
        let (losses, gradient) = run(1);
        assert_eq!((losses.clone(), gradient.clone()), run(3));
        for row in 0..rows {
            let (own, weight) = ((row * classes + row % classes) as f32, (row + 1) as f32);
            assert_eq!(losses[row], weight * own * own);
            for k in 0..classes {
                let expected = if k == row % classes { weight * own } else { 0.0 };
                assert_eq!(gradient[row * classes + k], expected);
            }
        }
        let mut alone = vec![0.0; rows];
        forward(&Square, &scores, &targets, classes, &mut alone);
        assert_eq!(alone, losses);
    }
}
