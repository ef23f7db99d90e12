//! A batch of rows of scores, cut into blocks that threads share: the shape of every kernel of row losses.

use rayon::prelude::*;

use crate::real::Real;

/// Consecutive rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, F> {
    /// Place of the first of them in the batch.
    pub first: usize,
    /// Scores `[rows, classes]`.
    pub scores: &'a [F],
    /// Target class of each row.
    pub targets: &'a [u32],
    /// Scores of a row.
    pub classes: usize,
}

/// A kernel of row losses.
pub trait RowKernel: Sync {
    /// The loss of each of `rows`.
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]);

    /// The loss of each of `rows`, and `scale` times its gradient into its row of `gradient`.
    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]);
}

/// Batches below which a second thread costs more than it saves, in scores.
const PARALLEL: usize = 1 << 15;

/// Rows a task takes: about 64 KiB of scores, so that a block stays in the second-level cache.
fn block_rows(classes: usize) -> usize {
    ((1 << 14) / classes).max(1)
}

/// A task: its number, what it writes, its scores and its targets, as iterators zip them.
type Block<'a, W, S> = (usize, ((W, S), &'a [u32]));

/// Losses of every row into `losses`.
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn forward<F: Real>(
    kernel: &impl RowKernel,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    losses: &mut [F],
) {
    check(scores, targets, classes, losses);
    let rows = block_rows(classes);
    let run = |(block, ((losses, scores), targets)): Block<&mut [F], &[F]>| {
        let first = block * rows;
        kernel.losses(
            Rows {
                first,
                scores,
                targets,
                classes,
            },
            losses,
        );
    };
    if scores.len() < PARALLEL {
        losses
            .chunks_mut(rows)
            .zip(scores.chunks(rows * classes))
            .zip(targets.chunks(rows))
            .enumerate()
            .for_each(run);
    } else {
        losses
            .par_chunks_mut(rows)
            .zip(scores.par_chunks(rows * classes))
            .zip(targets.par_chunks(rows))
            .enumerate()
            .for_each(run);
    }
}

/// Losses of every row into `losses`, and `scale` times their gradients into `gradient` (of the size of `scores`).
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn forward_backward<F: Real>(
    kernel: &impl RowKernel,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    check(scores, targets, classes, losses);
    assert_eq!(
        gradient.len(),
        scores.len(),
        "gradient has {} elements, scores {}",
        gradient.len(),
        scores.len()
    );
    let rows = block_rows(classes);
    let run = |(block, (((gradient, losses), scores), targets)): Block<(&mut [F], &mut [F]), &[F]>| {
        let first = block * rows;
        let rows = Rows {
            first,
            scores,
            targets,
            classes,
        };
        kernel.gradients(rows, scale, losses, gradient);
    };
    if scores.len() < PARALLEL {
        gradient
            .chunks_mut(rows * classes)
            .zip(losses.chunks_mut(rows))
            .zip(scores.chunks(rows * classes))
            .zip(targets.chunks(rows))
            .enumerate()
            .for_each(run);
    } else {
        gradient
            .par_chunks_mut(rows * classes)
            .zip(losses.par_chunks_mut(rows))
            .zip(scores.par_chunks(rows * classes))
            .zip(targets.par_chunks(rows))
            .enumerate()
            .for_each(run);
    }
}

/// As [`forward_backward`], the gradient taking the place of the scores: no second array of their size.
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn forward_backward_in_place<F: Real>(
    kernel: &impl RowKernel,
    scores: &mut [F],
    targets: &[u32],
    classes: usize,
    scale: f64,
    losses: &mut [F],
) {
    check(scores, targets, classes, losses);
    let rows = block_rows(classes);
    let fresh = || vec![F::ZERO; rows * classes];
    let run = |scratch: &mut Vec<F>, (block, ((scores, losses), targets)): InPlace<F>| {
        let gradient = &mut scratch[..scores.len()];
        let first = block * rows;
        kernel.gradients(
            Rows {
                first,
                scores,
                targets,
                classes,
            },
            scale,
            losses,
            gradient,
        );
        scores.copy_from_slice(gradient);
    };
    if scores.len() < PARALLEL {
        let mut scratch = fresh();
        scores
            .chunks_mut(rows * classes)
            .zip(losses.chunks_mut(rows))
            .zip(targets.chunks(rows))
            .enumerate()
            .for_each(|block| run(&mut scratch, block));
    } else {
        scores
            .par_chunks_mut(rows * classes)
            .zip(losses.par_chunks_mut(rows))
            .zip(targets.par_chunks(rows))
            .enumerate()
            .for_each_init(fresh, run);
    }
}

/// A task in place: its number, its scores, its losses and its targets.
type InPlace<'a, F> = (usize, ((&'a mut [F], &'a mut [F]), &'a [u32]));

fn check<F>(scores: &[F], targets: &[u32], classes: usize, losses: &[F]) {
    assert!(classes >= 1, "a row needs at least one class");
    assert_eq!(
        scores.len(),
        targets.len() * classes,
        "{} scores for {} targets of {classes} classes",
        scores.len(),
        targets.len()
    );
    assert_eq!(
        losses.len(),
        targets.len(),
        "room for {} losses, {} targets",
        losses.len(),
        targets.len()
    );
    if let Some(row) = targets.iter().position(|&y| y as usize >= classes) {
        panic!("target {} of row {row} is not in 0..{classes}", targets[row]);
    }
}
