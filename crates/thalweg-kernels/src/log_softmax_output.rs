//! A step of plain SGD on a log-softmax output layer `o = W h` over many classes, fused: products of a block of classes are
//! used while they are in the cache.
//!
//! Scores `[samples, classes]` are kept once, because to compute them again would cost more than to read them again.

use rayon::prelude::*;

use crate::dispatch;
use crate::lanes::{LANES, WIDEN, add_sum, exponentials, largest, total};
use crate::matrix::{Matrix, Work, multiply};
use crate::real::Real;

/// Classes of a block.
const BLOCK: usize = 512;

/// Parts in which the gradient of the hidden vectors is summed, so that its bits do not depend on the number of threads.
const PARTS: usize = 16;

/// Memory that a step works in, kept from step to step: to ask for it anew costs as much as a pass over it.
#[derive(Clone, Debug)]
pub struct Workspace<F> {
    scores: Vec<F>,
}

impl<F> Default for Workspace<F> {
    fn default() -> Self {
        Self { scores: Vec::new() }
    }
}

/// Hidden vectors with their targets.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, F> {
    /// Hidden vectors `[samples, width]`.
    pub hidden: &'a [F],
    /// Target class of each.
    pub targets: &'a [u32],
}

/// One step: `W ← W − rate·Σ_i ∂ℓ_i/∂W`, with the losses before it into `losses` and `∂ℓ_i/∂h_i` into `gradient`, of the
/// size of the hidden vectors.
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn step<F: Real>(
    weights: &mut [F],
    classes: usize,
    samples: Samples<F>,
    rate: f64,
    losses: &mut [F],
    gradient: &mut [F],
    workspace: &mut Workspace<F>,
) {
    let Samples { hidden, targets } = samples;
    let count = targets.len();
    assert!(count > 0 && classes > 0, "a step needs samples and classes");
    let width = hidden.len() / count;
    assert_eq!(
        weights.len(),
        classes * width,
        "{classes} rows of {width} weights"
    );
    assert_eq!(losses.len(), count, "room for {} losses", losses.len());
    assert_eq!(
        gradient.len(),
        hidden.len(),
        "a gradient has the size of its vectors"
    );
    if let Some(row) = targets.iter().position(|&y| y as usize >= classes) {
        panic!("target {} of row {row} is not in 0..{classes}", targets[row]);
    }
    workspace.scores.resize(count * classes, F::ZERO);
    let scores = &mut workspace.scores;
    let vectors = Matrix::new(hidden, count, width);

    let block_sums: Vec<Vec<(f64, f64)>> = scores
        .par_chunks_mut(count * BLOCK)
        .zip(weights.par_chunks(BLOCK * width))
        .map(|(scores, weights)| {
            let size = weights.len() / width;
            let weights = Matrix::new(weights, size, width).transposed();
            multiply(Work::Alone, scores, F::ZERO, F::ONE, vectors, weights);
            scores.chunks_exact(size).map(largest_and_sum).collect()
        })
        .collect();
    let log_totals: Vec<f64> = (0..count)
        .map(|row| {
            let largest = block_sums
                .iter()
                .fold(f64::NEG_INFINITY, |largest, block| largest.max(block[row].0));
            let total: f64 = block_sums
                .iter()
                .map(|block| block[row].1 * (block[row].0 - largest).exp())
                .sum();
            largest + total.ln()
        })
        .collect();
    for ((row, loss), &y) in losses.iter_mut().enumerate().zip(targets) {
        let (block, within) = (y as usize / BLOCK, y as usize % BLOCK);
        let size = BLOCK.min(classes - block * BLOCK);
        let own = scores[block * BLOCK * count + row * size + within];
        *loss = F::from_f64(log_totals[row] - own.to_f64());
    }

    let blocks = classes.div_ceil(BLOCK);
    let part = blocks.div_ceil(PARTS);
    let parts: Vec<Vec<F>> = scores
        .par_chunks_mut(part * count * BLOCK)
        .zip(weights.par_chunks_mut(part * BLOCK * width))
        .enumerate()
        .map(|(index, (scores, weights))| {
            let mut own = vec![F::ZERO; hidden.len()];
            let each = scores
                .chunks_mut(count * BLOCK)
                .zip(weights.chunks_mut(BLOCK * width));
            for (block, (errors, weights)) in (index * part..).zip(each) {
                let size = weights.len() / width;
                for ((errors, &log_total), &y) in errors.chunks_exact_mut(size).zip(&log_totals).zip(targets)
                {
                    to_probabilities(errors, F::from_f64(log_total));
                    if y as usize / BLOCK == block {
                        let at = &mut errors[y as usize % BLOCK];
                        *at = *at - F::ONE;
                    }
                }
                let errors = Matrix::new(errors, count, size);
                multiply(
                    Work::Alone,
                    &mut own,
                    F::ONE,
                    F::ONE,
                    errors,
                    Matrix::new(weights, size, width),
                );
                multiply(
                    Work::Alone,
                    weights,
                    F::ONE,
                    F::from_f64(-rate),
                    errors.transposed(),
                    vectors,
                );
            }
            own
        })
        .collect();
    gradient.fill(F::ZERO);
    for part in &parts {
        for (sum, &term) in gradient.iter_mut().zip(part) {
            *sum += term;
        }
    }
}

