//! The temperature network in memory: its first layer as products, all that follows by the kernel.

use std::ops::Range;

use burn::tensor::Tensor;
use thalweg_kernels::adaptive_temperature::{NetworkGradients, PairNetwork};
use thalweg_kernels::matrix::{Matrix, MatrixMut, Work, multiply, multiply_into};

use super::network::{AdaptiveTemperature, PairForm};
use crate::bridge::{CpuFloat, constant};

/// Which vector of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Parameters of the network, row-major.
pub(super) struct Weights<F> {
    form: PairForm,
    width: usize,
    units: usize,
    /// `[units, inputs]`.
    first: Vec<F>,
    bias: Vec<F>,
    /// One a unit, or none.
    output: Vec<F>,
    shift: F,
}

/// The same of the gradient.
pub(super) struct WeightGradients<F> {
    first: Vec<F>,
    bias: Vec<F>,
    output: Vec<F>,
    shift: f64,
}

impl<F: CpuFloat> Weights<F> {
    pub fn of(network: &AdaptiveTemperature) -> Self {
        let mut parameters = network.parameters().into_iter().map(floats);
        let mut next = || parameters.next().expect("three parameters or four");
        let (first, bias) = (next(), next());
        let output = match network.form() {
            PairForm::Concat => next(),
            PairForm::Dot => Vec::new(),
        };
        Self {
            form: network.form(),
            width: network.width(),
            units: bias.len(),
            first,
            bias,
            output,
            shift: next()[0],
        }
    }

    pub fn zeros(&self) -> WeightGradients<F> {
        WeightGradients {
            first: vec![F::ZERO; self.first.len()],
            bias: vec![F::ZERO; self.units],
            output: vec![F::ZERO; self.output.len()],
            shift: 0.0,
        }
    }

    /// Where the weights of a side begin in a row of the first layer, and how long that row is.
    fn place(&self, side: Side) -> (usize, usize) {
        match (self.form, side) {
            (PairForm::Concat, Side::Left) => (0, 2 * self.width),
            (PairForm::Concat, Side::Right) => (self.width, 2 * self.width),
            (PairForm::Dot, _) => (0, self.width),
        }
    }

    /// Whether the bias goes with this side.
    fn is_biased(&self, side: Side) -> bool {
        self.form == PairForm::Dot || side == Side::Left
    }

    /// What the first layer makes of vectors `[count, width]`: `[units, count]`.
    pub fn layer(&self, side: Side, vectors: &[F]) -> Vec<F> {
        let count = vectors.len() / self.width;
        let (start, stride) = self.place(side);
        let mut sums = vec![F::ZERO; self.units * count];
        if self.is_biased(side) && count > 0 {
            for (row, &bias) in sums.chunks_exact_mut(count).zip(&self.bias) {
                row.fill(bias);
            }
        }
        let weights = Matrix::strided(&self.first[start..], self.units, self.width, stride);
        let vectors = Matrix::new(vectors, count, self.width);
        multiply(
            Work::Shared,
            &mut sums,
            F::ONE,
            F::ONE,
            weights,
            vectors.transposed(),
        );
        sums
    }

    /// Adds what the gradient by [`layer`](Self::layer) comes to, by the vectors and by the weights.
    pub fn layer_back(
        &self,
        side: Side,
        vectors: &[F],
        by_sums: &[F],
        by_vectors: &mut [F],
        gradients: &mut WeightGradients<F>,
    ) {
        let count = vectors.len() / self.width;
        let (start, stride) = self.place(side);
        let (one, by) = (F::ONE, Matrix::new(by_sums, self.units, count));
        let weights = Matrix::strided(&self.first[start..], self.units, self.width, stride);
        multiply(Work::Shared, by_vectors, one, one, by.transposed(), weights);
        let vectors = Matrix::new(vectors, count, self.width);
        let out = MatrixMut::strided(&mut gradients.first[start..], self.units, self.width, stride);
        multiply_into(Work::Shared, out, one, one, by, vectors);
        if self.is_biased(side) && count > 0 {
            for (by_bias, row) in gradients.bias.iter_mut().zip(by_sums.chunks_exact(count)) {
                *by_bias += F::from_f64(row.iter().map(|x| x.to_f64()).sum());
            }
        }
    }

