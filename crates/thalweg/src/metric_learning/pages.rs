//! The metric-learning losses' pages in the catalogue.

use super::{
    CircleLossConfig, ContrastivePairLossConfig, Mining, MultiSimilarityLossConfig, NPairsLossConfig,
    TripletMarginLossConfig,
};
use crate::ConfigError;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale, Task, ViewObjective};

const TASKS: &[Task] = &[Task::Verification];
const SHAPES: &str = "embeddings [batch, width], labels [batch] → [1]";

fn number(name: &'static str, meaning: &'static str, default: f64, range: (f64, f64)) -> Parameter {
    Parameter {
        name,
        meaning,
        default,
        range,
        scale: Scale::Linear,
    }
}

fn triplet(value: &dyn Fn(&str) -> f64, mining: Mining) -> Result<Box<dyn ViewObjective>, ConfigError> {
    let config = TripletMarginLossConfig::new()
        .with_margin(value("margin"))
        .with_mining(mining);
    Ok(Box::new(config.init()?))
}

fn triplet_margin() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "triplet_margin",
        title: "Triplet margin loss",
        family: "metric_learning",
        formula: "mean of max(0, d(a, p) − d(a, n) + m) over the triplets that are not 0",
        shapes: SHAPES,
        good_for: &["labelled embeddings", "retrieval", "verification"],
        cost: "O(batch² width), triplets summed by sorting",
        when: "Distances between embeddings are what is wanted, and classes come and go.",
        when_not: "Classes are fixed and many samples of each are there: a margin softmax learns faster.",
        source: "Weinberger, Saul, JMLR 2009; Hermans et al., 2017 (arXiv 1703.07737)",
        parameters: vec![number("margin", "margin m of the distances", 0.2, (0.05, 1.0))],
        rust: "TripletMarginLossConfig::new().with_margin({margin}).init()?",
        path: "thalweg::metric_learning::TripletMarginLossConfig",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| triplet(value, Mining::All),
        },
    }
}

fn triplet_semi_hard() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "triplet_semi_hard",
        title: "Triplet margin loss, semi-hard",
        formula: "max(0, d(a, p) − d(a, n) + m), n the nearest negative beyond p; pairs without one do not count",
        when: "As the triplet loss, where the hardest negatives are noise.",
        source: "Schroff et al., CVPR 2015 (FaceNet)",
        rust: "TripletMarginLossConfig::new().with_margin({margin}).with_mining(Mining::SemiHard).init()?",
        path: "thalweg::metric_learning::{Mining, TripletMarginLossConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| triplet(value, Mining::SemiHard),
        },
        ..triplet_margin()
    }
}

fn triplet_hard() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "triplet_hard",
        title: "Triplet margin loss, batch-hard",
        formula: "max(0, d(a, p) − d(a, n) + m), p the farthest positive and n the nearest negative of each anchor",
        when: "As the triplet loss, labels clean and training well under way.",
        when_not: "Labels are noisy, or training from scratch: it may collapse to one point.",
        source: "Hermans et al., 2017 (arXiv 1703.07737)",
        rust: "TripletMarginLossConfig::new().with_margin({margin}).with_mining(Mining::Hard).init()?",
        path: "thalweg::metric_learning::{Mining, TripletMarginLossConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| triplet(value, Mining::Hard),
        },
        ..triplet_margin()
    }
}

