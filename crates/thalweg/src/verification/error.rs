//! Why a batch or scores of pairs cannot be taken.

use crate::quantity::QuantityError;

/// The input at fault, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{input}: {problem}")]
pub struct VerificationError {
    /// The input: features, weights, labels, scores.
    pub input: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong. Rows are counted from 0.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("is empty; it must hold at least one row of one number")]
    Empty,
    #[error("holds {values} numbers, which are no rows of {width}")]
    Ragged { values: usize, width: usize },
    #[error("is zero in row {row}; it has no direction")]
    NoDirection { row: usize },
    #[error("holds {value} in row {row}; it must be finite")]
    NotFinite { row: usize, value: f64 },
    #[error("is so large in row {row} that its square overflows; scale it down")]
    TooLarge { row: usize },
    #[error("holds {label} at index {row}; labels are whole numbers from 0 to {}", .classes - 1)]
    Label { row: usize, label: i64, classes: usize },
    #[error("has {found} entries; there are {expected}")]
    Count { found: usize, expected: usize },
    #[error("holds no pair of {0}; both kinds are needed")]
    OneKind(&'static str),
}

impl VerificationError {
    pub(super) fn new(input: &'static str, problem: Problem) -> Self {
        Self { input, problem }
    }
}

impl From<VerificationError> for QuantityError {
    fn from(VerificationError { input, problem }: VerificationError) -> Self {
        Self::Input {
            name: input.to_owned(),
            problem: problem.to_string(),
        }
    }
}
