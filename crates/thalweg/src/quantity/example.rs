//! A small case that a quantity can answer, made up from what it declares.

use std::collections::BTreeMap;

use super::{Array, Quantity, Value};

/// A case of one quantity.
#[derive(Clone, Debug)]
pub struct Example {
    /// Every parameter, defaults where there are any.
    pub params: Vec<(&'static str, Value)>,
    /// Every input that a case must give, and of the others those with an example of their own; two samples of three
    /// classes and the like.
    pub inputs: Vec<(&'static str, Value)>,
}

impl Quantity {
    /// A small case that can be computed.
    pub fn example(&self) -> Example {
        let mut extents = BTreeMap::new();
        let own = |name| self.examples.get(name).cloned();
        let inputs = self
            .inputs()
            .enumerate()
            .filter(|(_, (name, _))| !self.is_optional(name) || self.examples.contains_key(name))
            .map(|(position, (name, shape))| {
                let usual = input(name, position, shape, &mut extents);
                (name, own(name).unwrap_or(usual))
            })
            .collect();
        let params = self
            .params()
            .map(|(name, default)| {
                let usual = || default.cloned().unwrap_or_else(|| param(name));
                (name, own(name).unwrap_or_else(usual))
            })
            .collect();
        Example { params, inputs }
    }
}

fn param(name: &str) -> Value {
    Value::Number(if name.starts_with("n_") || name.ends_with("_size") {
        3.0
    } else {
        0.5
    })
}

fn input<'a>(name: &str, position: usize, shape: &'a str, extents: &mut BTreeMap<&'a str, usize>) -> Value {
    if shape == "number" {
        return Value::Number(0.9);
    }
    let shape: Vec<usize> = shape
        .trim_matches(['[', ']'])
        .split(',')
        .map(str::trim)
        .map(|extent| {
            extent.parse().unwrap_or_else(|_| {
                let usual = if extent == "N" { 2 } else { 3 };
                *extents.entry(extent).or_insert(usual)
            })
        })
        .collect();
    let elements = shape.iter().product();
    let columns = shape.last().copied().unwrap_or(1);
    let data = (0..elements)
        .map(|index| element(name, position, index, columns))
        .collect();
    Value::Array(Array { shape, data })
}

/// Names mean the same everywhere: `labels` are classes, `correct` are flags, each row of `probs` is a distribution. All else is content with
/// different numbers in `[0, 1)`, and other ones for the input at another position.
fn element(name: &str, position: usize, index: usize, columns: usize) -> f64 {
    match name {
        "labels" | "random_classes" => (index % 3) as f64,
        "correct" | "shared_mask" => (index % 2) as f64,
        name if name.starts_with("lambda") || name == "temperatures" => 0.5 + 0.25 * (index % 3) as f64,
        "probs" if columns > 1 => {
            let first = 0.5 + 0.25 * (index / columns % 2) as f64;
            if index.is_multiple_of(columns) {
                first
            } else {
                (1.0 - first) / (columns - 1) as f64
            }
        }
        "weights" => 0.5,
        _ => ((index * 7 + position * 3) % 10) as f64 / 10.0,
    }
}

#[cfg(test)]
mod tests {
    use crate::catalogue;

    #[test]
    fn every_quantity_answers_its_own_example() {
        for quantity in catalogue::quantities() {
            let example = quantity.example();
            let own = |values: Vec<(&str, _)>| {
                values
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            };
            let outputs = quantity
                .compute(&own(example.params), &own(example.inputs))
                .unwrap_or_else(|error| panic!("{}: {error}", quantity.name()));
            assert!(outputs.iter().count() > 0, "{}", quantity.name());
        }
    }
}
