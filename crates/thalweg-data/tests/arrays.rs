//! IDX, NPY and NPZ files.

mod common;

use common::{Folder, floats, gzip, idx, message, npy, npz, open_as};
use thalweg_data::{DataError, Impute, ReadOptions, open};

fn defaults() -> ReadOptions {
    ReadOptions::default()
}

fn target(name: &str) -> ReadOptions {
    ReadOptions {
        target: Some(name.into()),
        ..defaults()
    }
}

/// As many images of 2 x 3 as there are labels, and the labels.
fn pair(labels: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let count = labels.len() as u32;
    let pixels: Vec<u8> = (0..count * 6).map(|pixel| (pixel % 256) as u8).collect();
    (idx(8, &[count, 2, 3], &pixels), idx(8, &[count], labels))
}

#[test]
fn a_folder_as_published_is_one_set() {
    let folder = Folder::new();
    let (images, labels) = pair(&[7, 3, 7, 0]);
    folder.write("train-images-idx3-ubyte.gz", gzip(&images));
    folder.write("train-images-idx3-ubyte", &images);
    folder.write("train-labels-idx1-ubyte.gz", gzip(&labels));
    let (images, labels) = pair(&[3, 3]);
    folder.write("t10k-images-idx3-ubyte.gz", gzip(&images));
    folder.write("t10k-labels-idx1-ubyte", &labels);
    let set = open(folder.path(), &defaults()).unwrap();
    assert_eq!((set.len(), set.published_test), (6, Some(4)));
    assert_eq!(set.feature_shape, [1, 2, 3]);
    assert_eq!(set.classes, ["0", "3", "7"]);
    assert_eq!(set.labels, [2, 1, 2, 0, 1, 1]);
    assert_eq!(set.row(1)[5], 11.0 / 255.0);
    assert_eq!(set.row(4)[5], 5.0 / 255.0);
    assert_eq!(set.feature_names[4], "pixel 2,2");

    let train = open(&folder.path().join("train-images-idx3-ubyte.gz"), &defaults()).unwrap();
    assert_eq!((train.len(), train.published_test), (4, None));
    assert_eq!(train.features, set.features[..24]);
}

#[test]
fn other_numbers_and_explicit_labels_are_read() {
    let folder = Folder::new();
    let features: Vec<u8> = [1.5f64, -2.0, 0.0, 4.0]
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect();
    let file = folder.write("x.idx", idx(0x0E, &[2, 2], &features));
    folder.write("y.idx", idx(0x0B, &[2], &[0xff, 0xff, 0, 5]));
    let set = open(&file, &target("y.idx")).unwrap();
    assert_eq!(set.features, [1.5, -2.0, 0.0, 4.0]);
    assert_eq!(
        (set.classes, set.feature_shape),
        (vec!["-1".into(), "5".to_owned()], vec![2])
    );
    assert!(matches!(
        open(&file, &defaults()),
        Err(DataError::NoLabels { .. })
    ));
}

