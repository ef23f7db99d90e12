//! `report.html`: a comparison, of objectives, of calibration methods or of ways to prune, or a diagnosis, as one self-contained
//! page, without scripts or anything fetched, for a phone, a screen or paper, light or dark.

mod calibration;
mod chart;
mod confusion;
mod diagnosis;
mod figures;
mod pruning;
mod series;
mod tables;
mod text;
mod view;

use askama::Template;

use crate::results::Comparison;

/// The comparison as a page.
pub fn html(comparison: &Comparison) -> String {
    view::Page::of(comparison)
        .render()
        .expect("a template of our own, written to a string, renders")
}

pub use calibration::html as calibration_html;
pub use diagnosis::html as diagnosis_html;
pub use pruning::html as pruning_html;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
