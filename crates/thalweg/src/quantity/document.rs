//! Documents of cases: `{"cases": [{"id", "quantity", "params": {..}, "inputs": {..}}]}` in,
//! `{"cases": [{"id", "outputs": {..}} | {"id", "error": ".."}]}` out, in the same order.
//!
//! What is wrong within a case becomes its error and spoils no other; keys that are not listed here are left alone. Only
//! a text that is no document at all is refused as a whole.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Outputs, Quantity, Value};
use crate::catalogue;

/// A text of cases, none of them looked into yet.
#[derive(Debug)]
pub struct Document<'a> {
    cases: Vec<&'a RawValue>,
}

/// Why a text is no document of cases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct DocumentError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

/// What became of a case.
#[derive(Debug)]
pub struct Answer<'a> {
    id: Option<&'a RawValue>,
    result: Result<Outputs, String>,
}

impl<'a> Document<'a> {
    /// Reads the outline of a document.
    ///
    /// # Errors
    /// When it is not JSON, or no object with a list of `cases`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (before, _) = bytes.split_at(error.valid_up_to());
            DocumentError {
                line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
                column: before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1,
                problem: "not UTF-8 text".to_owned(),
            }
        })?;
        serde_json::from_str(text).map_err(|error| DocumentError {
            line: error.line(),
            column: error.column().max(1),
            problem: without_position(&error),
        })
    }

    /// The number of its cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether it has no cases.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Computes every case, in order. A panic within a quantity becomes the error of its case; the panic hook still
    /// runs, so a program that wants silence installs a silent one.
    pub fn evaluate(&self) -> Vec<Answer<'a>> {
        self.evaluate_with(catalogue::quantity)
    }

    fn evaluate_with<'q>(&self, find: impl Fn(&str) -> Option<&'q Quantity>) -> Vec<Answer<'a>> {
        self.cases.iter().map(|case| answer(case, &find)).collect()
    }
}

impl Answer<'_> {
    /// The results, or what is wrong with the case.
    ///
    /// # Errors
    /// When the case has no answer.
    pub fn result(&self) -> Result<&Outputs, &str> {
        self.result.as_ref().map_err(String::as_str)
    }
}

/// Writes answers as a document, one case a line.
///
/// # Errors
/// When `out` fails.
pub fn write(answers: &[Answer], mut out: impl Write) -> io::Result<()> {
    out.write_all(b"{\"cases\": [")?;
    for (index, answer) in answers.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut out, answer)?;
    }
    out.write_all(if answers.is_empty() { b"]}\n" } else { b"\n]}\n" })
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn answer<'a, 'q>(case: &'a RawValue, find: impl Fn(&str) -> Option<&'q Quantity>) -> Answer<'a> {
    let refused = |problem| Answer {
        id: None,
        result: Err(problem),
    };
    let fields = match fields(case) {
        Ok(fields) => fields,
        Err(problem) => return refused(format!("the case {problem}")),
    };
    match id(&fields) {
        Ok(id) => Answer {
            id: Some(id),
            result: compute(&fields, find),
        },
        Err(problem) => refused(problem),
    }
}

/// The id as it is written: it goes back so. Checked, because not all that passes for JSON can be read back.
fn id<'a>(fields: &Fields<'a>) -> Result<&'a RawValue, String> {
    let id = *fields.get("id").ok_or("the case has no `id`")?;
    let is_text = serde_json::from_str::<String>(id.get()).is_ok();
    if is_text || serde_json::from_str::<f64>(id.get()).is_ok() {
        Ok(id)
    } else {
        Err("`id` must be a text or a number".to_owned())
    }
}

fn compute<'q>(fields: &Fields, find: impl Fn(&str) -> Option<&'q Quantity>) -> Result<Outputs, String> {
    let name = fields.get("quantity").ok_or("the case has no `quantity`")?;
    let name: String = serde_json::from_str(name.get())
        .map_err(|_| format!("`quantity` is {}; it must be the name of one", kind(name)))?;
    let quantity = find(&name).ok_or_else(|| unknown(&name))?;
    let params = values(fields, "params", "parameter")?;
    let inputs = values(fields, "inputs", "input")?;
    // Nothing is shared with a panicking computation but the quantity, which is not changed by computing.
    let computed = catch_unwind(AssertUnwindSafe(|| quantity.compute(&params, &inputs)));
    match computed {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!(
            "{name} broke down ({}); this is a fault of thalweg's, please report the case",
            message(&*panic)
        )),
    }
}

fn unknown(name: &str) -> String {
    let names = catalogue::quantities().iter().map(Quantity::name);
    let nearest: Vec<_> = catalogue::nearest(name, names)
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect();
    if nearest.is_empty() {
        format!("unknown quantity `{name}`")
    } else {
        format!(
            "unknown quantity `{name}`; did you mean {}?",
            nearest.join(" or ")
        )
    }
}

fn fields(raw: &RawValue) -> Result<Fields<'_>, String> {
    if !raw.get().starts_with('{') {
        return Err(format!("is {}; it must be an object", kind(raw)));
    }
    serde_json::from_str(raw.get()).map_err(|error| format!("cannot be read: {}", without_position(&error)))
}

/// The values under `key`, which may be left out; `one` is what each of them is.
fn values(case: &Fields, key: &str, one: &str) -> Result<BTreeMap<String, Value>, String> {
    let Some(raw) = case.get(key) else {
        return Ok(BTreeMap::new());
    };
    let fields = fields(raw).map_err(|problem| format!("`{key}` {problem}"))?;
    fields
        .into_iter()
        .map(|(name, raw)| match serde_json::from_str(raw.get()) {
            Ok(value) => Ok((name, value)),
            Err(error) => Err(format!(
                "{one} `{name}`: {}{}",
                without_position(&error),
                advice(raw)
            )),
        })
        .collect()
}

