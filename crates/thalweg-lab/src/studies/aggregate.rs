//! Learning from aggregate responses: the asymptotic theory against simulation, the interpolating estimator against both of
//! its ends, private bag sizes, and real data in bags.

mod real;
mod simulation;
mod theory;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "aggregate",
    claim: "For targets known as means of bags, the risk of bag-level, instance-level and interpolating estimators is as the \
            asymptotic formulas say, the best interpolation beats both, and privacy has a best bag size.",
    source: "Javanmard, Chen, Mirrokni, Badanidiyuru, Fu, ICLR 2024 (arXiv 2401.11081)",
    seeds: 40,
    steps: |scale| theory::steps(scale) + real::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (theory_tables, theory_claims) = theory::run(scale, pool, advance)?;
    let (real_tables, real_claims) = real::run(scale, pool, advance)?;
    Ok(Findings::new(
        scale,
        [theory_tables, real_tables].concat(),
        [theory_claims, real_claims].concat(),
    ))
}
