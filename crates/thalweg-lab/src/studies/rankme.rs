//! RankMe: does the number of dimensions that an embedding uses, which takes neither labels nor training, tell which
//! hyper-parameters of a self-supervised method serve a classifier best?

mod families;
mod runs;
mod subsamples;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "rankme",
    claim: "The effective rank of embeddings, without labels and without training, orders the runs of one self-supervised \
            method as their downstream accuracy does, and selecting by it loses almost nothing.",
    source: "Garrido, Balestriero, Najman, LeCun, ICML 2023 (arXiv 2210.02885)",
    seeds: 5,
    steps: |scale| subsamples::STEPS + runs::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let (convergence, converges) = subsamples::run(scale, advance)?;
    let runs = runs::run(scale, pool, advance)?;
    let (mut tables, mut claims) = families::judge(&runs);
    tables.push(convergence);
    claims.push(converges);
    Ok(Findings::new(scale, tables, claims))
}
