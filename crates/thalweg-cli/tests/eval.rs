//! The protocol of `eval`: what is wrong with a case is named and spoils no other; what is no document is refused.

mod common;

use common::{eval, thalweg};
use proptest::prelude::*;
use serde_json::{Value, json};
use thalweg::quantity::document::{self, Document};

const LOSS: &str = r#"{"id": "loss", "quantity": "comp_sum_loss", "params": {"tau": 1.5},
    "inputs": {"logits": {"shape": [2, 3], "data": [1, 0, 0, 0, 2, 0]}, "labels": {"shape": [2], "data": [0, 2]}}}"#;

/// The error of the case that `change` makes of a good one, which is evaluated between two good ones.
fn error_of(change: impl FnOnce(&mut Value)) -> String {
    let good: Value = serde_json::from_str(LOSS).unwrap();
    let mut bad = good.clone();
    change(&mut bad);
    let answers = eval(json!({"cases": [good, bad, good]}).to_string().as_bytes()).json();
    assert_eq!(answers["cases"].as_array().unwrap().len(), 3);
    assert_eq!(answers["cases"][0], answers["cases"][2]);
    assert!(answers["cases"][0]["outputs"]["value"].is_f64());
    assert!(answers["cases"][1].get("outputs").is_none());
    answers["cases"][1]["error"].as_str().unwrap().to_owned()
}

#[test]
fn every_kind_of_error_names_what_is_wrong() {
    type Change = fn(&mut Value);
    let cases: [(Change, &[&str]); 14] = [
        (
            |case| case["quantity"] = json!("comp_sum_los"),
            &["comp_sum_los", "did you mean `comp_sum_loss`"],
        ),
        (
            |case| {
                case.as_object_mut().unwrap().remove("id");
            },
            &["no `id`"],
        ),
        (
            |case| {
                case.as_object_mut().unwrap().remove("quantity");
            },
            &["no `quantity`"],
        ),
        (
            |case| case["params"] = json!([1.5]),
            &["`params`", "a list", "object"],
        ),
        (
            |case| case["params"] = json!({"tua": 1}),
            &["unknown parameter `tua`", "`tau`"],
        ),
        (
            |case| case["params"]["tau"] = json!("much"),
            &["parameter `tau`", "\"much\"", "a number"],
        ),
        (
            |case| case["params"]["tau"] = json!(-1),
            &["`tau` is -1", "at least 0"],
        ),
        (
            |case| case["params"]["reduction"] = json!("median"),
            &["`reduction`", "\"mean\" or \"sum\" or \"none\""],
        ),
        (
            |case| case["inputs"]["logits"]["data"] = json!([1]),
            &["`logits`", "[2, 3]", "1 elements"],
        ),
        (
            |case| case["inputs"]["logits"] = json!([[1, 0, 0], [0, 2, 0]]),
            &["`logits`", "{\"shape\": [..]"],
        ),
        (
            |case| case["inputs"]["labels"]["data"] = json!([0, 3]),
            &["`labels` holds 3 at index 1", "0 to 2"],
        ),
        (
            |case| case["inputs"]["labels"] = json!({"shape": [3], "data": [0, 1, 2]}),
            &["`labels` has shape [3]", "N is 2 in `logits`"],
        ),
        (
            |case| case["inputs"]["logits"]["data"][4] = json!("nan"),
            &["`logits` holds NaN at index 4"],
        ),
        (
            |case| {
                case["inputs"].as_object_mut().unwrap().remove("labels");
            },
            &["missing input `labels`"],
        ),
    ];
    for (change, parts) in cases {
        let error = error_of(change);
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }
}

