//! Group ordering: what an encoder learns from "all views of a sample above the strongest others", and how that compares with
//! NT-Xent on a small budget.

mod claims;
mod ordering;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "groco",
    claim: "Ordering the strongest negatives of an anchor below its positives, by a differentiable sorting network, teaches \
            features as linearly separable as NT-Xent does; pairs come into order, and holding the other side constant helps.",
    source: "Shvetsova, Petersen, Kukleva, Schiele, Kuehne, ICCV 2023 (arXiv 2301.02009)",
    seeds: 8,
    steps: runs::steps,
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let runs = runs::run(scale, pool, advance)?;
    let (table, claims) = claims::judge(&runs);
    Ok(Findings::new(scale, vec![table], claims))
}
