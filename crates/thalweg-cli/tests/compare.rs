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

/// A table of areas with the mean income of each repeated in its rows, or each row's own.
fn areas(folder: &Path, income: impl Fn(f64, f64) -> f64) {
    let mut random = Stream::new(0, "areas", 0);
    let mut rows = vec!["a,b,area,income".to_owned()];
    for area in 0..40 {
        let members: Vec<[f64; 2]> = (0..3 + area % 3)
            .map(|_| [random.uniform(), random.uniform()])
            .collect();
        let mean = members.iter().map(|[a, b]| 10.0 + 4.0 * a - 2.0 * b).sum::<f64>() / members.len() as f64;
        for [a, b] in members {
            rows.push(format!(
                "{a:.4},{b:.4},area {area},{:.5}",
                income(mean, 10.0 + 4.0 * a - 2.0 * b)
            ));
        }
    }
    std::fs::write(folder.join("areas.csv"), rows.join("\n")).unwrap();
}

const AREAS: [&str; 11] = [
    "compare",
    "areas.csv",
    "--bag",
    "area",
    "--target",
    "income",
    "--seeds",
    "2",
    "--tune",
    "2",
    "--json",
];

#[test]
fn means_of_bags_are_enough_to_learn_from() {
    let folder = tempfile::tempdir().unwrap();
    areas(folder.path(), |mean, _| mean);
    let found = output(folder.path(), &AREAS);
    assert!(found.status.success(), "{}", text(&found.stderr));
    let record: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(record["data"]["bags"]["target"], "income");
    assert_eq!(
        (
            &record["data"]["bags"]["smallest"],
            &record["data"]["bags"]["largest"]
        ),
        (&3.into(), &5.into())
    );
    let entries = record["conditions"][0]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 3);
    // Means have a standard deviation of about 0.65.
    assert!(entries[0]["metrics"]["bag_rmse"]["mean"].as_f64().unwrap() < 0.3);
    assert!(
        entries[0]["metrics"].get("rmse").is_none(),
        "single incomes are not known"
    );
    let table = output(folder.path(), &AREAS[..10]);
    let table = text(&table.stdout);
    assert!(
        table.contains("mean income known for") && table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );

    areas(folder.path(), |_, own| own);
    let found = output(folder.path(), &[&AREAS[..], &["--metric", "r2"]].concat());
    let record: Value = serde_json::from_slice(&found.stdout).unwrap();
    let best = &record["conditions"][0]["entries"][0]["metrics"];
    assert!(best["r2"]["mean"].as_f64().unwrap() > 0.5, "{best}");
}

#[test]
fn what_bags_cannot_be_used_for_is_said() {
    let folder = tempfile::tempdir().unwrap();
    areas(folder.path(), |mean, _| mean);
    let refused = |arguments: &[&str]| {
        let found = output(folder.path(), arguments);
        assert_eq!(found.status.code(), Some(2), "{arguments:?}");
        let words: Vec<String> = text(&found.stderr)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        words.join(" ").replace("│ ", "")
    };
    let bags = &AREAS[..6];
    assert!(refused(&[bags, &["--metric", "r2"]].concat()).contains("r2 is not known here"));
    assert!(refused(&[bags, &["--metric", "accuracy"]].concat()).contains("bag_rmse"));
    assert!(refused(&[bags, &["--noise", "0.2"]].concat()).contains("not for bags"));
    assert!(
        refused(&[bags, &["--objectives", "focal,bag_level"]].concat()).contains("focal cannot take part")
    );
    assert!(
        refused(&["compare", "areas.csv", "--bag", "income", "--target", "income"])
            .contains("both the target and the bag")
    );
    assert!(refused(&["compare", "--objectives", "bag_level,focal"]).contains("--bags-of"));
    assert!(refused(&["compare", "diabetes"]).contains("numbers, not classes"));
    assert!(refused(&["compare", "--bags-of", "0"]).contains("at least one sample"));
    std::fs::write(
        folder.path().join("one.csv"),
        "a,b,area,y\n1,2,x,0.5\n2,1,x,0.5\n3,5,x,0.5\n",
    )
    .unwrap();
    assert!(refused(&["compare", "one.csv", "--bag", "area"]).contains("there is 1"));
    std::fs::write(
        folder.path().join("gap.csv"),
        "a,b,area,y\n1,2,x,0.5\n2,1,,0.7\n3,5,z,0.5\n",
    )
    .unwrap();
    assert!(
        refused(&["compare", "gap.csv", "--bag", "area"])
            .contains("line 3, column `area`: the bag is missing")
    );
}
