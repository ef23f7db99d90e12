//! A linear layer and the loss of its scores in one: `ℓ(softcap(H Wᵀ + b), y)`, with no more of the scores in memory at once
//! than a block of samples needs.
//!
//! Three products in all and no second sweep, and even a language model's vocabulary needs a fixed amount of memory beside
//! the gradients: see [`sweep`].

mod sweep;

use burn::config::Config;
use burn::tensor::{Int, Tensor};

use super::LogitLoss;
use crate::bridge::{CpuFloat, CpuFloats, Floats, class_indices, constant, with_gradients, written};
use crate::config::require;
use crate::{ConfigError, Reduction};
use sweep::{Sums, Sweep};

/// Configuration of [`LinearLoss`].
#[derive(Config, Debug)]
pub struct LinearLossConfig {
    /// Scores are bent to `c·tanh(score/c)`, so that none exceeds c; none: as they are.
    pub softcap: Option<f64>,
    /// Target of samples that do not count.
    pub ignore_index: Option<i64>,
    /// How the samples that count become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
    /// Bytes that scores may take at once, which their gradient then replaces; a sample is the least.
    #[config(default = "60 << 20")]
    pub memory: usize,
}

impl LinearLossConfig {
    /// The layer under `loss`, whose own reduction does not matter.
    ///
    /// # Errors
    /// When the softcap is not above 0.
    pub fn init(&self, loss: LogitLoss) -> Result<LinearLoss, ConfigError> {
        if let Some(cap) = self.softcap {
            require("linear_loss", "softcap", cap, "above 0 and finite", |cap| {
                cap > 0.0 && cap.is_finite()
            })?;
        }
        Ok(LinearLoss {
            loss,
            softcap: self.softcap,
            ignore_index: self.ignore_index,
            reduction: self.reduction,
            memory: self.memory,
        })
    }
}

/// A linear layer and the loss of its scores.
#[derive(Clone, Debug)]
pub struct LinearLoss {
    loss: LogitLoss,
    softcap: Option<f64>,
    ignore_index: Option<i64>,
    reduction: Reduction,
    memory: usize,
}

impl LinearLoss {
    /// The mean is over the samples that count; it is NaN where none does.
    ///
    /// # Shapes
    /// - hidden `[samples, width]`, weight `[classes, width]`, bias `[classes]`, targets `[samples]` with values in
    ///   `0..classes` or the one to ignore; returns `[1]`, or `[samples]` for [`Reduction::None`], 0 for those that do not
    ///   count.
    ///
    /// # Panics
    /// When shapes disagree, there are no samples, fewer than two classes, or a target is out of range.
    pub fn forward(
        &self,
        hidden: Tensor<2>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        targets: Tensor<1, Int>,
    ) -> Tensor<1> {
        let problem = Problem::new(&hidden, &weight, bias.as_ref(), &targets, self.ignore_index);
        let memories = (CpuFloats::of(&hidden), CpuFloats::of(&weight));
        let bias_memory = bias.as_ref().map(CpuFloats::of);
        if let (Some(h), Some(w)) = &memories
            && self.reduction != Reduction::None
            && bias_memory.as_ref().is_none_or(Option::is_some)
        {
            let b = bias_memory
                .as_ref()
                .and_then(Option::as_ref)
                .map(CpuFloats::floats);
            match (h.floats(), w.floats(), b) {
                (Floats::F32(h), Floats::F32(w), None) => {
                    return self.streamed([h, w, &[]], &problem, hidden, weight, bias);
                }
                (Floats::F32(h), Floats::F32(w), Some(Floats::F32(b))) => {
                    return self.streamed([h, w, b], &problem, hidden, weight, bias);
                }
                (Floats::F64(h), Floats::F64(w), None) => {
                    return self.streamed([h, w, &[]], &problem, hidden, weight, bias);
                }
                (Floats::F64(h), Floats::F64(w), Some(Floats::F64(b))) => {
                    return self.streamed([h, w, b], &problem, hidden, weight, bias);
                }
                _ => {}
            }
        }
        self.composed(&problem, hidden, weight, bias)
    }

