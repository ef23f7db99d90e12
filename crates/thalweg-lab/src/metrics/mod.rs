//! Metrics of a classifier, from its scores and the true labels.
//!
//! [`Scores`] checks both and computes the softmax once; each metric is a method; [`Scores::evaluate`] is all of
//! them. Everything accumulates in f64. Equal highest scores go to the class that comes first.

mod bags;
mod calibration;
mod catalogue;
mod ranking;

use std::collections::BTreeMap;

pub use bags::{of_bags, of_numbers};
pub use calibration::{BINS, pool_reliability};
pub use catalogue::{CATALOGUE, Direction, Format, Metric, TOP_K, find};

/// Why scores cannot be judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MetricError {
    #[error("metrics need at least one sample")]
    NoSamples,
    #[error("metrics need at least two classes, not {0}")]
    TooFewClasses(usize),
    #[error("{scores} scores are not {samples} rows of {classes}")]
    Shape {
        scores: usize,
        samples: usize,
        classes: usize,
    },
    #[error("label {label} of sample {sample} is not below the number of classes, {classes}")]
    Label {
        sample: usize,
        label: u32,
        classes: usize,
    },
    #[error(
        "the score of sample {sample} for class {class} is {score}: the model has diverged; \
         a lower learning rate may help"
    )]
    NotFinite { sample: usize, class: usize, score: f32 },
}

/// Scores of `n` samples for `c` classes with the true labels, ready to be judged.
#[derive(Clone, Debug)]
pub struct Scores<'a> {
    logits: &'a [f32],
    labels: &'a [u32],
    classes: usize,
    probabilities: Vec<f64>,
    predicted: Vec<usize>,
    /// Of each row: `Σ exp(z_k − z_max)` over all classes but the predicted one.
    others: Vec<f64>,
}

impl<'a> Scores<'a> {
    /// Takes row-major `logits` `[n, classes]` and `labels` `[n]`.
    ///
    /// # Errors
    /// When there is no sample, shapes disagree, a label is no class or a score is not finite.
    pub fn new(logits: &'a [f32], classes: usize, labels: &'a [u32]) -> Result<Self, MetricError> {
        if classes < 2 {
            return Err(MetricError::TooFewClasses(classes));
        }
        if labels.is_empty() {
            return Err(MetricError::NoSamples);
        }
        if logits.len() != labels.len() * classes {
            return Err(MetricError::Shape {
                scores: logits.len(),
                samples: labels.len(),
                classes,
            });
        }
        for (sample, &label) in labels.iter().enumerate() {
            if label as usize >= classes {
                return Err(MetricError::Label {
                    sample,
                    label,
                    classes,
                });
            }
        }
        if let Some(at) = logits.iter().position(|score| !score.is_finite()) {
            return Err(MetricError::NotFinite {
                sample: at / classes,
                class: at % classes,
                score: logits[at],
            });
        }
        let mut probabilities = Vec::with_capacity(logits.len());
        let mut predicted = Vec::with_capacity(labels.len());
        let mut others = Vec::with_capacity(labels.len());
        for row in logits.chunks_exact(classes) {
            let top = (1..classes).fold(0, |top, k| if row[k] > row[top] { k } else { top });
            let start = probabilities.len();
            probabilities.extend(row.iter().map(|&z| (f64::from(z) - f64::from(row[top])).exp()));
            let exponentials = &mut probabilities[start..];
            let rest: f64 = exponentials
                .iter()
                .enumerate()
                .filter(|&(k, _)| k != top)
                .map(|(_, e)| e)
                .sum();
            for value in exponentials {
                *value /= 1.0 + rest;
            }
            predicted.push(top);
            others.push(rest);
        }
        Ok(Self {
            logits,
            labels,
            classes,
            probabilities,
            predicted,
            others,
        })
    }

    /// Every metric of the [`CATALOGUE`] that scores alone decide, by name.
    ///
    /// `top_3_accuracy` is left out when there are no more than three classes; `auroc` is NaN when every sample is of
    /// one class.
    pub fn evaluate(&self) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::from([
            ("accuracy", self.accuracy()),
            ("balanced_accuracy", self.balanced_accuracy()),
            ("macro_f1", self.macro_f1()),
            ("auroc", self.auroc()),
            ("nll", self.negative_log_likelihood()),
            ("brier", self.brier()),
            ("ece_equal_width", self.ece_equal_width(BINS)),
            ("ece_equal_mass", self.ece_equal_mass(BINS)),
        ]);
        if self.classes > TOP_K {
            values.insert("top_3_accuracy", self.top_k_accuracy(TOP_K));
        }
        values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Softmax probabilities, row-major `[n, c]`.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// The class predicted for each sample.
    pub fn predicted(&self) -> &[usize] {
        &self.predicted
    }

    /// Share of samples predicted correctly.
    pub fn accuracy(&self) -> f64 {
        self.mean(|i| f64::from(u8::from(self.is_correct(i))))
    }

    /// Mean recall over the classes that have samples.
    pub fn balanced_accuracy(&self) -> f64 {
        let confusion = self.confusion();
        mean_of(confusion.iter().enumerate().filter_map(|(class, row)| {
            let total: u64 = row.iter().sum();
            (total > 0).then(|| row[class] as f64 / total as f64)
        }))
    }

    /// Share of samples whose class is among their `k` highest scores.
    pub fn top_k_accuracy(&self, k: usize) -> f64 {
        self.mean(|i| {
            let row = &self.logits[i * self.classes..(i + 1) * self.classes];
            let class = self.labels[i] as usize;
            let ahead = row
                .iter()
                .enumerate()
                .filter(|&(other, &z)| z > row[class] || (z == row[class] && other < class))
                .count();
            f64::from(u8::from(ahead < k))
        })
    }

    /// Mean F1 over the classes that occur among labels or predictions.
    pub fn macro_f1(&self) -> f64 {
        let confusion = self.confusion();
        mean_of((0..self.classes).filter_map(|class| {
            let actual: u64 = confusion[class].iter().sum();
            let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
            let found = confusion[class][class];
            (actual + predicted > 0).then(|| 2.0 * found as f64 / (actual + predicted) as f64)
        }))
    }

    /// Mean of minus the log probability of the true class, nats.
    pub fn negative_log_likelihood(&self) -> f64 {
        self.mean(|i| {
            let score = |class: usize| f64::from(self.logits[i * self.classes + class]);
            score(self.predicted[i]) - score(self.labels[i] as usize) + self.others[i].ln_1p()
        })
    }

    /// Mean over samples of `Σ_k (p_k − [y = k])²`, between 0 and 2.
    pub fn brier(&self) -> f64 {
        self.mean(|i| {
            let row = &self.probabilities[i * self.classes..(i + 1) * self.classes];
            row.iter()
                .enumerate()
                .map(|(k, p)| (p - f64::from(u8::from(k == self.labels[i] as usize))).powi(2))
                .sum()
        })
    }

    /// Number of samples by true class (row) and predicted class (column).
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (&label, &predicted) in self.labels.iter().zip(&self.predicted) {
            counts[label as usize][predicted] += 1;
        }
        counts
    }

    fn samples(&self) -> usize {
        self.labels.len()
    }

    fn is_correct(&self, sample: usize) -> bool {
        self.predicted[sample] == self.labels[sample] as usize
    }

    fn mean(&self, value: impl Fn(usize) -> f64) -> f64 {
        mean_of((0..self.samples()).map(value))
    }
}

/// The mean, NaN of nothing.
fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

#[cfg(test)]
mod tests;
