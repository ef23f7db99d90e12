//! Few-shot learning of rotated digits: what the proto-triplet and ICNN terms add to cross-entropy over prototypes.

mod claims;
mod digits;
mod runs;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};

pub(super) const STUDY: Study = Study {
    slug: "susana",
    claim: "A term of nearest neighbours within and between classes (ICNN), beside cross-entropy over prototypes, makes an \
            encoder classify episodes of classes it never saw better, and their neighbourhoods purer.",
    source: "Mendez-Ruiz, Gonzalez-Zapata, Reyes-Amezcua, Flores-Araiza, Lopez-Tiro, Mendez-Vazquez, Ochoa-Ruiz, 2023 \
             (arXiv 2305.09062)",
    seeds: 16,
    steps: runs::steps,
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let runs = runs::run(scale, pool, advance)?;
    let (tables, claims) = claims::judge(&runs);
    Ok(Findings::new(scale, tables, claims))
}
