//! Batch normalisation: each feature to mean 0 and variance 1 over the batch, then scaled and shifted as learnt.

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

/// Added to variances.
const EPSILON: f64 = 1e-5;
/// Share of a batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Normalises `[batch, features]`: by the batch's own statistics while training, by running ones after.
#[derive(Module, Debug)]
pub struct BatchNorm {
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
    mean: RunningState<Tensor<1>>,
    variance: RunningState<Tensor<1>>,
}

impl BatchNorm {
    /// Of so many features: scale 1, shift 0.
    pub fn new(features: usize, device: &Device) -> Self {
        let plain = device.clone().without_autodiff();
        Self {
            scale: Param::from_tensor(Tensor::ones([features], device)),
            shift: Param::from_tensor(Tensor::zeros([features], device)),
            mean: RunningState::new(Tensor::zeros([features], &plain)),
            variance: RunningState::new(Tensor::ones([features], &plain)),
        }
    }

    /// `[batch, features]` by the batch's mean and variance, which enter the running ones (the variance unbiased).
    pub fn train_step(&self, inputs: Tensor<2>) -> Tensor<2> {
        let [batch, features] = inputs.dims();
        let (mean, centred, variance) = moments(inputs);
        let unbiased = batch as f64 / (batch.max(2) - 1) as f64;
        let mix = |running: &RunningState<Tensor<1>>, now: Tensor<2>, factor: f64| {
            let now = now.without_autodiff().reshape([features]);
            let kept = running.value_sync() * (1.0 - MOMENTUM);
            running.update(kept + now * (MOMENTUM * factor));
        };
        mix(&self.mean, mean, 1.0);
        mix(&self.variance, variance.clone(), unbiased);
        self.scaled(centred, variance)
    }

    /// `[batch, features]` by the batch's mean and variance, which are kept nowhere, with the parameters held constant.
    pub fn by_batch(&self, inputs: Tensor<2>) -> Tensor<2> {
        let (_, centred, variance) = moments(inputs);
        self.scaled(centred, variance).without_autodiff()
    }

    fn scaled(&self, centred: Tensor<2>, variance: Tensor<2>) -> Tensor<2> {
        let normalised = centred * (variance + EPSILON).sqrt().recip();
        normalised * self.scale.val().unsqueeze() + self.shift.val().unsqueeze()
    }

    /// `[batch, features]` by the running statistics, with the parameters held constant.
    pub fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        let deviation = (self.variance.value_sync() + EPSILON).sqrt();
        let factor = self.scale.val().without_autodiff() / deviation;
        let offset = self.shift.val().without_autodiff() - self.mean.value_sync() * factor.clone();
        inputs * factor.unsqueeze() + offset.unsqueeze()
    }
}

/// Mean, what is left without it, and variance of each feature over the batch.
fn moments(inputs: Tensor<2>) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
    let mean = inputs.clone().mean_dim(0);
    let centred = inputs - mean.clone();
    let variance = centred.clone().square().mean_dim(0);
    (mean, centred, variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::new(2, &device);
        let inputs = Tensor::<2>::from_floats([[1.0, 0.0], [3.0, 0.0]], &device);
        let outputs = norm.train_step(inputs.clone()).without_autodiff();
        let outputs = outputs.into_data().try_into_vec_as::<f32>().unwrap();
        for (found, expected) in outputs.into_iter().zip([-1.0, 0.0, 1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-4);
        }
        // Running mean 0.1 · 2, variance 0.9 + 0.1 · 2; of the second feature 0 and 0.9.
        let frozen = norm.frozen(inputs.without_autodiff()).into_data();
        let frozen = frozen.try_into_vec_as::<f32>().unwrap();
        let deviation = 1.1_f32.sqrt();
        for (found, expected) in frozen
            .into_iter()
            .zip([0.8 / deviation, 0.0, 2.8 / deviation, 0.0])
        {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }
}
