//! The self-supervised losses' pages in the catalogue.

use super::{BarlowTwinsLossConfig, VicRegLossConfig};
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale, Task};

const VIEWS: &[Task] = &[Task::SelfSupervised];
const TWO_VIEWS: &str = "two views [batch, width] each → [1]";

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![vicreg(), barlow_twins()]
}

fn weight(name: &'static str, meaning: &'static str, default: f64, range: (f64, f64)) -> Parameter {
    Parameter {
        name,
        meaning,
        default,
        range,
        scale: Scale::Logarithmic,
    }
}

fn vicreg() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "vicreg",
        title: "VICReg",
        family: "self_supervised",
        formula: "λ invariance + μ variance + ν covariance",
        shapes: TWO_VIEWS,
        good_for: &[
            "representations without labels",
            "self-supervised",
            "no negatives",
            "collapse",
        ],
        cost: "O(batch width²)",
        when: "Negatives are a nuisance: samples of a batch mean the same, or batches are small.",
        when_not: "There is no time to tune three weights: it is more sensitive than NT-Xent (thalweg study rankme).",
        source: "Bardes et al., ICLR 2022 (arXiv 2105.04906)",
        parameters: vec![
            weight("invariance", "weight λ of the invariance", 25.0, (5.0, 50.0)),
            weight("variance", "weight μ of the variance", 25.0, (5.0, 100.0)),
            weight("covariance", "weight ν of the covariance", 1.0, (0.1, 10.0)),
        ],
        rust: "VicRegLossConfig::new().with_invariance({invariance}).with_variance({variance})\
               .with_covariance({covariance}).init()?",
        path: "thalweg::self_supervised::VicRegLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = VicRegLossConfig::new()
                    .with_invariance(value("invariance"))
                    .with_variance(value("variance"))
                    .with_covariance(value("covariance"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn barlow_twins() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "barlow_twins",
        title: "Barlow Twins",
        family: "self_supervised",
        formula: "Σ_j (1 − C_jj)² + λ Σ_{j≠k} C_jk², C the correlation of the two views' features",
        shapes: TWO_VIEWS,
        good_for: &[
            "representations without labels",
            "self-supervised",
            "no negatives",
            "redundancy",
        ],
        cost: "O(batch width²)",
        when: "Negatives are a nuisance and one weight is enough to tune.",
        when_not: "Batches are small beside the width: correlations are noise then.",
        source: "Zbontar et al., ICML 2021 (arXiv 2103.03230)",
        parameters: vec![weight(
            "redundancy",
            "weight λ of what features have in common",
            0.0051,
            (1e-3, 1e-1),
        )],
        rust: "BarlowTwinsLossConfig::new().with_redundancy({redundancy}).init()?",
        path: "thalweg::self_supervised::BarlowTwinsLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = BarlowTwinsLossConfig::new().with_redundancy(value("redundancy"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}
