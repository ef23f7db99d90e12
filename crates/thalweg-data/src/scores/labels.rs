//! Labels as they are found, and as classes of scores.

use std::path::{Path, PathBuf};

use super::{LABELS, ScoreError, ScoreOptions, beside, csv_scores};
use crate::arrays::{LabelValues, Labels};
use crate::error::Place;
use crate::npy::{self, Archive};
use crate::open::{Format, format};
use crate::source;

/// Labels before it is known what classes there are.
pub(super) struct RawLabels {
    pub(super) file: PathBuf,
    pub(super) values: LabelValues,
    /// Where label `index` stands.
    pub(super) place: Box<dyn Fn(usize) -> Place>,
}

impl From<Labels> for RawLabels {
    fn from(labels: Labels) -> Self {
        let file = labels.file.clone();
        Self {
            file: labels.file,
            values: labels.values,
            place: Box::new(move |index| Place::row(&file, index as u64 + 1)),
        }
    }
}

pub(super) fn from_archive(
    archive: &mut Archive,
    name: &str,
    options: &ScoreOptions,
) -> Result<RawLabels, ScoreError> {
    Ok(archive.labels(name, options.memory_limit)?.into())
}

/// Labels in a file of their own, beside that of the scores at `path`.
pub(super) fn from_file(path: &Path, name: &str, options: &ScoreOptions) -> Result<RawLabels, ScoreError> {
    let file = beside(path, name)?;
    match format(&file, &source::head(&file, 4096)?)? {
        Format::Npy => Ok(npy::read_labels(&file, options.memory_limit)?.into()),
        Format::Npz => {
            let mut archive = Archive::open(&file)?;
            let only = match archive.names() {
                [only] => Some(only.clone()),
                _ => None,
            };
            let found = archive
                .find(&LABELS)
                .or(only)
                .ok_or_else(|| ScoreError::NoArray {
                    file: file.clone(),
                    wanted: LABELS[0].to_owned(),
                    arrays: archive.names().to_vec(),
                })?;
            from_archive(&mut archive, &found, options)
        }
        Format::Csv => csv_scores::labels(&file),
        Format::Parquet | Format::Idx => Err(ScoreError::Kind { file }),
    }
}

impl RawLabels {
    /// As classes: numbers from 0, or names of them.
    pub(super) fn resolve(
        self,
        scores: &Path,
        samples: usize,
        classes: usize,
        names: Option<&[String]>,
    ) -> Result<Vec<usize>, ScoreError> {
        if self.values.len() != samples {
            return Err(ScoreError::Count {
                file: scores.to_owned(),
                samples,
                labels_file: self.file,
                labels: self.values.len(),
            });
        }
        let refused = |index: usize, value: String| ScoreError::Label {
            place: (self.place)(index),
            value,
            accepted: accepted(classes, names).into(),
        };
        let number = |value: f64| {
            let valid = value.fract() == 0.0 && (0.0..classes as f64).contains(&value);
            valid.then_some(value as usize)
        };
        match &self.values {
            LabelValues::Numbers(numbers) => numbers
                .iter()
                .enumerate()
                .map(|(index, &value)| number(value).ok_or_else(|| refused(index, value.to_string())))
                .collect(),
            LabelValues::Texts(texts) => texts
                .iter()
                .enumerate()
                .map(|(index, text)| {
                    // A class may be called 3 and not be the fourth: names come first.
                    let named = names.and_then(|names| names.iter().position(|name| name == text));
                    let found = named.or_else(|| text.parse().ok().and_then(number));
                    found.ok_or_else(|| refused(index, text.clone()))
                })
                .collect(),
        }
    }
}

fn accepted(classes: usize, names: Option<&[String]>) -> String {
    let numbers = format!("classes are numbered from 0 to {}", classes - 1);
    match names {
        Some(names) => format!("{numbers}, or named {}", shortened(names)),
        None => numbers,
    }
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        format!("{shown} and {more} more")
    } else {
        shown
    }
}
