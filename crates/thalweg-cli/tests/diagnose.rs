//! `thalweg diagnose` on files as frameworks leave them.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Run, thalweg};
use serde_json::Value;
use tempfile::TempDir;
use thalweg_data::write_npy;
use thalweg_kernels::random::Stream;
use unicode_width::UnicodeWidthStr;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, shape: &[usize], values: &[f64]) -> String {
        let mut bytes = Vec::new();
        write_npy(&mut bytes, shape, values).unwrap();
        fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }
}

const SAMPLES: usize = 300;
const WIDTH: usize = 12;

/// Three clusters in 12 dimensions, with labels and another view.
fn clusters(folder: &Folder) -> [String; 3] {
    let mut noise = vec![0.0_f32; 2 * SAMPLES * WIDTH];
    Stream::new(0, "clusters", 0).fill_normal(&mut noise);
    let class = |at: usize| at / WIDTH % 3;
    let value = |(at, noise): (usize, &f32)| {
        let at = at % (SAMPLES * WIDTH);
        f64::from(u8::from(at % WIDTH == class(at))) + 0.1 * f64::from(*noise)
    };
    let values: Vec<f64> = noise.iter().enumerate().map(value).collect();
    let (first, second) = values.split_at(SAMPLES * WIDTH);
    let labels: Vec<f64> = (0..SAMPLES).map(|i| (i % 3) as f64).collect();
    [
        folder.write("z.npy", &[SAMPLES, WIDTH], first),
        folder.write("y.npy", &[SAMPLES], &labels),
        folder.write("view.npy", &[SAMPLES, WIDTH], second),
    ]
}

fn diagnose(arguments: &[&str]) -> Run {
    thalweg(&[&["diagnose"], arguments].concat())
}

fn number(document: &Value, path: &str) -> f64 {
    document
        .pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("{path} in {document}"))
}

#[test]
fn json_holds_every_measure() {
    let folder = Folder::new();
    let [z, y, view] = clusters(&folder);
    let found = diagnose(&[&z, "--labels", &y, "--views", &view, "--json"]).json();
    assert_eq!(
        (number(&found, "/samples"), number(&found, "/width")),
        (300.0, 12.0)
    );
    let rank = number(&found, "/rankme");
    assert!((3.0..12.0).contains(&rank) && (rank - number(&found, "/effective_rank")).abs() < 1e-3);
    assert_eq!(number(&found, "/numerical_rank"), 12.0);
    assert!(number(&found, "/uniformity/value") < -0.5);
    assert_eq!(number(&found, "/uniformity/samples"), 300.0);
    assert!((0.0..0.5).contains(&number(&found, "/alignment/value")));
    assert!(number(&found, "/labelled/tolerance") > 0.8);
    assert!((0.0..0.2).contains(&number(&found, "/labelled/collapse/variability")));
    assert!(number(&found, "/alpha_req/least_squares").is_finite());
    assert_eq!(found["singular_values"].as_array().unwrap().len(), WIDTH);
    assert_eq!(found["projection"].as_array().unwrap().len(), SAMPLES);
    let plain = diagnose(&[&z, "--json"]).json();
    assert!(plain["labelled"].is_null() && plain["alignment"].is_null());
    assert_eq!(plain["rankme"], found["rankme"]);
}

#[test]
fn the_table_fits_80_columns_and_the_report_stands_alone() {
    let folder = Folder::new();
    let [z, y, view] = clusters(&folder);
    let report = folder.text("report.html");
    let run = diagnose(&[
        &z,
        "--labels",
        &y,
        "--views",
        &view,
        "--pair-samples",
        "100",
        "--report",
        &report,
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for line in run.stdout.lines() {
        assert!(line.width() <= 80 && line == line.trim_end(), "{line:?}");
    }
    for part in [
        "Diagnosis of z",
        "300 samples, 12 features, 3 classes",
        "RankMe",
        "of 100 random",
        "with view",
        "NC1",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is not in\n{}", run.stdout);
    }
    let page = fs::read_to_string(report).unwrap();
    assert!(page.contains("thalweg diagnose") && page.contains("id=\"projection-title\""));
    assert!(!page.contains("http"));
}

#[test]
fn the_range_of_the_law_may_be_chosen() {
    let folder = Folder::new();
    let [z, ..] = clusters(&folder);
    let found = diagnose(&[&z, "--alpha-range", "4..12", "--json"]).json();
    assert_eq!(
        (
            number(&found, "/alpha_req/start"),
            number(&found, "/alpha_req/end")
        ),
        (4.0, 12.0)
    );
    let found = diagnose(&[&z, "--alpha-range", "4..13", "--json"]).json();
    assert!(found["alpha_req"]["undefined"].as_str().unwrap().contains("13"));
    for range in ["0..3", "5..5", "7", "a..b"] {
        let run = diagnose(&[&z, "--alpha-range", range]);
        assert_eq!(run.code, Some(2));
        assert!(run.complaint().contains("11..50"), "{}", run.stderr);
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let folder = Folder::new();
    let [z, ..] = clusters(&folder);
    let complaint = |arguments: &[&str]| {
        let run = diagnose(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stdout);
        run.complaint()
    };
    let missing = complaint(&[&folder.text("none.npy")]);
    assert!(missing.contains("none.npy"), "{missing}");
    let line = complaint(&[&folder.write("line.npy", &[4], &[1.0; 4])]);
    assert!(line.contains("shape [4]") && line.contains("reshape"), "{line}");
    let zeros = complaint(&[&folder.write("zeros.npy", &[4, 2], &[0.0; 8])]);
    assert!(zeros.contains("zeros.npy: the embeddings are all 0"), "{zeros}");
    let broken = complaint(&[&folder.write("nan.npy", &[2, 2], &[1.0, 2.0, f64::NAN, 1.0])]);
    assert!(broken.contains("NaN at sample 2, feature 1"), "{broken}");
    let labels = folder.write("few.npy", &[3], &[0.0; 3]);
    let few = complaint(&[&z, "--labels", &labels]);
    assert!(few.contains("300 samples, but 3 labels"), "{few}");
    let halves = folder.write("half.npy", &[300], &[0.5; 300]);
    let half = complaint(&[&z, "--labels", &halves]);
    assert!(half.contains("`0.5` is not a class"), "{half}");
    let view = folder.write("view.npy", &[300, 11], &[1.0; 3300]);
    let shape = complaint(&[&z, "--views", &view]);
    assert!(
        shape.contains("has shape [300, 11]") && shape.contains("[300, 12]"),
        "{shape}"
    );
    fs::write(folder.path("cut.npy"), &fs::read(&z).unwrap()[..1000]).unwrap();
    let cut = complaint(&[&folder.text("cut.npy")]);
    assert!(cut.contains("promises"), "{cut}");
}
