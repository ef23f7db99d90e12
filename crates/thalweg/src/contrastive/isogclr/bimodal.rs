//! The step of pairs of two kinds, images and texts.
//!
//! With `h_ij = s_ij − s_ii` along the rows for images and along the columns for texts, each side has a running shift
//! `b_i ← max(b_i, max_j h_ij/τ_i)`, `e_ij = exp(h_ij/τ_i − b_i)`, an average `s_i ← (1−γ) s_i exp(b_old − b_i) + γ Σ_j e_ij/(B−1)`
//! and constant weights `w_ij = e_ij/((s_i + ε)(B−1))`. The surrogate is `(1/B) Σ_i Σ_j w_ij h_ij` of both sides.

use burn::tensor::{Element, Tensor};
use thalweg_kernels::in_batch::{Anchors, Pairs, Slope, Statistics, softmax_gradients, softmax_statistics};
use thalweg_kernels::real::Real;

use super::state::{TemperatureRule, gamma};
use crate::bridge::{CpuFloats, Floats, constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::config::require;
use crate::quantity::{Case, Quantity, QuantityError};

/// How averages and temperatures of a side follow a batch.
#[derive(Clone, Copy, Debug)]
pub struct BimodalRule {
    /// Weight γ of the batch in the moving averages.
    pub gamma: f64,
    /// Added to an average before it divides.
    pub eps: f64,
    /// What a pair's own score, with h = 0, adds to the sum of its row: 1 as in the authors' code, 0 as in the paper.
    pub own_weight: f64,
    /// How temperatures are learned.
    pub temperatures: TemperatureRule,
}

/// What is kept of one side of the pairs of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BimodalSide {
    /// Moving averages s.
    pub means: Vec<f64>,
    /// Shifts b.
    pub shifts: Vec<f64>,
    /// Momenta of the temperatures.
    pub momenta: Vec<f64>,
    /// Temperatures.
    pub temperatures: Vec<f64>,
}

/// A step of a batch.
#[derive(Clone, Debug)]
pub struct BimodalStep {
    /// The surrogate loss `[1]`.
    pub loss: Tensor<1>,
    /// What is to be kept of each side.
    pub sides: [BimodalSide; 2],
    /// Gradients by the temperatures of each side, cut.
    pub by_temperature: [Vec<f64>; 2],
}

/// A step of pairs `[batch, width]` of both kinds.
///
/// # Panics
/// When the shapes differ, there are fewer than two pairs, or not as much is kept as there are pairs.
pub fn bimodal_step(embeddings: [&Tensor<2>; 2], kept: [&BimodalSide; 2], rule: &BimodalRule) -> BimodalStep {
    let [image, text] = embeddings;
    assert_eq!(image.dims(), text.dims(), "the two sides differ in shape");
    let [batch, _] = image.dims();
    assert!(batch >= 2, "a batch of {batch} has no negatives");
    match [CpuFloats::of(image), CpuFloats::of(text)] {
        [Some(a), Some(b)] => match (a.floats(), b.floats()) {
            (Floats::F32(a), Floats::F32(b)) => step_of([a, b], embeddings, kept, rule),
            (Floats::F64(a), Floats::F64(b)) => step_of([a, b], embeddings, kept, rule),
            _ => panic!("the two sides differ in float type"),
        },
        _ => {
            let [a, b] = [host_scores(image), host_scores(text)];
            step_of([&a, &b], embeddings, kept, rule)
        }
    }
}

fn step_of<F: Real + Element>(
    memory: [&[F]; 2],
    embeddings: [&Tensor<2>; 2],
    kept: [&BimodalSide; 2],
    rule: &BimodalRule,
) -> BimodalStep {
    let [batch, width] = embeddings[0].dims();
    let own: Vec<u32> = (0..batch as u32).collect();
    let pairs = Pairs::Both {
        sides: memory,
        anchors: kept.map(|side| Anchors {
            temperatures: &side.temperatures,
            positives: Some(&own),
        }),
    };
    let statistics = softmax_statistics(&pairs, width);
    let mut total = 0.0;
    let mut slopes = [Vec::with_capacity(batch), Vec::with_capacity(batch)];
    let mut sides = kept.map(Clone::clone);
    let mut by_temperature = [Vec::with_capacity(batch), Vec::with_capacity(batch)];
    let share = 1.0 / batch as f64;
    for side in [0, 1] {
        for (at, found) in statistics[side].iter().enumerate() {
            let followed = rule.follow(found, batch, kept[side], at, &mut sides[side]);
            total += share * followed.weighted;
            slopes[side].push(Slope {
                positive: -share * followed.weights,
                others: share * followed.weights,
            });
            by_temperature[side].push(followed.by_temperature);
        }
    }
    let (device, dtype) = (embeddings[0].device(), embeddings[0].dtype());
    let mut loss = constant(vec![F::from_f64(total)], [1], &device, dtype);
    if embeddings.iter().any(|side| side.is_tracked()) {
        let gradients = softmax_gradients(&pairs, width, &statistics, &slopes);
        let [image, text] = gradients.map(|values| constant::<2, F>(values, [batch, width], &device, dtype));
        loss = with_gradients(
            loss,
            [(embeddings[0].clone(), image), (embeddings[1].clone(), text)],
        );
    }
    BimodalStep {
        loss,
        sides,
        by_temperature,
    }
}

