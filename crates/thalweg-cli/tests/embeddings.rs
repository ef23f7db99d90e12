//! Comparisons of objectives of embeddings, as a user runs them.

use std::process::{Command, Output};

use serde_json::Value;

fn compare(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .current_dir(folder)
        .arg("compare")
        .args(arguments)
        .output()
        .expect("thalweg runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

const SMALL: [&str; 10] = [
    "--task",
    "ssl",
    "--objectives",
    "nt_xent,vicreg,isogclr",
    "--seeds",
    "2",
    "--epochs",
    "3",
    "--tune",
    "2",
];

/// The entries of a comparison, best first.
fn entries(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let comparison: Value = serde_json::from_slice(&output.stdout).expect("--json is JSON");
    let entries = comparison["conditions"][0]["entries"].as_array();
    entries.expect("entries").clone()
}

#[test]
fn encoders_are_compared_and_finished_trials_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = compare(folder.path(), &[&SMALL[..], &["--json", "--jobs", "2"]].concat());
    let found = entries(&first);
    assert_eq!(found.len(), 3);
    for entry in &found {
        let probe = entry["metrics"]["probe_accuracy"]["mean"].as_f64();
        assert!(probe.expect("a number") > 0.5, "{entry}");
    }
    // Even the clock is that of the first run.
    let again = compare(
        folder.path(),
        &[&SMALL[..], &["--json", "--jobs", "1", "--resume"]].concat(),
    );
    assert_eq!(entries(&again), found);
}

#[test]
fn the_table_fits_eighty_columns_and_says_what_training_added() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = compare(folder.path(), &SMALL);
    let page = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(page.contains("with its first weights"), "{page}");
    for line in page
        .lines()
        .filter(|line| !line.starts_with("report") && !line.starts_with("numbers"))
    {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 80, "{line}");
    }
}

#[test]
fn new_classes_are_told_from_a_few_samples_and_from_pairs() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, metric, least) in [
        (
            &[
                "--task",
                "few-shot",
                "--objectives",
                "prototypical,prototypical_icnn",
                "--ways",
                "3",
            ][..],
            "episode_accuracy",
            0.5,
        ),
        (
            &[
                "--task",
                "verification",
                "--objectives",
                "cos_face,triplet_margin,sup_con",
            ],
            "auc",
            0.6,
        ),
    ] {
        let common = ["--seeds", "2", "--epochs", "2", "--tune", "2", "--json"];
        let found = entries(&compare(folder.path(), &[arguments, &common].concat()));
        for entry in &found {
            let value = entry["metrics"][metric]["mean"].as_f64();
            assert!(value.expect("a number") > least, "{metric}: {entry}");
        }
    }
    let reports = std::fs::read_dir(folder.path().join("thalweg-runs")).expect("reports");
    let with_pairs = reports.filter(|report| {
        let report = report.as_ref().expect("readable").path().join("report.html");
        std::fs::read_to_string(report).is_ok_and(|page| page.contains("Pairs accepted"))
    });
    assert_eq!(with_pairs.count(), 1);
}

#[test]
fn what_means_nothing_for_embeddings_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, told) in [
        (
            &["--task", "ssl", "--noise", "0.3"][..],
            "--noise has no meaning for --task ssl",
        ),
        (
            &["--task", "ssl", "--objectives", "nt_xent,focal"],
            "--task classification",
        ),
        (&["--objectives", "cross_entropy,nt_xent"], "--task ssl"),
        (&["--task", "ssl", "--metric", "accuracy"], "probe_accuracy"),
        (&["--task", "ssl", "--shots", "1"], "--task few-shot"),
        (&["--ways", "3"], "--task few-shot"),
        (&["--task", "few-shot", "--ways", "9"], "9-way"),
        (&["--task", "ssl", "--batch-size", "1"], "two samples"),
    ] {
        let output = compare(folder.path(), arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}
