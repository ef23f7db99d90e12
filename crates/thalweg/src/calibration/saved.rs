//! A calibrator as a file: JSON that says what it is.
//!
//! ```json
//! {"format": "thalweg-calibrator", "version": 1, "method": "temperature", "classes": 10, "samples": 5000,
//!  "input": "logits [samples, classes]", "output": "probabilities [samples, classes]",
//!  "parameters": {"temperature": 1.37}}
//! ```
//!
//! or safetensors with the same document in its metadata ([`Calibrator::to_safetensors`]). Numbers come back with the
//! same bits.

mod tensors;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calibrator::{Fitted, ViewNetwork};
use super::{AffineScaling, Calibrator, IsotonicRegression, Method, Slope, TemperatureNetwork};

/// What the file calls itself.
pub const FORMAT: &str = "thalweg-calibrator";
/// The version that is written, and the newest that is read.
pub const VERSION: u64 = 1;

/// Why a file is no calibrator that can be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SavedError {
    #[error("not a saved calibrator: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not a calibrator in safetensors: {0}")]
    Tensors(String),
    #[error("not a saved calibrator: its format is `{0}`, not `{FORMAT}`")]
    Format(String),
    #[error("the calibrator is of version {0}; this thalweg reads versions up to {VERSION}")]
    Version(u64),
    #[error("the calibrator's method cannot be used: {0}")]
    Method(String),
    #[error("the parameters of the {method} calibrator are unusable: {problem}")]
    Parameters { method: Method, problem: String },
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: String,
    version: u64,
    method: String,
    classes: usize,
    samples: usize,
    #[serde(default)]
    input: String,
    #[serde(default)]
    output: String,
    parameters: Value,
}

impl Calibrator {
    /// The calibrator as JSON, indented.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.saved()).expect("texts and numbers are JSON")
    }

    fn document(&self) -> Value {
        serde_json::to_value(self.saved()).expect("texts and numbers are JSON")
    }

    fn saved(&self) -> Saved {
        let parameters = match &self.fitted {
            Fitted::Temperature(fitted) => serde_json::to_value(fitted),
            Fitted::Ensemble(fitted) => serde_json::to_value(fitted),
            Fitted::Affine(fitted) => serde_json::to_value(fitted),
            Fitted::Isotonic(fitted) => serde_json::to_value(fitted),
            Fitted::Histogram(fitted) => serde_json::to_value(fitted),
            Fitted::Network(fitted) => serde_json::to_value(fitted),
        };
        let input = match &self.fitted {
            Fitted::Network(fitted) => format!(
                "logits [samples, {classes}], and [{views}, samples, {classes}] of {views} transformed views",
                classes = self.classes,
                views = fitted.views
            ),
            _ => format!("logits [samples, {}]", self.classes),
        };
        Saved {
            format: FORMAT.to_owned(),
            version: VERSION,
            method: self.method.name().to_owned(),
            classes: self.classes,
            samples: self.samples,
            input,
            output: format!("probabilities [samples, {}]", self.classes),
            parameters: parameters.expect("parameters are finite numbers"),
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote, and checks it.
    ///
    /// # Errors
    /// When it is no calibrator, of a later version, of an unknown method, or its parameters do not go together.
    pub fn from_json(text: &str) -> Result<Self, SavedError> {
        Self::from_document(serde_json::from_str(text)?)
    }

    /// Reads a file of either kind.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json) and [`from_safetensors`](Self::from_safetensors).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SavedError> {
        // A safetensors file starts with the length of its header, which as text would be beyond any file.
        let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
        if length.is_some_and(|length| length <= bytes.len() as u64) {
            Self::from_safetensors(bytes)
        } else {
            Self::from_document(serde_json::from_slice(bytes)?)
        }
    }

    fn from_document(document: Value) -> Result<Self, SavedError> {
        // A file of something else is told so before any field is missed.
        let format = document
            .get("format")
            .and_then(Value::as_str)
            .unwrap_or("nothing");
        if format != FORMAT {
            return Err(SavedError::Format(format.to_owned()));
        }
        if let Some(version) = document.get("version").and_then(Value::as_u64)
            && !(1..=VERSION).contains(&version)
        {
            return Err(SavedError::Version(version));
        }
        let saved: Saved = serde_json::from_value(document)?;
        let method: Method = saved.method.parse().map_err(SavedError::Method)?;
        let unusable = |problem: String| SavedError::Parameters { method, problem };
        if saved.classes < 2 {
            return Err(unusable(format!("{} classes", saved.classes)));
        }
        let fitted = parameters(method, saved.parameters).map_err(|error| unusable(error.to_string()))?;
        check(method, saved.classes, &fitted).map_err(unusable)?;
        Ok(Self {
            method,
            classes: saved.classes,
            samples: saved.samples,
            fitted,
        })
    }
}

