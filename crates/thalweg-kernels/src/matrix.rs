//! Products of row-major matrices: a safe door to the `gemm` crate.

use gemm::Parallelism;

use crate::real::Real;

/// A matrix in memory that is borrowed: `rows × columns`, row-major, or the transpose of such a one.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, F> {
    data: &'a [F],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, F> Matrix<'a, F> {
    /// The `rows × columns` matrix of row-major `data`.
    ///
    /// # Panics
    /// When the data does not hold as many elements.
    pub fn new(data: &'a [F], rows: usize, columns: usize) -> Self {
        assert_eq!(
            data.len(),
            rows * columns,
            "{rows} × {columns} elements make the matrix"
        );
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Its transpose, of the same memory.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// Who computes a product. The bits are the same either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The calling thread.
    Alone,
    /// All threads of the current rayon pool, where there is enough to do.
    Shared,
}

/// `out ← keep·out + scale·a·b`, with `out` row-major. A `keep` of 0 does not read `out`.
///
/// # Panics
/// When the sizes disagree.
pub fn multiply<F: Real>(work: Work, out: &mut [F], keep: F, scale: F, a: Matrix<F>, b: Matrix<F>) {
    assert_eq!(
        a.columns, b.rows,
        "{} × {} times {} × {}",
        a.rows, a.columns, b.rows, b.columns
    );
    assert_eq!(
        out.len(),
        a.rows * b.columns,
        "room for the {} × {} elements of a product",
        a.rows,
        b.columns
    );
    let parallelism = match work {
        Work::Alone => Parallelism::None,
        Work::Shared => Parallelism::Rayon(0),
    };
    // SAFETY: `Matrix::new` checked that rows, columns and strides stay within each slice, `out` was checked above and is
    // borrowed mutably, so that nothing overlaps it; `F` is f32 or f64, which gemm has.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            keep != F::ZERO,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            keep,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn normal(stream: &mut Stream, len: usize) -> Vec<f64> {
        (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn products_are_sums_of_products(m in 1_usize..40, n in 1_usize..40, k in 1_usize..40, seed in 0_u64..1000) {
            let mut stream = Stream::new(seed, "matrix", 0);
            let (a, b) = (normal(&mut stream, m * k), normal(&mut stream, n * k));
            let start = normal(&mut stream, m * n);
            let mut out = start.clone();
            let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&b, n, k).transposed());
            multiply(Work::Shared, &mut out, 0.5, -2.0, left, right);
            for i in 0..m {
                for j in 0..n {
                    let dot: f64 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                    prop_assert!((out[i * n + j] - (0.5 * start[i * n + j] - 2.0 * dot)).abs() < 1e-13);
                }
            }
            let mut fresh = vec![f64::NAN; k * k];
            multiply(Work::Alone, &mut fresh, 0.0, 1.0, left.transposed(), left);
            for i in 0..k {
                for j in 0..k {
                    let dot: f64 = (0..m).map(|l| a[l * k + i] * a[l * k + j]).sum();
                    prop_assert!((fresh[i * k + j] - dot).abs() < 1e-13);
                }
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let (m, k, n) = (130, 70, 900);
        let mut stream = Stream::new(0, "matrix threads", 0);
        let (a, b) = (normal(&mut stream, m * k), normal(&mut stream, k * n));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut out = vec![0.0; m * n];
            let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            pool.install(|| multiply(Work::Shared, &mut out, 0.0, 1.0, a, b));
            out
        };
        let one = on(1);
        assert!([2, 3, 5].into_iter().all(|threads| on(threads) == one));
    }

    #[test]
    #[should_panic(expected = "2 × 3 times 2 × 3")]
    fn sizes_that_do_not_fit_are_named() {
        let data = [0.0; 6];
        let matrix = Matrix::new(&data, 2, 3);
        multiply(Work::Alone, &mut [0.0; 9], 0.0, 1.0, matrix, matrix);
    }
}
