//! Whether confidence is accuracy: calibration errors over bins and without, and whether confidence tells right from
//! wrong.
//!
//! A bin of equal width is `(lo, hi]`, so that confidence 0 is in none. Sources: Naeini, Cooper, Hauskrecht, AAAI 2015
//! (ECE, MCE); Gupta, Rahimi, Ajanthan, Mensink, Sminchisescu, Hartley, ICLR 2021 (KS).

mod quantities;

pub(super) use quantities::quantities;
use serde::{Deserialize, Serialize};

use super::CalibrationError;

/// Confidences in `[0, 1]` of predictions, and which of them are correct. At least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    confidences: Vec<f64>,
    correct: Vec<bool>,
}

/// One bin of a reliability diagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean confidence of its samples.
    pub confidence: f64,
    /// Share of them classified correctly.
    pub accuracy: f64,
    /// Their number.
    pub count: u64,
}

impl ReliabilityBin {
    fn gap(&self) -> f64 {
        (self.accuracy - self.confidence).abs()
    }
}

impl Predictions {
    /// Takes both.
    ///
    /// # Errors
    /// When there is none, their numbers differ, or a confidence is not within 0 and 1.
    pub fn new(confidences: Vec<f64>, correct: Vec<bool>) -> Result<Self, CalibrationError> {
        if confidences.is_empty() {
            return Err(CalibrationError::NoSamples);
        }
        if confidences.len() != correct.len() {
            return Err(CalibrationError::Shape {
                what: "correctness flags",
                found: correct.len(),
                expected: confidences.len(),
            });
        }
        let outside = |confidence: &f64| !(0.0..=1.0).contains(confidence);
        if let Some(sample) = confidences.iter().position(outside) {
            let value = confidences[sample];
            return Err(CalibrationError::Confidence { sample, value });
        }
        Ok(Self { confidences, correct })
    }

    /// Those of the highest probability of each row, the first of equals; `probabilities` `[samples, classes]`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// When there are no classes.
    pub fn of_probabilities(
        probabilities: &[f64],
        classes: usize,
        labels: &[usize],
    ) -> Result<Self, CalibrationError> {
        let (confidences, predicted): (Vec<f64>, Vec<usize>) = probabilities
            .chunks_exact(classes)
            .map(|row| {
                let top = super::logits::top(row);
                // A normalised row may sum to a digit above 1.
                (row[top].min(1.0), top)
            })
            .unzip();
        let correct = predicted.iter().zip(labels).map(|(a, b)| a == b);
        Self::new(confidences, correct.collect())
    }

    /// The number of predictions.
    pub fn samples(&self) -> usize {
        self.confidences.len()
    }

    /// Share of correct predictions.
    pub fn accuracy(&self) -> f64 {
        self.correct.iter().filter(|&&correct| correct).count() as f64 / self.samples() as f64
    }

    /// Bins of equal width, `(b/n, (b+1)/n]`. All of them, in order; an empty one has count 0 and says nothing else.
    ///
    /// # Panics
    /// When `n_bins` is 0.
    pub fn reliability(&self, n_bins: usize) -> Vec<ReliabilityBin> {
        assert!(n_bins > 0, "there is at least one bin");
        let mut members = vec![Vec::new(); n_bins];
        for (sample, &confidence) in self.confidences.iter().enumerate() {
            if let Some(bin) = bin_of(confidence, n_bins) {
                members[bin].push(sample);
            }
        }
        members.iter().map(|members| self.bin(members)).collect()
    }

    /// Bins of equally many samples, where samples of equal confidence share a bin, so that their order does not matter.
    /// Some may be empty.
    ///
    /// # Panics
    /// When `n_bins` is 0.
    pub fn equal_mass(&self, n_bins: usize) -> Vec<ReliabilityBin> {
        assert!(n_bins > 0, "there is at least one bin");
        let order = self.by_confidence();
        let mut start = 0;
        (1..=n_bins)
            .map(|bin| {
                let mut end = start.max(order.len() * bin / n_bins);
                while end > start
                    && end < order.len()
                    && self.confidences[order[end]] == self.confidences[order[end - 1]]
                {
                    end += 1;
                }
                let members = &order[start..end];
                start = end;
                self.bin(members)
            })
            .collect()
    }

    /// Mean gap between confidence and accuracy over bins of equal width, weighted by their samples (ECE).
    ///
    /// # Panics
    /// When `n_bins` is 0.
    pub fn expected_calibration_error(&self, n_bins: usize) -> f64 {
        self.expected_gap(&self.reliability(n_bins))
    }

