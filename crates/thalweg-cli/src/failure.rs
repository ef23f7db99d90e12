//! What may go wrong, and what the shell is told of it.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use miette::{Diagnostic, Report};

/// A mistake in the command or its data: what is wrong and where, and what to do about it.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{problem}")]
pub struct UserError {
    problem: String,
    #[help]
    help: Option<String>,
}

impl UserError {
    /// A mistake that speaks for itself.
    pub fn new(problem: impl ToString) -> Self {
        Self {
            problem: problem.to_string(),
            help: None,
        }
    }

    /// Adds what to do about it, if anything can be said.
    #[must_use]
    pub fn help(self, help: impl Into<Option<String>>) -> Self {
        Self {
            help: help.into(),
            ..self
        }
    }

    /// A name that is not there: `kind` says what was looked for, `nearest` what may have been meant, `list` how to see
    /// all there are.
    pub fn unknown(kind: &str, name: &str, nearest: &[&str], list: &str) -> Self {
        let nearest: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
        let help = if nearest.is_empty() {
            list.to_owned()
        } else {
            format!("did you mean {}? {list}", nearest.join(" or "))
        };
        Self::new(format!("there is no {kind} `{name}`")).help(help)
    }
}

/// A failure that is nobody's mistake.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("writing the output failed")]
pub struct OutputError(#[source] pub io::Error);

/// A failure in the lab that is nobody's mistake.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error(transparent)]
pub struct LabFailure(pub thalweg_lab::LabError);

/// Ctrl-C.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("stopped; every finished trial is kept")]
pub struct Interrupted {
    #[help]
    help: String,
}

impl Interrupted {
    /// A run stopped on its way, and how to go on.
    pub fn new(command: &str) -> Self {
        let command = if command == "thalweg" {
            "thalweg compare"
        } else {
            command
        };
        let resume = if command.contains("--resume") {
            ""
        } else {
            " --resume"
        };
        Self {
            help: format!("go on with: {command}{resume}"),
        }
    }
}

/// 130 for an interruption, as shells have it; 2 for a mistake of the user's, 1 for anything else.
pub fn exit_code(report: &Report) -> ExitCode {
    if report.downcast_ref::<UserError>().is_some() {
        ExitCode::from(2)
    } else if report.downcast_ref::<Interrupted>().is_some() {
        ExitCode::from(130)
    } else {
        ExitCode::FAILURE
    }
}

/// Whether all that failed is a reader of the output that had read enough.
pub fn is_closed_pipe(report: &Report) -> bool {
    let is_closed = |error: &(dyn Error + 'static)| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    report.chain().any(is_closed)
}
