//! What decides a verification trial, and a whole one.

use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use thalweg::objective::ViewObjective;
use thalweg_data::Dataset;

use super::{EmbedderSpec, Identities, IdentityShares, Judgement, Told, judge, train};
use crate::LabError;
use crate::self_supervised::Samples;
use crate::trial::{NoiseSpec, Scaling};
use crate::undefined;

/// A verification trial apart from its data and its objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Which identities train, validate and test.
    pub identities: IdentityShares,
    /// What is done to the columns of a table.
    pub scaling: Scaling,
    /// Wrong labels of training and validation samples; test samples keep theirs.
    pub noise: Option<NoiseSpec>,
    /// The network.
    pub embedder: EmbedderSpec,
    /// What a batch is made of.
    pub batches: Batches,
    /// Samples of a step; those that are left over at the end of an epoch wait for the next.
    pub batch_size: usize,
    /// Passes over the training samples.
    pub epochs: usize,
    /// The learning rate, which falls along half a cosine wave, step by step.
    pub learning_rate: f64,
    /// Epochs at the beginning in which it rises evenly instead.
    pub warm_up_epochs: usize,
    /// What a step of SGD keeps of the last one's velocity.
    pub momentum: f64,
    /// Weight decay, part of the gradient.
    pub weight_decay: f64,
    /// What is compared of two test samples.
    pub features: TestFeatures,
    /// Seed of split, weights and batches: the same for every objective.
    pub seed: u64,
}

/// What a batch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Batches {
    /// Any samples.
    Shuffled,
    /// Equally many samples of each of its identities, so that there are positive pairs for losses that live on them.
    PerIdentity(usize),
}

/// What is compared of two test samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestFeatures {
    /// Their embeddings.
    Plain,
    /// The embedding of an image beside that of the mirrored image.
    WithMirrored,
}

impl Verification {
    /// A perceptron of 128 hidden units and embeddings of 16, batches of 128, SGD at 0.1 with momentum 0.9 and weight decay
    /// 5e-4.
    pub fn new(epochs: usize, seed: u64) -> Self {
        Self {
            identities: IdentityShares::default(),
            scaling: Scaling::Standardized,
            noise: None,
            embedder: EmbedderSpec::default(),
            batches: Batches::Shuffled,
            batch_size: 128,
            epochs,
            learning_rate: 0.1,
            warm_up_epochs: 0,
            momentum: 0.9,
            weight_decay: 5e-4,
            features: TestFeatures::Plain,
            seed,
        }
    }

    /// The learning rate of a step.
    pub(super) fn rate(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let warm_up = self.warm_up_epochs * steps_per_epoch;
        if step < warm_up {
            return self.learning_rate * (step + 1) as f64 / warm_up as f64;
        }
        let all = self.epochs * steps_per_epoch - warm_up;
        let share = (step - warm_up) as f64 / all as f64;
        self.learning_rate * (0.5 + 0.5 * (std::f64::consts::PI * share).cos())
    }

    /// Refuses what makes no trial of so many training samples.
    pub(super) fn check(&self, samples: usize) -> Result<(), LabError> {
        let refuse = |why: String| Err(LabError::Plan(why));
        let size = self.batch_size;
        if size < 2 || self.epochs == 0 {
            return refuse("a batch holds two samples or more, and there is an epoch or more".to_owned());
        }
        if samples < size {
            return refuse(format!(
                "{samples} training samples make no batch of {size}; choose smaller batches"
            ));
        }
        if let Batches::PerIdentity(each) = self.batches
            && (each == 0 || !size.is_multiple_of(each))
        {
            return refuse(format!(
                "batches of {size} cannot be made of {each} samples for each of their identities"
            ));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse(format!("a learning rate is above 0, not {}", self.learning_rate));
        }
        if self.embedder.embedding == 0 || self.embedder.hidden.contains(&0) {
            return refuse("every layer has at least one unit".to_owned());
        }
        Ok(())
    }
}

/// What a finished trial found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// On identities to tune by; none where no share was held out.
    pub validation: Option<Judgement>,
    /// On identities that nothing has seen.
    pub test: Judgement,
    /// Mean loss of each epoch.
    #[serde(deserialize_with = "undefined::numbers")]
    pub losses: Vec<f64>,
    /// Whether training ended in embeddings that are no numbers; the metrics are then those of equal scores.
    pub diverged: bool,
    /// Identities that were trained on.
    pub classes: usize,
}

/// A whole trial on this thread: split, train under the objective that `make` makes of what it is told, judge. None when
/// `interrupted` was set before it ended.
///
/// # Errors
/// When the data make no such trial, or `make` refuses.
///
/// # Panics
/// When the objective does, which gets labels and one view.
pub fn run(
    dataset: &Dataset,
    trial: &Verification,
    make: impl FnOnce(&Told) -> Result<Box<dyn ViewObjective>, LabError>,
    interrupted: &AtomicBool,
) -> Result<Option<Outcome>, LabError> {
    let identities = Identities::of(dataset, trial)?;
    let mut objective = make(&Told::of(trial, &identities))?;
    let Some(trained) = train(trial, &identities, objective.as_mut(), interrupted)? else {
        return Ok(None);
    };
    let judged = |samples: &Samples| {
        if trained.diverged {
            let none = vec![f32::NAN; samples.len()];
            return Judgement::of_embeddings(&none, 1, &samples.labels);
        }
        judge(trial, &identities.shape, &trained.embedder, samples)
    };
    let validation = &identities.validation;
    Ok(Some(Outcome {
        validation: (!validation.is_empty()).then(|| judged(validation)).transpose()?,
        test: judged(&identities.test)?,
        losses: trained.losses,
        diverged: trained.diverged,
        classes: identities.classes,
    }))
}
