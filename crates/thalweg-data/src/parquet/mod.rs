//! Parquet files: flat columns of numbers, truth values and texts, through the same path as CSV.

mod pages;
mod thrift;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;

use crate::error::{DataError, Place, shell_word};
use crate::options::ReadOptions;
use crate::table::{Builder, Cell, Kind, Outcome, Plan, Role, Table};

/// Values decoded at a time.
const BATCH: usize = 8192;

/// Reads the table in the file at `path`.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Table, DataError> {
    // The decoder asserts some of what damaged files break.
    catch_unwind(AssertUnwindSafe(|| read_trusting(path, options))).unwrap_or_else(|_| {
        Err(DataError::malformed(
            path,
            "Parquet",
            "its pages contradict each other",
        ))
    })
}

fn read_trusting(path: &Path, options: &ReadOptions) -> Result<Table, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    pages::check_metadata(path)?;
    let reader = SerializedFileReader::new(file).map_err(explain(path))?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let names: Vec<String> = schema
        .columns()
        .iter()
        .map(|column| column.path().string())
        .collect();
    // Where pandas keeps its row names.
    let index = names
        .iter()
        .filter(|name| name.starts_with("__index_level_") && name.ends_with("__"));
    let options = ReadOptions {
        drop: options.drop.iter().chain(index).cloned().collect(),
        ..options.clone()
    };
    let plan = Plan::new(path, &names, &options)?;
    let wanted: Vec<usize> = (0..names.len())
        .filter(|&index| plan.roles[index] != Role::Dropped)
        .collect();
    let mut kinds = Vec::new();
    for &index in &wanted {
        let kind = kind(path, &schema.column(index))?;
        if matches!(plan.roles[index], Role::Feature(_)) {
            kinds.push(kind);
        }
    }
    for group in reader.metadata().row_groups() {
        for &index in &wanted {
            pages::check_column(path, group.column(index), options.memory_limit)?;
        }
    }
    for _ in 0..3 {
        let mut builder = Builder::new(path, Place::row, &plan, &kinds, &options);
        let mut start = 0;
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(explain(path))?;
            let mut rows = None;
            for &index in &wanted {
                let column = schema.column(index);
                let pages = group.get_column_reader(index).map_err(explain(path))?;
                let mut sink = Sink {
                    path,
                    builder: &mut builder,
                    column: index,
                    start,
                    rows,
                    filled: 0,
                };
                sink.fill(pages, &column)?;
                rows = Some(sink.filled);
            }
            start += rows.unwrap_or(0);
        }
        if start == 0 {
            return Err(DataError::Empty {
                file: path.to_owned(),
                what: "the table has no rows",
            });
        }
        match builder.finish() {
            Outcome::Read(table) => return Ok(table),
            Outcome::Misjudged(truth) => kinds = truth,
        }
    }
    Err(DataError::malformed(
        path,
        "Parquet",
        "it changes while it is read",
    ))
}

fn kind(path: &Path, column: &ColumnDescriptor) -> Result<Kind, DataError> {
    let unsupported = |what: &str| DataError::Unsupported {
        file: path.to_owned(),
        what: format!("column `{}` ({what})", column.path().string()),
        advice: format!(
            "leave the column out: `--drop {}`",
            shell_word(&column.path().string())
        ),
    };
    if column.max_rep_level() > 0 || column.path().parts().len() > 1 {
        return Err(unsupported("nested"));
    }
    match column.physical_type() {
        Physical::INT96 => Err(unsupported("INT96 time")),
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY if is_decimal(column) => Ok(Kind::Numbers),
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY | Physical::BOOLEAN => Ok(Kind::Categories),
        _ => Ok(Kind::Numbers),
    }
}

fn is_decimal(column: &ColumnDescriptor) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }))
        || column.converted_type() == ConvertedType::DECIMAL
}

