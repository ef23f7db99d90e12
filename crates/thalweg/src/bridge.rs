//! All contact with burn's internals: borrowing a CPU tensor's memory, and two autodiff nodes.
//!
//! Through [`with_gradients`], whatever knows its own gradient (a fused kernel, an objective with a closed form, a user's own
//! `∂L/∂score`) hands value and gradients over together; backward is the stored gradient times the upstream one, with no
//! multiplication when the upstream is 1. Through [`with_operation`], a layer hands over its output and the kernel that
//! computes gradients once the upstream one is known.
//!
//! Memory of large gradients is used again from step to step; [`release`] lets go of it.

mod recycled;

pub use recycled::release;
pub(crate) use recycled::written;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Autodiff, DType, Flex, TensorMetadata};
use burn::tensor::{Device, Element, Int, Shape, Tensor, TensorData};
use bytemuck::Pod;
use thalweg_kernels::real::Real;

/// `f32` or `f64`, as kernels, tensors and memory all know them.
pub trait CpuFloat: Real + Element + Pod {}

impl CpuFloat for f32 {}
impl CpuFloat for f64 {}

/// The memory of a contiguous CPU float tensor, shared, not copied.
#[derive(Clone, Debug)]
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

    /// As [`CpuFloats::of`], with a strided view copied into rows.
    pub fn gathered<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let primitive = match tensor.clone().try_into_primitive::<Autodiff<Flex>>() {
            Ok(tracked) => tracked.into_primitive(),
            Err(_) => tensor.clone().try_into_primitive::<Flex>().ok()?,
        };
        let floats = Self(primitive.to_contiguous());
        floats.view().is_some().then_some(floats)
    }

    /// New memory that holds `values` as a tensor of `shape`. They are moved, not copied.
    ///
    /// # Panics
    /// When there are more or fewer values than the shape says.
    pub fn new<E: Element>(values: Vec<E>, shape: impl Into<Shape>) -> Self {
        Self(FlexTensor::from_data(TensorData::new(values, shape.into())))
    }

    /// The elements in row-major order.
    pub fn floats(&self) -> Floats<'_> {
        self.view().expect("checked when it was made")
    }

    /// The elements in row-major order, for those who know their type.
    ///
    /// # Panics
    /// When they are of the other type.
    pub fn slice<F: CpuFloat>(&self) -> &[F] {
        self.0.as_slice().expect("elements of this type")
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    fn view(&self) -> Option<Floats<'_>> {
        match self.0.dtype() {
            DType::F32 => self.0.as_slice().map(Floats::F32),
            DType::F64 => self.0.as_slice().map(Floats::F64),
            _ => None,
        }
    }
}

/// A kernel that changes `N` arrays in place and reads one more, all of one shape.
pub trait InPlace<const N: usize> {
    /// Runs it.
    fn run<F: CpuFloat>(self, changed: [&mut [F]; N], read: &[F]);
}

/// The tensors `changed` after `kernel` ran over their memory: without a copy where nothing else holds it.
///
/// # Errors
/// The tensors as they were where a kernel cannot reach their elements: another backend or float type, tracked tensors.
pub fn in_place<const D: usize, const N: usize>(
    changed: [Tensor<D>; N],
    read: &Tensor<D>,
    kernel: impl InPlace<N>,
) -> Result<[Tensor<D>; N], [Tensor<D>; N]> {
    let dtype = read.dtype();
    let reachable = |tensor: &Tensor<D>| {
        tensor.dtype() == dtype
            && !tensor.is_autodiff()
            && tensor.dims() == read.dims()
            && CpuFloats::of(tensor).is_some()
    };
    let Some(read) = CpuFloats::gathered(read) else {
        return Err(changed);
    };
    if !changed.iter().all(reachable) {
        return Err(changed);
    }
    let mut primitives = changed.map(|tensor| {
        tensor
            .try_into_primitive::<Flex>()
            .expect("its floats were reached")
    });
    match dtype {
        DType::F32 => kernel.run::<f32>(primitives.each_mut().map(elements_mut), read.slice()),
        _ => kernel.run::<f64>(primitives.each_mut().map(elements_mut), read.slice()),
    }
    Ok(primitives.map(Tensor::from_primitive::<Flex>))
}

fn elements_mut<F: CpuFloat>(tensor: &mut FlexTensor) -> &mut [F] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("its floats were reached");
    &mut tensor.storage_mut()[start..end]
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
pub fn constant<const D: usize, E: Element>(
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

/// What is needed of an operation to go back through it.
pub trait Operation<const N: usize>: Clone + std::fmt::Debug + Send + 'static {
    /// The gradients of the inputs that are `wanted`, each with as many elements as its input, given that of the output.
    fn backward(self, upstream: CpuFloats, wanted: [bool; N]) -> [Option<CpuFloats>; N];
}

/// An input of [`with_operation`], of any rank.
pub struct Input {
    node: NodeGuard,
    shape: Shape,
    autodiff: bool,
}

impl Input {
    /// `tensor`, a CPU tensor that [`CpuFloats`] could read, as an input.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        let tracked = tensor.clone().autodiff();
        let tracked = tracked.try_into_primitive::<Autodiff<Flex>>();
        Self {
            node: tracked.expect("a CPU tensor, as its floats were read").node(),
            shape: tensor.shape(),
            autodiff: tensor.is_autodiff(),
        }
    }
}

/// `output`, which `operation` made of CPU inputs.
pub fn with_operation<const D: usize, const N: usize>(
    output: CpuFloats,
    inputs: [Input; N],
    operation: impl Operation<N>,
) -> Tensor<D> {
    if inputs.iter().all(|input| !input.autodiff) {
        return Tensor::from_primitive::<Flex>(output.0);
    }
    let shapes = inputs.each_ref().map(|input| input.shape.clone());
    let nodes = inputs.map(|input| input.node);
    let prepared = Computed(std::marker::PhantomData)
        .prepare::<NoCheckpointing>(nodes)
        .compute_bound()
        .stateful();
    let output = match prepared {
        OpsKind::Tracked(prep) => prep.finish((operation, shapes), output.0),
        OpsKind::UnTracked(prep) => prep.finish(output.0),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

#[derive(Debug)]
struct Computed<O>(std::marker::PhantomData<O>);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Computed<O> {
    type State = (O, [Shape; N]);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream = CpuFloats(grads.consume::<Flex>(&ops.node).to_contiguous());
        let (operation, shapes) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = operation.backward(upstream, wanted);
        for ((parent, gradient), shape) in ops.parents.into_iter().zip(gradients).zip(shapes) {
            if let (Some(parent), Some(CpuFloats(gradient))) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient.reshape(shape));
            }
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
