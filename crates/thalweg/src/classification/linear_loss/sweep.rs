//! Losses and gradients of a linear layer's scores in one sweep over samples.
//!
//! A block of samples is multiplied by the weights, the gradient of its scores takes their place, and is multiplied on to
//! those of hidden vectors and weights. Products with few samples are slow ones, and many classes leave room for few: the
//! first block therefore keeps its scores where the gradient of the weights will be, which has room for as many samples as
//! a hidden vector has components, and nothing else to hold yet.

use burn::tensor::{DType, Device, Int, Tensor};
use rayon::prelude::*;
use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::real::Real;

use super::super::logit_loss::Scores;
use super::{LinearLoss, Problem};
use crate::bridge::{CpuFloat, constant};

/// Where the gradients go. Those of hidden vectors and weights are overwritten, that of the bias is added to.
pub(super) struct Sums<'a, F> {
    pub hidden: &'a mut [F],
    pub weight: &'a mut [F],
    pub bias: &'a mut [F],
}

/// What a sweep reads.
pub(super) struct Sweep<'a, F> {
    layer: &'a LinearLoss,
    problem: &'a Problem,
    hidden: &'a [F],
    weight: &'a [F],
    bias: &'a [F],
    /// Factor of the sum of the losses in the gradients.
    scale: F,
}

