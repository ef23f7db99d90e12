//! The Brownian diffusive loss: every step kicks each sample's embeddings in a random direction of the sample's own.
//!
//! `mean_iv ⟨u_iv, w_i⟩` of the embeddings u brought to length 1, with w_i uniform on the unit sphere, drawn anew every step and
//! shared by the views of a sample, so that they move together while samples diffuse apart. The mean is 0; descending it is a
//! random walk on the sphere. A direction for each view would tear views apart, one that stays would be a drift.
//!
//! Source: Moon, Buracas, Park, Kim, Canny, WACV 2023 (arXiv 2207.03552).

use burn::tensor::{DType, Device, Tensor, TensorData};
use thalweg_kernels::directions::Directions;
use thalweg_kernels::random::Stream;

use super::unit_views::{mean_view, unit_rows, unit_views};
use crate::bridge::{CpuFloat, CpuFloats, Input, Operation, with_operation};
use crate::quantity::Quantity;

/// Which way each sample of a batch is kicked.
#[derive(Clone, Debug)]
pub enum Kicks<'a> {
    /// Along these rows `[batch, width]`, whatever their lengths.
    Along(&'a Tensor<2>),
    /// By seed, step and the number of the sample: the same whenever it is asked for, and never held for the whole batch.
    Keyed {
        /// Of the training run.
        seed: u64,
        /// Of that run.
        step: usize,
        /// Number of each sample of the batch.
        samples: &'a [usize],
    },
}

/// The Brownian diffusive loss.
#[derive(Clone, Copy, Debug)]
pub struct BrownianDiffusiveLoss;

impl BrownianDiffusiveLoss {
    /// # Shapes
    /// - one view or more `[batch, width]`, of norms that are taken to be at least 1e-12; returns `[1]`.
    ///
    /// # Panics
    /// When there is no view, views differ in shape, or there are not as many kicks as samples.
    pub fn forward(&self, views: &[Tensor<2>], kicks: &Kicks) -> Tensor<1> {
        let mean = mean_view(&unit_views(views));
        let [batch, width] = mean.dims();
        match kicks {
            Kicks::Along(noise) => along(mean, unit_rows((*noise).clone())),
            &Kicks::Keyed { seed, step, samples } => {
                assert_eq!(samples.len(), batch, "a number for each sample of the batch");
                let drawn = Drawn {
                    root: Stream::new(seed, "brownian directions", step as u64),
                    samples: samples.to_vec(),
                    width,
                };
                match CpuFloats::gathered(&mean) {
                    Some(floats) => match floats.dtype() {
                        DType::F32 => drawn.on_memory::<f32>(&mean, &floats),
                        _ => drawn.on_memory::<f64>(&mean, &floats),
                    },
                    None => {
                        let directions = drawn.tensor(&mean.device(), mean.dtype());
                        along(mean, directions)
                    }
                }
            }
        }
    }
}

/// Mean over samples of `⟨mean view, direction⟩`.
fn along(mean: Tensor<2>, directions: Tensor<2>) -> Tensor<1> {
    let [batch, _] = mean.dims();
    (mean * directions).sum() * (1.0 / batch as f64)
}

/// The directions of a step, not yet drawn.
#[derive(Clone, Debug)]
struct Drawn {
    root: Stream,
    samples: Vec<usize>,
    width: usize,
}

impl Drawn {
    fn directions(&self) -> Directions<'_> {
        Directions {
            root: &self.root,
            samples: &self.samples,
            width: self.width,
        }
    }

    fn tensor(&self, device: &Device, dtype: DType) -> Tensor<2> {
        let rows: Vec<f64> = self.directions().scaled(1.0);
        let data = TensorData::new(rows, [self.samples.len(), self.width]);
        Tensor::from_data(data, (&device.clone().without_autodiff(), dtype))
    }

    fn on_memory<F: CpuFloat>(self, mean: &Tensor<2>, floats: &CpuFloats) -> Tensor<1> {
        let along = self.directions().along(floats.slice::<F>());
        let value = along.iter().sum::<f64>() / along.len() as f64;
        let output = CpuFloats::new(vec![F::from_f64(value)], [1]);
        with_operation(output, [Input::of(mean)], self)
    }

    fn back<F: CpuFloat>(&self, upstream: &[F]) -> CpuFloats {
        let count = self.samples.len();
        let rows: Vec<F> = self.directions().scaled(upstream[0].to_f64() / count as f64);
        CpuFloats::new(rows, [count, self.width])
    }
}

