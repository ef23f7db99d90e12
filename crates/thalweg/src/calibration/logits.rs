//! Logits of samples, and of transformed views of them.

use rayon::prelude::*;

use super::CalibrationError;

/// Rows that one task works on; a constant, so that sums do not depend on the number of threads.
const CHUNK: usize = 256;

/// By which the sum of a distribution may be off 1: half precision leaves no more.
pub const SUM_TOLERANCE: f64 = 2e-3;

/// Finite logits `[samples, classes]`, with those of as many transformed views of each sample as there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    values: Vec<f64>,
    classes: usize,
    views: Vec<Vec<f64>>,
}

impl Logits {
    /// Takes row-major `values` `[samples, classes]`.
    ///
    /// # Errors
    /// When there is no sample, there are fewer than two classes, rows are not whole, or a value is not finite.
    pub fn new(values: Vec<f64>, classes: usize) -> Result<Self, CalibrationError> {
        if classes < 2 {
            return Err(CalibrationError::TooFewClasses(classes));
        }
        if values.is_empty() {
            return Err(CalibrationError::NoSamples);
        }
        if !values.len().is_multiple_of(classes) {
            return Err(CalibrationError::Shape {
                what: "logits",
                found: values.len(),
                expected: values.len().div_ceil(classes) * classes,
            });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(CalibrationError::Logit {
                sample: at / classes,
                class: at % classes,
                value: values[at],
            });
        }
        Ok(Self {
            values,
            classes,
            views: Vec::new(),
        })
    }

    /// The log-probabilities of row-major `probabilities` `[samples, classes]`, whose softmax they are. A probability of 0
    /// counts as the smallest positive number.
    ///
    /// # Errors
    /// As [`new`](Self::new), or when a row is no distribution (its sum may be off by [`SUM_TOLERANCE`]).
    pub fn of_probabilities(probabilities: &[f64], classes: usize) -> Result<Self, CalibrationError> {
        let logits = probabilities
            .iter()
            .map(|p| p.max(f64::MIN_POSITIVE).ln())
            .collect();
        let logits = Self::new(logits, classes)?;
        match probabilities
            .chunks_exact(classes)
            .position(|row| !is_distribution(row))
        {
            Some(sample) => Err(CalibrationError::NoDistribution { sample }),
            None => Ok(logits),
        }
    }

    /// Whether every row is a distribution: probabilities were taken for logits.
    pub fn look_like_probabilities(&self) -> bool {
        self.values.chunks_exact(self.classes).all(is_distribution)
    }

    /// Adds row-major `views` `[views, samples, classes]`: the logits that the same model gives to transformed versions
    /// of the same samples in the same order.
    ///
    /// # Errors
    /// When they are not whole views of all samples, or a value is not finite.
    pub fn with_views(mut self, views: &[f64]) -> Result<Self, CalibrationError> {
        let one = self.values.len();
        if views.is_empty() || !views.len().is_multiple_of(one) {
            return Err(CalibrationError::Shape {
                what: "views",
                found: views.len(),
                expected: views.len().div_ceil(one).max(1) * one,
            });
        }
        if let Some(at) = views.iter().position(|value| !value.is_finite()) {
            return Err(CalibrationError::ViewLogit {
                view: at / one,
                sample: at % one / self.classes,
                class: at % self.classes,
                value: views[at],
            });
        }
        self.views = views.chunks_exact(one).map(<[f64]>::to_vec).collect();
        Ok(self)
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.values.len() / self.classes
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of views of each sample.
    pub fn n_views(&self) -> usize {
        self.views.len()
    }

    /// All logits, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The logits of one sample.
    pub fn row(&self, sample: usize) -> &[f64] {
        &self.values[sample * self.classes..][..self.classes]
    }

    /// The logits of one view of a sample.
    pub fn view_row(&self, view: usize, sample: usize) -> &[f64] {
        &self.views[view][sample * self.classes..][..self.classes]
    }

    /// The given samples, in the given order, with their views.
    pub fn select(&self, samples: &[usize]) -> Self {
        let of = |values: &[f64]| {
            let rows = samples
                .iter()
                .map(|&i| &values[i * self.classes..][..self.classes]);
            rows.flatten().copied().collect()
        };
        Self {
            values: of(&self.values),
            classes: self.classes,
            views: self.views.iter().map(|view| of(view)).collect(),
        }
    }

    /// The predicted class of each sample: the highest logit, the first of equals.
    pub fn predicted(&self) -> Vec<usize> {
        self.values.chunks_exact(self.classes).map(top).collect()
    }

    /// Checks labels against the samples and classes.
    ///
    /// # Errors
    /// When there are more or fewer labels than samples, or one is no class.
    pub fn check_labels(&self, labels: &[usize]) -> Result<(), CalibrationError> {
        if labels.len() != self.samples() {
            return Err(CalibrationError::Shape {
                what: "labels",
                found: labels.len(),
                expected: self.samples(),
            });
        }
        match labels.iter().position(|&label| label >= self.classes) {
            Some(sample) => Err(CalibrationError::Label {
                sample,
                label: labels[sample],
                classes: self.classes,
            }),
            None => Ok(()),
        }
    }

    /// Probabilities `[samples, classes]`, each row made by `fill` from its logits.
    pub(super) fn map_rows(&self, fill: impl Fn(usize, &[f64], &mut [f64]) + Sync) -> Vec<f64> {
        let mut out = vec![0.0; self.values.len()];
        let rows = out.par_chunks_mut(self.classes).enumerate().with_min_len(CHUNK);
        rows.for_each(|(sample, out)| fill(sample, self.row(sample), out));
        out
    }

    /// `softmax(z)` of every row.
    pub fn probabilities(&self) -> Vec<f64> {
        self.map_rows(|_, row, out| softmax(row, 1.0, out))
    }

    /// The mean over the samples of a few numbers of each.
    pub(super) fn mean_of<const K: usize>(&self, of: impl Fn(usize, &[f64]) -> [f64; K] + Sync) -> [f64; K] {
        let samples = self.samples();
        let sums: Vec<[f64; K]> = (0..samples.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let mut sum = [0.0; K];
                for sample in chunk * CHUNK..samples.min((chunk + 1) * CHUNK) {
                    let one = of(sample, self.row(sample));
                    sum.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
                }
                sum
            })
            .collect();
        let mut mean = [0.0; K];
        for sum in sums {
            mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean += sum);
        }
        mean.map(|sum| sum / samples as f64)
    }
}

