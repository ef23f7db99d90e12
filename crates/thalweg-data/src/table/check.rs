//! What must not be in a table that classes are to be learnt from.

use super::{Content, Table, Target};
use crate::error::DataError;
use crate::options::Impute;
use crate::useless::{Useless, counts_rows, is_identifier};

impl Table {
    /// Everything that keeps the table from being used, most basic first; its single values' problems are moved out
    /// of it.
    pub(crate) fn check(&mut self, impute: Option<Impute>) -> Vec<DataError> {
        let mut problems = std::mem::take(&mut self.problems);
        let unusable = [
            self.useless_columns(),
            self.missing_values(impute),
            self.target_problem(),
        ];
        problems.extend(unusable.into_iter().flatten());
        problems
    }

    fn useless_columns(&self) -> Option<DataError> {
        let columns: Vec<(String, Useless)> = (0..self.columns.len())
            .filter_map(|index| Some((self.columns[index].name.clone(), self.useless(index)?)))
            .collect();
        (!columns.is_empty()).then(|| DataError::UselessColumns {
            file: self.file.clone(),
            columns,
        })
    }

    fn useless(&self, index: usize) -> Option<Useless> {
        let column = &self.columns[index];
        let mut present = self.present(index);
        let Some(first) = present.next() else {
            // A column of mistakes only has no value either, but the mistakes are told on their own.
            return (column.missing == self.rows()).then_some(Useless::NoValues);
        };
        if present.all(|value| value == first) {
            return Some(Useless::Constant(match &column.content {
                Content::Numbers => first.to_string(),
                Content::Categories(categories) => categories[first as usize].clone(),
            }));
        }
        match &column.content {
            Content::Numbers => counts_rows(self.values(index)).then_some(Useless::RowNumbers),
            Content::Categories(categories) => {
                let (distinct, rows) = (categories.len(), self.rows() - column.missing);
                is_identifier(distinct, rows).then_some(Useless::Identifier { distinct, rows })
            }
        }
    }

    fn missing_values(&self, impute: Option<Impute>) -> Option<DataError> {
        if impute.is_some() {
            return None;
        }
        let columns: Vec<(String, usize)> = self
            .columns
            .iter()
            .filter(|column| column.missing > 0)
            .map(|column| (column.name.clone(), column.missing))
            .collect();
        let (file, rows) = (self.file.clone(), self.rows());
        (!columns.is_empty()).then_some(DataError::MissingValues { file, columns, rows })
    }

    fn target_problem(&self) -> Option<DataError> {
        if self.numbers().is_some() {
            return None;
        }
        let labelled = self
            .target
            .labels
            .iter()
            .filter(|&&label| label != Target::MISSING)
            .count();
        class_problem(&self.file, &self.target.name, &self.target.classes, labelled)
    }
}

/// Why these cannot be the classes of `rows` samples.
pub(crate) fn class_problem(
    file: &std::path::Path,
    target: &str,
    classes: &[String],
    rows: usize,
) -> Option<DataError> {
    if let [class] = classes {
        return Some(DataError::OneClass {
            file: file.to_owned(),
            class: class.clone(),
        });
    }
    is_identifier(classes.len(), rows).then(|| DataError::ManyClasses {
        file: file.to_owned(),
        column: target.to_owned(),
        classes: classes.len(),
        rows,
    })
}