fn parameters(method: Method, value: Value) -> Result<Fitted, serde_json::Error> {
    use serde_json::from_value;
    Ok(match method {
        Method::Temperature => Fitted::Temperature(from_value(value)?),
        Method::EnsembleTemperature => Fitted::Ensemble(from_value(value)?),
        Method::Vector | Method::Matrix => Fitted::Affine(from_value(value)?),
        Method::Isotonic => Fitted::Isotonic(from_value(value)?),
        Method::Histogram => Fitted::Histogram(from_value(value)?),
        Method::CorrectnessAware
        | Method::CorrectnessAwareBalanced
        | Method::CrossEntropyNetwork
        | Method::BrierNetwork => Fitted::Network(from_value(value)?),
    })
}

/// What keeps the parameters from giving probabilities of so many classes. JSON has no infinities, so that all numbers
/// are finite.
fn check(method: Method, classes: usize, fitted: &Fitted) -> Result<(), String> {
    match fitted {
        Fitted::Temperature(fitted) => positive("temperature", fitted.temperature),
        Fitted::Ensemble(fitted) => {
            positive("temperature", fitted.temperature)?;
            let sum: f64 = fitted.weights.iter().sum();
            let valid = fitted.weights.iter().all(|&weight| weight >= 0.0) && (sum - 1.0).abs() < 1e-6;
            require(valid, || {
                format!("weights {:?} are not shares of 1", fitted.weights)
            })
        }
        Fitted::Affine(AffineScaling {
            slope,
            weights,
            intercepts,
        }) => {
            let expected = match method {
                Method::Matrix => Slope::Full,
                _ => Slope::Diagonal,
            };
            require(*slope == expected, || {
                "the slope is not that of the method".to_owned()
            })?;
            let entries = match slope {
                Slope::Diagonal => classes,
                Slope::Full => classes * classes,
            };
            count("weights", weights.len(), entries)?;
            count("intercepts", intercepts.len(), classes)
        }
        Fitted::Isotonic(fitted) => {
            count("curves", fitted.curves.len(), classes)?;
            fitted.curves.iter().try_for_each(curve)
        }
        Fitted::Histogram(fitted) => {
            count("bins", fitted.bins.len(), classes)?;
            let bins = fitted.bins[0].len();
            require(bins > 0, || "a class has no bins".to_owned())?;
            for class in &fitted.bins {
                count("bins of a class", class.len(), bins)?;
                class.iter().try_for_each(|&p| share("a bin", p))?;
            }
            Ok(())
        }
        Fitted::Network(ViewNetwork {
            views,
            top_k,
            network,
        }) => {
            require(*views > 0 && (1..=classes).contains(top_k), || {
                format!("{views} views at {top_k} classes of {classes}")
            })?;
            self::network(network, views * top_k)
        }
    }
}

fn curve(curve: &IsotonicRegression) -> Result<(), String> {
    require(!curve.x.is_empty(), || "a curve has no nodes".to_owned())?;
    count("values of a curve", curve.y.len(), curve.x.len())?;
    require(curve.x.is_sorted_by(|a, b| a < b) && curve.y.is_sorted(), || {
        "a curve falls".to_owned()
    })?;
    curve.y.iter().try_for_each(|&p| share("a curve", p))
}

fn network(network: &TemperatureNetwork, inputs: usize) -> Result<(), String> {
    let hidden = network.b1.len();
    require(hidden > 0, || "the network has no hidden units".to_owned())?;
    count("w1", network.w1.len(), hidden * inputs)?;
    count("w2", network.w2.len(), hidden)?;
    count("b2", network.b2.len(), 1)?;
    positive("min_temperature", network.min_temperature)?;
    require(network.min_temperature <= network.max_temperature, || {
        "min_temperature is above max_temperature".to_owned()
    })
}

