//! The studies there are, one file (or folder) a paper.

mod aggregate;
mod amcl;
mod comp_sum;
mod contrastive_behaviour;
mod correctness_calibration;
mod digit_views;
mod dual_head_kd;
mod ens_loss;
mod groco;
mod isogclr;
mod ldr;
mod lion_k;
mod m_fac;
mod msbreg;
mod rankme;
mod saf;
mod susana;
mod unpg;
mod z_loss;

use crate::study::Study;

/// All studies.
pub fn all() -> &'static [Study] {
    &[
        comp_sum::STUDY,
        z_loss::STUDY,
        ldr::STUDY,
        ens_loss::STUDY,
        correctness_calibration::STUDY,
        aggregate::STUDY,
        dual_head_kd::STUDY,
        rankme::STUDY,
        contrastive_behaviour::STUDY,
        amcl::STUDY,
        groco::STUDY,
        isogclr::STUDY,
        lion_k::STUDY,
        m_fac::STUDY,
        susana::STUDY,
        unpg::STUDY,
        msbreg::STUDY,
        saf::STUDY,
    ]
}

/// The study called `slug`.
pub fn find(slug: &str) -> Option<&'static Study> {
    all().iter().find(|study| study.slug == slug)
}
