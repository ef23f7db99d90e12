//! What a trainer knows of an objective, and what an objective says of itself.
//!
//! [`Objective`] is all that a training loop calls. One that knows `∂L/∂score` is a [`GradientObjective`]. An [`ObjectiveEntry`] is its page in the catalogue: what it is,
//! when to reach for it, what it costs, which parameters may be tuned and over which ranges.

mod dual_head;
mod episode;
mod gradient;
mod margin;
mod views;

pub use dual_head::{Descent, DualHead, Needs};
pub use episode::{EmbeddedEpisode, EpisodeObjective, EpisodeShape, UnfitEpisodes};
pub use gradient::{Descend, GradientObjective, ScoreGradient};
pub use margin::margin_curve;
pub use views::{EmbeddedViews, ViewObjective};

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use crate::ConfigError;
use crate::aggregate::{Bags, PointLoss};

/// A model as an objective may call it, as often as it needs.
pub trait Model {
    /// Scores `[batch, classes]` of inputs `[batch, features]`, with gradients for the parameters.
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2>;

    /// The same scores with the parameters held constant: gradients for the inputs only, at half the cost.
    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2>;

    /// Its two heads, where it has two.
    fn dual_head(&self) -> Option<&dyn DualHead> {
        None
    }
}

/// A batch of training samples.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Inputs `[batch, features]`.
    pub inputs: Tensor<2>,
    /// Class labels `[batch]`; none `[0]` where only bag means are known.
    pub targets: Tensor<1, Int>,
    /// Number of each sample in the training split, for objectives that remember samples.
    pub ids: Vec<usize>,
    /// Range that inputs must stay in when they are perturbed.
    pub range: Option<(f64, f64)>,
    /// What is known where targets are means of bags.
    pub bags: Option<BagLabels>,
    /// What a teacher says of the samples, `[batch, classes]`, where there is one.
    pub teacher_logits: Option<Tensor<2>>,
}

impl Batch {
    /// The teacher's logits.
    ///
    /// # Panics
    /// When there are none.
    pub fn taught(&self) -> Tensor<2> {
        let logits = self.teacher_logits.clone();
        logits.expect("an objective that needs a teacher was given a batch without teacher logits")
    }
}

/// Targets of a batch of whole bags.
#[derive(Clone, Debug)]
pub struct BagLabels {
    /// The bag of each sample.
    pub bags: Bags,
    /// Mean target of each bag `[bags, columns]`.
    pub means: Tensor<2>,
    /// How predictions are compared with means.
    pub point_loss: PointLoss,
}

/// How far training has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Step, from 0, over all epochs.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
}

/// Something a model is trained on.
pub trait Objective: Send {
    /// The scalar `[1]` to descend for this batch.
    fn loss(
        &mut self,
        model: &dyn Model,
        batch: &Batch,
        progress: &Progress,
        random: &mut Stream,
    ) -> Tensor<1>;

    /// What a step descends: the loss, unless gradients are to be merged in a way of its own.
    fn descent(
        &mut self,
        model: &dyn Model,
        batch: &Batch,
        progress: &Progress,
        random: &mut Stream,
    ) -> Descent {
        Descent::Loss(self.loss(model, batch, progress, random))
    }

    /// What it asks for beside inputs and targets.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// The number that it keeps of the training sample `id`, where it keeps one.
    fn remembered(&self, _id: usize) -> Option<f64> {
        None
    }

    /// The loss as a function of scores and targets alone, where it is one.
    fn on_scores(&self) -> Option<&dyn ScoreLoss> {
        None
    }
}

/// A loss of scores and targets alone.
pub trait ScoreLoss: Send {
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]`; returns `[1]`, or `[batch]` where the reduction is none.
    fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1>;
}

impl<L: ScoreLoss> Objective for L {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, _: &Progress, _: &mut Stream) -> Tensor<1> {
        self.forward(model.forward(batch.inputs.clone()), batch.targets.clone())
    }

    fn on_scores(&self) -> Option<&dyn ScoreLoss> {
        Some(self)
    }
}

/// A tunable parameter of an objective.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name, as in the config.
    pub name: &'static str,
    /// Meaning in a few words.
    pub meaning: &'static str,
    /// Default, the paper's where there is one.
    pub default: f64,
    /// Range to tune over, ends included.
    pub range: (f64, f64),
    /// How the range is to be walked.
    pub scale: Scale,
}

/// How a range is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In equal steps.
    Linear,
    /// In equal factors.
    Logarithmic,
}

impl Parameter {
    /// The value at `position` in `[0, 1]` along the range.
    pub fn at(&self, position: f64) -> f64 {
        let (low, high) = self.range;
        match self.scale {
            Scale::Linear => low + (high - low) * position,
            Scale::Logarithmic => (low.ln() + (high.ln() - low.ln()) * position).exp(),
        }
    }
}

/// Values of an objective's parameters, by name.
pub type Settings = BTreeMap<String, f64>;

type Build = fn(&dyn Fn(&str) -> f64) -> Result<Box<dyn Objective>, ConfigError>;

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
    #[error("{objective} has no parameter `{parameter}`; it has {known}")]
    Unknown {
        /// The objective.
        objective: &'static str,
        /// The name given.
        parameter: String,
        /// What it has.
        known: String,
    },
    /// A value outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl ObjectiveEntry {
    /// The defaults of all parameters.
    pub fn defaults(&self) -> Settings {
        self.parameters
            .iter()
            .map(|parameter| (parameter.name.to_owned(), parameter.default))
            .collect()
    }

    /// The objective with `settings`, defaults for what they leave out.
    ///
    /// # Errors
    /// When a setting names no parameter or holds a value that is refused.
    pub fn build(&self, settings: &Settings) -> Result<Box<dyn Objective>, BuildError> {
        if let Some(name) = settings
            .keys()
            .find(|name| !self.parameters.iter().any(|p| p.name == **name))
        {
            let known: Vec<_> = self.parameters.iter().map(|p| format!("`{}`", p.name)).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(BuildError::Unknown {
                objective: self.name,
                parameter: name.clone(),
                known,
            });
        }
        let value = |name: &str| {
            settings.get(name).copied().unwrap_or_else(|| {
                let declared = self.parameters.iter().find(|parameter| parameter.name == name);
                declared
                    .unwrap_or_else(|| panic!("{} declares no parameter `{name}`", self.name))
                    .default
            })
        };
        Ok((self.build)(&value)?)
    }

    /// The Rust expression that makes the objective with `settings`.
    pub fn rust_with(&self, settings: &Settings) -> String {
        self.parameters
            .iter()
            .fold(self.rust.to_owned(), |text, parameter| {
                let value = settings.get(parameter.name).copied().unwrap_or(parameter.default);
                text.replace(&format!("{{{}}}", parameter.name), &rust_number(value))
            })
    }
}

/// A float literal of at most three significant digits' rounding.
fn rust_number(value: f64) -> String {
    let text = format!("{:?}", format!("{value:.3e}").parse::<f64>().unwrap_or(value));
    text
}
