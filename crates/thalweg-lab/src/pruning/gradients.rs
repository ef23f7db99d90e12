//! Gradients of the loss of single samples.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::model::{Network, WatchedLayer, watched};

/// The gradient of each sample's loss by all [weights of matrices](Network::matrix_weights) of a network, in their order:
/// `[batch, weights]`, row-major. Batch normalisation goes by its running statistics.
///
/// `loss` is told the scores `[batch, classes]` and answers the **sum** `[1]` of the samples' losses, such as that of
/// `CompSumLossConfig` with `Reduction::Sum`. One backward pass for all samples: what a weight of a layer is to a sample's
/// loss is what the layer read times the slope of what it adds up.
///
/// # Shapes
/// - inputs `[batch, features]`, not tracked.
pub fn per_sample_gradients(
    network: &Network,
    inputs: Tensor<2>,
    loss: impl FnOnce(Tensor<2>) -> Tensor<1>,
) -> Vec<f32> {
    let [batch, _] = inputs.dims();
    let sizes = network.matrix_sizes();
    let width: usize = sizes.iter().sum();
    let layers = watched(network, inputs, loss);
    let mut gradients = vec![0.0; batch * width];
    let samples = gradients.par_chunks_exact_mut(width).enumerate();
    samples.for_each(|(sample, row)| {
        let mut rest = row;
        for (layer, &size) in layers.iter().zip(&sizes) {
            let (own, others) = rest.split_at_mut(size);
            layer.gradient(sample, own);
            rest = others;
        }
    });
    gradients
}

impl WatchedLayer {
    fn gradient(&self, sample: usize, out: &mut [f32]) {
        let batch = self.shape[0];
        let part = |all: &[f32]| sample * (all.len() / batch)..(sample + 1) * (all.len() / batch);
        let inputs = &self.inputs[part(&self.inputs)];
        let slopes = &self.slopes[part(&self.slopes)];
        match self.shape[1..] {
            [channels, height, width] => of_kernel(inputs, slopes, [channels, height, width], out),
            _ => {
                for (row, input) in out.chunks_exact_mut(slopes.len()).zip(inputs) {
                    let cells = row.iter_mut().zip(slopes);
                    cells.for_each(|(cell, slope)| *cell = input * slope);
                }
            }
        }
    }
}

/// Of 3 × 3 convolutions with a border of one: `Σ_yx slope_o(y, x) · input_i(y + ky − 1, x + kx − 1)`.
fn of_kernel(inputs: &[f32], slopes: &[f32], [channels, height, width]: [usize; 3], out: &mut [f32]) {
    let planes = slopes.chunks_exact(height * width);
    for (slopes, kernels) in planes.zip(out.chunks_exact_mut(9 * channels)) {
        let each = inputs.chunks_exact(height * width);
        for (input, kernel) in each.zip(kernels.chunks_exact_mut(9)) {
            for (at, cell) in kernel.iter_mut().enumerate() {
                let (down, right) = (at / 3, at % 3);
                let mut sum = 0.0;
                for y in 1_usize.saturating_sub(down)..(height + 1 - down).min(height) {
                    let source = &input[(y + down - 1) * width..][..width];
                    for x in 1_usize.saturating_sub(right)..(width + 1 - right).min(width) {
                        sum += slopes[y * width + x] * source[x + right - 1];
                    }
                }
                *cell = sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Int};
    use thalweg::Reduction;
    use thalweg::classification::{CompSumLossConfig, LogitLoss};
    use thalweg::objective::Model;
    use thalweg_kernels::random::Stream;

    use super::*;
    use crate::model::{Activation, ModelSpec, Normalization, ScoreForm};

    fn loss() -> LogitLoss {
        CompSumLossConfig::new()
            .with_reduction(Reduction::Sum)
            .init()
            .unwrap()
    }

    fn inputs(samples: usize, device: &Device) -> Tensor<2> {
        let mut values = vec![0.0_f32; samples * 64];
        Stream::new(0, "inputs", 0).fill_normal(&mut values);
        Tensor::<1>::from_floats(&values[..], device).reshape([samples, 64])
    }

    #[test]
    fn each_row_is_what_the_sample_alone_descends_along() {
        let (device, plain) = (Device::flex().autodiff(), Device::flex());
        for spec in [
            ModelSpec::Linear,
            ModelSpec::mlp(vec![7, 5]),
            ModelSpec::Mlp {
                hidden: vec![6],
                activation: Activation::Tanh,
                normalization: Normalization::None,
                scores: ScoreForm::ByClass,
            },
            ModelSpec::Cnn,
        ] {
            let network = Network::new(&spec, &[1, 8, 8], 3, 1, &device);
            let (inputs, labels) = (inputs(4, &plain), [2, 0, 1, 1]);
            let targets = |labels: &[i32]| Tensor::<1, Int>::from_ints(labels, &plain);
            let found = per_sample_gradients(&network, inputs.clone(), |scores| {
                loss().forward(scores, targets(&labels))
            });
            let width = found.len() / 4;
            for (sample, row) in found.chunks_exact(width).enumerate() {
                let own = inputs.clone().slice([sample..sample + 1, 0..64]).autodiff();
                let alone = loss().forward(network.forward(own), targets(&labels[sample..=sample]));
                let gradients = GradientsParams::from_grads(alone.backward(), &network);
                // Biases are visited too: a step along the gradients shows those of the matrices by what they move.
                let all: Vec<f32> = thalweg::optimizer::flat_gradients(&network, &gradients);
                let parameters: Vec<f32> = thalweg::optimizer::flat_parameters(&network);
                let moved: Vec<f32> = parameters.iter().zip(&all).map(|(p, g)| p + g).collect();
                let stepped = thalweg::optimizer::with_flat_parameters(network.clone(), &moved);
                let before = network.matrix_weights();
                for ((after, before), found) in stepped.matrix_weights().iter().zip(before).zip(row) {
                    assert!(
                        (after - before - found).abs() < 1e-5,
                        "{spec:?}: {} {found}",
                        after - before
                    );
                }
            }
        }
    }

    #[test]
    fn normalisation_goes_by_running_statistics_so_that_samples_are_apart() {
        let device = Device::flex().autodiff();
        let spec = ModelSpec::Mlp {
            hidden: vec![6],
            activation: Activation::Relu,
            normalization: Normalization::Batch,
            scores: ScoreForm::ByClass,
        };
        let network = Network::new(&spec, &[64], 3, 1, &device);
        network.forward(inputs(16, &device));
        let inputs = inputs(4, &Device::flex());
        let of = |rows: std::ops::Range<usize>| {
            let labels: Vec<i32> = rows.clone().map(|row| row as i32 % 3).collect();
            let targets = Tensor::<1, Int>::from_ints(&labels[..], &Device::flex());
            per_sample_gradients(&network, inputs.clone().slice([rows, 0..64]), |scores| {
                loss().forward(scores, targets)
            })
        };
        let (together, last) = (of(0..4), of(3..4));
        let apart = together[together.len() - last.len()..].iter().zip(&last);
        assert!(apart.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(last.iter().any(|slope| slope.abs() > 1e-3));
    }
}
