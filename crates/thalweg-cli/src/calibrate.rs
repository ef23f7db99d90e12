//! `thalweg calibrate`: probabilities of a trained classifier that mean what they say.

mod apply;
mod diagram;
mod table;

use std::path::{Path, PathBuf};

use miette::Report;
use serde_json::json;
use thalweg::calibration::{CalibrationError, CalibratorConfig, Logits, Method};
use thalweg_data::parse_bytes;
use thalweg_data::scores::{self, ScoreError, ScoreOptions, ScoreSet};
use thalweg_lab::calibration::{self, Calibration, Plan};
use thalweg_lab::{output, report};

use crate::failure::UserError;
use crate::layout;
use crate::run_args::{bar, command_line, failed};

/// Make the probabilities of a trained classifier mean what they say
///
/// Takes the logits that a model of any framework gave to samples it was not trained on, and their labels. Every method is
/// judged out of fold: a sample is calibrated by what was fitted to the other folds. With --out the best method (or the
/// one named), fitted to all samples, is saved; --apply uses it on new logits.
#[derive(clap::Args)]
#[command(after_long_help = METHODS)]
pub struct Args {
    /// Logits [samples, classes] in an NPZ, NPY or CSV file
    file: PathBuf,
    /// Labels: an array of the NPZ file, a column of the CSV file, or a file [default: labels, label, targets, target or
    /// y, where there is one]
    #[arg(long, value_name = "NAME|FILE")]
    labels: Option<String>,
    /// Logits of transformed views of the same samples, each [samples, classes] or [views, samples, classes]: arrays of
    /// the NPZ file, or files [default: views or view_logits, where there is one]
    #[arg(long, value_name = "NAME|FILE,..", value_delimiter = ',')]
    views: Vec<String>,
    /// The array of the logits in an NPZ file [default: logits, scores, outputs, predictions, arr_0 or the only one]
    #[arg(long = "logits", value_name = "NAME")]
    array: Option<String>,
    /// The file holds probabilities, not logits
    #[arg(long)]
    probabilities: bool,
    /// Methods to compare, or `all` [default: all that the file allows]
    #[arg(long, value_name = "METHOD,..", value_delimiter = ',')]
    method: Vec<String>,
    /// Parts of the samples; each is calibrated by what is fitted to the others
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "apply")]
    folds: usize,
    /// Seed of the folds, and of the weights and batches of networks
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "apply")]
    seed: u64,
    /// Apply a saved calibrator to the logits; with labels, also judge it
    #[arg(long, value_name = "CALIBRATOR", conflicts_with_all = ["method", "report"])]
    apply: Option<PathBuf>,
    /// Where to save the calibrator (JSON, or .safetensors); with --apply, the probabilities (.npy or .csv)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the comparison with reliability diagrams as one HTML page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// The most memory any one array may take
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_bytes)]
    memory: u64,
    #[command(flatten)]
    settings: Settings,
}

/// What methods may be told.
#[derive(clap::Args)]
#[command(next_help_heading = "Settings of methods")]
struct Settings {
    /// histogram: bins a class
    #[arg(long, value_name = "N", conflicts_with = "apply", default_value_t = 15)]
    bins: usize,
    /// matrix: weight of the mean square off the diagonal
    #[arg(long, value_name = "X", conflicts_with = "apply", default_value_t = 1.0)]
    off_diagonal_penalty: f64,
    /// vector, matrix: weight of the mean square of the shifts
    #[arg(long, value_name = "X", conflicts_with = "apply", default_value_t = 0.01)]
    intercept_penalty: f64,
    /// Networks: classes of the original at which views are looked at
    #[arg(long, value_name = "N", conflicts_with = "apply", default_value_t = 4)]
    top_k: usize,
    /// Networks: Adam steps
    #[arg(long, value_name = "N", conflicts_with = "apply", default_value_t = 600)]
    steps: usize,
    /// Networks: learning rate
    #[arg(long, value_name = "X", conflicts_with = "apply", default_value_t = 2e-3)]
    learning_rate: f64,
    /// Networks: samples of a step
    #[arg(long, value_name = "N", conflicts_with = "apply", default_value_t = 1000)]
    batch_size: usize,
}

const METHODS: &str = "\
Methods
  temperature                 one temperature, by likelihood
  ensemble-temperature        mixture of scaled, unscaled and uniform
  vector                      a factor and a shift for each class *
  matrix                      a matrix and shifts, regularised (ODIR) *
  isotonic                    a rising function for each class *
  histogram                   a step function for each class *
  correctness-aware           a temperature per sample from its views, trained
                              on whether the prediction is correct
  correctness-aware-balanced  the same, right and wrong weighing the same: for
                              shifted data; lowers confidence elsewhere
  cross-entropy-network       the same network trained on cross-entropy
  brier-network               the same network trained on squared error
  * may change the predicted class

Views are what the same model says of each sample when it is changed a little,
in the same order: an image rotated, in grey, with its colours jittered. The
four methods with a network need them: without views they are left out, and
refused by name. Labels are numbers from 0, or in a CSV file the names of the
columns of logits.

Examples
  thalweg calibrate val.npz --out calibrator.json --report calibration.html
  thalweg calibrate val.npy --labels y.npy --method temperature,isotonic
  thalweg calibrate --apply calibrator.json test.npz --out probabilities.npy";