    /// Largest gap of a bin of equal width that has samples (MCE).
    ///
    /// # Panics
    /// When `n_bins` is 0.
    pub fn max_calibration_error(&self, n_bins: usize) -> f64 {
        let bins = self.reliability(n_bins);
        bins.iter()
            .filter(|bin| bin.count > 0)
            .fold(0.0, |max, bin| max.max(bin.gap()))
    }

    /// ECE over [bins of equal mass](Self::equal_mass).
    ///
    /// # Panics
    /// When `n_bins` is 0.
    pub fn equal_mass_calibration_error(&self, n_bins: usize) -> f64 {
        self.expected_gap(&self.equal_mass(n_bins))
    }

    /// ECE over parts of the stably sorted samples as `numpy.array_split` has them: the first `N mod n` are one longer.
    /// Equal confidences may fall into different parts, by the order of the samples.
    ///
    /// # Panics
    /// When `n_bins` is 0.
    pub fn adaptive_calibration_error(&self, n_bins: usize) -> f64 {
        assert!(n_bins > 0, "there is at least one bin");
        let order = self.by_confidence();
        let (size, longer) = (order.len() / n_bins, order.len() % n_bins);
        let mut rest = order.as_slice();
        let parts: Vec<_> = (0..n_bins)
            .map(|part| {
                let (members, after) = rest.split_at(size + usize::from(part < longer));
                rest = after;
                self.bin(members)
            })
            .collect();
        self.expected_gap(&parts)
    }

    /// `max_j |Σ_{i≤j} (conf_i − c_i)| / N` over the samples by rising confidence (Kolmogorov and Smirnov). The sort is
    /// stable: among equal confidences the value depends on the order of the samples.
    pub fn ks_calibration_error(&self) -> f64 {
        let mut sum = 0.0_f64;
        let largest = self.by_confidence().into_iter().fold(0.0_f64, |largest, sample| {
            sum += self.confidences[sample] - self.outcome(sample);
            largest.max(sum.abs())
        });
        largest / self.samples() as f64
    }

    /// `mean (conf − c)²`: the Brier score of the predicted class alone.
    pub fn top_label_brier_score(&self) -> f64 {
        let squares = (0..self.samples()).map(|i| (self.confidences[i] - self.outcome(i)).powi(2));
        squares.sum::<f64>() / self.samples() as f64
    }

    /// Chance that a correct prediction is more confident than a wrong one, ties counting half.
    ///
    /// # Errors
    /// When all are correct or all wrong.
    pub fn correctness_auroc(&self) -> Result<f64, CalibrationError> {
        let outcome = if self.correct[0] { "right" } else { "wrong" };
        area_under_roc(&self.confidences, &self.correct).ok_or(CalibrationError::OneOutcome { outcome })
    }

    fn outcome(&self, sample: usize) -> f64 {
        f64::from(u8::from(self.correct[sample]))
    }

    /// Samples by rising confidence, equal ones in their own order.
    fn by_confidence(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples()).collect();
        order.sort_by(|&a, &b| self.confidences[a].total_cmp(&self.confidences[b]));
        order
    }

    fn bin(&self, members: &[usize]) -> ReliabilityBin {
        let count = members.len().max(1) as f64;
        ReliabilityBin {
            confidence: members.iter().map(|&i| self.confidences[i]).sum::<f64>() / count,
            accuracy: members.iter().filter(|&&i| self.correct[i]).count() as f64 / count,
            count: members.len() as u64,
        }
    }

    fn expected_gap(&self, bins: &[ReliabilityBin]) -> f64 {
        bins.iter().map(|bin| bin.count as f64 * bin.gap()).sum::<f64>() / self.samples() as f64
    }
}

/// The bin `(b/n, (b+1)/n]` of a value in `[0, 1]`; none for 0. The edges are those of `numpy.linspace`.
pub(super) fn bin_of(value: f64, n_bins: usize) -> Option<usize> {
    let edge = |index: usize| {
        if index == n_bins {
            1.0
        } else {
            index as f64 * (1.0 / n_bins as f64)
        }
    };
    let mut above = (value * n_bins as f64).ceil() as usize;
    while above > 0 && value <= edge(above - 1) {
        above -= 1;
    }
    while above > 0 && above < n_bins && value > edge(above) {
        above += 1;
    }
    above.min(n_bins).checked_sub(1)
}

