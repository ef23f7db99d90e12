//! What the reader of a file may be told.

use std::str::FromStr;

/// How missing numbers are filled in. A missing category becomes the most frequent one either way.
///
/// The value is taken from all rows of the column, whichever part of a split they fall to later; classes play no
/// part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impute {
    /// With the mean of the column.
    Mean,
    /// With the median of the column.
    Median,
}

impl FromStr for Impute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            _ => Err(format!("`{text}` is neither `mean` nor `median`")),
        }
    }
}

/// Options of [`open`](crate::open).
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Where the classes are. In a table (CSV, Parquet): the name of a column, or its number counted from 1; by
    /// default the one column called target, label, labels, class or y, else the last. For IDX and NPY: the path
    /// of the labels. For NPZ: the name of the array.
    pub target: Option<String>,
    /// A column of a table that says which rows belong to one bag, by name or number. The target may then be a number,
    /// known for each row or as the mean of its bag.
    pub bag: Option<String>,
    /// Columns of a table to leave out, by name or number.
    pub drop: Vec<String>,
    /// How to fill in missing values; none: they are an error.
    pub impute: Option<Impute>,
    /// The most bytes the arrays of the set may take, 2 GiB by default. Categories that become columns of their
    /// own need room for the table and the features at once.
    pub memory_limit: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            target: None,
            bag: None,
            drop: Vec::new(),
            impute: None,
            memory_limit: 2 << 30,
        }
    }
}

/// Reads an amount of memory: `500MiB`, `4GiB`, `1.5 GB` or plain bytes; K, M, G and T are powers of 1024 with or
/// without the `i`.
///
/// # Errors
/// A text that says what would be accepted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(format!("`{text}` is no amount of memory; write for example 4GiB")),
    };
    let bytes = number
        .parse::<f64>()
        .ok()
        .map(|number| number * 1024f64.powi(power));
    bytes
        .map(|bytes| bytes as u64)
        .ok_or_else(|| format!("`{text}` is no amount of memory; write for example 4GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read() {
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        assert_eq!(parse_bytes("1.5 mb"), Ok(3 << 19));
        assert_eq!(parse_bytes("1234"), Ok(1234));
        assert!(parse_bytes("much").is_err() && parse_bytes("4 apples").is_err());
    }
}
