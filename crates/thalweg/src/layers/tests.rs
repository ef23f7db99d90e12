use burn::module::Module;
use burn::optim::GradientsParams;
use burn::store::ModuleRecord;
use burn::tensor::DType;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use proptest::prelude::*;

use super::*;

fn variable<const D: usize>(shape: [usize; D], seed: u64, dtype: DType) -> Tensor<D> {
    let mut stream = Stream::new(seed, "layers", 0);
    let values: Vec<f64> = (0..shape.iter().product())
        .map(|_| 2.0 * stream.uniform() - 1.0)
        .collect();
    let tensor = Tensor::<D>::from_data(TensorData::new(values, shape), (&Device::flex(), dtype));
    tensor.autodiff().require_grad()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.without_autodiff().into_data();
    data.try_into_vec_as::<f64>().unwrap()
}

/// An output and, under a gradient that differs from element to element, the gradients of what it was made of.
fn all<const D: usize, const W: usize>(
    out: Tensor<D>,
    input: &Tensor<D>,
    weight: &Tensor<W>,
    bias: Option<&Tensor<1>>,
) -> Vec<f64> {
    let upstream = variable(out.dims(), 9, out.dtype()).without_autodiff();
    let gradients = (out.clone() * upstream).sum().backward();
    let mut found = floats(out);
    found.extend(floats(input.grad(&gradients).unwrap()));
    found.extend(floats(weight.grad(&gradients).unwrap()));
    if let Some(bias) = bias {
        found.extend(floats(bias.grad(&gradients).unwrap()));
    }
    found
}

fn near(found: &[f64], expected: &[f64], dtype: DType) {
    let tolerance = if dtype == DType::F64 { 1e-11 } else { 2e-4 };
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance * (1.0 + b.abs()), "{a}, expected {b}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_linear_layer_is_burns(
        (a, b, inputs, outputs) in (1_usize..5, 1_usize..6, 1_usize..20, 1_usize..20),
        (with_bias, double) in any::<(bool, bool)>(),
    ) {
        let dtype = if double { DType::F64 } else { DType::F32 };
        let (input, weight) = (variable([a, b, inputs], 0, dtype), variable([inputs, outputs], 1, dtype));
        let bias = with_bias.then(|| variable([outputs], 2, dtype));
        let ours = linear(input.clone(), weight.clone(), bias.clone());
        let theirs = burn::tensor::module::linear(input.clone(), weight.clone(), bias.clone());
        near(
            &all(ours, &input, &weight, bias.as_ref()),
            &all(theirs, &input, &weight, bias.as_ref()),
            dtype,
        );
    }

    #[test]
    fn a_convolution_of_planes_is_burns(
        (batch, inputs, outputs, groups) in (1_usize..4, 1_usize..4, 1_usize..4, 1_usize..3),
        sides in prop::array::uniform2(4_usize..10),
        kernel in prop::array::uniform2(1_usize..4),
        stride in prop::array::uniform2(1_usize..3),
        padding in prop::array::uniform2(0_usize..3),
        dilation in prop::array::uniform2(1_usize..3),
        (with_bias, double) in any::<(bool, bool)>(),
    ) {
        let span = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
        prop_assume!((0..2).all(|axis| span(axis) <= sides[axis] + 2 * padding[axis]));
        let dtype = if double { DType::F64 } else { DType::F32 };
        let input = variable([batch, inputs * groups, sides[0], sides[1]], 0, dtype);
        let weight = variable([outputs * groups, inputs, kernel[0], kernel[1]], 1, dtype);
        let bias = with_bias.then(|| variable([outputs * groups], 2, dtype));
        let options = ConvOptions::new(stride, padding, dilation, groups);
        let ours = conv2d(input.clone(), weight.clone(), bias.clone(), options.clone());
        let theirs = burn::tensor::module::conv2d(input.clone(), weight.clone(), bias.clone(), options);
        near(
            &all(ours, &input, &weight, bias.as_ref()),
            &all(theirs, &input, &weight, bias.as_ref()),
            dtype,
        );
    }
}

