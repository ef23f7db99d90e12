//! Every published case, through the binary, within its own tolerances. Another paper adds a file to `vectors`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use thalweg::catalogue;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    quantity: String,
    outputs: Map<String, Value>,
    rtol: f64,
    atol: f64,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn vectors(file: &Path) -> Vectors {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// What differs between an output and what is expected of it.
fn difference(found: &Value, expected: &Value, rtol: f64, atol: f64) -> Option<String> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            if found["shape"] != expected["shape"] {
                return Some(format!(
                    "shape {}, expected {}",
                    found["shape"], expected["shape"]
                ));
            }
            difference(&found["data"], &expected["data"], rtol, atol)
        }
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => found
            .iter()
            .zip(expected)
            .enumerate()
            .find_map(|(index, (found, expected))| {
                difference(found, expected, rtol, atol).map(|problem| format!("[{index}]: {problem}"))
            }),
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            ((a - b).abs() > atol + rtol * b.abs()).then(|| format!("{a}, expected {b} (off by {:e})", a - b))
        }
        _ => (found != expected).then(|| format!("{found}, expected {expected}")),
    }
}

#[test]
fn every_case_is_met() {
    let mut problems = Vec::new();
    let mut count = 0;
    for file in files() {
        let answers = common::thalweg(&["eval", file.to_str().unwrap()]).json();
        let answers = answers["cases"].as_array().unwrap().clone();
        let cases = vectors(&file).cases;
        assert_eq!(answers.len(), cases.len(), "{}", file.display());
        for (answer, case) in answers.iter().zip(cases) {
            count += 1;
            assert_eq!(answer["id"], case.id, "{}", file.display());
            let name = format!("{} ({})", case.id, case.quantity);
            if let Some(error) = answer.get("error") {
                problems.push(format!("{name}: {error}"));
                continue;
            }
            for (output, expected) in &case.outputs {
                let problem = match answer["outputs"].get(output) {
                    Some(found) => difference(found, expected, case.rtol, case.atol),
                    None => Some("missing".to_owned()),
                };
                problems.extend(problem.map(|problem| format!("{name}, {output}: {problem}")));
            }
        }
    }
    assert!(
        count > 0 && problems.is_empty(),
        "of {count} cases:\n{}",
        problems.join("\n")
    );
}

#[test]
fn every_case_is_of_a_known_quantity() {
    for file in files() {
        for case in vectors(&file).cases {
            let known = catalogue::quantity(&case.quantity).is_some();
            assert!(
                known,
                "{}: {} asks for {}",
                file.display(),
                case.id,
                case.quantity
            );
        }
    }
}

#[test]
fn a_difference_is_seen() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (found, expected, differs) in [
        ("1.0", "1.0000000001", false),
        ("1.0", "1.001", true),
        ("\"nan\"", "\"nan\"", false),
        ("\"inf\"", "1e300", true),
        (
            r#"{"shape": [2], "data": [1, 2]}"#,
            r#"{"shape": [2], "data": [1, 2]}"#,
            false,
        ),
        (
            r#"{"shape": [2], "data": [1, 2]}"#,
            r#"{"shape": [2, 1], "data": [1, 2]}"#,
            true,
        ),
        (
            r#"{"shape": [2], "data": [1, 2]}"#,
            r#"{"shape": [2], "data": [1, 3]}"#,
            true,
        ),
        (
            r#"{"shape": [2], "data": [1, "nan"]}"#,
            r#"{"shape": [2], "data": [1, 2]}"#,
            true,
        ),
    ] {
        let problem = difference(&value(found), &value(expected), 1e-9, 1e-12);
        assert_eq!(
            problem.is_some(),
            differs,
            "{found} against {expected}: {problem:?}"
        );
    }
}
