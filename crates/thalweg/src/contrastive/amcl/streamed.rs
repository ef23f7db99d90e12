//! One head on memory: similarities and temperatures of a block of anchors at a time, value and gradients together.
//!
//! Of `a` anchors, `n` candidates and `h` hidden units it holds `(3·BLOCK + threads)·n` numbers of pairs and at most
//! `2nh + 7ah` of hidden units; with the hardest negative alone `BLOCK·n` and at most `7ah`. There is never an array of all
//! pairs, with hidden units or without.

use rayon::prelude::*;
use thalweg_kernels::adaptive_temperature::{Limits, NetworkGradients, softmax, softmax_slopes};
use thalweg_kernels::lanes::largest;
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use super::limits::is_on_lower;
use super::term::{Pair, Rule};
use super::weights::{Side, WeightGradients, Weights};
use crate::bridge::CpuFloat;

/// Anchors whose pairs are held at once.
const BLOCK: usize = 64;

/// Unit rows of one head.
#[derive(Clone, Copy)]
pub(super) struct Vectors<'a, F> {
    pub anchors: &'a [F],
    /// One an anchor.
    pub positives: &'a [F],
    /// Candidates of all anchors.
    pub negatives: &'a [F],
    /// Where negatives are the two views of so many samples: those of an anchor's own sample do not count.
    pub samples: Option<usize>,
}

/// What a head comes to: the loss and its gradients by the vectors.
pub(super) struct Head<F> {
    pub value: f64,
    pub anchors: Vec<F>,
    pub positives: Vec<F>,
    pub negatives: Vec<F>,
    /// Anchors with the temperature of the hardest negative at the lower limit.
    pub on_lower: usize,
}

/// What all heads share.
pub(super) struct Streamed<'a, F> {
    pub rule: Rule,
    pub limits: Limits,
    pub weights: &'a Weights<F>,
    /// Factor of each anchor's loss.
    pub scale: f64,
}

/// Vectors paired with the anchors of the same number.
struct Paired<'a, F> {
    vectors: &'a [F],
    layer: Vec<F>,
    similarities: Vec<f64>,
    temperatures: Vec<F>,
    /// Slopes of the temperatures by the logits.
    rates: Vec<F>,
}

impl<F: CpuFloat> Paired<'_, F> {
    fn at(&self, anchor: usize) -> Pair {
        Pair {
            similarity: self.similarities[anchor],
            temperature: self.temperatures[anchor].to_f64(),
        }
    }
}

/// A head under way.
struct Pass<'a, F> {
    of: &'a Streamed<'a, F>,
    vectors: Vectors<'a, F>,
    width: usize,
    count: usize,
    candidates: usize,
    /// The anchors' layer.
    left: Vec<F>,
    by_left: Vec<F>,
    head: Head<F>,
}

