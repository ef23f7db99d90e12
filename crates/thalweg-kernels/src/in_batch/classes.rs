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

    /// Mean score `⟨q_i, k_j⟩` of each query with the keys of its positives, 0 where it has none. Vector i is both query i
    /// and key i.
    pub fn mean_scores<F: Real>(&self, queries: &[F], keys: &[F], width: usize) -> Vec<f64> {
        let sums = self.sums(keys, width, |_| 1.0);
        let each = queries.chunks_exact(width).zip(keys.chunks_exact(width));
        let mean = |(at, (query, key)): (usize, (&[F], &[F]))| {
            let sum = &sums[self.labels[at] as usize * width..][..width];
            let others = self.count(at);
            let score: f64 = query
                .iter()
                .zip(key.iter().zip(sum))
                .map(|(q, (k, sum))| q.to_f64() * (sum - k.to_f64()))
                .sum();
            if others == 0 { 0.0 } else { score / others as f64 }
        };
        each.enumerate().map(mean).collect()
    }

    /// Adds to a gradient by the queries what `Σ_i slope_i · mean_score_i` gives.
    pub fn add_by_queries<F: Real>(&self, keys: &[F], width: usize, slopes: &[f64], gradient: &mut [F]) {
        let sums = self.sums(keys, width, |_| 1.0);
        let each = keys.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
        for (at, (key, gradient)) in each.enumerate() {
            let sum = &sums[self.labels[at] as usize * width..][..width];
            let share = self.share(at, slopes);
            for ((out, key), sum) in gradient.iter_mut().zip(key).zip(sum) {
                *out += F::from_f64(share * (sum - key.to_f64()));
            }
        }
    }

    /// The same by the keys.
    pub fn add_by_keys<F: Real>(&self, queries: &[F], width: usize, slopes: &[f64], gradient: &mut [F]) {
        let sums = self.sums(queries, width, |at| self.share(at, slopes));
        let each = queries.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
        for (at, (query, gradient)) in each.enumerate() {
            let sum = &sums[self.labels[at] as usize * width..][..width];
            let share = self.share(at, slopes);
            for ((out, query), sum) in gradient.iter_mut().zip(query).zip(sum) {
                *out += F::from_f64(sum - share * query.to_f64());
            }
        }
    }

    /// The slope by the score with one of its positives.
    fn share(&self, vector: usize, slopes: &[f64]) -> f64 {
        match self.count(vector) {
            0 => 0.0,
            others => slopes[vector] / others as f64,
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