/// # Errors
/// When the files cannot be read or do not go together, a method cannot be fitted, or writing fails.
pub fn run(args: Args) -> miette::Result<()> {
    match &args.apply {
        Some(calibrator) => apply::run(&args, calibrator),
        None => fit(&args),
    }
}

fn fit(args: &Args) -> miette::Result<()> {
    let set = read(args)?;
    let logits = logits(args, &set)?;
    let Some(labels) = set.labels else {
        return Err(UserError::new(format!("{}: no labels found", args.file.display()))
            .help("name them with `--labels`: an array of the NPZ file, a column of the CSV file, or a file".to_owned())
            .into());
    };
    let (methods, left_out) = methods(args, &logits)?;
    let plan = Plan {
        name: set.name,
        command: command_line(),
        methods,
        folds: args.folds,
        seed: args.seed,
        settings: args.settings.config(),
    };
    let bar = bar(plan.methods.len() * (plan.folds + 1));
    let found = calibration::compare(&plan, &logits, &labels, &|| bar.inc(1));
    bar.finish_and_clear();
    let found = found.map_err(failed)?;
    let saved = args.out.as_deref().map(|out| save(&found, out)).transpose()?;
    if let Some(path) = &args.report {
        output::whole(path, report::calibration_html(&found)).map_err(failed)?;
    }
    if args.json {
        let mut document = json!(found);
        document["left_out"] = json!(left_out);
        document["saved"] = json!(saved.map(|(method, _)| method));
        return layout::print_json(&document);
    }
    layout::print(|out| {
        table::comparison(out, &found)?;
        diagram::comparison(out, &found)?;
        table::notes(out, &found, &left_out)?;
        if let Some((method, learnt)) = &saved {
            let file = args.out.as_deref().unwrap_or(Path::new("")).display();
            writeln!(
                out,
                "Saved {method} ({learnt}), fitted to all {} samples: {file}",
                found.samples
            )?;
        }
        if let Some(path) = &args.report {
            writeln!(out, "Report: {}", path.display())?;
        }
        Ok(())
    })
}

/// Saves the method of the lowest out-of-fold likelihood; returns it and what it has learnt.
fn save(found: &Calibration, out: &Path) -> miette::Result<(Method, String)> {
    let methods = found.methods.iter();
    let lowest = methods.min_by(|a, b| a.after.nll.total_cmp(&b.after.nll));
    let judged = lowest.expect("there is at least one method");
    let bytes = match out.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => judged.calibrator.to_safetensors(),
        _ => (judged.calibrator.to_json() + "\n").into_bytes(),
    };
    output::whole(out, bytes).map_err(failed)?;
    Ok((judged.method, judged.learnt.clone()))
}

/// The methods asked for, else all that the logits allow and why others are left out.
fn methods(args: &Args, logits: &Logits) -> miette::Result<(Vec<Method>, Vec<String>)> {
    if args.method.is_empty() || args.method == ["all"] {
        return Ok(calibration::default_methods(logits));
    }
    let mut methods = Vec::new();
    for name in &args.method {
        let method: Method = name.parse().map_err(UserError::new)?;
        if method.needs_views() && logits.n_views() == 0 {
            return Err(views_missing(&CalibrationError::ViewsMissing { method }));
        }
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok((methods, Vec::new()))
}

fn views_missing(error: &CalibrationError) -> Report {
    let help = "give the logits of the same model for changed versions of the samples (an image rotated, in grey, with its \
                colours jittered) with `--views`";
    UserError::new(error).help(help.to_owned()).into()
}

impl Settings {
    fn config(&self) -> CalibratorConfig {
        CalibratorConfig::new(Method::Temperature)
            .with_n_bins(self.bins)
            .with_off_diagonal_penalty(self.off_diagonal_penalty)
            .with_intercept_penalty(self.intercept_penalty)
            .with_top_k(self.top_k)
            .with_steps(self.steps)
            .with_learning_rate(self.learning_rate)
            .with_batch_size(self.batch_size)
    }
}

fn read(args: &Args) -> miette::Result<ScoreSet> {
    let options = ScoreOptions {
        logits: args.array.clone(),
        labels: args.labels.clone(),
        views: args.views.clone(),
        memory_limit: args.memory,
    };
    scores::read(&args.file, &options).map_err(|error| refusal(&error))
}

fn refusal(error: &ScoreError) -> Report {
    UserError::new(error).help(error.help()).into()
}

/// The scores of a file as logits, with their views.
fn logits(args: &Args, set: &ScoreSet) -> miette::Result<Logits> {
    let refused =
        |error: CalibrationError| Report::from(UserError::new(format!("{}: {error}", args.file.display())));
    let classes = set.scores.shape[1];
    let read = |values: &[f64]| {
        if args.probabilities {
            Logits::of_probabilities(values, classes)
        } else {
            Logits::new(values.to_vec(), classes)
        }
    };
    let logits = read(&set.scores.values).map_err(refused)?;
    if !args.probabilities && logits.look_like_probabilities() {
        let problem = format!(
            "{}: every row sums to 1: these are probabilities",
            args.file.display()
        );
        return Err(UserError::new(problem)
            .help("give logits, or say `--probabilities`".to_owned())
            .into());
    }
    match &set.views {
        None => Ok(logits),
        Some(views) => {
            let views = read(&views.values).map_err(refused)?;
            logits.with_views(views.values()).map_err(refused)
        }
    }
}
