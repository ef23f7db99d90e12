//! The page of an objective.

use std::io::{self, Write};

use serde_json::{Value, json};
use thalweg::objective::{ObjectiveEntry, ScoreLoss, Settings, margin_curve};

use super::{page, plot};
use crate::layout;

/// Classes of the curve.
const CLASSES: usize = 10;
/// Margins of the curve reach this far to both sides.
const REACH: f64 = 6.0;

/// Margin, loss and slope.
pub type Point = (f64, f64, f64);

/// The curve of a loss over the columns of the plot.
pub fn curve(loss: &dyn ScoreLoss) -> Vec<Point> {
    let margins: Vec<f64> = (0..plot::DOTS)
        .map(|dot| REACH * (2.0 * dot as f64 / (plot::DOTS - 1) as f64 - 1.0))
        .collect();
    margin_curve(loss, CLASSES, &margins)
}

/// A curve for machines.
pub fn curve_json(curve: &[Point]) -> Value {
    let column = |of: fn(&Point) -> f64| curve.iter().map(of).collect::<Vec<_>>();
    json!({
        "classes": CLASSES,
        "margin": column(|point| point.0),
        "loss": column(|point| point.1),
        "slope": column(|point| point.2),
    })
}

/// All that an objective says of itself, for machines.
pub fn json(entry: &ObjectiveEntry) -> Value {
    json!({
        "kind": "objective",
        "name": entry.name,
        "title": entry.title,
        "family": entry.family,
        "tasks": entry.tasks().iter().map(|task| task.name()).collect::<Vec<_>>(),
        "formula": entry.formula,
        "shapes": entry.shapes,
        "good_for": entry.good_for,
        "cost": entry.cost,
        "when": entry.when,
        "when_not": entry.when_not,
        "source": entry.source,
        "parameters": page::parameters_json(&entry.parameters),
        "path": entry.path,
        "rust": entry.rust_with(&Settings::new()),
    })
}

/// Writes the page.
///
/// # Errors
/// When writing fails.
pub fn page(
    out: &mut dyn Write,
    entry: &ObjectiveEntry,
    settings: &Settings,
    curve: Option<&[Point]>,
) -> io::Result<()> {
    let tasks: Vec<_> = entry.tasks().iter().map(|task| task.name()).collect();
    let about = format!("objective · {} · for {}", entry.family, tasks.join(" and "));
    page::opening(out, [entry.title, &about, entry.name], entry.formula)?;
    page::parameters(out, &entry.parameters, settings)?;
    for (label, text) in [
        ("Shapes", entry.shapes),
        ("Good for", &entry.good_for.join(", ")),
        ("Costs", entry.cost),
        ("Use when", entry.when),
        ("Not when", entry.when_not),
        ("Source", entry.source),
    ] {
        page::labelled(out, label, text)?;
    }
    let used = format!("use {};", entry.path);
    let made = format!("let objective = {};", entry.rust_with(settings));
    page::rust(out, &[used, made])?;
    if let Some(curve) = curve {
        writeln!(out)?;
        layout::heading(
            out,
            "Loss and slope",
            &format!("against the margin m: {CLASSES} classes, scores (m, 0, …, 0)"),
        )?;
        plot::draw(out, curve)?;
    }
    Ok(())
}
