//! MSBReg: what keeps embeddings from collapsing when views are only attracted, and whether it helps BYOL.
//!
//! Two views are tried with and without predictor, with and without batch normalisation; four views, which no criterion asks
//! for, only without predictor and for half the epochs.

mod claims;
mod diffusion;
mod methods;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "msbreg",
    claim: "Attraction of views to the centroid of a slow target, with singular values made equal and Brownian kicks, learns \
            better representations than attraction alone, and keeps them from collapsing; added to BYOL it does so at no loss.",
    source: "Moon, Buracas, Park, Kim, Canny, WACV 2023 (arXiv 2207.03552)",
    seeds: 6,
    steps: |scale| diffusion::STEPS + runs::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (diffusion, diffuses) = diffusion::run(scale, advance);
    let runs = runs::run(scale, pool, advance)?;
    let (mut tables, mut claims) = claims::judge(&runs);
    tables.push(diffusion);
    claims.push(diffuses);
    Ok(Findings::new(scale, tables, claims))
}
