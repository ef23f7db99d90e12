//! What a Parquet file says of its own sizes, held against the bytes that are there before the decoder believes it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ::parquet::basic::Compression;
use ::parquet::file::metadata::ColumnChunkMetaData;

use super::thrift::{self, FALSE, Field, I32, STRUCT, TRUE};
use crate::error::DataError;
use crate::source::{check_memory, most_inflated};

/// The length of the metadata and the magic at the end of a file.
const TAIL: u64 = 8;

/// Makes sure that the metadata at the end of the file can be walked over.
pub(super) fn check_metadata(path: &Path) -> Result<(), DataError> {
    let walk = || -> io::Result<()> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut tail = [0; 4];
        file.seek(SeekFrom::Start(
            size.checked_sub(TAIL).ok_or_else(thrift::broken)?,
        ))?;
        file.read_exact(&mut tail)?;
        let length = u64::from(u32::from_le_bytes(tail));
        let start = size.checked_sub(TAIL + length).ok_or_else(thrift::broken)?;
        file.seek(SeekFrom::Start(start))?;
        thrift::walk(BufReader::new(file).take(length), |_| Ok(())).map(drop)
    };
    walk().map_err(explain(path, "its metadata is damaged or cut short"))
}

/// Makes sure that a column is compressed in a known way, and that none of its pages needs more memory than its bytes can stand for, or than is allowed.
pub(super) fn check_column(path: &Path, column: &ColumnChunkMetaData, limit: u64) -> Result<(), DataError> {
    let malformed = |reason: &str| DataError::malformed(path, "Parquet", reason);
    let compression = column.compression();
    if !matches!(
        compression,
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_)
    ) {
        // Shown as `ZSTD(ZstdLevel(1))`.
        let shown = compression.to_string();
        let name = shown.split('(').next().unwrap_or(&shown);
        return Err(DataError::Unsupported {
            file: path.to_owned(),
            what: format!("{name} compression"),
            advice: "write it with snappy, gzip or no compression".into(),
        });
    }
    let broken = explain(path, "a page header is damaged");
    let start = column
        .dictionary_page_offset()
        .unwrap_or_else(|| column.data_page_offset());
    let (Ok(start), Ok(mut left)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else {
        return Err(malformed("a column starts before the file"));
    };
    let file = File::open(path).map_err(DataError::io(path))?;
    let size = file.metadata().map_err(DataError::io(path))?.len();
    if start.checked_add(left).is_none_or(|end| end > size) {
        return Err(malformed("a column goes on beyond the end of the file"));
    }
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(start)).map_err(DataError::io(path))?;
    while left > 0 {
        let (page, length) = Page::read((&mut reader).take(left)).map_err(&broken)?;
        left -= length;
        if page.compressed > left {
            return Err(malformed("a page goes on beyond its column"));
        }
        left -= page.compressed;
        reader
            .seek_relative(page.compressed as i64)
            .map_err(DataError::io(path))?;
        page.check(path, compression, limit)?;
    }
    Ok(())
}

fn explain(path: &Path, reason: &str) -> impl Fn(io::Error) -> DataError {
    move |error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            DataError::malformed(path, "Parquet", reason)
        }
        _ => DataError::io(path)(error),
    }
}

/// What the header of a page says.
#[derive(Default)]
struct Page {
    uncompressed: u64,
    compressed: u64,
    dictionary_values: u64,
    encoding: u64,
}

impl Page {
    /// Reads a header and returns how long it is, too.
    fn read(reader: impl Read) -> io::Result<(Self, u64)> {
        let mut page = Self::default();
        let length = thrift::walk(reader, |field| {
            if !is_as_specified(field) {
                return Err(thrift::broken());
            }
            let number = match (field.parent, field.id) {
                (0, 2) => &mut page.uncompressed,
                (0, 3) => &mut page.compressed,
                (5, 2) | (8, 4) => &mut page.encoding,
                (7, 1) => &mut page.dictionary_values,
                _ => return Ok(()),
            };
            *number = i32::try_from(field.value)
                .ok()
                .and_then(|it| it.try_into().ok())
                .ok_or_else(thrift::broken)?;
            Ok(())
        })?;
        Ok((page, length))
    }

