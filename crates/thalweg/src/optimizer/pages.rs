//! The optimisers' pages in the catalogue.

use super::lion_k::{Joint, Kernel, LionKConfig, Separable};
use super::{
    AdamWConfig, AnyOptimizer, LearningRates, LionConfig, MFacConfig, Momentum, MomentumSgdConfig,
    Neighbourhood, OptimizerEntry, SamConfig, SgdConfig,
};
use crate::ConfigError;
use crate::objective::parameter::Values;
use crate::objective::{Parameter, Scale};

/// All optimisers.
pub(crate) fn optimizers() -> Vec<OptimizerEntry> {
    let mut all = vec![adamw(), sgd(), nesterov(), plain_sgd(), lion()];
    all.extend(lion_k());
    all.extend([sam(), asam(), saf(), mesa(), m_fac()]);
    all
}

fn weight_decay(meaning: &'static str, default: f64, range: (f64, f64)) -> Parameter {
    Parameter {
        name: "weight_decay",
        meaning,
        default,
        range,
        scale: Scale::Logarithmic,
    }
}

const DECOUPLED: &str = "decoupled weight decay λ";
const IN_GRADIENT: &str = "weight decay λ, added to the gradient";

fn momentum() -> Parameter {
    Parameter {
        name: "momentum",
        meaning: "what the velocity keeps per step, μ",
        default: 0.9,
        range: (0.8, 0.98),
        scale: Scale::Linear,
    }
}

fn adamw() -> OptimizerEntry {
    OptimizerEntry {
        name: "adamw",
        title: "AdamW",
        formula: "m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²; θ ← θ − η(m̂/(√v̂ + ε) + λθ)",
        good_for: &["any network", "little tuning", "sparse gradients", "baseline"],
        cost: "O(d), two numbers kept per parameter",
        when: "There is no time to tune: its learning rates carry over from network to network.",
        when_not: "Memory for two numbers per parameter is short.",
        source: "Loshchilov, Hutter, ICLR 2019",
        learning_rate: LearningRates {
            default: 2e-3,
            range: (5e-4, 1e-2),
        },
        parameters: vec![weight_decay(DECOUPLED, 0.01, (1e-4, 0.3))],
        objective: None,
        kernel: None,
        rust: "AdamWConfig::new().with_weight_decay({weight_decay}).init()?",
        path: "thalweg::optimizer::AdamWConfig",
        build: |value| {
            let config = AdamWConfig::new().with_weight_decay(value("weight_decay"));
            Ok(config.init()?.into())
        },
    }
}

fn plain_sgd() -> OptimizerEntry {
    OptimizerEntry {
        name: "plain_sgd",
        title: "gradient descent",
        formula: "θ ← θ − η(g + λθ)",
        good_for: &["least memory", "baseline"],
        cost: "O(d), nothing kept",
        when: "Nothing may be kept between steps, or a theorem is about plain descent.",
        when_not: "Curvature differs much from direction to direction: momentum costs one number per parameter.",
        source: "Robbins, Monro, Annals of Mathematical Statistics 1951",
        learning_rate: LearningRates {
            default: 0.1,
            range: (2e-2, 1.0),
        },
        parameters: vec![weight_decay(IN_GRADIENT, 1e-4, (1e-5, 1e-2))],
        objective: None,
        kernel: None,
        rust: "SgdConfig::new().with_weight_decay({weight_decay}).init()?",
        path: "thalweg::optimizer::SgdConfig",
        build: |value| {
            let config = SgdConfig::new().with_weight_decay(value("weight_decay"));
            Ok(config.init()?.into())
        },
    }
}

/// The learning rates of descent with momentum 0.9.
const MOMENTUM_RATES: LearningRates = LearningRates {
    default: 3e-2,
    range: (5e-3, 2e-1),
};

fn with_momentum(value: Values, kind: Momentum) -> Result<AnyOptimizer, ConfigError> {
    let config = MomentumSgdConfig::new()
        .with_kind(kind)
        .with_momentum(value("momentum"))
        .with_weight_decay(value("weight_decay"));
    Ok(config.init()?.into())
}

fn sgd() -> OptimizerEntry {
    OptimizerEntry {
        name: "sgd",
        title: "gradient descent with momentum",
        formula: "u ← μu + g + λθ; θ ← θ − ηu",
        good_for: &["images", "convolutional networks", "baseline"],
        cost: "O(d), one number kept per parameter",
        when: "The learning rate can be tuned and falls during training, as for convolutional networks.",
        when_not: "Nothing can be tuned: AdamW forgives more.",
        source: "Polyak, USSR Computational Mathematics 1964; Sutskever et al., ICML 2013",
        learning_rate: MOMENTUM_RATES,
        parameters: vec![momentum(), weight_decay(IN_GRADIENT, 1e-4, (1e-5, 1e-2))],
        objective: None,
        kernel: None,
        rust: "MomentumSgdConfig::new().with_momentum({momentum}).with_weight_decay({weight_decay}).init()?",
        path: "thalweg::optimizer::MomentumSgdConfig",
        build: |value| with_momentum(value, Momentum::HeavyBall),
    }
}