fn contrastive_pair() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "contrastive_pair",
        title: "Contrastive loss of pairs",
        family: "metric_learning",
        formula: "mean of max(0, d_p − m_p) over alike pairs + mean of max(0, m_n − d_n) over others, those not 0",
        shapes: SHAPES,
        good_for: &["labelled embeddings", "verification"],
        cost: "O(batch² width)",
        when: "A fixed threshold of the distance will decide.",
        when_not: "Classes differ much in their spread: one margin fits none.",
        source: "Hadsell, Chopra, LeCun, CVPR 2006",
        parameters: vec![
            number(
                "positive_margin",
                "distance m_p that alike pairs may keep",
                0.0,
                (0.0, 0.5),
            ),
            number(
                "negative_margin",
                "distance m_n that others must have",
                1.0,
                (0.5, 1.5),
            ),
        ],
        rust: "ContrastivePairLossConfig::new().with_positive_margin({positive_margin})\
               .with_negative_margin({negative_margin}).init()?",
        path: "thalweg::metric_learning::ContrastivePairLossConfig",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| {
                let config = ContrastivePairLossConfig::new()
                    .with_positive_margin(value("positive_margin"))
                    .with_negative_margin(value("negative_margin"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn n_pairs() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "n_pairs",
        title: "N-pairs loss",
        family: "metric_learning",
        formula: "−log( exp(x_i·y_i) / Σ_j exp(x_i·y_j) ) of a pair a class, plus λ ‖·‖²",
        shapes: SHAPES,
        good_for: &["labelled embeddings", "retrieval", "many classes"],
        cost: "O(classes² width)",
        when: "Many classes, a pair of each in a batch.",
        when_not: "A class is seldom twice in a batch, or cosines are wanted: SupCon uses all pairs and a temperature.",
        source: "Sohn, NIPS 2016",
        parameters: vec![Parameter {
            name: "regularization",
            meaning: "weight λ of the squared norms",
            default: 0.002,
            range: (2e-4, 0.2),
            scale: Scale::Logarithmic,
        }],
        rust: "NPairsLossConfig::new().with_regularization({regularization}).init()?",
        path: "thalweg::metric_learning::NPairsLossConfig",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| {
                let config = NPairsLossConfig::new().with_regularization(value("regularization"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn circle() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "circle",
        title: "Circle loss",
        family: "metric_learning",
        formula: "log(1 + Σ_n exp(γ α_n (s_n − m)) Σ_p exp(−γ α_p (s_p − 1 + m))), weights α by how far each is from its goal",
        shapes: SHAPES,
        good_for: &["labelled embeddings", "verification", "retrieval"],
        cost: "O(batch² width), streamed by anchor",
        when: "Pairs that are far from their goal should count more than those that are near.",
        when_not: "A class is seldom twice in a batch.",
        source: "Sun et al., CVPR 2020 (arXiv 2002.10857)",
        parameters: vec![
            number("margin", "relaxation m", 0.4, (0.1, 0.5)),
            Parameter {
                name: "gamma",
                meaning: "scale γ",
                default: 80.0,
                range: (16.0, 256.0),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "CircleLossConfig::new().with_margin({margin}).with_gamma({gamma}).init()?",
        path: "thalweg::metric_learning::CircleLossConfig",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| {
                let config = CircleLossConfig::new()
                    .with_margin(value("margin"))
                    .with_gamma(value("gamma"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

fn multi_similarity() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "multi_similarity",
        title: "Multi-Similarity loss",
        family: "metric_learning",
        formula: "(1/α) log(1 + Σ_p exp(−α (s_p − λ))) + (1/β) log(1 + Σ_n exp(β (s_n − λ))) over mined pairs",
        shapes: SHAPES,
        good_for: &["labelled embeddings", "retrieval", "hard negatives"],
        cost: "O(batch² width), streamed by anchor",
        when: "Several samples a class in a batch, and the pairs that matter are to be found by themselves.",
        when_not: "Labels are noisy: what it mines is what is labelled wrongly.",
        source: "Wang et al., CVPR 2019 (arXiv 1904.06627)",
        parameters: vec![
            Parameter {
                name: "alpha",
                meaning: "sharpness α of alike pairs",
                default: 2.0,
                range: (1.0, 20.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "beta",
                meaning: "sharpness β of other pairs",
                default: 50.0,
                range: (10.0, 100.0),
                scale: Scale::Logarithmic,
            },
            number("base", "similarity λ between them", 0.5, (0.1, 1.0)),
        ],
        rust: "MultiSimilarityLossConfig::new().with_alpha({alpha}).with_beta({beta}).with_base({base}).init()?",
        path: "thalweg::metric_learning::MultiSimilarityLossConfig",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, _| {
                let config = MultiSimilarityLossConfig::new()
                    .with_alpha(value("alpha"))
                    .with_beta(value("beta"))
                    .with_base(value("base"));
                Ok(Box::new(config.init()?))
            },
        },
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        triplet_margin(),
        triplet_semi_hard(),
        triplet_hard(),
        contrastive_pair(),
        n_pairs(),
        circle(),
        multi_similarity(),
    ]
}
