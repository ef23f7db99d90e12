//! What `list`, `show` and `data` print, and how they refuse.

mod common;

use std::process::Stdio;

use common::{command, eval, thalweg};
use unicode_width::UnicodeWidthStr;

fn page(arguments: &[&str]) -> String {
    let run = thalweg(arguments);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(
        !run.stdout.contains('\u{1b}'),
        "colours where there is no terminal"
    );
    for line in run.stdout.lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
        assert_eq!(line, line.trim_end());
    }
    run.stdout
}

#[test]
fn every_page_fits_80_columns() {
    page(&["list"]);
    page(&["data", "list"]);
    page(&["data", "describe", "digits"]);
    for entry in thalweg::catalogue::objectives() {
        page(&["show", entry.name]);
    }
}

#[test]
fn problem_words_find_objectives() {
    let found = page(&["list", "--search", "noisy labels"]);
    assert!(
        found.contains("generalized_cross_entropy") && !found.contains("trades"),
        "{found}"
    );
    for words in ["imbalance", "robust", "calibration"] {
        assert!(
            page(&["list", "--search", words]).starts_with("Objectives"),
            "{words}"
        );
    }
    let found = page(&["list", "--family", "robustness"]);
    assert!(
        found.contains("trades_loss") && !found.contains("comp_sum_phi"),
        "{found}"
    );
}

#[test]
fn nothing_found_says_what_would_be() {
    let found = page(&["list", "--search", "noisy zebra"]);
    // Words of a problem may stand at the end of one line and the start of the next.
    let unwrapped = found.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        found.contains("zebra  in nothing") && unwrapped.contains("noisy labels"),
        "{found}"
    );
    assert!(!found.contains("noisy  in nothing"), "{found}");
}

#[test]
fn json_is_complete() {
    let list = thalweg(&["list", "--json"]).json();
    assert_eq!(
        list["objectives"].as_array().unwrap().len(),
        thalweg::catalogue::objectives().len()
    );
    assert_eq!(
        list["quantities"].as_array().unwrap().len(),
        thalweg::catalogue::quantities().len()
    );
    let show = thalweg(&["show", "comp_sum", "--set", "tau=1", "--json"]).json();
    assert_eq!(show["parameters"][0]["range"], serde_json::json!([0.0, 2.0]));
    assert_eq!(show["rust"], "CompSumLossConfig::new().with_tau(1.0).init()?");
    let (margin, loss) = (&show["margin_curve"]["margin"], &show["margin_curve"]["loss"]);
    let (margin, loss) = (margin[0].as_f64().unwrap(), loss[0].as_f64().unwrap());
    assert!(margin == -6.0 && (loss - (1.0 + 9.0 * 6.0_f64.exp()).ln()).abs() < 1e-12);
}

#[test]
fn an_objective_has_formula_rust_and_curve() {
    let text = page(&["show", "generalized_cross_entropy", "--set", "q=0.5"]);
    for part in [
        "ℓ = (1 − p_y^q)/q",
        "0.5 (default 0.7)",
        "use thalweg::classification::CompSumLossConfig;",
        "CompSumLossConfig::new().with_tau(1.0 + 0.5).init()?",
        "Zhang, Sabuncu, NeurIPS 2018",
        "slope dℓ/dm",
        "4         6  margin",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!page(&["show", "trades"]).contains("Loss and slope"));
}

#[test]
fn the_example_of_a_quantity_can_be_piped_into_eval() {
    for quantity in thalweg::catalogue::quantities() {
        let text = thalweg(&["show", quantity.name()]).stdout;
        let (_, document) = text.split_once("<<'END'").unwrap();
        let (document, _) = document.rsplit_once("END").unwrap();
        let answers = eval(document.as_bytes()).json();
        assert!(
            answers["cases"][0]["outputs"].is_object(),
            "{}: {answers}",
            quantity.name()
        );
    }
}

#[test]
fn user_errors_are_named_and_end_with_2() {
    for (arguments, parts) in [
        (
            &["show", "cross_entorpy"][..],
            &[
                "no objective, optimiser or quantity `cross_entorpy`",
                "did you mean `cross_entropy`",
            ][..],
        ),
        (
            &["show", "comp_sum", "--set", "tua=1"],
            &["comp_sum has no parameter `tua`", "`tau`"],
        ),
        (
            &["show", "comp_sum", "--set", "tau=-1"],
            &["`tau` is -1", "at least 0"],
        ),
        (&["show", "comp_sum", "--set", "tau"], &["write NAME=VALUE"]),
        (
            &["show", "comp_sum_loss", "--set", "tau=1"],
            &["comp_sum_loss is a quantity"],
        ),
        (
            &["list", "--family", "clasification"],
            &["no family `clasification`", "did you mean `classification`"],
        ),
        (&["data", "describe", "no/such.csv"], &["no/such.csv", "digits"]),
        (
            &["data", "describe", "digits", "--impute", "mode"],
            &["neither `mean` nor `median`"],
        ),
    ] {
        let run = thalweg(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}");
        for part in parts {
            assert!(
                run.complaint().contains(part),
                "{part:?} is not in {}",
                run.complaint()
            );
        }
    }
}

#[test]
fn help_names_every_command() {
    let text = thalweg(&["--help"]).stdout;
    for command in ["compare", "study", "eval", "list", "show", "data"] {
        assert!(text.contains(&format!("\n  {command} ")), "{text}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["show", "comp_sum"],
        &["data", "describe", "digits"],
        &["--help"],
    ] {
        let mut child = command()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_file_is_described_with_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fruit.csv");
    std::fs::write(
        &path,
        "weight,colour,label\n1.5,red,apple\n,green,pear\n2.5,red,apple\n0.5,green,pear\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let text = page(&["data", "describe", path]);
    for part in [
        "Not ready to train on",
        "1 missing value",
        "--impute mean",
        "2 categories",
        "apple",
        "50.0%",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!page(&["data", "describe", path, "--impute", "median"]).contains("Not ready"));
    let json = thalweg(&["data", "describe", path, "--json"]).json();
    assert_eq!(json["missing"], 1);
    assert_eq!(json["target"], "label");
}
