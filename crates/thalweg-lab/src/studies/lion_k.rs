//! Lion-K as constrained and composite optimisation: what its weight decay bounds, what each kernel descends, and that its
//! certificate holds step by step.

mod certificate;
mod composite;
mod constrained;
mod regression;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "lion_k",
    claim: "Lion with weight decay λ minimises under the constraint that no weight exceeds 1/λ, in two phases; with another \
            convex function in place of the norm it minimises another sum, and a Lyapunov function falls at every step.",
    source: "Chen, Liu, Liang, Liu, ICLR 2024 (arXiv 2310.05898)",
    seeds: 5,
    steps: |scale| constrained::steps(scale) + composite::steps(scale) + certificate::STEPS,
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (constrained_table, constrained_claims) = constrained::run(scale, pool, advance)?;
    let (composite_table, composite_claim) = composite::run(scale, pool, advance)?;
    let certificate_claim = certificate::run(scale, advance);
    let mut claims = constrained_claims;
    claims.extend([composite_claim, certificate_claim]);
    Ok(Findings::new(
        scale,
        vec![constrained_table, composite_table],
        claims,
    ))
}
