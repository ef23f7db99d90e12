//! Charts as inline SVG.
//!
//! Ours rather than the `plotters` crate's: its SVG backend rounds every place to whole pixels and writes literal colours
//! and fonts, so neither a dark theme nor print could restyle it, and it has no titles or descriptions for those who
//! cannot see a chart. What a report needs instead is a few lines on a scale, below.
//!
//! Drawings are narrow (360 units) so that their text is still readable on a phone, where they fill the width.

mod forest;
mod plot;
mod scale;
mod svg;

pub use forest::{Forest, ForestRow};
pub use plot::{Mark, Plot};
pub use scale::Scale;

/// Width of every drawing.
const WIDTH: f64 = 360.0;