/// What one anchor adds.
struct Followed {
    /// `Σ_j w_j h_j`.
    weighted: f64,
    /// `Σ_j w_j` over the others.
    weights: f64,
    by_temperature: f64,
}

impl BimodalRule {
    fn follow(
        &self,
        found: &Statistics,
        batch: usize,
        kept: &BimodalSide,
        at: usize,
        new: &mut BimodalSide,
    ) -> Followed {
        let (temperature, before) = (kept.temperatures[at], kept.shifts[at]);
        let largest = (found.top - found.positive) / temperature;
        let largest = if self.own_weight > 0.0 {
            largest.max(0.0)
        } else {
            largest
        };
        let shift = before.max(largest);
        let others = found.sum * ((found.top - found.positive) / temperature - shift).exp();
        let negatives = (batch - 1) as f64;
        let now = (others + self.own_weight * (-shift).exp()) / negatives;
        let mean = (1.0 - self.gamma) * kept.means[at] * (before - shift).exp() + self.gamma * now;
        let weights = others / ((mean + self.eps) * negatives);
        let weighted = weights * (found.mean() - found.positive);
        let slope = mean.ln() + shift + self.temperatures.rho - weighted / temperature;
        let [by_temperature, momentum, learned] =
            self.temperatures.step(slope, kept.momenta[at], temperature);
        new.means[at] = mean;
        new.shifts[at] = shift;
        new.momenta[at] = momentum;
        new.temperatures[at] = learned;
        Followed {
            weighted,
            weights,
            by_temperature,
        }
    }
}

impl Case<'_> {
    fn bimodal_side(&self, [s, b, m, tau]: [&str; 4]) -> Result<BimodalSide, QuantityError> {
        self.finite(b)?;
        self.finite(m)?;
        Ok(BimodalSide {
            means: self.averages(s)?.to_vec(),
            shifts: self.array(b).data.clone(),
            momenta: self.array(m).data.clone(),
            temperatures: self.temperatures(tau)?.to_vec(),
        })
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let mut quantity = Quantity::new(
        "isogclr_bimodal_step",
        "surrogate of the robust global contrastive loss of images and texts, its gradients and a step of all that is kept",
    )
    .param("gamma", 0.8)
    .param("rho", 6.0)
    .param("beta", 0.5)
    .param("eta", 0.03)
    .param("tau_min", 0.005)
    .param("tau_max", 1.0)
    .param("grad_clip", 5.0)
    .param("eps", 1e-10)
    .param("include_positive", true)
    .input("image", "[B, d]")
    .input("text", "[B, d]");
    for (name, example) in [
        ("s_image", 0.5),
        ("tau_image", 0.25),
        ("b_image", 0.0),
        ("m_image", 0.0),
        ("s_text", 0.5),
        ("tau_text", 0.25),
        ("b_text", 0.0),
        ("m_text", 0.0),
    ] {
        quantity = quantity.input(name, "[B]").with_example(name, vec![example; 3]);
    }
    vec![quantity.eval(|case| {
        case.sides(["image", "text"])?;
        let eps = require(
            "isogclr",
            "eps",
            case.param("eps")?,
            "at least 0 and finite",
            |eps| eps >= 0.0 && eps.is_finite(),
        )?;
        let rule = BimodalRule {
            gamma: gamma(case.param("gamma")?)?,
            eps,
            own_weight: f64::from(u8::from(case.flag("include_positive")?)),
            temperatures: case.temperature_rule()?,
        };
        let kept = [
            case.bimodal_side(["s_image", "b_image", "m_image", "tau_image"])?,
            case.bimodal_side(["s_text", "b_text", "m_text", "tau_text"])?,
        ];
        let (image, text) = (case.variable::<2>("image"), case.variable::<2>("text"));
        let step = bimodal_step([&image, &text], kept.each_ref(), &rule);
        let mut outputs = case.value_and_gradients(step.loss, &[("image", &image), ("text", &text)]);
        let found = step.sides.into_iter().zip(step.by_temperature);
        for (kind, (side, by_temperature)) in ["image", "text"].into_iter().zip(found) {
            outputs = outputs
                .with(format!("s_{kind}_new"), side.means)
                .with(format!("b_{kind}_new"), side.shifts)
                .with(format!("grad_tau_{kind}"), by_temperature)
                .with(format!("m_{kind}_new"), side.momenta)
                .with(format!("tau_{kind}_new"), side.temperatures);
        }
        Ok(outputs)
    })]
}
