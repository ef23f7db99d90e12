//! Building a table cell by cell, in any order within the rows there are.
//!
//! Whether a column holds numbers or categories is known for sure only at its end. It is read under a guess; where
//! the counts contradict the guess, the caller is told the truth and reads once more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::plan::{Plan, Role};
use super::{Column, Content, Table, Target};
use crate::error::{DataError, Place};
use crate::options::ReadOptions;
use crate::source::check_memory;
use crate::useless::Useless;

/// More categories than this in one column are refused while reading.
const MOST_CATEGORIES: usize = 10_000;

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Numbers,
    Categories,
}

impl Kind {
    /// A column is numeric when nine of ten of its values are: the rest are then mistakes, not categories.
    pub(crate) fn decide(numbers: usize, texts: usize) -> Self {
        if 9 * texts > numbers {
            Self::Categories
        } else {
            Self::Numbers
        }
    }
}

/// One value on its way into the table.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Missing,
    Number(f64),
    Text(&'a str),
}

/// What the places handed to [`Builder::put`] mean in a file. Asked only for what goes into an error.
pub(crate) type Locate = fn(&Path, u64) -> Place;

/// How reading ended.
pub(crate) enum Outcome {
    Read(Table),
    /// The kinds of the columns are these, other than they were guessed.
    Misjudged(Vec<Kind>),
}

/// Whether a text stands for a missing value.
pub(crate) fn is_missing(text: &str) -> bool {
    text.len() <= 4
        && (text.is_empty()
            || text == "?"
            || ["na", "n/a", "nan", "null"]
                .iter()
                .any(|marker| text.eq_ignore_ascii_case(marker)))
}

/// The number a text stands for; it may be infinite, but never NaN.
pub(crate) fn parse_number(text: &str) -> Option<f32> {
    text.parse().ok().filter(|number: &f32| !number.is_nan())
}

pub(crate) struct Builder<'a> {
    file: PathBuf,
    locate: Locate,
    memory_limit: u64,
    plan: &'a Plan,
    features: Vec<Feature>,
    cells: Vec<f32>,
    rows: usize,
    classes: Codes,
    bags: Option<Codes>,
}

/// A column of names as codes, those of rows without one [`Target::MISSING`].
#[derive(Default)]
struct Codes {
    dictionary: Dictionary,
    by_row: Vec<u32>,
    missing: usize,
    first_missing: Option<u64>,
}

impl Codes {
    fn put(&mut self, row: usize, cell: Cell, place: u64) {
        self.by_row[row] = match cell {
            Cell::Text(text) if !is_missing(text) => self.dictionary.code(text),
            Cell::Number(number) if !number.is_nan() => self.dictionary.code(&number.to_string()),
            _ => {
                self.missing += 1;
                self.first_missing.get_or_insert(place);
                Target::MISSING
            }
        };
    }

    /// The names in order, and each row's.
    fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let (names, places) = self.dictionary.sorted();
        let mut by_row = self.by_row;
        for code in by_row.iter_mut().filter(|code| **code != Target::MISSING) {
            *code = places[*code as usize];
        }
        (names, by_row)
    }
}

struct Feature {
    kind: Kind,
    numbers: usize,
    texts: usize,
    missing: usize,
    first_text: Option<(u64, String)>,
    first_infinite: Option<(u64, String)>,
    categories: Dictionary,
}

/// Texts numbered in the order of their first appearance.
#[derive(Default)]
struct Dictionary {
    codes: HashMap<String, u32>,
}

impl Dictionary {
    fn code(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        let code = self.codes.len() as u32;
        self.codes.insert(text.to_owned(), code);
        code
    }

    /// The texts in order (of numbers where all are numbers), and for each code its place in that order.
    fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let mut texts: Vec<(String, u32)> = self.codes.into_iter().collect();
        let numeric: Option<Vec<f64>> = texts.iter().map(|(text, _)| text.parse().ok()).collect();
        if numeric.is_some_and(|numbers| numbers.iter().all(|number| !number.is_nan())) {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            texts.sort_by(|(a, _), (b, _)| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
        } else {
            texts.sort();
        }
        let mut places = vec![0; texts.len()];
        for (place, &(_, code)) in texts.iter().enumerate() {
            places[code as usize] = place as u32;
        }
        (texts.into_iter().map(|(text, _)| text).collect(), places)
    }
}

impl<'a> Builder<'a> {
    /// A table to be read with the columns' `kinds` as guessed.
    pub(crate) fn new(
        file: &Path,
        locate: Locate,
        plan: &'a Plan,
        kinds: &[Kind],
        options: &ReadOptions,
    ) -> Self {
        Self {
            file: file.to_owned(),
            locate,
            memory_limit: options.memory_limit,
            plan,
            features: kinds.iter().copied().map(Feature::new).collect(),
            cells: Vec::new(),
            rows: 0,
            classes: Codes::default(),
            bags: plan.bag.as_ref().map(|_| Codes::default()),
        }
    }

    /// The bytes that `rows` rows take.
    pub(crate) fn bytes(&self, rows: u64) -> u64 {
        let codes = 1 + u64::from(self.bags.is_some());
        rows.saturating_mul(4 * (self.features.len() as u64 + codes))
    }

    /// Adds rows of missing values up to `rows` in all.
    pub(crate) fn grow(&mut self, rows: usize) -> Result<(), DataError> {
        check_memory(&self.file, self.bytes(rows as u64), self.memory_limit)?;
        self.rows = rows;
        self.cells.resize(rows * self.features.len(), f32::NAN);
        for codes in std::iter::once(&mut self.classes).chain(&mut self.bags) {
            codes.by_row.resize(rows, Target::MISSING);
        }
        Ok(())
    }

