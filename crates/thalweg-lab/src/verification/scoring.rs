//! All pairs of a set of embeddings, scored by their cosine in blocks.

use thalweg::verification::{CosineHistogram, Roc, VerificationError};
use thalweg_kernels::matrix::{Matrix, Work, product};

/// Rows scored at once, with all that come after the first of them.
const BLOCK: usize = 256;

/// Pairs whose scores are kept, at most; of more, counts by score are.
const KEPT: usize = 1 << 22;

/// What all pairs say.
pub(super) struct AllPairs {
    pub roc: Roc,
    /// Share of samples whose nearest other is of their identity, among those of which there is another; ties are misses.
    pub rank_1: f64,
}

enum Scores {
    Kept { positive: Vec<f32>, negative: Vec<f32> },
    Counted(Box<CosineHistogram>),
}

/// The nearest of both kinds to a sample.
#[derive(Clone, Copy)]
struct Nearest {
    same: f32,
    other: f32,
}

impl AllPairs {
    /// Of unit rows, each of an identity.
    ///
    /// # Errors
    /// When there is no pair of one identity or of two.
    pub fn of(units: &[f32], width: usize, identities: &[u32]) -> Result<Self, VerificationError> {
        let count = identities.len();
        let kept = count.saturating_mul(count.saturating_sub(1)) / 2 <= KEPT;
        Self::scored(units, width, identities, kept)
    }

    fn scored(
        units: &[f32],
        width: usize,
        identities: &[u32],
        kept: bool,
    ) -> Result<Self, VerificationError> {
        let count = identities.len();
        let mut scores = if kept {
            Scores::Kept {
                positive: Vec::new(),
                negative: Vec::new(),
            }
        } else {
            Scores::Counted(Box::default())
        };
        let mut nearest = vec![
            Nearest {
                same: f32::NEG_INFINITY,
                other: f32::NEG_INFINITY
            };
            count
        ];
        for first in (0..count).step_by(BLOCK) {
            let from_here = &units[first * width..];
            let (rows, columns) = (BLOCK.min(count - first), count - first);
            let block = Matrix::new(&from_here[..rows * width], rows, width);
            let others = Matrix::new(from_here, columns, width).transposed();
            let cosines = product(Work::Shared, block, others);
            for (a, row) in cosines.chunks_exact(columns).enumerate() {
                for (b, &cosine) in row.iter().enumerate().skip(a + 1) {
                    let pair = [first + a, first + b];
                    let same = identities[pair[0]] == identities[pair[1]];
                    scores.add(cosine, same);
                    for sample in pair {
                        nearest[sample].meet(cosine, same);
                    }
                }
            }
        }
        let paired: Vec<_> = nearest
            .iter()
            .filter(|nearest| nearest.same > f32::NEG_INFINITY)
            .collect();
        let found = paired
            .iter()
            .filter(|nearest| nearest.same > nearest.other)
            .count();
        Ok(Self {
            roc: match scores {
                Scores::Kept { positive, negative } => Roc::new(positive, negative)?,
                Scores::Counted(histogram) => histogram.roc()?,
            },
            rank_1: found as f64 / paired.len() as f64,
        })
    }
}

impl Scores {
    fn add(&mut self, cosine: f32, same: bool) {
        match self {
            Self::Kept { positive, .. } if same => positive.push(cosine),
            Self::Kept { negative, .. } => negative.push(cosine),
            Self::Counted(histogram) => histogram.add(cosine, same),
        }
    }
}

impl Nearest {
    fn meet(&mut self, cosine: f32, same: bool) {
        let best = if same { &mut self.same } else { &mut self.other };
        *best = best.max(cosine);
    }
}

#[cfg(test)]
mod tests {
    use thalweg_kernels::random::Stream;

    use super::*;

    fn drawn(count: usize, width: usize) -> (Vec<f32>, Vec<u32>) {
        let mut units = vec![0.0_f32; count * width];
        Stream::new(0, "embeddings", 0).fill_normal(&mut units);
        let identities: Vec<u32> = (0..count as u32).map(|i| i % 40).collect();
        for (row, identity) in units.chunks_exact_mut(width).zip(&identities) {
            row[*identity as usize % width] += 2.0;
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
        (units, identities)
    }

    #[test]
    fn every_pair_is_met_once() {
        let (units, identities) = drawn(300, 8);
        let found = AllPairs::of(&units, 8, &identities).unwrap();
        let row = |i: usize| &units[i * 8..][..8];
        let cosine = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum::<f32>();
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let mut right = 0;
        for i in 0..300 {
            let others = (0..300).filter(|&j| j != i);
            let nearest = others
                .max_by(|&j, &k| cosine(i, j).total_cmp(&cosine(i, k)))
                .unwrap();
            right += usize::from(identities[i] == identities[nearest]);
            for j in i + 1..300 {
                let kind = if identities[i] == identities[j] {
                    &mut positive
                } else {
                    &mut negative
                };
                kind.push(cosine(i, j));
            }
        }
        let expected = Roc::new(positive, negative).unwrap();
        assert_eq!(found.roc.resolution(), expected.resolution());
        assert!((found.roc.auc() - expected.auc()).abs() < 1e-6);
        assert!((found.rank_1 - right as f64 / 300.0).abs() < 1e-9);
    }

    #[test]
    fn counting_says_what_keeping_does() {
        let (units, identities) = drawn(500, 8);
        let [kept, counted] =
            [true, false].map(|kept| AllPairs::scored(&units, 8, &identities, kept).unwrap());
        assert_eq!(kept.rank_1, counted.rank_1);
        assert!((kept.roc.auc() - counted.roc.auc()).abs() < 1e-6);
        assert!((kept.roc.tar(0.01) - counted.roc.tar(0.01)).abs() < 1e-3);
    }
}
