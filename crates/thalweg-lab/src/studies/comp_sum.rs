//! Comp-sum losses: exact consistency bounds, what τ does to clean and noisy labels, and ADV-COMP-SUM beside TRADES.

mod bounds;
mod robustness;
mod sweep;

use std::sync::Arc;

use crate::LabError;
use crate::model::ModelSpec;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};
use crate::trial::{DataSpec, NoiseKind, NoiseSpec, TrialSpec};

pub(super) const STUDY: Study = Study {
    slug: "comp_sum",
    claim: "Comp-sum losses have tight H-consistency bounds; with noisy labels 1 < τ < 2 beats cross-entropy (τ = 1), \
            which beats τ = 0; ADV-COMP-SUM is more accurate than TRADES at equal robustness.",
    source: "Mao, Mohri, Zhong, ICML 2023 (arXiv 2304.07288)",
    seeds: 10,
    steps: |scale| bounds::steps(scale) + sweep::specs(scale, "").len() + robustness::specs(scale, "").len(),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let dataset = Arc::new(thalweg_data::digits());
    let (bounds_table, bounds_claims) = bounds::run(scale, advance);
    let (sweep_tables, sweep_claims) = sweep::run(scale, pool, &dataset)?;
    let (robust_tables, robust_claims) = robustness::run(scale, pool, &dataset)?;
    let tables = [vec![bounds_table], sweep_tables, robust_tables].concat();
    Ok(Findings::new(
        scale,
        tables,
        [bounds_claims, sweep_claims, robust_claims].concat(),
    ))
}

/// A trial of the study: digits split 70/30 by the seed itself, a 64-64-10 network, Adam at 2e-3.
fn trial(
    scale: &Scale,
    fingerprint: &str,
    noise: f64,
    objective: (&str, &[(&str, f64)]),
    seed: u64,
) -> TrialSpec {
    let data = DataSpec {
        test_fraction: 0.3,
        test_seed: seed,
        noise: (noise > 0.0).then_some(NoiseSpec {
            rate: noise,
            kind: NoiseKind::Uniform,
        }),
        ..DataSpec::new(fingerprint.to_owned())
    };
    let (name, settings) = objective;
    let settings = settings
        .iter()
        .map(|&(name, value)| (name.to_owned(), value))
        .collect();
    let mut spec = TrialSpec::new(data, ModelSpec::mlp(vec![64]), name, settings, seed);
    spec.epochs = scale.pick(30, 2);
    spec
}
