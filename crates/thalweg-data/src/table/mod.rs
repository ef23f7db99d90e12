//! A table: named columns of numbers or categories, and the classes. CSV and Parquet both end here.
//!
//! The cells of all feature columns lie row-major in one allocation. Without categories that allocation *is* the
//! feature matrix of the data set, so a large table of numbers is never held twice.

mod build;
mod check;
mod encode;
mod plan;

pub(crate) use build::{Builder, Cell, Kind, Outcome, is_missing, parse_number};
pub(crate) use check::class_problem;
pub(crate) use plan::{Plan, Role};

use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::useless::is_identifier;

/// A table as read, whether or not it can be used.
pub(crate) struct Table {
    pub(crate) file: PathBuf,
    pub(crate) columns: Vec<Column>,
    /// `[rows, columns]`: numbers, or indices of categories; NaN where the value is missing.
    pub(crate) cells: Vec<f32>,
    pub(crate) target: Target,
    /// Names of the bags, sorted, and the bag of each row.
    pub(crate) bags: Option<(Vec<String>, Vec<u32>)>,
    /// What was wrong with single values, in the order of the columns.
    pub(crate) problems: Vec<DataError>,
}

/// A feature column.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) content: Content,
    pub(crate) missing: usize,
}

/// What a column holds.
pub(crate) enum Content {
    Numbers,
    /// The categories, sorted.
    Categories(Vec<String>),
}

/// The column of the classes.
pub(crate) struct Target {
    pub(crate) name: String,
    /// Sorted.
    pub(crate) classes: Vec<String>,
    /// By row; [`Target::MISSING`] where there is no class.
    pub(crate) labels: Vec<u32>,
}

impl Target {
    pub(crate) const MISSING: u32 = u32::MAX;
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.target.labels.len()
    }

    /// The targets as numbers, where they are such and not classes: only bags make sense of them.
    pub(crate) fn numbers(&self) -> Option<Vec<f64>> {
        self.bags.as_ref()?;
        let numbers: Option<Vec<f64>> = self.target.classes.iter().map(|text| text.parse().ok()).collect();
        let numbers = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()))?;
        let measured = numbers.iter().any(|number| number.fract() != 0.0);
        let many = is_identifier(numbers.len(), self.rows());
        (measured || many).then(|| {
            let of_row = |&label: &u32| numbers.get(label as usize).copied().unwrap_or(f64::NAN);
            self.target.labels.iter().map(of_row).collect()
        })
    }

    /// The cells of a column that have a value.
    pub(crate) fn present(&self, column: usize) -> impl Iterator<Item = f32> {
        self.values(column).filter(|value| !value.is_nan())
    }

    /// The cells of a column.
    pub(crate) fn values(&self, column: usize) -> impl Iterator<Item = f32> {
        self.cells
            .iter()
            .skip(column)
            .step_by(self.columns.len())
            .copied()
    }
}

/// The name of a data set: that of its file without extensions.
pub(crate) fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    match name.split('.').next() {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => name.into_owned(),
    }
}
