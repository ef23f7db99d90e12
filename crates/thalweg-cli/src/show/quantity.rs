//! The page of a quantity.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use thalweg::quantity::Quantity;

use crate::layout::{self, NAME, TITLE, padded, styled};

/// All that a quantity says of itself, for machines.
pub fn json(quantity: &Quantity) -> Value {
    let params: Vec<_> = quantity
        .params()
        .map(|(name, default)| json!({"name": name, "required": default.is_none(), "default": default}))
        .collect();
    let inputs: Vec<_> = quantity
        .inputs()
        .map(|(name, shape)| json!({"name": name, "shape": shape, "required": !quantity.is_optional(name)}))
        .collect();
    json!({
        "kind": "quantity",
        "name": quantity.name(),
        "family": quantity.family(),
        "meaning": quantity.meaning(),
        "params": params,
        "inputs": inputs,
        "example": document(quantity),
    })
}

/// A document of one case that can be computed.
fn document(quantity: &Quantity) -> Value {
    let example = quantity.example();
    let object = |values: Vec<(&'static str, thalweg::quantity::Value)>| -> Map<String, Value> {
        values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect()
    };
    json!({"cases": [{
        "id": "example",
        "quantity": quantity.name(),
        "params": object(example.params),
        "inputs": object(example.inputs),
    }]})
}

/// Writes the page.
///
/// # Errors
/// When writing fails.
pub fn page(out: &mut dyn Write, quantity: &Quantity) -> io::Result<()> {
    layout::heading(out, quantity.name(), &format!("quantity · {}", quantity.family()))?;
    for line in layout::wrapped(quantity.meaning(), layout::width()) {
        writeln!(out, "{line}")?;
    }
    let params: Vec<_> = quantity
        .params()
        .map(|(name, default)| match default {
            Some(value) => (name, format!("default {}", json!(value))),
            None => (name, "required".to_owned()),
        })
        .collect();
    section(out, "Parameters", &params)?;
    let inputs: Vec<_> = quantity
        .inputs()
        .map(|(name, shape)| {
            let optional = if quantity.is_optional(name) {
                ", may be left out"
            } else {
                ""
            };
            (name, format!("{shape}{optional}"))
        })
        .collect();
    section(out, "Inputs", &inputs)?;
    writeln!(out, "\n{}", styled(TITLE, "Try it"))?;
    writeln!(out, "  thalweg eval - <<'END'")?;
    case(out, quantity)?;
    writeln!(out, "  END")
}

fn section(out: &mut dyn Write, title: &str, rows: &[(&str, String)]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", styled(TITLE, title))?;
    let names = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, text) in rows {
        writeln!(out, "  {}  {text}", styled(NAME, &padded(name, names)))?;
    }
    Ok(())
}

/// A document of the example, an input a line.
fn case(out: &mut dyn Write, quantity: &Quantity) -> io::Result<()> {
    let example = quantity.example();
    writeln!(
        out,
        "  {{\"cases\": [{{\"id\": \"example\", \"quantity\": \"{}\",",
        quantity.name()
    )?;
    let params = example.params.iter().map(entry).collect::<io::Result<Vec<_>>>()?;
    writeln!(out, "   \"params\": {{{}}},", params.join(", "))?;
    let inputs = example.inputs.iter().map(entry).collect::<io::Result<Vec<_>>>()?;
    writeln!(out, "   \"inputs\": {{\n     {}}}}}]}}", inputs.join(",\n     "))
}

fn entry((name, value): &(&str, thalweg::quantity::Value)) -> io::Result<String> {
    Ok(format!("\"{name}\": {}", serde_json::to_string(value)?))
}
