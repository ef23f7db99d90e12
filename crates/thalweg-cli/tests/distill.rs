//! `thalweg distill` on real files.

mod common;

use std::path::Path;

use common::{Run, command};
use serde_json::Value;
use thalweg_data::generators::gaussian_blobs;
use unicode_width::UnicodeWidthStr;

const CLASSES: usize = 5;
const SAMPLES: usize = 300;

/// Clouds of five classes as a table.
fn table() -> String {
    let set = gaussian_blobs(SAMPLES, CLASSES, 4, 0.6, 2);
    let mut text = "a,b,c,d,kind\n".to_owned();
    for row in 0..set.len() {
        let values: Vec<String> = set.row(row).iter().map(f32::to_string).collect();
        text += &format!("{},k{}\n", values.join(","), set.labels[row]);
    }
    text
}

fn run(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = command();
    command.current_dir(folder).arg("distill");
    command.args(arguments).output().unwrap().into()
}

const SMALL: [&str; 9] = [
    "blobs.csv",
    "--target",
    "kind",
    "--hidden",
    "6",
    "--seeds",
    "2",
    "--epochs",
    "4",
];

/// A file of one f32 tensor.
fn safetensors(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let header = format!(
        r#"{{"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[0,{}]}}}}"#,
        4 * values.len()
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The record without what depends on the clock or the command.
fn timeless(run: &Run) -> Value {
    let mut record = run.json();
    for key in ["command", "started"] {
        record[key] = Value::Null;
    }
    for entry in record["conditions"][0]["entries"].as_array_mut().unwrap() {
        entry["seconds_per_epoch"] = Value::Null;
        entry["peak_bytes"] = Value::Null;
    }
    record
}

#[test]
fn a_teacher_trained_saved_and_read_again_teaches_the_same() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("blobs.csv"), table()).unwrap();
    let trained = run(
        folder.path(),
        &[
            &SMALL[..],
            &["--teacher-hidden", "16", "--teacher-epochs", "5"],
            &["--save-teacher", "teacher.safetensors", "--json"],
        ]
        .concat(),
    );
    let read = run(
        folder.path(),
        &[&SMALL[..], &["--teacher", "teacher.safetensors", "--json"]].concat(),
    );
    let (trained, read) = (timeless(&trained), timeless(&read));
    assert_eq!(trained, read);
    let entries = trained["conditions"][0]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 11);
    assert_eq!(trained["protocol"]["teacher"]["description"], "mlp 4-16-5, ReLU");
    for file in ["report.html", "results.csv", "comparison.json"] {
        let mut runs = std::fs::read_dir(folder.path().join("thalweg-runs")).unwrap();
        let written = runs.any(|run| run.unwrap().path().join(file).exists());
        assert!(written, "{file}");
    }
}

#[test]
fn logits_of_any_model_are_a_teacher_and_settings_reach_their_methods() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("blobs.csv"), table()).unwrap();
    // A teacher that knows every label.
    let logits: Vec<f32> = (0..SAMPLES * CLASSES)
        .map(|index| {
            if index % CLASSES == index / CLASSES % CLASSES {
                4.0
            } else {
                0.0
            }
        })
        .collect();
    std::fs::write(
        folder.path().join("logits.safetensors"),
        safetensors("logits", &[SAMPLES, CLASSES], &logits),
    )
    .unwrap();
    let arguments = [
        &SMALL[..],
        &["--teacher", "logits.safetensors", "--json"],
        &["--methods", "kd,dual_head_kl_norm", "--head", "nonlinear"],
        &[
            "--alpha",
            "3",
            "--temperature",
            "1.5",
            "--set",
            "kd.temperature=5",
        ],
    ]
    .concat();
    let record = run(folder.path(), &arguments).json();
    assert_eq!(record["protocol"]["teacher"]["accuracy"], 1.0);
    let parameters = |name: &str| {
        let entries = record["conditions"][0]["entries"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["name"] == name);
        entry.unwrap()["parameters"].clone()
    };
    assert_eq!(parameters("kd")["temperature"], 5.0);
    assert_eq!(parameters("kd")["kd_weight"], 0.9);
    assert_eq!(parameters("dual_head_kl_norm")["temperature"], 1.5);
    assert_eq!(parameters("dual_head_kl_norm")["alpha"], 3.0);
}

#[test]
fn the_table_fits_eighty_columns_and_names_the_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = "--seeds 2 --epochs 2 --teacher-epochs 2"
        .split(' ')
        .collect::<Vec<_>>();
    let shown = run(folder.path(), &arguments);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(
        shown.stdout.contains("teacher: mlp 64-256-256-10"),
        "{}",
        shown.stdout
    );
    for line in shown.stdout.lines().filter(|line| !line.contains("thalweg-runs")) {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
    }
}

#[test]
fn mistakes_are_the_users_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("blobs.csv", table().as_bytes());
    write(
        "few.safetensors",
        &safetensors("logits", &[3, CLASSES], &[0.0; 15]),
    );
    write(
        "conv.safetensors",
        &safetensors("conv.kernel", &[2, 2], &[0.0; 4]),
    );
    write(
        "nan.safetensors",
        &safetensors("0.weight", &[1, 2], &[0.0, f32::NAN]),
    );
    write(
        "wide.safetensors",
        &safetensors("0.weight", &[CLASSES, 3], &[0.0; 15]),
    );
    let whole = safetensors("logits", &[3, CLASSES], &[0.0; 15]);
    write("cut.safetensors", &whole[..whole.len() - 4]);
    for (arguments, said) in [
        (vec!["--teacher", "nowhere.safetensors"], "nowhere.safetensors"),
        (vec!["--teacher", "blobs.csv"], "no safetensors file"),
        (vec!["--teacher", "cut.safetensors"], "cut.safetensors"),
        (vec!["--teacher", "few.safetensors"], "300"),
        (vec!["--teacher", "conv.safetensors"], "conv.kernel"),
        (vec!["--teacher", "nan.safetensors"], "index 1"),
        (vec!["--teacher", "wide.safetensors"], "features"),
        (vec!["--methods", "kd,dkdd"], "dkdd"),
        (vec!["--methods", "kd"], "two methods"),
        (vec!["--set", "dkd.bta=1"], "bta"),
        (vec!["--set", "dkd=1"], "dkd.beta=2"),
        (vec!["--set", "nothing.beta=1"], "nothing"),
        (vec!["--temperature=-1"], "temperature"),
        (vec!["--teacher-hidden", "0"], "teacher"),
        (vec!["--metric", "speed"], "speed"),
    ] {
        let all = [&["blobs.csv", "--target", "kind"], &arguments[..]].concat();
        let refused = run(folder.path(), &all);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(
            refused.complaint().contains(said),
            "{arguments:?}: {}",
            refused.stderr
        );
        assert!(!folder.path().join("thalweg-runs").exists(), "{arguments:?}");
    }
}

#[test]
fn compare_sends_those_who_have_a_teacher_here() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    let refused: Run = command
        .current_dir(folder.path())
        .args(["compare", "--family", "distillation"])
        .output()
        .unwrap()
        .into();
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.complaint().contains("thalweg distill"),
        "{}",
        refused.stderr
    );
}
