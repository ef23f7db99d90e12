//! The studies there are, one file (or folder) a paper.

mod comp_sum;
mod ldr;
mod z_loss;

use crate::study::Study;

/// All studies.
pub fn all() -> &'static [Study] {
    &[comp_sum::STUDY, ldr::STUDY, z_loss::STUDY]
}

/// The study called `slug`.
pub fn find(slug: &str) -> Option<&'static Study> {
    all().iter().find(|study| study.slug == slug)
}
