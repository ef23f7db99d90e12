//! A step of plain SGD on a two-level softmax output layer, fused: only the groups that hold a target are touched, and
//! those in two passes, scores in the first, gradient and descent in the second.
//!
//! Class y is number `y mod K` of group `y div K`. Its loss is the cross-entropy of its group among G plus that of the class
//! within its group; the cost is of order `samples·(G + K)·width`.

use rayon::prelude::*;

use crate::batch::forward_backward;
use crate::dispatch;
use crate::log_softmax_output::Samples;
use crate::matrix::{Matrix, Work, multiply};
use crate::real::Real;
use crate::rowwise::{Coefficients, Member, OfSoftmax, Row};

/// Weights of both levels.
#[derive(Debug)]
pub struct Levels<'a, F> {
    /// Of the groups, `[G, width]`.
    pub group_weights: &'a mut [F],
    /// Of the groups, `[G]`.
    pub group_biases: &'a mut [F],
    /// Of the classes, `[G, K, width]`.
    pub class_weights: &'a mut [F],
    /// Of the classes, `[G, K]`.
    pub class_biases: &'a mut [F],
}

struct CrossEntropy;

impl Member for CrossEntropy {
    fn row(&self, row: Row) -> Coefficients {
        Coefficients::of_log_p(-row.log_p, -1.0)
    }
}

/// One step on all weights and biases with the given rate, for the sum of the losses; these before it into `losses`, and
/// `∂ℓ_i/∂h_i` into `gradient`, of the size of the hidden vectors.
///
/// # Panics
/// When the sizes disagree or a target is not in `0..G·K`.
pub fn step<F: Real>(
    levels: Levels<F>,
    samples: Samples<F>,
    rate: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    let Samples { hidden, targets } = samples;
    let count = targets.len();
    let groups = levels.group_biases.len();
    assert!(count > 0 && groups > 0, "a step needs samples and groups");
    let (width, size) = (hidden.len() / count, levels.class_biases.len() / groups);
    assert_eq!(
        levels.group_weights.len(),
        groups * width,
        "{groups} groups of {width} weights"
    );
    assert_eq!(
        levels.class_weights.len(),
        groups * size * width,
        "{groups} groups of {size} classes of {width} weights"
    );
    if let Some(row) = targets.iter().position(|&y| y as usize >= groups * size) {
        panic!(
            "target {} of row {row} is not in 0..{}",
            targets[row],
            groups * size
        );
    }

    let vectors = Matrix::new(hidden, count, width);
    let mut scores: Vec<F> = (0..count)
        .flat_map(|_| levels.group_biases.iter().copied())
        .collect();
    let weights = Matrix::new(levels.group_weights, groups, width);
    multiply(
        Work::Shared,
        &mut scores,
        F::ONE,
        F::ONE,
        vectors,
        weights.transposed(),
    );
    let mut errors = vec![F::ZERO; scores.len()];
    let group_targets: Vec<u32> = targets.iter().map(|&y| y / size as u32).collect();
    let kernel = OfSoftmax(&CrossEntropy);
    forward_backward(&kernel, &scores, &group_targets, groups, 1.0, losses, &mut errors);
    let error_rows = Matrix::new(&errors, count, groups);
    multiply(Work::Shared, gradient, F::ZERO, F::ONE, error_rows, weights);
    let descent = F::from_f64(-rate);
    multiply(
        Work::Shared,
        levels.group_weights,
        F::ONE,
        descent,
        error_rows.transposed(),
        vectors,
    );
    for errors in errors.chunks_exact(groups) {
        for (bias, &error) in levels.group_biases.iter_mut().zip(errors) {
            *bias += error * descent;
        }
    }

    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups];
    for (sample, &group) in group_targets.iter().enumerate() {
        members[group as usize].push(sample);
    }
    let touched: Vec<_> = levels
        .class_weights
        .chunks_mut(size * width)
        .zip(levels.class_biases.chunks_mut(size))
        .zip(&members)
        .filter(|(_, members)| !members.is_empty())
        .collect();
    let done: Vec<(&Vec<usize>, Vec<F>, Vec<F>)> = touched
        .into_par_iter()
        .map(|((weights, biases), members)| {
            let own: Vec<F> = members
                .iter()
                .flat_map(|&sample| &hidden[sample * width..(sample + 1) * width])
                .copied()
                .collect();
            let within: Vec<u32> = members
                .iter()
                .map(|&sample| targets[sample] % size as u32)
                .collect();
            let samples = Samples {
                hidden: &own,
                targets: &within,
            };
            let (losses, gradient) = descend_group(weights, biases, samples, rate);
            (members, losses, gradient)
        })
        .collect();
    for (members, own_losses, own_gradient) in done {
        for ((&sample, own), row) in members
            .iter()
            .zip(own_losses)
            .zip(own_gradient.chunks_exact(width))
        {
            losses[sample] += own;
            for (sum, &term) in gradient[sample * width..(sample + 1) * width].iter_mut().zip(row) {
                *sum += term;
            }
        }
    }
}