    fn check(&self, path: &Path, compression: Compression, limit: u64) -> Result<(), DataError> {
        // A value takes a byte at least, and the decoder makes room for all it is told of.
        if self.uncompressed > most_inflated(self.compressed) || self.dictionary_values > self.uncompressed {
            return Err(DataError::malformed(
                path,
                "Parquet",
                "a page promises more than its bytes can hold",
            ));
        }
        // These hold counts of their own within the data, which the decoder trusts.
        if matches!(self.encoding, 6 | 7) {
            return Err(DataError::Unsupported {
                file: path.to_owned(),
                what: "delta-encoded text".into(),
                advice: "write text columns with dictionary or plain encoding".into(),
            });
        }
        // Gzip goes on to its own end, whatever the header says.
        let needed = match compression {
            Compression::GZIP(_) => most_inflated(self.compressed),
            _ => self.uncompressed,
        };
        check_memory(path, needed, limit)
    }
}

/// Whether a field of a page header has the kind it should have. The decoder does not look at kinds, and would read on
/// from another place than this walk.
fn is_as_specified(field: Field) -> bool {
    let kinds: &[u8] = match (field.parent, field.id) {
        (0, 1..=4) | (5, 1..=4) | (7, 1..=2) | (8, 1..=6) => &[I32],
        (0, 5..=8) | (5, 5) | (8, 8) => &[STRUCT],
        (7, 3) | (8, 7) => &[TRUE, FALSE],
        _ => return true,
    };
    kinds.contains(&field.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[u8], compression: Compression) -> Result<(), DataError> {
        let path = Path::new("t.parquet");
        let (page, length) = Page::read(header).map_err(explain(path, "damaged"))?;
        assert_eq!(length, header.len() as u64);
        page.check(path, compression, 1 << 20)
    }

    #[test]
    fn a_page_that_promises_too_much_is_refused() {
        // A data page of 100 bytes that become 1000, in ten values of plain encoding.
        let good = [
            0x15, 0, 0x15, 0xd0, 0x0f, 0x15, 0xc8, 0x01, 0x2c, 0x15, 20, 0x15, 0, 0, 0,
        ];
        assert!(check(&good, Compression::SNAPPY).is_ok());

        let mut large = good.to_vec();
        large.splice(3..5, [0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(
            check(&large, Compression::SNAPPY),
            Err(DataError::Malformed { .. })
        ));
        let mut negative = good;
        negative[3] = 0xd1;
        assert!(matches!(
            check(&negative, Compression::SNAPPY),
            Err(DataError::Malformed { .. })
        ));
        let mut of_another_kind = good;
        of_another_kind[2] = 0x16;
        assert!(matches!(
            check(&of_another_kind, Compression::SNAPPY),
            Err(DataError::Malformed { .. })
        ));
        let mut delta = good;
        delta[12] = 14;
        assert!(matches!(
            check(&delta, Compression::SNAPPY),
            Err(DataError::Unsupported { .. })
        ));

        // 2000 bytes of gzip could become two million, whatever is said.
        let mut zipped = good;
        zipped[6..8].copy_from_slice(&[0xa0, 0x1f]);
        assert!(check(&zipped, Compression::SNAPPY).is_ok());
        let gzip = Compression::GZIP(Default::default());
        assert!(matches!(check(&zipped, gzip), Err(DataError::TooLarge { .. })));
    }

    #[test]
    fn a_dictionary_has_no_more_values_than_bytes() {
        let page = |values: u8| [0x15, 4, 0x15, 40, 0x15, 40, 0x4c, 0x15, values, 0x15, 0, 0, 0];
        assert!(check(&page(40), Compression::SNAPPY).is_ok());
        assert!(check(&page(42), Compression::SNAPPY).is_err());
    }
}
