//! Opening files: compressed or not, and never believing a header about how much there is to read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::DataError;

/// No deflate stream grows by more than this.
const MOST_INFLATION: u64 = 1032;

/// A file opened for reading from its start, decompressed on the way if it is gzip.
pub(crate) struct Source<'a> {
    pub(crate) reader: Box<dyn Read + 'a>,
    /// More bytes than this cannot come out.
    pub(crate) at_most: u64,
    /// The size if it is known without reading.
    pub(crate) size: Option<u64>,
}

pub(crate) fn open(path: &Path) -> Result<Source<'static>, DataError> {
    let io = || DataError::io(path);
    let size = File::open(path)
        .and_then(|file| file.metadata())
        .map_err(io())?
        .len();
    let file = || File::open(path).map(|file| BufReader::with_capacity(1 << 16, file));
    let mut magic = Vec::new();
    file()
        .map_err(io())?
        .take(2)
        .read_to_end(&mut magic)
        .map_err(io())?;
    let reader = file().map_err(io())?;
    Ok(if magic == [0x1f, 0x8b] {
        Source {
            reader: Box::new(MultiGzDecoder::new(reader)),
            at_most: most_inflated(size),
            size: None,
        }
    } else {
        Source {
            reader: Box::new(reader),
            at_most: size,
            size: Some(size),
        }
    })
}

/// The most bytes that `compressed` bytes of deflate can stand for.
pub(crate) fn most_inflated(compressed: u64) -> u64 {
    compressed.saturating_mul(MOST_INFLATION)
}

/// The first bytes of what the file holds once decompressed, at most `limit`.
pub(crate) fn head(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    open(path)?
        .reader
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(DataError::io(path))?;
    Ok(bytes)
}

/// Fills `buffer`; at the end of the data returns how much was there.
pub(crate) fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Errors unless `bytes` are within `limit`.
pub(crate) fn check_memory(path: &Path, bytes: u64, limit: u64) -> Result<(), DataError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(DataError::TooLarge {
        file: path.to_owned(),
        needed: bytes,
        limit,
    })
}
