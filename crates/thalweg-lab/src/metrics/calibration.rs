//! Whether confidence is accuracy: expected calibration error and reliability bins.

use super::Scores;
use crate::results::ReliabilityBin;

/// Bins of the calibration errors and reliability diagrams of a comparison.
pub const BINS: usize = 15;

impl Scores<'_> {
    /// Mean gap between confidence and accuracy over bins of equal width, weighted by their samples.
    pub fn ece_equal_width(&self, bins: usize) -> f64 {
        self.expected_gap(&self.reliability(bins))
    }

    /// Mean gap between confidence and accuracy over bins of equally many samples, weighted by their samples. Samples
    /// of equal confidence share a bin, so that their order does not matter.
    pub fn ece_equal_mass(&self, bins: usize) -> f64 {
        let mut samples: Vec<usize> = (0..self.samples()).collect();
        samples.sort_by(|&a, &b| self.confidence(a).total_cmp(&self.confidence(b)));
        let mut start = 0;
        let binned: Vec<_> = (1..=bins)
            .map(|bin| {
                let mut end = start.max(samples.len() * bin / bins);
                while end > start
                    && end < samples.len()
                    && self.confidence(samples[end]) == self.confidence(samples[end - 1])
                {
                    end += 1;
                }
                let members = &samples[start..end];
                start = end;
                self.bin(members)
            })
            .collect();
        self.expected_gap(&binned)
    }

    /// The bins of a reliability diagram: confidence in `(b/bins, (b+1)/bins]`. All of them, in order; an empty one has
    /// count 0 and says nothing else.
    pub fn reliability(&self, bins: usize) -> Vec<ReliabilityBin> {
        let mut members = vec![Vec::new(); bins];
        for sample in 0..self.samples() {
            let bin = (self.confidence(sample) * bins as f64).ceil() as usize;
            members[bin.clamp(1, bins) - 1].push(sample);
        }
        members.iter().map(|members| self.bin(members)).collect()
    }

    fn confidence(&self, sample: usize) -> f64 {
        1.0 / (1.0 + self.others[sample])
    }

    fn bin(&self, members: &[usize]) -> ReliabilityBin {
        let count = members.len().max(1) as f64;
        ReliabilityBin {
            confidence: members.iter().map(|&i| self.confidence(i)).sum::<f64>() / count,
            accuracy: members.iter().filter(|&&i| self.is_correct(i)).count() as f64 / count,
            count: members.len() as u64,
        }
    }

    fn expected_gap(&self, bins: &[ReliabilityBin]) -> f64 {
        let gap = |bin: &ReliabilityBin| bin.count as f64 * (bin.accuracy - bin.confidence).abs();
        bins.iter().map(gap).sum::<f64>() / self.samples() as f64
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
