//! Arguments that say how a data set is read.

use miette::Report;
use thalweg_data::{DataError, Impute, ReadOptions, parse_bytes};

use crate::failure::UserError;

/// How a data set is read.
#[derive(clap::Args)]
pub struct ReadArgs {
    /// Where the classes are: a column of a table by name or number, the labels' file beside an IDX or NPY file, an array
    /// of an NPZ file
    #[arg(long, value_name = "COL")]
    target: Option<String>,
    /// Columns of a table to leave out
    #[arg(long, value_name = "COL,..", value_delimiter = ',')]
    drop: Vec<String>,
    /// Fill in missing numbers with the mean or median of their column, missing categories with the most frequent
    #[arg(long, value_name = "mean|median")]
    impute: Option<Impute>,
    /// The most memory the arrays of the set may take
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_bytes)]
    memory: u64,
}

impl ReadArgs {
    /// The options for the reader.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            target: self.target.clone(),
            bag: None,
            drop: self.drop.clone(),
            impute: self.impute,
            memory_limit: self.memory,
        }
    }
}

/// What is wrong with a data set, as the user is told.
pub fn refusal(error: &DataError) -> Report {
    UserError::new(error).help(error.help()).into()
}
