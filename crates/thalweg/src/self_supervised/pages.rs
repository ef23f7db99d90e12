//! The self-supervised losses' pages in the catalogue.

use super::{
    BarlowTwinsLossConfig, ByolConfig, Dispersed, DispersionConfig, MocoConfig, MsbRegConfig,
    PredictorConfig, SimSiamConfig, TargetMomentum, VicRegLossConfig,
};
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale, Task};

const VIEWS: &[Task] = &[Task::SelfSupervised];
const TWO_VIEWS: &str = "two views [batch, width] each → [1]";

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        vicreg(),
        barlow_twins(),
        byol(),
        byol_dispersed(),
        sim_siam(),
        moco(),
        msbreg(),
    ]
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

/// Hidden numbers of predictors: small as the encoders of trials are.
const PREDICTOR: usize = 64;

/// SimSiam's predictor narrows.
const NARROW: usize = 16;

/// The slow network's momentum at the start. Papers train for 10⁵ steps and start at 0.996.
fn momentum() -> Parameter {
    Parameter {
        name: "momentum",
        meaning: "momentum of the target network at the start, rising to 1 along a cosine",
        default: 0.96,
        range: (0.9, 0.996),
        scale: Scale::Linear,
    }
}

fn byol() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "byol",
        title: "BYOL",
        family: "self_supervised",
        formula: "‖q(z₁)/‖·‖ − z′₂/‖·‖‖² both ways, z′ of a slow copy of the encoder, q a predictor",
        shapes: "two views [batch, width] each, and the target network's → [1]",
        good_for: &[
            "representations without labels",
            "self-supervised",
            "no negatives",
            "small batches",
        ],
        cost: "a second forward pass, and a copy of the weights",
        when: "Negatives are a nuisance and batch normalisation is there.",
        when_not: "Without predictor or normalisation: it collapses (thalweg study msbreg).",
        source: "Grill et al., NeurIPS 2020 (arXiv 2006.07733)",
        parameters: vec![momentum()],
        rust: "ByolConfig::new().with_momentum(TargetMomentum::Rising({momentum})).init()?",
        path: "thalweg::self_supervised::{ByolConfig, TargetMomentum}",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = ByolConfig::new()
                    .with_predictor(Some(PredictorConfig::new().with_hidden(PREDICTOR)))
                    .with_momentum(TargetMomentum::Rising(value("momentum")));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn dispersion(value: &dyn Fn(&str) -> f64) -> DispersionConfig {
    DispersionConfig::new()
        .with_lambda_s(value("lambda_s"))
        .with_lambda_b(value("lambda_b"))
}

fn dispersing() -> [Parameter; 2] {
    [
        weight(
            "lambda_s",
            "weight λ_s of equal singular values",
            4.0,
            (0.5, 16.0),
        ),
        weight("lambda_b", "weight λ_b of the Brownian kicks", 0.1, (0.01, 1.0)),
    ]
}

fn byol_dispersed() -> ObjectiveEntry {
    let [lambda_s, lambda_b] = dispersing();
    ObjectiveEntry {
        name: "byol_dispersed",
        title: "BYOL with dispersion",
        formula: "BYOL + λ_s ‖ZᵀZ/n − I/d‖² + λ_b u·w, w a random direction a sample",
        when: "BYOL loses dimensions: look at RankMe.",
        when_not: "Batches are small beside the width.",
        source: "Moon et al., WACV 2023 (arXiv 2207.03552)",
        parameters: vec![momentum(), lambda_s, lambda_b],
        rust: "Dispersed::new(ByolConfig::new().with_momentum(TargetMomentum::Rising({momentum})).init()?, \
               DispersionConfig::new().with_lambda_s({lambda_s}).with_lambda_b({lambda_b}).init()?)",
        path: "thalweg::self_supervised::{ByolConfig, Dispersed, DispersionConfig, TargetMomentum}",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let base = ByolConfig::new()
                    .with_predictor(Some(PredictorConfig::new().with_hidden(PREDICTOR)))
                    .with_momentum(TargetMomentum::Rising(value("momentum")));
                Ok(Box::new(Dispersed::new(base.init()?, dispersion(value).init()?)))
            },
        },
        ..byol()
    }
}

