//! Every method behind one door: fitted to logits and labels, applied to new logits.

use burn::config::Config;
use serde::{Deserialize, Serialize};

use super::logits::softmax;
use super::{
    AffineScaling, AffineScalingConfig, CalibrationError, EnsembleTemperatureScaling, HistogramBinning,
    IsotonicCalibration, Logits, Method, NetworkTrainingConfig, Slope, TemperatureNetwork,
    TemperatureScaling, view_features,
};

/// How calibrators are fitted.
#[derive(Config, Debug)]
pub struct CalibratorConfig {
    /// The method.
    pub method: Method,
    /// Bins a class, for histogram binning.
    #[config(default = 15)]
    pub n_bins: usize,
    /// λ of matrix scaling; see [`AffineScalingConfig`].
    #[config(default = 1.0)]
    pub off_diagonal_penalty: f64,
    /// μ of vector and matrix scaling.
    #[config(default = 0.01)]
    pub intercept_penalty: f64,
    /// Classes of the original at which views are looked at.
    #[config(default = 4)]
    pub top_k: usize,
    /// Hidden units of the network.
    #[config(default = 5)]
    pub hidden: usize,
    /// Adam steps of the network; see [`NetworkTrainingConfig`].
    #[config(default = 600)]
    pub steps: usize,
    /// Its learning rate.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Its samples a step.
    #[config(default = 1000)]
    pub batch_size: usize,
    /// Seed of its weights and batches.
    #[config(default = 0)]
    pub seed: u64,
}

/// What a method has learnt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fitted {
    Temperature(TemperatureScaling),
    Ensemble(EnsembleTemperatureScaling),
    Affine(AffineScaling),
    Isotonic(IsotonicCalibration),
    Histogram(HistogramBinning),
    Network(ViewNetwork),
}

/// A network with what its features are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewNetwork {
    pub(super) views: usize,
    pub(super) top_k: usize,
    pub(super) network: TemperatureNetwork,
}

/// A fitted calibrator.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrator {
    pub(super) method: Method,
    pub(super) classes: usize,
    pub(super) samples: usize,
    pub(super) fitted: Fitted,
}

impl CalibratorConfig {
    /// Fits a calibrator to the logits and labels of samples that the classifier was not trained on.
    ///
    /// # Errors
    /// When labels and samples do not go together, views are needed and missing, or a setting is out of range.
    pub fn fit(&self, logits: &Logits, labels: &[usize]) -> Result<Calibrator, CalibrationError> {
        logits.check_labels(labels)?;
        let at_least_one = |value: f64| value >= 1.0;
        for (name, value) in [
            ("n_bins", self.n_bins),
            ("top_k", self.top_k),
            ("hidden", self.hidden),
        ] {
            crate::config::require("calibrator", name, value as f64, "at least 1", at_least_one)?;
        }
        let fitted = match self.method {
            Method::Temperature => Fitted::Temperature(TemperatureScaling::fit(logits, labels)),
            Method::EnsembleTemperature => Fitted::Ensemble(EnsembleTemperatureScaling::fit(logits, labels)),
            Method::Vector => Fitted::Affine(self.affine(Slope::Diagonal).fit(logits, labels)?),
            Method::Matrix => Fitted::Affine(self.affine(Slope::Full).fit(logits, labels)?),
            Method::Isotonic => Fitted::Isotonic(IsotonicCalibration::fit(logits, labels)),
            Method::Histogram => Fitted::Histogram(HistogramBinning::fit(logits, labels, self.n_bins)),
            Method::CorrectnessAware
            | Method::CorrectnessAwareBalanced
            | Method::CrossEntropyNetwork
            | Method::BrierNetwork => Fitted::Network(self.network(logits, labels)?),
        };
        Ok(Calibrator {
            method: self.method,
            classes: logits.classes(),
            samples: logits.samples(),
            fitted,
        })
    }

    fn affine(&self, slope: Slope) -> AffineScalingConfig {
        AffineScalingConfig::new(slope)
            .with_off_diagonal_penalty(self.off_diagonal_penalty)
            .with_intercept_penalty(self.intercept_penalty)
    }

    fn network(&self, logits: &Logits, labels: &[usize]) -> Result<ViewNetwork, CalibrationError> {
        let missing = CalibrationError::ViewsMissing { method: self.method };
        let objective = self.method.objective().ok_or(missing.clone())?;
        if logits.n_views() == 0 {
            return Err(missing);
        }
        let top_k = self.top_k.min(logits.classes());
        let start = TemperatureNetwork::new(
            logits.n_views() * top_k,
            self.hidden,
            TemperatureScaling::fit(logits, labels).temperature,
            self.seed,
        );
        let training = NetworkTrainingConfig::new(objective)
            .with_steps(self.steps)
            .with_learning_rate(self.learning_rate)
            .with_batch_size(self.batch_size)
            .with_seed(self.seed);
        let trained = training.train(&start, &view_features(logits, top_k), logits, labels)?;
        Ok(ViewNetwork {
            views: logits.n_views(),
            top_k,
            network: trained.network,
        })
    }
}

