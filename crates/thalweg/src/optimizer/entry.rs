//! What an optimiser says of itself: its page in the catalogue.

use burn::module::Module;
use burn::optim::{LearningRate, ModuleOptimizer};

use super::lion_k::Kernel;
use super::{Evaluation, MFac, Sam, StateError, WholeOptimizer};
use crate::ConfigError;
use crate::objective::parameter::{self, Values};
use crate::objective::{Parameter, Settings, UnknownParameter};

/// Any optimiser of the catalogue.
pub enum AnyOptimizer {
    /// One that takes each parameter by itself.
    Each(ModuleOptimizer),
    /// SAM or ASAM.
    Sam(Sam),
    /// M-FAC.
    MFac(MFac),
}

impl From<Sam> for AnyOptimizer {
    fn from(optimizer: Sam) -> Self {
        Self::Sam(optimizer)
    }
}

impl From<MFac> for AnyOptimizer {
    fn from(optimizer: MFac) -> Self {
        Self::MFac(optimizer)
    }
}

impl From<ModuleOptimizer> for AnyOptimizer {
    fn from(optimizer: ModuleOptimizer) -> Self {
        Self::Each(optimizer)
    }
}

impl WholeOptimizer for AnyOptimizer {
    fn step<M: Module>(
        &mut self,
        rate: LearningRate,
        module: M,
        evaluate: &mut dyn FnMut(&M) -> Evaluation,
    ) -> (M, f64) {
        match self {
            Self::Each(optimizer) => WholeOptimizer::step(optimizer, rate, module, evaluate),
            Self::Sam(optimizer) => optimizer.step(rate, module, evaluate),
            Self::MFac(optimizer) => optimizer.step(rate, module, evaluate),
        }
    }

    fn state(&self) -> Result<Vec<u8>, StateError> {
        match self {
            Self::Each(optimizer) => optimizer.state(),
            Self::Sam(optimizer) => optimizer.state(),
            Self::MFac(optimizer) => optimizer.state(),
        }
    }

    fn with_state(self, bytes: &[u8]) -> Result<Self, StateError> {
        Ok(match self {
            Self::Each(optimizer) => Self::Each(optimizer.with_state(bytes)?),
            Self::Sam(optimizer) => Self::Sam(optimizer.with_state(bytes)?),
            Self::MFac(optimizer) => Self::MFac(optimizer.with_state(bytes)?),
        })
    }
}

/// The learning rates that suit an optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRates {
    /// The one to start from.
    pub default: f64,
    /// The range to tune over, in equal factors.
    pub range: (f64, f64),
}

/// An optimiser's page in the catalogue.
#[derive(Clone, Debug)]
pub struct OptimizerEntry {
    /// Name, in snake case.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// A step, in Unicode, a line or a few: parameters θ, gradient g, learning rate η.
    pub formula: &'static str,
    /// Problem words it answers to.
    pub good_for: &'static [&'static str],
    /// What a step costs, and what is kept between steps.
    pub cost: &'static str,
    /// When to use it.
    pub when: &'static str,
    /// When not to.
    pub when_not: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Its learning rates.
    pub learning_rate: LearningRates,
    /// Its other tunable parameters.
    pub parameters: Vec<Parameter>,
    /// The objective that it descends, where the method is a term of one; that one's parameters are tuned with its own.
    pub objective: Option<&'static str>,
    /// The convex function K that bounds its weights under weight decay λ: λθ comes to lie where K* is finite.
    pub kernel: Option<fn(Values) -> Kernel>,
    /// The Rust expression that makes it; `{name}` stands for a parameter's value.
    pub rust: &'static str,
    /// The config's path, for a `use` line.
    pub path: &'static str,
    /// Makes it from its parameters' values.
    pub build: fn(Values) -> Result<AnyOptimizer, ConfigError>,
}

/// Why settings do not make an optimiser.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerError {
    /// A parameter that it does not have.
    #[error(transparent)]
    Unknown(#[from] UnknownParameter),
    /// A value outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl OptimizerEntry {
    /// The defaults of all parameters.
    pub fn defaults(&self) -> Settings {
        parameter::defaults(&self.parameters)
    }

    /// Whether it has a parameter of this name.
    pub fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|known| known.name == parameter)
    }

    /// The optimiser with `settings`, defaults for what they leave out.
    ///
    /// # Errors
    /// When a setting names no parameter or holds a value that is refused.
    pub fn build(&self, settings: &Settings) -> Result<AnyOptimizer, OptimizerError> {
        let values = parameter::values(self.name, &self.parameters, settings)?;
        Ok((self.build)(&values)?)
    }

    /// The convex function that bounds its weights, where its decay λ is not 0, and λ.
    ///
    /// # Errors
    /// When a setting names no parameter.
    pub fn constraint(&self, settings: &Settings) -> Result<Option<(Kernel, f64)>, UnknownParameter> {
        let values = parameter::values(self.name, &self.parameters, settings)?;
        Ok(self
            .kernel
            .map(|kernel| (kernel(&values), values("weight_decay")))
            .filter(|(_, decay)| *decay > 0.0))
    }

    /// The Rust expression that makes it with `settings`.
    pub fn rust_with(&self, settings: &Settings) -> String {
        parameter::rust_with(self.rust, &self.parameters, settings)
    }
}