fn nesterov() -> OptimizerEntry {
    OptimizerEntry {
        name: "nesterov",
        title: "gradient descent with Nesterov's momentum",
        formula: "u ← μu + d with d = g + λθ; θ ← θ − η(d + μu)",
        good_for: &["images", "convolutional networks", "less oscillation"],
        cost: "O(d), one number kept per parameter",
        when: "As momentum, where the velocity overshoots.",
        when_not: "As momentum.",
        source: "Nesterov, Soviet Mathematics Doklady 1983; Sutskever et al., ICML 2013",
        rust: "MomentumSgdConfig::new().with_kind(thalweg::optimizer::Momentum::Nesterov)\
               .with_momentum({momentum}).with_weight_decay({weight_decay}).init()?",
        build: |value| with_momentum(value, Momentum::Nesterov),
        ..sgd()
    }
}

/// Learning rates of methods whose every entry moves by about η.
const SIGN_RATES: LearningRates = LearningRates {
    default: 3e-4,
    range: (1e-4, 3e-3),
};
const BOUNDING: &str = "decoupled weight decay λ; bounds the weights";

fn lion() -> OptimizerEntry {
    OptimizerEntry {
        name: "lion",
        title: "Lion",
        formula: "θ ← θ − η(sign(β₁m + (1−β₁)g) + λθ); m ← β₂m + (1−β₂)g; in the end ‖θ‖∞ ≤ 1/λ",
        good_for: &["less memory than AdamW", "bounded weights", "large batches"],
        cost: "O(d), one number kept per parameter, half of AdamW",
        when: "Memory is short, or weights are to stay below 1/λ.",
        when_not: "Batches are small: the sign of a noisy gradient is mostly noise.",
        source: "Chen et al., NeurIPS 2023; as constrained optimisation: Chen, Liu, Liang, Liu, ICLR 2024",
        learning_rate: SIGN_RATES,
        parameters: vec![weight_decay(BOUNDING, 0.1, (1e-2, 3.0))],
        objective: None,
        kernel: Some(|_| Separable::L1.into()),
        rust: "LionConfig::new().with_weight_decay({weight_decay}).init()?",
        path: "thalweg::optimizer::LionConfig",
        build: |value| {
            let config = LionConfig::new().with_weight_decay(value("weight_decay"));
            Ok(config.init()?.into())
        },
    }
}

