//! The thalweg workbench: which objective to train with, whether a paper's claim holds, what a quantity is.
//!
//! Exit codes: 0 done; 1 thalweg or its surroundings failed; 2 the command or its data are at fault and the user can put
//! it right. A reader that closes the pipe early has what it wanted: that is no error.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod calibrate;
mod compare;
mod data;
mod diagnose;
mod distill;
mod eval;
mod failure;
mod layout;
mod list;
mod prune;
mod read_args;
mod run_args;
mod show;
mod study;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg_kernels::memory::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Training objectives, chosen, understood, verified and compared.
#[derive(Parser)]
#[command(name = "thalweg", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Compare(Box<compare::Args>),
    Distill(Box<distill::Args>),
    Prune(Box<prune::Args>),
    Study(study::Args),
    Calibrate(Box<calibrate::Args>),
    Diagnose(diagnose::Args),
    Eval(eval::Args),
    List(list::Args),
    Show(show::Args),
    Data(data::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) if failure::is_closed_pipe(&report) => ExitCode::SUCCESS,
        Err(report) => {
            // Where stderr is closed as well there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "{report:?}");
            failure::exit_code(&report)
        }
    }
}

fn run(cli: Cli) -> miette::Result<()> {
    match cli.command {
        Some(Command::Compare(args)) => compare::run(*args),
        Some(Command::Distill(args)) => distill::run(*args),
        Some(Command::Prune(args)) => prune::run(*args),
        Some(Command::Study(args)) => study::run(args),
        Some(Command::Calibrate(args)) => calibrate::run(*args),
        Some(Command::Diagnose(args)) => diagnose::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::List(args)) => list::run(args, &study::listed()),
        Some(Command::Show(args)) => show::run(args),
        Some(Command::Data(args)) => data::run(args),
        None => compare::run(compare::Args::unnamed()),
    }
}