impl Calibrator {
    /// The method it was fitted by.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The number of classes it was fitted to.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of samples it was fitted to.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Calibrated probabilities, `[samples, classes]`.
    ///
    /// # Errors
    /// When there are other classes or views than it was fitted to.
    pub fn probabilities(&self, logits: &Logits) -> Result<Vec<f64>, CalibrationError> {
        if logits.classes() != self.classes {
            return Err(CalibrationError::ClassesDiffer {
                fitted: self.classes,
                given: logits.classes(),
            });
        }
        Ok(match &self.fitted {
            Fitted::Temperature(fitted) => fitted.probabilities(logits),
            Fitted::Ensemble(fitted) => fitted.probabilities(logits),
            Fitted::Affine(fitted) => fitted.probabilities(logits),
            Fitted::Isotonic(fitted) => fitted.probabilities(logits),
            Fitted::Histogram(fitted) => fitted.probabilities(logits),
            Fitted::Network(fitted) => {
                if logits.n_views() == 0 {
                    return Err(CalibrationError::ViewsMissing { method: self.method });
                }
                if logits.n_views() != fitted.views {
                    return Err(CalibrationError::ViewsDiffer {
                        fitted: fitted.views,
                        given: logits.n_views(),
                    });
                }
                let temperatures = fitted.network.temperatures(&view_features(logits, fitted.top_k));
                logits.map_rows(|sample, row, out| softmax(row, 1.0 / temperatures[sample], out))
            }
        })
    }

    /// What it has learnt, in a few words.
    pub fn summary(&self) -> String {
        match &self.fitted {
            Fitted::Temperature(fitted) => format!("T = {:.4}", fitted.temperature),
            Fitted::Ensemble(fitted) => {
                let [scaled, plain, uniform] = fitted.weights;
                format!(
                    "{scaled:.3} of T = {:.4}, {plain:.3} unscaled, {uniform:.3} uniform",
                    fitted.temperature
                )
            }
            Fitted::Affine(fitted) => {
                format!("{} parameters", fitted.weights.len() + fitted.intercepts.len())
            }
            Fitted::Isotonic(fitted) => {
                let steps: usize = fitted.curves.iter().map(|curve| curve.x.len()).sum();
                format!("{} functions, {steps} nodes", fitted.curves.len())
            }
            Fitted::Histogram(fitted) => {
                let bins = fitted.bins.first().map_or(0, Vec::len);
                format!("{} functions of {bins} bins", fitted.bins.len())
            }
            Fitted::Network(fitted) => format!(
                "{} parameters on {} views",
                fitted.network.flat().len(),
                fitted.views
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Predictions;
    use super::super::logits::tests::random_set;
    use super::super::logits::top;
    use super::*;

    fn with_views(samples: usize, classes: usize, seed: u64) -> (Logits, Vec<usize>) {
        let (logits, labels) = random_set(samples, classes, 4.0, seed);
        let (views, _) = random_set(3 * samples, classes, 4.0, !seed);
        (logits.with_views(views.values()).unwrap(), labels)
    }

    fn quick(method: Method) -> CalibratorConfig {
        CalibratorConfig::new(method).with_steps(20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_method_gives_distributions_and_keeps_what_it_says(seed in any::<u64>(), classes in 2_usize..6) {
            let (logits, labels) = with_views(40, classes, seed);
            for method in Method::ALL {
                let calibrator = quick(method).fit(&logits, &labels).unwrap();
                let probabilities = calibrator.probabilities(&logits).unwrap();
                for row in probabilities.chunks(classes) {
                    prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{method}");
                    prop_assert!(row.iter().all(|p| (0.0..=1.0 + 1e-12).contains(p)), "{method}");
                }
                if method.keeps_predictions() {
                    let predicted: Vec<usize> = probabilities.chunks(classes).map(top).collect();
                    prop_assert_eq!(predicted, logits.predicted(), "{}", method);
                    let after = Predictions::of_probabilities(&probabilities, classes, &labels).unwrap();
                    let before = Predictions::of_probabilities(&logits.probabilities(), classes, &labels).unwrap();
                    prop_assert_eq!(after.accuracy(), before.accuracy());
                }
            }
        }
    }

    #[test]
    fn one_sample_and_extreme_logits_are_stood() {
        let one = Logits::new(vec![1e4, -1e4, 0.0], 3).unwrap();
        let one = one.with_views(&[0.0, 1e4, -1e4]).unwrap();
        for method in Method::ALL {
            for label in 0..3 {
                let calibrator = quick(method).fit(&one, &[label]).unwrap();
                let probabilities = calibrator.probabilities(&one).unwrap();
                assert!(
                    probabilities.iter().all(|p| p.is_finite()),
                    "{method}, label {label}"
                );
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (logits, labels) = with_views(20, 3, 1);
        let (bare, _) = random_set(20, 3, 4.0, 1);
        let refused = quick(Method::CorrectnessAware).fit(&bare, &labels).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "correctness-aware needs logits of transformed views of each sample, and there are none"
        );
        let calibrator = quick(Method::CorrectnessAware).fit(&logits, &labels).unwrap();
        assert!(matches!(
            calibrator.probabilities(&bare),
            Err(CalibrationError::ViewsMissing { .. })
        ));
        let two = bare.clone().with_views(&[0.0; 120]).unwrap();
        assert!(matches!(
            calibrator.probabilities(&two),
            Err(CalibrationError::ViewsDiffer { fitted: 3, given: 2 })
        ));
        let (other, _) = random_set(20, 4, 4.0, 1);
        assert!(matches!(
            calibrator.probabilities(&other),
            Err(CalibrationError::ClassesDiffer { fitted: 3, given: 4 })
        ));
        assert!(
            quick(Method::Histogram)
                .with_n_bins(0)
                .fit(&logits, &labels)
                .is_err()
        );
        assert!(quick(Method::Temperature).fit(&logits, &labels[1..]).is_err());
    }
}
