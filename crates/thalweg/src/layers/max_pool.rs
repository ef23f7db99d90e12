//! Max pooling of planes.

use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{DType, Tensor};
use thalweg_kernels::max_pool::{Window, backward, forward};

use crate::bridge::{CpuFloat, CpuFloats, Input, Operation, with_operation};

/// The largest number of each window; its gradient goes to the first place that holds it.
///
/// Ceiling mode, and padding that differs between sides or exceeds half a window, are left to burn.
///
/// # Shapes
/// - input `[batch, channels, height, width]`; returns `[batch, channels, height out, width out]` with `height out = (height +
///   padding before and after − dilation·(kernel − 1) − 1) / stride + 1`, rounded down.
///
/// # Panics
/// When the window is larger than the padded plane.
pub fn max_pool2d(input: Tensor<4>, options: MaxPoolOptions<2>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let (sides, padding) = ([height, width], options.padding.map(|(before, _)| before));
    let span = [0, 1].map(|axis| (options.kernel_size[axis] - 1) * options.dilation[axis] + 1);
    let symmetric = options.padding.iter().all(|(before, after)| before == after);
    let within_half = (0..2).all(|axis| 2 * padding[axis] <= span[axis]);
    if options.ceil_mode || !symmetric || !within_half {
        return burn::tensor::module::max_pool2d(input, options);
    }
    assert!(
        (0..2).all(|axis| span[axis] <= sides[axis] + 2 * padding[axis]),
        "input {:?}: a window that spans {span:?} does not fit into {sides:?} padded by {padding:?}",
        input.dims()
    );
    let output = [0, 1].map(|axis| (sides[axis] + 2 * padding[axis] - span[axis]) / options.stride[axis] + 1);
    let window = Window {
        input: sides,
        output,
        kernel: options.kernel_size,
        stride: options.stride,
        padding,
        dilation: options.dilation,
    };
    let Some(memory) = CpuFloats::gathered(&input) else {
        return burn::tensor::module::max_pool2d(input, options);
    };
    let shape = [batch, channels, output[0], output[1]];
    match memory.dtype() {
        DType::F32 => pooled::<f32>(window, &memory, shape, &input),
        _ => pooled::<f64>(window, &memory, shape, &input),
    }
}

fn pooled<F: CpuFloat>(
    window: Window,
    memory: &CpuFloats,
    shape: [usize; 4],
    input: &Tensor<4>,
) -> Tensor<4> {
    let (largest, places) = forward(&window, memory.slice::<F>());
    let pass = PoolPass { window, places };
    with_operation(CpuFloats::new(largest, shape), [Input::of(input)], pass)
}

/// Where the largest numbers stood.
#[derive(Clone, Debug)]
struct PoolPass {
    window: Window,
    places: Vec<u32>,
}

impl PoolPass {
    fn gradient<F: CpuFloat>(&self, upstream: &[F]) -> CpuFloats {
        let gradient = backward(&self.window, &self.places, upstream);
        let len = gradient.len();
        CpuFloats::new(gradient, [len])
    }
}

impl Operation<1> for PoolPass {
    fn backward(self, upstream: CpuFloats, [wanted]: [bool; 1]) -> [Option<CpuFloats>; 1] {
        [wanted.then(|| match upstream.dtype() {
            DType::F32 => self.gradient::<f32>(upstream.slice()),
            _ => self.gradient::<f64>(upstream.slice()),
        })]
    }
}
