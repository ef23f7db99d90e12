use thalweg_kernels::random::Stream;

use super::*;
use crate::diagnosis::{Plan, diagnose};

/// A page of so many samples of 6 features and classes, one of which has a name that is markup.
fn page(samples: usize, classes: usize) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut values = vec![0.0_f32; samples * 6];
    Stream::new(0, "page", 0).fill_normal(&mut values);
    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    let path = folder.path().join("z.npy");
    thalweg_data::write_npy(&mut std::fs::File::create(&path).unwrap(), &[samples, 6], &values).unwrap();
    let labels = folder.path().join("y.npy");
    let numbers: Vec<f64> = (0..samples).map(|i| (i % classes.max(1)) as f64).collect();
    thalweg_data::write_npy(&mut std::fs::File::create(&labels).unwrap(), &[samples], &numbers).unwrap();
    let plan = Plan {
        embeddings: path,
        labels: (classes > 0).then_some(labels),
        views: None,
        command: super::super::fixture::HOSTILE.to_owned(),
        pair_samples: 100,
        seed: 0,
        alpha_range: None,
        memory_limit: 1 << 20,
    };
    let mut found = diagnose(&plan).unwrap();
    if let Some(name) = found.classes.first_mut() {
        *name = super::super::fixture::HOSTILE.to_owned();
    }
    html(&found)
}

#[test]
fn pages_are_well_formed_whatever_is_known() {
    for (samples, classes) in [(200, 3), (200, 20), (50, 0), (1, 0), (4, 2)] {
        let page = page(samples, classes);
        super::super::tests::assert_well_formed(&page);
        assert!(!page.contains(super::super::fixture::HOSTILE));
        assert!(!page.contains("NaN"), "{samples}, {classes}");
    }
}

#[test]
fn classes_keep_their_looks_and_those_without_one_are_told() {
    assert_eq!(
        [look(1), look(8), look(20)],
        ["point s1", "ring s1", "point unseen"]
    );
    assert!(page(200, 20).contains("6 others</li>"));
    assert!(!page(200, 3).contains("others</li>"));
}

#[test]
fn numbers_have_four_digits() {
    for (value, text) in [
        (87.3149, "87.31"),
        (-3.1, "−3.100"),
        (512.0, "512"),
        (3e-7, "3.000e−7"),
        (0.0, "0"),
    ] {
        assert_eq!(number(value), text);
    }
}
