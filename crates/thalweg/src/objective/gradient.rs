//! Objectives that know `∂L/∂score` and hand it over directly, whether or not there is a loss it is the gradient of.

use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use super::{Batch, Model, Needs, Objective, Progress};
use crate::bridge::with_gradients;

/// What an objective says of the scores of a batch.
#[derive(Clone, Debug)]
pub struct ScoreGradient {
    /// A number `[1]` to report; nothing is differentiated through it.
    pub value: Tensor<1>,
    /// `∂L/∂scores`, of the shape of the scores, outside any autodiff graph.
    pub gradient: Tensor<2>,
}

/// An objective that answers scores with their gradient. [`Descend`] makes a trainer follow it.
///
/// # Example
/// A perceptron: each score is pushed by 1 where the prediction is wrong, and there is no loss to write down.
/// ```
/// use burn::tensor::{Tensor, activation::relu};
/// use thalweg::objective::{Batch, Descend, GradientObjective, Objective, Progress, ScoreGradient};
/// use thalweg_kernels::random::Stream;
///
/// struct Perceptron;
///
/// impl GradientObjective for Perceptron {
///     fn score_gradient(
///         &mut self,
///         scores: Tensor<2>,
///         batch: &Batch,
///         _: &Progress,
///         _: &mut Stream,
///     ) -> ScoreGradient {
///         let [rows, classes] = scores.dims();
///         let predicted = scores.argmax(1).reshape([rows]).one_hot::<2>(classes).float();
///         let truth = batch.targets.clone().one_hot::<2>(classes).float();
///         let gradient = (predicted - truth) * (1.0 / rows as f64);
///         ScoreGradient { value: relu(gradient.clone()).sum(), gradient }
///     }
/// }
///
/// let objective: Box<dyn Objective> = Box::new(Descend(Perceptron));
/// ```
pub trait GradientObjective: Send {
    /// The gradient for scores `[batch, classes]`, which are outside any autodiff graph.
    fn score_gradient(
        &mut self,
        scores: Tensor<2>,
        batch: &Batch,
        progress: &Progress,
        random: &mut Stream,
    ) -> ScoreGradient;

    /// What it asks for beside inputs and targets.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// The number that it keeps of the training sample `id`, where it keeps one.
    fn remembered(&self, _id: usize) -> Option<f64> {
        None
    }
}

/// A [`GradientObjective`] as an [`Objective`]: one forward pass, and a backward pass from the gradient as given.
#[derive(Clone, Debug)]
pub struct Descend<G>(pub G);

impl<G: GradientObjective> Objective for Descend<G> {
    fn loss(
        &mut self,
        model: &dyn Model,
        batch: &Batch,
        progress: &Progress,
        random: &mut Stream,
    ) -> Tensor<1> {
        let scores = model.forward(batch.inputs.clone());
        let given = scores.clone().without_autodiff();
        let ScoreGradient { value, gradient } = self.0.score_gradient(given, batch, progress, random);
        with_gradients(value, [(scores, gradient)])
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn remembered(&self, id: usize) -> Option<f64> {
        self.0.remembered(id)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    struct Constant;

    impl GradientObjective for Constant {
        fn score_gradient(
            &mut self,
            scores: Tensor<2>,
            _: &Batch,
            _: &Progress,
            _: &mut Stream,
        ) -> ScoreGradient {
            assert!(!scores.is_tracked());
            let gradient = Tensor::from_floats([[1.0, -2.0], [0.0, 3.0]], &scores.device());
            ScoreGradient {
                value: Tensor::from_floats([-7.0], &scores.device()),
                gradient,
            }
        }
    }

    struct Scaled(Tensor<2>);

    impl Model for Scaled {
        fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
            inputs * self.0.clone()
        }

        fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
            inputs * self.0.clone().without_autodiff()
        }
    }

    #[test]
    fn the_gradient_arrives_as_given() {
        let device = Device::flex().autodiff();
        let weights = Tensor::<2>::ones([2, 2], &device).require_grad();
        let batch = Batch {
            inputs: Tensor::from_floats([[1.0, 2.0], [3.0, 4.0]], &device),
            targets: Tensor::from_ints([0, 1], &device),
            ids: vec![0, 1],
            range: None,
            bags: None,
            teacher_logits: None,
        };
        let progress = Progress {
            epoch: 0,
            epochs: 1,
            step: 0,
            steps: 1,
        };
        let mut random = Stream::new(0, "none", 0);
        let value = Descend(Constant).loss(&Scaled(weights.clone()), &batch, &progress, &mut random);
        let gradient = weights.grad(&value.backward()).unwrap().into_data();
        assert_eq!(gradient.try_into_vec_as::<f32>().unwrap(), [1.0, -4.0, 0.0, 12.0]);
        assert_eq!(value.into_scalar::<f32>(), -7.0);
    }
}
