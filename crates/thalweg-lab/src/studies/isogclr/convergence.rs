//! The exact part: with the encoder frozen, all samples in one batch and nothing averaged, temperature steps lead to the best
//! temperatures.

use burn::tensor::{DType, Device, Tensor, TensorData};
use thalweg::contrastive::isogclr::{SogClrConfig, optimal_temperature};

use super::runs::{RHO, rule};
use crate::LabError;
use crate::self_supervised::EncoderSpec;
use crate::study::{Advance, Claim, Scale, Verdict, Weight};

pub(super) const STEPS: usize = 1;

/// Samples of the batch.
const SAMPLES: usize = 64;
/// Farthest from the best.
const NEAR: f64 = 1e-4;

/// Of unit rows `[samples, embedding]`.
pub(super) fn run(scale: &Scale, embeddings: &[f64], advance: &Advance) -> Result<Claim, LabError> {
    let rows = &embeddings[..SAMPLES * EncoderSpec::default().embedding];
    let (farthest, interior) = farthest(rows, scale.pick(20_000, 2000))?;
    advance(STEPS);
    Ok(Claim {
        text: "with the encoder frozen, temperature steps lead to the temperatures that are best".to_owned(),
        criterion: format!(
            "none of {SAMPLES} temperatures is {NEAR} or farther from its best one, γ = 1, ρ = {RHO}"
        ),
        evidence: format!(
            "farthest {farthest:.1e}; {interior} of {SAMPLES} are between the ends of the range"
        ),
        verdict: Some(if farthest < NEAR {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    })
}

/// How far the temperatures of rows that serve as both views are from the best after so many steps, and how many of the best
/// are within the range.
fn farthest(rows: &[f64], steps: usize) -> Result<(f64, usize), LabError> {
    let width = rows.len() / SAMPLES;
    let rule = rule(RHO);
    let config = SogClrConfig::new(SAMPLES)
        .with_gamma(1.0)
        .with_temperature(0.3)
        .with_rule(Some(rule));
    let mut state = config.init()?;
    let data = TensorData::new(rows.to_vec(), [SAMPLES, width]);
    let view = Tensor::<2>::from_data(data, (&Device::flex(), DType::F64));
    let ids: Vec<usize> = (0..SAMPLES).collect();
    for _ in 0..steps {
        let step = state.forward(view.clone(), view.clone(), &ids);
        step.map_err(|problem| LabError::Plan(problem.to_string()))?;
    }
    let row = |sample: usize| &rows[sample * width..(sample + 1) * width];
    let (mut farthest, mut interior) = (0.0_f64, 0);
    for (sample, &found) in state.temperatures().iter().enumerate() {
        let others = (0..SAMPLES).filter(|&other| other != sample);
        // Both views of others are negatives; that they are equal changes no mean, nor does the positive's similarity.
        let h: Vec<f64> = others
            .map(|other| {
                row(sample)
                    .iter()
                    .zip(row(other))
                    .map(|(a, b)| a * b)
                    .sum::<f64>()
                    - 1.0
            })
            .collect();
        let best = optimal_temperature(&h, rule.rho, [rule.tau_min, rule.tau_max]);
        interior += usize::from(rule.tau_min < best && best < rule.tau_max);
        farthest = farthest.max((found - best).abs());
    }
    Ok((farthest, interior))
}
