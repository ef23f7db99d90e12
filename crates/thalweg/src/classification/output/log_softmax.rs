//! The dense log-softmax output layer `o = W h`, the baseline that the others are measured against.

use burn::tensor::{Element, Int, Tensor};
use thalweg_kernels::log_softmax_output::{Samples, Workspace, step};
use thalweg_kernels::random::Stream;
use thalweg_kernels::real::Real;

use super::{OutputError, OutputLayer, assembled, check_rate, one_target_each, uniform_weights, vectors};
use crate::Reduction;

/// Cross-entropy of `softmax(W h)`, with weights of the float type `F`, trained by plain SGD.
///
/// It keeps the scores of a batch, `[batch, classes]`, from step to step.
#[derive(Clone, Debug)]
pub struct LogSoftmaxOutput<F> {
    weights: Vec<F>,
    classes: usize,
    width: usize,
    reduction: Reduction,
    workspace: Workspace<F>,
}

impl<F: Real + Element> LogSoftmaxOutput<F> {
    /// Weights uniform in `±1/√width`.
    ///
    /// # Panics
    /// When there are no classes or the width is 0.
    pub fn new(classes: usize, width: usize, reduction: Reduction, seed: u64) -> Self {
        assert!(
            classes > 0 && width > 0,
            "a layer of {classes} classes and width {width}"
        );
        let mut stream = Stream::new(seed, "output", 0);
        Self {
            weights: uniform_weights(&mut stream, width, classes * width),
            classes,
            width,
            reduction,
            workspace: Workspace::default(),
        }
    }

    /// Weights `[classes, width]`, row-major.
    pub fn weights(&self) -> &[F] {
        &self.weights
    }
}

impl<F: Real + Element> OutputLayer for LogSoftmaxOutput<F> {
    fn train(
        &mut self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        learning_rate: f64,
    ) -> Result<Tensor<1>, OutputError> {
        check_rate(learning_rate)?;
        let values = vectors::<F>(&hidden, self.width);
        let [batch, _] = hidden.dims();
        let targets = one_target_each(targets, batch, self.classes)?;
        let samples = Samples {
            hidden: &values,
            targets: &targets,
        };
        let scale = self.reduction.scale(batch);
        let (mut losses, mut gradient) = (vec![F::ZERO; batch], vec![F::ZERO; values.len()]);
        step(
            &mut self.weights,
            self.classes,
            samples,
            learning_rate * scale,
            &mut losses,
            &mut gradient,
            &mut self.workspace,
        );
        gradient.iter_mut().for_each(|slope| *slope *= F::from_f64(scale));
        Ok(assembled(hidden, losses, gradient, self.reduction))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::super::super::CompSumLossConfig;
    use super::super::super::rowwise::tests::assert_close;
    use super::*;

    #[test]
    fn a_step_is_that_of_autodiff() {
        let (classes, width, batch) = (600, 3, 5);
        let mut layer = LogSoftmaxOutput::<f64>::new(classes, width, Reduction::Mean, 1);
        let device = Device::flex();
        let hidden = uniform_weights::<f64>(&mut Stream::new(2, "hidden", 0), 1, batch * width);
        let leaf = |values: Vec<f64>, shape: [usize; 2]| {
            let tensor = Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F64));
            tensor.autodiff().require_grad()
        };
        let (h, w) = (
            leaf(hidden.clone(), [batch, width]),
            leaf(layer.weights.clone(), [classes, width]),
        );
        let targets = Tensor::<1, Int>::from_ints([0, 599, 512, 511, 0], &device);
        let loss = CompSumLossConfig::new().init().unwrap();
        let expected = loss.forward(h.clone().matmul(w.clone().transpose()), targets.clone());
        let gradients = expected.backward();
        let read = |tensor: Tensor<2>| tensor.into_data().try_into_vec_as::<f64>().unwrap();
        let weights: Vec<f64> = layer
            .weights
            .iter()
            .zip(read(w.grad(&gradients).unwrap()))
            .map(|(w, g)| w - 0.7 * g)
            .collect();

        let own = leaf(hidden, [batch, width]);
        let value = layer.train(own.clone(), targets.clone(), 0.7).unwrap();
        assert_close(
            &[value.clone().into_scalar::<f64>()],
            &[expected.into_scalar::<f64>()],
            1e-13,
        );
        let gradient = own.grad(&value.backward()).unwrap();
        assert_close(&read(gradient), &read(h.grad(&gradients).unwrap()), 1e-12);
        assert_close(layer.weights(), &weights, 1e-13);

        let outside = Tensor::<1, Int>::from_ints([0, 600, 1, 1, 1], &device);
        let error = layer.train(own.clone(), outside, 0.7).unwrap_err();
        assert_eq!(error.to_string(), "target 600 of sample 1 is not in 0..600");
        let error = layer.train(own, targets, f64::NAN).unwrap_err();
        assert!(error.to_string().starts_with("the learning rate is NaN"));
        assert_close(layer.weights(), &weights, 1e-13);
    }
}
