//! The page of an optimiser.

use std::io::{self, Write};

use serde_json::{Value, json};
use thalweg::objective::Settings;
use thalweg::optimizer::OptimizerEntry;

use super::page;
use crate::layout::short;

/// All that an optimiser says of itself, for machines.
pub fn json(entry: &OptimizerEntry) -> Value {
    let rates = entry.learning_rate;
    json!({
        "kind": "optimizer",
        "name": entry.name,
        "title": entry.title,
        "formula": entry.formula,
        "good_for": entry.good_for,
        "cost": entry.cost,
        "when": entry.when,
        "when_not": entry.when_not,
        "source": entry.source,
        "learning_rate": {"default": rates.default, "range": [rates.range.0, rates.range.1]},
        "parameters": page::parameters_json(&entry.parameters),
        "objective": entry.objective,
        "path": entry.path,
        "rust": entry.rust_with(&Settings::new()),
    })
}

/// Writes the page.
///
/// # Errors
/// When writing fails.
pub fn page(out: &mut dyn Write, entry: &OptimizerEntry, settings: &Settings) -> io::Result<()> {
    page::opening(out, [entry.title, "optimiser", entry.name], entry.formula)?;
    page::parameters(out, &entry.parameters, settings)?;
    let (low, high) = entry.learning_rate.range;
    let rates = format!(
        "{} to start from; tuned over {} to {} in equal factors",
        short(entry.learning_rate.default),
        short(low),
        short(high)
    );
    for (label, text) in [
        ("Rates", rates.as_str()),
        ("Good for", &entry.good_for.join(", ")),
        ("Costs", entry.cost),
        ("Use when", entry.when),
        ("Not when", entry.when_not),
        ("Source", entry.source),
    ] {
        page::labelled(out, label, text)?;
    }
    let used = format!("use {};", entry.path);
    let made = format!("let mut optimizer = {};", entry.rust_with(settings));
    page::rust(out, &[used, made])
}
