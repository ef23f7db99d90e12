//! Matrices of a few very long rows: products of the rows with each other and with a vector, combinations of them, and
//! rows replaced by combinations, in blocks of columns that stay in cache. Sums along a row go on in f64.
//!
//! Rows lie one after the other; a slice of them holds whole rows of `width` numbers.

mod stored;

pub use half::{bf16, f16};
pub use stored::{Plain, Stored};

use rayon::prelude::*;

use crate::dispatch;
use crate::lanes;
use crate::matrix::{Matrix, MatrixMut, Work, multiply, multiply_into};
use crate::real::Real;

/// Columns of a block where rows are multiplied with each other.
const PANEL: usize = 1024;

/// Columns of a block where rows meet a vector, which stays in the nearest cache.
const BLOCK: usize = 4096;

/// Rows that a symmetric or triangular product is cut into, so as to leave most of its other half out.
const STRIP: usize = 64;

/// Rows that are added up before the sum is widened.
const TOGETHER: usize = 4;

fn count<T>(rows: &[T], width: usize) -> usize {
    assert!(
        width > 0 && rows.len().is_multiple_of(width),
        "{} numbers are no rows of {width}",
        rows.len()
    );
    rows.len() / width
}

/// `out[i] = row_i · x`.
///
/// # Panics
/// When the sizes disagree.
pub fn dots<S: Stored>(rows: &[S], x: &[S::Wide], out: &mut [f64]) {
    let (width, many) = (x.len(), out.len());
    assert_eq!(count(rows, width), many, "room for a number of each row");
    let mut partial = vec![0.0; width.div_ceil(BLOCK) * many];
    let parts = partial.par_chunks_mut(many).zip(x.par_chunks(BLOCK)).enumerate();
    parts.for_each_init(
        || vec![S::Wide::ZERO; BLOCK],
        |buffer, (block, (sums, x))| {
            for (row, sum) in rows.chunks_exact(width).zip(sums) {
                let row = S::widened(&row[block * BLOCK..][..x.len()], buffer);
                dispatch!([F: Real] dot, (row: &[F], x: &[F], sum: &mut f64));
            }
        },
    );
    out.fill(0.0);
    for sums in partial.chunks_exact(many) {
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
    }
}

#[inline(always)]
fn dot<F: Real>(row: &[F], x: &[F], sum: &mut f64) {
    *sum = lanes::sum([row, x], |[a, b]| a * b);
}

/// `out ← scale·out − Σ_i coefficient_i · row_i`.
///
/// # Panics
/// When the sizes disagree.
pub fn subtract_combination<S: Stored>(rows: &[S], coefficients: &[f64], scale: f64, out: &mut [S::Wide]) {
    let width = out.len();
    assert_eq!(
        count(rows, width),
        coefficients.len(),
        "a coefficient for each row"
    );
    let coefficients: Vec<S::Wide> = coefficients.iter().copied().map(Real::from_f64).collect();
    out.par_chunks_mut(BLOCK).enumerate().for_each_init(
        || (vec![0.0; BLOCK], vec![S::Wide::ZERO; TOGETHER * BLOCK]),
        |(sums, buffer), (block, out)| {
            let sums = &mut sums[..out.len()];
            sums.fill(0.0);
            let groups = rows.chunks(TOGETHER * width).zip(coefficients.chunks(TOGETHER));
            for (group, factors) in groups {
                let mut wide: [&[S::Wide]; TOGETHER] = [&[]; TOGETHER];
                let places = buffer.chunks_exact_mut(BLOCK).zip(&mut wide);
                for (row, (buffer, wide)) in group.chunks_exact(width).zip(places) {
                    *wide = S::widened(&row[block * BLOCK..][..out.len()], buffer);
                }
                if let &[a, b, c, d] = factors {
                    let (factors, rows) = (&[a, b, c, d], &wide);
                    dispatch!([F: Real] add_four, (factors: &[F; TOGETHER], rows: &[&[F]; TOGETHER], sums: &mut [f64]));
                } else {
                    for (&factor, row) in factors.iter().zip(wide) {
                        dispatch!([F: Real] add_one, (factor: F, row: &[F], sums: &mut [f64]));
                    }
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = S::Wide::from_f64(scale * out.to_f64() - *sum);
            }
        },
    );
}

#[inline(always)]
fn add_four<F: Real>(factors: &[F; TOGETHER], rows: &[&[F]; TOGETHER], sums: &mut [f64]) {
    let length = sums.len();
    let [a, b, c, d] = rows.map(|row| &row[..length]);
    for (at, sum) in sums.iter_mut().enumerate() {
        let four = (factors[0] * a[at] + factors[1] * b[at]) + (factors[2] * c[at] + factors[3] * d[at]);
        *sum += four.to_f64();
    }
}

#[inline(always)]
fn add_one<F: Real>(factor: F, row: &[F], sums: &mut [f64]) {
    for (sum, &number) in sums.iter_mut().zip(row) {
        *sum += (factor * number).to_f64();
    }
}

/// `out[i] += Σ_k weight_k · row_k[i]²`.
///
/// # Panics
/// When the sizes disagree.
pub fn add_weighted_squares<F: Real>(rows: &[F], weights: &[f64], out: &mut [f64]) {
    let width = out.len();
    assert_eq!(count(rows, width), weights.len(), "a weight for each row");
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, sums)| {
        for (row, &weight) in rows.chunks_exact(width).zip(weights) {
            let row = &row[block * BLOCK..][..sums.len()];
            dispatch!([F: Real] add_squares, (weight: f64, row: &[F], sums: &mut [f64]));
        }
    });
}

