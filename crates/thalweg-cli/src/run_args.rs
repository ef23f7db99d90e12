//! Arguments of commands that run trials: where results go, how many at once, and the bar that shows how far they are.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use miette::Report;
use thalweg_lab::LabError;
use thalweg_lab::pool::{Ledger, Pool, Reuse};
use thalweg_lab::store::{RunStatus, Store};
use thalweg_lab::study::Advance;
use thalweg_lab::trial::Outcome;

use crate::failure::{Interrupted, LabFailure, UserError};
use crate::read_args;

/// How trials are run.
#[derive(clap::Args)]
pub struct RunArgs {
    /// Trials at once, each on one core [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Take finished trials from earlier runs, also from one that was stopped or killed
    #[arg(long)]
    resume: bool,
    /// Folder of the run store and the results
    #[arg(long, value_name = "DIR", default_value = "thalweg-runs")]
    pub out: PathBuf,
}

impl RunArgs {
    /// Runs trials under a bar of `steps`, and notes in the run store how that ended. `work` is given the pool, and what
    /// moves the bar on for steps that are no trials.
    ///
    /// # Errors
    /// When the store cannot be opened or written, or what `work` fails with.
    pub fn watch<T>(
        &self,
        steps: usize,
        interrupted: &AtomicBool,
        work: impl FnOnce(&Pool, &Advance) -> Result<T, LabError>,
    ) -> miette::Result<(T, Store)> {
        let ledger = self.ledger(&command_line())?;
        let bar = bar(steps);
        let on_done = |objective: &str, _: &Outcome| {
            bar.set_message(objective.to_owned());
            bar.inc(1);
        };
        let pool = Pool {
            jobs: self.jobs(),
            ledger: Some(&ledger),
            interrupted,
            on_done: &on_done,
        };
        let result = work(&pool, &|by| bar.inc(by as u64));
        bar.finish_and_clear();
        let status = match &result {
            Ok(_) => RunStatus::Finished,
            Err(LabError::Interrupted) => RunStatus::Interrupted,
            Err(_) => RunStatus::Failed,
        };
        ledger
            .store
            .finish_run(ledger.run, status)
            .map_err(|error| failed(error.into()))?;
        Ok((result.map_err(failed)?, ledger.store))
    }

    /// Trials at once.
    fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(cores).max(1)
    }

    /// Opens the run store and begins a run in it.
    fn ledger(&self, command: &str) -> miette::Result<Ledger> {
        std::fs::create_dir_all(&self.out).map_err(|error| {
            UserError::new(format!("cannot make the folder {}: {error}", self.out.display()))
        })?;
        let store = Store::open(&self.out.join("runs.sqlite")).map_err(|error| failed(error.into()))?;
        let run = store.begin_run(command).map_err(|error| failed(error.into()))?;
        let reuse = if self.resume { Reuse::Finished } else { Reuse::None };
        Ok(Ledger { store, run, reuse })
    }
}

/// What the user is told of a failure in the lab.
pub fn failed(error: LabError) -> Report {
    match &error {
        LabError::Data(data) => read_args::refusal(data),
        LabError::UnknownObjective { .. } => UserError::new(error)
            .help("`thalweg list` describes them".to_owned())
            .into(),
        LabError::Build(_)
        | LabError::Config(_)
        | LabError::Curvature(_)
        | LabError::Model(_)
        | LabError::Calibration(_)
        | LabError::Embeddings { .. }
        | LabError::Plan(_)
        | LabError::Teacher(_) => UserError::new(error).into(),
        LabError::Interrupted => Interrupted::new(&command_line()).into(),
        _ => LabFailure(error).into(),
    }
}

/// The command as it was typed, quoted for a shell.
pub fn command_line() -> String {
    let words = std::env::args().skip(1).map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    std::iter::once("thalweg".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A flag that Ctrl-C sets; a second Ctrl-C ends the process at once.
///
/// # Errors
/// When the system refuses the handler.
pub fn interruption() -> miette::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .map_err(|error| UserError::new(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(interrupted)
}

/// A bar on the standard error, where that is a terminal.
pub fn bar(steps: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:32.cyan/dim} {pos}/{len}  {elapsed}  {eta} left  {wide_msg}");
    let bar = ProgressBar::new(steps as u64).with_style(style.expect("the template is valid"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
