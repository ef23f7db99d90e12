//! Histogram binning: the probability of each class against the rest is replaced by the share of the class among the
//! samples of its bin, and rows are normalised. Predictions may change.
//!
//! Bins are of equal width, `(lo, hi]`, with 0 in the first; one without samples keeps its middle. Source: Zadrozny and
//! Elkan, ICML 2001; bins as in Guo, Pleiss, Sun, Weinberger, ICML 2017.

use serde::{Deserialize, Serialize};

use super::Logits;
use super::isotonic::one_against_the_rest;
use super::metrics::bin_of;

/// The calibrated probability of each bin of each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistogramBinning {
    /// By class, then bin; every class has equally many.
    pub bins: Vec<Vec<f64>>,
}

impl HistogramBinning {
    /// Fits `n_bins` bins a class.
    ///
    /// # Panics
    /// When there are no bins, or labels and samples do not go together; see [`Logits::check_labels`].
    pub fn fit(logits: &Logits, labels: &[usize], n_bins: usize) -> Self {
        assert!(n_bins > 0, "there is at least one bin");
        logits.check_labels(labels).expect("labels of these samples");
        let classes = logits.classes();
        let mut counts = vec![vec![(0_u64, 0_u64); n_bins]; classes];
        for (row, &label) in logits.probabilities().chunks_exact(classes).zip(labels) {
            for (class, &p) in row.iter().enumerate() {
                let (all, of_class) = &mut counts[class][bin_of(p, n_bins).unwrap_or(0)];
                *all += 1;
                *of_class += u64::from(label == class);
            }
        }
        let share = |(bin, &(all, of_class)): (usize, &(u64, u64))| match all {
            0 => (bin as f64 + 0.5) / n_bins as f64,
            _ => of_class as f64 / all as f64,
        };
        let bins = counts
            .iter()
            .map(|bins| bins.iter().enumerate().map(share).collect());
        Self { bins: bins.collect() }
    }

    /// Calibrated probabilities, `[samples, classes]`.
    pub fn probabilities(&self, logits: &Logits) -> Vec<f64> {
        one_against_the_rest(logits, |class, p| {
            let bins = &self.bins[class];
            // Rounding may take a probability a digit above 1.
            bins[bin_of(p.min(1.0), bins.len()).unwrap_or(0)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::logits::tests::random_set;
    use super::*;

    #[test]
    fn a_bin_says_how_many_of_it_are_of_the_class() {
        // Probabilities .8/.2 three times and .2/.8 once.
        let z = 4.0_f64.ln();
        let logits = Logits::new(vec![z, 0.0, z, 0.0, z, 0.0, 0.0, z], 2).unwrap();
        let fitted = HistogramBinning::fit(&logits, &[0, 0, 1, 1], 4);
        let close = |found: &[f64], expected: &[f64]| {
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
                "{found:?}"
            );
        };
        close(&fitted.bins[0], &[0.0, 0.375, 0.625, 2.0 / 3.0]);
        close(&fitted.bins[1], &[1.0 / 3.0, 0.375, 0.625, 1.0]);
        close(&fitted.probabilities(&logits)[..2], &[2.0 / 3.0, 1.0 / 3.0]);
    }

    #[test]
    fn rows_are_distributions() {
        let (logits, labels) = random_set(100, 5, 4.0, 2);
        let fitted = HistogramBinning::fit(&logits, &labels, 15);
        for row in fitted.probabilities(&logits).chunks(5) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && row.iter().all(|p| *p >= 0.0));
        }
    }
}