#[test]
fn headers_that_lie_are_caught_before_memory_is_taken() {
    let folder = Folder::new();
    let (_, labels) = pair(&[0, 1]);
    folder.write("labels", labels);
    let lies = idx(8, &[u32::MAX, u32::MAX, u32::MAX], &[0; 10]);
    for bytes in [lies.clone(), gzip(&lies)] {
        let error = open(&folder.write("images", bytes), &defaults()).unwrap_err();
        assert!(matches!(error, DataError::SizeMismatch { .. }), "{error}");
    }
    let error = open(&folder.write("images", idx(8, &[2, 2, 3], &[0; 11])), &defaults());
    assert_eq!(
        message(error),
        "images: its header promises 12 bytes of data, the file holds 11"
    );
    let error = open(
        &folder.write("images", gzip(&idx(8, &[2, 2, 3], &[0; 11]))),
        &defaults(),
    );
    assert_eq!(
        message(error),
        "images: its header promises 12 bytes of data, the file holds 11"
    );
    let error = open(
        &folder.write("images", gzip(&idx(8, &[2, 2, 3], &[0; 13]))),
        &defaults(),
    );
    assert_eq!(
        message(error),
        "images: its header promises 12 bytes of data, the file holds more"
    );
    // A compressed file that could be as large as it says still has to fit.
    let zeros = gzip(&idx(8, &[2, 1000, 1000], &[0; 2_000_000]));
    let limited = ReadOptions {
        memory_limit: 1 << 20,
        ..defaults()
    };
    let error = open(&folder.write("images", zeros), &limited).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::TooLarge {
                needed: 8_000_000,
                ..
            }
        ),
        "{error}"
    );
    let error = open(&folder.write("images", idx(8, &[3, 2, 1], &[0; 6])), &defaults()).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::LengthMismatch {
                samples: 3,
                labels: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn npy_features_take_their_labels_from_another_file() {
    let folder = Folder::new();
    let x = folder.write(
        "x.npy",
        npy("<f4", "False", "(3, 2)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    );
    let error = open(&x, &defaults()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("no labels found (looked for `y.npy`, `labels.npy`)"),
        "{error}"
    );
    assert!(error.help().unwrap().contains("--target"));
    let y: Vec<u8> = "dog\0cat\0dog\0"
        .chars()
        .flat_map(|c| (c as u32).to_le_bytes())
        .collect();
    folder.write("y.npy", npy("<U4", "False", "(3,)", &y));
    let set = open(&x, &target("y.npy")).unwrap();
    assert_eq!(set.features, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(set.labels, [1, 0, 1]);
    assert_eq!(open(&x, &defaults()).unwrap(), set);

    folder.write(
        "x.npy",
        npy("<f4", "True", "(3, 2)", &floats(&[1.0, 3.0, 5.0, 2.0, 4.0, 6.0])),
    );
    assert_eq!(
        open(&x, &target("y.npy")).unwrap().features,
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );

    folder.write("z.npy", npy("<f4", "False", "(3,)", &floats(&[0.0, 1.5, 0.0])));
    assert_eq!(
        message(open(&x, &target("z.npy"))),
        "z.npy, row 2, column `labels`: `1.5` is not a class: numbers of classes are whole"
    );
    folder.write(
        "x.npy",
        npy("<f4", "False", "(3, 200000000000)", &floats(&[1.0; 6])),
    );
    assert_eq!(
        message(open(&x, &target("y.npy"))),
        "x.npy: its header promises 2400000000000 bytes of data, the file holds 24"
    );
}

#[test]
fn npz_archives_hold_features_and_labels() {
    let x = npy("<f4", "False", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0]));
    let y = npy(
        "<i8",
        "False",
        "(2, 1)",
        &[3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    );
    for (features, labels) in [("X", "y"), ("data", "target"), ("features", "labels")] {
        let set = open_as(
            "t.npz",
            npz(&[(labels, y.clone()), (features, x.clone())]),
            &defaults(),
        )
        .unwrap();
        assert_eq!(
            (set.features, set.classes),
            (vec![1.0, 2.0, 3.0, 4.0], vec!["3".to_owned(), "9".into()])
        );
    }
    let odd = npz(&[("x", x.clone()), ("animal", y.clone())]);
    assert_eq!(open_as("t.npz", &odd, &target("animal")).unwrap().labels, [0, 1]);
    assert!(matches!(
        open_as("t.npz", &odd, &defaults()),
        Err(DataError::NoLabels { .. })
    ));
    assert!(matches!(
        open_as("t.npz", npz(&[("a", x.clone())]), &defaults()),
        Err(DataError::Unsupported { .. })
    ));

    let parts = npz(&[
        ("x_train", x.clone()),
        ("y_train", y.clone()),
        ("x_test", x.clone()),
        ("y_test", y),
    ]);
    let set = open_as("mnist.npz", parts, &defaults()).unwrap();
    assert_eq!((set.len(), set.published_test), (4, Some(2)));
    let short = npy("|u1", "False", "(1,)", &[3]);
    assert_eq!(
        message(open_as("t.npz", npz(&[("x", x), ("y", short)]), &defaults())),
        "t.npz/x: 2 samples, but 1 labels in t.npz/y"
    );
}

#[test]
fn images_are_brought_to_channels_first_and_bytes_to_brightness() {
    // Two images of 1 x 2 pixels with 3 channels, channels last.
    let x = npy(
        "|u1",
        "False",
        "(2, 2, 2, 3)",
        &(0..24).map(|value| value * 10).collect::<Vec<u8>>(),
    );
    let y = npy("|u1", "False", "(2,)", &[0, 1]);
    let set = open_as("t.npz", npz(&[("x", x), ("y", y)]), &defaults()).unwrap();
    assert_eq!(set.feature_shape, [3, 2, 2]);
    assert_eq!(
        set.row(0)
            .iter()
            .map(|value| (value * 25.5).round())
            .collect::<Vec<_>>(),
        [0.0, 3.0, 6.0, 9.0, 1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0]
    );
    assert_eq!(set.feature_names[5], "pixel 1,2 of channel 2");
}

#[test]
fn nan_is_missing_and_infinity_is_an_error() {
    let x = |last: f32| {
        npy(
            "<f4",
            "False",
            "(3, 2)",
            &floats(&[1.0, 2.0, f32::NAN, 4.0, 5.0, last]),
        )
    };
    let y = || npy("|u1", "False", "(3,)", &[0, 1, 1]);
    let file = |last| npz(&[("x", x(last)), ("y", y())]);
    assert_eq!(
        message(open_as("t.npz", file(6.0), &defaults())),
        "t.npz: 1 missing value of 3 rows: 1 in `feature 1`"
    );
    let imputing = ReadOptions {
        impute: Some(Impute::Mean),
        ..defaults()
    };
    assert_eq!(open_as("t.npz", file(6.0), &imputing).unwrap().features[2], 3.0);
    assert_eq!(
        message(open_as("t.npz", file(f32::INFINITY), &imputing)),
        "t.npz, row 3, column `feature 2`: `inf` is not a finite 32-bit number"
    );
}
