//! Losses of a row of student scores beside the same row of a teacher's: value and gradient with respect to the student
//! in one pass. The teacher is a constant.
//!
//! A loss that is a sum over classes is a [`PairElement`]; one that needs softmaxes is a [`PairLoss`] that calls
//! [`SoftmaxPair`]. The other row need not hold scores: [`SoftTargets`] reads class probabilities there.

mod soft_targets;
mod softmax;

pub use soft_targets::SoftTargets;
pub use softmax::SoftmaxPair;

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// A loss of one row of each.
pub trait PairLoss: Sync {
    /// The loss of the row at `index` of the batch, and `scale` times its gradient into `gradient`. `scratch` is a row to
    /// be overwritten at will. To be `#[inline(always)]`.
    fn row<F: Real>(
        &self,
        index: usize,
        pair: (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        scratch: &mut [F],
    ) -> f64;
}

/// The share of one class in a loss that is a sum over classes, `Σ_k (linear_k + log factor_k)`, and its slope.
#[derive(Clone, Copy, Debug)]
pub struct Element<F> {
    /// Summed.
    pub linear: F,
    /// Multiplied, so that a row costs one logarithm; in `[1/2, 2]`.
    pub factor: f64,
    /// Derivative with respect to the student's score.
    pub slope: F,
}

/// A loss that is a sum over classes.
pub trait PairElement: Sync {
    /// The share of a class with these scores. To be `#[inline(always)]`.
    fn element<F: Real>(&self, student: F, teacher: F) -> Element<F>;

    /// Factor of the sum, not of the slopes.
    fn weight(&self) -> f64;
}

/// A [`PairElement`] summed over its row.
#[derive(Clone, Copy, Debug)]
pub struct Summed<E>(pub E);

const LANES: usize = 16;

/// Classes after which a product of factors is turned into its logarithm: each lane has 512 of them by then.
const FACTORS: usize = 512 * LANES;

impl<E: PairElement> PairLoss for Summed<E> {
    #[inline(always)]
    fn row<F: Real>(
        &self,
        _: usize,
        (student, teacher): (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        _: &mut [F],
    ) -> f64 {
        let slope_scale = F::from_f64(scale);
        let mut total = 0.0;
        let parts = student.chunks(FACTORS).zip(teacher.chunks(FACTORS));
        for ((student, teacher), gradient) in parts.zip(gradient.chunks_mut(FACTORS)) {
            let (mut linear, mut factor) = ([0.0; LANES], [1.0; LANES]);
            let (whole_student, student) = student.as_chunks::<LANES>();
            let (whole_teacher, teacher) = teacher.as_chunks::<LANES>();
            let (whole_gradient, gradient) = gradient.as_chunks_mut::<LANES>();
            let whole = whole_student.iter().zip(whole_teacher).zip(whole_gradient);
            for ((student, teacher), gradient) in whole {
                add(
                    &self.0,
                    (student, teacher),
                    slope_scale,
                    gradient,
                    (&mut linear, &mut factor),
                );
            }
            add(
                &self.0,
                (student, teacher),
                slope_scale,
                gradient,
                (&mut linear, &mut factor),
            );
            total += linear.iter().sum::<f64>() + factor.iter().map(|factor| factor.ln()).sum::<f64>();
        }
        total * self.0.weight()
    }
}

/// Adds the shares of at most as many classes as there are lanes. No closure: one that is not inlined would be compiled
/// for the baseline.
#[inline(always)]
fn add<E: PairElement, F: Real>(
    sum: &E,
    (student, teacher): (&[F], &[F]),
    slope_scale: F,
    gradient: &mut [F],
    (linear, factor): (&mut [f64; LANES], &mut [f64; LANES]),
) {
    let lanes = linear.iter_mut().zip(factor);
    let scores = student.iter().zip(teacher).zip(gradient);
    for ((linear, factor), ((&s, &t), out)) in lanes.zip(scores) {
        let element = sum.element(s, t);
        *linear += element.linear.to_f64();
        *factor *= element.factor;
        *out = element.slope * slope_scale;
    }
}

/// Scores below which a second thread costs more than it saves.
const PARALLEL: usize = 1 << 15;

/// A task: its number, what it writes, and the scores of student and teacher, as iterators zip them.
type Block<'a, F> = (usize, (((&'a mut [F], &'a mut [F]), &'a [F]), &'a [F]));

/// Losses of every row into `losses`, and `scale` times their gradients with respect to the student into `gradient`.
///
/// # Panics
/// When the sizes disagree.
pub fn forward_backward<F: Real, L: PairLoss>(
    loss: &L,
    (student, teacher): (&[F], &[F]),
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    assert!(classes >= 1, "a row needs at least one class");
    assert_eq!(
        student.len(),
        losses.len() * classes,
        "{} scores for {} rows of {classes} classes",
        student.len(),
        losses.len()
    );
    assert_eq!(
        teacher.len(),
        student.len(),
        "a teacher scores what its student scores"
    );
    assert_eq!(
        gradient.len(),
        student.len(),
        "a gradient has the size of its scores"
    );
    // About 64 KiB of scores a task, so that a block stays in the second-level cache.
    let rows = ((1 << 14) / classes).max(1);
    let run = |(block, (((gradient, losses), student), teacher)): Block<F>| {
        run_block(
            loss,
            block * rows,
            (student, teacher),
            classes,
            scale,
            losses,
            gradient,
        );
    };
    if student.len() < PARALLEL {
        gradient
            .chunks_mut(rows * classes)
            .zip(losses.chunks_mut(rows))
            .zip(student.chunks(rows * classes))
            .zip(teacher.chunks(rows * classes))
            .enumerate()
            .for_each(run);
    } else {
        gradient
            .par_chunks_mut(rows * classes)
            .zip(losses.par_chunks_mut(rows))
            .zip(student.par_chunks(rows * classes))
            .zip(teacher.par_chunks(rows * classes))
            .enumerate()
            .for_each(run);
    }
}

fn run_block<F: Real, L: PairLoss>(
    loss: &L,
    first: usize,
    pair: (&[F], &[F]),
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    #[inline(always)]
    fn body<F: Real, L: PairLoss>(
        loss: &L,
        first: usize,
        pair: (&[F], &[F]),
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ) {
        let mut scratch = vec![F::ZERO; classes];
        let rows = pair.0.chunks_exact(classes).zip(pair.1.chunks_exact(classes));
        let rows = rows.zip(losses).zip(gradient.chunks_exact_mut(classes));
        for (index, ((pair, out), gradient)) in (first..).zip(rows) {
            *out = F::from_f64(loss.row(index, pair, scale, gradient, &mut scratch));
        }
    }
    dispatch!([F: Real, L: PairLoss] body, (
        loss: &L,
        first: usize,
        pair: (&[F], &[F]),
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ));
}

#[cfg(test)]
mod tests;
