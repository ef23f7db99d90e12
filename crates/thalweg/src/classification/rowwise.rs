//! How a loss of rows of scores meets burn: the fused kernel for CPU floats and tensor operations everywhere else where
//! the softmax is enough; the host, whatever the backend, for what needs the whole row.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Element, Int, Tensor};
use thalweg_kernels::batch::{RowKernel, forward, forward_backward};
use thalweg_kernels::real::Real;
use thalweg_kernels::rows::{RowLoss, WholeRows};
use thalweg_kernels::rowwise::{Member, OfSoftmax};

use crate::Reduction;
use crate::bridge::{CpuFloat, CpuFloats, Floats, class_indices, constant, with_gradients, written};

/// A loss with a kernel for CPU floats, and the tensor operations that specify it on every backend.
pub trait FusedLoss {
    /// The kernel.
    fn kernel(&self) -> impl RowKernel;

    /// Per-sample losses `[batch]` of logits `[batch, classes]` and targets `[batch]`.
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1>;

    /// The reduced loss, by the kernel where there is one.
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, the batch sizes differ, or a target is out of range.
    fn reduced(&self, logits: Tensor<2>, targets: Tensor<1, Int>, reduction: Reduction) -> Tensor<1> {
        check_batch(&logits, &targets);
        match CpuFloats::of(&logits) {
            Some(memory) => {
                let targets = class_indices(targets);
                of_memory(
                    &self.kernel(),
                    &memory,
                    &logits,
                    &targets,
                    total(reduction, &logits),
                )
            }
            None => reduction.of(self.composed(logits, targets)),
        }
    }
}

/// A loss of the softmax of a row.
pub trait RowwiseLoss: Member {
    /// Per-sample losses `[batch]` of logits `[batch, classes]` and targets `[batch]`.
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1>;
}

impl<L: RowwiseLoss> FusedLoss for L {
    fn kernel(&self) -> impl RowKernel {
        OfSoftmax(self)
    }

    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        RowwiseLoss::composed(self, logits, targets)
    }
}

pub(super) fn check_batch(logits: &Tensor<2>, targets: &Tensor<1, Int>) {
    let ([batch, classes], [labels]) = (logits.dims(), targets.dims());
    assert!(batch > 0, "an empty batch has no loss");
    assert!(
        classes >= 2,
        "logits [{batch}, {classes}]: at least 2 classes are needed"
    );
    assert_eq!(
        batch, labels,
        "logits [{batch}, {classes}] and targets [{labels}] differ in batch size"
    );
}

/// The reduced loss of whole rows, computed on the host.
///
/// # Panics
/// When the batch is empty, there are fewer than two classes, the batch sizes differ, or a target is out of range.
pub(crate) fn reduced_rows(
    loss: &impl RowLoss,
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    reduction: Reduction,
) -> Tensor<1> {
    check_batch(&logits, &targets);
    let kernel = WholeRows(loss);
    let (targets, total) = (class_indices(targets), total(reduction, &logits));
    match CpuFloats::of(&logits) {
        Some(memory) => of_memory(&kernel, &memory, &logits, &targets, total),
        None => fused(&kernel, &host_scores(&logits), &logits, &targets, total),
    }
}

/// The elements of any float tensor, outside its autodiff graph.
pub(crate) fn host_scores(logits: &Tensor<2>) -> Vec<f64> {
    let data = logits.clone().detach().into_data();
    data.try_into_vec_as::<f64>().expect("float tensors read as f64")
}

/// What the sum of the losses is multiplied by; none where they are not summed.
fn total(reduction: Reduction, logits: &Tensor<2>) -> Option<f64> {
    let [batch, _] = logits.dims();
    match reduction {
        Reduction::Mean | Reduction::Sum => Some(reduction.scale(batch)),
        Reduction::None => None,
    }
}

/// `total` times the sum of the losses, or the loss of each row where there is none.
pub(crate) fn of_memory(
    kernel: &impl RowKernel,
    memory: &CpuFloats,
    logits: &Tensor<2>,
    targets: &[u32],
    total: Option<f64>,
) -> Tensor<1> {
    match memory.floats() {
        Floats::F32(scores) => fused(kernel, scores, logits, targets, total),
        Floats::F64(scores) => fused(kernel, scores, logits, targets, total),
    }
}

fn fused<F: CpuFloat>(
    kernel: &impl RowKernel,
    scores: &[F],
    logits: &Tensor<2>,
    targets: &[u32],
    total: Option<f64>,
) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    let mut losses = vec![F::ZERO; batch];
    let gradient = logits.is_tracked().then(|| {
        let scale = total.unwrap_or(1.0);
        written([batch, classes], |gradient| {
            forward_backward(kernel, scores, targets, classes, scale, &mut losses, gradient);
        })
    });
    if gradient.is_none() {
        forward(kernel, scores, targets, classes, &mut losses);
    }
    totalled(logits, losses, gradient, total)
}

