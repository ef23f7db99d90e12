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
        (&["--task", "ssl", "--batch-size", "1"], "two samples"),
    ] {
        let output = compare(folder.path(), arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}
