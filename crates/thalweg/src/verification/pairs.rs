//! Similarities of the unordered pairs of a batch, and what the kept negatives among them sum to.
//!
//! UNPG appends the kept negatives of the whole batch to every sample's row of logits. As the block is the same for all rows,
//! its log-sum-exp is all that they need of it: time and memory are those of `[n, n]`, not of `[n, n²/2]`.

use rayon::prelude::*;
use thalweg_kernels::matrix::{Matrix, MatrixMut, Work, multiply_into};
use thalweg_kernels::real::Real;
use thalweg_kernels::scaled_softmax::{exponentiate, largest};

use super::box_whisker::{PairFilter, Whiskers};
use super::error::{Problem, VerificationError};
use super::units::Units;
use crate::quantity::{Outputs, Quantity};

/// Rows multiplied at once, with the columns from the first of them on.
const BLOCK: usize = 128;

/// Cosines of all pairs a < b of a batch, above the diagonal of `[n, n]`; what is below is not told.
pub(super) struct BatchPairs<F> {
    count: usize,
    values: Vec<F>,
}

impl<F: Real> BatchPairs<F> {
    pub fn of(units: &Units<F>) -> Self {
        let (count, width) = (units.count(), units.width);
        let mut values = vec![F::ZERO; count * count];
        for first in (0..count).step_by(BLOCK) {
            let (rows, columns) = (BLOCK.min(count - first), count - first);
            let from_here = &units.rows[first * width..];
            let block = Matrix::new(&from_here[..rows * width], rows, width);
            let out = MatrixMut::strided(&mut values[first * count + first..], rows, columns, count);
            let others = Matrix::new(from_here, columns, width).transposed();
            multiply_into(Work::Shared, out, F::ZERO, F::ONE, block, others);
        }
        Self { count, values }
    }

    /// The pairs of each sample with those after it.
    pub fn rows(&self) -> impl Iterator<Item = &[F]> {
        let rows = self.values.chunks_exact(self.count).enumerate();
        rows.map(|(a, row)| &row[a + 1..])
    }

    /// Works on the pairs of each sample with those after it; answers come in order.
    fn each_row<T: Send>(&mut self, work: impl Fn(usize, &mut [F]) -> T + Sync) -> Vec<T> {
        let rows = self.values.par_chunks_exact_mut(self.count).enumerate();
        rows.map(|(a, row)| work(a, &mut row[a + 1..])).collect()
    }

    /// Exponentials of the negatives that the filter keeps. None where no pair is negative.
    pub fn negatives(mut self, labels: &[u32], filter: PairFilter, scale: f64) -> Option<Negatives<F>> {
        // What does not count is negative infinity from here on, and its exponential 0.
        self.each_row(|a, row| {
            for (value, &label) in row.iter_mut().zip(&labels[a + 1..]) {
                if label == labels[a] {
                    *value = F::NEG_INFINITY;
                }
            }
        });
        if let PairFilter::BoxWhisker { wisk } = filter {
            let negatives = self.rows().flatten().copied();
            let mut negatives: Vec<F> = negatives.filter(|value| *value > F::NEG_INFINITY).collect();
            let whiskers = Whiskers::of(&mut negatives, wisk)?;
            self.each_row(|_, row| {
                for value in row {
                    if !whiskers.keep(value.to_f64()) {
                        *value = F::NEG_INFINITY;
                    }
                }
            });
        }
        let tops = self.each_row(|_, row| largest(row));
        let top = tops.into_iter().fold(F::NEG_INFINITY, F::larger);
        if top == F::NEG_INFINITY {
            return None;
        }
        let sum = self
            .each_row(|_, row| exponentiate(row, top, scale))
            .iter()
            .sum::<f64>();
        Some(Negatives {
            log_sum: scale * top.to_f64() + sum.ln(),
            exponentials: self,
            sum,
        })
    }
}

/// The kept negatives of a batch.
pub(super) struct Negatives<F> {
    /// `log Σ exp(s·v)` over them.
    pub log_sum: f64,
    /// `exp(s·v)` but for a common factor, 0 for other pairs.
    exponentials: BatchPairs<F>,
    sum: f64,
}

impl<F: Real> Negatives<F> {
    /// The symmetric matrix `[n, n]` of `factor·exp(s·v)/Σ exp(s·v)` for each kept pair, 0 elsewhere.
    pub fn shares(self, factor: f64) -> Vec<F> {
        let mut pairs = self.exponentials;
        let share = F::from_f64(factor / self.sum);
        pairs.each_row(|_, row| row.iter_mut().for_each(|value| *value *= share));
        let BatchPairs { count, mut values } = pairs;
        for a in 0..count {
            values[a * count + a] = F::ZERO;
            for b in a + 1..count {
                values[b * count + a] = values[a * count + b];
            }
        }
        values
    }
}

/// Similarities of the unordered pairs of a batch, in order of their first and then their second sample.
#[derive(Clone, Debug, PartialEq)]
pub struct InBatchPairs {
    /// Of pairs with one label.
    pub positive: Vec<f64>,
    /// Of pairs with two.
    pub negative: Vec<f64>,
}

impl InBatchPairs {
    /// Cosines of features `[labels, width]`, each unordered pair once.
    ///
    /// # Errors
    /// When there are no features, a row has no direction or is not finite, or labels are fewer or more.
    pub fn of<F: Real>(features: &[F], width: usize, labels: &[u32]) -> Result<Self, VerificationError> {
        let features: Vec<f64> = features.iter().map(|x| x.to_f64()).collect();
        let units = Units::of("features", &features, width)?;
        let (found, expected) = (labels.len(), units.count());
        if found != expected {
            return Err(VerificationError::new(
                "labels",
                Problem::Count { found, expected },
            ));
        }
        let pairs = BatchPairs::of(&units);
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for (a, row) in pairs.rows().enumerate() {
            for (&similarity, label) in row.iter().zip(&labels[a + 1..]) {
                let kind = if *label == labels[a] {
                    &mut positive
                } else {
                    &mut negative
                };
                kind.push(similarity);
            }
        }
        Ok(Self { positive, negative })
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "in_batch_pair_similarities",
            "cosines of the unordered pairs of a batch, those of one label and those of two",
        )
        .input("features", "[n, d]")
        .input("labels", "[n]")
        .eval(|case| {
            let labels = case.class_indices("labels", 1 << 31)?;
            let labels: Vec<u32> = labels.into_iter().map(|label| label as u32).collect();
            let features = case.array("features");
            let pairs = InBatchPairs::of(&features.data, features.shape[1], &labels)?;
            Ok(Outputs::new()
                .with("positive", pairs.positive)
                .with("negative", pairs.negative))
        }),
    ]
}
