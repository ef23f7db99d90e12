//! Vector and matrix scaling: `softmax(W z + b)` with a diagonal or a full W. Predictions may change.
//!
//! Fitted from temperature scaling by minimising, in units of the temperature-scaled logits `z/T`,
//! `NLL + λ · mean_{i≠j} W_ij² + μ · mean b²`: the off-diagonal and intercept regularisation (ODIR) without which a full
//! matrix overfits. The problem is convex. Sources: Guo, Pleiss, Sun, Weinberger, ICML 2017; Kull, Perello-Nieto,
//! Kängsepp, Silva Filho, Song, Flach, NeurIPS 2019.

use burn::config::Config;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::lbfgs::{Stop, minimise};
use super::logits::softmax;
use super::{Logits, TemperatureScaling};
use crate::ConfigError;
use crate::classification::CompSumLossConfig;
use crate::config::require;

/// Which entries of W are fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slope {
    /// The diagonal: vector scaling.
    Diagonal,
    /// All: matrix scaling.
    Full,
}

/// How [`AffineScaling`] is fitted.
#[derive(Config, Debug)]
pub struct AffineScalingConfig {
    /// Which entries of W.
    pub slope: Slope,
    /// λ, at least 0: weight of the mean square of the entries off the diagonal. Of no effect on vector scaling.
    #[config(default = 1.0)]
    pub off_diagonal_penalty: f64,
    /// μ, at least 0: weight of the mean square of the intercepts. Keeps classes without samples in reach.
    #[config(default = 0.01)]
    pub intercept_penalty: f64,
    /// Iterations of L-BFGS at most.
    #[config(default = 300)]
    pub iterations: usize,
}

/// `softmax(W z + b)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffineScaling {
    /// Which entries `weights` holds.
    pub slope: Slope,
    /// The diagonal of W, or W row by row.
    pub weights: Vec<f64>,
    /// b.
    pub intercepts: Vec<f64>,
}

impl AffineScalingConfig {
    /// Fits W and b.
    ///
    /// # Errors
    /// When a penalty is negative.
    ///
    /// # Panics
    /// When labels and samples do not go together; see [`Logits::check_labels`].
    pub fn fit(&self, logits: &Logits, labels: &[usize]) -> Result<AffineScaling, ConfigError> {
        let valid = |penalty: f64| penalty >= 0.0 && penalty.is_finite();
        for (name, penalty) in [
            ("off_diagonal_penalty", self.off_diagonal_penalty),
            ("intercept_penalty", self.intercept_penalty),
        ] {
            require("affine scaling", name, penalty, "at least 0 and finite", valid)?;
        }
        let (samples, classes) = (logits.samples(), logits.classes());
        let temperature = TemperatureScaling::fit(logits, labels).temperature;
        let device = Device::flex();
        let scaled: Vec<f64> = logits.values().iter().map(|z| z / temperature).collect();
        let scaled =
            Tensor::<2>::from_data(TensorData::new(scaled, [samples, classes]), (&device, DType::F64));
        let targets: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [samples]), &device);
        let slopes = match self.slope {
            Slope::Diagonal => classes,
            Slope::Full => classes * classes,
        };
        let mut start = vec![0.0; slopes + classes];
        let diagonal = slopes / classes + usize::from(self.slope == Slope::Full);
        start[..slopes]
            .iter_mut()
            .step_by(diagonal)
            .for_each(|w| *w = 1.0);
        let stop = Stop {
            iterations: self.iterations,
            gradient: 1e-7,
        };
        let fitted = minimise(start, stop, |parameters| {
            self.objective(parameters, slopes, &scaled, &targets)
        });
        let (weights, intercepts) = fitted.split_at(slopes);
        Ok(AffineScaling {
            slope: self.slope,
            weights: weights.iter().map(|w| w / temperature).collect(),
            intercepts: intercepts.to_vec(),
        })
    }

    fn objective(
        &self,
        parameters: &[f64],
        slopes: usize,
        scaled: &Tensor<2>,
        targets: &Tensor<1, Int>,
    ) -> (f64, Vec<f64>) {
        let [_, classes] = scaled.dims();
        let device = Device::flex().autodiff();
        let leaf = |values: &[f64], rows: usize| {
            let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
            Tensor::<2>::from_data(data, (&device, DType::F64)).require_grad()
        };
        let weights = leaf(&parameters[..slopes], slopes / classes);
        let intercepts = leaf(&parameters[slopes..], 1);
        let inputs = scaled.clone().autodiff();
        let mut penalty = intercepts.clone().square().mean() * self.intercept_penalty;
        let sums = match self.slope {
            Slope::Diagonal => inputs * weights.clone(),
            Slope::Full => {
                let off: Vec<f64> = (0..classes * classes)
                    .map(|entry| f64::from(u8::from(entry % (classes + 1) != 0)))
                    .collect();
                let off = TensorData::new(off, [classes, classes]);
                let off = Tensor::<2>::from_data(off, (&device, DType::F64));
                let pairs = (classes * (classes - 1)) as f64;
                let squares = (weights.clone() * off).square().sum();
                penalty = penalty + squares * (self.off_diagonal_penalty / pairs);
                inputs.matmul(weights.clone().transpose())
            }
        };
        let cross_entropy = CompSumLossConfig::new()
            .init()
            .expect("cross-entropy has no bad value");
        let value = cross_entropy.forward(sums + intercepts.clone(), targets.clone()) + penalty;
        let gradients = value.backward();
        let read = |leaf: &Tensor<2>| {
            let gradient = leaf.grad(&gradients).expect("the likelihood depends on it");
            gradient
                .into_data()
                .try_into_vec_as::<f64>()
                .expect("gradients are floats")
        };
        (
            value.into_scalar::<f64>(),
            [read(&weights), read(&intercepts)].concat(),
        )
    }
}

