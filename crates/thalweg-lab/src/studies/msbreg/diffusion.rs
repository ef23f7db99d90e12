//! The exact part: free particles under the Brownian term alone diffuse on the sphere.
//!
//! After steps of size η in d dimensions, with `s = Σ η²/d`, the mean squared displacement is `2(1 − exp(−(d − 1)s/2))`.

use burn::tensor::{Device, Tensor};
use thalweg::self_supervised::{BrownianDiffusiveLoss, Kicks};
use thalweg_kernels::random::Stream;

use crate::self_supervised::{floats, tensor, unit};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

pub(super) const STEPS: usize = 1;

const WIDTH: usize = 8;
const SIZE: f64 = 0.05;
const STANDARD_ERRORS: f64 = 3.0;

pub(super) fn run(scale: &Scale, advance: &Advance) -> (Table, Claim) {
    let (particles, steps) = scale.pick((4000, 200), (500, 20));
    let displacements = displacements(particles, steps);
    advance(STEPS);
    let count = particles as f64;
    let mean = displacements.iter().sum::<f64>() / count;
    let squares: f64 = displacements.iter().map(|square| (square - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    let time = steps as f64 * SIZE * SIZE / WIDTH as f64;
    let predicted = 2.0 * (1.0 - (-0.5 * (WIDTH - 1) as f64 * time).exp());
    let off = (mean - predicted) / error;
    let table = Table {
        title: format!(
            "Free particles on the sphere, d = {WIDTH}, kicked in steps of {SIZE}: mean squared displacement"
        ),
        columns: ["particles", "steps", "seen", "standard error", "predicted"]
            .map(str::to_owned)
            .to_vec(),
        rows: vec![vec![
            particles.to_string(),
            steps.to_string(),
            format!("{mean:.4}"),
            format!("{error:.4}"),
            format!("{predicted:.4}"),
        ]],
    };
    let claim = Claim {
        text: "the Brownian term alone is diffusion on the sphere".to_owned(),
        criterion: format!(
            "mean squared displacement within {STANDARD_ERRORS} standard errors of 2(1 − exp(−(d − 1)s/2))"
        ),
        evidence: format!("{mean:.4} ± {error:.4}, predicted {predicted:.4}: {off:+.1} standard errors")
            .replace('-', "−"),
        verdict: Some(if off.abs() <= STANDARD_ERRORS {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    (table, claim)
}

/// Squared distance of each particle from where it began.
fn displacements(particles: usize, steps: usize) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let mut start = vec![0.0_f32; particles * WIDTH];
    Stream::new(0, "particles", 0).fill_normal(&mut start);
    let on_sphere = |values: &[f32]| -> Vec<f32> {
        unit(values, WIDTH)
            .into_iter()
            .map(|value| value as f32)
            .collect()
    };
    let start = on_sphere(&start);
    let samples: Vec<usize> = (0..particles).collect();
    let mut at = start.clone();
    for step in 0..steps {
        let rows: Tensor<2> = tensor(at, WIDTH, &device).require_grad();
        let kicks = Kicks::Keyed {
            seed: 0,
            step,
            samples: &samples,
        };
        let gradients = BrownianDiffusiveLoss
            .forward(std::slice::from_ref(&rows), &kicks)
            .backward();
        let slopes = rows.grad(&gradients).expect("kicks move particles");
        // The loss is a mean over particles: each alone is as many times as steep.
        let moved = rows.without_autodiff() - slopes * (SIZE * particles as f64);
        at = on_sphere(&floats(moved));
    }
    let rows = at.chunks_exact(WIDTH).zip(start.chunks_exact(WIDTH));
    rows.map(|(end, start)| {
        let gaps = end.iter().zip(start);
        gaps.map(|(a, b)| f64::from(a - b).powi(2)).sum()
    })
    .collect()
}