/// The level below: the step on one group, its losses and the gradient of its hidden vectors.
fn descend_group<F: Real>(
    weights: &mut [F],
    biases: &mut [F],
    samples: Samples<F>,
    rate: f64,
) -> (Vec<F>, Vec<F>) {
    let Samples { hidden, targets } = samples;
    let (count, size) = (targets.len(), biases.len());
    let width = hidden.len() / count;
    let mut scores = vec![F::ZERO; count * size];
    score_rows(weights, biases, hidden, width, &mut scores);
    let (mut losses, mut errors) = (vec![F::ZERO; count], vec![F::ZERO; scores.len()]);
    let kernel = OfSoftmax(&CrossEntropy);
    forward_backward(&kernel, &scores, targets, size, 1.0, &mut losses, &mut errors);
    let mut gradient = vec![F::ZERO; hidden.len()];
    descend_rows(
        weights,
        biases,
        hidden,
        width,
        &errors,
        F::from_f64(-rate),
        &mut gradient,
    );
    (losses, gradient)
}

/// Lanes of a dot product: of one cache line in f32.
const LANES: usize = 16;

#[inline(always)]
fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    let mut sums = [[F::ZERO; LANES]; 4];
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.chunks(4).zip(b_chunks.chunks(4)) {
        for ((sums, a), b) in sums.iter_mut().zip(a).zip(b) {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
    }
    let [first, second, third, fourth] = sums;
    let pairs = first.into_iter().zip(second).zip(third.into_iter().zip(fourth));
    let total = pairs.fold(F::ZERO, |total, ((a, b), (c, d))| total + ((a + b) + (c + d)));
    a_tail
        .iter()
        .zip(b_tail)
        .fold(total, |total, (&a, &b)| total + a * b)
}

fn score_rows<F: Real>(weights: &[F], biases: &[F], hidden: &[F], width: usize, scores: &mut [F]) {
    #[inline(always)]
    fn body<F: Real>(weights: &[F], biases: &[F], hidden: &[F], width: usize, scores: &mut [F]) {
        for (class, (row, &bias)) in weights.chunks_exact(width).zip(biases).enumerate() {
            for (h, scores) in hidden
                .chunks_exact(width)
                .zip(scores.chunks_exact_mut(biases.len()))
            {
                scores[class] = dot(row, h) + bias;
            }
        }
    }
    dispatch!([F: Real] body, (weights: &[F], biases: &[F], hidden: &[F], width: usize, scores: &mut [F]));
}

/// `gradient_i += Σ_k e_ik w_k`, then `w_k += descent·Σ_i e_ik h_i`, row by row.
fn descend_rows<F: Real>(
    weights: &mut [F],
    biases: &mut [F],
    hidden: &[F],
    width: usize,
    errors: &[F],
    descent: F,
    gradient: &mut [F],
) {
    #[inline(always)]
    fn body<F: Real>(
        weights: &mut [F],
        biases: &mut [F],
        hidden: &[F],
        width: usize,
        errors: &[F],
        descent: F,
        gradient: &mut [F],
    ) {
        let size = biases.len();
        for (class, (row, bias)) in weights.chunks_exact_mut(width).zip(biases).enumerate() {
            for (errors, gradient) in errors.chunks_exact(size).zip(gradient.chunks_exact_mut(width)) {
                let error = errors[class];
                for (sum, &weight) in gradient.iter_mut().zip(&*row) {
                    *sum += error * weight;
                }
            }
            for (errors, h) in errors.chunks_exact(size).zip(hidden.chunks_exact(width)) {
                let step = errors[class] * descent;
                *bias += step;
                for (weight, &h) in row.iter_mut().zip(h) {
                    *weight += step * h;
                }
            }
        }
    }
    dispatch!([F: Real] body, (
        weights: &mut [F],
        biases: &mut [F],
        hidden: &[F],
        width: usize,
        errors: &[F],
        descent: F,
        gradient: &mut [F],
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    #[should_panic(expected = "target 6 of row 1 is not in 0..6")]
    fn a_target_out_of_range_is_named() {
        let samples = Samples {
            hidden: &[0.0_f32; 2],
            targets: &[0, 6],
        };
        let levels = Levels {
            group_weights: &mut [0.0; 2],
            group_biases: &mut [0.0; 2],
            class_weights: &mut [0.0; 6],
            class_biases: &mut [0.0; 6],
        };
        step(levels, samples, 1.0, &mut [0.0; 2], &mut [0.0; 2]);
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let (groups, size, width, count) = (5, 7, 70, 40);
        let mut stream = Stream::new(0, "hierarchical threads", 0);
        let mut normal = |len: usize| {
            let mut out = vec![0.0_f32; len];
            stream.fill_normal(&mut out);
            out
        };
        let start = [groups * width, groups, groups * size * width, groups * size].map(&mut normal);
        let hidden = normal(count * width);
        let targets: Vec<u32> = (0..count).map(|i| (i * 11 % (groups * size)) as u32).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let (mut state, mut losses, mut gradient) =
                (start.clone(), vec![0.0; count], vec![0.0; count * width]);
            let [group_weights, group_biases, class_weights, class_biases] = &mut state;
            let levels = Levels {
                group_weights,
                group_biases,
                class_weights,
                class_biases,
            };
            let samples = Samples {
                hidden: &hidden,
                targets: &targets,
            };
            pool.install(|| step(levels, samples, 0.1, &mut losses, &mut gradient));
            (state, losses, gradient)
        };
        let one = on(1);
        assert!([2, 3].into_iter().all(|threads| on(threads) == one));
    }
}
