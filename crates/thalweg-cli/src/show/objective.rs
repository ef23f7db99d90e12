//! The page of an objective.

use std::io::{self, Write};

use serde_json::{Value, json};
use thalweg::objective::{ObjectiveEntry, Scale, ScoreLoss, Settings, margin_curve};
use unicode_width::UnicodeWidthStr;

use super::plot;
use crate::layout::{self, NAME, TITLE, padded, short, styled, wrapped};

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
    let parameters: Vec<_> = entry
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "meaning": parameter.meaning,
                "default": parameter.default,
                "range": [parameter.range.0, parameter.range.1],
                "scale": scale(parameter.scale),
            })
        })
        .collect();
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
        "parameters": parameters,
        "path": entry.path,
        "rust": entry.rust_with(&Settings::new()),
    })
}

fn scale(scale: Scale) -> &'static str {
    match scale {
        Scale::Linear => "linear",
        Scale::Logarithmic => "logarithmic",
    }
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
    layout::heading(out, entry.title, &about)?;
    writeln!(out, "{}\n", styled(NAME, entry.name))?;
    for line in formula(entry.formula, layout::width() - 2) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    parameters(out, entry, settings)?;
    for (label, text) in [
        ("Shapes", entry.shapes),
        ("Good for", &entry.good_for.join(", ")),
        ("Costs", entry.cost),
        ("Use when", entry.when),
        ("Not when", entry.when_not),
        ("Source", entry.source),
    ] {
        labelled(out, label, text)?;
    }
    writeln!(out, "\n{}", styled(TITLE, "Rust"))?;
    let used = format!("use {};", entry.path);
    let made = format!("let objective = {};", entry.rust_with(settings));
    for line in [used, made].iter().flat_map(|line| layout::rust(line, 2)) {
        writeln!(out, "  {line}")?;
    }
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

fn labelled(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    const LABELS: usize = 10;
    let mut label = styled(TITLE, &padded(label, LABELS));
    for line in wrapped(text, layout::width() - LABELS) {
        writeln!(out, "{label}{line}")?;
        label = " ".repeat(LABELS);
    }
    Ok(())
}

fn parameters(out: &mut dyn Write, entry: &ObjectiveEntry, settings: &Settings) -> io::Result<()> {
    if entry.parameters.is_empty() {
        return labelled(out, "Tuned", "nothing: it has no parameters");
    }
    writeln!(out, "{}", styled(TITLE, "Parameters"))?;
    let rows: Vec<_> = entry
        .parameters
        .iter()
        .map(|parameter| {
            let default = short(parameter.default);
            let value = match settings.get(parameter.name) {
                Some(&set) => format!("{} (default {default})", short(set)),
                None => default,
            };
            let (low, high) = parameter.range;
            let steps = match parameter.scale {
                Scale::Linear => "",
                Scale::Logarithmic => " in equal factors",
            };
            let tuned = format!("tuned over {} to {}{steps}", short(low), short(high));
            (parameter.name, value, format!("{}; {tuned}", parameter.meaning))
        })
        .collect();
    let names = rows.iter().map(|(name, ..)| name.width()).max().unwrap_or(0);
    let values = rows.iter().map(|(_, value, _)| value.width()).max().unwrap_or(0);
    let room = layout::width() - names - values - 6;
    for (name, value, text) in &rows {
        layout::row(out, (name, names), &[(value, values), (text, room)])?;
    }
    writeln!(out)
}

/// A formula in lines, broken where its author left a wide gap.
fn formula(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in text.lines().flat_map(|line| line.split("  ")) {
        match lines.last_mut() {
            Some(line) if line.width() + 2 + part.width() <= width => {
                *line += "  ";
                *line += part;
            }
            _ => lines.extend(wrapped(part, width)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_break_at_wide_gaps() {
        assert_eq!(
            formula("ℓ = a + b,  a = 1;  b = 2", 80),
            ["ℓ = a + b,  a = 1;  b = 2"]
        );
        assert_eq!(
            formula("ℓ = a + b,  a = 1;  b = 2", 18),
            ["ℓ = a + b,  a = 1;", "b = 2"]
        );
    }
}
