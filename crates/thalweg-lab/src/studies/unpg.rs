//! Unified negative pairs: whether the negatives that a loss of class weights sees are unlike those there are, whether pairs of
//! a batch are like them, and what uniting both does for verification.

mod claims;
mod identities;
mod premise;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "unpg",
    claim: "Classification losses see only negatives of class weights, which are unlike the negative pairs there are and miss the \
            hard ones; pairs of a batch are like them. (Uniting both improves verification at full scale; at this scale that is \
            reported, not judged.)",
    source: "Jung, Lee, Oh, Park, Son, BMVC 2022 (arXiv 2203.11593)",
    seeds: 8,
    steps: runs::steps,
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let runs = runs::run(scale, pool, advance)?;
    let (tables, claims) = claims::judge(&runs);
    Ok(Findings::new(scale, tables, claims))
}
