//! `thalweg calibrate` on files as frameworks leave them.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::{Run, thalweg};
use serde_json::Value;
use tempfile::TempDir;
use thalweg_data::write_npy;
use thalweg_kernels::random::Stream;
use unicode_width::UnicodeWidthStr;

const CLASSES: usize = 4;

/// Overconfident logits of a model, with labels drawn from milder ones, and three views that mostly agree.
struct Set {
    logits: Vec<f64>,
    labels: Vec<usize>,
    views: Vec<f64>,
}

fn set(samples: usize, seed: u64) -> Set {
    let mut stream = Stream::new(seed, "set", 0);
    let mild: Vec<f64> = (0..samples * CLASSES).map(|_| 3.0 * stream.uniform()).collect();
    let labels = mild.chunks(CLASSES).map(|row| {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        let mut left = stream.uniform() * sum;
        let drawn = row.iter().position(|z| {
            left -= z.exp();
            left < 0.0
        });
        drawn.unwrap_or(CLASSES - 1)
    });
    let labels = labels.collect();
    let logits: Vec<f64> = mild.iter().map(|z| 4.0 * z).collect();
    let views = (0..3)
        .flat_map(|_| logits.clone())
        .map(|z| z + stream.uniform())
        .collect();
    Set {
        logits,
        labels,
        views,
    }
}

fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_npy(&mut bytes, shape, values).unwrap();
    bytes
}

/// An archive of arrays, stored without compression as `numpy.savez` does.
fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

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

    /// The set as `NAME.npz` with all arrays; returns its path.
    fn archive(&self, name: &str, set: &Set) -> String {
        let samples = set.labels.len();
        npz(
            &self.path(name),
            &[
                ("logits", npy(&[samples, CLASSES], &set.logits)),
                ("labels", npy(&[samples], &numbers(&set.labels))),
                ("views", npy(&[3, samples, CLASSES], &set.views)),
            ],
        );
        self.text(name)
    }
}

fn numbers(labels: &[usize]) -> Vec<f64> {
    labels.iter().map(|&label| label as f64).collect()
}

fn calibrate(arguments: &[&str]) -> Run {
    thalweg(&[&["calibrate"], arguments].concat())
}

fn csv(set: &Set) -> String {
    let mut text = "cat,dog,eel,fox,label\n".to_owned();
    for (row, &label) in set.logits.chunks(CLASSES).zip(&set.labels) {
        let row: Vec<String> = row.iter().map(f64::to_string).collect();
        text += &format!("{},{}\n", row.join(","), ["cat", "dog", "eel", "fox"][label]);
    }
    text
}

fn measures<'a>(document: &'a Value, method: &str) -> &'a Value {
    let methods = document["methods"].as_array().unwrap();
    &methods.iter().find(|judged| judged["method"] == method).unwrap()["after"]
}

#[test]
fn everything_an_archive_allows_is_compared_out_of_fold() {
    let folder = Folder::new();
    let archive = folder.archive("val.npz", &set(600, 1));
    let found = calibrate(&[&archive, "--steps", "60", "--json"]).json();
    assert_eq!(found["methods"].as_array().unwrap().len(), 10);
    assert_eq!(found["folds"], 5);
    assert_eq!(
        (&found["samples"], &found["views"]),
        (&Value::from(600), &Value::from(3))
    );
    let before = found["before"]["ece_15"].as_f64().unwrap();
    let after = measures(&found, "temperature")["ece_15"].as_f64().unwrap();
    assert!(before > 0.2 && after < 0.06, "{before} {after}");
    for judged in found["methods"].as_array().unwrap() {
        let method = judged["method"].as_str().unwrap();
        if !["vector", "matrix", "isotonic", "histogram"].contains(&method) {
            assert_eq!(judged["changed_predictions"], 0, "{method}");
            assert_eq!(
                judged["after"]["accuracy"], found["before"]["accuracy"],
                "{method}"
            );
        }
    }
    assert_eq!(
        calibrate(&[&archive, "--steps", "60", "--json"]).json(),
        found,
        "it is determined"
    );
}

