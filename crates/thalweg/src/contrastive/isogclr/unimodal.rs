//! The step of two views of one kind.
//!
//! Anchor a, either view of sample i, has all embeddings of other samples as negatives, `K = 2B − 2`. With
//! `g_a = mean_j exp(s_aj/τ_i)`, `s_a = (1−γ)s_i + γ g_a` (`g_a` at the first visit) and constant weights
//! `w_aj = exp(s_aj/τ_i)/(s_a K)`, the surrogate is `(1/B) Σ_a (Σ_j w_aj s_aj − s_a⁺)`. Kept is the mean of both `s_a`; everything in
//! logarithms, so that no temperature is too low.

use burn::tensor::{Element, Tensor};
use thalweg_kernels::in_batch::{Anchors, Pairs, Slope, softmax_gradients, softmax_statistics};
use thalweg_kernels::real::Real;

use super::state::{TemperatureRule, gamma};
use crate::bridge::{CpuFloats, Floats, constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// What is kept of the samples of a batch.
#[derive(Clone, Debug)]
pub struct UnimodalSamples {
    /// Logarithm of the moving average of each; none at its first visit.
    pub log_means: Vec<Option<f64>>,
    /// Temperature of each.
    pub temperatures: Vec<f64>,
    /// Momentum of each temperature.
    pub momenta: Vec<f64>,
}

/// A step of a batch.
#[derive(Clone, Debug)]
pub struct UnimodalStep {
    /// The surrogate loss `[1]`.
    pub loss: Tensor<1>,
    /// Logarithms of the new averages.
    pub log_means: Vec<f64>,
    /// Gradients by the temperatures, cut; 0 where these are not learned.
    pub by_temperature: Vec<f64>,
    /// New momenta.
    pub momenta: Vec<f64>,
    /// New temperatures.
    pub temperatures: Vec<f64>,
}

/// A step of two views `[batch, width]`, unit rows; without a rule temperatures stay.
///
/// # Panics
/// When the shapes differ, there are fewer than two samples, or not as much is kept as there are samples.
pub fn unimodal_step(
    first: Tensor<2>,
    second: Tensor<2>,
    samples: &UnimodalSamples,
    gamma: f64,
    rule: Option<&TemperatureRule>,
) -> UnimodalStep {
    assert_eq!(first.dims(), second.dims(), "two views differ in shape");
    let [batch, _] = first.dims();
    assert!(batch >= 2, "a batch of {batch} has no negatives");
    assert_eq!(samples.temperatures.len(), batch, "a temperature for each sample");
    let both = Tensor::cat(vec![first, second], 0);
    match CpuFloats::of(&both).as_ref().map(CpuFloats::floats) {
        Some(Floats::F32(memory)) => step_of(memory, &both, samples, gamma, rule),
        Some(Floats::F64(memory)) => step_of(memory, &both, samples, gamma, rule),
        None => step_of(&host_scores(&both), &both, samples, gamma, rule),
    }
}

fn step_of<F: Real + Element>(
    memory: &[F],
    both: &Tensor<2>,
    samples: &UnimodalSamples,
    gamma: f64,
    rule: Option<&TemperatureRule>,
) -> UnimodalStep {
    let [rows, width] = both.dims();
    let batch = rows / 2;
    let others: Vec<u32> = (0..rows).map(|row| ((row + batch) % rows) as u32).collect();
    let temperatures = samples.temperatures.repeat(2);
    let pairs = Pairs::Within {
        vectors: memory,
        anchors: Anchors {
            temperatures: &temperatures,
            positives: Some(&others),
        },
    };
    let statistics = softmax_statistics(&pairs, width);
    let log_count = ((rows - 2) as f64).ln();
    let share = 1.0 / batch as f64;
    let (mut total, mut slopes) = (0.0, Vec::with_capacity(rows));
    let (mut log_means, mut by_temperature) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for (row, found) in statistics[0].iter().enumerate() {
        let (sample, temperature) = (row % batch, temperatures[row]);
        let log_now = found.log_sum_exp(temperature) - log_count;
        let log_mean = match samples.log_means[sample] {
            None => log_now,
            Some(before) => log_add((1.0 - gamma).ln() + before, gamma.ln() + log_now),
        };
        let weights = (log_now - log_mean).exp();
        let weighted = weights * found.mean();
        total += share * (weighted - found.positive);
        slopes.push(Slope {
            positive: -share,
            others: share * weights,
        });
        by_temperature.push(rule.map_or(0.0, |rule| log_mean + rule.rho - weighted / temperature));
        log_means.push(log_mean);
    }
    let mut step = UnimodalStep {
        loss: constant(vec![F::from_f64(total)], [1], &both.device(), both.dtype()),
        log_means: Vec::new(),
        by_temperature: vec![0.0; batch],
        momenta: samples.momenta.clone(),
        temperatures: samples.temperatures.clone(),
    };
    if both.is_tracked() {
        let [gradient, _] = softmax_gradients(&pairs, width, &statistics, &[slopes, Vec::new()]);
        let gradient = constant::<2, F>(gradient, [rows, width], &both.device(), both.dtype());
        step.loss = with_gradients(step.loss, [(both.clone(), gradient)]);
    }
    for sample in 0..batch {
        let log_sum = log_add(log_means[sample], log_means[sample + batch]);
        step.log_means.push(log_sum - std::f64::consts::LN_2);
        if let Some(rule) = rule {
            let gradient = 0.5 * (by_temperature[sample] + by_temperature[sample + batch]);
            [
                step.by_temperature[sample],
                step.momenta[sample],
                step.temperatures[sample],
            ] = rule.step(gradient, samples.momenta[sample], samples.temperatures[sample]);
        }
    }
    step
}

/// `log(exp(a) + exp(b))`.
fn log_add(a: f64, b: f64) -> f64 {
    let (top, low) = if a > b { (a, b) } else { (b, a) };
    if top == f64::NEG_INFINITY {
        top
    } else {
        top + (low - top).exp().ln_1p()
    }
}

impl Case<'_> {
    /// Two sides of at least two rows, finite.
    pub(super) fn sides(&self, names: [&str; 2]) -> Result<(), QuantityError> {
        self.embeddings(&names)?;
        if self.array(names[0]).shape[0] < 2 {
            return self.refuse_input(
                names[0],
                "has a single row, which has no negatives; at least 2 are needed",
            );
        }
        Ok(())
    }

    /// Moving averages, none negative.
    pub(super) fn averages(&self, name: &str) -> Result<&[f64], QuantityError> {
        self.finite(name)?;
        let data = &self.array(name).data;
        match data.iter().position(|&mean| mean < 0.0) {
            Some(at) => self.refuse_input(
                name,
                format!("holds {} at index {at}; averages are at least 0", data[at]),
            ),
            None => Ok(data),
        }
    }

    fn unimodal(
        &self,
        temperatures: Vec<f64>,
        momenta: Vec<f64>,
        rule: Option<&TemperatureRule>,
    ) -> Result<(Outputs, UnimodalStep), QuantityError> {
        self.sides(["z1", "z2"])?;
        let first_visit = self.flag("first_epoch")?;
        let averages = self.averages("s")?;
        let samples = UnimodalSamples {
            log_means: averages
                .iter()
                .map(|s| (!first_visit).then_some(s.ln()))
                .collect(),
            temperatures,
            momenta,
        };
        let (z1, z2) = (self.variable::<2>("z1"), self.variable::<2>("z2"));
        let step = unimodal_step(
            z1.clone(),
            z2.clone(),
            &samples,
            gamma(self.param("gamma")?)?,
            rule,
        );
        let outputs = self.value_and_gradients(step.loss.clone(), &[("z1", &z1), ("z2", &z2)]);
        let new: Vec<f64> = step.log_means.iter().map(|log| log.exp()).collect();
        Ok((outputs.with("s_new", new), step))
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "sogclr_unimodal_step",
            "surrogate of the global contrastive loss of two views, its gradients and the new moving averages",
        )
        .param("gamma", 0.8)
        .param("temperature", 0.1)
        .param("first_epoch", false)
        .input("z1", "[B, d]")
        .input("z2", "[B, d]")
        .input("s", "[B]")
        .eval(|case| {
            let temperature = super::super::pairs::temperature("sogclr", case.param("temperature")?)?;
            let batch = case.array("s").data.len();
            let (outputs, _) = case.unimodal(vec![temperature; batch], vec![0.0; batch], None)?;
            Ok(outputs)
        }),
        Quantity::new(
            "isogclr_unimodal_step",
            "the same with a learned temperature for each sample, and a step of those",
        )
        .param("gamma", 0.8)
        .param("rho", 0.4)
        .param("beta", 0.5)
        .param("eta", 0.03)
        .param("tau_min", 0.05)
        .param("tau_max", 1.0)
        .param("grad_clip", 3.0)
        .param("first_epoch", false)
        .input("z1", "[B, d]")
        .input("z2", "[B, d]")
        .input("s", "[B]")
        .input("tau", "[B]")
        .input("momentum", "[B]")
        .with_example("tau", vec![0.5, 0.25, 1.0])
        .eval(|case| {
            let rule = case.temperature_rule()?;
            case.finite("momentum")?;
            let momenta = case.array("momentum").data.clone();
            let (outputs, step) = case.unimodal(case.temperatures("tau")?.to_vec(), momenta, Some(&rule))?;
            Ok(outputs
                .with("grad_tau", step.by_temperature)
                .with("momentum_new", step.momenta)
                .with("tau_new", step.temperatures))
        }),
    ]
}
