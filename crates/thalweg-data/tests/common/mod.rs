//! Writing small files of every format.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tempfile::TempDir;
use thalweg_data::{DataError, Dataset, ReadOptions};

/// A folder that is removed in the end.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Opens a file of these contents.
pub fn open_as(name: &str, bytes: impl AsRef<[u8]>, options: &ReadOptions) -> Result<Dataset, DataError> {
    let folder = Folder::new();
    thalweg_data::open(&folder.write(name, bytes), options)
}

/// The text of an error, without the folders of the test's files.
pub fn message(result: Result<Dataset, DataError>) -> String {
    let text = result.expect_err("an error is expected").to_string();
    let mut parts = text.split("/.tmp");
    let mut message = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        message.truncate(message.rfind(' ').map_or(0, |at| at + 1));
        message += part.split_once('/').map_or(part, |(_, file)| file);
    }
    message
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn idx(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, shape.len() as u8];
    for side in shape {
        bytes.extend(side.to_be_bytes());
    }
    bytes.extend(data);
    bytes
}

pub fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Numbers as little-endian 32-bit floats.
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A table of 40 rows: `size` (some missing), `colour` (three texts), `sold` (a truth value), `kind` (0 or 1) as the
/// target.
pub fn parquet_table(compression: parquet::basic::Compression) -> Vec<u8> {
    let schema = "message table {
        optional double size;
        required binary colour (UTF8);
        required boolean sold;
        required int64 kind;
    }";
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for group in 0..2 {
        let rows = || group * 20..group * 20 + 20;
        let mut row_group = writer.next_row_group().unwrap();
        let present: Vec<i16> = rows().map(|row| i16::from(row % 10 != 3)).collect();
        let sizes: Vec<f64> = rows()
            .filter(|row| row % 10 != 3)
            .map(|row| f64::from((row * 7) % 11) / 2.0)
            .collect();
        let colours: Vec<ByteArray> = rows()
            .map(|row| ByteArray::from(["red", "green", "blue"][row as usize % 3]))
            .collect();
        let sold: Vec<bool> = rows().map(|row| row % 4 == 0).collect();
        let kinds: Vec<i64> = rows().map(|row| i64::from(row % 2)).collect();
        let mut column = row_group.next_column().unwrap().unwrap();
        column
            .typed::<DoubleType>()
            .write_batch(&sizes, Some(&present), None)
            .unwrap();
        column.close().unwrap();
        let mut column = row_group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&colours, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = row_group.next_column().unwrap().unwrap();
        column.typed::<BoolType>().write_batch(&sold, None, None).unwrap();
        column.close().unwrap();
        let mut column = row_group.next_column().unwrap().unwrap();
        column
            .typed::<Int64Type>()
            .write_batch(&kinds, None, None)
            .unwrap();
        column.close().unwrap();
        row_group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}
