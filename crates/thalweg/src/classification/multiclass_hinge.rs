//! Hinge losses of the margins `δ_k = f_k − f_y + c·1[k ≠ y]`, in units of scores: `(1/K) Σ_k [δ_k]_+` (Weston and
//! Watkins, divided by all K as PyTorch's `MultiMarginLoss`) and `max_k [δ_k]_+` (Crammer and Singer).
//!
//! Sources: Weston, Watkins, 1998; Crammer, Singer, JMLR 2001.

use burn::config::Config;
use serde::{Deserialize, Serialize};

use super::LogitLoss;
use super::ldr::require_margin;
use super::margins::{AverageHinge, Largest, OfMargins};
use super::of_target::SHAPES;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::{ConfigError, Reduction};

/// Which violations of the margin count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Violations {
    /// Their mean over all classes: Weston and Watkins.
    Mean,
    /// The largest: Crammer and Singer.
    Largest,
}

/// Configuration of a multi-class hinge loss.
#[derive(Config, Debug)]
pub struct MulticlassHingeLossConfig {
    /// Which violations count.
    pub violations: Violations,
    /// Margin c by which the target's score is to lead, at least 0.
    #[config(default = 1.0)]
    pub margin: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl MulticlassHingeLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the margin is negative.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let margin = require_margin("multiclass_hinge", self.margin)?;
        Ok(match self.violations {
            Violations::Mean => {
                let worst = AverageHinge;
                LogitLoss::of_rows(OfMargins { margin, worst }, self.reduction)
            }
            // δ_y = 0 makes the largest its own hinge.
            Violations::Largest => {
                let worst = Largest;
                LogitLoss::of_rows(OfMargins { margin, worst }, self.reduction)
            }
        })
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let weston_watkins = ObjectiveEntry {
        name: "weston_watkins",
        title: "Weston-Watkins hinge",
        family: "classification",
        formula: "ℓ = (1/K) Σ_k [f_k − f_y + c·1[k ≠ y]]_+",
        shapes: SHAPES,
        good_for: &["large margins", "clean labels", "many classes violate at once"],
        cost: "a pass in double precision over each row",
        when: "Only the classes that come too near should be pushed away, all of them.",
        when_not: "Probabilities are wanted.",
        source: "Weston, Watkins, 1998",
        parameters: vec![Parameter {
            name: "margin",
            meaning: "margin c by which the target's score is to lead",
            default: 1.0,
            range: (0.1, 10.0),
            scale: Scale::Logarithmic,
        }],
        rust: "MulticlassHingeLossConfig::new(Violations::Mean).with_margin({margin}).init()?",
        path: "thalweg::classification::{MulticlassHingeLossConfig, Violations}",
        build: Build::Scores(|value| {
            let config = MulticlassHingeLossConfig::new(Violations::Mean).with_margin(value("margin"));
            Ok(Box::new(config.init()?))
        }),
    };
    let crammer_singer = ObjectiveEntry {
        name: "crammer_singer",
        title: "Crammer-Singer hinge",
        formula: "ℓ = max_k [f_k − f_y + c·1[k ≠ y]]_+",
        good_for: &["large margins", "clean labels"],
        when: "The multi-class SVM: only the strongest rival counts.",
        when_not: "Labels are noisy, or classes overlap: it is not consistent without a dominant class.",
        source: "Crammer, Singer, JMLR 2001",
        rust: "MulticlassHingeLossConfig::new(Violations::Largest).with_margin({margin}).init()?",
        build: Build::Scores(|value| {
            let config = MulticlassHingeLossConfig::new(Violations::Largest).with_margin(value("margin"));
            Ok(Box::new(config.init()?))
        }),
        ..weston_watkins.clone()
    };
    vec![weston_watkins, crammer_singer]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int, Tensor};

    use super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn by_hand() {
        let logits = Tensor::<2>::from_floats([[1.0, 0.5, -3.0, 1.25]], &Device::flex());
        let targets = Tensor::<1, Int>::from_ints([0], &Device::flex());
        for (violations, value, gradient) in [
            (Violations::Mean, 1.75 / 4.0, [-0.5, 0.25, 0.0, 0.25]),
            (Violations::Largest, 1.25, [-1.0, 0.0, 0.0, 1.0]),
        ] {
            let loss = MulticlassHingeLossConfig::new(violations).init().unwrap();
            let found = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
            assert_eq!(found, (vec![value], gradient.to_vec()));
            gradient_is_numeric(|logits, targets| loss.forward(logits, targets));
        }
    }
}