#[test]
fn pooling_is_burns() {
    for (dtype, options) in [
        (DType::F32, MaxPoolOptions::new([2, 2])),
        (
            DType::F64,
            MaxPoolOptions::new([3, 2])
                .with_stride([1, 3])
                .with_dilation([2, 1]),
        ),
        (
            DType::F64,
            MaxPoolOptions::new([3, 3])
                .with_stride([2, 2])
                .with_padding([1, 1]),
        ),
        // These two are burn's own.
        (DType::F32, MaxPoolOptions::new([2, 2]).with_ceil_mode(true)),
        (DType::F64, MaxPoolOptions::new([1, 2]).with_padding([0, 1])),
    ] {
        let input = variable([2, 3, 9, 7], 0, dtype);
        let ours = max_pool2d(input.clone(), options.clone());
        let theirs = burn::tensor::module::max_pool2d(input.clone(), options);
        near(
            &all(ours, &input, &input, None),
            &all(theirs, &input, &input, None),
            dtype,
        );
    }
}

#[test]
#[should_panic(
    expected = "input [1, 1, 2, 5]: a window that spans [3, 3] does not fit into [2, 5] padded by [0, 0]"
)]
fn a_window_that_does_not_fit_is_named() {
    max_pool2d(variable([1, 1, 2, 5], 0, DType::F32), MaxPoolOptions::new([3, 3]));
}

#[test]
fn a_convolution_of_volumes_is_burns() {
    for dtype in [DType::F32, DType::F64] {
        for (padding, groups) in [([0, 1, 2], 1), ([1, 0, 1], 2)] {
            let input = variable([2, 4, 5, 6, 7], 0, dtype);
            let weight = variable([6, 4 / groups, 2, 3, 2], 1, dtype);
            let bias = variable([6], 2, dtype);
            let options = ConvOptions::new([1, 2, 1], padding, [2, 1, 1], groups);
            let given = || (input.clone(), weight.clone(), Some(bias.clone()), options.clone());
            let (x, w, b, o) = given();
            let ours = conv3d(x, w, b, o);
            let (x, w, b, o) = given();
            let theirs = burn::tensor::module::conv3d(x, w, b, o);
            near(
                &all(ours, &input, &weight, Some(&bias)),
                &all(theirs, &input, &weight, Some(&bias)),
                dtype,
            );
        }
    }
}

#[test]
fn strided_views_are_read_and_constants_have_no_gradient() {
    let (input, weight) = (variable([4, 6], 0, DType::F64), variable([4, 3], 1, DType::F64));
    let ours = linear(input.clone().transpose(), weight.clone(), None);
    let theirs = input.clone().transpose().matmul(weight.clone());
    near(
        &all(ours, &input, &weight, None),
        &all(theirs, &input, &weight, None),
        DType::F64,
    );
    let constant = input.transpose().without_autodiff();
    let out = linear(constant.clone(), weight.clone(), None);
    let gradients = out.sum().backward();
    let sums = floats(constant.clone().sum_dim(0));
    let found = floats(weight.grad(&gradients).unwrap());
    assert!(
        found
            .chunks(3)
            .zip(sums)
            .all(|(row, sum)| row.iter().all(|x| (x - sum).abs() < 1e-12))
    );
    let plain = linear(constant, weight.without_autodiff(), None);
    assert!(!plain.is_autodiff());
}

#[test]
fn an_output_may_be_used_twice_and_a_weight_in_two_layers() {
    let (input, weight) = (variable([2, 3], 0, DType::F64), variable([3, 3], 1, DType::F64));
    let twice = |layer: &dyn Fn(Tensor<2>) -> Tensor<2>| {
        let once = layer(input.clone());
        all(layer(once.clone()) * once, &input, &weight, None)
    };
    near(
        &twice(&|x| linear(x, weight.clone(), None)),
        &twice(&|x| x.matmul(weight.clone())),
        DType::F64,
    );
}

