//! Cosines of more pairs than memory holds, counted by value.

use super::VerificationError;
use super::roc::{Roc, Tied};

/// Bins over `[−1, 1]`; a bin is 9.5e-7 wide, about ten times the rounding of a cosine in single precision.
const BINS: usize = 1 << 21;

/// Counts of pairs of one identity and of two by their cosine.
#[derive(Clone, Debug)]
pub struct CosineHistogram {
    positive: Vec<u64>,
    negative: Vec<u64>,
}

impl Default for CosineHistogram {
    fn default() -> Self {
        Self {
            positive: vec![0; BINS],
            negative: vec![0; BINS],
        }
    }
}

impl CosineHistogram {
    /// Counts a pair. What rounding left outside `[−1, 1]` counts as its ends.
    pub fn add(&mut self, cosine: f32, same_identity: bool) {
        let place = (f64::from(cosine) + 1.0) * (BINS as f64 / 2.0);
        let bin = (place.max(0.0) as usize).min(BINS - 1);
        let counts = if same_identity {
            &mut self.positive
        } else {
            &mut self.negative
        };
        counts[bin] += 1;
    }

    /// The characteristic of the counted pairs, each at the middle of its bin.
    ///
    /// # Errors
    /// When there is no pair of either kind.
    pub fn roc(&self) -> Result<Roc, VerificationError> {
        let bins = self.positive.iter().zip(&self.negative).enumerate().rev();
        let tied = bins
            .filter(|(_, (positive, negative))| **positive + **negative > 0)
            .map(|(bin, (&positive, &negative))| Tied {
                score: (bin as f64 + 0.5) * (2.0 / BINS as f64) - 1.0,
                positive,
                negative,
            });
        Roc::of_tied(tied.collect())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_kernels::random::Stream;

    use super::*;

    #[test]
    fn counts_tell_what_the_scores_do() {
        let mut random = Stream::new(0, "cosines", 0);
        let mut histogram = CosineHistogram::default();
        let (mut positive, mut negative) = (vec![1.0, -1.0_f32], vec![1.000_001_f32]);
        for _ in 0..3000 {
            positive.push((1.7 * random.uniform() - 0.7) as f32);
            negative.push((1.7 * random.uniform() - 1.0) as f32);
        }
        positive.iter().for_each(|&cosine| histogram.add(cosine, true));
        negative.iter().for_each(|&cosine| histogram.add(cosine, false));
        let (counted, exact) = (histogram.roc().unwrap(), Roc::new(positive, negative).unwrap());
        for far in [1e-3, 1e-2, 0.1, 0.5] {
            assert!((counted.tar(far) - exact.tar(far)).abs() < 1e-3);
        }
        assert!((counted.auc() - exact.auc()).abs() < 1e-6);
        assert!((counted.gap() - exact.gap()).abs() < 2e-6);
        assert_eq!(counted.resolution(), exact.resolution());
    }
}
