//! A linear layer `Y = X·W + b` over rows, and its gradients. Weights are `[inputs, outputs]`, row-major, as burn keeps them.

use rayon::prelude::*;

use crate::dispatch;
use crate::matrix::{Matrix, MatrixMut, Work, multiply_into, product};
use crate::real::Real;

/// Numbers that a layer reads and gives for each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
}

/// `X·W + b` of the rows of `input`; an empty `bias` is none.
///
/// # Panics
/// When the sizes disagree.
pub fn forward<F: Real>(rows: usize, widths: Widths, input: &[F], weight: &[F], bias: &[F]) -> Vec<F> {
    let Widths { inputs, outputs } = widths;
    let (x, w) = (
        Matrix::new(input, rows, inputs),
        Matrix::new(weight, inputs, outputs),
    );
    if bias.is_empty() {
        return product(Work::Shared, x, w);
    }
    assert_eq!(bias.len(), outputs, "a bias for each of {outputs} outputs");
    let mut out = Vec::with_capacity(rows * outputs);
    for _ in 0..rows {
        out.extend_from_slice(bias);
    }
    let into = MatrixMut::strided(&mut out, rows, outputs, outputs);
    multiply_into(Work::Shared, into, F::ONE, F::ONE, x, w);
    out
}

/// Gradient of the input, `G·Wᵀ`, for the gradient G of the output.
///
/// # Panics
/// When the sizes disagree.
pub fn input_gradient<F: Real>(rows: usize, widths: Widths, upstream: &[F], weight: &[F]) -> Vec<F> {
    let g = Matrix::new(upstream, rows, widths.outputs);
    let w = Matrix::new(weight, widths.inputs, widths.outputs);
    product(Work::Shared, g, w.transposed())
}

/// Gradient of the weight, `Xᵀ·G`.
///
/// # Panics
/// When the sizes disagree.
pub fn weight_gradient<F: Real>(rows: usize, widths: Widths, input: &[F], upstream: &[F]) -> Vec<F> {
    let x = Matrix::new(input, rows, widths.inputs);
    let g = Matrix::new(upstream, rows, widths.outputs);
    product(Work::Shared, x.transposed(), g)
}

/// Columns that a task sums, one cache line of each row at least.
const STRIP: usize = 256;

/// Rows that are summed before their sum joins the others, so that errors of rounding grow slowly.
const RUN: usize = 64;

/// Gradient of the bias: the sum of the rows of `upstream`.
///
/// # Panics
/// When it is not whole rows.
pub fn bias_gradient<F: Real>(rows: usize, outputs: usize, upstream: &[F]) -> Vec<F> {
    assert_eq!(
        upstream.len(),
        rows * outputs,
        "{rows} rows of {outputs} gradients"
    );
    let mut sums = vec![F::ZERO; outputs];
    let strip = |(index, sums): (usize, &mut [F])| {
        let first = index * STRIP;
        dispatch!([F: Real] sum_strip, (upstream: &[F], outputs: usize, first: usize, sums: &mut [F]));
    };
    if upstream.len() < 1 << 17 {
        sums.chunks_mut(STRIP).enumerate().for_each(strip);
    } else {
        sums.par_chunks_mut(STRIP).enumerate().for_each(strip);
    }
    sums
}

#[inline(always)]
fn sum_strip<F: Real>(upstream: &[F], outputs: usize, first: usize, sums: &mut [F]) {
    let mut partial = [F::ZERO; STRIP];
    let partial = &mut partial[..sums.len()];
    for run in upstream.chunks(RUN * outputs) {
        partial.fill(F::ZERO);
        for row in run.chunks_exact(outputs) {
            for (sum, &gradient) in partial.iter_mut().zip(&row[first..]) {
                *sum += gradient;
            }
        }
        for (sum, &partial) in sums.iter_mut().zip(&*partial) {
            *sum += partial;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn normal(len: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, "linear", 0);
        (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn outputs_and_gradients_are_the_sums_they_say(
            rows in 0_usize..200, inputs in 0_usize..20, outputs in 1_usize..300, seed in 0_u64..1000,
        ) {
            let widths = Widths { inputs, outputs };
            let (x, w) = (normal(rows * inputs, seed), normal(inputs * outputs, seed + 1));
            let (b, g) = (normal(outputs, seed + 2), normal(rows * outputs, seed + 3));
            let near = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
            let y = forward(rows, widths, &x, &w, &b);
            let plain = forward(rows, widths, &x, &w, &[]);
            for i in 0..rows {
                for j in 0..outputs {
                    let sum: f64 = (0..inputs).map(|k| x[i * inputs + k] * w[k * outputs + j]).sum();
                    prop_assert!(near(y[i * outputs + j], sum + b[j]) && near(plain[i * outputs + j], sum));
                }
            }
            let of_input = input_gradient(rows, widths, &g, &w);
            for i in 0..rows {
                for k in 0..inputs {
                    let sum = (0..outputs).map(|j| g[i * outputs + j] * w[k * outputs + j]).sum();
                    prop_assert!(near(of_input[i * inputs + k], sum));
                }
            }
            let of_weight = weight_gradient(rows, widths, &x, &g);
            for k in 0..inputs {
                for j in 0..outputs {
                    let sum = (0..rows).map(|i| x[i * inputs + k] * g[i * outputs + j]).sum();
                    prop_assert!(near(of_weight[k * outputs + j], sum));
                }
            }
            let of_bias = bias_gradient(rows, outputs, &g);
            for j in 0..outputs {
                prop_assert!(near(of_bias[j], (0..rows).map(|i| g[i * outputs + j]).sum()));
            }
        }
    }

    #[test]
    fn a_sum_of_many_rows_keeps_its_digits_on_any_number_of_threads() {
        let (rows, outputs) = (100_000, 3);
        let upstream = vec![0.1_f32; rows * outputs];
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| bias_gradient(rows, outputs, &upstream))
        };
        let sums = on(1);
        assert_eq!(sums, on(3));
        assert!(sums.iter().all(|sum| (sum / 1e4 - 1.0).abs() < 1e-5), "{sums:?}");
    }
}