impl AffineScaling {
    /// `softmax(W z + b)`, `[samples, classes]`.
    pub fn probabilities(&self, logits: &Logits) -> Vec<f64> {
        let classes = logits.classes();
        logits.map_rows(|_, row, out| {
            let sums: Vec<f64> = (0..classes)
                .map(|class| {
                    let sum = match self.slope {
                        Slope::Diagonal => self.weights[class] * row[class],
                        Slope::Full => {
                            let weights = &self.weights[class * classes..][..classes];
                            weights.iter().zip(row).map(|(w, z)| w * z).sum()
                        }
                    };
                    sum + self.intercepts[class]
                })
                .collect();
            softmax(&sums, 1.0, out);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::logits::tests::random_set;
    use super::*;

    fn fit(slope: Slope, logits: &Logits, labels: &[usize]) -> AffineScaling {
        AffineScalingConfig::new(slope).fit(logits, labels).unwrap()
    }

    fn nll(fitted: &AffineScaling, logits: &Logits, labels: &[usize]) -> f64 {
        let probabilities = fitted.probabilities(logits);
        let rows = probabilities.chunks(logits.classes()).zip(labels);
        -rows.map(|(row, &label)| row[label].ln()).sum::<f64>() / labels.len() as f64
    }

    #[test]
    fn what_was_done_to_the_logits_is_undone() {
        // Logits of a calibrated model, then stretched and shifted class by class.
        let (logits, _) = random_set(4000, 3, 3.0, 1);
        let mut stream = thalweg_kernels::random::Stream::new(1, "labels", 0);
        let probabilities = logits.probabilities();
        let labels: Vec<usize> = probabilities
            .chunks(3)
            .map(|p| {
                let u = stream.uniform();
                usize::from(u > p[0]) + usize::from(u > p[0] + p[1])
            })
            .collect();
        let (stretch, shift) = ([2.0, 0.5, 1.0], [1.0, 0.0, -1.0]);
        let bent = logits.values().iter().enumerate();
        let bent: Vec<f64> = bent.map(|(i, z)| stretch[i % 3] * z + shift[i % 3]).collect();
        let bent = Logits::new(bent, 3).unwrap();
        let config = AffineScalingConfig::new(Slope::Diagonal).with_intercept_penalty(0.0);
        let fitted = config.fit(&bent, &labels).unwrap();
        for (weight, stretch) in fitted.weights.iter().zip(stretch) {
            assert!((weight * stretch - 1.0).abs() < 0.15, "{weight} {stretch}");
        }
        let true_nll = TemperatureScaling { temperature: 1.0 }.negative_log_likelihood(&logits, &labels);
        assert!(
            nll(&fitted, &bent, &labels) <= true_nll + 1e-6,
            "the true parameters are no better"
        );
    }

    #[test]
    fn more_freedom_fits_no_worse_and_penalties_bind() {
        let (logits, labels) = random_set(200, 4, 4.0, 5);
        let temperature = TemperatureScaling::fit(&logits, &labels);
        let scaled = temperature.negative_log_likelihood(&logits, &labels);
        assert!(nll(&fit(Slope::Diagonal, &logits, &labels), &logits, &labels) <= scaled);
        assert!(nll(&fit(Slope::Full, &logits, &labels), &logits, &labels) <= scaled);
        let stiff = AffineScalingConfig::new(Slope::Full)
            .with_off_diagonal_penalty(1e6)
            .fit(&logits, &labels)
            .unwrap();
        for (index, weight) in stiff.weights.iter().enumerate() {
            assert!(index % 5 == 0 || weight.abs() < 1e-4);
        }
        let refused = AffineScalingConfig::new(Slope::Full).with_off_diagonal_penalty(-1.0);
        assert!(refused.fit(&logits, &labels).is_err());
    }

    #[test]
    fn at_the_minimum_the_gradient_is_none() {
        let (logits, labels) = random_set(150, 3, 2.0, 9);
        let config = AffineScalingConfig::new(Slope::Full);
        let fitted = config.fit(&logits, &labels).unwrap();
        let temperature = TemperatureScaling::fit(&logits, &labels).temperature;
        let device = Device::flex();
        let scaled: Vec<f64> = logits.values().iter().map(|z| z / temperature).collect();
        let scaled = Tensor::<2>::from_data(TensorData::new(scaled, [150, 3]), (&device, DType::F64));
        let targets: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [150]), &device);
        let weights = fitted.weights.iter().map(|w| w * temperature);
        let parameters: Vec<f64> = weights.chain(fitted.intercepts.iter().copied()).collect();
        let (_, gradient) = config.objective(&parameters, 9, &scaled, &targets);
        assert!(gradient.iter().all(|slope| slope.abs() < 1e-6), "{gradient:?}");
    }
}