/// Lion-K with the kernels that make sense on a network's weights.
fn lion_k() -> Vec<OptimizerEntry> {
    let smooth = |name: &'static str, meaning: &'static str, default: f64, range: (f64, f64)| Parameter {
        name,
        meaning,
        default,
        range,
        scale: Scale::Logarithmic,
    };
    vec![
        OptimizerEntry {
            name: "lion_k_huber",
            title: "Lion-K, Huber kernel",
            formula: "as Lion, with clip(m, −e, e)/e for sign(m)",
            good_for: &["bounded weights", "smooth sign"],
            when: "Lion's sign is too coarse near a minimum: below e the step shrinks with the momentum.",
            parameters: vec![
                smooth(
                    "e",
                    "momentum below which the step shrinks, e",
                    1e-3,
                    (1e-5, 1e-1),
                ),
                weight_decay(BOUNDING, 0.1, (1e-2, 3.0)),
            ],
            kernel: Some(huber),
            rust: "LionKConfig::new().with_kernel(thalweg::optimizer::lion_k::Separable::Huber { e: {e} }.into())\
                   .with_weight_decay({weight_decay}).init()?",
            build: |value| of_kernel(huber(value), value),
            ..lion_k_page()
        },
        OptimizerEntry {
            name: "lion_k_relativistic",
            title: "Lion-K, relativistic kernel",
            formula: "as Lion, with m/√(m² + e²) for sign(m)",
            good_for: &["bounded weights", "smooth sign"],
            when: "As the Huber kernel, without its corner.",
            parameters: vec![
                smooth(
                    "e",
                    "momentum at which the step has 0.7 of its size, e",
                    1e-3,
                    (1e-5, 1e-1),
                ),
                weight_decay(BOUNDING, 0.1, (1e-2, 3.0)),
            ],
            kernel: Some(relativistic),
            rust: "LionKConfig::new()\
                   .with_kernel(thalweg::optimizer::lion_k::Separable::Relativistic { e: {e} }.into())\
                   .with_weight_decay({weight_decay}).init()?",
            build: |value| of_kernel(relativistic(value), value),
            ..lion_k_page()
        },
        OptimizerEntry {
            name: "lion_k_soft_threshold",
            title: "Lion-K, sparse",
            formula: "as Lion, with sign(m) where |m| > e and 0 elsewhere",
            good_for: &["sparse weights", "bounded weights"],
            when: "Weights without a use are to decay to 0: where the momentum stays below e only the decay acts.",
            parameters: vec![
                smooth("e", "momentum below which nothing moves, e", 1e-4, (1e-6, 1e-2)),
                weight_decay(BOUNDING, 0.1, (1e-2, 3.0)),
            ],
            kernel: Some(soft_threshold),
            rust: "LionKConfig::new()\
                   .with_kernel(thalweg::optimizer::lion_k::Separable::SoftThresholdL1 { e: {e} }.into())\
                   .with_weight_decay({weight_decay}).init()?",
            build: |value| of_kernel(soft_threshold(value), value),
            ..lion_k_page()
        },
        OptimizerEntry {
            name: "lion_k_nuclear",
            title: "Lion-K, nuclear norm (Muon)",
            formula: "as Lion, with UVᵀ of the momentum's singular value decomposition UΣVᵀ for sign(m); \
                      in the end every weight matrix has singular values of at most 1/λ",
            good_for: &["bounded weights", "bounded spectral norm", "matrices"],
            cost: "a singular value decomposition per weight matrix and step",
            when: "Weight matrices are to have bounded spectral norms, or one direction drowns the others in the gradient.",
            when_not: "Matrices are large: the exact decomposition costs the cube of the smaller side.",
            source: "Chen, Liu, Liang, Liu, ICLR 2024 (arXiv 2310.05898); Muon: Jordan et al., 2024",
            learning_rate: LearningRates {
                default: 1e-2,
                range: (1e-3, 1e-1),
            },
            kernel: Some(nuclear),
            parameters: vec![weight_decay(BOUNDING, 0.1, (1e-2, 3.0))],
            rust: "LionKConfig::new()\
                   .with_kernel(thalweg::optimizer::lion_k::Joint::Nuclear { rows: 1 }.into())\
                   .with_weight_decay({weight_decay}).init()?",
            build: |value| of_kernel(nuclear(value), value),
            ..lion_k_page()
        },
    ]
}

/// What the entries of Lion-K share.
fn lion_k_page() -> OptimizerEntry {
    OptimizerEntry {
        cost: "O(d), one number kept per parameter",
        source: "Chen, Liu, Liang, Liu, ICLR 2024 (arXiv 2310.05898)",
        path: "thalweg::optimizer::lion_k::LionKConfig",
        ..lion()
    }
}

fn sharpness_aware(value: Values, neighbourhood: Neighbourhood) -> Result<AnyOptimizer, ConfigError> {
    let base = MomentumSgdConfig::new()
        .with_momentum(value("momentum"))
        .with_weight_decay(value("weight_decay"));
    let config = SamConfig::new()
        .with_rho(value("rho"))
        .with_neighbourhood(neighbourhood);
    Ok(config.init(base.init()?)?.into())
}

fn rho(default: f64, range: (f64, f64)) -> Parameter {
    Parameter {
        name: "rho",
        meaning: "radius of the neighbourhood, ρ",
        default,
        range,
        scale: Scale::Logarithmic,
    }
}

fn sam() -> OptimizerEntry {
    let mut parameters = sgd().parameters;
    parameters.insert(0, rho(0.05, (0.01, 0.5)));
    OptimizerEntry {
        name: "sam",
        title: "SAM on gradient descent with momentum",
        formula: "a step of sgd from θ with the gradient at θ + ρ g/‖g‖",
        good_for: &["flat minima", "generalisation", "noisy labels"],
        cost: "two forward and two backward passes, one number kept per parameter",
        when: "Training data are few or some labels wrong, and a step may cost twice as much.",
        when_not: "Time is short: SAF seeks the same at the cost of one pass.",
        source: "Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021 (arXiv 2010.01412)",
        parameters,
        rust: "SamConfig::new().with_rho({rho}).init(thalweg::optimizer::MomentumSgdConfig::new()\
               .with_momentum({momentum}).with_weight_decay({weight_decay}).init()?)?",
        path: "thalweg::optimizer::SamConfig",
        build: |value| sharpness_aware(value, Neighbourhood::Ball),
        ..sgd()
    }
}