#[test]
fn the_page_fits_80_columns_and_says_what_to_take() {
    let folder = Folder::new();
    let archive = folder.archive("val.npz", &set(300, 2));
    let report = folder.text("report.html");
    let run = calibrate(&[
        &archive,
        "--method",
        "temperature,isotonic,correctness-aware-balanced",
        "--report",
        &report,
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for line in run.stdout.lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
        assert_eq!(line, line.trim_end());
    }
    for part in [
        "Calibration of val",
        "300 samples, 4 classes, 3 views",
        "out of fold: temperature (T = ",
        "█",
        "Report: ",
    ] {
        assert!(
            run.stdout.to_lowercase().contains(&part.to_lowercase()),
            "{part:?} is not in\n{}",
            run.stdout
        );
    }
    let page = fs::read_to_string(report).unwrap();
    assert_eq!(page.matches("<svg viewBox").count(), 4);
    assert!(page.contains("thalweg calibrate"));
}

#[test]
fn npy_npz_and_csv_give_the_same_calibrator() {
    let folder = Folder::new();
    let set = set(200, 3);
    let archive = folder.archive("val.npz", &set);
    fs::write(folder.path("val.npy"), npy(&[200, CLASSES], &set.logits)).unwrap();
    fs::write(folder.path("y.npy"), npy(&[200], &numbers(&set.labels))).unwrap();
    fs::write(folder.path("val.csv"), csv(&set)).unwrap();
    let labels: Vec<String> = set.labels.iter().map(usize::to_string).collect();
    fs::write(folder.path("y.csv"), labels.join("\n")).unwrap();
    let saved = |arguments: &[&str]| {
        let out = folder.text("saved.json");
        let run = calibrate(&[arguments, &["--method", "temperature", "--out", &out]].concat());
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        assert!(run.stdout.contains("Saved temperature (T = "), "{}", run.stdout);
        fs::read_to_string(out).unwrap()
    };
    let first = saved(&[&archive]);
    assert_eq!(saved(&[&folder.text("val.npy"), "--labels", "y.npy"]), first);
    assert_eq!(
        saved(&[&folder.text("val.npy"), "--labels", &folder.text("y.csv")]),
        first
    );
    assert_eq!(saved(&[&folder.text("val.csv")]), first);
    assert_eq!(saved(&[&folder.text("val.csv"), "--labels", "label"]), first);
}

#[test]
fn a_saved_calibrator_gives_what_the_library_gives() {
    let folder = Folder::new();
    let (fitted, new) = (set(200, 4), set(50, 5));
    let (val, test) = (
        folder.archive("val.npz", &fitted),
        folder.archive("test.npz", &new),
    );
    for method in [
        "temperature",
        "matrix",
        "isotonic",
        "histogram",
        "ensemble-temperature",
        "correctness-aware",
    ] {
        let name = if method == "matrix" {
            "saved.safetensors"
        } else {
            "saved.json"
        };
        let (saved, out) = (folder.text(name), folder.text("p.npy"));
        let run = calibrate(&[&val, "--method", method, "--steps", "30", "--out", &saved]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let applied = calibrate(&["--apply", &saved, &test, "--out", &out, "--json"]).json();
        assert_eq!(applied["method"], method);
        let calibrator = thalweg::calibration::Calibrator::from_bytes(&fs::read(&saved).unwrap()).unwrap();
        let logits = thalweg::calibration::Logits::new(new.logits.clone(), CLASSES).unwrap();
        let expected = calibrator
            .probabilities(&logits.with_views(&new.views).unwrap())
            .unwrap();
        assert_eq!(
            fs::read(&out).unwrap(),
            npy(&[50, CLASSES], &expected),
            "{method}"
        );
        let (before, after) = (&applied["before"]["nll"], &applied["after"]["nll"]);
        // An infinite one is null.
        assert!(
            after.is_null() || after.as_f64() < before.as_f64(),
            "{method}: {applied}"
        );
    }
}

#[test]
fn probabilities_go_to_a_table_with_the_names_of_the_classes() {
    let folder = Folder::new();
    let set = set(40, 6);
    fs::write(folder.path("val.csv"), csv(&set)).unwrap();
    let (val, saved, out) = (
        folder.text("val.csv"),
        folder.text("saved.json"),
        folder.text("p.csv"),
    );
    assert_eq!(
        calibrate(&[&val, "--method", "vector", "--out", &saved]).code,
        Some(0)
    );
    let run = calibrate(&["--apply", &saved, &val, "--out", &out]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("vector (8 parameters)") && run.stdout.contains("uncalibrated"));
    let text = fs::read_to_string(out).unwrap();
    assert!(text.starts_with("cat,dog,eel,fox\n0."), "{text}");
    assert_eq!(text.lines().count(), 41);
}

#[test]
fn probabilities_are_recognised_and_taken_when_said() {
    let folder = Folder::new();
    let set = set(100, 7);
    let logits = thalweg::calibration::Logits::new(set.logits.clone(), CLASSES).unwrap();
    let probabilities = logits.probabilities();
    let arrays = [
        ("scores", npy(&[100, CLASSES], &probabilities)),
        ("y", npy(&[100], &numbers(&set.labels))),
    ];
    npz(&folder.path("p.npz"), &arrays);
    let file = folder.text("p.npz");
    let refused = calibrate(&[&file]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.complaint().contains("these are probabilities")
            && refused.complaint().contains("--probabilities")
    );
    let from_probabilities =
        calibrate(&[&file, "--probabilities", "--method", "temperature", "--json"]).json();
    let from_logits = calibrate(&[
        &folder.archive("z.npz", &set),
        "--method",
        "temperature",
        "--json",
    ])
    .json();
    let nll = |found: &Value| measures(found, "temperature")["nll"].as_f64().unwrap();
    assert!((nll(&from_probabilities) - nll(&from_logits)).abs() < 1e-6);
}

#[test]
fn views_may_be_files_of_their_own() {
    let folder = Folder::new();
    let set = set(60, 8);
    fs::write(folder.path("z.npy"), npy(&[60, CLASSES], &set.logits)).unwrap();
    fs::write(folder.path("y.npy"), npy(&[60], &numbers(&set.labels))).unwrap();
    let one = 60 * CLASSES;
    fs::write(folder.path("a.npy"), npy(&[60, CLASSES], &set.views[..one])).unwrap();
    fs::write(folder.path("b.npy"), npy(&[2, 60, CLASSES], &set.views[one..])).unwrap();
    let method = ["--method", "correctness-aware", "--steps", "20", "--json"];
    let apart = calibrate(
        &[
            &[
                &folder.text("z.npy"),
                "--labels",
                "y.npy",
                "--views",
                "a.npy,b.npy",
            ][..],
            &method,
        ]
        .concat(),
    );
    let together = calibrate(&[&[&folder.archive("all.npz", &set)[..]][..], &method].concat());
    let after = |run: Run| run.json()["methods"][0]["after"].clone();
    assert_eq!(after(apart), after(together));
}

#[test]
fn what_is_wrong_is_named_and_ends_with_2() {
    let folder = Folder::new();
    let good = set(30, 9);
    let archive = folder.archive("good.npz", &good);
    let write = |name: &str, bytes: Vec<u8>| {
        fs::write(folder.path(name), bytes).unwrap();
        folder.text(name)
    };
    let logits = write("z.npy", npy(&[30, CLASSES], &good.logits));
    let short = write("short.npy", npy(&[29], &numbers(&good.labels[..29])));
    let mut beyond = numbers(&good.labels);
    beyond[6] = 4.0;
    let beyond = write("beyond.npy", npy(&[30], &beyond));
    let mut broken = good.logits.clone();
    broken[16 * CLASSES + 2] = f64::NAN;
    let nan = write("nan.npy", npy(&[30, CLASSES], &broken));
    let labels = write("y.npy", npy(&[30], &numbers(&good.labels)));
    let flat = write("flat.npy", npy(&[120], &good.logits));
    let few = write("few.npy", npy(&[2, 29, CLASSES], &good.views[..2 * 29 * CLASSES]));
    let table = write("t.csv", csv(&good).replacen("cat\n", "cow\n", 1).into_bytes());
    let words = write("w.csv", b"a,b,label\n1.5,2,0\n1,oops,1\n".to_vec());
    let missing = write("m.csv", b"a,b,label\n1.5,2,0\n1,nan,1\n".to_vec());
    let (saved, other) = (
        folder.text("saved.json"),
        write("other.json", b"{\"a\": 1}".to_vec()),
    );
    assert_eq!(
        calibrate(&[
            &archive,
            "--method",
            "correctness-aware",
            "--steps",
            "5",
            "--out",
            &saved
        ])
        .code,
        Some(0)
    );
    let wide = write(
        "wide.npy",
        npy(
            &[30, 2 * CLASSES],
            &[good.logits.clone(), good.logits.clone()].concat(),
        ),
    );
    let which = folder.text("which.npz");
    npz(
        Path::new(&which),
        &[("a", npy(&[1, 2], &[0.0, 3.0])), ("b", npy(&[1], &[0.0]))],
    );
    let absent = folder.text("none.npz");
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec![&logits], vec!["no labels found", "--labels"]),
        (
            vec![&logits, "--labels", &short],
            vec!["30 samples, but 29 labels in", "short.npy"],
        ),
        (
            vec![&logits, "--labels", &beyond],
            vec!["beyond.npy, row 7", "label `4` is no class", "from 0 to 3"],
        ),
        (
            vec![&logits, "--labels", "nowhere"],
            vec!["`nowhere` is nothing within it, and no file"],
        ),
        (
            vec![&nan, "--labels", &labels],
            vec![
                "nan.npy, row 17, column `class 2`",
                "`NaN` is not a finite number",
            ],
        ),
        (
            vec![&flat, "--labels", &labels],
            vec!["has shape [120]; it must be [samples, classes]"],
        ),
        (
            vec![&logits, "--labels", &labels, "--views", &few],
            vec!["[2, 29, 4]", "[views, 30, 4]"],
        ),
        (
            vec![&table],
            vec![
                "t.csv, line",
                "label `cow` is no class",
                "named cat, dog, eel, fox",
            ],
        ),
        (
            vec![&words],
            vec!["w.csv, line 3, column `b`", "`oops` is not a number"],
        ),
        (
            vec![&missing],
            vec!["m.csv, line 3, column `b`", "`nan` is not a finite number"],
        ),
        (
            vec![&which],
            vec!["any of the arrays a, b could be the scores", "--logits a"],
        ),
        (
            vec![&which, "--logits", "c"],
            vec!["there is no array `c`; the arrays are a, b"],
        ),
        (
            vec![&logits, "--labels", &labels, "--method", "correctness-aware"],
            vec!["correctness-aware needs logits of transformed views", "--views"],
        ),
        (
            vec![&archive, "--method", "temprature"],
            vec!["no method `temprature`", "did you mean `temperature`"],
        ),
        (vec![&archive, "--folds", "1"], vec!["at least two folds"]),
        (
            vec![&archive, "--folds", "31"],
            vec!["30 samples cannot be split into 31 folds"],
        ),
        (vec![&archive, "--bins", "0"], vec!["`n_bins` is 0"]),
        (
            vec![&archive, "--learning-rate", "0"],
            vec!["`learning_rate` is 0"],
        ),
        (
            vec!["--apply", &other, &archive],
            vec!["other.json: not a saved calibrator"],
        ),
        (
            vec!["--apply", &saved, &logits, "--labels", &labels],
            vec!["correctness-aware needs logits of transformed views"],
        ),
        (
            vec!["--apply", &saved, &wide, "--labels", &labels],
            vec!["fitted to 4 classes, not 8"],
        ),
        (vec!["--apply", &saved, &logits], vec!["--out FILE.npy"]),
        (
            vec!["--apply", &saved, &archive, "--out", "p.txt"],
            vec!["p.txt: probabilities are written as .npy or .csv"],
        ),
        (vec![&absent], vec!["none.npz", "No such file"]),
    ];
    for (arguments, parts) in cases {
        let run = calibrate(&arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {}{}", run.stdout, run.stderr);
        for part in parts {
            assert!(
                run.complaint().contains(part),
                "{arguments:?}: {part:?} is not in\n{}",
                run.stderr
            );
        }
    }
}

#[test]
fn the_help_fits_80_columns() {
    let output = common::command()
        .args(["calibrate", "--help"])
        .env("COLUMNS", "80")
        .output();
    let help = Run::from(output.unwrap()).stdout;
    for line in help.lines() {
        assert!(line.width() <= 80, "{line}");
    }
    for method in thalweg::calibration::Method::ALL {
        assert!(help.contains(method.name()), "{method}");
    }
}
