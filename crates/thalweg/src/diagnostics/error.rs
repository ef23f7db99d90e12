//! Why an embedding or a spectrum cannot be judged.

use crate::ConfigError;

/// What is wrong. Samples, features and eigenvalues are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DiagnosticError {
    #[error("hold no number; at least one sample of one feature is needed")]
    Empty,
    #[error("hold {found} numbers, which are no rows of {width}")]
    Ragged { found: usize, width: usize },
    #[error("hold {value} at sample {row}, feature {column}; they must be finite")]
    NotFinite { row: usize, column: usize, value: f64 },
    #[error("are all 0; they have no spectrum")]
    Zero,
    #[error("are so large that their squares overflow; scale them down")]
    Overflow,
    #[error("hold 1 sample; at least 2 are needed")]
    OneSample,
    #[error("are 0 in sample {row}; it has no direction")]
    NoDirection { row: usize },
    #[error("hold {value} at number {at}; singular values are at least 0 and finite")]
    SingularValue { at: usize, value: f64 },
    #[error(
        "hold {value} as number {at}, within the range of the fit; its logarithm needs a positive number"
    )]
    Eigenvalue { at: usize, value: f64 },
    #[error("are {count}; the fit reads them up to number {needed}")]
    TooFewEigenvalues { count: usize, needed: usize },
    #[error("from {start} to {end} is no range of at least {least} numbers, counted from 1")]
    Range { start: usize, end: usize, least: usize },
    #[error("differ in number: {found}, and {expected} were expected")]
    Count { found: usize, expected: usize },
    #[error("hold no class twice; no two samples are of the same")]
    NoPair,
    #[error(transparent)]
    Config(#[from] ConfigError),
}
