//! CSV and TSV files, read in one pass where the first rows give a true picture of the columns, else in two.

mod sniff;
mod texts;

use std::cell::Cell as Shared;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use ::csv::{ErrorKind, Position, Reader, ReaderBuilder, StringRecord, Trim};
use sniff::Dialect;
pub(crate) use texts::Texts;

use crate::error::{DataError, Place};
use crate::options::ReadOptions;
use crate::source::{self, check_memory};
use crate::table::{Builder, Cell, Kind, Outcome, Plan, Table, is_missing};

/// How much of a file is looked at to find its delimiter, header and kinds of columns.
const SAMPLE: u64 = 1 << 20;
/// No row may be longer: a quote left open would otherwise swallow the rest of the file.
const LONGEST_ROW: u64 = 16 << 20;

/// Reads the table in the file at `path`.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Table, DataError> {
    let sample = source::head(path, SAMPLE)?;
    if sample.trim_ascii().is_empty() {
        return Err(DataError::Empty {
            file: path.to_owned(),
            what: "the file is empty",
        });
    }
    let tabs_expected = path.to_string_lossy().to_ascii_lowercase().contains(".tsv");
    let dialect = sniff::dialect(&sample, tabs_expected);
    let first = sniff::records(&sample, dialect.delimiter);
    let names = names(path, dialect)?;
    let plan = Plan::new(path, &names, options)?;
    let mut kinds = sniff::kinds(&first.rows[usize::from(dialect.header)..], &plan);
    check_estimate(path, &first, kinds.len(), options)?;
    // Counts do not depend on the guess, so a second reading settles it unless the file changes meanwhile.
    for _ in 0..3 {
        match pass(path, dialect, &plan, &kinds, options)? {
            Outcome::Read(table) => return Ok(table),
            Outcome::Misjudged(truth) => kinds = truth,
        }
    }
    Err(DataError::malformed(path, "CSV", "it changes while it is read"))
}

/// The names of the columns: the header's, or `column 1` and so on.
fn names(path: &Path, dialect: Dialect) -> Result<Vec<String>, DataError> {
    let mut rows = Rows::open(path, dialect.delimiter)?;
    let mut first = StringRecord::new();
    rows.next(&mut first)?;
    Ok(first
        .iter()
        .enumerate()
        .map(|(index, name)| match name {
            name if dialect.header && !name.is_empty() => name.to_owned(),
            _ => format!("column {}", index + 1),
        })
        .collect())
}

/// Refuses a file early that is far too large by its first rows.
fn check_estimate(
    path: &Path,
    first: &sniff::Records,
    columns: usize,
    options: &ReadOptions,
) -> Result<(), DataError> {
    let Some(size) = source::open(path)?.size else {
        return Ok(());
    };
    let needed = (size as f64 / first.bytes as f64) * first.rows.len() as f64 * (columns as f64 + 1.0) * 4.0;
    // Later rows may be longer than the first; the exact amount is checked while reading.
    if needed > 2.0 * options.memory_limit as f64 {
        check_memory(path, needed as u64, options.memory_limit)?;
    }
    Ok(())
}

fn pass(
    path: &Path,
    dialect: Dialect,
    plan: &Plan,
    kinds: &[Kind],
    options: &ReadOptions,
) -> Result<Outcome, DataError> {
    let mut builder = Builder::new(path, line_at, plan, kinds, options);
    let mut rows = Rows::open(path, dialect.delimiter)?;
    let mut record = StringRecord::new();
    if dialect.header {
        rows.next(&mut record)?;
    }
    let mut count = 0;
    while rows.next(&mut record)? {
        let byte = record.position().map_or(0, Position::byte);
        builder.grow(count + 1)?;
        for (column, field) in record.iter().enumerate() {
            builder.put(count, column, Cell::Text(field), byte)?;
        }
        count += 1;
    }
    if count == 0 {
        return Err(DataError::Empty {
            file: path.to_owned(),
            what: "there are no rows below the header",
        });
    }
    Ok(builder.finish())
}

