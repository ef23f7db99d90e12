//! `thalweg data`: the built-in data sets, and what is in a file.

mod description;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use thalweg_data::{describe, embedded};

use crate::layout;
use crate::read_args::{ReadArgs, refusal};

/// Look at data sets
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(ListArgs),
    Describe(DescribeArgs),
}

/// List the built-in data sets
#[derive(clap::Args)]
struct ListArgs {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Describe a data set: shape, classes, missing values, a histogram of every column
///
/// Reads CSV and TSV, Parquet, IDX (also .gz, and folders of IDX files), NPY and NPZ, or a built-in set by its name. A set
/// that cannot be trained on as it is is described all the same, with what is wrong and what to do about it.
#[derive(clap::Args)]
struct DescribeArgs {
    /// File, folder, or the name of a built-in set
    path: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Print the description as JSON
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When the data set cannot be read, or writing fails.
pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::List(args) => list(&args),
        Command::Describe(args) => {
            let description =
                describe::describe(&args.path, &args.read.options()).map_err(|error| refusal(&error))?;
            if args.json {
                return layout::print_json(&json!(description));
            }
            layout::print(|out| description::write(out, &description))
        }
    }
}

fn list(args: &ListArgs) -> miette::Result<()> {
    if args.json {
        let sets: Vec<_> = embedded::list()
            .iter()
            .map(|set| json!({"name": set.name, "summary": set.summary, "licence": set.licence}))
            .collect();
        return layout::print_json(&json!(sets));
    }
    layout::print(|out| {
        layout::heading(out, "Built-in data sets", "more: thalweg data describe NAME")?;
        let names = embedded::list()
            .iter()
            .map(|set| set.name.len())
            .max()
            .unwrap_or(0);
        let room = layout::width() - names - 4;
        for set in embedded::list() {
            layout::row(out, (set.name, names), &[(set.summary, room)])?;
            layout::row(out, ("", names), &[(set.licence, room)])?;
        }
        Ok(())
    })
}
