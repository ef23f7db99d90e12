//! Objectives of several views of the same samples.

use burn::tensor::{Gradients, Int, Tensor};
use thalweg_kernels::random::Stream;

use super::Progress;

/// A batch of samples, each embedded in every one of its views.
#[derive(Clone, Debug)]
pub struct EmbeddedViews {
    /// The embeddings `[batch, width]` of each view, two views or more: row i of each is sample i. Where an encoder has
    /// several heads, a row is theirs one after the other, `heads·width` numbers; an objective of several heads is told their
    /// number by its configuration and reads columns `c·width..(c + 1)·width` as head c ([`width_of`](Self::width_of)).
    pub embeddings: Vec<Tensor<2>>,
    /// The embeddings of views by the target network, as constants, where the objective asks for one.
    pub targets: Option<Vec<Tensor<2>>>,
    /// Number of each sample in the training split, for objectives that remember samples; none twice.
    pub ids: Vec<usize>,
    /// Class labels `[batch]`, where training may see them.
    pub labels: Option<Tensor<1, Int>>,
}

impl EmbeddedViews {
    /// The embeddings of the first two views.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn pair(&self) -> [Tensor<2>; 2] {
        match &self.embeddings[..] {
            [first, second, ..] => [first.clone(), second.clone()],
            others => panic!("two views are needed, not {}", others.len()),
        }
    }

    /// All views of all samples as one set of embeddings `[views·batch, width]`, each with the label of its sample.
    ///
    /// # Panics
    /// When training sees no labels.
    pub fn labelled(&self) -> (Tensor<2>, Tensor<1, Int>) {
        let labels = self.labels.clone();
        let labels = labels.expect("an objective of labels was given views without any");
        let labels = labels.repeat(&[self.embeddings.len()]);
        (Tensor::cat(self.embeddings.clone(), 0), labels)
    }

    /// The embeddings of the views by the target network.
    ///
    /// # Panics
    /// When there is none.
    pub fn of_target(&self) -> &[Tensor<2>] {
        let targets = self.targets.as_deref();
        targets.expect("an objective that asks for a target network was given views without its embeddings")
    }

    /// Numbers that each of so many heads gives a sample.
    ///
    /// # Panics
    /// When there is no view, or its embeddings are not those of so many heads.
    pub fn width_of(&self, heads: usize) -> usize {
        let view = self.embeddings.first().expect("there is a view");
        let [_, row] = view.dims();
        assert!(
            heads > 0 && row > 0 && row.is_multiple_of(heads),
            "embeddings of {row} numbers are not those of {heads} heads"
        );
        row / heads
    }
}

/// Something an encoder is trained on, from views of samples.
pub trait ViewObjective: Send {
    /// The scalar `[1]` to descend for this batch.
    fn loss(&mut self, views: &EmbeddedViews, progress: &Progress, random: &mut Stream) -> Tensor<1>;

    /// The momentum m of the target network `ξ ← m ξ + (1 − m) θ` after this step, for objectives that need one beside the
    /// encoder θ; none: there is no target network. An objective answers alike at every step.
    fn target_momentum(&self, _progress: &Progress) -> Option<f64> {
        None
    }

    /// A step of the parameters of its own, where it has such: a learned temperature, a network beside the encoder.
    /// `gradients` are those of the last loss, `learning_rate` that of the encoder.
    fn learn(&mut self, _gradients: &mut Gradients, _learning_rate: f64) {}

    /// What whoever trains should be told of the last batch, where something is wrong.
    fn warning(&self) -> Option<String> {
        None
    }
}
