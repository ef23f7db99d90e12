//! The temperature of the contrastive loss: how it shares out the penalty over negatives, what embeddings become by it, and
//! whether picking hard negatives makes up for a high one.

mod claims;
mod penalties;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "contrastive_behaviour",
    claim: "The contrastive loss punishes hard negatives most, the more so the lower its temperature: low temperatures make \
            embeddings uniform and intolerant of like samples, high ones the reverse, a moderate one is best, and with hard \
            negatives picked explicitly high ones do as well.",
    source: "Wang, Liu, CVPR 2021 (arXiv 2012.09740)",
    seeds: 6,
    steps: |scale| penalties::STEPS + runs::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (penalties, shared_out) = penalties::run(advance);
    let runs = runs::run(scale, pool, advance)?;
    let (mut tables, mut claims) = claims::judge(&runs);
    tables.push(penalties);
    claims.push(shared_out);
    Ok(Findings::new(scale, tables, claims))
}
