//! A margin softmax with class weights of its own, as an objective of embeddings: what an encoder is trained on for
//! verification, and thrown away after.

use burn::config::Config;
use burn::optim::Optimizer;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use thalweg_kernels::random::Stream;

use super::{MarginSoftmaxLoss, WeightInit};
use crate::ConfigError;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::optimizer::{AverageState, MomentumSgd, MomentumSgdConfig};

/// Configuration of [`MarginClassifier`].
#[derive(Config, Debug)]
pub struct MarginClassifierConfig {
    /// Classes that are trained on.
    pub classes: usize,
    /// Numbers of an embedding.
    pub width: usize,
    /// What the velocity of the weights keeps per step, in `[0, 1)`; best the encoder's.
    #[config(default = 0.9)]
    pub momentum: f64,
    /// Weight decay, added to the gradient, at least 0; best the encoder's.
    #[config(default = 5e-4)]
    pub weight_decay: f64,
}

impl MarginClassifierConfig {
    /// The objective, its weights drawn under `seed` as the source of the loss's head does.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(
        &self,
        loss: MarginSoftmaxLoss,
        seed: u64,
        device: &Device,
    ) -> Result<MarginClassifier, ConfigError> {
        let rule = MomentumSgdConfig::new()
            .with_momentum(self.momentum)
            .with_weight_decay(self.weight_decay)
            .build()?;
        let values = drawn(loss.head().weight_init(), self.classes, self.width, seed);
        let weights = Tensor::<2>::from_data(TensorData::new(values, [self.classes, self.width]), device);
        Ok(MarginClassifier {
            loss,
            weights: weights.require_grad(),
            rule,
            velocity: None,
        })
    }
}

fn drawn(init: WeightInit, classes: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0_f32; classes * width];
    let mut random = Stream::new(seed, "class weights", 0);
    match init {
        WeightInit::XavierUniform => {
            let bound = (6.0 / (classes + width) as f32).sqrt();
            random.fill_uniform(-bound, bound, &mut values);
        }
        WeightInit::UnitUniform => {
            random.fill_uniform(-1.0, 1.0, &mut values);
            for class in values.chunks_exact_mut(width.max(1)) {
                let norm = class.iter().map(|w| w * w).sum::<f32>().sqrt();
                class.iter_mut().for_each(|w| *w /= norm);
            }
        }
    }
    values
}

/// A margin softmax that owns its class weights. It reads the first view and the labels; `learn` moves the weights by momentum
/// SGD at the encoder's learning rate.
#[derive(Debug)]
pub struct MarginClassifier {
    loss: MarginSoftmaxLoss,
    weights: Tensor<2>,
    rule: MomentumSgd,
    velocity: Option<AverageState<2>>,
}

impl MarginClassifier {
    /// The class weights `[classes, width]`, outside any autodiff graph.
    pub fn weights(&self) -> Tensor<2> {
        self.weights.clone().without_autodiff()
    }
}

impl ViewObjective for MarginClassifier {
    /// # Panics
    /// When training sees no labels, or the loss refuses the batch.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let labels = views.labels.clone();
        let labels = labels.expect("a margin softmax was given views without labels");
        let loss = self
            .loss
            .forward(views.embeddings[0].clone(), self.weights.clone(), labels);
        loss.unwrap_or_else(|refused| panic!("{refused}"))
    }

    fn learn(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        let Some(gradient) = self.weights.grad_remove(gradients) else {
            return;
        };
        let device = self.weights.device();
        // Moved, not cloned: what nothing else holds is stepped in place.
        let hollow = Tensor::zeros([0, 0], &device);
        let weights = std::mem::replace(&mut self.weights, hollow).without_autodiff();
        let (weights, velocity) = self
            .rule
            .step(learning_rate, weights, gradient, self.velocity.take());
        self.weights = Tensor::from_inner(weights).require_grad();
        self.velocity = velocity;
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Int;

    use super::super::{CosFaceLossConfig, MagFaceLossConfig};
    use super::*;

    fn progress() -> Progress {
        Progress {
            epoch: 0,
            epochs: 1,
            step: 0,
            steps: 1,
        }
    }

    fn floats(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec_as().unwrap()
    }

    #[test]
    fn weights_step_along_their_gradient_and_keep_a_velocity() {
        let device = Device::flex().autodiff();
        let loss = CosFaceLossConfig::new().with_scale(8.0).init().unwrap();
        let config = MarginClassifierConfig::new(3, 2).with_weight_decay(0.01);
        let mut objective = config.init(loss, 4, &device).unwrap();
        let features = Tensor::<2>::from_floats([[1.0, 0.5], [-0.3, 2.0]], &device).require_grad();
        let labels = Tensor::<1, Int>::from_ints([0, 2], &device);
        let views = EmbeddedViews {
            targets: None,
            embeddings: vec![features.clone()],
            ids: vec![0, 1],
            labels: Some(labels.clone()),
        };
        let mut expected = floats(objective.weights());
        let mut velocity = [0.0; 6];
        for _ in 0..3 {
            let weights = TensorData::new(expected.clone(), [3, 2]);
            let weights = Tensor::<2>::from_data(weights, &device).require_grad();
            let plain = loss
                .forward(features.clone(), weights.clone(), labels.clone())
                .unwrap();
            let slopes = floats(weights.grad(&plain.backward()).unwrap());
            for ((w, v), slope) in expected.iter_mut().zip(&mut velocity).zip(slopes) {
                *v = 0.9 * *v + slope + 0.01 * *w;
                *w -= 0.1 * *v;
            }
            let mut gradients = objective
                .loss(&views, &progress(), &mut Stream::new(0, "", 0))
                .backward();
            objective.learn(&mut gradients, 0.1);
            for (found, expected) in floats(objective.weights()).iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
            }
        }
    }

    #[test]
    fn weights_begin_as_the_source_of_the_head_does() {
        let device = Device::flex().autodiff();
        let of = |loss, seed| {
            let config = MarginClassifierConfig::new(50, 14);
            floats(config.init(loss, seed, &device).unwrap().weights())
        };
        let uniform = of(CosFaceLossConfig::new().init().unwrap(), 0);
        let bound = (6.0_f32 / 64.0).sqrt();
        assert!(uniform.iter().all(|w| w.abs() <= bound) && uniform.iter().any(|w| w.abs() > 0.95 * bound));
        let units = of(MagFaceLossConfig::new().init().unwrap(), 0);
        for class in units.chunks_exact(14) {
            assert!((class.iter().map(|w| w * w).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        assert_ne!(uniform, of(CosFaceLossConfig::new().init().unwrap(), 1));
    }

    #[test]
    #[should_panic(expected = "features: is zero in row 1; it has no direction")]
    fn a_row_without_direction_is_named() {
        let device = Device::flex().autodiff();
        let loss = CosFaceLossConfig::new().init().unwrap();
        let mut objective = MarginClassifierConfig::new(2, 2).init(loss, 0, &device).unwrap();
        let views = EmbeddedViews {
            targets: None,
            embeddings: vec![Tensor::from_floats([[1.0, 0.0], [0.0, 0.0]], &device)],
            ids: vec![0, 1],
            labels: Some(Tensor::from_ints([0, 1], &device)),
        };
        objective.loss(&views, &progress(), &mut Stream::new(0, "", 0));
    }
}
