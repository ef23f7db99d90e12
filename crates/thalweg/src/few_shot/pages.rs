//! The few-shot losses' pages in the catalogue.

use super::{EpisodeTerm, FewShotLossConfig};
use crate::ConfigError;
use crate::objective::{Build, EpisodeObjective, ObjectiveEntry, Parameter, Scale};

fn mean_of(
    terms: &[EpisodeTerm],
    change: impl Fn(FewShotLossConfig) -> FewShotLossConfig,
) -> Result<Box<dyn EpisodeObjective>, ConfigError> {
    Ok(Box::new(change(FewShotLossConfig::new(terms.to_vec())).init()?))
}

fn temperature() -> Parameter {
    Parameter {
        name: "temperature",
        meaning: "temperature of the squared distances",
        default: 1.0,
        range: (0.1, 30.0),
        scale: Scale::Logarithmic,
    }
}

fn margin() -> Parameter {
    Parameter {
        name: "margin",
        meaning: "margin of the distances",
        default: 0.5,
        range: (0.1, 2.0),
        scale: Scale::Logarithmic,
    }
}

fn prototypical() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "prototypical",
        title: "Prototypical loss",
        family: "few_shot",
        formula: "cross-entropy of −‖f(x) − c_k‖²/τ, c_k the mean of the support of class k",
        shapes: "support [ways·shots, width], query [queries, width], labels [queries] → [1]",
        good_for: &["few samples a class", "new classes", "few-shot"],
        cost: "O(queries · ways · width) an episode",
        when: "New classes come with a few samples each, and nothing is to be trained then.",
        when_not: "Many samples of fixed classes are there: a classifier uses them better.",
        source: "Snell et al., NIPS 2017 (arXiv 1703.05175)",
        parameters: vec![temperature()],
        rust: "PrototypicalLossConfig::new().with_temperature({temperature}).init()?",
        path: "thalweg::few_shot::PrototypicalLossConfig",
        build: Build::Episodes(|value| {
            mean_of(&[EpisodeTerm::Cross], |config| {
                config.with_temperature(value("temperature"))
            })
        }),
    }
}

fn proto_triplet() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "proto_triplet",
        title: "Proto-triplet loss",
        formula: "max(0, d(q, c_y) − min_{k ≠ y} d(q, c_k) + m), a mean over queries",
        when: "Beside the prototypical loss; alone it is no better (thalweg study susana).",
        source: "Mendez-Ruiz et al., 2023 (arXiv 2305.09062)",
        parameters: vec![margin()],
        rust: "ProtoTripletLossConfig::new().with_margin({margin}).init()?",
        path: "thalweg::few_shot::ProtoTripletLossConfig",
        build: Build::Episodes(|value| {
            mean_of(&[EpisodeTerm::ProtoTriplet], |config| {
                config.with_margin(value("margin"))
            })
        }),
        ..prototypical()
    }
}

fn icnn() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "icnn",
        title: "ICNN loss",
        formula: "−log of the inter- and intra-class nearest-neighbour score of support and queries together",
        cost: "O(n² width) an episode of n samples",
        when: "Beside the prototypical loss; alone it is worse (thalweg study susana).",
        source: "Mendez-Ruiz et al., 2023 (arXiv 2305.09062)",
        parameters: Vec::new(),
        rust: "FewShotLossConfig::new(vec![EpisodeTerm::FullIcnn]).init()?",
        path: "thalweg::few_shot::{EpisodeTerm, FewShotLossConfig}",
        build: Build::Episodes(|_| mean_of(&[EpisodeTerm::FullIcnn], |config| config)),
        ..prototypical()
    }
}

fn prototypical_triplet() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "prototypical_triplet",
        title: "Prototypical and proto-triplet loss",
        formula: "mean of the prototypical loss and the proto-triplet loss",
        parameters: vec![temperature(), margin()],
        rust: "FewShotLossConfig::new(vec![EpisodeTerm::Cross, EpisodeTerm::ProtoTriplet])\
               .with_temperature({temperature}).with_margin({margin}).init()?",
        path: "thalweg::few_shot::{EpisodeTerm, FewShotLossConfig}",
        when: "As the prototypical loss, where the nearest wrong prototype is what goes wrong.",
        source: "Mendez-Ruiz et al., 2023 (arXiv 2305.09062)",
        build: Build::Episodes(|value| {
            mean_of(&[EpisodeTerm::Cross, EpisodeTerm::ProtoTriplet], |config| {
                config
                    .with_temperature(value("temperature"))
                    .with_margin(value("margin"))
            })
        }),
        ..prototypical()
    }
}

fn prototypical_icnn() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "prototypical_icnn",
        title: "Prototypical and ICNN loss",
        formula: "mean of the prototypical loss and the ICNN loss of support and queries",
        cost: "O(n² width) an episode of n samples",
        rust: "FewShotLossConfig::new(vec![EpisodeTerm::Cross, EpisodeTerm::FullIcnn])\
               .with_temperature({temperature}).init()?",
        path: "thalweg::few_shot::{EpisodeTerm, FewShotLossConfig}",
        when: "As the prototypical loss, with several shots a class.",
        source: "Mendez-Ruiz et al., 2023 (arXiv 2305.09062)",
        build: Build::Episodes(|value| {
            mean_of(&[EpisodeTerm::Cross, EpisodeTerm::FullIcnn], |config| {
                config.with_temperature(value("temperature"))
            })
        }),
        ..prototypical()
    }
}

fn susana() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "susana",
        title: "Prototypical, proto-triplet and ICNN loss",
        formula: "mean of the prototypical, the proto-triplet and the ICNN loss",
        cost: "O(n² width) an episode of n samples",
        rust: "FewShotLossConfig::new(vec![EpisodeTerm::Cross, EpisodeTerm::ProtoTriplet, EpisodeTerm::FullIcnn])\
               .with_temperature({temperature}).with_margin({margin}).init()?",
        build: Build::Episodes(|value| {
            let terms = [
                EpisodeTerm::Cross,
                EpisodeTerm::ProtoTriplet,
                EpisodeTerm::FullIcnn,
            ];
            mean_of(&terms, |config| {
                config
                    .with_temperature(value("temperature"))
                    .with_margin(value("margin"))
            })
        }),
        ..prototypical_triplet()
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        prototypical(),
        proto_triplet(),
        icnn(),
        prototypical_triplet(),
        prototypical_icnn(),
        susana(),
    ]
}
