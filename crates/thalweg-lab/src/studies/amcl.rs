//! AMCL on digits: several heads and a temperature for each pair, beside NT-Xent, by how many kinds of change views have.
//!
//! At two kinds of change only what the criterion reads is trained (no max form, no β = 0.01), and training is 40 epochs, so
//! that a run takes about two minutes.

mod claims;
mod overlap;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "amcl",
    claim: "Several projection heads whose pairs have learned temperatures of their own improve contrastive learning, the more \
            the more kinds of augmentation there are; at this scale: no worse than NT-Xent at a tuned temperature, better than \
            at a poor one, and with less overlap of positive and negative pairs than a single head.",
    source: "Wang, Koniusz, Gedeon, Zheng, ECCV 2024 (arXiv 2310.05615)",
    seeds: 8,
    steps: runs::steps,
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let runs = runs::run(scale, pool, advance)?;
    let (tables, claims) = claims::judge(&runs);
    Ok(Findings::new(scale, tables, claims))
}
