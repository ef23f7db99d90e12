//! SAF and MESA beside SAM: are their minima flatter and their networks better than SGD's, at the price of SGD?
//!
//! The Hessian is measured by differences of gradients over a step of 1e-10 of the weights' size. The first quick run, with a
//! step for smooth losses, met kinks of ReLU and told curvatures of tens; it was made smaller before any full run.

mod ablations;
mod compared;
mod data;
mod method;
mod run;
mod time;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "saf",
    claim: "Holding a network's outputs near those it gave some epochs ago (SAF), or near those of its averaged weights \
            (MESA), finds flatter minima and better networks than SGD, as SAM does, at about the price of SGD.",
    source: "Du, Zhou, Feng, Tan, Zhou, NeurIPS 2022 (arXiv 2205.14083)",
    seeds: 10,
    steps: |scale| compared::steps(scale) + ablations::steps(scale) + 1,
    run,
};

/// Epochs of a training.
fn epochs(scale: &Scale) -> usize {
    scale.pick(60, 8)
}

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    // First, while nothing else of the study runs.
    let (times, in_time) = time::run(scale, pool, advance)?;
    let compared = compared::run(scale, pool, advance)?;
    let (table, ablated) = ablations::run(scale, pool, &compared, advance)?;
    let mut claims = compared.claims();
    claims.extend([in_time, ablated]);
    let mut tables = compared.tables();
    tables.extend([times, table]);
    Ok(Findings::new(scale, tables, claims))
}
