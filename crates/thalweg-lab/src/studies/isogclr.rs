//! A temperature for each sample: do frequent classes come to higher ones than rare ones, and does learning them spare the
//! search for the best single temperature?

mod claims;
mod convergence;
mod long_tail;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "isogclr",
    claim: "A robust contrastive loss learns a temperature for each sample: frequent semantics get high ones, rare ones low, \
            each step leads to the temperature that is best, and features are as good as at the best single temperature.",
    source: "Qiu, Hu, Yuan, Zhou, Zhang, Yang, ICML 2023 (arXiv 2305.11965)",
    seeds: 8,
    steps: |scale| convergence::STEPS + runs::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (runs, embeddings) = runs::run(scale, pool, advance)?;
    let converges = convergence::run(scale, &embeddings, advance)?;
    let (table, mut claims) = claims::judge(&runs);
    claims.push(converges);
    Ok(Findings::new(scale, vec![table], claims))
}
