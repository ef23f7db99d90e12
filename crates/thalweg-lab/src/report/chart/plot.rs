//! A plot of y against x.

use super::WIDTH;
use super::scale::Scale;
use super::svg::{Anchor, Svg};

const TOP: f64 = 24.0;
const BOTTOM: f64 = 36.0;
const RIGHT: f64 = 14.0;
/// Width of a digit of the tick labels.
const DIGIT: f64 = 7.4;

/// Axes with marks on them.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Identifier within the page.
    pub id: String,
    /// What it is.
    pub title: String,
    /// What it shows, in words.
    pub description: String,
    /// Height of the drawing.
    pub height: f64,
    /// Quantity and unit along x.
    pub x_label: String,
    /// Its scale.
    pub x: Scale,
    /// Quantity and unit along y.
    pub y_label: String,
    /// Its scale.
    pub y: Scale,
    /// What is drawn, first at the back.
    pub marks: Vec<Mark>,
}

/// Something drawn on a [`Plot`]; `class` is for the style sheet.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Lines from point to point.
    Line { class: String, points: Vec<(f64, f64)> },
    /// A disc.
    Dot {
        class: String,
        at: (f64, f64),
        radius: f64,
        tip: String,
    },
}

impl Plot {
    /// The plot as SVG.
    pub fn svg(&self) -> String {
        let ticks = self.y.ticks();
        let digits = ticks
            .iter()
            .map(|(_, label)| label.chars().count())
            .max()
            .unwrap_or(0);
        let left = DIGIT * digits as f64 + 10.0;
        let (right, bottom) = (WIDTH - RIGHT, self.height - BOTTOM);
        let x = |value: f64| self.x.place(value, left, right);
        let y = |value: f64| self.y.place(value, bottom, TOP);

        let mut svg = Svg::default();
        for (value, label) in &ticks {
            let class = if *value == 0.0 { "axis" } else { "grid" };
            svg.line(class, (left, y(*value)), (right, y(*value)));
            svg.text("tick", (left - 6.0, y(*value) + 4.0), Anchor::End, label);
        }
        for (value, label) in self.x.ticks() {
            svg.line("axis", (x(value), bottom), (x(value), bottom + 4.0));
            svg.text("tick", (x(value), bottom + 16.0), Anchor::Middle, &label);
        }
        svg.line("axis", (left, bottom), (right, bottom));
        svg.text("label", (0.0, 12.0), Anchor::Start, &self.y_label);
        svg.text("label", (right, self.height - 4.0), Anchor::End, &self.x_label);
        for mark in &self.marks {
            match mark {
                Mark::Line { class, points } => {
                    svg.lines(class, points.iter().map(|&(px, py)| (x(px), y(py))));
                }
                Mark::Dot {
                    class,
                    at,
                    radius,
                    tip,
                } => {
                    if at.0.is_finite() && at.1.is_finite() {
                        svg.dot(class, (x(at.0), y(at.1)), *radius, tip);
                    }
                }
            }
        }
        svg.finish(&self.id, WIDTH, self.height, &self.title, &self.description)
    }
}
