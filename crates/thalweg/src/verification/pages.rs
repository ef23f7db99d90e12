//! The margin softmaxes' pages in the catalogue.

use super::{
    ArcFaceLossConfig, CosFaceLossConfig, Head, MagFaceLossConfig, MarginClassifierConfig, MarginSoftmaxLoss,
    NormalizedSoftmaxLossConfig, UnpgLossConfig,
};
use crate::ConfigError;
use crate::objective::{Build, EmbeddingSpace, ObjectiveEntry, Parameter, Scale, Task, ViewObjective};

const TASKS: &[Task] = &[Task::Verification];
/// Norms between which MagFace's margin grows: those of narrow embeddings.
const LEAST_NORM: f64 = 1.0;
const LARGEST_NORM: f64 = 20.0;

/// Over class weights of its own.
fn classifier(
    loss: MarginSoftmaxLoss,
    space: &EmbeddingSpace,
) -> Result<Box<dyn ViewObjective>, ConfigError> {
    let config = MarginClassifierConfig::new(space.classes, space.width);
    Ok(Box::new(config.init(loss, space.seed, &space.device)?))
}

/// Half of the papers', which train on a hundred times the classes: 64 is within the range.
fn scale() -> Parameter {
    Parameter {
        name: "scale",
        meaning: "scale s of the cosines",
        default: 32.0,
        range: (8.0, 64.0),
        scale: Scale::Logarithmic,
    }
}

fn margin(meaning: &'static str, default: f64) -> Parameter {
    Parameter {
        name: "margin",
        meaning,
        default,
        range: (0.05, 0.6),
        scale: Scale::Linear,
    }
}

fn normalized_softmax() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "normalized_softmax",
        title: "Normalised softmax",
        family: "verification",
        formula: "cross-entropy of s·cos(x, W_j) over the training classes",
        shapes: "embeddings [batch, width], labels [batch] → [1], class weights of its own",
        good_for: &["verification", "labelled embeddings", "faces"],
        cost: "O(batch · classes · width), and a weight row a class",
        when: "Identities are known in training and cosines decide later: the simplest loss that fits that.",
        when_not: "There are few samples a class: weights then stand for single samples.",
        source: "Wang et al., ACM MM 2017 (NormFace)",
        parameters: vec![scale()],
        rust: "MarginClassifierConfig::new(classes, width).init(NormalizedSoftmaxLossConfig::new()\
               .with_scale({scale}).init()?, seed, &device)?",
        path: "thalweg::verification::{MarginClassifierConfig, NormalizedSoftmaxLossConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, space| {
                let config = NormalizedSoftmaxLossConfig::new().with_scale(value("scale"));
                classifier(config.init()?, space)
            },
        },
    }
}

fn cos_face() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "cos_face",
        title: "CosFace",
        formula: "cross-entropy of s·cos(x, W_j), the own class at s·(cos − m)",
        when: "Identities are known in training, many of them, and thresholds of the cosine decide later.",
        when_not: "Classes overlap: a margin asks for what is not there.",
        source: "Wang et al., CVPR 2018 (arXiv 1801.09414)",
        parameters: vec![scale(), margin("margin m of the cosine", 0.35)],
        rust: "MarginClassifierConfig::new(classes, width).init(CosFaceLossConfig::new()\
               .with_scale({scale}).with_margin({margin}).init()?, seed, &device)?",
        path: "thalweg::verification::{CosFaceLossConfig, MarginClassifierConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, space| {
                let config = CosFaceLossConfig::new()
                    .with_scale(value("scale"))
                    .with_margin(value("margin"));
                classifier(config.init()?, space)
            },
        },
        ..normalized_softmax()
    }
}

