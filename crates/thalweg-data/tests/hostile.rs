//! No bytes make a reader panic or take more memory than allowed: arbitrary ones, and damaged files of every format.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p thalweg-data --test hostile` looks longer; `fuzz/` looks harder.

mod common;

use common::{Folder, floats, gzip, idx, npy, npz, parquet_table};
use parquet::basic::{Compression, GzipLevel};
use proptest::prelude::*;
use thalweg_data::describe::describe;
use thalweg_data::{DataError, Impute, ReadOptions, open};
use thalweg_kernels::memory::{Counting, peak, reset_peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMIT: u64 = 1 << 20;
/// Buffers, the decompressor's window, the sample of a text and what is built while vectors grow.
const OVERHEAD: u64 = 16 << 20;

fn labels() -> Vec<u8> {
    npy("<i4", "False", "(3,)", &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
}

/// Valid files: the name to read them by, and their bytes.
fn valid() -> Vec<(&'static str, Vec<u8>)> {
    let csv = "\u{feff}size,colour,\"a \"\"b\"\"\",kind\n1.5,red,NA,x\n2,blue,3,\"y,z\"\n-1e3,red,7,x\n";
    let x = npy("<f4", "False", "(3, 2)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let images = idx(8, &[3, 2, 2], &[9; 12]);
    vec![
        ("t.csv", csv.into()),
        ("t.csv", gzip(csv.as_bytes())),
        ("t.tsv", csv.replace(',', "\t").into()),
        ("images", images.clone()),
        ("images", gzip(&images)),
        ("labels", idx(8, &[3], &[0, 1, 1])),
        (
            "labels",
            gzip(&idx(0x0C, &[3], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1])),
        ),
        ("x.npy", x.clone()),
        ("x.npy", npy(">i2", "True", "(3, 2, 1, 3)", &[7; 36])),
        ("y.npy", labels()),
        (
            "y.npy",
            npy("<U1", "False", "(3,)", &[97, 0, 0, 0, 98, 0, 0, 0, 97, 0, 0, 0]),
        ),
        ("t.npz", npz(&[("x", x.clone()), ("y", labels())])),
        (
            "t.npz",
            npz(&[
                ("x_train", x.clone()),
                ("y_train", labels()),
                ("x_test", x),
                ("y_test", labels()),
            ]),
        ),
        ("t.parquet", parquet_table(Compression::UNCOMPRESSED)),
        ("t.parquet", parquet_table(Compression::SNAPPY)),
        (
            "t.parquet",
            parquet_table(Compression::GZIP(GzipLevel::default())),
        ),
    ]
}

/// Reads and describes the file called `name` with these contents beside good files of the other names.
fn survive(name: &str, bytes: &[u8]) -> Result<(), DataError> {
    let folder = Folder::new();
    folder.write("images", idx(8, &[3, 2, 2], &[9; 12]));
    folder.write("labels", idx(8, &[3], &[0, 1, 1]));
    folder.write(
        "x.npy",
        npy("<f4", "False", "(3, 2)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    );
    folder.write("y.npy", labels());
    folder.write(name, bytes);
    let (read, target) = match name {
        "images" | "labels" => ("images", Some("labels")),
        "x.npy" | "y.npy" => ("x.npy", Some("y.npy")),
        _ => (name, None),
    };
    let options = ReadOptions {
        target: target.map(str::to_owned),
        impute: Some(Impute::Median),
        memory_limit: LIMIT,
        ..ReadOptions::default()
    };
    let path = folder.path().join(read);
    reset_peak();
    let result = open(&path, &options);
    if let Ok(set) = &result {
        assert_eq!(set.features.len(), set.len() * set.width());
        assert_eq!(set.feature_names.len(), set.width());
        assert!(set.features.iter().all(|value| value.is_finite()));
        assert!(set.classes.len() >= 2 && set.class_counts().iter().all(|&count| count > 0));
    }
    let _ = describe(&path, &options);
    assert!(peak() < LIMIT + OVERHEAD, "{} bytes were taken", peak());
    result.map(drop)
}

#[derive(Clone, Debug)]
enum Damage {
    Set(u8),
    /// A number as headers hold it, little- or big-endian.
    Number(u32),
    Remove(usize),
    Repeat(usize),
    CutHere,
}

fn damage() -> impl Strategy<Value = Damage> {
    let extremes = prop::sample::select(vec![
        0,
        1,
        0x7fff_ffff,
        u32::MAX,
        0x8000_0000,
        0xffff,
        0x00ff_ffff,
    ]);
    prop_oneof![
        4 => any::<u8>().prop_map(Damage::Set),
        2 => prop::sample::select(b",;\t\"\n\r0?.e-({[\xff\0".to_vec()).prop_map(Damage::Set),
        2 => extremes.prop_map(Damage::Number),
        1 => (1usize..20).prop_map(Damage::Remove),
        1 => (1usize..20).prop_map(Damage::Repeat),
        1 => Just(Damage::CutHere),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[(prop::sample::Index, Damage)]) -> Vec<u8> {
    for (at, damage) in damages {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        let end = |length: usize| (at + length).min(bytes.len());
        match *damage {
            Damage::Set(byte) => bytes[at] = byte,
            Damage::Number(number) => {
                let end = end(4);
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            Damage::Remove(length) => drop(bytes.drain(at..end(length))),
            Damage::Repeat(length) => {
                let part = bytes[at..end(length)].to_vec();
                bytes.splice(at..at, part);
            }
            Damage::CutHere => bytes.truncate(at),
        }
    }
    bytes
}

#[test]
fn the_undamaged_files_are_good() {
    for (name, bytes) in valid() {
        survive(name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn compressed_nothing_does_not_fill_the_memory() {
    let zeros = gzip(&vec![b'0'; 40 << 20]);
    let lines = gzip(&b"1,2\n".repeat(10 << 20));
    for bytes in [zeros, lines] {
        let folder = Folder::new();
        let path = folder.write("t.csv.gz", bytes);
        let options = ReadOptions {
            memory_limit: LIMIT,
            ..ReadOptions::default()
        };
        reset_peak();
        assert!(open(&path, &options).is_err());
        // A single row may be as long as 16 MiB, in a buffer that doubles.
        assert!(peak() < 4 * OVERHEAD, "{} bytes were taken", peak());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_survived(
        file in prop::sample::select(valid()),
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..6),
    ) {
        let _ = survive(file.0, &damaged(file.1, &damages));
    }

    #[test]
    fn arbitrary_bytes_are_survived(
        name in prop::sample::select(vec!["t.csv", "t.tsv", "images", "labels", "x.npy", "y.npy", "t.npz", "t.parquet"]),
        magic in prop::sample::select(vec![&b""[..], b"PAR1", b"PK\x03\x04", b"\x93NUMPY\x01\0", b"\0\0\x08\x02", b"\x1f\x8b"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = survive(name, &[magic, &bytes].concat());
    }

    #[test]
    fn arbitrary_texts_are_survived(text in "([a-c0-9.?\"é-]{0,3}[,;\t\n]{1,2}){0,60}") {
        let _ = survive("t.csv", text.as_bytes());
    }
}