/// Losses of every row and their gradient, already scaled for the reduction, as one node of burn's graph.
pub(crate) fn assembled<F: Real + Element>(
    logits: &Tensor<2>,
    losses: Vec<F>,
    gradient: Option<Tensor<2>>,
    reduction: Reduction,
) -> Tensor<1> {
    totalled(logits, losses, gradient, total(reduction, logits))
}

fn totalled<F: Real + Element>(
    logits: &Tensor<2>,
    losses: Vec<F>,
    gradient: Option<Tensor<2>>,
    total: Option<f64>,
) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let (device, dtype) = (logits.device(), logits.dtype());
    let value = match total {
        None => constant(losses, [batch], &device, dtype),
        Some(scale) => {
            let sum: f64 = losses.iter().map(|&loss| loss.to_f64()).sum();
            constant(vec![F::from_f64(sum * scale)], [1], &device, dtype)
        }
    };
    match gradient {
        Some(gradient) => {
            let gradient = gradient.to_device(&device.without_autodiff()).cast(dtype);
            with_gradients(value, [(logits.clone(), gradient)])
        }
        None => value,
    }
}

/// `log softmax(logits)_y` of each row, `[batch]`.
pub(crate) fn log_prob_of_target(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    log_softmax(logits, 1)
        .gather(1, targets.reshape([batch, 1]))
        .reshape([batch])
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use thalweg_kernels::random::Stream;

    use super::*;

    /// Value and logits gradient of a loss.
    pub fn value_and_gradient(
        logits: &Tensor<2>,
        loss: impl Fn(Tensor<2>) -> Tensor<1>,
    ) -> (Vec<f64>, Vec<f64>) {
        let logits = logits.clone().autodiff().require_grad();
        let value = loss(logits.clone());
        let gradients = value.clone().sum().backward();
        let read = |tensor: TensorData| tensor.try_into_vec_as::<f64>().unwrap();
        (
            read(value.into_data()),
            read(logits.grad(&gradients).unwrap().into_data()),
        )
    }

    /// Random logits of the given spread, and targets.
    pub fn random_batch(
        batch: usize,
        classes: usize,
        spread: f32,
        seed: u64,
        dtype: DType,
    ) -> (Tensor<2>, Tensor<1, Int>) {
        let mut stream = Stream::new(seed, "batch", 0);
        let mut logits = vec![0.0; batch * classes];
        stream.fill_uniform(-spread, spread, &mut logits);
        let targets: Vec<i64> = (0..batch).map(|_| stream.below(classes) as i64).collect();
        let device = Device::flex();
        (
            Tensor::from_data(TensorData::new(logits, [batch, classes]), (&device, dtype)),
            Tensor::from_data(TensorData::new(targets, [batch]), &device),
        )
    }

    pub fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!(
                (a - b).abs() <= tolerance * (1.0 + b.abs()),
                "element {i}: {a} against {b}"
            );
        }
    }

    /// Holds a member's kernel equal to its tensor operations, in value and gradient, for every reduction; and the
    /// gradient equal to central differences.
    pub fn kernel_equals_composition(loss: &impl FusedLoss) {
        for (batch, classes, seed) in [(1, 2, 0), (5, 7, 1), (3, 130, 2)] {
            kernel_equals_composition_of(loss, batch, classes, seed);
        }
        gradient_is_numeric(|logits, targets| loss.reduced(logits, targets, Reduction::Mean));
    }

    /// As [`kernel_equals_composition`], on one batch and without the differences.
    pub fn kernel_equals_composition_of(loss: &impl FusedLoss, batch: usize, classes: usize, seed: u64) {
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
            let (logits, targets) = random_batch(batch, classes, 3.0, seed, dtype);
            for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
                let fused = value_and_gradient(&logits, |h| loss.reduced(h, targets.clone(), reduction));
                let composed =
                    value_and_gradient(&logits, |h| reduction.of(loss.composed(h, targets.clone())));
                assert_close(&fused.0, &composed.0, tolerance);
                assert_close(&fused.1, &composed.1, tolerance);
            }
        }
    }

    /// Holds the gradient of a mean loss equal to central differences.
    pub fn gradient_is_numeric(loss: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>) {
        let (logits, targets) = random_batch(4, 5, 2.0, 3, DType::F64);
        let forward = |logits: Tensor<2>| loss(logits, targets.clone());
        let (_, gradient) = value_and_gradient(&logits, forward);
        assert_close(&gradient, &central_differences(&logits, forward), 1e-8);
    }

    /// Gradient of a scalar by central differences.
    pub fn central_differences(at: &Tensor<2>, function: impl Fn(Tensor<2>) -> Tensor<1>) -> Vec<f64> {
        let point = at.to_data().try_into_vec_as::<f64>().unwrap();
        let value = |point: &[f64]| {
            let data = TensorData::new(point.to_vec(), at.dims());
            function(Tensor::from_data(data, (&Device::flex(), DType::F64))).into_scalar::<f64>()
        };
        (0..point.len())
            .map(|i| {
                let mut moved = point.clone();
                moved[i] = point[i] + 1e-5;
                let above = value(&moved);
                moved[i] = point[i] - 1e-5;
                (above - value(&moved)) / 2e-5
            })
            .collect()
    }
}