#[inline(always)]
fn add_squares<F: Real>(weight: f64, row: &[F], sums: &mut [f64]) {
    for (sum, number) in sums.iter_mut().zip(row) {
        let number = number.to_f64();
        *sum += weight * (number * number);
    }
}

/// The columns `start..end` of rows.
fn columns<F: Real>(rows: &[F], width: usize, start: usize, end: usize) -> Matrix<'_, F> {
    Matrix::strided(&rows[start..], rows.len() / width, end - start, width)
}

/// Every row of `a` with every row of `b`: `A·Bᵀ`, row-major.
///
/// # Panics
/// When the sizes disagree.
pub fn products<F: Real>(a: &[F], b: &[F], width: usize) -> Vec<f64> {
    let (rows, others) = (count(a, width), count(b, width));
    let mut part = vec![F::ZERO; rows * others];
    let mut sums = vec![0.0; rows * others];
    for start in (0..width).step_by(PANEL) {
        let end = width.min(start + PANEL);
        let right = columns(b, width, start, end).transposed();
        multiply(
            Work::Shared,
            &mut part,
            F::ZERO,
            F::ONE,
            columns(a, width, start, end),
            right,
        );
        let each = sums.iter_mut().zip(&part);
        each.for_each(|(sum, part)| *sum += part.to_f64());
    }
    sums
}

/// Every row with every other: the Gram matrix `A·Aᵀ`, row-major.
///
/// # Panics
/// When the rows are not whole.
pub fn gram<F: Real>(rows: &[F], width: usize) -> Vec<f64> {
    let many = count(rows, width);
    let mut part = vec![F::ZERO; many * many];
    let mut sums = vec![0.0; many * many];
    for start in (0..width).step_by(PANEL) {
        let end = width.min(start + PANEL);
        // A strip is turned for each product: it is the smaller factor.
        for first in (0..many).step_by(STRIP) {
            let last = many.min(first + STRIP);
            let left = columns(&rows[first * width..], width, start, end);
            let right = columns(&rows[first * width..last * width], width, start, end).transposed();
            let out = &mut part[first * many + first..];
            let out = MatrixMut::strided(out, many - first, last - first, many);
            multiply_into(Work::Shared, out, F::ZERO, F::ONE, left, right);
        }
        for row in 0..many {
            let cells = row * many..row * many + row + 1;
            let each = sums[cells.clone()].iter_mut().zip(&part[cells]);
            each.for_each(|(sum, part)| *sum += part.to_f64());
        }
    }
    for row in 1..many {
        for column in 0..row {
            sums[column * many + row] = sums[row * many + column];
        }
    }
    sums
}

/// `rows ← triangle·rows`, with a lower triangular `triangle`, row-major, whose zeros are mostly left out.
///
/// # Panics
/// When the sizes disagree.
pub fn replace_by_triangle<F: Real>(rows: &mut [F], width: usize, triangle: &[F]) {
    let many = count(rows, width);
    assert_eq!(triangle.len(), many * many, "a factor for each pair of rows");
    let mut old = vec![F::ZERO; many * PANEL.min(width)];
    for start in (0..width).step_by(PANEL) {
        let end = width.min(start + PANEL);
        let part = end - start;
        let copies = old.chunks_exact_mut(part).zip(rows.chunks_exact(width));
        copies.for_each(|(old, row)| old.copy_from_slice(&row[start..end]));
        for first in (0..many).step_by(STRIP) {
            let last = many.min(first + STRIP);
            let left = Matrix::strided(&triangle[first * many..], last - first, last, many);
            let right = Matrix::new(&old[..last * part], last, part);
            let out = MatrixMut::strided(&mut rows[first * width + start..], last - first, part, width);
            multiply_into(Work::Shared, out, F::ZERO, F::ONE, left, right);
        }
    }
}

/// `rows ← rows − coefficients·others`, with `coefficients` row-major.
///
/// # Panics
/// When the sizes disagree.
pub fn subtract_products<F: Real>(rows: &mut [F], width: usize, coefficients: Matrix<F>, others: &[F]) {
    let many = count(rows, width);
    for start in (0..width).step_by(PANEL) {
        let end = width.min(start + PANEL);
        let out = MatrixMut::strided(&mut rows[start..], many, end - start, width);
        multiply_into(
            Work::Shared,
            out,
            F::ONE,
            -F::ONE,
            coefficients,
            columns(others, width, start, end),
        );
    }
}

#[cfg(test)]
mod tests;
