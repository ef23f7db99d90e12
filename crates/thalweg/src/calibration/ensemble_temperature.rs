//! Ensemble temperature scaling: `w₁ softmax(z/T) + w₂ softmax(z) + w₃/C` with weights on the simplex. Predictions stay.
//!
//! T is that of temperature scaling; the weights maximise the likelihood, by expectation and maximisation, which never
//! lowers it. Source: Zhang, Kailkhura, Han, "Mix-n-Match", ICML 2020.

use serde::{Deserialize, Serialize};

use super::logits::softmax;
use super::{Logits, TemperatureScaling};

/// Sweeps of expectation and maximisation at most.
const SWEEPS: usize = 2000;

/// A temperature and three weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleTemperatureScaling {
    /// What logits are divided by in the first component.
    pub temperature: f64,
    /// Shares of the scaled, the unscaled and the uniform distribution; they sum to 1.
    pub weights: [f64; 3],
}

impl EnsembleTemperatureScaling {
    /// Temperature, then weights.
    ///
    /// # Panics
    /// When labels and samples do not go together; see [`Logits::check_labels`].
    pub fn fit(logits: &Logits, labels: &[usize]) -> Self {
        let scaling = TemperatureScaling::fit(logits, labels);
        let classes = logits.classes();
        let of_labels = |probabilities: Vec<f64>| -> Vec<f64> {
            let rows = probabilities.chunks_exact(classes).zip(labels);
            rows.map(|(row, &label)| row[label]).collect()
        };
        let scaled = of_labels(scaling.probabilities(logits));
        let plain = of_labels(logits.probabilities());
        let uniform = 1.0 / classes as f64;
        let mut weights = [1.0 / 3.0; 3];
        for _ in 0..SWEEPS {
            let mut next = [0.0; 3];
            for (&scaled, &plain) in scaled.iter().zip(&plain) {
                let parts = [weights[0] * scaled, weights[1] * plain, weights[2] * uniform];
                let total: f64 = parts.iter().sum();
                next.iter_mut()
                    .zip(parts)
                    .for_each(|(next, part)| *next += part / total);
            }
            let next = next.map(|sum| sum / labels.len() as f64);
            let moved = (0..3).map(|i| (next[i] - weights[i]).abs()).fold(0.0, f64::max);
            weights = next;
            if moved < 1e-10 {
                break;
            }
        }
        Self {
            temperature: scaling.temperature,
            weights,
        }
    }

    /// The mixture, `[samples, classes]`.
    pub fn probabilities(&self, logits: &Logits) -> Vec<f64> {
        let [scaled, plain, uniform] = self.weights;
        let classes = logits.classes();
        logits.map_rows(|_, row, out| {
            let mut unscaled = vec![0.0; classes];
            softmax(row, 1.0, &mut unscaled);
            softmax(row, 1.0 / self.temperature, out);
            for (out, unscaled) in out.iter_mut().zip(unscaled) {
                *out = scaled * *out + plain * unscaled + uniform / classes as f64;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::logits::tests::random_set;
    use super::super::logits::top;
    use super::*;

    fn nll(probabilities: &[f64], classes: usize, labels: &[usize]) -> f64 {
        let rows = probabilities.chunks(classes).zip(labels);
        -rows.map(|(row, &label)| row[label].ln()).sum::<f64>() / labels.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_is_no_less_likely_than_any_of_its_parts(seed in any::<u64>(), spread in 0.5..10.0_f64) {
            let (logits, labels) = random_set(80, 4, spread, seed);
            let fitted = EnsembleTemperatureScaling::fit(&logits, &labels);
            prop_assert!((fitted.weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(fitted.weights.iter().all(|&weight| weight >= 0.0));
            let mixed = fitted.probabilities(&logits);
            let found = nll(&mixed, 4, &labels);
            let scaled = TemperatureScaling { temperature: fitted.temperature }.probabilities(&logits);
            for part in [nll(&scaled, 4, &labels), nll(&logits.probabilities(), 4, &labels), 4_f64.ln()] {
                prop_assert!(found <= part + 1e-6, "{found} against {part}");
            }
            let predicted: Vec<usize> = mixed.chunks(4).map(top).collect();
            prop_assert_eq!(predicted, logits.predicted());
        }
    }
}