impl<F: CpuFloat> Streamed<'_, F> {
    /// With the hardest negative alone.
    pub fn hardest(&self, vectors: Vectors<F>, width: usize, weights: &mut WeightGradients<F>) -> Head<F> {
        let mut pass = Pass::new(self, vectors, width);
        let positive = pass.paired(vectors.positives);
        let hardest = pass.find_hardest();
        let chosen: Vec<F> = hardest
            .iter()
            .flat_map(|&at| &vectors.negatives[at * width..][..width])
            .copied()
            .collect();
        let negative = pass.paired(&chosen);
        let (mut of_positive, mut of_negative) = (Vec::new(), Vec::new());
        for anchor in 0..pass.count {
            let term = self.rule.hardest(positive.at(anchor), negative.at(anchor));
            pass.take_in(term.value, negative.at(anchor).temperature);
            of_positive.push(term.by_positive.scaled(self.scale));
            of_negative.push(term.by_hardest.scaled(self.scale));
        }
        let by_chosen = pass.paired_back(&negative, &of_negative, weights);
        for (at, row) in hardest.iter().zip(by_chosen.chunks_exact(width)) {
            let sum = &mut pass.head.negatives[at * width..][..width];
            sum.iter_mut().zip(row).for_each(|(sum, &more)| *sum += more);
        }
        pass.finish(&positive, &of_positive, weights)
    }

    /// With all negatives.
    pub fn softmax(&self, vectors: Vectors<F>, width: usize, weights: &mut WeightGradients<F>) -> Head<F> {
        let mut pass = Pass::new(self, vectors, width);
        let positive = pass.paired(vectors.positives);
        let right = self.weights.layer(Side::Right, vectors.negatives);
        let mut gradients = self.weights.layer_zeros(&pass.left, &right);
        let mut of_positive = Vec::with_capacity(pass.count);
        for start in (0..pass.count).step_by(BLOCK) {
            let rows = start..pass.count.min(start + BLOCK);
            let mut scores = pass.similarities(start, rows.len());
            let mut temperatures = vec![F::ZERO; scores.len()];
            let mut rates = vec![F::ZERO; scores.len()];
            self.weights
                .logits(&pass.left, &right, rows.clone(), &mut temperatures);
            self.limits.apply(&mut temperatures, &mut rates);
            let each = scores
                .par_chunks_mut(pass.candidates)
                .zip(temperatures.par_chunks_mut(pass.candidates))
                .zip(rates.par_chunks(pass.candidates))
                .enumerate();
            let terms: Vec<_> = each
                .map(|(row, ((scores, temperatures), rates))| {
                    let anchor = start + row;
                    for own in pass.own(anchor).into_iter().flatten() {
                        scores[own] = -F::MAX;
                        temperatures[own] = F::ONE;
                    }
                    let mut shares = vec![F::ZERO; scores.len()];
                    let found = softmax(scores, temperatures, &mut shares);
                    let hardest = Pair {
                        similarity: scores[found.hardest].to_f64(),
                        temperature: temperatures[found.hardest].to_f64(),
                    };
                    let term = self.rule.softmax(positive.at(anchor), &found, hardest);
                    softmax_slopes(scores, temperatures, &shares, term.factor * self.scale);
                    temperatures[found.hardest] += F::from_f64(term.by_hardest_temperature * self.scale);
                    for (slope, &rate) in temperatures.iter_mut().zip(rates) {
                        *slope *= rate;
                    }
                    (term, hardest.temperature)
                })
                .collect();
            for (term, temperature) in terms {
                pass.take_in(term.value, temperature);
                of_positive.push(term.by_positive.scaled(self.scale));
            }
            self.weights
                .add_gradients(&pass.left, &right, rows, &temperatures, &mut gradients);
            pass.similarities_back(start, &scores);
        }
        weights.add_output(&gradients);
        let NetworkGradients { left, right, .. } = gradients;
        add(&mut pass.by_left, &left);
        self.weights.layer_back(
            Side::Right,
            vectors.negatives,
            &right,
            &mut pass.head.negatives,
            weights,
        );
        pass.finish(&positive, &of_positive, weights)
    }
}

impl<'a, F: CpuFloat> Pass<'a, F> {
    fn new(of: &'a Streamed<'a, F>, vectors: Vectors<'a, F>, width: usize) -> Self {
        let left = of.weights.layer(Side::Left, vectors.anchors);
        Self {
            of,
            vectors,
            width,
            count: vectors.anchors.len() / width,
            candidates: vectors.negatives.len() / width,
            by_left: vec![F::ZERO; left.len()],
            left,
            head: Head {
                value: 0.0,
                anchors: vec![F::ZERO; vectors.anchors.len()],
                positives: Vec::new(),
                negatives: vec![F::ZERO; vectors.negatives.len()],
                on_lower: 0,
            },
        }
    }

    fn take_in(&mut self, value: f64, temperature: f64) {
        self.head.value += value * self.of.scale;
        self.head.on_lower += usize::from(is_on_lower(self.of.limits, temperature));
    }

    /// The candidates that are views of the anchor's own sample.
    fn own(&self, anchor: usize) -> Option<[usize; 2]> {
        let samples = self.vectors.samples?;
        Some([anchor % samples, anchor % samples + samples])
    }

