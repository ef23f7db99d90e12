//! Choosing the reader of a path, by what the file holds and then by its name.

use std::path::Path;

use crate::arrays::Arrays;
use crate::dataset::Dataset;
use crate::embedded;
use crate::error::DataError;
use crate::options::ReadOptions;
use crate::table::Table;
use crate::{csv, idx, npy, parquet, source};

/// A data set as read, whether or not it can be used.
pub(crate) enum Raw {
    Table(Table),
    Arrays(Arrays),
    Embedded(Dataset),
}

/// Opens the data set at `path`: a file, a folder of the four IDX files of MNIST and its relatives, or the name of an
/// embedded set if there is no such file.
///
/// Unsigned bytes of images (IDX, and NPY arrays of three or four dimensions) are scaled from 0..=255 to `[0, 1]`; all
/// other numbers are left as they are. Categories become one feature each, `column=category`, that is 0 or 1.
///
/// # Errors
/// When the file cannot be read or is not fit to learn classes from; see [`DataError`].
pub fn open(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    match read(path, options)? {
        Raw::Table(table) => table.encode(options),
        Raw::Arrays(_) | Raw::Embedded(_) if options.bag.is_some() => Err(DataError::BagsWithoutTable {
            file: path.to_owned(),
        }),
        Raw::Arrays(arrays) => arrays.into_dataset(options),
        Raw::Embedded(dataset) => Ok(dataset),
    }
}

pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
    if !path.exists()
        && let Some(set) = path.to_str().and_then(embedded::find)
    {
        return Ok(Raw::Embedded((set.load)()));
    }
    if path.is_dir() {
        return idx::read_folder(path, options).map(Raw::Arrays);
    }
    match format(path, &source::head(path, 4096)?)? {
        Format::Csv => csv::read(path, options).map(Raw::Table),
        Format::Parquet => parquet::read(path, options).map(Raw::Table),
        Format::Idx => idx::read(path, options).map(Raw::Arrays),
        Format::Npy => npy::read(path, options).map(Raw::Arrays),
        Format::Npz => npy::read_archive(path, options).map(Raw::Arrays),
    }
}

/// The kinds of files that are read.
pub(crate) enum Format {
    Csv,
    Parquet,
    Idx,
    Npy,
    Npz,
}

pub(crate) fn format(path: &Path, head: &[u8]) -> Result<Format, DataError> {
    let utf16 = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    Ok(match extension.to_str() {
        _ if head.is_empty() => {
            return Err(DataError::Empty {
                file: path.to_owned(),
                what: "the file is empty",
            });
        }
        _ if head.starts_with(b"PAR1") => Format::Parquet,
        _ if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") => Format::Npz,
        _ if head.starts_with(npy::MAGIC) => Format::Npy,
        _ if idx::is_idx(head) => Format::Idx,
        // Named so, but not so inside: the reader says what is wrong.
        Some("parquet") => Format::Parquet,
        Some("npy") => Format::Npy,
        Some("npz") => Format::Npz,
        // The reader says at which byte it is not UTF-8.
        _ if utf16 || !head.contains(&0) => Format::Csv,
        _ => {
            let found = "bytes of an unknown kind".into();
            return Err(DataError::Unrecognised {
                file: path.to_owned(),
                found,
            });
        }
    })
}
