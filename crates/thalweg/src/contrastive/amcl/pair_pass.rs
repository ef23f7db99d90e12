//! `logit_ij = Σ_k w_k relu(l_ik + r_jk)` of all pairs, without an array of pairs and hidden units on CPU floats.

use burn::tensor::activation::relu;
use burn::tensor::{DType, Tensor};
use thalweg_kernels::adaptive_temperature::{NetworkGradients, PairNetwork};

use crate::bridge::{CpuFloat, CpuFloats, Input, Operation, with_operation};

/// The logits `[n, m]` of hidden sums `[n, hidden]` and `[m, hidden]` with weights `[1, hidden]`.
pub(super) fn pair_logits(left: Tensor<2>, right: Tensor<2>, output: Tensor<2>) -> Tensor<2> {
    // Hidden units are rows for the kernel.
    let sides = [left.transpose(), right.transpose()];
    let memory = sides.each_ref().map(CpuFloats::gathered);
    let ([Some(left), Some(right)], Some(weights)) = (memory, CpuFloats::gathered(&output)) else {
        let [left, right] = sides.map(Tensor::transpose);
        return composed(left, right, output);
    };
    if left.dtype() != right.dtype() || left.dtype() != weights.dtype() {
        let [left, right] = sides.map(Tensor::transpose);
        return composed(left, right, output);
    }
    let pass = PairPass {
        left,
        right,
        output: weights,
    };
    let [n, m] = sides.each_ref().map(|side| side.dims()[1]);
    let inputs = [Input::of(&sides[0]), Input::of(&sides[1]), Input::of(&output)];
    let logits = match pass.left.dtype() {
        DType::F32 => CpuFloats::new(pass.logits::<f32>(n * m), [n, m]),
        _ => CpuFloats::new(pass.logits::<f64>(n * m), [n, m]),
    };
    with_operation(logits, inputs, pass)
}

/// The same in tensor operations, all hidden units of all pairs at once.
pub(super) fn composed(left: Tensor<2>, right: Tensor<2>, output: Tensor<2>) -> Tensor<2> {
    let ([n, hidden], [m, _]) = (left.dims(), right.dims());
    let sums = left.reshape([n, 1, hidden]) + right.reshape([1, m, hidden]);
    let logits = relu(sums).reshape([n * m, hidden]).matmul(output.transpose());
    logits.reshape([n, m])
}

#[derive(Clone, Debug)]
struct PairPass {
    left: CpuFloats,
    right: CpuFloats,
    output: CpuFloats,
}

impl PairPass {
    fn network<F: CpuFloat>(&self) -> PairNetwork<'_, F> {
        PairNetwork {
            left: self.left.slice(),
            right: self.right.slice(),
            output: self.output.slice(),
            shift: F::ZERO,
        }
    }

    fn logits<F: CpuFloat>(&self, pairs: usize) -> Vec<F> {
        let network = self.network::<F>();
        let mut logits = vec![F::ZERO; pairs];
        network.logits(0..network.rows(), &mut logits);
        logits
    }

    fn gradients<F: CpuFloat>(&self, upstream: &CpuFloats) -> [CpuFloats; 3] {
        let network = self.network::<F>();
        let mut gradients = NetworkGradients::zeros(&network);
        network.add_gradients(0..network.rows(), upstream.slice(), &mut gradients);
        let (hidden, rows, columns) = (network.output.len(), network.rows(), network.columns());
        [
            CpuFloats::new(gradients.left, [hidden, rows]),
            CpuFloats::new(gradients.right, [hidden, columns]),
            CpuFloats::new(gradients.output, [1, hidden]),
        ]
    }
}

impl Operation<3> for PairPass {
    fn backward(self, upstream: CpuFloats, _wanted: [bool; 3]) -> [Option<CpuFloats>; 3] {
        let gradients = match upstream.dtype() {
            DType::F32 => self.gradients::<f32>(&upstream),
            _ => self.gradients::<f64>(&upstream),
        };
        gradients.map(Some)
    }
}