/// Chance that a positive sample has a higher score than another, ties counting half, by ranks; none where all or no
/// samples are positive.
///
/// # Panics
/// When the lengths differ.
pub fn area_under_roc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), positive.len(), "every score has its flag");
    let positives = positive.iter().filter(|&&positive| positive).count();
    if positives == 0 || positives == scores.len() {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut rank_sum, mut before) = (0.0, 0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let mid_rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        rank_sum += mid_rank * tied.iter().filter(|&&i| positive[i]).count() as f64;
        before += tied.len();
    }
    let (positives, negatives) = (positives as f64, (scores.len() - positives) as f64);
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::*;

    fn set() -> impl Strategy<Value = Vec<(f64, bool)>> {
        // Few distinct confidences, so that ties and edges of bins occur.
        let confidence = prop_oneof![(0_u32..=20).prop_map(|k| f64::from(k) / 20.0), 0.0..=1.0];
        prop::collection::vec((confidence, any::<bool>()), 1..80)
    }

    fn of(samples: &[(f64, bool)]) -> Predictions {
        let (confidences, correct) = samples.iter().copied().unzip();
        Predictions::new(confidences, correct).unwrap()
    }

    proptest! {
        #[test]
        fn no_bin_is_further_off_than_the_worst(samples in set(), bins in 1_usize..40) {
            let predictions = of(&samples);
            let (ece, mce) = (predictions.expected_calibration_error(bins), predictions.max_calibration_error(bins));
            prop_assert!(ece <= mce + 1e-12 && mce <= 1.0);
        }

        #[test]
        fn the_order_of_samples_does_not_matter(samples in set(), bins in 1_usize..40, seed in any::<u64>()) {
            let mut shuffled = samples.clone();
            Stream::new(seed, "order", 0).shuffle(&mut shuffled);
            let (a, b) = (of(&samples), of(&shuffled));
            prop_assert!((a.expected_calibration_error(bins) - b.expected_calibration_error(bins)).abs() < 1e-12);
            prop_assert!((a.equal_mass_calibration_error(bins) - b.equal_mass_calibration_error(bins)).abs() < 1e-12);
            prop_assert!((a.top_label_brier_score() - b.top_label_brier_score()).abs() < 1e-12);
        }

        #[test]
        fn auroc_is_the_share_of_pairs(samples in set()) {
            let wins = |(a, _): &(f64, bool), (b, _): &(f64, bool)| {
                if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 }
            };
            let (right, wrong): (Vec<_>, Vec<_>) = samples.iter().partition(|(_, correct)| *correct);
            match of(&samples).correctness_auroc() {
                Ok(area) => {
                    let total: f64 = right.iter().flat_map(|a| wrong.iter().map(move |b| wins(a, b))).sum();
                    prop_assert!((area - total / (right.len() * wrong.len()) as f64).abs() < 1e-12);
                }
                Err(error) => {
                    prop_assert!(right.is_empty() || wrong.is_empty());
                    let undefined = matches!(error, CalibrationError::OneOutcome { .. });
                    prop_assert!(undefined);
                }
            }
        }

        #[test]
        fn a_value_lies_in_its_bin(value in 0.0_f64..=1.0, bins in 1_usize..60) {
            match bin_of(value, bins) {
                Some(bin) => {
                    let width = 1.0 / bins as f64;
                    prop_assert!(bin < bins && value > bin as f64 * width);
                    prop_assert!(bin + 1 == bins || value <= (bin + 1) as f64 * width);
                }
                None => prop_assert!(value == 0.0),
            }
        }
    }

    #[test]
    fn edges_belong_to_the_bin_below() {
        assert_eq!(bin_of(0.0, 25), None);
        assert_eq!(bin_of(0.4, 25), Some(9));
        assert_eq!(bin_of(1.0, 25), Some(24));
        assert_eq!(bin_of(f64::MIN_POSITIVE, 25), Some(0));
    }

    #[test]
    fn one_sample_is_off_by_its_own_gap() {
        for (confidence, correct, gap) in [(0.7, true, 0.3), (0.7, false, 0.7)] {
            let one = of(&[(confidence, correct)]);
            for value in [
                one.expected_calibration_error(25),
                one.adaptive_calibration_error(25),
                one.max_calibration_error(10),
                one.ks_calibration_error(),
            ] {
                assert!((value - gap).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn perfect_calibration_has_no_error_in_the_limit() {
        let error = |samples: usize| {
            let mut stream = Stream::new(3, "calibrated", 0);
            let drawn: Vec<(f64, bool)> = (0..samples)
                .map(|_| {
                    let confidence = stream.uniform();
                    (confidence, stream.uniform() < confidence)
                })
                .collect();
            of(&drawn).expected_calibration_error(25)
        };
        assert!(error(200_000) < 0.006 && error(200_000) < error(1000));
    }

    #[test]
    fn what_is_no_confidence_is_refused() {
        for value in [-0.1, 1.1, f64::NAN] {
            let refused = Predictions::new(vec![0.5, value], vec![true, false]);
            assert!(matches!(
                refused,
                Err(CalibrationError::Confidence { sample: 1, .. })
            ));
        }
        assert_eq!(Predictions::new(vec![], vec![]), Err(CalibrationError::NoSamples));
    }
}