/// The largest of some scores, and `Σ exp(o − largest)`.
fn largest_and_sum<F: Real>(scores: &[F]) -> (f64, f64) {
    #[inline(always)]
    fn body<F: Real>(scores: &[F], out: &mut (f64, f64)) {
        let mut scratch = [F::ZERO; WIDEN];
        let (top, mut wide) = (largest(scores), [0.0; LANES]);
        for piece in scores.chunks(WIDEN) {
            let exps = &mut scratch[..piece.len()];
            exponentials(piece, top, F::ONE, exps);
            add_sum(&mut wide, [exps], |[e]| e);
        }
        *out = (top.to_f64(), total(wide));
    }
    let mut both = (0.0, 0.0);
    let out = &mut both;
    dispatch!([F: Real] body, (scores: &[F], out: &mut (f64, f64)));
    both
}

fn to_probabilities<F: Real>(scores: &mut [F], log_total: F) {
    #[inline(always)]
    fn body<F: Real>(scores: &mut [F], log_total: F) {
        for score in scores {
            *score = (*score - log_total).exp_below();
        }
    }
    dispatch!([F: Real] body, (scores: &mut [F], log_total: F));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn numbers(stream: &mut Stream, len: usize, size: f64) -> Vec<f64> {
        (0..len).map(|_| size * (2.0 * stream.uniform() - 1.0)).collect()
    }

    /// One step by plain loops.
    fn plain(weights: &mut [f64], classes: usize, samples: Samples<f64>, rate: f64) -> (Vec<f64>, Vec<f64>) {
        let Samples { hidden, targets } = samples;
        let width = hidden.len() / targets.len();
        let old = weights.to_vec();
        let (mut losses, mut gradient) = (Vec::new(), vec![0.0; hidden.len()]);
        for (i, &y) in targets.iter().enumerate() {
            let h = &hidden[i * width..(i + 1) * width];
            let scores: Vec<f64> = old
                .chunks(width)
                .map(|row| row.iter().zip(h).map(|(w, h)| w * h).sum())
                .collect();
            let total: f64 = scores.iter().map(|o: &f64| o.exp()).sum();
            losses.push(total.ln() - scores[y as usize]);
            for k in 0..classes {
                let error = scores[k].exp() / total - f64::from(u8::from(k == y as usize));
                for j in 0..width {
                    gradient[i * width + j] += error * old[k * width + j];
                    weights[k * width + j] -= rate * error * h[j];
                }
            }
        }
        (losses, gradient)
    }

    #[test]
    fn a_step_is_that_of_plain_loops_on_any_number_of_threads() {
        for (classes, count, width) in [(7, 1, 3), (512, 4, 5), (1300, 6, 4)] {
            let mut stream = Stream::new(1, "log softmax", 0);
            let start = numbers(&mut stream, classes * width, 2.0);
            let hidden = numbers(&mut stream, count * width, 3.0);
            let targets: Vec<u32> = (0..count).map(|_| stream.below(classes) as u32).collect();
            let samples = Samples {
                hidden: &hidden,
                targets: &targets,
            };
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let (mut weights, mut workspace) = (start.clone(), Workspace::default());
                let (mut losses, mut gradient) = (vec![0.0; count], vec![0.0; count * width]);
                for _ in 0..2 {
                    weights.copy_from_slice(&start);
                    pool.install(|| {
                        step(
                            &mut weights,
                            classes,
                            samples,
                            0.3,
                            &mut losses,
                            &mut gradient,
                            &mut workspace,
                        );
                    });
                }
                (weights, losses, gradient)
            };
            let (weights, losses, gradient) = run(1);
            assert_eq!((weights.clone(), losses.clone(), gradient.clone()), run(3));
            let mut expected = start.clone();
            let (expected_losses, expected_gradient) = plain(&mut expected, classes, samples, 0.3);
            let pairs = weights
                .iter()
                .zip(&expected)
                .chain(losses.iter().zip(&expected_losses));
            for (a, b) in pairs.chain(gradient.iter().zip(&expected_gradient)) {
                assert!((a - b).abs() < 1e-12, "{a}, expected {b}");
            }
        }
    }

    #[test]
    fn scores_of_ten_thousand_stay_finite() {
        let (mut weights, hidden) = ([1e4_f32, -1e4, 0.0], [1.0_f32]);
        let (mut losses, mut gradient) = ([0.0], [0.0]);
        let samples = Samples {
            hidden: &hidden,
            targets: &[1],
        };
        step(
            &mut weights,
            3,
            samples,
            1.0,
            &mut losses,
            &mut gradient,
            &mut Workspace::default(),
        );
        assert_eq!((losses, gradient), ([2e4], [2e4]));
        assert_eq!(weights, [9_999.0, -9_999.0, 0.0]);
    }
}