fn is_distribution(row: &[f64]) -> bool {
    let within = row.iter().all(|p| (0.0..=1.0 + SUM_TOLERANCE).contains(p));
    within && (row.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
}

/// The index of the highest value, the first of equals.
pub(super) fn top(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |top, k| if row[k] > row[top] { k } else { top })
}

/// `softmax(β z)`.
pub(super) fn softmax(row: &[f64], beta: f64, out: &mut [f64]) {
    let max = row[top(row)];
    let mut sum = 0.0;
    for (out, &z) in out.iter_mut().zip(row) {
        *out = (beta * (z - max)).exp();
        sum += *out;
    }
    out.iter_mut().for_each(|p| *p /= sum);
}

#[cfg(test)]
pub(super) mod tests {
    use thalweg_kernels::random::Stream;

    use super::*;

    /// Logits of the given spread, and labels that follow them more often than not.
    pub fn random_set(samples: usize, classes: usize, spread: f64, seed: u64) -> (Logits, Vec<usize>) {
        let mut stream = Stream::new(seed, "logits", 0);
        let values: Vec<f64> = (0..samples * classes)
            .map(|_| spread * (2.0 * stream.uniform() - 1.0))
            .collect();
        let logits = Logits::new(values, classes).unwrap();
        let labels = logits.predicted().into_iter().map(|top| {
            if stream.uniform() < 0.6 {
                top
            } else {
                stream.below(classes)
            }
        });
        let labels = labels.collect();
        (logits, labels)
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |values: &[f64], classes| Logits::new(values.to_vec(), classes).unwrap_err();
        assert_eq!(refused(&[], 3), CalibrationError::NoSamples);
        assert_eq!(refused(&[1.0], 1), CalibrationError::TooFewClasses(1));
        assert_eq!(
            refused(&[0.0; 7], 3).to_string(),
            "logits hold 7 numbers; 9 were expected"
        );
        assert_eq!(
            refused(&[0.0, 1.0, 2.0, f64::INFINITY], 2).to_string(),
            "the logit of sample 1 for class 1 is inf; logits are finite"
        );
        let logits = Logits::new(vec![0.0; 6], 3).unwrap();
        assert_eq!(
            logits.check_labels(&[0, 3]).unwrap_err().to_string(),
            "label 3 of sample 1 is not below the number of classes, 3"
        );
        assert!(logits.check_labels(&[0]).is_err());
        let mut views = vec![0.0; 12];
        views[10] = f64::NAN;
        assert!(matches!(
            logits.clone().with_views(&views).unwrap_err(),
            CalibrationError::ViewLogit {
                view: 1,
                sample: 1,
                class: 1,
                ..
            }
        ));
        assert!(logits.with_views(&[0.0; 9]).is_err());
    }

    #[test]
    fn selected_samples_take_their_views_along() {
        let logits = Logits::new((0..6).map(f64::from).collect(), 2).unwrap();
        let views: Vec<f64> = (10..22).map(f64::from).collect();
        let chosen = logits.with_views(&views).unwrap().select(&[2, 0]);
        assert_eq!(chosen.values(), [4.0, 5.0, 0.0, 1.0]);
        assert_eq!(chosen.view_row(1, 0), [20.0, 21.0]);
    }

    #[test]
    fn probabilities_are_their_own_softmax() {
        let probabilities = [0.2, 0.5, 0.3, 1.0, 0.0, 0.0];
        let logits = Logits::of_probabilities(&probabilities, 3).unwrap();
        for (found, expected) in logits.probabilities().into_iter().zip(probabilities) {
            assert!((found - expected).abs() < 1e-15);
        }
        assert!(!logits.look_like_probabilities());
        assert!(
            Logits::new(probabilities.to_vec(), 3)
                .unwrap()
                .look_like_probabilities()
        );
        for refused in [[0.2, 0.5], [1.5, -0.5]] {
            assert_eq!(
                Logits::of_probabilities(&refused, 2),
                Err(CalibrationError::NoDistribution { sample: 0 })
            );
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let logits = Logits::new(vec![1e4, -1e4, 0.0], 3).unwrap();
        assert_eq!(logits.probabilities(), [1.0, 0.0, 0.0]);
    }
}
