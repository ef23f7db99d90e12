//! The methods by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{TemperatureObjective, Weighting};
use crate::catalogue::nearest;

/// A post-hoc calibration method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// One temperature.
    Temperature,
    /// A mixture of scaled, unscaled and uniform probabilities.
    EnsembleTemperature,
    /// A factor and a shift for each class.
    Vector,
    /// A matrix and a shift for each class.
    Matrix,
    /// A non-decreasing function for each class.
    Isotonic,
    /// A step function for each class.
    Histogram,
    /// A temperature per sample from its views, trained on correctness.
    CorrectnessAware,
    /// The same, right and wrong predictions weighing the same.
    CorrectnessAwareBalanced,
    /// The same network trained on cross-entropy.
    CrossEntropyNetwork,
    /// The same network trained on squared error.
    BrierNetwork,
}

impl Method {
    /// All, simple ones first.
    pub const ALL: [Self; 10] = [
        Self::Temperature,
        Self::EnsembleTemperature,
        Self::Vector,
        Self::Matrix,
        Self::Isotonic,
        Self::Histogram,
        Self::CorrectnessAware,
        Self::CorrectnessAwareBalanced,
        Self::CrossEntropyNetwork,
        Self::BrierNetwork,
    ];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::EnsembleTemperature => "ensemble-temperature",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::Isotonic => "isotonic",
            Self::Histogram => "histogram",
            Self::CorrectnessAware => "correctness-aware",
            Self::CorrectnessAwareBalanced => "correctness-aware-balanced",
            Self::CrossEntropyNetwork => "cross-entropy-network",
            Self::BrierNetwork => "brier-network",
        }
    }

    /// What its network is trained on; none for a method without network.
    pub fn objective(self) -> Option<TemperatureObjective> {
        match self {
            Self::CorrectnessAware => Some(TemperatureObjective::CorrectnessAware(Weighting::Plain)),
            Self::CorrectnessAwareBalanced => {
                Some(TemperatureObjective::CorrectnessAware(Weighting::Balanced))
            }
            Self::CrossEntropyNetwork => Some(TemperatureObjective::CrossEntropy),
            Self::BrierNetwork => Some(TemperatureObjective::Brier),
            _ => None,
        }
    }

    /// Whether it looks at transformed views of each sample.
    pub fn needs_views(self) -> bool {
        self.objective().is_some()
    }

    /// Whether the predicted class of every sample stays what it was.
    pub fn keeps_predictions(self) -> bool {
        !matches!(
            self,
            Self::Vector | Self::Matrix | Self::Isotonic | Self::Histogram
        )
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.into_iter().map(Self::name);
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| match nearest(text, names()).first() {
            Some(name) => format!("there is no method `{text}`; did you mean `{name}`?"),
            None => format!(
                "there is no method `{text}`; there are {}",
                names().collect::<Vec<_>>().join(", ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for method in Method::ALL {
            assert_eq!(method.name().parse(), Ok(method));
        }
        let refused = "isotonik".parse::<Method>().unwrap_err();
        assert!(refused.contains("did you mean `isotonic`"), "{refused}");
    }
}
