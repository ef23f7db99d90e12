//! Correctness-aware calibration: the signs of temperature gradients on all narrow mistakes of a grid, and digits whose
//! calibrator meets the distribution it was trained on, noise, and a shift.

mod digits;
mod signs;
mod views;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "correctness_calibration",
    claim: "Cross-entropy training of a post-hoc calibrator raises confidence on narrowly wrong samples; a correctness-aware \
            loss with transformed views of each sample never does, and calibrates better out of distribution.",
    source: "Liu, Wang, Zou, Zou, Zheng (arXiv 2404.13016)",
    seeds: 10,
    steps: |scale| 1 + scale.seeds(),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (sign_table, sign_claims) = signs::run(scale);
    advance(1);
    let (tables, claims) = digits::run(scale, pool, advance)?;
    Ok(Findings::new(
        scale,
        [vec![sign_table], tables].concat(),
        [sign_claims, claims].concat(),
    ))
}
