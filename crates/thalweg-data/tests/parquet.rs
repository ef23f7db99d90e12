//! Parquet files.

mod common;

use std::sync::Arc;

use common::{message, open_as, parquet_table};
use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use thalweg_data::{Impute, ReadOptions};

#[test]
fn a_table_is_read_like_its_csv() {
    let options = ReadOptions {
        impute: Some(Impute::Median),
        ..ReadOptions::default()
    };
    let mut csv = String::from("size,colour,sold,kind\n");
    for row in 0..40 {
        let size = if row % 10 == 3 {
            String::new()
        } else {
            (f64::from((row * 7) % 11) / 2.0).to_string()
        };
        csv += &format!(
            "{size},{},{},{}\n",
            ["red", "green", "blue"][row as usize % 3],
            row % 4 == 0,
            row % 2
        );
    }
    let expected = open_as("t.csv", csv, &options).unwrap();
    assert_eq!(
        expected.feature_names[1..4],
        ["colour=blue", "colour=green", "colour=red"]
    );
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
    ] {
        assert_eq!(
            open_as("t.parquet", parquet_table(compression), &options).unwrap(),
            expected,
            "{compression:?}"
        );
    }
}

#[test]
fn decimals_are_scaled_and_row_names_left_out() {
    let schema = "message table {
        required fixed_len_byte_array(4) price (DECIMAL(9, 2));
        required int32 rate (DECIMAL(9, 1));
        required int64 class;
        required int64 __index_level_0__;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let prices = [-250i32, 1999, 0].map(|price| FixedLenByteArray::from(price.to_be_bytes().to_vec()));
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<FixedLenByteArrayType>()
        .write_batch(&prices, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<Int32Type>()
        .write_batch(&[5, -15, 20], None, None)
        .unwrap();
    column.close().unwrap();
    for values in [[1, 0, 1], [7, 8, 9]] {
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int64Type>()
            .write_batch(&values, None, None)
            .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let set = open_as("t.parquet", bytes, &ReadOptions::default()).unwrap();
    assert_eq!(set.feature_names, ["price", "rate"]);
    assert_eq!(set.features, [-2.5, 0.5, 19.99, -1.5, 0.0, 2.0]);
    assert_eq!(set.labels, [1, 0, 1]);
}

#[test]
fn errors_name_the_column() {
    let table = parquet_table(Compression::SNAPPY);
    let defaults = ReadOptions::default();
    assert_eq!(
        message(open_as("t.parquet", &table, &defaults)),
        "t.parquet: 4 missing values of 40 rows: 4 in `size`"
    );
    let cut = &table[..table.len() - 9];
    assert!(message(open_as("t.parquet", cut, &defaults)).starts_with("t.parquet: not a valid Parquet file"));
    assert!(
        message(open_as("t.parquet", "a,b\n1,2\n", &defaults))
            .starts_with("t.parquet: not a valid Parquet file")
    );
}
