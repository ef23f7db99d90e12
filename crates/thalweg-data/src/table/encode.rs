//! From a table to a data set: missing values filled in, categories one-hot.

use super::{Content, Table, name_of};
use crate::dataset::{BagColumn, Dataset, Numbers};
use crate::error::DataError;
use crate::impute::{Gap, fill};
use crate::options::ReadOptions;
use crate::source::check_memory;

impl Table {
    pub(crate) fn encode(mut self, options: &ReadOptions) -> Result<Dataset, DataError> {
        if let Some(problem) = self.check(options.impute).into_iter().next() {
            return Err(problem);
        }
        if let Some(impute) = options.impute {
            let gaps: Vec<(usize, Gap)> = self
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.missing > 0)
                .map(|(index, column)| match column.content {
                    Content::Numbers => (index, Gap::Number(impute)),
                    Content::Categories(_) => (index, Gap::Category),
                })
                .collect();
            fill(&mut self.cells, self.columns.len(), &gaps);
        }
        let numbers = self.numbers().map(|values| Numbers {
            name: self.target.name.clone(),
            values,
        });
        let bags = self.bags.take().map(|(names, index)| BagColumn { index, names });
        let feature_names = self.feature_names();
        let width = feature_names.len();
        let features = if self
            .columns
            .iter()
            .all(|column| matches!(column.content, Content::Numbers))
        {
            self.cells
        } else {
            let bytes = 4 * (self.cells.len() as u64).saturating_add(self.rows() as u64 * (width as u64 + 1));
            check_memory(&self.file, bytes, options.memory_limit)?;
            self.one_hot(width)
        };
        Ok(Dataset {
            name: name_of(&self.file),
            features,
            labels: match numbers {
                Some(_) => vec![0; self.target.labels.len()],
                None => self.target.labels,
            },
            classes: match numbers {
                Some(_) => Vec::new(),
                None => self.target.classes,
            },
            feature_names,
            feature_shape: vec![width],
            published_test: None,
            numbers,
            bags,
            licence: None,
        })
    }

    fn feature_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for column in &self.columns {
            match &column.content {
                Content::Numbers => names.push(column.name.clone()),
                Content::Categories(categories) => {
                    names.extend(
                        categories
                            .iter()
                            .map(|category| format!("{}={category}", column.name)),
                    );
                }
            }
        }
        names
    }

    fn one_hot(&self, width: usize) -> Vec<f32> {
        let mut features = vec![0.0; self.rows() * width];
        for (row, cells) in features
            .chunks_exact_mut(width)
            .zip(self.cells.chunks_exact(self.columns.len()))
        {
            let mut start = 0;
            for (column, &cell) in self.columns.iter().zip(cells) {
                match &column.content {
                    Content::Numbers => {
                        row[start] = cell;
                        start += 1;
                    }
                    Content::Categories(categories) => {
                        row[start + cell as usize] = 1.0;
                        start += categories.len();
                    }
                }
            }
        }
        features
    }
}
