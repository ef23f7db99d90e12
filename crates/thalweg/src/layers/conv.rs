//! Convolutions of planes and volumes, as cross-correlations.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor};
use thalweg_kernels::conv::{Options, Shape, ShapeError, Wanted, backward, forward};
use thalweg_kernels::random::Stream;

use super::uniform;
use crate::bridge::{CpuFloat, CpuFloats, Input, Operation, with_operation};

/// Output `(n, o, y, x) = b_o + Σ_{c,i,j} w_{o,c,i,j}·input(n, c, y·stride + i·dilation − padding, ..)`.
///
/// # Shapes
/// - input `[batch, channels in, height, width]`, weight `[channels out, channels in / groups, height, width]`, bias `[channels
///   out]`; returns `[batch, channels out, height out, width out]` with `height out = (height + padding before and after −
///   dilation·(kernel − 1) − 1) / stride + 1`, rounded down.
///
/// # Panics
/// When there is no such convolution.
pub fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let [outputs, per_group, rows, columns] = weight.dims();
    let flat = Options {
        stride: [1, options.stride[0], options.stride[1]],
        padding: [(0, 0), options.padding[0], options.padding[1]],
        dilation: [1, options.dilation[0], options.dilation[1]],
        groups: options.groups,
    };
    let shape = Shape::new(
        [batch, channels, 1, height, width],
        [outputs, per_group, 1, rows, columns],
        flat,
    );
    let shape = checked(shape, &input.dims(), &weight.dims(), bias.as_ref());
    let [_, _, _, height, width] = shape.output();
    let output = [batch, outputs, height, width];
    convolved(shape, &input, &weight, bias.as_ref(), output)
        .unwrap_or_else(|| burn::tensor::module::conv2d(input, weight, bias, options))
}

/// [`conv2d`] with a third axis, depth, before height.
///
/// # Shapes
/// - input `[batch, channels in, depth, height, width]`, weight `[channels out, channels in / groups, depth, height, width]`,
///   bias `[channels out]`; returns `[batch, channels out, depth out, height out, width out]`.
///
/// # Panics
/// When there is no such convolution.
pub fn conv3d(
    input: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<3>,
) -> Tensor<5> {
    let shape = Shape::new(
        input.dims(),
        weight.dims(),
        Options {
            stride: options.stride,
            padding: options.padding,
            dilation: options.dilation,
            groups: options.groups,
        },
    );
    let shape = checked(shape, &input.dims(), &weight.dims(), bias.as_ref());
    convolved(shape, &input, &weight, bias.as_ref(), shape.output())
        .unwrap_or_else(|| burn::tensor::module::conv3d(input, weight, bias, options))
}

fn checked(
    shape: Result<Shape, ShapeError>,
    input: &[usize],
    weight: &[usize],
    bias: Option<&Tensor<1>>,
) -> Shape {
    let shape = shape.unwrap_or_else(|error| panic!("input {input:?}, weight {weight:?}: {error}"));
    if let Some(bias) = bias {
        assert_eq!(
            bias.dims(),
            [weight[0]],
            "weight {weight:?} needs bias [{}]",
            weight[0]
        );
    }
    shape
}

/// By the kernels; none where they cannot reach all elements.
fn convolved<const D: usize>(
    shape: Shape,
    input: &Tensor<D>,
    weight: &Tensor<D>,
    bias: Option<&Tensor<1>>,
    output: [usize; D],
) -> Option<Tensor<D>> {
    let memory = [CpuFloats::gathered(input)?, CpuFloats::gathered(weight)?];
    let bias_memory = match bias {
        None => None,
        Some(bias) => Some(CpuFloats::gathered(bias)?),
    };
    let dtype = memory[0].dtype();
    let mut others = memory[1..].iter().chain(&bias_memory);
    if others.any(|other| other.dtype() != dtype) {
        return None;
    }
    let [input_memory, weight_memory] = memory;
    let pass = ConvPass {
        shape,
        input: input_memory,
        weight: weight_memory,
    };
    let output = match dtype {
        DType::F32 => CpuFloats::new(pass.forward::<f32>(bias_memory.as_ref()), output),
        _ => CpuFloats::new(pass.forward::<f64>(bias_memory.as_ref()), output),
    };
    let (input, weight) = (Input::of(input), Input::of(weight));
    Some(match bias {
        None => with_operation(output, [input, weight], pass),
        Some(bias) => with_operation(output, [input, weight, Input::of(bias)], pass),
    })
}

/// What a pass through the layer reads, in memory.
#[derive(Clone, Debug)]
struct ConvPass {
    shape: Shape,
    input: CpuFloats,
    weight: CpuFloats,
}

impl ConvPass {
    fn forward<F: CpuFloat>(&self, bias: Option<&CpuFloats>) -> Vec<F> {
        let bias = bias.map_or(&[][..], CpuFloats::slice);
        forward(&self.shape, self.input.slice::<F>(), self.weight.slice(), bias)
    }

    fn gradients<F: CpuFloat>(&self, upstream: &[F], wanted: Wanted) -> [Option<CpuFloats>; 3] {
        let (input, weight) = (self.input.slice(), self.weight.slice());
        let found = backward(&self.shape, wanted, input, weight, upstream);
        let flat = |wanted: bool, values: Vec<F>| {
            let len = values.len();
            wanted.then(|| CpuFloats::new(values, [len]))
        };
        [
            flat(wanted.input, found.input),
            flat(wanted.weight, found.weight),
            flat(wanted.bias, found.bias),
        ]
    }

