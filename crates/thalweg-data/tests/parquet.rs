//! Parquet files.

mod common;

use common::{message, open_as, parquet_table};
use parquet::basic::{Compression, GzipLevel};
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
