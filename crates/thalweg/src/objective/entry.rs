//! What an objective says of itself: its page in the catalogue.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::parameter::{self, Parameter, Settings, UnknownParameter, Values};
use super::{EpisodeObjective, Objective, ViewObjective};
use crate::ConfigError;

/// What a model is trained for, and so how it is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// To score classes.
    #[default]
    Classification,
    /// To embed samples without labels, so that a simple classifier of the embeddings needs few of them.
    #[serde(rename = "ssl")]
    SelfSupervised,
    /// To embed samples so that a few labelled ones of new classes are enough to tell others.
    FewShot,
    /// To embed samples so that those of classes never seen before can be told to be the same.
    Verification,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 4] = [
        Self::Classification,
        Self::SelfSupervised,
        Self::FewShot,
        Self::Verification,
    ];

    /// Name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::SelfSupervised => "ssl",
            Self::FewShot => "few-shot",
            Self::Verification => "verification",
        }
    }
}

/// What an objective of embeddings is made for.
#[derive(Clone, Debug)]
pub struct EmbeddingSpace {
    /// Samples of the training split, whose numbers are below this.
    pub samples: usize,
    /// Classes that training labels are below.
    pub classes: usize,
    /// Numbers of an embedding.
    pub width: usize,
    /// Where parameters of its own are to be, with gradients.
    pub device: Device,
    /// Seed of what it draws when it is made.
    pub seed: u64,
}

/// Makes an objective of embeddings of a space.
type MakeInSpace = fn(Values, &EmbeddingSpace) -> Result<Box<dyn ViewObjective>, ConfigError>;

/// What makes an objective from its parameters' values.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// An objective of a model's scores.
    Scores(fn(Values) -> Result<Box<dyn Objective>, ConfigError>),
    /// An objective of embeddings.
    Embeddings {
        /// What it trains for, the first first of all.
        tasks: &'static [Task],
        /// Makes it.
        make: MakeInSpace,
    },
    /// An objective of few-shot episodes.
    Episodes(fn(Values) -> Result<Box<dyn EpisodeObjective>, ConfigError>),
}

/// An objective's page in the catalogue.
#[derive(Clone, Debug)]
pub struct ObjectiveEntry {
    /// Name, in snake case.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// Family, which is its folder.
    pub family: &'static str,
    /// Formula, in Unicode, a line or a few.
    pub formula: &'static str,
    /// Shapes of what its `forward` takes and returns.
    pub shapes: &'static str,
    /// Problem words it answers to.
    pub good_for: &'static [&'static str],
    /// What it costs beside cross-entropy.
    pub cost: &'static str,
    /// When to use it.
    pub when: &'static str,
    /// When not to.
    pub when_not: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Its tunable parameters.
    pub parameters: Vec<Parameter>,
    /// The Rust expression that makes it; `{name}` stands for a parameter's value.
    pub rust: &'static str,
    /// The config's path, for a `use` line.
    pub path: &'static str,
    /// Makes it from its parameters' values.
    pub build: Build,
}

/// Why settings do not make an objective.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A parameter that the objective does not have.
    #[error(transparent)]
    Unknown(#[from] UnknownParameter),
    /// An objective of something else than was asked for.
    #[error("{objective} is no objective of {wanted}; it trains for {tasks}")]
    Task {
        /// The objective.
        objective: &'static str,
        /// What it should have been an objective of.
        wanted: &'static str,
        /// What it trains for.
        tasks: String,
    },
    /// A value outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl ObjectiveEntry {
    /// The defaults of all parameters.
    pub fn defaults(&self) -> Settings {
        parameter::defaults(&self.parameters)
    }

    /// What it trains for.
    pub fn tasks(&self) -> &'static [Task] {
        match self.build {
            Build::Scores(_) => &[Task::Classification],
            Build::Embeddings { tasks, .. } => tasks,
            Build::Episodes(_) => &[Task::FewShot],
        }
    }

    /// The objective of scores with `settings`, defaults for what they leave out.
    ///
    /// # Errors
    /// When a setting names no parameter or holds a value that is refused, or it is no objective of scores.
    pub fn build(&self, settings: &Settings) -> Result<Box<dyn Objective>, BuildError> {
        match self.build {
            Build::Scores(make) => Ok(make(&self.values(settings)?)?),
            Build::Embeddings { .. } | Build::Episodes(_) => Err(self.of_other("scores")),
        }
    }

    /// The objective of embeddings with `settings`, defaults for what they leave out.
    ///
    /// # Errors
    /// When a setting names no parameter or holds a value that is refused, or it is no objective of embeddings.
    pub fn build_in(
        &self,
        space: &EmbeddingSpace,
        settings: &Settings,
    ) -> Result<Box<dyn ViewObjective>, BuildError> {
        match self.build {
            Build::Embeddings { make, .. } => Ok(make(&self.values(settings)?, space)?),
            Build::Scores(_) | Build::Episodes(_) => Err(self.of_other("embeddings")),
        }
    }

    /// The objective of episodes with `settings`, defaults for what they leave out.
    ///
    /// # Errors
    /// When a setting names no parameter or holds a value that is refused, or it is no objective of episodes.
    pub fn build_of_episodes(&self, settings: &Settings) -> Result<Box<dyn EpisodeObjective>, BuildError> {
        match self.build {
            Build::Episodes(make) => Ok(make(&self.values(settings)?)?),
            Build::Scores(_) | Build::Embeddings { .. } => Err(self.of_other("episodes")),
        }
    }

    /// Whether `settings` make the objective, whatever it is an objective of.
    ///
    /// # Errors
    /// When a setting names no parameter or holds a value that is refused.
    pub fn check(&self, settings: &Settings) -> Result<(), BuildError> {
        match self.build {
            Build::Scores(_) => self.build(settings).map(drop),
            Build::Episodes(_) => self.build_of_episodes(settings).map(drop),
            Build::Embeddings { .. } => {
                let least = EmbeddingSpace {
                    samples: 2,
                    classes: 2,
                    width: 2,
                    device: Device::flex().autodiff(),
                    seed: 0,
                };
                self.build_in(&least, settings).map(drop)
            }
        }
    }

    fn of_other(&self, wanted: &'static str) -> BuildError {
        let tasks: Vec<_> = self.tasks().iter().map(|task| task.name()).collect();
        BuildError::Task {
            objective: self.name,
            wanted,
            tasks: tasks.join(" and "),
        }
    }

    fn values<'a>(&'a self, settings: &'a Settings) -> Result<impl Fn(&str) -> f64 + 'a, UnknownParameter> {
        parameter::values(self.name, &self.parameters, settings)
    }

    /// The Rust expression that makes the objective with `settings`.
    pub fn rust_with(&self, settings: &Settings) -> String {
        parameter::rust_with(self.rust, &self.parameters, settings)
    }
}