impl Operation<1> for Drawn {
    fn backward(self, upstream: CpuFloats, _: [bool; 1]) -> [Option<CpuFloats>; 1] {
        [Some(match upstream.dtype() {
            DType::F32 => self.back::<f32>(upstream.slice()),
            _ => self.back::<f64>(upstream.slice()),
        })]
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "brownian_diffusive_loss",
            "kick of each sample's views along its own noise, and its gradient",
        )
        .input("z", "[V, B, d]")
        .input("noise", "[B, d]")
        .eval(|case| {
            case.views_of("z")?;
            case.embeddings(&["noise"])?;
            case.no_zero_rows("noise")?;
            let z = case.variable::<3>("z");
            let noise = case.tensor("noise");
            let views = super::multiview_centroid::views(z.clone());
            let value = BrownianDiffusiveLoss.forward(&views, &Kicks::Along(&noise));
            Ok(case.value_and_gradients(value, &[("z", &z)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{agrees_with_differences, gradient, leaf, numbers};
    use super::*;

    fn keyed(step: usize, samples: &[usize]) -> Kicks<'_> {
        Kicks::Keyed {
            seed: 3,
            step,
            samples,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn drawn_again_the_directions_are_the_same(
            batch in 1_usize..6, width in 1_usize..6, seed in 0_u64..1000, step in 0_usize..9,
        ) {
            let samples: Vec<usize> = (0..batch).map(|at| 7 * at + seed as usize).collect();
            for (dtype, close) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
                let [first, second] = [1, 2].map(|view| leaf(&numbers(batch * width, seed + view), width, dtype));
                let drawn = Drawn {
                    root: Stream::new(3, "brownian directions", step as u64),
                    samples: samples.clone(),
                    width,
                };
                let noise = drawn.tensor(&Device::flex(), dtype) * 5.0;
                let by = |kicks: &Kicks| {
                    let value = BrownianDiffusiveLoss.forward(&[first.clone(), second.clone()], kicks) * 2.0;
                    let slopes = gradient(&value, &first);
                    (value.into_scalar::<f64>(), slopes)
                };
                let ((value, slopes), (expected, others)) = (by(&keyed(step, &samples)), by(&Kicks::Along(&noise)));
                prop_assert!((value - expected).abs() < close);
                for (a, b) in slopes.iter().zip(others) {
                    prop_assert!((a - b).abs() < close * (1.0 + b.abs()));
                }
            }
        }

        #[test]
        fn a_kick_turns_and_never_stretches(batch in 1_usize..5, width in 2_usize..6, seed in 0_u64..1000) {
            let rows = leaf(&numbers(batch * width, seed), width, DType::F64);
            let samples: Vec<usize> = (0..batch).collect();
            let loss = |rows: Tensor<2>| BrownianDiffusiveLoss.forward(&[rows], &keyed(1, &samples));
            agrees_with_differences(&rows, &loss)?;
            let slopes = gradient(&loss(rows.clone()), &rows);
            let values = rows.into_data().try_into_vec_as::<f64>().unwrap();
            for (slope, row) in slopes.chunks(width).zip(values.chunks(width)) {
                prop_assert!(slope.iter().zip(row).map(|(a, b)| a * b).sum::<f64>().abs() < 1e-12);
            }
        }
    }

    /// The mean is 0 and the variance `Σ_i ‖mean_v u_iv‖²/(d B²)`.
    #[test]
    fn mean_and_variance_over_steps() {
        const STEPS: usize = 4000;
        let (batch, width) = (5, 4);
        let views = [1, 2].map(|seed| leaf(&numbers(batch * width, seed), width, DType::F64));
        let samples: Vec<usize> = (0..batch).collect();
        let values: Vec<f64> = (0..STEPS)
            .map(|step| {
                let value = BrownianDiffusiveLoss.forward(&views, &keyed(step, &samples));
                value.into_scalar::<f64>()
            })
            .collect();
        let mean = values.iter().sum::<f64>() / STEPS as f64;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / STEPS as f64;
        let lengths = mean_view(&unit_views(&views)).square().sum().into_scalar::<f64>();
        let expected = lengths / (width * batch * batch) as f64;
        assert!(mean.abs() < 4.0 * (expected / STEPS as f64).sqrt(), "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.1, "{variance} {expected}");
    }

    #[test]
    fn views_of_a_sample_are_kicked_alike_and_samples_are_not() {
        let row = [1.0, 2.0, 3.0];
        let views = [
            leaf(&row.repeat(2), 3, DType::F64),
            leaf(&row.repeat(2), 3, DType::F64),
        ];
        let value = BrownianDiffusiveLoss.forward(&views, &keyed(0, &[4, 9]));
        let gradients = value.backward();
        let [first, second] = views.map(|view| {
            let slopes = view.grad(&gradients).unwrap().into_data();
            slopes.try_into_vec_as::<f64>().unwrap()
        });
        assert_eq!(first, second);
        assert_ne!(first[..3], first[3..]);
    }
}