fn asam() -> OptimizerEntry {
    let mut parameters = sgd().parameters;
    parameters.insert(0, rho(0.5, (0.1, 2.0)));
    OptimizerEntry {
        name: "asam",
        title: "ASAM on gradient descent with momentum",
        formula: "a step of sgd from θ with the gradient at θ + ρ T²g/‖Tg‖, T = |θ| + 0.01",
        when: "As SAM, where the sizes of weights differ much between layers: rescaling a layer changes nothing.",
        source: "Kwon, Kim, Park, Choi, ICML 2021 (arXiv 2102.11600)",
        parameters,
        rust: "SamConfig::new().with_rho({rho})\
               .with_neighbourhood(thalweg::optimizer::Neighbourhood::Adaptive { eta: 0.01 })\
               .init(thalweg::optimizer::MomentumSgdConfig::new()\
               .with_momentum({momentum}).with_weight_decay({weight_decay}).init()?)?",
        build: |value| sharpness_aware(value, Neighbourhood::Adaptive { eta: 0.01 }),
        ..sam()
    }
}

fn saf() -> OptimizerEntry {
    OptimizerEntry {
        name: "saf",
        title: "SAF on gradient descent with momentum",
        formula: "a step of sgd down cross-entropy and λ τ² KL(past outputs ‖ outputs)",
        good_for: &["flat minima", "generalisation", "noisy labels"],
        cost: "as sgd, and past outputs kept per training sample",
        when: "A flatter minimum is wanted, as SAM finds one, without its second pass.",
        when_not: "Samples are seen once, or targets are mixed from batch to batch.",
        source: "Du et al., NeurIPS 2022 (arXiv 2205.14083)",
        objective: Some("saf"),
        ..sgd()
    }
}

fn mesa() -> OptimizerEntry {
    OptimizerEntry {
        name: "mesa",
        title: "MESA on gradient descent with momentum",
        formula: "a step of sgd down cross-entropy and λ τ² KL(outputs of averaged weights ‖ outputs)",
        cost: "as sgd, one more forward pass, and a copy of the weights",
        when: "As SAF, where past outputs would not fit in memory or samples are not seen again.",
        when_not: "Training is so short that the average stays near the first weights.",
        objective: Some("mesa"),
        ..saf()
    }
}

fn m_fac() -> OptimizerEntry {
    OptimizerEntry {
        name: "m_fac",
        title: "M-FAC",
        formula: "u = F⁻¹g with F = γI + (1/m) Σ g_i g_iᵀ of the last m gradients; θ ← θ − ηv, v ← μv + (1−μ)u",
        good_for: &["second-order", "natural gradient", "fine-tuning"],
        cost: "O(d m + m³), m gradients kept",
        when: "Curvature differs much between directions, and a step's gradient costs more than m numbers per parameter.",
        when_not: "First-order methods are tuned already and memory is short. The learning rate goes with the dampening.",
        source: "Frantar, Kurtic, Alistarh, NeurIPS 2021 (arXiv 2107.03356); its defaults are m = 1024, γ = 1e-5",
        learning_rate: LearningRates {
            default: 1e-2,
            range: (1e-3, 1e-1),
        },
        parameters: vec![
            Parameter {
                name: "dampening",
                meaning: "dampening γ of the Fisher information",
                default: 1e-2,
                range: (1e-3, 1e-1),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "num_gradients",
                meaning: "gradients m that it is of, rounded",
                default: 32.0,
                range: (16.0, 128.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                range: (0.0, 0.95),
                ..momentum()
            },
            weight_decay(IN_GRADIENT, 1e-4, (1e-5, 1e-2)),
        ],
        objective: None,
        kernel: None,
        rust: "MFacConfig::new().with_num_gradients({num_gradients}_f64.round() as usize)\
               .with_dampening({dampening}).with_momentum({momentum}).with_weight_decay({weight_decay}).init()?",
        path: "thalweg::optimizer::MFacConfig",
        build: |value| {
            let config = MFacConfig::new()
                .with_num_gradients(value("num_gradients").round() as usize)
                .with_dampening(value("dampening"))
                .with_momentum(value("momentum"))
                .with_weight_decay(value("weight_decay"));
            Ok(config.init()?.into())
        },
    }
}

fn of_kernel(kernel: Kernel, value: Values) -> Result<AnyOptimizer, ConfigError> {
    let config = LionKConfig::new()
        .with_kernel(kernel)
        .with_weight_decay(value("weight_decay"));
    Ok(config.init()?.into())
}

fn huber(value: Values) -> Kernel {
    Separable::Huber { e: value("e") }.into()
}

fn relativistic(value: Values) -> Kernel {
    Separable::Relativistic { e: value("e") }.into()
}

fn soft_threshold(value: Values) -> Kernel {
    Separable::SoftThresholdL1 { e: value("e") }.into()
}

fn nuclear(_: Values) -> Kernel {
    Joint::Nuclear { rows: 1 }.into()
}
