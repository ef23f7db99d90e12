//! M-FAC: pruning by the inverse of the empirical Fisher information, what that inverse costs, and descent along it.

mod costs;
mod descent;
mod pruning;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "m_fac",
    claim: "The inverse of the empirical Fisher information of m gradients takes O(d m²) once, and then O(d m) a product and \
            O(m) an element. Weights removed by it, gradients being taken anew on the way, leave networks more accurate than \
            weights removed by size or by its diagonal.",
    source: "Frantar, Kurtic, Alistarh, NeurIPS 2021 (arXiv 2107.03356)",
    seeds: 10,
    steps: |scale| pruning::steps(scale) + costs::STEPS + descent::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (accuracies, mut claims) = pruning::run(scale, pool, advance)?;
    let (costs, of_costs) = costs::run(scale, pool, advance)?;
    let (losses, of_descent) = descent::run(scale, pool, advance)?;
    claims.extend(of_costs);
    claims.push(of_descent);
    Ok(Findings::new(scale, vec![accuracies, costs, losses], claims))
}