/// What the bytes of a text hold, or those of a decimal number if a scale is given.
fn cell_of_bytes(bytes: &ByteArray, decimal_scale: Option<f64>) -> Option<Cell<'_>> {
    let Some(scale) = decimal_scale else {
        return bytes.as_utf8().ok().map(Cell::Text);
    };
    // Two's complement, the highest byte first.
    let sign = bytes
        .data()
        .first()
        .map_or(0.0, |&first| if first < 0x80 { 0.0 } else { -1.0 });
    let number = bytes
        .data()
        .iter()
        .fold(sign, |number, &byte| number * 256.0 + f64::from(byte));
    Some(Cell::Number(number * scale))
}

fn explain(path: &Path) -> impl Fn(ParquetError) -> DataError {
    |error| DataError::malformed(path, "Parquet", error.to_string())
}

/// Where the values of one column of one row group go.
struct Sink<'a, 'plan> {
    path: &'a Path,
    builder: &'a mut Builder<'plan>,
    column: usize,
    start: usize,
    /// How many rows the group has, once a column told.
    rows: Option<usize>,
    filled: usize,
}

impl Sink<'_, '_> {
    fn fill(&mut self, pages: ColumnReader, column: &ColumnDescriptor) -> Result<(), DataError> {
        let scale = 10f64.powi(-column.type_scale().max(0));
        let decimal_scale = is_decimal(column).then_some(scale);
        match pages {
            ColumnReader::BoolColumnReader(pages) => self.drain(pages, column, |&value| {
                Some(Cell::Text(if value { "true" } else { "false" }))
            }),
            ColumnReader::Int32ColumnReader(pages) => self.drain(pages, column, |&value| {
                Some(Cell::Number(f64::from(value) * scale))
            }),
            ColumnReader::Int64ColumnReader(pages) => {
                self.drain(pages, column, |&value| Some(Cell::Number(value as f64 * scale)))
            }
            ColumnReader::FloatColumnReader(pages) => {
                self.drain(pages, column, |&value| Some(Cell::Number(f64::from(value))))
            }
            ColumnReader::DoubleColumnReader(pages) => {
                self.drain(pages, column, |&value| Some(Cell::Number(value)))
            }
            ColumnReader::ByteArrayColumnReader(pages) => self.drain(pages, column, |value: &ByteArray| {
                cell_of_bytes(value, decimal_scale)
            }),
            ColumnReader::FixedLenByteArrayColumnReader(pages) => {
                self.drain(pages, column, |value: &FixedLenByteArray| {
                    cell_of_bytes(value, decimal_scale)
                })
            }
            ColumnReader::Int96ColumnReader(_) => Err(self.malformed("INT96 where the schema has none")),
        }
    }

    fn drain<T: DataType>(
        &mut self,
        mut pages: ColumnReaderImpl<T>,
        column: &ColumnDescriptor,
        cell: impl Fn(&T::T) -> Option<Cell<'_>>,
    ) -> Result<(), DataError> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        loop {
            levels.clear();
            values.clear();
            let optional = column.max_def_level() > 0;
            let (records, _, _) = pages
                .read_records(BATCH, optional.then_some(&mut levels), None, &mut values)
                .map_err(explain(self.path))?;
            if records == 0 {
                break;
            }
            let mut values = values.iter();
            for record in 0..records {
                let missing = optional
                    && levels
                        .get(record)
                        .is_none_or(|&level| level < column.max_def_level());
                let cell = match (missing, values.as_slice().first()) {
                    (true, _) => Cell::Missing,
                    (false, None) => return Err(self.malformed("fewer values than levels")),
                    (false, Some(value)) => {
                        values.next();
                        cell(value).ok_or_else(|| self.malformed("a text is not UTF-8"))?
                    }
                };
                self.push(cell)?;
            }
        }
        match self.rows {
            Some(rows) if rows != self.filled => Err(self.malformed("its columns have different lengths")),
            _ => Ok(()),
        }
    }

    fn push(&mut self, cell: Cell) -> Result<(), DataError> {
        let row = self.start + self.filled;
        match self.rows {
            Some(rows) if self.filled >= rows => {
                return Err(self.malformed("its columns have different lengths"));
            }
            Some(_) => {}
            None => self.builder.grow(row + 1)?,
        }
        self.filled += 1;
        self.builder.put(row, self.column, cell, row as u64 + 1)
    }

    fn malformed(&self, reason: &str) -> DataError {
        DataError::malformed(self.path, "Parquet", reason)
    }
}