    /// By tensor operations, all scores at once.
    fn composed(
        &self,
        problem: &Problem,
        hidden: Tensor<2>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
    ) -> Tensor<1> {
        let device = hidden.device();
        let places: Vec<i64> = problem.counted.iter().map(|&sample| sample as i64).collect();
        let places = Tensor::<1, Int>::from_ints(places.as_slice(), &device);
        let mut scores = hidden.select(0, places.clone()).matmul(weight.transpose());
        if let Some(bias) = bias {
            scores = scores + bias.unsqueeze();
        }
        if let Some(cap) = self.softcap {
            scores = (scores * (1.0 / cap)).tanh() * cap;
        }
        let targets: Vec<i64> = problem.targets.iter().map(|&target| i64::from(target)).collect();
        let targets = Tensor::<1, Int>::from_ints(targets.as_slice(), &device);
        let losses = self.loss.per_sample(scores, targets);
        match self.reduction {
            Reduction::None => {
                let zeros = Tensor::zeros([problem.samples], (&losses.device(), losses.dtype()));
                zeros.select_assign(0, places, losses, burn::tensor::IndexingUpdateOp::Add)
            }
            reduction => reduction.of(losses),
        }
    }

    /// Block by block, on memory.
    fn streamed<F: CpuFloat>(
        &self,
        arrays: [&[F]; 3],
        problem: &Problem,
        hidden: Tensor<2>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
    ) -> Tensor<1> {
        let &Problem { width, classes, .. } = problem;
        let scale = self.reduction.scale(problem.counted.len());
        let mut of_bias = vec![F::ZERO; arrays[2].len()];
        let mut total = 0.0;
        let mut of_hidden = None;
        let of_weight = written([classes, width], |of_weight| {
            of_hidden = Some(written([problem.samples, width], |of_hidden| {
                let sums = Sums {
                    hidden: of_hidden,
                    weight: of_weight,
                    bias: &mut of_bias,
                };
                total = Sweep::new(self, problem, arrays, scale).run(sums);
            }));
        });
        let of_hidden = of_hidden.expect("it is written with that of the weights");
        let (device, dtype) = (hidden.device(), hidden.dtype());
        let value = constant(vec![total * scale], [1], &device, dtype);
        match bias {
            None => with_gradients(value, [(hidden, of_hidden), (weight, of_weight)]),
            Some(bias) => {
                let of_bias = constant::<2, F>(of_bias, [1, classes], &device, dtype);
                let bias = (bias.unsqueeze::<2>(), of_bias);
                with_gradients(value, [(hidden, of_hidden), (weight, of_weight), bias])
            }
        }
    }
}

/// Sizes that agree, and the samples that count.
struct Problem {
    samples: usize,
    width: usize,
    classes: usize,
    counted: Vec<usize>,
    /// Of those that count.
    targets: Vec<u32>,
}

