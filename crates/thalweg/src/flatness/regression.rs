//! Softmax regression without a bias, `logits = X Wᵀ`, under its mean cross-entropy: the landscape whose derivatives are
//! known in closed form. With p the probabilities of a sample and u = X Vᵀ its scores in a direction V, the gradient is
//! `(P − Y)ᵀX/n` and the Hessian's product with V is `(p ⊙ u − p (pᵀu))ᵀX/n`, row by row.

use super::landscape::{Landscape, dot};

/// The mean cross-entropy of samples as a function of the weights `[classes, features]`, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxRegression {
    features: Vec<f64>,
    labels: Vec<usize>,
    width: usize,
    classes: usize,
}

impl SoftmaxRegression {
    /// Of features `[samples, width]` in row-major order, and a label below `classes` for each.
    ///
    /// # Panics
    /// When there is no sample, features are not whole rows, or a label is out of range.
    pub fn new(features: Vec<f64>, labels: Vec<usize>, width: usize, classes: usize) -> Self {
        assert!(!labels.is_empty(), "a mean over no samples");
        assert_eq!(
            features.len(),
            labels.len() * width,
            "{} features for {} samples of {width}",
            features.len(),
            labels.len()
        );
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            panic!("label {label} is not below the number of classes, {classes}");
        }
        Self {
            features,
            labels,
            width,
            classes,
        }
    }

    /// The features and label of each sample.
    fn samples(&self) -> impl Iterator<Item = (&[f64], usize)> {
        let rows = (0..self.labels.len()).map(|row| &self.features[row * self.width..][..self.width]);
        rows.zip(self.labels.iter().copied())
    }

    /// `W x`.
    fn scores(&self, weights: &[f64], sample: &[f64], out: &mut [f64]) {
        for (k, out) in out.iter_mut().enumerate() {
            *out = dot(&weights[k * self.width..][..self.width], sample);
        }
    }

    /// Adds `share · slopes xᵀ`.
    fn add_outer(&self, slopes: &[f64], sample: &[f64], share: f64, out: &mut [f64]) {
        for (k, slope) in slopes.iter().enumerate() {
            let row = &mut out[k * self.width..][..self.width];
            for (out, x) in row.iter_mut().zip(sample) {
                *out += share * slope * x;
            }
        }
    }

    fn share(&self) -> f64 {
        1.0 / self.labels.len() as f64
    }
}

/// Scores become their softmax; returns the logarithm of the sum of their exponentials.
fn softmax(scores: &mut [f64]) -> f64 {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for score in &mut *scores {
        *score = (*score - top).exp();
        total += *score;
    }
    scores.iter_mut().for_each(|score| *score /= total);
    top + total.ln()
}

impl Landscape for SoftmaxRegression {
    fn dimension(&self) -> usize {
        self.classes * self.width
    }

    fn gradient(&self, at: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let (mut slopes, mut loss) = (vec![0.0; self.classes], 0.0);
        for (sample, label) in self.samples() {
            self.scores(at, sample, &mut slopes);
            let own = slopes[label];
            loss += softmax(&mut slopes) - own;
            slopes[label] -= 1.0;
            self.add_outer(&slopes, sample, self.share(), gradient);
        }
        loss * self.share()
    }

    fn loss(&self, at: &[f64]) -> f64 {
        let mut scores = vec![0.0; self.classes];
        let losses = self.samples().map(|(sample, label)| {
            self.scores(at, sample, &mut scores);
            let own = scores[label];
            softmax(&mut scores) - own
        });
        losses.sum::<f64>() * self.share()
    }

    fn hessian_product(&self, at: &[f64], direction: &[f64], product: &mut [f64]) {
        product.fill(0.0);
        let (mut probabilities, mut moved) = (vec![0.0; self.classes], vec![0.0; self.classes]);
        for (sample, _) in self.samples() {
            self.scores(at, sample, &mut probabilities);
            softmax(&mut probabilities);
            self.scores(direction, sample, &mut moved);
            let mean = dot(&probabilities, &moved);
            for (moved, p) in moved.iter_mut().zip(&probabilities) {
                *moved = p * (*moved - mean);
            }
            self.add_outer(&moved, sample, self.share(), product);
        }
    }
}
