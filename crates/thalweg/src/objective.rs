//! What a trainer knows of an objective, and what an objective says of itself.
//!
//! [`Objective`] is all that a training loop calls. One that knows `∂L/∂score` is a [`GradientObjective`]. An [`ObjectiveEntry`] is its page in the catalogue: what it is,
//! when to reach for it, what it costs, which parameters may be tuned and over which ranges.

mod dual_head;
mod entry;
mod episode;
mod gradient;
mod margin;
pub(crate) mod parameter;
mod views;

pub use dual_head::{Descent, DualHead, Needs};
pub use entry::{Build, BuildError, EmbeddingSpace, ObjectiveEntry, Task};
pub use episode::{EmbeddedEpisode, EpisodeObjective, EpisodeShape, UnfitEpisodes};
pub use gradient::{Descend, GradientObjective, ScoreGradient};
pub use margin::margin_curve;
pub use parameter::{Parameter, Scale, Settings, UnknownParameter};
pub use views::{EmbeddedViews, ViewObjective};

use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use crate::aggregate::{Bags, PointLoss};

/// A model as an objective may call it, as often as it needs.
pub trait Model {
    /// Scores `[batch, classes]` of inputs `[batch, features]`, with gradients for the parameters.
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2>;

    /// The same scores with the parameters held constant: gradients for the inputs only, at half the cost.
    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2>;

    /// Scores `[batch, classes]` of the exponential average of its weights, as a trained model gives them and without
    /// gradients; none where no average is kept.
    fn averaged(&self, _inputs: Tensor<2>) -> Option<Tensor<2>> {
        None
    }

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
