//! `thalweg diagnose`: whether an embedding is any good, mostly without labels.

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::json;
use thalweg_data::parse_bytes;
use thalweg_lab::diagnosis::{self, Diagnosis, Plan, Reading};
use thalweg_lab::{output, report};

use crate::layout::{self, FAINT, NAME, heading, padded, short, styled, width, wrapped};
use crate::run_args::{command_line, failed};

/// Tell whether an embedding is any good, mostly without labels
///
/// How many dimensions it uses (RankMe, effective and numerical rank), how its spectrum decays (α-ReQ), how evenly it covers
/// the sphere (uniformity); with labels, how close the samples of a class are (tolerance, neural collapse); with a second
/// view of the samples, how close views are (alignment). Rows are streamed: the file may be larger than memory.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Embeddings [samples, features] in an NPY file
    file: PathBuf,
    /// Labels [samples], whole numbers or texts, in an NPY file
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Embeddings of another view of the same samples, in the same order, in an NPY file
    #[arg(long, value_name = "FILE")]
    views: Option<PathBuf>,
    /// Samples between which all distances are measured; a random choice where there are more
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pair_samples: usize,
    /// Seed of that choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// First and last variance, from 1, that α-ReQ is fitted to [default: from 11, or 2 where there are fewer than 50, to
    /// the last above rounding]
    #[arg(long, value_name = "FIRST..LAST")]
    alpha_range: Option<Range>,
    /// Write the measures, the spectra and a projection as one HTML page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// The most memory that labels, or a matrix stored column by column, may take
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_bytes)]
    memory: u64,
}

const EXAMPLES: &str = "\
Examples
  thalweg diagnose embeddings.npy
  thalweg diagnose embeddings.npy --labels labels.npy --report diagnosis.html
  thalweg diagnose view1.npy --views view2.npy --json";

/// `FIRST..LAST`.
#[derive(Clone, Copy, Debug)]
struct Range(usize, usize);

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text
            .split_once("..")
            .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        match ends {
            Some((first, last)) if 1 <= first && first < last => Ok(Self(first, last)),
            _ => Err("two rising numbers from 1 are expected, such as 11..50".to_owned()),
        }
    }
}

/// # Errors
/// When the files cannot be read or do not go together, the embeddings are not finite or all 0, or writing fails.
pub fn run(args: Args) -> miette::Result<()> {
    let plan = Plan {
        embeddings: args.file,
        labels: args.labels,
        views: args.views,
        command: command_line(),
        pair_samples: args.pair_samples,
        seed: args.seed,
        alpha_range: args.alpha_range.map(|Range(first, last)| (first, last)),
        memory_limit: args.memory,
    };
    let found = diagnosis::diagnose(&plan).map_err(failed)?;
    if let Some(path) = &args.report {
        output::whole(path, report::diagnosis_html(&found)).map_err(failed)?;
    }
    if args.json {
        return layout::print_json(&json!(found));
    }
    layout::print(|out| {
        table(out, &found)?;
        match &args.report {
            Some(path) => writeln!(out, "Report: {}", path.display()),
            None => Ok(()),
        }
    })
}

/// Of the longest name, and of a value.
const COLUMNS: (usize, usize) = (18, 10);

fn table(out: &mut dyn Write, found: &Diagnosis) -> io::Result<()> {
    let classes = match found.classes.len() {
        0 => String::new(),
        1 => ", 1 class".to_owned(),
        classes => format!(", {classes} classes"),
    };
    let size = format!("{} samples, {} features{classes}", found.samples, found.width);
    heading(out, &format!("Diagnosis of {}", found.name), &size)?;
    writeln!(out)?;
    for reading in found.readings() {
        row(out, &reading)?;
    }
    writeln!(out)?;
    let mut notes = Vec::new();
    if found.zero_samples > 0 {
        notes.push(format!(
            "{} samples are 0 in every feature; uniformity, alignment and tolerance leave them out.",
            found.zero_samples
        ));
    }
    notes.push(
        "Ranks and α-ReQ are those of the rows as they are, the others of rows brought to length 1. Compare runs of one \
         method only; a high rank is necessary for a good representation, not sufficient."
            .to_owned(),
    );
    for line in notes.iter().flat_map(|note| wrapped(note, width())) {
        writeln!(out, "{}", styled(FAINT, &line))?;
    }
    Ok(())
}

fn row(out: &mut dyn Write, reading: &Reading) -> io::Result<()> {
    let (names, values) = COLUMNS;
    let value = reading.value.map_or("—".to_owned(), short).replace('-', "−");
    let indent = 2 + names + values + 2;
    let lines = wrapped(&reading.detail, width() - indent);
    let first = lines.first().map_or("", String::as_str);
    let start = format!(
        "  {}{value:>values$}  ",
        styled(NAME, &padded(reading.name, names))
    );
    writeln!(out, "{start}{}", styled(FAINT, first))?;
    for line in lines.iter().skip(1) {
        writeln!(out, "{}{}", " ".repeat(indent), styled(FAINT, line))?;
    }
    Ok(())
}
