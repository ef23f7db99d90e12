//! Products of row-major matrices: a safe door to the `gemm` crate.

mod transpose;

use gemm::Parallelism;

use crate::real::Real;
pub use transpose::transpose;

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
            Some(data.len()),
            rows.checked_mul(columns),
            "{rows} × {columns} elements make the matrix"
        );
        Self::strided(data, rows, columns, columns)
    }

    /// The `rows × columns` matrix whose rows begin `row_stride` elements apart in `data`.
    ///
    /// # Panics
    /// When the data ends before the last row does.
    pub fn strided(data: &'a [F], rows: usize, columns: usize, row_stride: usize) -> Self {
        check_extent(data.len(), rows, columns, row_stride);
        Self {
            data,
            rows,
            columns,
            row_stride,
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

/// A row-major matrix to be written.
#[derive(Debug)]
pub struct MatrixMut<'a, F> {
    data: &'a mut [F],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a, F> MatrixMut<'a, F> {
    /// The `rows × columns` matrix whose rows begin `row_stride` elements apart in `data`.
    ///
    /// # Panics
    /// When the data ends before the last row does, or rows overlap.
    pub fn strided(data: &'a mut [F], rows: usize, columns: usize, row_stride: usize) -> Self {
        check_extent(data.len(), rows, columns, row_stride);
        assert!(
            rows < 2 || row_stride >= columns,
            "rows of {columns} elements, {row_stride} apart, overlap"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
        }
    }
}

fn check_extent(len: usize, rows: usize, columns: usize, row_stride: usize) {
    if rows > 0 && columns > 0 {
        // An extent that overflows is longer than any memory.
        let last = (rows - 1)
            .checked_mul(row_stride)
            .and_then(|start| start.checked_add(columns));
        assert!(
            last.is_some_and(|last| len >= last),
            "{len} elements end before row {rows} of {columns} elements, {row_stride} apart"
        );
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

/// Multiplications below which waking a second thread costs more than it saves.
const PARALLEL: usize = if cfg!(miri) { 1 << 12 } else { 1 << 22 };

/// Elements of a turned operand that are transposed at a time: 2 MiB of single precision. Fewer where Miri interprets, so
/// that products of several blocks and threads stay small enough for it.
const TURNED: usize = if cfg!(miri) { 1 << 12 } else { 1 << 19 };

/// `out ← keep·out + scale·a·b`, with `out` row-major. A `keep` of 0 does not read `out`.
///
/// # Panics
/// When the sizes disagree.
pub fn multiply<F: Real>(work: Work, out: &mut [F], keep: F, scale: F, a: Matrix<F>, b: Matrix<F>) {
    check_sizes(&a, &b);
    assert_eq!(
        Some(out.len()),
        a.rows.checked_mul(b.columns),
        "room for the {} × {} elements of a product",
        a.rows,
        b.columns
    );
    let out = MatrixMut::strided(out, a.rows, b.columns, b.columns);
    multiply_into(work, out, keep, scale, a, b);
}

/// [`multiply`] where the rows of `out` need not follow one another.
///
/// # Panics
/// When the sizes disagree.
pub fn multiply_into<F: Real>(work: Work, out: MatrixMut<F>, keep: F, scale: F, a: Matrix<F>, b: Matrix<F>) {
    check_sizes(&a, &b);
    assert_eq!(
        (out.rows, out.columns),
        (a.rows, b.columns),
        "a product of {} × {} elements into {} × {}",
        a.rows,
        b.columns,
        out.rows,
        out.columns
    );
    // SAFETY: `MatrixMut` checked that its rows lie within its memory, which is borrowed mutably.
    unsafe { run(work, out.data.as_mut_ptr(), out.row_stride, keep, scale, a, b) }
}

/// `a·b`, row-major, in memory of its own.
///
/// # Panics
/// When the sizes disagree, or no memory holds the product.
pub fn product<F: Real>(work: Work, a: Matrix<F>, b: Matrix<F>) -> Vec<F> {
    check_sizes(&a, &b);
    // Factors that hold no element may have any number of rows and columns.
    let len = a.rows.checked_mul(b.columns).expect("memory for a product");
    let mut out = Vec::with_capacity(len);
    // SAFETY: there is room for the product, which `run` writes whole, without reading what was there.
    unsafe {
        run(work, out.as_mut_ptr(), b.columns, F::ZERO, F::ONE, a, b);
        out.set_len(len);
    }
    out
}

fn check_sizes<F>(a: &Matrix<F>, b: &Matrix<F>) {
    assert_eq!(
        a.columns, b.rows,
        "{} × {} times {} × {}",
        a.rows, a.columns, b.rows, b.columns
    );
}

/// `gemm` packs a right operand whose rows are not contiguous element by element on one thread, which takes as long as
/// the product; a transposition in tiles first does not.
///
/// # Safety
/// `out` points to `a.rows` rows of `b.columns` elements, `row_stride` apart, that nothing else accesses; initialised
/// unless `keep` is 0.
unsafe fn run<F: Real>(
    work: Work,
    out: *mut F,
    row_stride: usize,
    keep: F,
    scale: F,
    a: Matrix<F>,
    b: Matrix<F>,
) {
    let multiplications = a.rows.saturating_mul(a.columns).saturating_mul(b.columns);
    let work = if multiplications < PARALLEL {
        Work::Alone
    } else {
        work
    };
    if b.column_stride == 1 || a.rows.min(b.rows).min(b.columns) < 16 {
        // SAFETY: the caller's contract.
        return unsafe { gemm(work, out, row_stride, keep, scale, a, b) };
    }
    let width = (TURNED / b.rows).max(64).min(b.columns);
    let mut rows = vec![F::ZERO; b.rows * width];
    for first in (0..b.columns).step_by(width) {
        let columns = width.min(b.columns - first);
        let turned = &mut rows[..b.rows * columns];
        transpose(
            work,
            &b.data[first * b.column_stride..],
            b.column_stride,
            turned,
            b.rows,
        );
        let block = Matrix::new(turned, b.rows, columns);
        // SAFETY: columns `first..first + columns` of what the caller vouches for.
        unsafe { gemm(work, out.add(first), row_stride, keep, scale, a, block) };
    }
}

/// # Safety
/// As of [`run`].
unsafe fn gemm<F: Real>(
    work: Work,
    out: *mut F,
    row_stride: usize,
    keep: F,
    scale: F,
    a: Matrix<F>,
    b: Matrix<F>,
) {
    let parallelism = match work {
        Work::Alone => Parallelism::None,
        Work::Shared => Parallelism::Rayon(0),
    };
    // SAFETY: `Matrix` checked that rows, columns and strides stay within each slice; the caller vouches for `out`; `F` is
    // f32 or f64, which gemm has.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            row_stride as isize,
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
    fn a_turned_operand_of_several_blocks_and_rows_apart_are_the_plain_product() {
        // One row of the left operand is below the size from which the right one is transposed first.
        let (m, k, n, gap) = (17, 40, 2 * (TURNED / 40) + 3, 2);
        let mut stream = Stream::new(0, "matrix blocks", 0);
        let (a, b) = (
            normal(&mut stream, m * (k + gap)),
            normal(&mut stream, n * (k + gap)),
        );
        let left = Matrix::strided(&a, m, k, k + gap);
        let right = Matrix::strided(&b, n, k, k + gap).transposed();
        let whole = product(Work::Shared, left, right);
        let mut apart = vec![f64::NAN; m * (n + gap)];
        let out = MatrixMut::strided(&mut apart, m, n, n + gap);
        multiply_into(Work::Alone, out, 0.0, 1.0, left, right);
        for row in 0..m {
            let alone = Matrix::new(&a[row * (k + gap)..][..k], 1, k);
            let expected = product(Work::Alone, alone, right);
            for j in 0..n {
                assert!((whole[row * n + j] - expected[j]).abs() < 1e-13);
            }
            assert_eq!(apart[row * (n + gap)..][..n], whole[row * n..][..n]);
            assert!(apart[row * (n + gap) + n..].iter().take(gap).all(|x| x.is_nan()));
        }
    }

    #[test]
    fn a_product_over_nothing_is_0() {
        let (left, right) = (Matrix::<f32>::new(&[], 2, 0), Matrix::new(&[], 0, 3));
        assert_eq!(product(Work::Shared, left, right), [0.0; 6]);
    }

    #[test]
    #[should_panic(expected = "elements make the matrix")]
    fn a_number_of_elements_that_overflows_is_refused() {
        Matrix::<f32>::new(&[], 1 << (usize::BITS / 2), 1 << (usize::BITS / 2));
    }

    #[test]
    #[should_panic(expected = "end before row")]
    fn an_extent_that_overflows_is_refused() {
        Matrix::strided(&[0.0_f32], 3, 1, 1 << (usize::BITS - 1));
    }

    #[test]
    #[should_panic(expected = "memory for a product")]
    fn a_product_that_overflows_is_refused() {
        let side = 1 << (usize::BITS / 2);
        product(
            Work::Alone,
            Matrix::<f32>::new(&[], side, 0),
            Matrix::new(&[], 0, side),
        );
    }

    #[test]
    #[should_panic(expected = "rows of 3 elements, 2 apart, overlap")]
    fn rows_to_be_written_do_not_overlap() {
        MatrixMut::strided(&mut [0.0; 9], 2, 3, 2);
    }

    #[test]
    #[should_panic(expected = "2 × 3 times 2 × 3")]
    fn sizes_that_do_not_fit_are_named() {
        let data = [0.0; 6];
        let matrix = Matrix::new(&data, 2, 3);
        multiply(Work::Alone, &mut [0.0; 9], 0.0, 1.0, matrix, matrix);
    }
}
