//! The Z-loss and its factored output layer: that the factored step is the dense one, what it costs as classes grow, and
//! what the loss is worth beside the other members of the spherical family and log-softmax.

mod cost;
mod exactness;
mod quality;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "z_loss",
    claim: "The Z-loss is trained exactly at a cost that does not depend on the number of classes, many times faster than \
            log-softmax and faster than hierarchical softmax, and ranks better than the other spherical losses.",
    source: "de Brébisson, Vincent, 2016 (arXiv 1604.08859)",
    seeds: 5,
    steps: |scale| exactness::STEPS + cost::steps(scale) + quality::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (exactness_table, exactness_claim) = exactness::run(scale, advance)?;
    let (cost_tables, cost_claims) = cost::run(scale, pool, advance)?;
    let (quality_tables, quality_claims) = quality::run(scale, pool, advance)?;
    Ok(Findings::new(
        scale,
        [vec![exactness_table], cost_tables, quality_tables].concat(),
        [vec![exactness_claim], cost_claims, quality_claims].concat(),
    ))
}