    fn pairs<'a>(&'a self, left: &'a [F], right: &'a [F]) -> PairNetwork<'a, F> {
        PairNetwork {
            left,
            right,
            output: &self.output,
            shift: self.shift,
        }
    }

    /// Zeros for the gradients by the layers of either side.
    pub fn layer_zeros(&self, left: &[F], right: &[F]) -> NetworkGradients<F> {
        NetworkGradients {
            left: vec![F::ZERO; left.len()],
            right: vec![F::ZERO; right.len()],
            output: vec![F::ZERO; self.output.len()],
            shift: 0.0,
        }
    }

    /// Logits of some rows with all columns, from the layers of either side.
    pub fn logits(&self, left: &[F], right: &[F], rows: Range<usize>, out: &mut [F]) {
        match self.form {
            PairForm::Concat => self.pairs(left, right).logits(rows, out),
            PairForm::Dot => {
                let columns = right.len() / self.units;
                let left = self.of_rows(left, &rows).transposed();
                let right = Matrix::new(right, self.units, columns);
                out.fill(self.shift);
                multiply(Work::Shared, out, F::ONE, F::ONE, left, right);
            }
        }
    }

    /// Adds what slopes by the [`logits`](Self::logits) come to.
    pub fn add_gradients(
        &self,
        left: &[F],
        right: &[F],
        rows: Range<usize>,
        slopes: &[F],
        gradients: &mut NetworkGradients<F>,
    ) {
        match self.form {
            PairForm::Concat => self.pairs(left, right).add_gradients(rows, slopes, gradients),
            PairForm::Dot => {
                let (all, columns) = (left.len() / self.units, right.len() / self.units);
                gradients.shift += slopes.iter().map(|slope| slope.to_f64()).sum::<f64>();
                let (one, by) = (F::ONE, Matrix::new(slopes, rows.len(), columns));
                let of_rows = self.of_rows(left, &rows);
                multiply(Work::Shared, &mut gradients.right, one, one, of_rows, by);
                let out = &mut gradients.left[rows.start..];
                let out = MatrixMut::strided(out, self.units, rows.len(), all);
                let right = Matrix::new(right, self.units, columns);
                multiply_into(Work::Shared, out, one, one, right, by.transposed());
            }
        }
    }

    fn of_rows<'a>(&self, left: &'a [F], rows: &Range<usize>) -> Matrix<'a, F> {
        let all = left.len() / self.units;
        Matrix::strided(&left[rows.start..], self.units, rows.len(), all)
    }

    /// Logits of the pairs of equal numbers.
    pub fn paired_logits(&self, left: &[F], right: &[F], out: &mut [F]) {
        match self.form {
            PairForm::Concat => self.pairs(left, right).paired_logits(out),
            PairForm::Dot => {
                out.fill(self.shift);
                let count = out.len();
                for (left, right) in left.chunks_exact(count).zip(right.chunks_exact(count)) {
                    for (out, (&a, &b)) in out.iter_mut().zip(left.iter().zip(right)) {
                        *out += a * b;
                    }
                }
            }
        }
    }

    /// Adds what slopes by the [`paired_logits`](Self::paired_logits) come to.
    pub fn add_paired_gradients(
        &self,
        left: &[F],
        right: &[F],
        slopes: &[F],
        gradients: &mut NetworkGradients<F>,
    ) {
        match self.form {
            PairForm::Concat => self.pairs(left, right).add_paired_gradients(slopes, gradients),
            PairForm::Dot => {
                gradients.shift += slopes.iter().map(|slope| slope.to_f64()).sum::<f64>();
                let each = |at: usize| slopes[at % slopes.len()];
                for (at, by_left) in gradients.left.iter_mut().enumerate() {
                    *by_left += each(at) * right[at];
                }
                for (at, by_right) in gradients.right.iter_mut().enumerate() {
                    *by_right += each(at) * left[at];
                }
            }
        }
    }
}

impl<F: CpuFloat> WeightGradients<F> {
    /// Adds what the second layer has gathered.
    pub fn add_output(&mut self, gradients: &NetworkGradients<F>) {
        for (sum, &more) in self.output.iter_mut().zip(&gradients.output) {
            *sum += more;
        }
        self.shift += gradients.shift;
    }

    /// Each parameter with its gradient.
    pub fn beside(self, network: &AdaptiveTemperature) -> Vec<(Tensor<2>, Tensor<2>)> {
        let output = (network.form() == PairForm::Concat).then_some(self.output);
        let all = [self.first, self.bias]
            .into_iter()
            .chain(output)
            .chain([vec![F::from_f64(self.shift)]]);
        let parameters = network.parameters().into_iter().zip(all);
        let each = parameters.map(|(parameter, values)| {
            let gradient = constant(values, parameter.dims(), &parameter.device(), parameter.dtype());
            (parameter, gradient)
        });
        each.collect()
    }
}

fn floats<F: CpuFloat>(tensor: Tensor<2>) -> Vec<F> {
    let data = tensor.detach().into_data();
    data.try_into_vec_as().expect("float tensors read as floats")
}
