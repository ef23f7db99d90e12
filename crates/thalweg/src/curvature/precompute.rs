//! The recursion `v_i = g_i/λ − Σ_{j<i} v_j (v_j·g_i)/(m + g_j·v_j)`, a page of rows at a time.
//!
//! Of a page with rows G_T and all v before it as V, with denominators e: `P = V G_Tᵀ` and the products of G_T with itself
//! tell those with the inverse so far, `N = G_T G_Tᵀ/λ − Pᵀ diag(1/e) P`, and N those among the page. Then
//! `V_T = L⁻¹ (G_T/λ − Pᵀ diag(1/e) V)`, L the unit lower factor of `N + mI`: nothing but products of matrices.

use thalweg_kernels::long_rows::{gram, products, replace_by_triangle, subtract_products};
use thalweg_kernels::matrix::{Matrix, Work, multiply, product};
use thalweg_kernels::real::Real;

use super::{Coefficients, CurvatureError, PageStore, check_gradients};

/// What becomes of gradients beside the v.
#[derive(Clone, Debug)]
pub(super) struct Denominators {
    /// `m + g_i·v_i`.
    pub values: Vec<f64>,
    /// No diagonal element of F⁻¹ is below `1/(λ + ‖G‖²/m)`.
    pub floor: f64,
}

impl Denominators {
    /// Their reciprocals, from row `first` on.
    pub fn weights(&self, first: usize) -> Vec<f64> {
        self.values[first..].iter().map(|value| value.recip()).collect()
    }
}

/// Puts v in place of the gradients in a store.
pub(super) fn precompute<F: Real, S: PageStore<F>>(
    store: &mut S,
    dampening: f64,
) -> Result<Denominators, CurvatureError> {
    let (rows, width) = (store.rows(), store.width());
    let divisor = rows as f64;
    let mut values: Vec<f64> = Vec::with_capacity(rows);
    let mut squares = 0.0;
    for index in 0..store.pages() {
        let first = values.len();
        let page = store.page(index)?;
        check_gradients(page, width, first)?;
        let own = page.len() / width;
        let mut between = gram(page, width);
        squares += (0..own).map(|row| between[row * own + row]).sum::<f64>();
        between.iter_mut().for_each(|cell| *cell *= dampening.recip());

        let mut with_earlier = Vec::with_capacity(first * own);
        for earlier in 0..index {
            let (before, page) = store.pair(earlier, index)?;
            with_earlier.extend(products(before, page, width));
        }
        let scaled: Vec<f64> = with_earlier
            .chunks_exact(own)
            .zip(&values)
            .flat_map(|(row, value)| row.iter().map(move |cell| cell / value))
            .collect();
        let with_earlier = Matrix::new(&with_earlier, first, own);
        let scaled = Matrix::new(&scaled, first, own).transposed();
        multiply(Work::Shared, &mut between, 1.0, -1.0, scaled, with_earlier);

        let coefficients = Coefficients::new(&between, own, divisor);
        if !coefficients.are_finite() || !squares.is_finite() {
            return Err(CurvatureError::Overflow);
        }
        values.extend((0..own).map(|row| coefficients.denominator(row)));
        let combinations = coefficients.combinations();
        let of_earlier = product(Work::Shared, Matrix::new(&combinations, own, own), scaled);
        let triangle: Vec<F> = combinations
            .iter()
            .map(|factor| F::from_f64(factor / dampening))
            .collect();
        replace_by_triangle(store.page(index)?, width, &triangle);

        let of_earlier: Vec<F> = of_earlier.into_iter().map(F::from_f64).collect();
        let mut column = 0;
        for earlier in 0..index {
            let (before, page) = store.pair(earlier, index)?;
            let rows = before.len() / width;
            let factors = Matrix::strided(&of_earlier[column..], own, rows, first);
            subtract_products(page, width, factors, before);
            column += rows;
        }
    }
    Ok(Denominators {
        values,
        floor: (dampening + squares / divisor).recip(),
    })
}
