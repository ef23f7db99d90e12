//! What m gradients and F⁻¹ are to each other, from the products of the gradients alone.

use thalweg_kernels::matrix::{Matrix, MatrixMut, Work, multiply_into};

/// Rows that are eliminated together.
const BLOCK: usize = 64;

/// The triangular factors of `S/λ + mI`, where S holds the products of m gradients.
///
/// With `F_i = λI + (1/m) Σ_{j≤i} g_j g_jᵀ` and `v_i = F_{i−1}⁻¹ g_i`:
///
/// - `D_ij = g_iᵀ F_{i−1}⁻¹ g_j` for j ≥ i: the upper factor of `S/λ + mI`, less m on the diagonal; the denominators
///   `m + D_ii` are its pivots, no smaller than m;
/// - `B`, lower triangular, with `v_i = Σ_j B_ij g_j`: the inverse of the unit lower factor `L`, over λ.
///
/// `F⁻¹x = x/λ − Σ_i v_i (v_i·x)/(m + D_ii)` takes two substitutions with L: B itself is not needed for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficients {
    rows: usize,
    divisor: f64,
    /// D on and above the diagonal, L below it.
    table: Vec<f64>,
}

impl Coefficients {
    /// Of the products of gradients already divided by λ, `[m, m]` row-major, of which the upper half is read; `divisor` is
    /// the number of gradients that F is the mean of.
    ///
    /// # Panics
    /// When the products are not square.
    pub fn new(products: &[f64], rows: usize, divisor: f64) -> Self {
        assert_eq!(products.len(), rows * rows, "a product of each pair of gradients");
        let mut coefficients = Self {
            rows,
            divisor,
            table: vec![0.0; rows * rows],
        };
        coefficients.refresh(products, 1.0, 0);
        coefficients
    }

    /// The number of gradients.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes up products times `scale` of which row and column `changed`, and perhaps later ones, are new: rows before it
    /// are used again. O(m³) for what is not.
    pub(super) fn refresh(&mut self, products: &[f64], scale: f64, changed: usize) {
        let m = self.rows;
        self.refresh_column(products, scale, changed);
        for start in (changed..m).step_by(BLOCK) {
            let end = m.min(start + BLOCK);
            let (done, rest) = self.table.split_at_mut(start * m);
            let block = &mut rest[..(end - start) * m];
            let mut lower = Vec::with_capacity((end - start) * start);
            for (row, at) in block.chunks_exact_mut(m).zip(start..) {
                let above = done.chunks_exact(m).enumerate();
                for ((k, done), cell) in above.zip(&mut row[..start]) {
                    *cell = done[at] / (self.divisor + done[k]);
                }
                lower.extend_from_slice(&row[..start]);
                let products = &products[at * m..(at + 1) * m];
                let tail = row[at..].iter_mut().zip(&products[at..]);
                tail.for_each(|(cell, product)| *cell = scale * product);
            }
            if start > 0 {
                let lower = Matrix::new(&lower, end - start, start);
                let upper = Matrix::strided(&done[start..], start, m - start, m);
                let out = MatrixMut::strided(&mut block[start..], end - start, m - start, m);
                multiply_into(Work::Shared, out, 1.0, -1.0, lower, upper);
            }
            self.eliminate(start, end);
        }
    }

    /// The column `changed` of the rows before it.
    fn refresh_column(&mut self, products: &[f64], scale: f64, changed: usize) {
        let m = self.rows;
        let mut column: Vec<f64> = (0..changed)
            .map(|row| scale * products[row * m + changed])
            .collect();
        self.forward(&mut column);
        for (row, value) in column.into_iter().enumerate() {
            self.table[row * m + changed] = value;
        }
    }

    /// Rows `start..end` among themselves, those before them having been taken off.
    fn eliminate(&mut self, start: usize, end: usize) {
        let m = self.rows;
        for row in start..end {
            let (done, rest) = self.table.split_at_mut(row * m);
            let own = &mut rest[..m];
            for (k, above) in done.chunks_exact(m).enumerate().skip(start) {
                let factor = above[row] / (self.divisor + above[k]);
                own[k] = factor;
                let tail = own[row..].iter_mut().zip(&above[row..]);
                tail.for_each(|(cell, above)| *cell -= factor * above);
            }
            // gᵀF⁻¹g is not below 0: what is, is rounding.
            own[row] = own[row].max(0.0);
        }
    }

    /// The first numbers of `L⁻¹t`, in place of those of t.
    pub(super) fn forward(&self, t: &mut [f64]) {
        for row in 1..t.len() {
            let (done, rest) = t.split_at_mut(row);
            let lower = &self.table[row * self.rows..][..row];
            rest[0] -= lower.iter().zip(&*done).map(|(l, t)| l * t).sum::<f64>();
        }
    }

    /// `L⁻ᵀt` in place of t.
    fn backward(&self, t: &mut [f64]) {
        for row in (1..t.len()).rev() {
            let (earlier, rest) = t.split_at_mut(row);
            let lower = &self.table[row * self.rows..][..row];
            let each = earlier.iter_mut().zip(lower);
            each.for_each(|(t, l)| *t -= l * rest[0]);
        }
    }

    /// `(S/λ + mI)⁻¹ t` in place of t.
    ///
    /// # Panics
    /// When t does not hold a number of each gradient.
    pub fn solve(&self, t: &mut [f64]) {
        assert_eq!(t.len(), self.rows, "a number of each gradient");
        self.forward(t);
        let each = t.iter_mut().enumerate();
        each.for_each(|(row, t)| *t /= self.denominator(row));
        self.backward(t);
    }

    /// `m + D_ii`.
    pub fn denominator(&self, row: usize) -> f64 {
        self.divisor + self.table[row * self.rows + row]
    }

    /// D, `[m, m]` row-major, zeros below the diagonal.
    pub fn upper(&self) -> Vec<f64> {
        let mut upper = self.table.clone();
        for (row, cells) in upper.chunks_exact_mut(self.rows).enumerate() {
            cells[..row].fill(0.0);
        }
        upper
    }

    /// `L⁻¹`, `[m, m]` row-major, zeros above the diagonal: λB.
    pub fn combinations(&self) -> Vec<f64> {
        let m = self.rows;
        let mut combinations = vec![0.0; m * m];
        for row in 0..m {
            let (done, rest) = combinations.split_at_mut(row * m);
            let own = &mut rest[..m];
            own[row] = 1.0;
            for (k, above) in done.chunks_exact(m).enumerate() {
                let factor = self.table[row * m + k];
                let each = own[..=k].iter_mut().zip(above);
                each.for_each(|(own, above)| *own -= factor * above);
            }
        }
        combinations
    }

    /// Whether all are numbers.
    pub(super) fn are_finite(&self) -> bool {
        self.table.iter().all(|value| value.is_finite())
    }

    /// The factors as they are kept, and a place to put them back.
    pub(crate) fn table(&self) -> &[f64] {
        &self.table
    }

    pub(crate) fn table_mut(&mut self) -> &mut [f64] {
        &mut self.table
    }
}
