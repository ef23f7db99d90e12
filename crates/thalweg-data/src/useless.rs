//! Columns that are no features: they say nothing about the class, or give it away by the order of the rows.

use std::fmt;

/// Why a column is of no use.
#[derive(Clone, Debug, PartialEq)]
pub enum Useless {
    /// The same value in every row.
    Constant(String),
    /// No value in any row.
    NoValues,
    /// Numbers that only count the rows.
    RowNumbers,
    /// Texts that hardly ever repeat: an identifier, not a category.
    Identifier {
        /// How many different texts there are.
        distinct: usize,
        /// How many rows have one.
        rows: usize,
    },
}

impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "is `{value}` in every row"),
            Self::NoValues => write!(f, "has no values"),
            Self::RowNumbers => write!(f, "only numbers the rows"),
            Self::Identifier { distinct, rows } => {
                write!(
                    f,
                    "has {distinct} different texts in {rows} rows, too many for a category"
                )
            }
        }
    }
}

/// Whether so many different texts in so many rows cannot be categories.
pub(crate) fn is_identifier(distinct: usize, rows: usize) -> bool {
    distinct > 16 && 2 * distinct > rows
}

/// Whether the numbers go up by one from row to row. Short tables are given the benefit of the doubt.
pub(crate) fn counts_rows(mut values: impl Iterator<Item = f32>) -> bool {
    let Some(first) = values.next() else { return false };
    let mut rows = 1.0;
    for value in values {
        if value - first != rows {
            return false;
        }
        rows += 1.0;
    }
    rows >= 16.0
}