    fn paired<'v>(&self, vectors: &'v [F]) -> Paired<'v, F> {
        let layer = self.of.weights.layer(Side::Right, vectors);
        let mut temperatures = vec![F::ZERO; self.count];
        let mut rates = temperatures.clone();
        self.of
            .weights
            .paired_logits(&self.left, &layer, &mut temperatures);
        self.of.limits.apply(&mut temperatures, &mut rates);
        let rows = self.vectors.anchors.chunks_exact(self.width);
        let dot = |(a, b): (&[F], &[F])| a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
        Paired {
            vectors,
            layer,
            similarities: rows.zip(vectors.chunks_exact(self.width)).map(dot).collect(),
            temperatures,
            rates,
        }
    }

    /// Adds what the slopes of each pair come to, apart from what its vector has of it, which is returned.
    fn paired_back(
        &mut self,
        pairs: &Paired<F>,
        slopes: &[Pair],
        weights: &mut WeightGradients<F>,
    ) -> Vec<F> {
        let width = self.width;
        let mut by_vectors = vec![F::ZERO; pairs.vectors.len()];
        for (anchor, slope) in slopes.iter().enumerate() {
            let (slope, row) = (
                F::from_f64(slope.similarity),
                anchor * width..(anchor + 1) * width,
            );
            for at in row {
                self.head.anchors[at] += slope * pairs.vectors[at];
                by_vectors[at] += slope * self.vectors.anchors[at];
            }
        }
        let by_logits: Vec<F> = slopes
            .iter()
            .zip(&pairs.rates)
            .map(|(slope, &rate)| F::from_f64(slope.temperature * rate.to_f64()))
            .collect();
        let mut gradients = self.of.weights.layer_zeros(&self.left, &pairs.layer);
        self.of
            .weights
            .add_paired_gradients(&self.left, &pairs.layer, &by_logits, &mut gradients);
        weights.add_output(&gradients);
        add(&mut self.by_left, &gradients.left);
        self.of.weights.layer_back(
            Side::Right,
            pairs.vectors,
            &gradients.right,
            &mut by_vectors,
            weights,
        );
        by_vectors
    }

    /// Similarities of some anchors with all candidates.
    fn similarities(&self, start: usize, rows: usize) -> Vec<F> {
        let mut scores = vec![F::ZERO; rows * self.candidates];
        multiply(
            Work::Shared,
            &mut scores,
            F::ZERO,
            F::ONE,
            self.anchors(start, rows),
            self.negatives().transposed(),
        );
        scores
    }

    /// Adds what slopes by the similarities come to.
    fn similarities_back(&mut self, start: usize, slopes: &[F]) {
        let (one, rows) = (F::ONE, slopes.len() / self.candidates);
        let by = Matrix::new(slopes, rows, self.candidates);
        let (negatives, anchors) = (self.negatives(), self.anchors(start, rows));
        let out = &mut self.head.anchors[start * self.width..][..rows * self.width];
        multiply(Work::Shared, out, one, one, by, negatives);
        let out = &mut self.head.negatives;
        multiply(Work::Shared, out, one, one, by.transposed(), anchors);
    }

    fn anchors(&self, start: usize, rows: usize) -> Matrix<'a, F> {
        let rows_of = &self.vectors.anchors[start * self.width..][..rows * self.width];
        Matrix::new(rows_of, rows, self.width)
    }

    fn negatives(&self) -> Matrix<'a, F> {
        Matrix::new(self.vectors.negatives, self.candidates, self.width)
    }

    /// The candidate of the highest similarity to each anchor, the first of several.
    fn find_hardest(&self) -> Vec<usize> {
        let mut hardest = Vec::with_capacity(self.count);
        for start in (0..self.count).step_by(BLOCK) {
            let mut scores = self.similarities(start, BLOCK.min(self.count - start));
            let rows = scores.par_chunks_mut(self.candidates).enumerate();
            hardest.par_extend(rows.map(|(row, scores)| {
                for own in self.own(start + row).into_iter().flatten() {
                    scores[own] = -F::MAX;
                }
                let highest = largest(scores);
                // What is no number is no highest one; the anchor's loss is none then whichever stands for it.
                scores.iter().position(|score| *score == highest).unwrap_or(0)
            }));
        }
        hardest
    }

    fn finish(
        mut self,
        positive: &Paired<F>,
        of_positive: &[Pair],
        weights: &mut WeightGradients<F>,
    ) -> Head<F> {
        self.head.positives = self.paired_back(positive, of_positive, weights);
        let (left, by_anchors) = (std::mem::take(&mut self.by_left), &mut self.head.anchors);
        self.of
            .weights
            .layer_back(Side::Left, self.vectors.anchors, &left, by_anchors, weights);
        self.head
    }
}

/// Adds as many as there are of `more`.
pub(super) fn add<F: CpuFloat>(sums: &mut [F], more: &[F]) {
    sums.iter_mut().zip(more).for_each(|(sum, &more)| *sum += more);
}
