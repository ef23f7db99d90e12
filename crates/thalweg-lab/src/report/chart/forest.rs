//! A dot and its interval for each of several names, one below the other.

use super::WIDTH;
use super::scale::Scale;
use super::svg::{Anchor, Svg};

const ROW: f64 = 34.0;
const SIDE: f64 = 14.0;
const BOTTOM: f64 = 38.0;

/// Named intervals on one scale.
#[derive(Clone, Debug)]
pub struct Forest {
    /// Identifier within the page.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Quantity and unit.
    pub label: String,
    /// The value all are held against; not drawn when NaN.
    pub reference: f64,
    /// The names, top first.
    pub rows: Vec<ForestRow>,
}

/// A name, its value and interval.
#[derive(Clone, Debug)]
pub struct ForestRow {
    /// Name.
    pub name: String,
    /// Value as written beside it.
    pub text: String,
    /// Value and interval in words.
    pub tip: String,
    /// Class of its marks for the style sheet.
    pub class: String,
    /// Value.
    pub mean: f64,
    /// Lower end; no interval when NaN.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Forest {
    /// The chart as SVG.
    pub fn svg(&self) -> String {
        let values = self.rows.iter().flat_map(|row| [row.mean, row.low, row.high]);
        let scale = Scale::around(values.chain([self.reference]), 4);
        let x = |value: f64| scale.place(value, SIDE, WIDTH - SIDE);
        let bottom = ROW * self.rows.len() as f64 + 6.0;

        let mut svg = Svg::default();
        for (value, label) in scale.ticks() {
            svg.line("grid", (x(value), 0.0), (x(value), bottom));
            svg.text("tick", (x(value), bottom + 16.0), Anchor::Middle, &label);
        }
        if self.reference.is_finite() {
            svg.line("reference", (x(self.reference), 0.0), (x(self.reference), bottom));
        }
        svg.line("axis", (SIDE, bottom), (WIDTH - SIDE, bottom));
        svg.text("label", (WIDTH - SIDE, bottom + 33.0), Anchor::End, &self.label);
        for (index, row) in self.rows.iter().enumerate() {
            let top = ROW * index as f64;
            svg.text("name", (SIDE, top + 14.0), Anchor::Start, &row.name);
            svg.text("value", (WIDTH - SIDE, top + 14.0), Anchor::End, &row.text);
            let y = top + 25.0;
            if row.low.is_finite() && row.high.is_finite() {
                svg.line(
                    &format!("interval {}", row.class),
                    (x(row.low), y),
                    (x(row.high), y),
                );
            }
            if row.mean.is_finite() {
                let tip = format!("{}: {}", row.name, row.tip);
                svg.dot(&format!("dot {}", row.class), (x(row.mean), y), 4.5, &tip);
            }
        }
        let description: Vec<String> = self
            .rows
            .iter()
            .map(|row| format!("{}: {}", row.name, row.text))
            .collect();
        let description = format!("{}. {}.", self.label, description.join("; "));
        svg.finish(&self.id, WIDTH, bottom + BOTTOM, &self.title, &description)
    }
}