/// The rows of a file, with errors that say where.
struct Rows<'a> {
    path: &'a Path,
    reader: Reader<Metered>,
    metered: Rc<Shared<u64>>,
    byte: u64,
}

impl<'a> Rows<'a> {
    fn open(path: &'a Path, delimiter: u8) -> Result<Self, DataError> {
        let metered = Rc::new(Shared::new(0));
        let inner = source::open(path)?.reader;
        let reader = builder(delimiter).buffer_capacity(1 << 16).from_reader(Metered {
            inner,
            since_row: Rc::clone(&metered),
        });
        Ok(Self {
            path,
            reader,
            metered,
            byte: 0,
        })
    }

    /// Reads the next row into `record`; false at the end of the file.
    fn next(&mut self, record: &mut StringRecord) -> Result<bool, DataError> {
        self.metered.set(0);
        self.byte = self.reader.position().byte();
        self.reader
            .read_record(record)
            .map_err(|error| self.explain(error))
    }

    fn explain(&self, error: ::csv::Error) -> DataError {
        match error.into_kind() {
            ErrorKind::Io(source) if source.get_ref().is_some_and(|inner| inner.is::<RowTooLong>()) => {
                DataError::LongRow {
                    place: line_at(self.path, self.byte),
                    limit: LONGEST_ROW,
                }
            }
            ErrorKind::Io(source) => DataError::Io {
                file: self.path.to_owned(),
                source,
            },
            ErrorKind::UnequalLengths {
                pos,
                expected_len,
                len,
            } => DataError::RaggedRow {
                place: line_at(self.path, pos.map_or(self.byte, |pos| pos.byte())),
                expected: expected_len,
                found: len,
            },
            ErrorKind::Utf8 { .. } => first_invalid_byte(self.path).unwrap_or_else(|error| error),
            other => DataError::malformed(self.path, "CSV", format!("{other:?}")),
        }
    }
}

/// The line of the row that starts at `byte`, or after empty lines there. Counted anew because the parser counts
/// otherwise where lines end in two characters.
pub(crate) fn line_at(path: &Path, byte: u64) -> Place {
    let mut line = 1;
    // A file that can no longer be read is at its end: the error under way says more than a second one would.
    let bytes = source::open(path).map(|source| BufReader::new(source.reader).bytes());
    for (index, found) in bytes.into_iter().flatten().map_while(Result::ok).enumerate() {
        if index as u64 >= byte && !matches!(found, b'\n' | b'\r') {
            break;
        }
        line += u64::from(found == b'\n');
    }
    Place::line(path, line)
}

/// A CSV parser as used throughout; rows must be of equal lengths unless it is told otherwise.
fn builder(delimiter: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).has_headers(false).trim(Trim::All);
    builder
}

/// Reads the file again to tell the exact byte that is not UTF-8.
fn first_invalid_byte(path: &Path) -> Result<DataError, DataError> {
    let mut reader = BufReader::new(source::open(path)?.reader);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = (&mut reader)
            .take(LONGEST_ROW)
            .read_until(b'\n', &mut line)
            .map_err(DataError::io(path))?;
        if read == 0 {
            break;
        }
        if let Err(error) = std::str::from_utf8(&line) {
            let offset = error.valid_up_to();
            return Ok(DataError::NotUtf8 {
                place: Place::line(path, number),
                offset: offset as u64 + 1,
                byte: line[offset],
            });
        }
    }
    Ok(DataError::malformed(path, "CSV", "it is not UTF-8 text"))
}

/// Fails when more than [`LONGEST_ROW`] was read since the last row was complete.
struct Metered {
    inner: Box<dyn Read>,
    since_row: Rc<Shared<u64>>,
}

#[derive(Debug, thiserror::Error)]
#[error("a row is too long")]
struct RowTooLong;

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.since_row.set(self.since_row.get() + count as u64);
        if self.since_row.get() > LONGEST_ROW {
            return Err(io::Error::other(RowTooLong));
        }
        Ok(count)
    }
}
