//! Scores with labels and views, from files as frameworks leave them, whole and damaged.

mod common;

use common::{Folder, floats, npy, npz};
use proptest::prelude::*;
use thalweg_data::scores::{ScoreError, ScoreOptions, ScoreSet, read};
use thalweg_data::write_npy;

fn options(labels: Option<&str>, views: &[&str]) -> ScoreOptions {
    ScoreOptions {
        logits: None,
        labels: labels.map(str::to_owned),
        views: views.iter().map(|view| (*view).to_owned()).collect(),
        memory_limit: 1 << 20,
    }
}

fn read_as(name: &str, bytes: impl AsRef<[u8]>, options: &ScoreOptions) -> Result<ScoreSet, ScoreError> {
    let folder = Folder::new();
    read(&folder.write(name, bytes), options)
}

fn scores() -> Vec<u8> {
    npy("<f4", "False", "(2, 3)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
}

fn labels() -> Vec<u8> {
    npy("|u1", "False", "(2,)", &[2, 0])
}

#[test]
fn an_archive_holds_everything_under_usual_names() {
    let views = npy(
        "<f4",
        "False",
        "(1, 2, 3)",
        &floats(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
    );
    let archive = npz(&[("scores", scores()), ("y", labels()), ("view_logits", views)]);
    let set = read_as("val.npz", archive, &options(None, &[])).unwrap();
    assert_eq!(set.name, "val");
    assert_eq!((set.scores.shape, set.scores.values[3]), (vec![2, 3], 4.0));
    assert_eq!(set.labels, Some(vec![2, 0]));
    let views = set.views.unwrap();
    assert_eq!((views.shape, views.values[0]), (vec![1, 2, 3], 6.0));
    assert_eq!(set.classes, None);
}

#[test]
fn arrays_are_found_by_name_and_the_only_one_without() {
    let archive = npz(&[("a", scores()), ("b", labels())]);
    let mut named = options(Some("b"), &["a"]);
    named.logits = Some("a".to_owned());
    let set = read_as("val.npz", archive, &named).unwrap();
    assert_eq!(set.labels, Some(vec![2, 0]));
    assert_eq!(set.views.unwrap().values, set.scores.values);
    let set = read_as("val.npz", npz(&[("net", scores())]), &options(None, &[])).unwrap();
    assert_eq!((set.labels, set.views), (None, None));
}

#[test]
fn labels_in_a_table_are_numbers_or_names_of_columns() {
    for (labels, expected) in [("b\na", vec![1, 0]), ("1\n0", vec![1, 0])] {
        let mut lines = labels.split('\n');
        let table = format!(
            "a,b,label\n0.5,1e3,{}\n-2,3,{}\n",
            lines.next().unwrap(),
            lines.next().unwrap()
        );
        let set = read_as("t.csv", table, &options(None, &[])).unwrap();
        assert_eq!(set.scores.values, [0.5, 1e3, -2.0, 3.0]);
        assert_eq!(set.classes, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(set.labels, Some(expected));
    }
    let set = read_as("t.csv", "0.5;1.5\n2.5;-1\n", &options(None, &[])).unwrap();
    assert_eq!(
        (set.scores.shape, set.classes, set.labels),
        (vec![2, 2], None, None)
    );
}

#[test]
fn labels_and_views_lie_beside() {
    let folder = Folder::new();
    let path = folder.write("z.npy", scores());
    folder.write("y.csv", "label\n2\n0\n");
    folder.write(
        "v.npz",
        npz(&[("views", npy("<f4", "False", "(2, 2, 3)", &floats(&[1.0; 12])))]),
    );
    folder.write("w.npy", scores());
    let set = read(&path, &options(Some("y.csv"), &["v.npz", "w.npy"])).unwrap();
    assert_eq!(set.labels, Some(vec![2, 0]));
    assert_eq!(set.views.unwrap().shape, [3, 2, 3]);
}

#[test]
fn what_is_written_is_read_back() {
    let values: Vec<f64> = (0..12).map(|i| f64::from(i).sqrt()).collect();
    let mut bytes = Vec::new();
    write_npy(&mut bytes, &[4, 3], &values).unwrap();
    assert_eq!(bytes.len() % 8, 0);
    let set = read_as("p.npy", &bytes, &options(None, &[])).unwrap();
    assert_eq!((set.scores.shape, set.scores.values), (vec![4, 3], values));
}

#[test]
fn memory_is_bounded() {
    let mut small = options(None, &[]);
    small.memory_limit = 40;
    for (name, bytes) in [("z.npy", scores()), ("t.csv", b"1,2\n3,4\n5,6\n".to_vec())] {
        let refused = read_as(name, bytes, &small).unwrap_err();
        assert!(refused.to_string().contains("of memory"), "{refused}");
    }
}

proptest! {
    #[test]
    fn damaged_files_are_refused_without_panic(
        which in 0_usize..3, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let (name, mut bytes) = match which {
            0 => ("z.npy", scores()),
            1 => ("z.npz", npz(&[("logits", scores()), ("labels", labels()), ("views", scores())])),
            _ => ("z.csv", b"a,b,label\n1.5,2,a\n-3,4e1,b\n".to_vec()),
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(1 + cut.index(bytes.len()));
        if let Ok(set) = read_as(name, &bytes, &options(None, &[])) {
            prop_assert!(set.scores.values.iter().all(|value| value.is_finite()));
            prop_assert_eq!(set.scores.shape.iter().product::<usize>(), set.scores.values.len());
        }
    }
}
