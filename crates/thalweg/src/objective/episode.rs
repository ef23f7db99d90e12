//! Objectives of few-shot episodes.

use burn::tensor::{Gradients, Int, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::Progress;

/// How large an episode is: N-way K-shot with Q queries of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeShape {
    /// Classes, N.
    pub ways: usize,
    /// Support samples of each class, K.
    pub shots: usize,
    /// Query samples of each class, Q.
    pub queries: usize,
}

/// The samples of an episode, embedded.
#[derive(Clone, Debug)]
pub struct EmbeddedEpisode {
    /// Embeddings of the support `[ways·shots, width]`: all of class 0, then all of class 1, and so on.
    pub support: Tensor<2>,
    /// Embeddings of the queries `[queries, width]`, in any order.
    pub query: Tensor<2>,
    /// The class of each query `[queries]`, in `0..ways`.
    pub query_labels: Tensor<1, Int>,
    /// Number of classes.
    pub ways: usize,
    /// Support samples of each class.
    pub shots: usize,
}

/// Why an objective has no loss of episodes of some shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("episodes of {} ways, {} shots and {} queries a class do not fit {objective}: {problem}", shape.ways, shape.shots, shape.queries)]
pub struct UnfitEpisodes {
    /// The objective.
    pub objective: &'static str,
    /// The episodes.
    pub shape: EpisodeShape,
    /// What they lack.
    pub problem: String,
}

/// Something an encoder is trained on, from episodes of a few labelled samples and queries about them.
pub trait EpisodeObjective: Send {
    /// The scalar `[1]` to descend for this episode.
    fn loss(&mut self, episode: &EmbeddedEpisode, progress: &Progress, random: &mut Stream) -> Tensor<1>;

    /// A step of the parameters of its own, where it has such. `gradients` are those of the last loss, `learning_rate` that of
    /// the encoder.
    fn learn(&mut self, _gradients: &mut Gradients, _learning_rate: f64) {}

    /// Whether it has a loss of episodes of this shape; asked before training begins.
    ///
    /// # Errors
    /// What such episodes lack.
    fn accepts(&self, _shape: EpisodeShape) -> Result<(), UnfitEpisodes> {
        Ok(())
    }
}
