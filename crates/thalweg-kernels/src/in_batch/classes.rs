//! Positives by label: all other vectors of a vector's class, through sums over classes and not over pairs.

use crate::real::Real;

/// Vectors of one set with their labels; each one's positives are the others of its label.
#[derive(Clone, Debug)]
pub struct ClassPositives<'a> {
    labels: &'a [u32],
    counts: Vec<usize>,
}

impl<'a> ClassPositives<'a> {
    /// Of labels in `0..classes`.
    ///
    /// # Panics
    /// When a label is out of range.
    pub fn new(labels: &'a [u32], classes: usize) -> Self {
        let mut counts = vec![0; classes];
        for (at, &label) in labels.iter().enumerate() {
            assert!(
                (label as usize) < classes,
                "label {label} of vector {at} is not in 0..{classes}"
            );
            counts[label as usize] += 1;
        }
        Self { labels, counts }
    }

    /// How many positives a vector has.
    pub fn count(&self, vector: usize) -> usize {
        self.counts[self.labels[vector] as usize] - 1
    }

    /// Mean score of each vector with its positives, 0 where it has none.
    pub fn mean_scores<F: Real>(&self, vectors: &[F], width: usize) -> Vec<f64> {
        let sums = self.sums(vectors, width, |_| 1.0);
        let mut means = Vec::with_capacity(self.labels.len());
        for (vector, &label) in vectors.chunks_exact(width).zip(self.labels) {
            let sum = &sums[label as usize * width..][..width];
            let others = self.counts[label as usize] - 1;
            let score: f64 = vector
                .iter()
                .zip(sum)
                .map(|(own, sum)| own.to_f64() * (sum - own.to_f64()))
                .sum();
            means.push(if others == 0 { 0.0 } else { score / others as f64 });
        }
        means
    }

    /// Adds to the gradient by the vectors what `Σ_i slope_i · mean_score_i` gives.
    pub fn add_gradient<F: Real>(&self, vectors: &[F], width: usize, slopes: &[f64], gradient: &mut [F]) {
        let weight = |vector: usize| match self.count(vector) {
            0 => 0.0,
            others => slopes[vector] / others as f64,
        };
        let sums = self.sums(vectors, width, |_| 1.0);
        let weighted = self.sums(vectors, width, weight);
        let each = vectors.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
        for (at, ((vector, gradient), &label)) in each.zip(self.labels).enumerate() {
            let class = label as usize * width..(label as usize + 1) * width;
            let (sum, weighted, weight) = (&sums[class.clone()], &weighted[class], weight(at));
            // As an anchor it meets the others of its class, as a positive their weights.
            for (((out, own), sum), weighted) in gradient.iter_mut().zip(vector).zip(sum).zip(weighted) {
                let own = own.to_f64();
                *out += F::from_f64(weight * (sum - own) + (weighted - weight * own));
            }
        }
    }

    /// Weighted sums over each class.
    fn sums<F: Real>(&self, vectors: &[F], width: usize, weight: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.counts.len() * width];
        for (at, (vector, &label)) in vectors.chunks_exact(width).zip(self.labels).enumerate() {
            let weight = weight(at);
            let sum = &mut sums[label as usize * width..][..width];
            for (sum, value) in sum.iter_mut().zip(vector) {
                *sum += weight * value.to_f64();
            }
        }
        sums
    }
}
