//! Whether confidence is accuracy: expected calibration error and reliability bins.

use thalweg::calibration::Predictions;

use super::Scores;
use crate::results::ReliabilityBin;

/// Bins of the calibration errors and reliability diagrams of a comparison.
pub const BINS: usize = 15;

impl Scores<'_> {
    /// Mean gap between confidence and accuracy over bins of equal width, weighted by their samples.
    pub fn ece_equal_width(&self, bins: usize) -> f64 {
        self.predictions().expected_calibration_error(bins)
    }

    /// Mean gap between confidence and accuracy over bins of equally many samples, weighted by their samples. Samples
    /// of equal confidence share a bin, so that their order does not matter.
    pub fn ece_equal_mass(&self, bins: usize) -> f64 {
        self.predictions().equal_mass_calibration_error(bins)
    }

    /// The bins of a reliability diagram: confidence in `(b/bins, (b+1)/bins]`. All of them, in order; an empty one has
    /// count 0 and says nothing else.
    pub fn reliability(&self, bins: usize) -> Vec<ReliabilityBin> {
        self.predictions().reliability(bins)
    }

    fn predictions(&self) -> Predictions {
        let samples = 0..self.samples();
        let confidences = samples.clone().map(|i| 1.0 / (1.0 + self.others[i]));
        let correct = samples.map(|i| self.is_correct(i));
        Predictions::new(confidences.collect(), correct.collect())
            .expect("there are samples, and a softmax's largest is within 0 and 1")
    }
}

/// The reliability bins of several test sets as those of one.
///
/// # Panics
/// When the numbers of bins differ.
pub fn pool_reliability(sets: &[Vec<ReliabilityBin>]) -> Vec<ReliabilityBin> {
    let Some(first) = sets.first() else {
        return Vec::new();
    };
    assert!(
        sets.iter().all(|set| set.len() == first.len()),
        "reliability bins of different widths cannot be pooled"
    );
    (0..first.len())
        .map(|index| {
            let bins = || sets.iter().map(|set| &set[index]);
            let count: u64 = bins().map(|bin| bin.count).sum();
            let mean = |of: fn(&ReliabilityBin) -> f64| {
                bins().map(|bin| bin.count as f64 * of(bin)).sum::<f64>() / count.max(1) as f64
            };
            ReliabilityBin {
                confidence: mean(|bin| bin.confidence),
                accuracy: mean(|bin| bin.accuracy),
                count,
            }
        })
        .collect()
}
