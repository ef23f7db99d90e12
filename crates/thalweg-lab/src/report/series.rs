//! Lines of means, each mean with its interval.

use super::chart::Mark;
use super::text;
use crate::metrics::Format;
use crate::results::Summary;

/// A line.
pub struct Series<'a> {
    /// What it is of.
    pub name: String,
    /// Its look in the style sheet.
    pub class: String,
    /// Means over the seeds from left to right.
    pub points: Vec<(f64, &'a Summary)>,
}

/// The lines, intervals at the back, and every point in words; `place` says where a point is.
pub fn drawn(lines: &[Series], format: Format, place: impl Fn(f64) -> String) -> (Vec<Mark>, String) {
    let mut marks = Vec::new();
    let mut means = Vec::new();
    let mut told = Vec::new();
    for Series { name, class, points } in lines {
        means.push(Mark::Line {
            class: format!("line {class}"),
            points: points
                .iter()
                .map(|(x, summary)| (*x, format.scaled(summary.mean)))
                .collect(),
        });
        for &(x, summary) in points {
            marks.push(Mark::Line {
                class: format!("whisker {class}"),
                points: vec![(x, format.scaled(summary.low)), (x, format.scaled(summary.high))],
            });
            let value = format!("{name} at {}: {}", place(x), text::plus_minus(format, summary));
            means.push(Mark::Dot {
                class: format!("dot {class}"),
                at: (x, format.scaled(summary.mean)),
                radius: 3.5,
                tip: value.clone(),
            });
            told.push(value);
        }
    }
    marks.extend(means);
    (marks, format!("{}.", told.join("; ")))
}
