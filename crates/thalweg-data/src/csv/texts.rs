//! A table read row by row as texts, for readers with rules of their own.

use std::path::Path;

use ::csv::{Position, StringRecord};

use super::{Rows, SAMPLE, names, sniff};
use crate::error::DataError;
use crate::source;

/// A table whose dialect is known.
pub(crate) struct Texts<'a> {
    /// The names of the columns: the header's, or `column 1` and so on.
    pub(crate) names: Vec<String>,
    /// Whether the first row holds the names.
    pub(crate) has_header: bool,
    rows: Rows<'a>,
    record: StringRecord,
}

impl<'a> Texts<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self, DataError> {
        let sample = source::head(path, SAMPLE)?;
        let tabs_expected = path.to_string_lossy().to_ascii_lowercase().contains(".tsv");
        let dialect = sniff::dialect(&sample, tabs_expected);
        let mut rows = Rows::open(path, dialect.delimiter)?;
        let mut record = StringRecord::new();
        if dialect.header {
            rows.next(&mut record)?;
        }
        Ok(Self {
            names: names(path, dialect)?,
            has_header: dialect.header,
            rows,
            record,
        })
    }

    /// The next row with the byte at which it starts; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &StringRecord)>, DataError> {
        let more = self.rows.next(&mut self.record)?;
        let byte = self.record.position().map_or(0, Position::byte);
        Ok(more.then_some((byte, &self.record)))
    }
}
