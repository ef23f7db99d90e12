//! The linear layer `Y = X·W + b`.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use thalweg_kernels::linear::{Widths, bias_gradient, forward, input_gradient, weight_gradient};
use thalweg_kernels::random::Stream;

use super::uniform;
use crate::bridge::{CpuFloat, CpuFloats, Input, Operation, with_operation};

/// `input·weight + bias`.
///
/// # Shapes
/// - input `[.., inputs]`, weight `[inputs, outputs]`, bias `[outputs]`; returns `[.., outputs]`.
///
/// # Panics
/// When the shapes disagree.
pub fn linear<const D: usize>(input: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let (dims, [inputs, outputs]) = (input.dims(), weight.dims());
    assert_eq!(
        dims.last(),
        Some(&inputs),
        "input {dims:?} and weight [{inputs}, {outputs}] differ in width"
    );
    if let Some(bias) = &bias {
        assert_eq!(
            bias.dims(),
            [outputs],
            "weight [{inputs}, {outputs}] needs bias [{outputs}]"
        );
    }
    let shape = {
        let mut shape = dims;
        shape[D - 1] = outputs;
        shape
    };
    let Some(operation) = LinearPass::of(&input, &weight, bias.as_ref()) else {
        return burn::tensor::module::linear(input, weight, bias);
    };
    let output = operation.forward(shape);
    let nodes = [Input::of(&input), Input::of(&weight)];
    match bias {
        None => with_operation(output, nodes, operation),
        Some(bias) => {
            let [input, weight] = nodes;
            with_operation(output, [input, weight, Input::of(&bias)], operation)
        }
    }
}

/// What a pass through the layer reads, in memory.
#[derive(Clone, Debug)]
struct LinearPass {
    rows: usize,
    widths: Widths,
    input: CpuFloats,
    weight: CpuFloats,
    bias: Option<CpuFloats>,
}

impl LinearPass {
    /// None where the kernels cannot reach all of them.
    fn of<const D: usize>(input: &Tensor<D>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Option<Self> {
        let [inputs, outputs] = weight.dims();
        let bias = match bias {
            None => None,
            Some(bias) => Some(CpuFloats::gathered(bias)?),
        };
        let pass = Self {
            rows: input.dims()[..D - 1].iter().product(),
            widths: Widths { inputs, outputs },
            input: CpuFloats::gathered(input)?,
            weight: CpuFloats::gathered(weight)?,
            bias,
        };
        let dtype = pass.input.dtype();
        let others = [Some(&pass.weight), pass.bias.as_ref()];
        let alike = others.into_iter().flatten().all(|other| other.dtype() == dtype);
        alike.then_some(pass)
    }

    fn forward<const D: usize>(&self, shape: [usize; D]) -> CpuFloats {
        match self.input.dtype() {
            DType::F32 => CpuFloats::new(self.forward_of::<f32>(), shape),
            _ => CpuFloats::new(self.forward_of::<f64>(), shape),
        }
    }

    fn forward_of<F: CpuFloat>(&self) -> Vec<F> {
        let bias = self.bias.as_ref().map_or(&[][..], CpuFloats::slice);
        forward(
            self.rows,
            self.widths,
            self.input.slice::<F>(),
            self.weight.slice(),
            bias,
        )
    }

    fn gradients<F: CpuFloat>(&self, upstream: &[F], wanted: [bool; 3]) -> [Option<CpuFloats>; 3] {
        let Self { rows, widths, .. } = *self;
        let Widths { inputs, outputs } = widths;
        let [of_input, of_weight, of_bias] = wanted;
        [
            of_input.then(|| {
                let gradient = input_gradient(rows, widths, upstream, self.weight.slice());
                CpuFloats::new(gradient, [rows, inputs])
            }),
            of_weight.then(|| {
                let gradient = weight_gradient(rows, widths, self.input.slice(), upstream);
                CpuFloats::new(gradient, [inputs, outputs])
            }),
            of_bias.then(|| CpuFloats::new(bias_gradient(rows, outputs, upstream), [outputs])),
        ]
    }

    fn all_gradients(&self, upstream: &CpuFloats, wanted: [bool; 3]) -> [Option<CpuFloats>; 3] {
        match upstream.dtype() {
            DType::F32 => self.gradients::<f32>(upstream.slice(), wanted),
            _ => self.gradients::<f64>(upstream.slice(), wanted),
        }
    }
}

impl Operation<2> for LinearPass {
    fn backward(self, upstream: CpuFloats, [input, weight]: [bool; 2]) -> [Option<CpuFloats>; 2] {
        let [input, weight, _] = self.all_gradients(&upstream, [input, weight, false]);
        [input, weight]
    }
}

impl Operation<3> for LinearPass {
    fn backward(self, upstream: CpuFloats, wanted: [bool; 3]) -> [Option<CpuFloats>; 3] {
        self.all_gradients(&upstream, wanted)
    }
}

/// Configuration of [`Linear`].
#[derive(Config, Debug)]
pub struct LinearConfig {
    /// Numbers that each row holds.
    pub d_input: usize,
    /// Numbers that the layer gives for each row.
    pub d_output: usize,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
}

impl LinearConfig {
    /// The layer, its weight and then its bias drawn uniformly in `±1/√d_input`.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Linear {
        Linear {
            weight: uniform([self.d_input, self.d_output], self.d_input, stream, device),
            bias: self
                .bias
                .then(|| uniform([self.d_output], self.d_input, stream, device)),
        }
    }
}

/// A linear layer, with the parameters of burn-nn's.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_input, d_output]`.
    pub weight: Param<Tensor<2>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// See [`linear`](fn@linear).
    ///
    /// # Shapes
    /// - input `[.., d_input]`; returns `[.., d_output]`.
    ///
    /// # Panics
    /// When the input has another width.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        linear(input, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