/// What helps those who write an array as most languages do.
fn advice(raw: &RawValue) -> &'static str {
    if raw.get().starts_with('[') {
        "; an array is written {\"shape\": [..], \"data\": [flat, row-major]}"
    } else {
        ""
    }
}

fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes()[0] {
        b'{' => "an object",
        b'[' => "a list",
        b'"' => "a text",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

/// The message alone: positions within a case mean nothing to those who see the document.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it did not say why")
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("id", &self.id)?;
        match &self.result {
            Ok(outputs) => map.serialize_entry("outputs", outputs)?,
            Err(problem) => map.serialize_entry("error", problem)?,
        }
        map.end()
    }
}

impl Serialize for Outputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

// Written out because a derived one would take a list for the object as well.
impl<'de> Deserialize<'de> for Document<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Outline;
        impl<'de> Visitor<'de> for Outline {
            type Value = Document<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with a list of `cases`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document<'de>, A::Error> {
                let mut cases = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "cases" {
                        cases = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                let cases = cases.ok_or_else(|| de::Error::missing_field("cases"))?;
                Ok(Document { cases })
            }
        }
        deserializer.deserialize_map(Outline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(document: &str) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        write(
            &Document::parse(document.as_bytes()).unwrap().evaluate(),
            &mut out,
        )
        .unwrap();
        let mut document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        serde_json::from_value(document["cases"].take()).unwrap()
    }

    #[test]
    fn a_bad_case_spoils_no_other_and_the_order_is_kept() {
        let good = r#"{"id": "good", "quantity": "comp_sum_phi", "inputs": {"u": {"shape": [1], "data": [0]}}, "rtol": 1}"#;
        let answers = answers(&format!(
            r#"{{"paper": "x", "cases": [{good}, 3, {{}}, {good}]}}"#
        ));
        assert_eq!(answers.len(), 4);
        for index in [0, 3] {
            assert_eq!(answers[index]["id"], "good");
            assert_eq!(answers[index]["outputs"]["derivative"]["data"][0], 1.0);
        }
        assert_eq!(answers[1]["error"], "the case is a number; it must be an object");
        assert!(answers[1]["id"].is_null());
        assert_eq!(answers[2]["error"], "the case has no `id`");
        for bad in ["1e999", "null", r#""\ud800""#, "{}"] {
            let answers = self::answers(&format!(r#"{{"cases": [{{"id": {bad}}}]}}"#));
            assert_eq!(answers[0]["error"], "`id` must be a text or a number", "{bad}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (rest, expected) in [
            (r#""params": {}"#, "the case has no `quantity`"),
            (
                r#""quantity": 3"#,
                "`quantity` is a number; it must be the name of one",
            ),
            (
                r#""quantity": "comp_sum_fi""#,
                "unknown quantity `comp_sum_fi`; did you mean `comp_sum_phi`",
            ),
            (
                r#""quantity": "comp_sum_phi", "params": [1]"#,
                "`params` is a list; it must be an object",
            ),
            (
                r#""quantity": "comp_sum_phi", "params": {"tau": null}"#,
                "parameter `tau`: invalid type: null",
            ),
            (
                r#""quantity": "comp_sum_phi", "inputs": {"u": {"shape": [3], "data": [1]}}"#,
                "input `u`: shape [3] does not hold 1 elements",
            ),
            (
                r#""quantity": "comp_sum_phi", "inputs": {"u": [[1, 2]]}"#,
                "an array is written {\"shape\"",
            ),
            (
                r#""quantity": "comp_sum_phi", "inputs": {"u": 1e999}"#,
                "input `u`: number out of range",
            ),
        ] {
            let answers = answers(&format!(r#"{{"cases": [{{"id": 7, {rest}}}]}}"#));
            assert_eq!(answers[0]["id"], 7);
            let error = answers[0]["error"].as_str().unwrap();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("line"), "{error}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        for (text, line, column, problem) in [
            (&b""[..], 1, 1, "EOF while parsing a value"),
            (b"{\"cases\": [\n  1,\n  NaN]}", 3, 3, "expected value"),
            (b"{\"cases\": [],\n\"a\": \"\xff\"}", 2, 7, "not UTF-8 text"),
            (b"[1]", 1, 1, "an object with a list of `cases`"),
            (b"{}", 1, 2, "missing field `cases`"),
            (b"{\"cases\": []} x", 1, 15, "trailing characters"),
        ] {
            let error = Document::parse(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{error}");
            assert!(error.problem.contains(problem), "{error}");
        }
        assert!(Document::parse(b"{\"cases\": []}").unwrap().is_empty());
    }

    #[test]
    fn a_panic_is_the_error_of_its_own_case() {
        // A quantity declared without its computation panics when computed.
        let broken = Quantity::new("broken", "");
        let text = br#"{"cases": [{"id": 1, "quantity": "broken"}, {"id": 2, "quantity": "other"}]}"#;
        let answers = Document::parse(text)
            .unwrap()
            .evaluate_with(|name| (name == "broken").then_some(&broken));
        let error = answers[0].result().unwrap_err();
        assert!(
            error.starts_with("broken broke down (the quantity broken was"),
            "{error}"
        );
        assert!(
            answers[1]
                .result()
                .unwrap_err()
                .starts_with("unknown quantity `other`")
        );
    }
}
