//! What can be wrong with scores, said so that their owner can put it right.

use std::path::{Path, PathBuf};

use super::NumberArray;
use crate::error::{DataError, Place};

/// Why scores cannot be used. The text says what is wrong and where; [`ScoreError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each field is what its name says, and the message above it spells it out"
)]
pub enum ScoreError {
    /// The file cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),

    /// The file is of a kind that holds no scores.
    #[error("{}: scores are read from NPZ, NPY and CSV files", file.display())]
    Kind { file: PathBuf },

    /// An array of another shape than asked for.
    #[error("{}: has shape {found:?}; it must be {expected}", file.display())]
    Shape {
        file: PathBuf,
        found: Vec<usize>,
        expected: String,
    },

    /// No array of the archive has the name.
    #[error("{}: there is no array `{wanted}`; the arrays are {}", file.display(), arrays.join(", "))]
    NoArray {
        file: PathBuf,
        wanted: String,
        arrays: Vec<String>,
    },

    /// Several arrays of the archive could be the scores.
    #[error("{}: any of the arrays {} could be the scores", file.display(), arrays.join(", "))]
    WhichArray { file: PathBuf, arrays: Vec<String> },

    /// Neither an array, a column nor a file has the name.
    #[error("{}: `{wanted}` is nothing within it, and no file", file.display())]
    NoSuch { file: PathBuf, wanted: String },

    /// A text among the scores.
    #[error("{place}: `{value}` is not a number")]
    NotANumber { place: Place, value: String },

    /// A score that is not finite.
    #[error("{place}: `{value}` is not a finite number")]
    NotFinite { place: Place, value: String },

    /// As many labels as samples are needed.
    #[error("{}: {samples} samples, but {labels} labels in {}", file.display(), labels_file.display())]
    Count {
        file: PathBuf,
        samples: usize,
        labels_file: PathBuf,
        labels: usize,
    },

    /// A label that is no class.
    #[error("{place}: the label `{value}` is no class; {accepted}")]
    Label {
        place: Place,
        value: String,
        accepted: Box<str>,
    },
}

impl ScoreError {
    pub(super) fn shape(file: &Path, array: &NumberArray, expected: &str) -> Self {
        Self::Shape {
            file: file.to_owned(),
            found: array.shape.clone(),
            expected: expected.to_owned(),
        }
    }

    /// What the owner of the scores can do about it, where something can be said.
    pub fn help(&self) -> Option<String> {
        let say = |text: &str| Some(text.to_owned());
        match self {
            Self::Data(DataError::Io { .. }) => None,
            Self::Data(error) => error.help(),
            Self::Kind { .. } => say("save the scores with `numpy.savez(path, logits=.., labels=..)`"),
            Self::Shape { .. } => {
                say("one row a sample, one column a class; views one behind the other, `numpy.stack(views)`")
            }
            Self::NoArray { .. } => None,
            Self::WhichArray { arrays, .. } => arrays.first().map(|first| {
                format!(
                    "say which, for example `--logits {}`",
                    crate::error::shell_word(first)
                )
            }),
            Self::NoSuch { .. } => say("name an array of the NPZ archive, a column of the table, or a file"),
            Self::NotANumber { .. } => say(
                "every column but that of the labels holds the scores of a class; name that one with `--labels`",
            ),
            Self::NotFinite { .. } => {
                say("calibration needs finite logits: look for overflow or a missing value in that sample")
            }
            Self::Count { .. } => say("the labels belong to other scores, or one of the two is incomplete"),
            Self::Label { .. } => None,
        }
    }
}
