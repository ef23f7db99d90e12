//! `thalweg prune` on real files.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{Run, command};
use serde_json::Value;
use thalweg_data::generators::gaussian_blobs;
use thalweg_kernels::random::Stream;
use unicode_width::UnicodeWidthStr;

/// Clouds of four classes as a table.
fn table() -> String {
    let set = gaussian_blobs(240, 4, 5, 0.7, 2);
    let mut text = "a,b,c,d,e,kind\n".to_owned();
    for row in 0..set.len() {
        let values: Vec<String> = set.row(row).iter().map(f32::to_string).collect();
        text += &format!("{},k{}\n", values.join(","), set.labels[row]);
    }
    text
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("blobs.csv"), table()).unwrap();
    folder
}

fn run(folder: &Path, command: &str, arguments: &[&str]) -> Run {
    let mut process = common::command();
    process
        .current_dir(folder)
        .args([command, "blobs.csv", "--target", "kind"]);
    process.args(arguments).output().unwrap().into()
}

fn prune(folder: &Path, arguments: &[&str]) -> Run {
    run(folder, "prune", &[&SMALL[..], arguments].concat())
}

const SMALL: [&str; 8] = [
    "--seeds",
    "2",
    "--gradients",
    "60",
    "--recomputations",
    "3",
    "--sparsity",
    "0.6,0.9",
];

/// Of networks trained here.
const TRAINED: [&str; 4] = ["--hidden", "12", "--epochs", "6"];

/// The record without what depends on the clock or the command.
fn timeless(mut record: Value) -> Value {
    for key in ["command", "started"] {
        record[key] = Value::Null;
    }
    record["dense"]["seconds"] = Value::Null;
    for way in record["ways"].as_array_mut().unwrap() {
        way["peak_bytes"] = Value::Null;
        for point in way["points"].as_array_mut().unwrap() {
            point["metrics"]["seconds"] = Value::Null;
        }
    }
    record
}

/// The share of a safetensors file's weights that are 0.
fn sparsity(file: &Path) -> f64 {
    let bytes = std::fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let weights = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| name.ends_with("weight"));
    let weights: Vec<f32> = weights
        .flat_map(|(_, view)| {
            let numbers = view.data().as_chunks::<4>().0.iter();
            numbers.map(|&four| f32::from_le_bytes(four)).collect::<Vec<_>>()
        })
        .collect();
    weights.iter().filter(|weight| **weight == 0.0).count() as f64 / weights.len() as f64
}

#[test]
fn every_method_is_compared_and_the_best_network_saved_read_again_and_pruned_further() {
    let folder = folder();
    let save = ["--save", "small.safetensors", "--json"];
    let record = prune(folder.path(), &[&TRAINED[..], &save].concat()).json();
    let ways: Vec<_> = record["ways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| {
            (
                way["method"].as_str().unwrap(),
                way["recomputations"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        ways,
        [
            ("magnitude", 1),
            ("diagonal_fisher", 1),
            ("diagonal_fisher", 3),
            ("woodfisher", 1),
            ("woodfisher", 3),
            ("m_fac", 1),
            ("m_fac", 3)
        ]
    );
    assert!((sparsity(&folder.path().join("small.safetensors")) - 0.9).abs() < 0.01);
    for file in ["report.html", "results.csv", "comparison.json"] {
        let mut runs = std::fs::read_dir(folder.path().join("thalweg-runs")).unwrap();
        let written = runs.any(|run| run.unwrap().path().join(file).exists());
        assert!(written, "{file}");
    }

    // The file is a network to prune, judged on the same test split, and a teacher.
    let best = record["ways"].as_array().unwrap().iter().map(|way| {
        let accuracy = &way["points"][1]["metrics"]["accuracy"];
        (
            accuracy["mean"].as_f64().unwrap(),
            accuracy["values"][0].as_f64().unwrap(),
        )
    });
    let best = best.fold(
        (f64::NEG_INFINITY, 0.0),
        |best, way| if way.0 > best.0 { way } else { best },
    );
    let further = [
        "--model",
        "small.safetensors",
        "--sparsity",
        "0.95",
        "--methods",
        "magnitude,m_fac",
        "--json",
    ];
    let further = run(folder.path(), "prune", &further).json();
    assert!((further["protocol"]["sparsity_before"].as_f64().unwrap() - 0.9).abs() < 0.01);
    let before = &further["dense"]["accuracy"];
    assert!(
        (before["mean"].as_f64().unwrap() - best.1).abs() < 0.03,
        "{before} {}",
        best.1
    );
    assert_eq!(before["values"].as_array().unwrap().len(), 5);
    let taught = [
        "--teacher",
        "small.safetensors",
        "--methods",
        "cross_entropy,kd",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--json",
    ];
    let taught = run(folder.path(), "distill", &taught).json();
    assert_eq!(taught["protocol"]["teacher"]["description"], "mlp 5-12-4, ReLU");
    assert_eq!(taught["protocol"]["teacher"]["accuracy"], before["values"][0]);
}

#[test]
fn killed_and_resumed_it_finds_the_same() {
    let (whole, killed) = (folder(), folder());
    let plain = [&TRAINED[..], &["--json"]].concat();
    let resumed = [&plain[..], &["--resume", "--jobs", "2"]].concat();
    let expected = prune(whole.path(), &plain).json();
    let mut moments = Stream::new(0, "moments", 0);
    for _ in 0..6 {
        let mut process = command();
        process
            .current_dir(killed.path())
            .args(["prune", "blobs.csv", "--target", "kind"])
            .args(SMALL)
            .args(&resumed)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = process.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + moments.below(120) as u64));
        // It may have come to its end before: then there is nothing to kill.
        child.kill().ok();
        child.wait().unwrap();
    }
    let last = prune(killed.path(), &resumed).json();
    assert_eq!(timeless(last), timeless(expected));
}

