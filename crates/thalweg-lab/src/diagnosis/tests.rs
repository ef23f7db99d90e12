use std::path::Path;

use tempfile::TempDir;
use thalweg::diagnostics::{Embeddings, alignment, tolerance, unit_rows};
use thalweg_data::write_npy;
use thalweg_kernels::random::Stream;

use super::*;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, shape: &[usize], values: &[f64]) -> PathBuf {
        let path = self.0.path().join(name);
        write_npy(&mut std::fs::File::create(&path).unwrap(), shape, values).unwrap();
        path
    }
}

fn plan(embeddings: &Path) -> Plan {
    Plan {
        embeddings: embeddings.to_owned(),
        labels: None,
        views: None,
        command: "test".to_owned(),
        pair_samples: 5000,
        seed: 0,
        alpha_range: None,
        memory_limit: 1 << 24,
    }
}

fn normal(count: usize, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    Stream::new(seed, "diagnosis", 0).fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

fn value<T: Clone>(found: &Found<T>) -> T {
    match found {
        Found::Value(value) => value.clone(),
        Found::Undefined { undefined } => panic!("{undefined}"),
    }
}

#[test]
fn a_streamed_file_is_judged_as_the_whole() {
    let (samples, width) = (2500, 8);
    let folder = Folder::new();
    let values: Vec<f64> = normal(samples * width, 1)
        .iter()
        .enumerate()
        .map(|(at, x)| 0.5 + x / (1.0 + (at % width) as f64))
        .collect();
    let other: Vec<f64> = values
        .iter()
        .zip(normal(values.len(), 2))
        .map(|(x, e)| x + 0.1 * e)
        .collect();
    let labels: Vec<u32> = values
        .chunks(width)
        .map(|row| u32::from(row[0] > 0.5) + u32::from(row[1] > 0.5))
        .collect();
    let numbers: Vec<f64> = labels.iter().map(|&label| f64::from(label)).collect();
    let mut plan = plan(&folder.write("z.train.npy", &[samples, width], &values));
    plan.views = Some(folder.write("view.npy", &[samples, width], &other));
    plan.labels = Some(folder.write("y.npy", &[samples], &numbers));
    let found = diagnose(&plan).unwrap();
    let whole = Embeddings::new(&values, width).unwrap();
    let unit = unit_rows(&values, width).unwrap();
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-8 * b.abs(), "{a}, {b}");
    assert_eq!(
        (found.name.as_str(), found.samples, found.width),
        ("z", samples, width)
    );
    close(found.rankme, whole.rankme(EPSILON).unwrap());
    close(found.effective_rank, whole.effective_rank().unwrap());
    assert_eq!(found.numerical_rank, width);
    close(
        value(&found.uniformity).value,
        uniformity(&unit, width, T).unwrap(),
    );
    let aligned = alignment(&unit, &unit_rows(&other, width).unwrap(), width, ALPHA).unwrap();
    close(found.alignment.as_ref().unwrap().value, aligned);
    let labelled = found.labelled.as_ref().unwrap();
    close(
        labelled.tolerance.unwrap(),
        tolerance(&unit, width, &labels).unwrap().value,
    );
    assert!(value(&labelled.collapse).variability > 0.0);
    let law = value(&found.alpha_req);
    assert_eq!((law.start, law.end), (2, 8));
    assert!(law.least_squares > 1.5 && law.least_squares < 2.5, "{law:?}");
    assert_eq!(found.classes, ["0", "1", "2"]);
    // On the axes, with the variance that they hold.
    let along: f64 = found.projection.iter().map(|point| point.x * point.x).sum();
    let share = along / found.projection.len() as f64 / found.variances[0];
    assert!((share - 1.0).abs() < 0.2, "{share}");
}

#[test]
fn more_samples_than_asked_for_are_drawn_by_the_seed() {
    let folder = Folder::new();
    let file = folder.write("z.npy", &[900, 4], &normal(3600, 3));
    let of = |pair_samples, seed| {
        let found = diagnose(&Plan {
            pair_samples,
            seed,
            ..plan(&file)
        })
        .unwrap();
        let found = value(&found.uniformity);
        (found.samples, found.value)
    };
    let (exact, few) = (of(900, 0), of(300, 0));
    assert_eq!((exact.0, few.0), (900, 300));
    assert!(few.1 != exact.1 && (few.1 - exact.1).abs() < 0.1);
    assert_eq!(of(300, 0), few);
    assert_ne!(of(300, 1).1, few.1);
}

#[test]
fn samples_without_a_direction_are_counted_and_left_out() {
    let folder = Folder::new();
    let mut values = normal(40, 4);
    values[8..12].fill(0.0);
    let mut plan = plan(&folder.write("z.npy", &[10, 4], &values));
    plan.labels = Some(folder.write("y.npy", &[10], &[1.0; 10]));
    let found = diagnose(&plan).unwrap();
    assert_eq!((found.zero_samples, value(&found.uniformity).samples), (1, 9));
    let rest = [&values[..8], &values[12..]].concat();
    let expected = tolerance(&unit_rows(&rest, 4).unwrap(), 4, &[0; 9]).unwrap();
    let labelled = found.labelled.unwrap();
    assert!((labelled.tolerance.unwrap() - expected.value).abs() < 1e-12);
    assert!(matches!(labelled.collapse, Found::Undefined { .. }), "one class");
}

#[test]
fn what_is_undefined_is_said_and_the_rest_is_told() {
    let folder = Folder::new();
    let found = diagnose(&plan(&folder.write("one.npy", &[1, 3], &[1.0, 2.0, 2.0]))).unwrap();
    assert!((found.rankme - 1.0).abs() < 1e-6);
    assert!(matches!(found.uniformity, Found::Undefined { .. }));
    assert!(matches!(found.alpha_req, Found::Undefined { .. }));
    assert!(found.readings().iter().any(|reading| reading.value.is_none()));
    let json = serde_json::to_value(&found).unwrap();
    assert!(json["alpha_req"]["undefined"].is_string() && json["alignment"].is_null());
}

#[test]
fn what_cannot_be_judged_is_named() {
    let folder = Folder::new();
    let refused = |plan: &Plan| diagnose(plan).err().unwrap().to_string();
    let zeros = folder.write("zeros.npy", &[5, 2], &[0.0; 10]);
    assert!(refused(&plan(&zeros)).contains("all 0"));
    let mut values = normal(10, 5);
    values[7] = f64::NAN;
    let broken = folder.write("nan.npy", &[5, 2], &values);
    assert!(refused(&plan(&broken)).contains("NaN at sample 4, feature 2"));
    let good = folder.write("z.npy", &[5, 2], &normal(10, 6));
    let view = |views| Plan {
        views: Some(views),
        ..plan(&good)
    };
    assert!(refused(&view(broken)).contains("nan.npy: the embeddings hold NaN"));
    let short = folder.write("short.npy", &[4, 2], &normal(8, 7));
    assert!(refused(&view(short)).contains("has shape [4, 2]"));
    let labels = Some(folder.write("y.npy", &[4], &[0.0; 4]));
    let text = refused(&Plan {
        labels,
        ..plan(&good)
    });
    assert!(text.contains("5 samples, but 4 labels"), "{text}");
    let range = Some((1, 9));
    let found = diagnose(&Plan {
        alpha_range: range,
        ..plan(&good)
    })
    .unwrap();
    assert!(matches!(found.alpha_req, Found::Undefined { undefined } if undefined.contains("number 9")));
}
