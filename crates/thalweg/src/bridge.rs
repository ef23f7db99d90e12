//! All contact with burn's internals: borrowing a CPU tensor's memory, and one autodiff node.
//!
//! [`with_gradients`] is the only node of this crate. Whatever knows its own gradient (a fused kernel, an objective
//! with a closed form, a user's own `∂L/∂score`) hands value and gradients over together; backward is the stored
//! gradient times the upstream one, with no multiplication when the upstream is 1. Memory of large gradients is used
//! again from step to step; [`release`] lets go of it.

mod recycled;

pub use recycled::release;
pub(crate) use recycled::written;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Autodiff, DType, Flex, TensorMetadata};
use burn::tensor::{Device, Int, Shape, Tensor, TensorData};

/// The memory of a contiguous CPU float tensor, shared, not copied.
pub struct CpuFloats(FlexTensor);

/// The two float types that kernels exist for.
#[derive(Clone, Copy, Debug)]
pub enum Floats<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

impl CpuFloats {
    /// The memory of `tensor`, or none where a kernel cannot read it: another backend, another float type, a strided
    /// view, or recomputation of activations asked for.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let primitive = match tensor.clone().try_into_primitive::<Autodiff<Flex>>() {
            Ok(tracked) => tracked.into_primitive(),
            Err(_) => tensor.clone().try_into_primitive::<Flex>().ok()?,
        };
        let floats = Self(primitive);
        floats.view().is_some().then_some(floats)
    }

    /// The elements in row-major order.
    pub fn floats(&self) -> Floats<'_> {
        self.view().expect("checked when it was made")
    }

    fn view(&self) -> Option<Floats<'_>> {
        match self.0.dtype() {
            DType::F32 => self.0.as_slice().map(Floats::F32),
            DType::F64 => self.0.as_slice().map(Floats::F64),
            _ => None,
        }
    }
}

/// Class indices as the kernels take them. A negative one becomes the largest `u32`, which no range check lets pass.
pub fn class_indices(targets: Tensor<1, Int>) -> Vec<u32> {
    targets
        .into_data()
        .try_into_vec_as::<i64>()
        .expect("class indices are integers")
        .into_iter()
        .map(|index| u32::try_from(index).unwrap_or(u32::MAX))
        .collect()
}

/// A tensor of `shape` on the device and of the float type of `like`, outside its autodiff graph. The vector is moved,
/// not copied, where its type is the tensor's.
pub fn constant<const D: usize, E: burn::tensor::Element>(
    values: Vec<E>,
    shape: [usize; D],
    like: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values, shape),
        (&like.clone().without_autodiff(), dtype),
    )
}

/// `value`, which depends on each input with the gradient given for it.
///
/// # Shapes
/// - value: `[1]`, or `[batch]` for per-sample values (each gradient then holds row `i`'s own gradient in row `i`).
/// - each gradient: as its input, outside any autodiff graph.
///
/// # Panics
/// When a gradient's shape is not its input's.
pub fn with_gradients<const D: usize, const N: usize>(
    value: Tensor<1>,
    inputs: [(Tensor<D>, Tensor<D>); N],
) -> Tensor<1> {
    for (input, gradient) in &inputs {
        assert_eq!(
            input.dims(),
            gradient.dims(),
            "a gradient has the shape of its input"
        );
    }
    let tracked = |(input, _): &(Tensor<D>, Tensor<D>)| {
        input
            .clone()
            .try_into_primitive::<Autodiff<Flex>>()
            .ok()
            .map(|tensor| tensor.node())
    };
    let nodes: Vec<_> = inputs.iter().filter_map(tracked).collect();
    let (Ok(nodes), Ok(value_primitive)) = (
        <[_; N]>::try_from(nodes),
        value.clone().try_into_primitive::<Flex>(),
    ) else {
        return by_composition(value, inputs);
    };
    let gradients = inputs.map(|(_, gradient)| {
        gradient
            .try_into_primitive::<Flex>()
            .expect("gradients stand beside the value, outside autodiff")
    });
    let output = match KnownGradients
        .prepare::<NoCheckpointing>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(gradients, value_primitive),
        OpsKind::UnTracked(prep) => prep.finish(value_primitive),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// The same on any backend: `value + Σ ⟨x − detach(x), g⟩` has the given value and the given gradients.
fn by_composition<const D: usize, const N: usize>(
    value: Tensor<1>,
    inputs: [(Tensor<D>, Tensor<D>); N],
) -> Tensor<1> {
    let mut total = value;
    for (input, gradient) in inputs {
        let carrier = (input.clone() - input.detach()) * gradient;
        let carried = match total.dims() {
            [1] => carrier.sum(),
            [batch] => carrier.reshape([batch as i64, -1]).sum_dim(1).reshape([batch]),
        };
        total = total + carried;
    }
    total
}

#[derive(Debug)]
struct KnownGradients;

impl<const N: usize> Backward<Flex, N> for KnownGradients {
    type State = [FlexTensor; N];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream = grads.consume::<Flex>(&ops.node);
        let plain = is_one(&upstream);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state) {
            let Some(parent) = parent else { continue };
            let gradient = if plain {
                gradient
            } else {
                scaled(gradient, &upstream)
            };
            grads.register::<Flex>(parent.id, gradient);
        }
    }
}

fn is_one(upstream: &FlexTensor) -> bool {
    match upstream.dtype() {
        DType::F32 => upstream.as_slice::<f32>() == Some(&[1.0]),
        DType::F64 => upstream.as_slice::<f64>() == Some(&[1.0]),
        _ => false,
    }
}

/// Each row of `gradient` times its own upstream number, or all of it times the only one.
fn scaled(gradient: FlexTensor, upstream: &FlexTensor) -> FlexTensor {
    let mut shape = vec![1; gradient.shape().num_dims()];
    shape[0] = upstream.shape().num_elements();
    Flex::float_mul(
        gradient,
        Flex::float_reshape(upstream.clone(), Shape::from(shape)),
    )
}