#[test]
fn fine_tuning_and_one_method_alone_are_allowed() {
    let folder = folder();
    let arguments = [
        &TRAINED[..],
        &["--finetune", "1", "--methods", "m_fac", "--joint", "--json"],
    ]
    .concat();
    let record = prune(folder.path(), &arguments).json();
    assert_eq!(record["protocol"]["finetune"], 3);
    assert_eq!(record["protocol"]["joint"], true);
    assert_eq!(record["ways"].as_array().unwrap().len(), 2);
}

#[test]
fn the_table_fits_eighty_columns() {
    let folder = folder();
    for arguments in [
        &[&TRAINED[..], &["--save", "n.safetensors"]].concat()[..],
        &["--hidden", "12", "--epochs", "2", "--methods", "magnitude"],
    ] {
        let shown = prune(folder.path(), arguments);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert!(shown.stdout.contains("mlp 5-12-4, ReLU"), "{}", shown.stdout);
        for line in shown.stdout.lines().filter(|line| !line.contains("thalweg-runs")) {
            assert!(line.width() <= 80, "{} columns: {line}", line.width());
        }
    }
}

/// A file of one f32 tensor.
fn safetensors(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), &bytes);
    safetensors::serialize([(name, view.unwrap())], None).unwrap()
}

#[test]
fn mistakes_are_the_users_and_are_named() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write(
        "conv.safetensors",
        &safetensors("conv.kernel", &[2, 2], &[0.0; 4]),
    );
    write("wide.safetensors", &safetensors("0.weight", &[4, 3], &[1.0; 12]));
    write(
        "classes.safetensors",
        &safetensors("0.weight", &[3, 5], &[1.0; 15]),
    );
    write(
        "sparse.safetensors",
        &safetensors("0.weight", &[4, 5], &[0.0; 20]),
    );
    for (arguments, said) in [
        (vec!["--model", "nowhere.safetensors"], "nowhere.safetensors"),
        (vec!["--model", "blobs.csv"], "no safetensors file"),
        (vec!["--model", "conv.safetensors"], "conv.kernel"),
        (vec!["--model", "wide.safetensors"], "features it reads is 3"),
        (vec!["--model", "classes.safetensors"], "classes it scores is 3"),
        (vec!["--model", "sparse.safetensors"], "is 0 already"),
        (
            vec!["--model", "wide.safetensors", "--hidden", "3"],
            "cannot be used",
        ),
        (vec!["--methods", "mfac"], "did you mean `m_fac`"),
        (vec!["--sparsity", "0"], "above 0"),
        (vec!["--sparsity", "90"], "not 90"),
        (vec!["--dampening=-1"], "dampening"),
        (vec!["--block-size", "0"], "block_size"),
        (vec!["--gradients", "0"], "gradient"),
        (vec!["--seeds", "0"], "seed"),
        (vec!["--hidden", "0"], "hidden"),
    ] {
        let refused = run(folder.path(), "prune", &arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.stderr);
        assert!(
            refused.complaint().contains(said),
            "{arguments:?}: {}",
            refused.stderr
        );
        assert!(!folder.path().join("thalweg-runs").exists(), "{arguments:?}");
    }
}
