//! How like all negative pairs of the training set the negatives are that a step sees, and what the filter takes from them.

use thalweg::diagnostics::to_unit_rows;
use thalweg::verification::{InBatchPairs, Whiskers, wasserstein_distance};
use thalweg_kernels::matrix::{Matrix, Work, product};
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::verification::Identities;

/// Share of all negative similarities below the hard ones.
const EASY: f64 = 0.999;

/// Of the negatives of class weights, and of those of pairs.
#[derive(Clone, Copy)]
pub(super) struct Premise {
    /// Wasserstein distance from the similarities of all negative pairs.
    pub distance: [f64; 2],
    /// Share among them of hard ones: above the 99.9 % quantile of all negative pairs.
    pub hard: [f64; 2],
}

/// Embeddings of all training samples, and the class weights that they were trained with.
pub(super) struct Embedded<'a> {
    pub embeddings: &'a [f32],
    pub weights: &'a [f32],
    pub width: usize,
    pub identities: &'a Identities,
    pub batch_size: usize,
    pub seed: u64,
}

impl Embedded<'_> {
    fn labels(&self) -> &[u32] {
        &self.identities.train.labels
    }

    /// The batches of an epoch.
    fn batches(&self) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.labels().len()).collect();
        Stream::new(self.seed, "batches looked at", 0).shuffle(&mut order);
        order
            .chunks_exact(self.batch_size)
            .map(<[usize]>::to_vec)
            .collect()
    }

    fn rows(&self, samples: &[usize]) -> Vec<f32> {
        let row = |&sample: &usize| &self.embeddings[sample * self.width..][..self.width];
        samples.iter().flat_map(row).copied().collect()
    }

    /// Similarities of a batch with the weights of other classes.
    fn with_other_classes(&self, samples: &[usize]) -> Vec<f64> {
        let classes = self.identities.classes;
        let units = |values: &[f32]| {
            let mut rows: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
            to_unit_rows(&mut rows, self.width);
            rows
        };
        let (rows, weights) = (units(&self.rows(samples)), units(self.weights));
        let weights = Matrix::new(&weights, classes, self.width).transposed();
        let cosines = product(
            Work::Alone,
            Matrix::new(&rows, samples.len(), self.width),
            weights,
        );
        let each = cosines.chunks_exact(classes).zip(samples);
        each.flat_map(|(row, &sample)| {
            let own = self.labels()[sample] as usize;
            row.iter().enumerate().filter(move |(class, _)| *class != own)
        })
        .map(|(_, cosine)| *cosine)
        .collect()
    }

    fn pairs(&self, samples: &[usize], labels: &[u32]) -> Result<InBatchPairs, LabError> {
        let labels: Vec<u32> = samples.iter().map(|&sample| labels[sample]).collect();
        Ok(InBatchPairs::of(&self.rows(samples), self.width, &labels)?)
    }

    /// Of one batch: what a step sees, by the labels that training sees.
    pub fn premise(&self) -> Result<Premise, LabError> {
        let batch = &self.batches()[0];
        let seen = [
            self.with_other_classes(batch),
            self.pairs(batch, self.labels())?.negative,
        ];
        let mut all = InBatchPairs::of(self.embeddings, self.width, self.labels())?.negative;
        let distance = seen.each_ref().map(|seen| wasserstein_distance(seen, &all));
        let place = (EASY * all.len() as f64) as usize;
        let (_, &mut limit, _) = all.select_nth_unstable_by(place, f64::total_cmp);
        let hard = seen.each_ref().map(|seen| {
            let count = seen.iter().filter(|similarity| **similarity > limit).count();
            count as f64 / seen.len() as f64
        });
        Ok(Premise { distance, hard })
    }

    /// What whiskers of a length take from the negatives of all batches of an epoch.
    pub fn filtered(&self, wisk: f64) -> Result<Filtered, LabError> {
        let mut found = Filtered::default();
        for batch in self.batches() {
            let negatives = self.pairs(&batch, self.labels())?.negative;
            let Some(whiskers) = Whiskers::of(&mut negatives.clone(), wisk) else {
                continue;
            };
            let truly = |a: usize, b: usize| {
                let identities = &self.identities.true_labels;
                identities[a] == identities[b]
            };
            let mut similarities = negatives.into_iter();
            for (i, &a) in batch.iter().enumerate() {
                for &b in &batch[i + 1..] {
                    if self.labels()[a] == self.labels()[b] {
                        continue;
                    }
                    let Some(similarity) = similarities.next() else {
                        break;
                    };
                    let part = if similarity < whiskers.lower {
                        &mut found.below
                    } else if similarity > whiskers.upper {
                        &mut found.above
                    } else {
                        &mut found.kept
                    };
                    part.pairs += 1;
                    part.of_one_identity += u64::from(truly(a, b));
                }
            }
        }
        Ok(found)
    }
}

/// Negatives by what the filter does with them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filtered {
    pub below: Part,
    pub above: Part,
    pub kept: Part,
}

/// Negatives by label.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub pairs: u64,
    /// Those that are of one identity in truth.
    pub of_one_identity: u64,
}

impl Filtered {
    pub fn add(&mut self, other: Self) {
        let parts = [&mut self.below, &mut self.above, &mut self.kept];
        for (part, more) in parts.into_iter().zip([other.below, other.above, other.kept]) {
            part.pairs += more.pairs;
            part.of_one_identity += more.of_one_identity;
        }
    }
}