fn sim_siam() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "sim_siam",
        title: "SimSiam",
        formula: "−½ cos(q(z₁), z₂) − ½ cos(q(z₂), z₁), the other view held constant, q a predictor",
        shapes: TWO_VIEWS,
        cost: "as its two forward passes, and a small predictor",
        when: "As BYOL, where a second copy of the network is too much.",
        when_not: "Without batch normalisation: it collapses.",
        source: "Chen, He, CVPR 2021 (arXiv 2011.10566)",
        parameters: Vec::new(),
        rust: "SimSiamConfig::new().init()?",
        path: "thalweg::self_supervised::SimSiamConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |_, _| {
                let predictor = PredictorConfig::new().with_hidden(NARROW);
                Ok(Box::new(SimSiamConfig::new().with_predictor(predictor).init()?))
            },
        },
        ..byol()
    }
}

fn moco() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "moco",
        title: "MoCo",
        formula: "InfoNCE of queries against their keys and a queue of past keys, keys by a slow copy of the encoder",
        good_for: &[
            "representations without labels",
            "self-supervised",
            "small batches",
            "negatives",
        ],
        cost: "a second forward pass, a copy of the weights, and the queue",
        when: "Batches are small and negatives are wanted: the queue has them.",
        when_not: "Data are few: a queue longer than the data holds keys of the sample itself, which do not count.",
        source: "He et al., CVPR 2020 (arXiv 1911.05722)",
        parameters: vec![
            Parameter {
                name: "temperature",
                meaning: "temperature τ",
                default: 0.1,
                range: (0.05, 1.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "queue",
                meaning: "keys that are kept",
                default: 1024.0,
                range: (256.0, 4096.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "momentum",
                meaning: "momentum of the target network",
                default: 0.99,
                range: (0.9, 0.999),
                scale: Scale::Linear,
            },
        ],
        rust: "MocoConfig::new().with_queue({queue} as usize).with_temperature({temperature})\
               .with_momentum(TargetMomentum::Constant({momentum})).init()?",
        path: "thalweg::self_supervised::{MocoConfig, TargetMomentum}",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = MocoConfig::new()
                    .with_queue(value("queue") as usize)
                    .with_temperature(value("temperature"))
                    .with_momentum(TargetMomentum::Constant(value("momentum")));
                Ok(Box::new(config.init()?))
            },
        },
        ..byol()
    }
}

fn msbreg() -> ObjectiveEntry {
    let [lambda_s, lambda_b] = dispersing();
    ObjectiveEntry {
        name: "msbreg",
        title: "MSBReg",
        formula: "‖u_v − c‖² to the centroid c of the target's views + λ_s ‖ZᵀZ/n − I/d‖² + λ_b u·w, w a random direction a sample",
        good_for: &[
            "representations without labels",
            "self-supervised",
            "no negatives",
            "collapse",
        ],
        when: "As BYOL, without a predictor: equal singular values keep it from collapsing.",
        when_not: "Batches are small beside the width.",
        source: "Moon et al., WACV 2023 (arXiv 2207.03552)",
        parameters: vec![momentum(), lambda_s, lambda_b],
        rust: "MsbRegConfig::new().with_momentum(TargetMomentum::Rising({momentum}))\
               .with_dispersion(DispersionConfig::new().with_lambda_s({lambda_s}).with_lambda_b({lambda_b})).init()?",
        path: "thalweg::self_supervised::{DispersionConfig, MsbRegConfig, TargetMomentum}",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = MsbRegConfig::new()
                    .with_dispersion(dispersion(value))
                    .with_momentum(TargetMomentum::Rising(value("momentum")));
                Ok(Box::new(config.init()?))
            },
        },
        ..byol()
    }
}
