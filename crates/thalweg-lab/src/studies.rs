//! The studies there are, one file (or folder) a paper.

mod comp_sum;
mod dual_head_kd;
mod ldr;

use crate::study::Study;

/// All studies.
pub fn all() -> &'static [Study] {
    &[comp_sum::STUDY, ldr::STUDY, dual_head_kd::STUDY]
}

/// The study called `slug`.
pub fn find(slug: &str) -> Option<&'static Study> {
    all().iter().find(|study| study.slug == slug)
}
