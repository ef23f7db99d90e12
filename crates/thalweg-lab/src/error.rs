//! What can go wrong in the lab.

use thalweg::catalogue;
use thalweg::objective::BuildError;
use thalweg::optimizer::OptimizerError;
use thalweg_data::DataError;

use crate::distillation::TeacherError;
use crate::metrics::MetricError;
use crate::pruning::ModelFileError;
use crate::store::StoreError;

/// Why a comparison or study did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No objective of that name.
    #[error("there is no objective `{name}`; there are {known}")]
    UnknownObjective {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An optimiser that the catalogue does not have.
    #[error("there is no optimiser `{name}`; there are {known}")]
    UnknownOptimizer {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An optimiser refused its settings.
    #[error(transparent)]
    Optimizer(#[from] OptimizerError),
    /// An objective refused its settings.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A parameter out of range.
    #[error(transparent)]
    Config(#[from] thalweg::ConfigError),
    /// An output layer refused a step.
    #[error(transparent)]
    Output(#[from] thalweg::classification::output::OutputError),
    /// Gradients have no curvature, or weights cannot be removed by it.
    #[error(transparent)]
    Curvature(#[from] thalweg::curvature::CurvatureError),
    /// The data does not allow what was asked.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Logits could not be calibrated.
    #[error(transparent)]
    Calibration(#[from] thalweg::calibration::CalibrationError),
    /// Embeddings cannot be judged.
    #[error("{}: the embeddings {problem}", file.display())]
    Embeddings {
        /// Their file.
        file: std::path::PathBuf,
        /// What is wrong with them.
        problem: thalweg::diagnostics::DiagnosticError,
    },
    /// Scores could not be judged.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// Pairs could not be judged.
    #[error(transparent)]
    Verification(#[from] thalweg::verification::VerificationError),
    /// The run store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A teacher could not be read.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// A network to prune could not be read.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A plan that makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Stopped from outside; finished trials are kept.
    #[error("interrupted; finished trials are kept")]
    Interrupted,
    /// A trial panicked.
    #[error("a trial of {objective} failed: {message}")]
    Panicked {
        /// The objective.
        objective: String,
        /// What it said.
        message: String,
    },
}

impl LabError {
    pub(crate) fn unknown_optimizer(name: &str) -> Self {
        let known: Vec<_> = catalogue::optimizers().iter().map(|entry| entry.name).collect();
        Self::UnknownOptimizer {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }

    pub(crate) fn unknown_objective(name: &str) -> Self {
        let known: Vec<_> = catalogue::objectives().iter().map(|entry| entry.name).collect();
        Self::UnknownObjective {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}
