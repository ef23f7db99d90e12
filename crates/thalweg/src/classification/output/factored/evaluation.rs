//! Ranking all classes for given hidden vectors, a block of classes at a time: nothing of the size `samples × D` is made.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use burn::tensor::{Int, Tensor};
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use super::FactoredOutput;
use super::linear::{Buffers, dot};
use super::state::{BLOCK, State};
use crate::classification::output::{OutputError, one_target_each};
use crate::classification::top_k::Ranks;

/// A class and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The class.
    pub class: usize,
    /// Its score `o_k`.
    pub score: f64,
}

// By score, of equal ones the later class first, so that a heap gives up the worst.
impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.class.cmp(&other.class))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FactoredOutput {
    /// The rank of each sample's target among all classes, of the order of `D d` a sample.
    ///
    /// # Shapes
    /// - hidden `[batch, width]`, targets `[batch]` with values in `0..classes`.
    ///
    /// # Errors
    /// When a target is no class.
    ///
    /// # Panics
    /// When the batch is empty or the hidden vectors are not of the layer's width.
    pub fn ranks(&self, hidden: Tensor<2>, targets: Tensor<1, Int>) -> Result<Ranks, OutputError> {
        let [samples, _] = hidden.dims();
        let targets = one_target_each(targets, samples, self.config.classes)?;
        let hidden = self.inner_vectors(&hidden);
        let (turned, shifts) = self.state.turned(&hidden, &self.buffers);
        let own: Vec<f64> = turned
            .chunks_exact(self.state.width)
            .zip(&targets)
            .zip(&shifts)
            .map(|((turned, &target), shift)| dot(turned, self.state.row(target)) + shift)
            .collect();
        let mut ranks = vec![1; samples];
        self.state
            .each_block(&hidden, &self.buffers, |first, sample, scores| {
                // A target's own score in the block may differ from `own` by rounding.
                let target = targets[sample] as usize;
                let above = |(k, &score): (usize, &f64)| score > own[sample] && first + k != target;
                ranks[sample] += scores.iter().enumerate().filter(|&entry| above(entry)).count();
            });
        Ok(Ranks::new(ranks))
    }

    /// The `k` classes of the highest score for each hidden vector, the highest first, of equal ones the first class; all of
    /// them where there are fewer.
    ///
    /// # Shapes
    /// - hidden `[batch, width]`.
    ///
    /// # Panics
    /// When the batch is empty or the hidden vectors are not of the layer's width.
    pub fn top_k(&self, hidden: Tensor<2>, k: usize) -> Vec<Vec<Scored>> {
        let [samples, _] = hidden.dims();
        let hidden = self.inner_vectors(&hidden);
        // The worst of the best is on top.
        let mut best: Vec<BinaryHeap<Scored>> = vec![BinaryHeap::new(); samples];
        self.state
            .each_block(&hidden, &self.buffers, |first, sample, scores| {
                let best = &mut best[sample];
                for (class, &score) in (first..).zip(scores) {
                    let scored = Scored { class, score };
                    if best.len() < k {
                        best.push(scored);
                    } else if best.peek().is_some_and(|worst| scored < *worst) {
                        best.pop();
                        best.push(scored);
                    }
                }
            });
        best.into_iter().map(BinaryHeap::into_sorted_vec).collect()
    }
}

impl State {
    /// Calls `visit` with the first class of a block, a sample, and its scores for the block's classes.
    fn each_block(&self, hidden: &[f64], buffers: &Buffers, mut visit: impl FnMut(usize, usize, &[f64])) {
        let (d, samples) = (self.width, hidden.len() / self.width);
        let (turned, shifts) = self.turned(hidden, buffers);
        let turned = Matrix::new(&turned, samples, d);
        let mut scores = Vec::new();
        for (block, rows) in self.v.chunks(BLOCK * d).enumerate() {
            let size = rows.len() / d;
            scores.resize(samples * size, 0.0);
            let rows = Matrix::new(rows, size, d).transposed();
            multiply(Work::Shared, &mut scores, 0.0, 1.0, turned, rows);
            for (sample, (scores, shift)) in scores.chunks_exact_mut(size).zip(&shifts).enumerate() {
                scores.iter_mut().for_each(|score| *score += shift);
                visit(block * BLOCK, sample, scores);
            }
        }
    }
}
