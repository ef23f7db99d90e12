//! The contrastive losses' pages in the catalogue.

use super::amcl::{AdaptiveTemperatureConfig, Aggregate, AmclConfig, AmclLossConfig, Candidates};
use super::isogclr::{SogClrConfig, TemperatureRule};
use super::{
    ClipLossConfig, GroCoLossConfig, HardNtXentLossConfig, InfoNceLossConfig, NtXentLossConfig,
    SigLipLossConfig, SupConLossConfig,
};
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale, Task};

const VIEWS: &[Task] = &[Task::SelfSupervised];
const TWO_VIEWS: &str = "two views [batch, width] each → [1]";

fn temperature(default: f64, range: (f64, f64)) -> Parameter {
    Parameter {
        name: "temperature",
        meaning: "temperature τ: low looks at the hardest negatives alone, high at all alike",
        default,
        range,
        scale: Scale::Logarithmic,
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        nt_xent(),
        info_nce(),
        hard_nt_xent(),
        clip(),
        sig_lip(),
        groco(),
        sog_clr(),
        i_sog_clr(),
        amcl(),
        sup_con(),
    ]
}

fn nt_xent() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "nt_xent",
        title: "NT-Xent",
        family: "contrastive",
        formula: "ℓ_i = −log( exp(s_ip/τ) / Σ_{j ≠ i} exp(s_ij/τ) ), p the other view of i, j over both views",
        shapes: TWO_VIEWS,
        good_for: &["representations without labels", "self-supervised", "two views"],
        cost: "O(batch² width), streamed: memory O(batch width)",
        when: "Two views of a sample can be made that mean the same, and batches are of some hundred samples.",
        when_not: "Batches are small, or many samples of a batch mean the same.",
        source: "Chen et al., ICML 2020 (SimCLR)",
        parameters: vec![temperature(0.1, (0.05, 1.0))],
        rust: "NtXentLossConfig::new().with_temperature({temperature}).init()?",
        path: "thalweg::contrastive::NtXentLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = NtXentLossConfig::new().with_temperature(value("temperature"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn info_nce() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "info_nce",
        title: "InfoNCE",
        family: "contrastive",
        formula: "ℓ_i = −log( exp(s_ii/τ) / Σ_j exp(s_ij/τ) ), i of one view, j of the other",
        shapes: TWO_VIEWS,
        good_for: &["representations without labels", "self-supervised", "two views"],
        cost: "O(batch² width), a quarter of NT-Xent; streamed",
        when: "As NT-Xent, where one view asks and the other answers: an encoder each, or a queue of keys.",
        when_not: "Both views come from one encoder: NT-Xent has three times the negatives from the same batch.",
        source: "van den Oord et al., 2018 (arXiv 1807.03748)",
        parameters: vec![temperature(0.07, (0.03, 1.0))],
        rust: "InfoNceLossConfig::new().with_temperature({temperature}).init()?",
        path: "thalweg::contrastive::InfoNceLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = InfoNceLossConfig::new().with_temperature(value("temperature"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn hard_nt_xent() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "hard_nt_xent",
        title: "NT-Xent over hard negatives",
        family: "contrastive",
        formula: "NT-Xent with the α hardest negatives of each anchor alone, after epochs with all of them",
        shapes: TWO_VIEWS,
        good_for: &[
            "representations without labels",
            "self-supervised",
            "hard negatives",
        ],
        cost: "O(batch² width), all pairs in memory",
        when: "A high temperature is wanted (tolerant of samples that mean the same) and uniform embeddings as well.",
        when_not: "From scratch: without a warm-up it collapses.",
        source: "Wang, Liu, CVPR 2021 (arXiv 2012.09740)",
        parameters: vec![
            temperature(1.0, (0.1, 2.0)),
            Parameter {
                name: "alpha",
                meaning: "share α of the negatives that counts",
                default: 0.3,
                range: (0.1, 1.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "warm_up",
                meaning: "epochs with all negatives first",
                default: 20.0,
                range: (10.0, 30.0),
                scale: Scale::Linear,
            },
        ],
        rust: "HardNtXentLossConfig::new().with_temperature({temperature}).with_alpha({alpha})\
               .with_warm_up({warm_up} as usize).init()?",
        path: "thalweg::contrastive::HardNtXentLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = HardNtXentLossConfig::new()
                    .with_temperature(value("temperature"))
                    .with_alpha(value("alpha"))
                    .with_warm_up(value("warm_up") as usize);
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn clip() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "clip",
        title: "CLIP loss",
        family: "contrastive",
        formula: "½ (CE(rows of s/τ) + CE(columns of s/τ)), pairs on the diagonal",
        shapes: TWO_VIEWS,
        good_for: &[
            "pairs of image and text",
            "two modalities",
            "representations without labels",
        ],
        cost: "O(batch² width), half of NT-Xent; streamed",
        when: "The two sides are of two kinds, an encoder each.",
        when_not: "Both views come from one encoder: NT-Xent has more negatives from the same batch.",
        source: "Radford et al., ICML 2021 (arXiv 2103.00020)",
        parameters: vec![temperature(0.07, (0.03, 1.0))],
        rust: "ClipLossConfig::new().with_temperature({temperature}).init()?",
        path: "thalweg::contrastive::ClipLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = ClipLossConfig::new().with_temperature(value("temperature"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn sig_lip() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "sig_lip",
        title: "SigLIP loss",
        family: "contrastive",
        formula: "(1/n) Σ_ij softplus(−y_ij (s_ij/τ + b)), y = 1 for pairs, −1 elsewhere",
        shapes: TWO_VIEWS,
        good_for: &[
            "pairs of image and text",
            "small batches",
            "representations without labels",
        ],
        cost: "O(batch² width), streamed; no sum over the batch to wait for",
        when: "As CLIP, with batches that are small or spread over machines.",
        when_not: "Temperature and bias cannot be tuned: pairs are judged against a fixed threshold.",
        source: "Zhai et al., ICCV 2023 (arXiv 2303.15343)",
        parameters: vec![
            temperature(0.1, (0.05, 1.0)),
            Parameter {
                name: "bias",
                meaning: "bias b of the scores: the logarithm of the odds of a pair",
                default: -10.0,
                range: (-10.0, 0.0),
                scale: Scale::Linear,
            },
        ],
        rust: "SigLipLossConfig::new().with_temperature({temperature}).with_bias({bias}).init()?",
        path: "thalweg::contrastive::SigLipLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = SigLipLossConfig::new()
                    .with_temperature(value("temperature"))
                    .with_bias(value("bias"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn groco() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "groco",
        title: "Group ordering (GroCo)",
        family: "contrastive",
        formula: "cross-entropy of “all positives rank above the K strongest negatives” under a relaxed sorting network",
        shapes: "views [batch, width] each → [1]",
        good_for: &[
            "representations without labels",
            "nearest neighbours",
            "self-supervised",
        ],
        cost: "O(batch² width) for similarities, O((K + views)²) an anchor for sorting",
        when: "Training is long and batches are large: the paper gains in nearest neighbours on ImageNet.",
        when_not: "The budget is small: it learns far more slowly than NT-Xent (thalweg study groco).",
        source: "Shvetsova et al., ICCV 2023 (arXiv 2301.02009)",
        parameters: vec![
            Parameter {
                name: "steepness",
                meaning: "steepness β of the relaxed swaps",
                default: 1.0,
                range: (0.5, 20.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "topk_neg",
                meaning: "strongest negatives K that count",
                default: 10.0,
                range: (3.0, 20.0),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "GroCoLossConfig::new().with_steepness({steepness}).with_topk_neg({topk_neg} as usize).init()?",
        path: "thalweg::contrastive::GroCoLossConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let config = GroCoLossConfig::new()
                    .with_steepness(value("steepness"))
                    .with_topk_neg(value("topk_neg") as usize);
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn gamma() -> Parameter {
    Parameter {
        name: "gamma",
        meaning: "weight γ of a batch in the moving averages",
        default: 0.8,
        range: (0.3, 1.0),
        scale: Scale::Linear,
    }
}

fn sog_clr() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "sog_clr",
        title: "SogCLR",
        family: "contrastive",
        formula: "τ log mean_z exp(h_i(z)/τ) over all negatives, the mean tracked for each sample by a moving average",
        shapes: "two views [batch, width] of unit rows, numbers of the samples → [1]",
        good_for: &[
            "small batches",
            "representations without labels",
            "self-supervised",
        ],
        cost: "as NT-Xent, and a number a sample",
        when: "Batches are small: the moving averages stand in for negatives that do not fit.",
        when_not: "Samples are seen once only.",
        source: "Yuan et al., ICML 2022 (arXiv 2202.12387)",
        parameters: vec![temperature(0.1, (0.05, 1.0)), gamma()],
        rust: "SogClrConfig::new(samples).with_gamma({gamma}).with_temperature({temperature}).init()?",
        path: "thalweg::contrastive::isogclr::SogClrConfig",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, space| {
                let config = SogClrConfig::new(space.samples)
                    .with_gamma(value("gamma"))
                    .with_temperature(value("temperature"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn i_sog_clr() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "isogclr",
        title: "iSogCLR",
        family: "contrastive",
        formula: "min_τ τ_i log mean_z exp(h_i(z)/τ_i) + τ_i ρ: a temperature for each sample",
        shapes: "two views [batch, width] of unit rows, numbers of the samples → [1]",
        good_for: &[
            "imbalance",
            "long-tailed classes",
            "representations without labels",
            "small batches",
        ],
        cost: "as NT-Xent, and three numbers a sample",
        when: "Some meanings are frequent and others rare, and there is no time to search for one temperature.",
        when_not: "Samples are seen once only, or a tuned temperature is at hand: it is no better then.",
        source: "Qiu et al., ICML 2023 (arXiv 2305.11965)",
        parameters: vec![
            Parameter {
                name: "rho",
                meaning: "divergence ρ from uniform that a temperature is to give",
                default: 0.4,
                range: (0.1, 0.8),
                scale: Scale::Logarithmic,
            },
            gamma(),
        ],
        rust: "SogClrConfig::new(samples).with_gamma({gamma})\
               .with_rule(Some(TemperatureRule::towards({rho}))).init()?",
        path: "thalweg::contrastive::isogclr::{SogClrConfig, TemperatureRule}",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, space| {
                let config = SogClrConfig::new(space.samples)
                    .with_gamma(value("gamma"))
                    .with_rule(Some(TemperatureRule::towards(value("rho"))));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn amcl() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "amcl",
        title: "Adaptive temperatures (AMCL)",
        family: "contrastive",
        formula: "InfoNCE with a temperature for each pair from a small network, and β Ω(τ) = β (d/2 log τ + 1/τ)",
        shapes: "two views [batch, heads·width] each → [1], a temperature network of its own",
        good_for: &[
            "representations without labels",
            "self-supervised",
            "many augmentations",
        ],
        cost: "O(heads · batch² · (width + hidden)), streamed",
        when: "Augmentations differ much in strength. Here with one head; an encoder with several reads heads·width.",
        when_not: "A tuned temperature is at hand: nothing is gained at desk scale (thalweg study amcl).",
        source: "Wang et al., ECCV 2024 (arXiv 2310.05615)",
        parameters: vec![
            Parameter {
                name: "beta",
                meaning: "weight β of the temperatures' regulariser",
                default: 0.1,
                range: (0.01, 1.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "lower",
                meaning: "lowest temperature; the highest is 1",
                default: 0.1,
                range: (0.05, 0.3),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "AmclConfig::new().with_heads(1)\
               .with_temperature(AdaptiveTemperatureConfig::new().with_lower({lower}).with_upper(1.0))\
               .with_loss(AmclLossConfig::new().with_beta({beta}).with_aggregate(Aggregate::LogSumExp)\
               .with_candidates(Candidates::WithPositive)).init()?",
        path: "thalweg::contrastive::amcl::{AdaptiveTemperatureConfig, Aggregate, AmclConfig, AmclLossConfig, Candidates}",
        build: Build::Embeddings {
            tasks: VIEWS,
            make: |value, _| {
                let temperature = AdaptiveTemperatureConfig::new()
                    .with_lower(value("lower"))
                    .with_upper(1.0);
                let loss = AmclLossConfig::new()
                    .with_beta(value("beta"))
                    .with_aggregate(Aggregate::LogSumExp)
                    .with_candidates(Candidates::WithPositive);
                let config = AmclConfig::new()
                    .with_heads(1)
                    .with_temperature(temperature)
                    .with_loss(loss);
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn sup_con() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "sup_con",
        title: "Supervised contrastive loss",
        family: "contrastive",
        formula: "ℓ_i = −(1/|P_i|) Σ_{p ∈ P_i} log( exp(s_ip/τ) / Σ_{j ≠ i} exp(s_ij/τ) ), P_i all others of i's class",
        shapes: "embeddings [batch, width], labels [batch] → [1]",
        good_for: &["labelled embeddings", "retrieval", "verification"],
        cost: "O(batch² width), streamed",
        when: "Labels are there and distances between embeddings are what is wanted.",
        when_not: "A class is seldom twice in a batch: such samples do not count.",
        source: "Khosla et al., NeurIPS 2020 (arXiv 2004.11362)",
        parameters: vec![temperature(0.1, (0.05, 1.0))],
        rust: "SupConLossConfig::new().with_temperature({temperature}).init()?",
        path: "thalweg::contrastive::SupConLossConfig",
        build: Build::Embeddings {
            tasks: &[Task::Verification],
            make: |value, _| {
                let config = SupConLossConfig::new().with_temperature(value("temperature"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}