    /// Puts the value of `column` (among all of the file) into `row`, found at `place` of the file.
    pub(crate) fn put(&mut self, row: usize, column: usize, cell: Cell, place: u64) -> Result<(), DataError> {
        match self.plan.roles[column] {
            Role::Dropped => Ok(()),
            Role::Feature(index) => {
                let width = self.features.len();
                let feature = &mut self.features[index];
                self.cells[row * width + index] = feature.value(cell, place);
                if feature.categories.codes.len() > MOST_CATEGORIES {
                    let why = Useless::Identifier {
                        distinct: feature.categories.codes.len(),
                        rows: self.rows,
                    };
                    return Err(DataError::UselessColumns {
                        file: self.file.clone(),
                        columns: vec![(self.plan.features[index].clone(), why)],
                    });
                }
                Ok(())
            }
            Role::Target => self.put_label(row, cell, place),
            Role::Bag => {
                let bags = self.bags.as_mut().expect("the plan has a bag column");
                bags.put(row, cell, place);
                Ok(())
            }
        }
    }

    fn put_label(&mut self, row: usize, cell: Cell, place: u64) -> Result<(), DataError> {
        self.classes.put(row, cell, place);
        let classes = self.classes.dictionary.codes.len();
        // Numbers of bags are not classes, and may all differ.
        if classes > MOST_CATEGORIES && self.bags.is_none() {
            return Err(DataError::ManyClasses {
                file: self.file.clone(),
                column: self.plan.target.clone(),
                classes,
                rows: self.rows,
            });
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Outcome {
        let truth: Vec<Kind> = self
            .features
            .iter()
            .map(|it| Kind::decide(it.numbers, it.texts))
            .collect();
        if self
            .features
            .iter()
            .zip(&truth)
            .any(|(feature, &kind)| feature.kind != kind)
        {
            return Outcome::Misjudged(truth);
        }
        let problems = self.problems();
        let width = self.features.len();
        let mut columns = Vec::with_capacity(width);
        for (index, (feature, kind)) in self.features.into_iter().zip(truth).enumerate() {
            let content = match kind {
                Kind::Numbers => Content::Numbers,
                Kind::Categories => {
                    let (categories, places) = feature.categories.sorted();
                    for cell in self
                        .cells
                        .iter_mut()
                        .skip(index)
                        .step_by(width)
                        .filter(|it| !it.is_nan())
                    {
                        *cell = places[*cell as usize] as f32;
                    }
                    Content::Categories(categories)
                }
            };
            let name = self.plan.features[index].clone();
            columns.push(Column {
                name,
                content,
                missing: feature.missing,
            });
        }
        let (classes, labels) = self.classes.sorted();
        let target = Target {
            name: self.plan.target.clone(),
            classes,
            labels,
        };
        Outcome::Read(Table {
            file: self.file,
            columns,
            cells: self.cells,
            target,
            bags: self.bags.map(Codes::sorted),
            problems,
        })
    }

    fn problems(&self) -> Vec<DataError> {
        let place = |place: u64, column: &str| (self.locate)(&self.file, place).column(column);
        let mut problems = Vec::new();
        for (feature, name) in self.features.iter().zip(&self.plan.features) {
            if feature.kind == Kind::Categories {
                continue;
            }
            if let Some((line, value)) = &feature.first_text {
                problems.push(DataError::NotANumber {
                    place: place(*line, name),
                    value: value.clone(),
                    numbers: feature.numbers,
                });
            }
            if let Some((line, value)) = &feature.first_infinite {
                problems.push(DataError::NotFinite {
                    place: place(*line, name),
                    value: value.clone(),
                });
            }
        }
        if let Some(line) = self.classes.first_missing {
            let place = place(line, &self.plan.target);
            let count = self.classes.missing;
            problems.push(DataError::MissingTarget { place, count });
        }
        if let (Some(bags), Some(name)) = (&self.bags, &self.plan.bag)
            && let Some(line) = bags.first_missing
        {
            let count = bags.missing;
            let place = place(line, name);
            problems.push(DataError::MissingBag { place, count });
        }
        problems
    }
}

impl Feature {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            numbers: 0,
            texts: 0,
            missing: 0,
            first_text: None,
            first_infinite: None,
            categories: Dictionary::default(),
        }
    }

    fn value(&mut self, cell: Cell, place: u64) -> f32 {
        match cell {
            Cell::Number(number) if !number.is_nan() => {
                self.numbers += 1;
                match self.kind {
                    Kind::Categories => self.categories.code(&number.to_string()) as f32,
                    Kind::Numbers => self.finite(number as f32, place, || number.to_string()),
                }
            }
            Cell::Text(text) if !is_missing(text) => match (parse_number(text), self.kind) {
                (number, Kind::Categories) => {
                    *if number.is_some() {
                        &mut self.numbers
                    } else {
                        &mut self.texts
                    } += 1;
                    self.categories.code(text) as f32
                }
                (Some(number), Kind::Numbers) => {
                    self.numbers += 1;
                    self.finite(number, place, || text.to_owned())
                }
                (None, Kind::Numbers) => {
                    self.texts += 1;
                    self.first_text.get_or_insert_with(|| (place, text.to_owned()));
                    f32::NAN
                }
            },
            _ => {
                self.missing += 1;
                f32::NAN
            }
        }
    }

    fn finite(&mut self, number: f32, place: u64, text: impl Fn() -> String) -> f32 {
        if number.is_infinite() {
            self.first_infinite.get_or_insert_with(|| (place, text()));
        }
        number
    }
}
