//! The little linear algebra that the layer needs beside products.

use std::sync::{Mutex, PoisonError};

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, MatRef};
use thalweg_kernels::matrix::{Matrix, Work, multiply};

/// Condition number from which a matrix counts as singular: beyond it an inverse keeps fewer than eight digits.
const SINGULAR: f64 = 1e8;

/// Whether the least of some measure of a matrix is so small beside its largest that the matrix counts as singular; also
/// where one of them is no number.
pub(super) fn is_singular(least: f64, largest: f64) -> bool {
    let regular = least * SINGULAR > largest;
    !regular
}

/// `a·b`, of `rows × columns`.
pub(super) fn product(a: Matrix<f64>, b: Matrix<f64>, rows: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows * columns];
    multiply(Work::Shared, &mut out, 0.0, 1.0, a, b);
    out
}

/// Memory of intermediate results, kept from step to step: to have it anew from the system costs a tenth of a step.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<f64>>>);

/// More than a step needs at once; beyond it the sizes of batches have changed, and those of old ones are let go.
const MOST_BUFFERS: usize = 64;

impl Clone for Buffers {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Buffers {
    /// `len` numbers of no particular value.
    pub fn take(&self, len: usize) -> Vec<f64> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match free.iter().position(|buffer| buffer.len() == len) {
            Some(at) => free.swap_remove(at),
            None => vec![0.0; len],
        }
    }

    /// A copy.
    pub fn copy(&self, values: &[f64]) -> Vec<f64> {
        let mut copy = self.take(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// `a·b`, of `rows × columns`.
    pub fn product(&self, a: Matrix<f64>, b: Matrix<f64>, rows: usize, columns: usize) -> Vec<f64> {
        let mut out = self.take(rows * columns);
        multiply(Work::Shared, &mut out, 0.0, 1.0, a, b);
        out
    }

    /// Takes back what is no longer needed.
    pub fn give<const N: usize>(&self, buffers: [Vec<f64>; N]) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() + N > MOST_BUFFERS {
            free.clear();
        }
        free.extend(buffers);
    }
}

/// `out ← keep·out + scale·(a + aᵀ)` of square matrices, in tiles that stay in the cache.
pub(super) fn add_symmetric(out: &mut [f64], keep: f64, scale: f64, a: &[f64], size: usize) {
    const TILE: usize = 16;
    for top in (0..size).step_by(TILE) {
        for left in (0..size).step_by(TILE) {
            for i in top..(top + TILE).min(size) {
                for j in left..(left + TILE).min(size) {
                    out[i * size + j] =
                        keep * out[i * size + j] + scale * (a[i * size + j] + a[j * size + i]);
                }
            }
        }
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `y += factor·x`.
pub(super) fn add(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

pub(super) fn identity(size: usize) -> Vec<f64> {
    let mut out = vec![0.0; size * size];
    out.iter_mut().step_by(size + 1).for_each(|one| *one = 1.0);
    out
}

/// The inverse of a row-major square matrix, or none where it is singular to rounding, by its condition number in the
/// maximum norm.
pub(super) fn inverse(matrix: &[f64], size: usize) -> Option<Vec<f64>> {
    let inverse = MatRef::from_row_major_slice(matrix, size, size)
        .partial_piv_lu()
        .inverse();
    let inverse = row_major(&inverse);
    let condition = largest_row_sum(matrix, size) * largest_row_sum(&inverse, size);
    (!is_singular(1.0, condition)).then_some(inverse)
}

pub(super) fn row_major(matrix: &Mat<f64>) -> Vec<f64> {
    (0..matrix.nrows())
        .flat_map(|i| (0..matrix.ncols()).map(move |j| matrix[(i, j)]))
        .collect()
}

fn largest_row_sum(matrix: &[f64], size: usize) -> f64 {
    let sums = matrix
        .chunks_exact(size)
        .map(|row| row.iter().map(|x| x.abs()).sum::<f64>());
    // A NaN counts as infinite.
    sums.fold(0.0, |largest, sum| if sum <= largest { largest } else { sum })
}
