//! Classes by the nearest neighbours: the k most similar training samples by the cosine of their features vote with weights
//! `exp(cos/τ)`.
//!
//! Source: Wu, Xiong, Yu, Lin, "Unsupervised feature learning via non-parametric instance discrimination", CVPR 2018.

use thalweg::diagnostics::to_unit_rows;
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use super::probe::largest;

/// Rows compared at once.
const BLOCK: usize = 256;

/// Training samples that vote.
#[derive(Clone, Debug)]
pub struct NearestNeighbours {
    width: usize,
    /// Unit rows.
    features: Vec<f64>,
    labels: Vec<u32>,
    classes: usize,
    /// How many vote.
    neighbours: usize,
    /// τ.
    temperature: f64,
}

impl NearestNeighbours {
    /// The 20 nearest of features `[samples, width]` with labels below `classes`, at τ = 0.07.
    pub fn new(features: &[f32], width: usize, labels: &[u32], classes: usize) -> Self {
        Self {
            width,
            features: unit(features, width),
            labels: labels.to_vec(),
            classes,
            neighbours: 20,
            temperature: 0.07,
        }
    }

    /// The class that each row of features is voted into. Features that are all 0 are as similar to any as to none.
    pub fn predict(&self, features: &[f32]) -> Vec<u32> {
        let samples = self.labels.len();
        let train = Matrix::new(&self.features, samples, self.width).transposed();
        let rows = unit(features, self.width);
        let mut predicted = Vec::with_capacity(features.len() / self.width);
        for block in rows.chunks(BLOCK * self.width) {
            let count = block.len() / self.width;
            let mut cosines = vec![0.0; count * samples];
            multiply(
                Work::Shared,
                &mut cosines,
                0.0,
                1.0,
                Matrix::new(block, count, self.width),
                train,
            );
            predicted.extend(cosines.chunks_exact(samples).map(|row| self.vote(row)));
        }
        predicted
    }

    fn vote(&self, cosines: &[f64]) -> u32 {
        let mut order: Vec<usize> = (0..cosines.len()).collect();
        let nearest = |a: &usize, b: &usize| cosines[*b].total_cmp(&cosines[*a]).then(a.cmp(b));
        let k = self.neighbours.min(order.len());
        if k < order.len() {
            order.select_nth_unstable_by(k, nearest);
        }
        let mut votes = vec![0.0; self.classes];
        let mut voters = order[..k].to_vec();
        voters.sort_unstable();
        for sample in voters {
            // At most 1, so that the weights at most 1, too.
            votes[self.labels[sample] as usize] += ((cosines[sample] - 1.0) / self.temperature).exp();
        }
        largest(&votes)
    }
}

/// Rows over their norms, those of zeros as they are.
pub(crate) fn unit(features: &[f32], width: usize) -> Vec<f64> {
    let mut unit: Vec<f64> = features.iter().map(|&value| f64::from(value)).collect();
    to_unit_rows(&mut unit, width);
    unit
}