fn positive(name: &str, value: f64) -> Result<(), String> {
    require(value > 0.0, || format!("{name} is {value}; it must be above 0"))
}

fn share(name: &str, value: f64) -> Result<(), String> {
    require((0.0..=1.0).contains(&value), || {
        format!("{name} holds {value}, which is no probability")
    })
}

fn count(name: &str, found: usize, expected: usize) -> Result<(), String> {
    require(found == expected, || {
        format!("{found} numbers in {name}, not {expected}")
    })
}

fn require(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

#[cfg(test)]
mod tests {
    use super::super::CalibratorConfig;
    use super::super::logits::tests::random_set;
    use super::*;

    fn fitted(method: Method) -> Calibrator {
        let (logits, labels) = random_set(60, 3, 4.0, 7);
        let (views, _) = random_set(120, 3, 4.0, 8);
        let logits = logits.with_views(views.values()).unwrap();
        let config = CalibratorConfig::new(method).with_steps(10);
        config.fit(&logits, &labels).unwrap()
    }

    #[test]
    fn every_method_comes_back_with_the_same_bits() {
        for method in Method::ALL {
            let calibrator = fitted(method);
            assert_eq!(Calibrator::from_json(&calibrator.to_json()).unwrap(), calibrator);
            let tensors = calibrator.to_safetensors();
            assert_eq!(Calibrator::from_safetensors(&tensors).unwrap(), calibrator);
            assert_eq!(calibrator.to_safetensors(), tensors, "it is determined");
            for bytes in [tensors, calibrator.to_json().into_bytes()] {
                assert_eq!(Calibrator::from_bytes(&bytes).unwrap(), calibrator);
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        let text = fitted(Method::Temperature).to_json();
        let refused = |from: &str, to: &str| {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            Calibrator::from_json(&changed).unwrap_err().to_string()
        };
        assert!(refused(FORMAT, "other").contains("`other`"));
        assert!(refused("\"version\": 1", "\"version\": 2").contains("version 2"));
        assert!(refused("\"temperature\",", "\"temprature\",").contains("did you mean `temperature`"));
        assert!(refused("\"classes\": 3", "\"classes\": 1").contains("1 classes"));
        assert!(refused("\"temperature\": ", "\"temperature\": -").contains("above 0"));
        assert!(refused("\"temperature\": ", "\"heat\": ").contains("heat"));
        assert!(
            Calibrator::from_json("{}")
                .unwrap_err()
                .to_string()
                .contains("not a saved calibrator")
        );
        assert!(Calibrator::from_json("[1, 2").is_err());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = fitted(Method::Matrix).to_safetensors();
        let holds = String::from_utf8_lossy(&bytes).contains(r#""weights":{"dtype":"F64","shape":[9]"#);
        assert!(holds, "named by their place");
        for cut in 0..bytes.len() {
            assert!(Calibrator::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut infinite = bytes.clone();
        let last = infinite.len() - 8;
        infinite[last..].copy_from_slice(&f64::INFINITY.to_le_bytes());
        let refused = Calibrator::from_bytes(&infinite).unwrap_err().to_string();
        assert!(refused.contains("holds inf"), "{refused}");
    }

    #[test]
    fn parameters_of_other_shapes_are_refused() {
        for (method, from, to) in [
            (Method::Vector, "\"classes\": 3", "\"classes\": 4"),
            (Method::Matrix, "\"method\": \"matrix\"", "\"method\": \"vector\""),
            (Method::Isotonic, "\"classes\": 3", "\"classes\": 2"),
            (Method::Histogram, "\"classes\": 3", "\"classes\": 2"),
            (
                Method::EnsembleTemperature,
                "\"weights\": [",
                "\"weights\": [0.5,",
            ),
            (Method::CorrectnessAware, "\"views\": 2", "\"views\": 3"),
        ] {
            let changed = fitted(method).to_json().replace(from, to);
            let refused = Calibrator::from_json(&changed);
            assert!(
                matches!(refused, Err(SavedError::Parameters { .. })),
                "{method}: {refused:?}"
            );
        }
    }
}
