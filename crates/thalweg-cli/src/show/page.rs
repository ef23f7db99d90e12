//! What the pages of objectives and of optimisers are made of.

use std::io::{self, Write};

use serde_json::{Value, json};
use thalweg::objective::{Parameter, Scale, Settings};
use unicode_width::UnicodeWidthStr;

use crate::layout::{self, NAME, TITLE, padded, short, styled, wrapped};

/// Title, remark and name, and the formula.
pub fn opening(out: &mut dyn Write, [title, about, name]: [&str; 3], text: &str) -> io::Result<()> {
    layout::heading(out, title, about)?;
    writeln!(out, "{}\n", styled(NAME, name))?;
    for line in formula(text, layout::width() - 2) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)
}

/// Lines of Rust.
pub fn rust(out: &mut dyn Write, statements: &[String]) -> io::Result<()> {
    writeln!(out, "\n{}", styled(TITLE, "Rust"))?;
    for line in statements.iter().flat_map(|line| layout::rust(line, 2)) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// Parameters for machines.
pub fn parameters_json(parameters: &[Parameter]) -> Vec<Value> {
    let each = parameters.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "meaning": parameter.meaning,
            "default": parameter.default,
            "range": [parameter.range.0, parameter.range.1],
            "scale": match parameter.scale {
                Scale::Linear => "linear",
                Scale::Logarithmic => "logarithmic",
            },
        })
    });
    each.collect()
}

/// A paragraph beside its label.
pub fn labelled(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    const LABELS: usize = 10;
    let mut label = styled(TITLE, &padded(label, LABELS));
    for line in wrapped(text, layout::width() - LABELS) {
        writeln!(out, "{label}{line}")?;
        label = " ".repeat(LABELS);
    }
    Ok(())
}

/// What can be tuned, and what is set.
pub fn parameters(out: &mut dyn Write, parameters: &[Parameter], settings: &Settings) -> io::Result<()> {
    if parameters.is_empty() {
        return labelled(out, "Tuned", "nothing: it has no parameters");
    }
    writeln!(out, "{}", styled(TITLE, "Parameters"))?;
    let rows: Vec<_> = parameters
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
