//! Scores in a table: a column a class, and maybe one of labels.

use std::path::Path;

use super::labels::RawLabels;
use super::{LABELS, NumberArray, Opened, ScoreError, ScoreOptions};
use crate::arrays::LabelValues;
use crate::csv;
use crate::error::DataError;
use crate::source::check_memory;

pub(super) fn read(path: &Path, options: &ScoreOptions) -> Result<Opened, ScoreError> {
    let mut table = csv::Texts::open(path)?;
    let label_column = label_column(&table, options);
    let mut names = table.names.clone();
    if let Some(column) = label_column {
        names.remove(column);
    }
    let classes = names.len();
    let (mut values, mut labels, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((byte, fields)) = table.next()? {
        check_memory(path, 8 * (values.len() + classes) as u64, options.memory_limit)?;
        starts.push(byte);
        let mut class = 0;
        for (column, field) in fields.iter().enumerate() {
            if Some(column) == label_column {
                labels.push(field.to_owned());
                continue;
            }
            let place = || csv::line_at(path, byte).column(&names[class]);
            let value: f64 = field.parse().map_err(|_| ScoreError::NotANumber {
                place: place(),
                value: field.to_owned(),
            })?;
            if !value.is_finite() {
                return Err(ScoreError::NotFinite {
                    place: place(),
                    value: field.to_owned(),
                });
            }
            values.push(value);
            class += 1;
        }
    }
    if starts.is_empty() {
        return Err(no_rows(path).into());
    }
    let file = path.to_owned();
    let shape = vec![starts.len(), classes];
    let labels = label_column.map(|_| RawLabels {
        file: file.clone(),
        values: LabelValues::Texts(labels),
        place: Box::new(move |index| csv::line_at(&file, starts[index])),
    });
    Ok(Opened {
        scores: NumberArray { shape, values },
        classes: table.has_header.then_some(names),
        labels,
        archive: None,
    })
}

/// The column named, or one with a usual name.
fn label_column(table: &csv::Texts, options: &ScoreOptions) -> Option<usize> {
    let find = |wanted: &str| table.names.iter().position(|name| name == wanted);
    match &options.labels {
        Some(name) => find(name),
        None if table.has_header => LABELS.iter().find_map(|name| find(name)),
        None => None,
    }
}

/// Labels alone, in a table of one column or in the one with a usual name.
pub(super) fn labels(path: &Path) -> Result<RawLabels, ScoreError> {
    let mut table = csv::Texts::open(path)?;
    let usual = || {
        LABELS
            .iter()
            .find_map(|name| table.names.iter().position(|n| n == name))
    };
    let column = match table.names.len() {
        1 => 0,
        _ => usual().ok_or_else(|| DataError::NoSuchColumn {
            file: path.to_owned(),
            wanted: LABELS[0].to_owned(),
            columns: table.names.clone(),
        })?,
    };
    let (mut texts, mut starts) = (Vec::new(), Vec::new());
    while let Some((byte, fields)) = table.next()? {
        texts.push(fields.get(column).unwrap_or_default().to_owned());
        starts.push(byte);
    }
    if starts.is_empty() {
        return Err(no_rows(path).into());
    }
    let file = path.to_owned();
    Ok(RawLabels {
        file: file.clone(),
        values: LabelValues::Texts(texts),
        place: Box::new(move |index| csv::line_at(&file, starts[index])),
    })
}

fn no_rows(path: &Path) -> DataError {
    DataError::Empty {
        file: path.to_owned(),
        what: "there are no rows",
    }
}
