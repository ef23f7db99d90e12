//! Finding out, from the first rows, how a text file is written and what its columns hold.

use super::{Kind, Plan, builder, is_missing};
use crate::table::{Role, parse_number};

/// How the fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) header: bool,
}

/// In this order of preference: a comma may be a decimal sign where fields are separated by one of the others.
const DELIMITERS: [u8; 4] = [b'\t', b';', b'|', b','];
/// So many rows tell enough.
const ROWS: usize = 1000;

pub(super) fn dialect(sample: &[u8], tabs_expected: bool) -> Dialect {
    let delimiter = if tabs_expected { b'\t' } else { delimiter(sample) };
    Dialect {
        delimiter,
        header: has_header(&records(sample, delimiter).rows),
    }
}

/// The first rows, and how many bytes they take.
pub(super) struct Records {
    pub(super) rows: Vec<Vec<String>>,
    pub(super) bytes: u64,
}

/// Reads the first rows. The last of them may be cut short where the sample ends.
pub(super) fn records(sample: &[u8], delimiter: u8) -> Records {
    let mut reader = builder(delimiter).flexible(true).from_reader(sample);
    let rows = reader
        .byte_records()
        .map_while(Result::ok)
        .take(ROWS)
        .map(|record| {
            record
                .iter()
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .collect()
        })
        .collect();
    Records {
        rows,
        bytes: reader.position().byte(),
    }
}

fn delimiter(sample: &[u8]) -> u8 {
    let agreement = |delimiter: u8| {
        let records = records(&sample[..sample.len().min(1 << 16)], delimiter).rows;
        let fields = records.first().map_or(0, Vec::len);
        let agreeing = records.iter().filter(|record| record.len() == fields).count();
        // The last row may be cut short.
        let all = agreeing + 1 >= records.len();
        (fields > 1).then_some((all, agreeing))
    };
    let mut best = (b',', None);
    for candidate in DELIMITERS {
        let agreement = agreement(candidate);
        if agreement > best.1 && !best.1.is_some_and(|(all, _)| all) {
            best = (candidate, agreement);
        }
    }
    best.0
}

/// Whether the first row names the columns: a text above numbers, or texts that do not come again.
fn has_header(rows: &[Vec<String>]) -> bool {
    let [first, rest @ ..] = rows else { return false };
    if rest.is_empty() {
        return first.iter().all(|name| parse_number(name).is_none());
    }
    if are_consecutive(first.iter().filter(|name| parse_number(name).is_some())) {
        return true;
    }
    let (mut new, mut seen) = (0, 0);
    for (column, name) in first.iter().enumerate().filter(|(_, name)| !is_missing(name)) {
        let values = || {
            rest.iter()
                .filter_map(|row| row.get(column))
                .filter(|value| !is_missing(value))
        };
        let numbers = values().filter(|value| parse_number(value).is_some()).count();
        let texts = values().count() - numbers;
        match (parse_number(name), Kind::decide(numbers, texts)) {
            (None, Kind::Numbers) if numbers > 0 => return true,
            (None, Kind::Categories) if values().all(|value| value != name) => new += 1,
            _ => seen += 1,
        }
    }
    new > seen
}

/// Whether the names count columns from 0 or 1, as libraries do that know no names.
fn are_consecutive<'a>(names: impl Iterator<Item = &'a String>) -> bool {
    let numbers: Option<Vec<usize>> = names.map(|name| name.parse().ok()).collect();
    numbers.is_some_and(|numbers| {
        numbers.len() >= 3 && numbers[0] <= 1 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
    })
}

/// A guess at what each feature column holds.
pub(super) fn kinds(rows: &[Vec<String>], plan: &Plan) -> Vec<Kind> {
    let columns = (0..plan.roles.len()).filter(|&column| matches!(plan.roles[column], Role::Feature(_)));
    columns
        .map(|column| {
            let values = || {
                rows.iter()
                    .filter_map(|row| row.get(column))
                    .filter(|value| !is_missing(value))
            };
            let numbers = values().filter(|value| parse_number(value).is_some()).count();
            Kind::decide(numbers, values().count() - numbers)
        })
        .collect()
}
