//! Layers whose forward and backward passes run in this crate's kernels on CPU floats, and in burn's own operations
//! elsewhere: [`linear`](fn@linear), [`conv2d`], [`conv3d`] and [`max_pool2d`], and the modules [`Linear`], [`Conv2d`] and [`Conv3d`].
//!
//! Functions take the arguments of burn's functions of the same name; modules have the parameters, and thus the records, of
//! burn-nn's. Initial weights are uniform in `±1/√fan_in`, as PyTorch's and burn's layers are, drawn from a named stream.

mod conv;
mod linear;
mod max_pool;
#[cfg(test)]
mod tests;

pub use conv::{Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, conv2d, conv3d};
pub use linear::{Linear, LinearConfig, linear};
pub use max_pool::max_pool2d;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use thalweg_kernels::random::Stream;

/// Uniform in `±1/√fan_in`.
fn uniform<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    stream: &mut Stream,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let mut values = vec![0.0_f32; shape.iter().product()];
    stream.fill_uniform(-bound, bound, &mut values);
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}