/// One of each.
#[derive(Module, Debug)]
struct All {
    linear: Linear,
    planes: Conv2d,
    volumes: Conv3d,
}

impl All {
    fn new(seed: u64, device: &Device) -> Self {
        let mut stream = Stream::new(seed, "weights", 0);
        Self {
            linear: LinearConfig::new(8, 3).init(&mut stream, device),
            planes: Conv2dConfig::new([2, 4], [3, 3])
                .with_padding([1, 1])
                .with_groups(2)
                .init(&mut stream, device)
                .unwrap(),
            volumes: Conv3dConfig::new([1, 2], [2, 1, 2])
                .with_stride([2, 2, 2])
                .with_bias(false)
                .init(&mut stream, device)
                .unwrap(),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let [batch, ..] = input.dims();
        let hidden = self.planes.forward(input).reshape([batch, 1, 4, 4, 4]);
        self.linear
            .forward(self.volumes.forward(hidden).reshape([batch as i64 * 2, -1]))
    }
}

#[test]
fn modules_have_gradients_for_every_parameter_and_come_back_from_records() {
    let device = Device::flex().autodiff();
    let model = All::new(0, &device);
    let input = variable([3, 2, 4, 4], 5, DType::F32).without_autodiff();
    let out = model.forward(input.clone());
    assert_eq!(out.dims(), [6, 3]);
    let gradients = GradientsParams::from_grads(out.clone().square().sum().backward(), &model);
    assert_eq!(gradients.len(), 5);
    let bytes = model.into_record().into_bytes().unwrap();
    let other = All::new(1, &device);
    assert_ne!(floats(other.forward(input.clone())), floats(out.clone()));
    let loaded = other.load_record(ModuleRecord::from_bytes(bytes).unwrap());
    assert_eq!(floats(loaded.forward(input)), floats(out));
}

#[test]
fn initial_weights_are_uniform_in_the_inverse_root_of_what_is_read() {
    let mut stream = Stream::new(0, "weights", 0);
    let layer = LinearConfig::new(100, 50).init(&mut stream, &Device::flex());
    let weights = floats(layer.weight.val());
    assert!(weights.iter().all(|w| w.abs() <= 0.1));
    let square = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
    assert!((square - 0.01 / 3.0).abs() < 2e-4, "{square}");
}

#[test]
fn impossible_layers_are_refused() {
    let mut stream = Stream::new(0, "weights", 0);
    let error = Conv2dConfig::new([4, 6], [3, 3])
        .with_groups(4)
        .init(&mut stream, &Device::flex());
    assert_eq!(
        error.err().unwrap().to_string(),
        "6 output channels do not make 4 equal groups"
    );
    let error = Conv3dConfig::new([4, 6], [3, 0, 3]).init(&mut stream, &Device::flex());
    assert!(error.is_err());
    let error = Conv2dConfig::new([4, 6], [3, 3])
        .with_groups(0)
        .init(&mut stream, &Device::flex());
    assert!(error.is_err());
}

#[test]
#[should_panic(expected = "input [2, 3] and weight [4, 5] differ in width")]
fn a_linear_layer_names_shapes_that_disagree() {
    let weight = variable([4, 5], 0, DType::F32);
    linear(variable([2, 3], 0, DType::F32), weight, None);
}

#[test]
#[should_panic(
    expected = "input [1, 1, 2, 5], weight [1, 1, 3, 3]: a kernel that spans 3 does not fit into a padded height of 2"
)]
fn a_convolution_names_what_does_not_fit() {
    let (input, weight) = (
        variable([1, 1, 2, 5], 0, DType::F32),
        variable([1, 1, 3, 3], 0, DType::F32),
    );
    conv2d(input, weight, None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
}