fn arc_face() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "arc_face",
        title: "ArcFace",
        formula: "cross-entropy of s·cos(x, W_j), the own class at s·cos(θ + m)",
        when: "As CosFace; its margin is one of the angle, in radians.",
        when_not: "Training starts with large angles and a large margin: beyond π − m its slope turns.",
        source: "Deng et al., CVPR 2019 (arXiv 1801.07698)",
        parameters: vec![scale(), margin("margin m of the angle, radians", 0.35)],
        rust: "MarginClassifierConfig::new(classes, width).init(ArcFaceLossConfig::new()\
               .with_scale({scale}).with_margin({margin}).init()?, seed, &device)?",
        path: "thalweg::verification::{ArcFaceLossConfig, MarginClassifierConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, space| {
                let config = ArcFaceLossConfig::new()
                    .with_scale(value("scale"))
                    .with_margin(value("margin"));
                classifier(config.init()?, space)
            },
        },
        ..normalized_softmax()
    }
}

fn mag_face() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "mag_face",
        title: "MagFace",
        formula: "ArcFace with a margin that grows with the embedding's norm, plus λ_g g(‖x‖)",
        when: "Quality of samples differs: the norm of an embedding comes to tell it.",
        when_not: "Norms stay outside the range of the margin (here 1 to 20; 10 to 110 in the paper): it is constant there.",
        source: "Meng et al., CVPR 2021 (arXiv 2103.06627)",
        parameters: vec![
            scale(),
            Parameter {
                name: "lambda_g",
                meaning: "weight λ_g of the norm's regulariser",
                default: 35.0,
                range: (1.0, 50.0),
                scale: Scale::Logarithmic,
            },
        ],
        rust: "MarginClassifierConfig::new(classes, width).init(MagFaceLossConfig::new()\
               .with_l_a(1.0).with_u_a(20.0).with_scale({scale}).with_lambda_g({lambda_g}).init()?, seed, &device)?",
        path: "thalweg::verification::{MagFaceLossConfig, MarginClassifierConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, space| {
                let config = MagFaceLossConfig::new()
                    .with_l_a(LEAST_NORM)
                    .with_u_a(LARGEST_NORM)
                    .with_scale(value("scale"))
                    .with_lambda_g(value("lambda_g"));
                classifier(config.init()?, space)
            },
        },
        ..normalized_softmax()
    }
}

fn unpg_cos_face() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "unpg_cos_face",
        title: "UNPG over CosFace",
        formula: "CosFace with the negative pairs of the batch beside the classes, less those beyond the whiskers",
        cost: "O(batch · (classes + batch) · width)",
        when: "Class weights have come to the centres of their classes and see no hard negatives any more.",
        when_not: "Few classes and a short training: it takes accuracy then (thalweg study unpg).",
        source: "Jung et al., BMVC 2022 (arXiv 2203.11593)",
        rust: "MarginClassifierConfig::new(classes, width).init(UnpgLossConfig::new(Head::cos_face({margin}))\
               .with_scale({scale}).init()?, seed, &device)?",
        path: "thalweg::verification::{Head, MarginClassifierConfig, UnpgLossConfig}",
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, space| {
                let head = Head::cos_face(value("margin"));
                let config = UnpgLossConfig::new(head).with_scale(value("scale"));
                classifier(config.init()?, space)
            },
        },
        ..cos_face()
    }
}

fn unpg_arc_face() -> ObjectiveEntry {
    ObjectiveEntry {
        name: "unpg_arc_face",
        title: "UNPG over ArcFace",
        formula: "ArcFace with the negative pairs of the batch beside the classes, less those beyond the whiskers",
        rust: "MarginClassifierConfig::new(classes, width).init(UnpgLossConfig::new(Head::arc_face({margin}))\
               .with_scale({scale}).init()?, seed, &device)?",
        path: "thalweg::verification::{Head, MarginClassifierConfig, UnpgLossConfig}",
        parameters: arc_face().parameters,
        build: Build::Embeddings {
            tasks: TASKS,
            make: |value, space| {
                let head = Head::arc_face(value("margin"));
                let config = UnpgLossConfig::new(head).with_scale(value("scale"));
                classifier(config.init()?, space)
            },
        },
        ..unpg_cos_face()
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![
        normalized_softmax(),
        cos_face(),
        arc_face(),
        mag_face(),
        unpg_cos_face(),
        unpg_arc_face(),
    ]
}