impl<'a, F: CpuFloat> Sweep<'a, F> {
    /// Of hidden vectors, weights and a bias, which may be empty.
    pub fn new(
        layer: &'a LinearLoss,
        problem: &'a Problem,
        [hidden, weight, bias]: [&'a [F]; 3],
        scale: f64,
    ) -> Self {
        Self {
            layer,
            problem,
            hidden,
            weight,
            bias,
            scale: F::from_f64(scale),
        }
    }

    /// The sum of the losses, and its gradients.
    pub fn run(&self, mut sums: Sums<F>) -> f64 {
        let counted = self.problem.counted.len();
        let arrays = if self.layer.softcap.is_some() { 2 } else { 1 };
        let rows = (self.layer.memory / (arrays * self.problem.classes * size_of::<F>())).max(1);
        sums.hidden.fill(F::ZERO);
        if counted == 0 {
            sums.weight.fill(F::ZERO);
            return 0.0;
        }
        let within = self.problem.width.min(counted);
        if rows >= within {
            return self.in_blocks(0, rows, &mut sums);
        }
        self.within_gradient(within, rows, &mut sums) + self.in_blocks(within, rows, &mut sums)
    }

    /// The samples from `first` on, at most `rows` at a time. The gradient of the weights is added to unless this is the
    /// first of it.
    fn in_blocks(&self, first: usize, rows: usize, sums: &mut Sums<F>) -> f64 {
        let &Problem { width, classes, .. } = self.problem;
        let counted = self.problem.counted.len();
        if first == counted {
            return 0.0;
        }
        let blocks = (counted - first).div_ceil(rows);
        let rows = (counted - first).div_ceil(blocks);
        let weights = Matrix::new(self.weight, classes, width);
        let (mut scores, mut slopes) = (vec![F::ZERO; rows * classes], vec![F::ZERO; rows * width]);
        let mut kept = if first == 0 { F::ZERO } else { F::ONE };
        let mut total = 0.0;
        for start in (first..counted).step_by(rows) {
            let count = rows.min(counted - start);
            let vectors = self.vectors(start, count);
            let samples = Matrix::new(&vectors, count, width);
            let scores = &mut scores[..count * classes];
            product(scores, samples, weights, self.bias);
            total += self.replace_by_gradient(scores, start, sums.bias);
            let errors = Matrix::new(scores, count, classes);
            multiply(
                Work::Shared,
                sums.weight,
                kept,
                self.scale,
                errors.transposed(),
                samples,
            );
            kept = F::ONE;
            let slopes = &mut slopes[..count * width];
            multiply(Work::Shared, slopes, F::ZERO, self.scale, errors, weights);
            self.scatter(start, slopes, sums.hidden);
        }
        total
    }

    /// The first `samples` samples, their scores in the memory of the weights' gradient: those with the classes of a piece
    /// where the gradient of their weights will be. Whole rows are gathered from the pieces and put back, some at a time,
    /// so that half of the memory for `rows` is taken by them and half by the scores of a piece.
    fn within_gradient(&self, samples: usize, rows: usize, sums: &mut Sums<F>) -> f64 {
        let &Problem { width, classes, .. } = self.problem;
        let piece = (rows * classes / (2 * samples)).clamp(1, classes);
        let rows = (rows / 2).max(1);
        let vectors = self.vectors(0, samples);
        let vectors = Matrix::new(&vectors, samples, width);
        let pieces = || {
            self.weight.chunks(piece * width).map(|weights| {
                let count = weights.len() / width;
                (Matrix::new(weights, count, width), samples * count)
            })
        };
        let mut biases = self.bias.chunks(piece);
        for ((weights, size), place) in pieces().zip(sums.weight.chunks_mut(piece * width)) {
            product(
                &mut place[..size],
                vectors,
                weights,
                biases.next().unwrap_or_default(),
            );
        }
        let mut whole = vec![F::ZERO; rows.min(samples) * classes];
        let mut total = 0.0;
        for start in (0..samples).step_by(rows) {
            let whole = &mut whole[..rows.min(samples - start) * classes];
            let places = &*sums.weight;
            let gathered = whole.par_chunks_mut(classes).zip(start..samples);
            gathered.for_each(|(row, sample)| {
                for (part, place) in row.chunks_mut(piece).zip(places.chunks(piece * width)) {
                    let at = sample * part.len();
                    part.copy_from_slice(&place[at..at + part.len()]);
                }
            });
            total += self.replace_by_gradient(whole, start, sums.bias);
            let places = sums.weight.par_chunks_mut(piece * width).enumerate();
            places.for_each(|(index, place)| {
                for (row, sample) in whole.chunks(classes).zip(start..) {
                    let part = row.chunks(piece).nth(index).expect("as many parts as places");
                    let at = sample * part.len();
                    place[at..at + part.len()].copy_from_slice(part);
                }
            });
        }
        drop(whole);
        let (mut errors, mut slopes) = (vec![F::ZERO; samples * piece], vec![F::ZERO; samples * width]);
        let mut kept = F::ZERO;
        for ((weights, size), place) in pieces().zip(sums.weight.chunks_mut(piece * width)) {
            let errors = &mut errors[..size];
            errors.copy_from_slice(&place[..size]);
            let errors = Matrix::new(errors, samples, size / samples);
            multiply(
                Work::Shared,
                place,
                F::ZERO,
                self.scale,
                errors.transposed(),
                vectors,
            );
            multiply(Work::Shared, &mut slopes, kept, self.scale, errors, weights);
            kept = F::ONE;
        }
        self.scatter(0, &slopes, sums.hidden);
        total
    }

    /// Hidden vectors of so many of the samples that count.
    fn vectors(&self, start: usize, count: usize) -> Vec<F> {
        let width = self.problem.width;
        let counted = self.problem.counted[start..start + count].iter();
        let rows = counted.map(|&sample| &self.hidden[sample * width..(sample + 1) * width]);
        rows.flatten().copied().collect()
    }

    /// Puts gradients of hidden vectors where those samples stand.
    fn scatter(&self, start: usize, slopes: &[F], of_hidden: &mut [F]) {
        let width = self.problem.width;
        for (&sample, slope) in self.problem.counted[start..].iter().zip(slopes.chunks(width)) {
            of_hidden[sample * width..(sample + 1) * width].copy_from_slice(slope);
        }
    }

    /// The sum of the losses of whole rows; their gradient replaces them, and is added to that of the bias.
    fn replace_by_gradient(&self, scores: &mut [F], start: usize, of_bias: &mut [F]) -> f64 {
        let classes = self.problem.classes;
        let targets = &self.problem.targets[start..start + scores.len() / classes];
        let loss = match self.layer.softcap {
            None => self.loss_of(scores, targets),
            Some(cap) => {
                scores.par_iter_mut().for_each(|score| {
                    *score = F::from_f64(cap * (score.to_f64() / cap).tanh());
                });
                let bent = scores.to_vec();
                let loss = self.loss_of(scores, targets);
                // The slope of c·tanh(s/c) is 1 − (bent/c)².
                scores.par_iter_mut().zip(&bent).for_each(|(slope, bent)| {
                    let share = bent.to_f64() / cap;
                    *slope = F::from_f64(slope.to_f64() * (1.0 - share * share));
                });
                loss
            }
        };
        if !of_bias.is_empty() {
            for row in scores.chunks_exact(classes) {
                for (sum, &error) in of_bias.iter_mut().zip(row) {
                    *sum += error * self.scale;
                }
            }
        }
        loss
    }

    fn loss_of(&self, scores: &mut [F], targets: &[u32]) -> f64 {
        let (loss, classes) = (&self.layer.loss, self.problem.classes);
        let memory = match F::dtype() {
            DType::F32 => Scores::F32(bytemuck::cast_slice_mut(scores)),
            _ => Scores::F64(bytemuck::cast_slice_mut(scores)),
        };
        if let Some(sum) = loss.sum_in_place(memory, targets, classes) {
            return sum;
        }
        let device = Device::flex();
        let logits = constant::<2, F>(scores.to_vec(), [targets.len(), classes], &device, F::dtype())
            .autodiff()
            .require_grad();
        let targets: Vec<i64> = targets.iter().map(|&target| i64::from(target)).collect();
        let targets = Tensor::<1, Int>::from_ints(targets.as_slice(), &device);
        let sum = loss.summed(logits.clone(), targets);
        let gradient = logits.grad(&sum.backward());
        let gradient = gradient.expect("a loss depends on its scores").into_data();
        let gradient = gradient.try_into_vec::<F>();
        scores.copy_from_slice(&gradient.expect("the gradient is of the type of its scores"));
        sum.into_scalar::<f64>()
    }
}

/// `H Wᵀ + b`, without b where it is empty.
fn product<F: Real>(scores: &mut [F], samples: Matrix<F>, weights: Matrix<F>, bias: &[F]) {
    let kept = if bias.is_empty() {
        F::ZERO
    } else {
        let rows = scores.chunks_exact_mut(bias.len());
        rows.for_each(|row| row.copy_from_slice(bias));
        F::ONE
    };
    multiply(Work::Shared, scores, kept, F::ONE, samples, weights.transposed());
}
