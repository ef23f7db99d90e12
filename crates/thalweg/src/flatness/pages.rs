//! The family's pages in the catalogue.

use super::{MesaConfig, Moment, SafConfig};
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};

fn weight(default: f64) -> Parameter {
    Parameter {
        name: "weight",
        meaning: "weight λ of the trajectory loss",
        default,
        range: (0.05, 2.0),
        scale: Scale::Logarithmic,
    }
}

fn temperature() -> Parameter {
    Parameter {
        name: "temperature",
        meaning: "temperature τ of the outputs compared",
        default: 5.0,
        range: (1.0, 10.0),
        scale: Scale::Logarithmic,
    }
}

fn start() -> Parameter {
    Parameter {
        name: "start",
        meaning: "share of training without the trajectory loss",
        default: 0.3,
        range: (0.0, 0.5),
        scale: Scale::Linear,
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![saf(), mesa()]
}

fn saf() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "saf",
        title: "SAF, sharpness-aware training for free",
        family: "flatness",
        formula: "ℓ = CE(z, y) + λ τ² KL(softmax(z_past/τ) ‖ softmax(z/τ)), z_past of the same sample `lag` epochs ago",
        shapes: "model, inputs [batch, features], targets [batch], sample ids → [1]",
        good_for: &["flat minima", "generalisation", "noisy labels", "regularisation"],
        cost: "samples·classes·(lag + 1) numbers of memory; two more softmaxes",
        when: "A flatter minimum is wanted, as SAM finds one, without its second pass; a few labels are wrong.",
        when_not: "Targets are mixed from batch to batch, classes are very many, or samples are seen once.",
        source: "Du et al., NeurIPS 2022 (arXiv 2205.14083)",
        parameters: vec![
            weight(0.3),
            temperature(),
            start(),
            Parameter {
                name: "lag",
                meaning: "epochs between the outputs compared",
                default: 3.0,
                range: (1.0, 8.0),
                scale: Scale::Linear,
            },
        ],
        rust: "SafConfig::new().with_weight({weight}).with_temperature({temperature})\
               .with_start(Moment::Share({start})).with_lag({lag} as usize).init()?",
        path: "thalweg::flatness::{Moment, SafConfig}",
        build: Build::Scores(|value| {
            let config = SafConfig::new().with_weight(value("weight"));
            let config = config.with_temperature(value("temperature"));
            let config = config.with_start(Moment::Share(value("start")));
            Ok(Box::new(config.with_lag(value("lag") as usize).init()?))
        }),
    }
}

fn mesa() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "mesa",
        title: "MESA, SAF by averaged weights",
        family: "flatness",
        formula: "ℓ = CE(z, y) + λ τ² KL(softmax(z_v/τ) ‖ softmax(z/τ)), z_v of the average v ← β v + (1−β) θ",
        shapes: "model and its average, inputs [batch, features], targets [batch] → [1]",
        good_for: &["flat minima", "generalisation", "noisy labels", "regularisation"],
        cost: "one more forward pass; a second copy of the weights",
        when: "As SAF, where past outputs would not fit in memory or samples are not seen again.",
        when_not: "Training is so short that the average stays near the first weights.",
        source: "Du et al., NeurIPS 2022 (arXiv 2205.14083)",
        parameters: vec![
            weight(0.8),
            temperature(),
            start(),
            Parameter {
                name: "decay",
                meaning: "share β that the average keeps per step",
                default: 0.995,
                range: (0.9, 0.9995),
                scale: Scale::Linear,
            },
        ],
        rust: "MesaConfig::new().with_weight({weight}).with_temperature({temperature})\
               .with_start(Moment::Share({start})).with_decay({decay}).init()?",
        path: "thalweg::flatness::{MesaConfig, Moment}",
        build: Build::Scores(|value| {
            let config = MesaConfig::new().with_weight(value("weight"));
            let config = config.with_temperature(value("temperature"));
            let config = config.with_start(Moment::Share(value("start")));
            Ok(Box::new(config.with_decay(value("decay")).init()?))
        }),
    }
}
