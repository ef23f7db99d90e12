//! The main job through the binary: on a user's file, stopped, killed at random moments, and resumed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use thalweg_kernels::random::Stream;

fn thalweg(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    thalweg(folder, arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SMALL: [&str; 11] = [
    "compare",
    "--objectives",
    "cross_entropy,generalized_cross_entropy",
    "--noise",
    "0.3",
    "--seeds",
    "2",
    "--tune",
    "2",
    "--epochs",
    "40",
];

/// The newest `comparison.json` under `folder/thalweg-runs`, without what depends on the clock or the command.
fn timeless(folder: &Path) -> Value {
    let runs = std::fs::read_dir(folder.join("thalweg-runs")).unwrap();
    let mut folders: Vec<PathBuf> = runs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let newest = folders.last().expect("a comparison was written");
    for file in ["report.html", "results.csv"] {
        assert!(newest.join(file).metadata().unwrap().len() > 500, "{file}");
    }
    let mut record: Value =
        serde_json::from_slice(&std::fs::read(newest.join("comparison.json")).unwrap()).unwrap();
    for key in ["command", "started"] {
        record[key] = Value::Null;
    }
    for condition in record["conditions"].as_array_mut().unwrap() {
        for entry in condition["entries"].as_array_mut().unwrap() {
            entry["seconds_per_epoch"] = Value::Null;
            entry["peak_bytes"] = Value::Null;
        }
    }
    record
}

fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "the process was still there");
}

#[test]
fn killed_at_ten_random_moments_and_resumed_it_finds_the_same() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = output(whole.path(), &SMALL);
    assert!(uninterrupted.status.success(), "{}", text(&uninterrupted.stderr));

    let mut moments = Stream::new(0, "moments", 0);
    let resumed: Vec<&str> = SMALL.into_iter().chain(["--resume", "--jobs", "2"]).collect();
    for _ in 0..10 {
        let child = thalweg(killed.path(), &resumed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        std::thread::sleep(Duration::from_millis(20 + moments.below(200) as u64));
        // It may have come to its end before: then there is nothing to kill.
        child.kill().ok();
        child.wait().unwrap();
    }
    let last = output(killed.path(), &resumed);
    assert!(last.status.success(), "{}", text(&last.stderr));
    assert_eq!(timeless(killed.path()), timeless(whole.path()));
}

#[test]
fn control_c_keeps_what_is_finished_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = SMALL
        .into_iter()
        .map(|word| if word == "40" { "3000" } else { word })
        .chain(["--jobs", "1"])
        .collect();
    let child = thalweg(folder.path(), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    interrupt(&child);
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(130), "{}", text(&stopped.stderr));
    assert!(
        text(&stopped.stderr).contains("--resume"),
        "{}",
        text(&stopped.stderr)
    );
    assert!(stopped.stdout.is_empty());
}

/// Two classes told apart by a number and a word; every seventh number is missing where asked for.
fn table(missing: bool) -> String {
    let mut stream = Stream::new(0, "table", 0);
    let mut text = "weight,colour,note,species\n".to_owned();
    for row in 0..120 {
        let adelie = row % 2 == 0;
        let weight = if adelie { 3.0 } else { 5.0 } + stream.uniform();
        let weight = if missing && row % 7 == 3 {
            String::new()
        } else {
            format!("{weight:.3}")
        };
        let colour = if adelie || stream.uniform() < 0.2 {
            "black"
        } else {
            "\"grey, light\""
        };
        let species = if adelie {
            "Adélie penguin"
        } else {
            "Gentoo penguin"
        };
        text += &format!("{weight},{colour},{:.2},{species}\n", stream.uniform());
    }
    text
}

#[test]
fn a_table_of_words_and_gaps_needs_one_flag_more_than_a_clean_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clean.csv"), table(false)).unwrap();
    std::fs::write(folder.path().join("gaps.csv"), table(true)).unwrap();
    let common = [
        "--target",
        "species",
        "--objectives",
        "cross_entropy,focal",
        "--seeds",
        "2",
        "--tune",
        "0",
    ];
    let run = |first: &[&str]| output(folder.path(), &[first, &common].concat());

    let clean = run(&["compare", "clean.csv"]);
    assert!(clean.status.success(), "{}", text(&clean.stderr));
    assert!(text(&clean.stdout).contains("cross_entropy"));

    let refused = run(&["compare", "gaps.csv"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("--impute"),
        "{}",
        text(&refused.stderr)
    );
    assert!(
        text(&refused.stderr).contains("weight"),
        "{}",
        text(&refused.stderr)
    );

    let imputed = run(&["compare", "gaps.csv", "--impute", "median"]);
    assert!(imputed.status.success(), "{}", text(&imputed.stderr));
    let record = timeless(folder.path());
    let best = &record["conditions"][0]["entries"][0]["metrics"]["accuracy"]["mean"];
    assert!(best.as_f64().unwrap() > 0.9, "{best}");
}

#[test]
fn the_table_fits_eighty_columns() {
    let folder = tempfile::tempdir().unwrap();
    let common = "compare --seeds 2 --tune 0 --epochs 2 --attack l_inf:0.1 --metric";
    for metric in ["accuracy", "nll", "robust_accuracy"] {
        let arguments: Vec<&str> = common.split(' ').chain([metric]).collect();
        let shown = output(folder.path(), &arguments);
        assert!(shown.status.success(), "{}", text(&shown.stderr));
        for line in text(&shown.stdout)
            .lines()
            .filter(|line| !line.contains("thalweg-runs"))
        {
            assert!(
                line.chars().count() <= 80,
                "{} columns: {line}",
                line.chars().count()
            );
        }
    }
}

#[test]
fn mistakes_are_the_users_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.csv"), "a,label\n1,x\n2,x\n").unwrap();
    for (arguments, said) in [
        (vec!["compare", "nowhere.csv"], "nowhere.csv"),
        (vec!["compare", "one.csv"], "class"),
        (vec!["compare", "--objectives", "cross_entropy,focla"], "focla"),
        (vec!["compare", "--metric", "speed"], "speed"),
        (vec!["compare", "--noise", "1.5"], "1.5"),
        (vec!["compare", "--attack", "l_3:1"], "l_3:1"),
        (
            vec!["compare", "--model", "cnn", "--family", "nothing"],
            "nothing",
        ),
        (vec!["study", "comp_sun"], "comp_sum"),
    ] {
        let refused = output(folder.path(), &arguments);
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&refused.stderr)
        );
        assert!(
            text(&refused.stderr).contains(said),
            "{arguments:?}: {}",
            text(&refused.stderr)
        );
        assert!(!folder.path().join("thalweg-runs").exists(), "{arguments:?}");
    }
}

#[test]
fn a_quick_study_has_no_verdict_and_records_none() {
    let folder = tempfile::tempdir().unwrap();
    let quick = output(folder.path(), &["study", "comp_sum", "--quick"]);
    assert!(quick.status.success(), "{}", text(&quick.stderr));
    assert!(text(&quick.stdout).contains("A quick run has no verdict."));
    let listed = output(folder.path(), &["study", "--list"]);
    assert!(
        text(&listed.stdout).contains("never run"),
        "{}",
        text(&listed.stdout)
    );
}