#[test]
fn other_keys_are_left_alone_and_ids_come_back_as_they_were() {
    let plain = eval(format!(r#"{{"cases": [{LOSS}]}}"#).as_bytes()).json();
    let noisy = LOSS.replacen(
        '{',
        r#"{"rtol": "x", "note": [null], "outputs": {"value": 7},"#,
        1,
    );
    let noisy = noisy.replace(r#""id": "loss""#, r#""id": 12"#);
    let noisy = eval(format!(r#"{{"paper": {{}}, "cases": [{noisy}], "more": 1}}"#).as_bytes()).json();
    assert_eq!(noisy["cases"][0]["id"], 12);
    assert_eq!(noisy["cases"][0]["outputs"], plain["cases"][0]["outputs"]);
    assert_eq!(eval(br#"{"cases": []}"#).json(), json!({"cases": []}));
}

#[test]
fn infinite_outputs_are_words() {
    let case = r#"{"id": 1, "quantity": "comp_sum_phi", "params": {"tau": 0}, "inputs": {"u": {"shape": [2], "data": ["inf", 0]}}}"#;
    let answers = eval(format!(r#"{{"cases": [{case}]}}"#).as_bytes()).json();
    assert_eq!(
        answers["cases"][0]["outputs"]["value"]["data"],
        json!(["inf", 0.0])
    );
}

#[test]
fn what_is_no_document_is_refused_with_line_and_column() {
    for (document, place) in [
        (
            &b"{\"cases\": [\n  NaN]}"[..],
            "standard input, line 2, column 3: expected value",
        ),
        (b"[]", "an object with a list of `cases`"),
        (b"{\"case\": []}", "missing field `cases`"),
        (b"\xff\xfe{", "line 1, column 1: not UTF-8 text"),
    ] {
        let run = eval(document);
        assert_eq!(run.code, Some(2));
        assert!(run.stdout.is_empty());
        assert!(run.complaint().contains(place), "{}", run.complaint());
        assert!(
            run.complaint().contains("help: a document is JSON of the form"),
            "{}",
            run.complaint()
        );
    }
    let run = thalweg(&["eval", "no/such/file.json"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.complaint().contains("no/such/file.json: No such file"),
        "{}",
        run.complaint()
    );
}

/// What can be read is answered, case by case, with JSON that can be read back.
fn survives(bytes: &[u8]) {
    let Ok(parsed) = Document::parse(bytes) else {
        return;
    };
    let mut out = Vec::new();
    document::write(&parsed.evaluate(), &mut out).unwrap();
    let answers: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(answers["cases"].as_array().unwrap().len(), parsed.len());
    for answer in answers["cases"].as_array().unwrap() {
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(!error.contains("broke down"), "{error}");
    }
}

/// A document with a case of every quantity, to be damaged. Left out is what asks for work by its size: a thousand million
/// steps are a long computation, not a fault.
fn document() -> Vec<u8> {
    fn object(values: Vec<(&str, thalweg::quantity::Value)>) -> Value {
        let kept = values.into_iter().filter(|(name, _)| *name != "steps");
        kept.map(|(name, value)| (name.to_owned(), json!(value)))
            .collect()
    }
    let cases: Vec<_> = thalweg::catalogue::quantities()
        .iter()
        .map(|quantity| {
            let example = quantity.example();
            let (params, inputs) = (object(example.params), object(example.inputs));
            json!({"id": 1, "quantity": quantity.name(), "params": params, "inputs": inputs})
        })
        .collect();
    json!({"cases": cases}).to_string().into_bytes()
}

/// Pieces that JSON and the protocol are made of.
const PIECES: [&[u8]; 20] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"-",
    b"0",
    b"1e999",
    b"-1",
    b"null",
    b"\"nan\"",
    b"\"inf\"",
    b"true",
    b"\\u",
    b"\xff",
    b"[]",
    b"{}",
    b"4294967296",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
        survives(&[b"{\"cases\": [", &bytes[..], b"]}"].concat());
    }

    #[test]
    fn no_sequence_of_pieces_makes_it_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..30)) {
        let text: Vec<u8> = pieces.into_iter().flat_map(|piece| PIECES[piece]).copied().collect();
        survives(&[b"{\"cases\": [{\"id\": 1, \"quantity\": \"comp_sum_loss\", \"inputs\":", &text[..], b"}]}"].concat());
    }

    #[test]
    fn no_damage_to_a_good_document_makes_it_panic(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), 0..PIECES.len(), 0_usize..8), 1..5),
    ) {
        let mut bytes = document();
        for (at, piece, cut) in damage {
            let at = at.index(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, PIECES[piece].iter().copied());
        }
        survives(&bytes);
    }

    #[test]
    fn no_exchanged_value_makes_it_panic(
        quantity in any::<proptest::sample::Index>(),
        entry in any::<proptest::sample::Index>(),
        value in prop_oneof![
            Just(json!(0)), Just(json!(-1)), Just(json!(1e308)), Just(json!(5e-324)), Just(json!(0.5)), Just(json!("inf")),
            Just(json!("-inf")), Just(json!("nan")), Just(json!("mean")), Just(json!(true)), Just(json!(null)), Just(json!([])),
            Just(json!({"shape": [], "data": [1]})), Just(json!({"shape": [0], "data": []})),
            Just(json!({"shape": [0, 3], "data": []})), Just(json!({"shape": [3, 0], "data": []})),
            Just(json!({"shape": [2, 1], "data": [0, 0]})), Just(json!({"shape": [2], "data": ["inf", "-inf"]})),
            Just(json!({"shape": [3, 3], "data": [1e308, -1e308, 0, 0, 0, 0, 5e-324, "inf", 1]})),
            Just(json!({"shape": [1, 1], "data": [1]})), Just(json!({"shape": [3], "data": [0, 1, 2]})),
        ],
    ) {
        let mut document: Value = serde_json::from_slice(&document()).unwrap();
        let count = document["cases"].as_array().unwrap().len();
        let mut case = document["cases"][quantity.index(count)].take();
        let names: Vec<(&str, String)> = ["params", "inputs"]
            .into_iter()
            .flat_map(|part| case[part].as_object().unwrap().keys().map(move |name| (part, name.clone())).collect::<Vec<_>>())
            .collect();
        let (part, name) = &names[entry.index(names.len())];
        case[part][name] = value;
        survives(json!({"cases": [case]}).to_string().as_bytes());
    }
}
