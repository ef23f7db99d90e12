//! Label distributionally robust losses: accuracy under label noise beside 13 baselines, what the temperatures of ALDR-KL
//! say of wrong labels, and the order of classes at the minimisers.

mod consistency;
mod noise;

use std::sync::Arc;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "ldr",
    claim: "LDR-KL orders all classes as their probabilities, which no symmetric loss can; under label noise LDR-KL and \
            ALDR-KL beat cross-entropy, ALDR-KL stably so, with higher temperatures for wrong labels.",
    source: "Zhu, Ying, Yang, ICML 2023 (arXiv 2112.14869)",
    seeds: 5,
    steps: |scale| consistency::STEPS + noise::specs(scale, "").len(),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    // As a table and not as images, so that trials standardise its columns.
    let mut digits = thalweg_data::digits();
    digits.feature_shape = vec![digits.width()];
    let (noise_tables, noise_claims) = noise::run(scale, pool, &Arc::new(digits))?;
    let (order_table, order_claims) = consistency::run(scale, advance)?;
    Ok(Findings::new(
        scale,
        [noise_tables, vec![order_table]].concat(),
        [noise_claims, order_claims].concat(),
    ))
}