impl Problem {
    fn new(
        hidden: &Tensor<2>,
        weight: &Tensor<2>,
        bias: Option<&Tensor<1>>,
        targets: &Tensor<1, Int>,
        ignore_index: Option<i64>,
    ) -> Self {
        let ([samples, width], [classes, of_weight]) = (hidden.dims(), weight.dims());
        assert!(samples > 0, "an empty batch has no loss");
        assert!(
            classes >= 2,
            "weight [{classes}, {of_weight}]: at least 2 classes are needed"
        );
        assert_eq!(
            width, of_weight,
            "hidden [{samples}, {width}] and weight [{classes}, {of_weight}] differ in width"
        );
        assert_eq!(
            targets.dims(),
            [samples],
            "hidden [{samples}, {width}] needs targets [{samples}]"
        );
        if let Some(bias) = bias {
            assert_eq!(
                bias.dims(),
                [classes],
                "weight [{classes}, {width}] needs bias [{classes}]"
            );
        }
        let ignored = |target: i64| Some(target) == ignore_index;
        let raw = targets.clone().into_data().try_into_vec_as::<i64>();
        let raw = raw.expect("class indices are integers");
        let counted: Vec<usize> = (0..samples).filter(|&sample| !ignored(raw[sample])).collect();
        let indices = class_indices(targets.clone());
        let targets: Vec<u32> = counted.iter().map(|&sample| indices[sample]).collect();
        if let Some(at) = targets.iter().position(|&target| target as usize >= classes) {
            panic!(
                "target {} of sample {} is not in 0..{classes}",
                raw[counted[at]], counted[at]
            );
        }
        Self {
            samples,
            width,
            classes,
            counted,
            targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use thalweg_kernels::random::Stream;

    use super::super::{CompSumLossConfig, LdrKlLossConfig};
    use super::*;

    fn tensor<const D: usize>(shape: [usize; D], seed: u64, dtype: DType) -> Tensor<D> {
        let mut values = vec![0.0; shape.iter().product()];
        Stream::new(seed, "tensor", 0).fill_normal(&mut values);
        Tensor::<D>::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
            .autodiff()
            .require_grad()
    }

    fn all(loss: Tensor<1>, hidden: &Tensor<2>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Vec<f64> {
        let gradients = loss.clone().sum().backward();
        let floats = |data: TensorData| data.try_into_vec_as::<f64>().unwrap();
        let mut found = floats(loss.without_autodiff().into_data());
        found.extend(floats(hidden.grad(&gradients).unwrap().into_data()));
        found.extend(floats(weight.grad(&gradients).unwrap().into_data()));
        if let Some(bias) = bias {
            found.extend(floats(bias.grad(&gradients).unwrap().into_data()));
        }
        found
    }

    #[test]
    fn blocks_of_any_size_are_the_composition() {
        for dtype in [DType::F64, DType::F32] {
            let (hidden, weight) = (tensor([13, 5], 0, dtype), tensor([11, 5], 1, dtype));
            let bias = tensor([11], 2, dtype);
            let targets = [3, 0, -100, 10, 3, -100, 9, 8, 1, 2, 5, 5, 0];
            let targets = Tensor::<1, Int>::from_ints(targets, &Device::flex());
            let losses = [
                CompSumLossConfig::new().init().unwrap(),
                LdrKlLossConfig::new().with_lambda(3.0).init().unwrap(),
            ];
            for loss in losses {
                for (softcap, reduction, memory) in [
                    (None, Reduction::Mean, 1),
                    (None, Reduction::Sum, 200),
                    (None, Reduction::Sum, 600),
                    (Some(1.5), Reduction::Mean, 400),
                    (Some(1.5), Reduction::Mean, 1 << 20),
                ] {
                    let layer = LinearLossConfig::new()
                        .with_softcap(softcap)
                        .with_ignore_index(Some(-100))
                        .with_reduction(reduction)
                        .with_memory(memory)
                        .init(loss.clone())
                        .unwrap();
                    for bias in [None, Some(&bias)] {
                        let problem = Problem::new(&hidden, &weight, bias, &targets, Some(-100));
                        let ours =
                            layer.forward(hidden.clone(), weight.clone(), bias.cloned(), targets.clone());
                        let theirs = layer.composed(&problem, hidden.clone(), weight.clone(), bias.cloned());
                        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
                        let (ours, theirs) = (
                            all(ours, &hidden, &weight, bias),
                            all(theirs, &hidden, &weight, bias),
                        );
                        for (a, b) in ours.iter().zip(&theirs) {
                            assert!((a - b).abs() < tolerance * (1.0 + b.abs()), "{a}, expected {b}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn unreduced_there_is_a_number_for_each_sample_and_0_for_those_that_do_not_count() {
        let (hidden, weight) = (tensor([3, 2], 0, DType::F64), tensor([4, 2], 1, DType::F64));
        let targets = Tensor::<1, Int>::from_ints([1, 7, 0], &Device::flex());
        let config = LinearLossConfig::new().with_ignore_index(Some(7));
        let loss = CompSumLossConfig::new().init().unwrap();
        let each = config.with_reduction(Reduction::None).init(loss.clone()).unwrap();
        let losses = each.forward(hidden.clone(), weight.clone(), None, targets.clone());
        let losses = losses.into_data().try_into_vec_as::<f64>().unwrap();
        assert_eq!((losses.len(), losses[1]), (3, 0.0));
        let mean = LinearLossConfig::new()
            .with_ignore_index(Some(7))
            .init(loss)
            .unwrap();
        let mean = mean.forward(hidden, weight, None, targets).into_scalar::<f64>();
        assert!((mean - 0.5 * (losses[0] + losses[2])).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        let (hidden, weight) = (tensor([2, 2], 0, DType::F32), tensor([3, 2], 1, DType::F32));
        let loss = CompSumLossConfig::new().init().unwrap();
        let layer = LinearLossConfig::new().init(loss.clone()).unwrap();
        let targets = Tensor::<1, Int>::from_ints([0, 1], &Device::flex());
        let nan = layer.forward(hidden.clone() * f32::NAN, weight.clone(), None, targets);
        assert!(nan.into_scalar::<f32>().is_nan());
        let none = LinearLossConfig::new()
            .with_ignore_index(Some(0))
            .init(loss)
            .unwrap();
        let targets = Tensor::<1, Int>::from_ints([0, 0], &Device::flex());
        assert!(
            none.forward(hidden, weight, None, targets)
                .into_scalar::<f32>()
                .is_nan()
        );
    }

    #[test]
    #[should_panic(expected = "target 5 of sample 1 is not in 0..3")]
    fn a_target_out_of_range_is_refused() {
        let (hidden, weight) = (tensor([2, 2], 0, DType::F32), tensor([3, 2], 1, DType::F32));
        let loss = CompSumLossConfig::new().init().unwrap();
        let layer = LinearLossConfig::new().init(loss).unwrap();
        layer.forward(hidden, weight, None, Tensor::from_ints([0, 5], &Device::flex()));
    }
}