    fn all_gradients(
        &self,
        upstream: &CpuFloats,
        [input, weight, bias]: [bool; 3],
    ) -> [Option<CpuFloats>; 3] {
        let wanted = Wanted { input, weight, bias };
        match upstream.dtype() {
            DType::F32 => self.gradients::<f32>(upstream.slice(), wanted),
            _ => self.gradients::<f64>(upstream.slice(), wanted),
        }
    }
}

impl Operation<2> for ConvPass {
    fn backward(self, upstream: CpuFloats, [input, weight]: [bool; 2]) -> [Option<CpuFloats>; 2] {
        let [input, weight, _] = self.all_gradients(&upstream, [input, weight, false]);
        [input, weight]
    }
}

impl Operation<3> for ConvPass {
    fn backward(self, upstream: CpuFloats, wanted: [bool; 3]) -> [Option<CpuFloats>; 3] {
        self.all_gradients(&upstream, wanted)
    }
}

/// Configuration of [`Conv2d`].
#[derive(Config, Debug)]
pub struct Conv2dConfig {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps between outputs.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Zeros on both sides of each axis.
    #[config(default = "[0, 0]")]
    pub padding: [usize; 2],
    /// Steps between taps of the kernel.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Groups of channels, each convolved by itself.
    #[config(default = 1)]
    pub groups: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
}

/// Configuration of [`Conv3d`].
#[derive(Config, Debug)]
pub struct Conv3dConfig {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Depth, height and width of the kernel.
    pub kernel_size: [usize; 3],
    /// Steps between outputs.
    #[config(default = "[1, 1, 1]")]
    pub stride: [usize; 3],
    /// Zeros on both sides of each axis.
    #[config(default = "[0, 0, 0]")]
    pub padding: [usize; 3],
    /// Steps between taps of the kernel.
    #[config(default = "[1, 1, 1]")]
    pub dilation: [usize; 3],
    /// Groups of channels, each convolved by itself.
    #[config(default = 1)]
    pub groups: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
}

impl Conv2dConfig {
    /// The layer, its weight and then its bias drawn uniformly in `±1/√(channels in / groups · taps)`.
    ///
    /// # Errors
    /// When a size is 0, or the channels do not make equal groups.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Result<Conv2d, ShapeError> {
        let [height, width] = self.kernel_size;
        let fan_in = fan_in(
            self.channels,
            self.groups,
            [1, height, width],
            [1, self.stride[0], self.stride[1]],
            [1, self.dilation[0], self.dilation[1]],
        )?;
        let [inputs, outputs] = self.channels;
        let weight = [outputs, inputs / self.groups, height, width];
        Ok(Conv2d {
            weight: uniform(weight, fan_in, stream, device),
            bias: self.bias.then(|| uniform([outputs], fan_in, stream, device)),
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        })
    }
}

impl Conv3dConfig {
    /// The layer, its weight and then its bias drawn uniformly in `±1/√(channels in / groups · taps)`.
    ///
    /// # Errors
    /// When a size is 0, or the channels do not make equal groups.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Result<Conv3d, ShapeError> {
        let [depth, height, width] = self.kernel_size;
        let fan_in = fan_in(
            self.channels,
            self.groups,
            self.kernel_size,
            self.stride,
            self.dilation,
        )?;
        let [inputs, outputs] = self.channels;
        let weight = [outputs, inputs / self.groups, depth, height, width];
        Ok(Conv3d {
            weight: uniform(weight, fan_in, stream, device),
            bias: self.bias.then(|| uniform([outputs], fan_in, stream, device)),
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        })
    }
}

/// Products that make one output of a layer that an image can be found for.
fn fan_in(
    [inputs, outputs]: [usize; 2],
    groups: usize,
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
) -> Result<usize, ShapeError> {
    let per_group = inputs / groups.max(1);
    let options = Options {
        stride,
        padding: [0, 1, 2].map(|axis| (0, kernel[axis] * dilation[axis])),
        dilation,
        groups,
    };
    let [depth, height, width] = kernel;
    Shape::new(
        [1, inputs, 1, 1, 1],
        [outputs, per_group, depth, height, width],
        options,
    )?;
    Ok(per_group * depth * height * width)
}

/// A convolution of planes, with the parameters of burn-nn's.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[channels out, channels in / groups, height, width]`.
    pub weight: Param<Tensor<4>>,
    /// `[channels out]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Conv2d {
    /// See [`conv2d`].
    ///
    /// # Shapes
    /// - input `[batch, channels in, height, width]`; returns `[batch, channels out, height out, width out]`.
    ///
    /// # Panics
    /// When the input has other channels, or is smaller than the kernel.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new(self.stride, self.padding, self.dilation, self.groups);
        conv2d(
            input,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            options,
        )
    }
}

/// A convolution of volumes, with the parameters of burn-nn's.
#[derive(Module, Debug)]
pub struct Conv3d {
    /// `[channels out, channels in / groups, depth, height, width]`.
    pub weight: Param<Tensor<5>>,
    /// `[channels out]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
    groups: usize,
}

impl Conv3d {
    /// See [`conv3d`].
    ///
    /// # Shapes
    /// - input `[batch, channels in, depth, height, width]`; returns `[batch, channels out, depth out, height out, width out]`.
    ///
    /// # Panics
    /// When the input has other channels, or is smaller than the kernel.
    pub fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        let options = ConvOptions::new(self.stride, self.padding, self.dilation, self.groups);
        conv3d(
            input,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            options,
        )
    }
}
