//! Matrices read row by row.

mod common;

use std::path::Path;

use common::{Folder, gzip};
use thalweg_data::{ClassLabels, DataError, NpyRows, write_npy};

const MEMORY: u64 = 1 << 20;

fn array(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

fn all(path: &Path, count: usize) -> Vec<Vec<f64>> {
    let mut rows = NpyRows::open(path, MEMORY).unwrap();
    let (mut pieces, mut piece) = (Vec::new(), vec![7.0]);
    while rows.read(count, &mut piece).unwrap() > 0 {
        pieces.push(piece.clone());
    }
    assert!(piece.is_empty());
    pieces
}

#[test]
fn rows_come_in_pieces_in_their_order() {
    let folder = Folder::new();
    let values: Vec<f32> = (0..10).map(|i| i as f32).collect();
    let bytes = array("<f4", false, "(5, 2)", &floats(values.clone()));
    let plain = folder.write("z.npy", &bytes);
    let pieces = all(&plain, 2);
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!(
        pieces.concat(),
        values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()
    );
    assert_eq!(
        all(&folder.write("z.npy.gz", gzip(&bytes)), 3).concat(),
        pieces.concat()
    );
    let columns =
        (0..2).flat_map(|column| values.iter().skip(column).step_by(2).copied().collect::<Vec<_>>());
    let fortran = folder.write("f.npy", array("<f4", true, "(5, 2)", &floats(columns)));
    assert_eq!(all(&fortran, 3).concat(), pieces.concat());
    let rows = NpyRows::open(&plain, MEMORY).unwrap();
    assert_eq!(
        (rows.samples(), rows.width(), rows.epsilon()),
        (5, 2, f64::from(f32::EPSILON))
    );
    let mut wide = Vec::new();
    write_npy(&mut wide, &[1, 3], &[1.0; 3]).unwrap();
    assert_eq!(
        NpyRows::open(&folder.write("w.npy", wide), MEMORY)
            .unwrap()
            .epsilon(),
        f64::EPSILON
    );
}

#[test]
fn what_is_no_matrix_is_refused_with_advice() {
    let folder = Folder::new();
    let refused = |name: &str, bytes: Vec<u8>| {
        let error = NpyRows::open(&folder.write(name, bytes), 8).err().unwrap();
        (error.to_string(), error.help().unwrap_or_default())
    };
    let (text, help) = refused("line.npy", array("<f4", false, "(3,)", &floats([0.0; 3])));
    assert!(
        text.contains("[3] cannot be read") && help.contains("reshape"),
        "{text}: {help}"
    );
    let (text, help) = refused("texts.npy", array("<U1", false, "(1, 1)", b"a\0\0\0"));
    assert!(
        text.contains("texts") && help.contains("astype"),
        "{text}: {help}"
    );
    let (text, help) = refused("z.npz", b"PK\x03\x04".to_vec());
    assert!(
        text.contains("archive") && help.contains("numpy.save"),
        "{text}: {help}"
    );
    let (text, _) = refused("z.csv", b"1,2\n3,4\n".to_vec());
    assert!(text.contains("NPY"), "{text}");
    let (text, _) = refused("none.npy", array("<f4", false, "(0, 4)", &[]));
    assert!(text.contains("no elements"), "{text}");
    let (text, _) = refused("short.npy", array("<f4", false, "(3, 4)", &floats([0.0; 11])));
    assert!(text.contains("promises 48 bytes"), "{text}");
    let (text, help) = refused("f.npy", array("<f4", true, "(3, 4)", &floats([0.0; 12])));
    assert!(
        text.contains("memory") && help.contains("--memory"),
        "{text}: {help}"
    );
}

#[test]
fn labels_are_numbers_or_texts() {
    let folder = Folder::new();
    let numbers = folder.write(
        "y.npy",
        array("<i2", false, "(4,)", &[5, 0, 255, 255, 5, 0, 7, 0]),
    );
    let found = ClassLabels::read(&numbers, MEMORY).unwrap();
    assert_eq!(
        (found.classes, found.labels),
        (vec!["-1".into(), "5".into(), "7".into()], vec![1, 0, 1, 2])
    );
    let texts = folder.write("t.npy", array("|S3", false, "(2,)", b"foxcat"));
    let found = ClassLabels::read(&texts, MEMORY).unwrap();
    assert_eq!(
        (found.classes, found.labels),
        (vec!["cat".into(), "fox".into()], vec![1, 0])
    );
    let half = folder.write("h.npy", array("<f4", false, "(2,)", &floats([1.0, 0.5])));
    let error = ClassLabels::read(&half, MEMORY).unwrap_err();
    assert!(matches!(error, DataError::NotAClass { .. }), "{error}");
}
