//! The dynamic algorithm: F⁻¹ of the last m gradients of a stream.

use thalweg_kernels::long_rows::{Stored, dots, subtract_combination};
use thalweg_kernels::real::Real;

use super::{Coefficients, CurvatureError, check_dampening, check_gradients};
use crate::config::require;

/// The inverse of `F = λI + (1/m) Σ_i g_i g_iᵀ` of the last m gradients, kept in a ring: a gradient takes the place of the
/// oldest in O(d m + m³), of which rows before its place are used again; a product costs O(d m + m²).
///
/// Places without a gradient yet hold zeros, and the divisor is m from the first one on: before the window is full, F is
/// λI with little added.
///
/// S is what gradients are kept as. Half-precision types ([`f16`](super::f16), [`bf16`](super::bf16)) halve its memory;
/// everything is computed in f32, sums in f64. F is then that of the rounded gradients.
#[derive(Clone, Debug)]
pub struct GradientWindow<S> {
    dampening: f64,
    width: usize,
    /// `[m, d]`.
    gradients: Vec<S>,
    /// Their products `[m, m]`.
    products: Vec<f64>,
    coefficients: Coefficients,
    next: usize,
}

impl<S: Stored> GradientWindow<S> {
    /// For `rows` gradients m of `width` numbers.
    ///
    /// # Errors
    /// When the dampening λ is not above 0, or there is no row or number.
    pub fn new(dampening: f64, rows: usize, width: usize) -> Result<Self, CurvatureError> {
        let dampening = check_dampening(dampening)?;
        require("m_fac", "gradients", rows as f64, "at least 1", |rows| {
            rows >= 1.0
        })?;
        if width == 0 {
            return Err(CurvatureError::Empty);
        }
        let products = vec![0.0; rows * rows];
        Ok(Self {
            dampening,
            width,
            gradients: vec![S::narrowed(S::Wide::ZERO); rows * width],
            coefficients: Coefficients::new(&products, rows, rows as f64),
            products,
            next: 0,
        })
    }

    /// The number of gradients it holds, m.
    pub fn rows(&self) -> usize {
        self.coefficients.rows()
    }

    /// The number of parameters, d.
    pub fn width(&self) -> usize {
        self.width
    }

    /// D and B of the gradients as they lie in the ring.
    pub fn coefficients(&self) -> &Coefficients {
        &self.coefficients
    }

    /// Takes a gradient up in the place of the oldest.
    ///
    /// # Errors
    /// When it has another length, is not finite, or too large for S or for products. The window is then as it was, except
    /// after an overflow of products.
    pub fn insert(&mut self, gradient: &[S::Wide]) -> Result<(), CurvatureError> {
        if gradient.len() != self.width {
            return Err(CurvatureError::Width {
                what: "gradients",
                found: gradient.len(),
                expected: self.width,
            });
        }
        check_gradients(gradient, self.width, self.next)?;
        let (m, at) = (self.rows(), self.next);
        let kept: Vec<S> = gradient.iter().copied().map(S::narrowed).collect();
        let mut wide = vec![S::Wide::ZERO; self.width];
        let wide = S::widened(&kept, &mut wide);
        if let Some(column) = wide.iter().position(|value| !value.to_f64().is_finite()) {
            return Err(CurvatureError::NotKept {
                row: at,
                column,
                value: gradient[column].to_f64(),
            });
        }
        self.gradients[at * self.width..][..self.width].copy_from_slice(&kept);
        let mut along = vec![0.0; m];
        dots(&self.gradients, wide, &mut along);
        for (other, &product) in along.iter().enumerate() {
            self.products[at * m + other] = product;
            self.products[other * m + at] = product;
        }
        self.coefficients
            .refresh(&self.products, self.dampening.recip(), at);
        self.next = (at + 1) % m;
        if self.coefficients.are_finite() {
            Ok(())
        } else {
            Err(CurvatureError::Overflow)
        }
    }

    /// `F⁻¹x`.
    ///
    /// # Panics
    /// When x is not as long as a gradient.
    pub fn product(&self, x: &[S::Wide]) -> Vec<S::Wide> {
        assert_eq!(x.len(), self.width, "a number of each parameter");
        let mut along = vec![0.0; self.rows()];
        dots(&self.gradients, x, &mut along);
        self.reduced(x.to_vec(), along)
    }

    /// `F⁻¹g` of the gradient g taken up last, as it is kept. Its products with the others are known already: this reads
    /// the window once, where [`product`](Self::product) reads it twice.
    pub fn newest_product(&self) -> Vec<S::Wide> {
        let m = self.rows();
        let newest = (self.next + m - 1) % m;
        let kept = &self.gradients[newest * self.width..][..self.width];
        let mut wide = vec![S::Wide::ZERO; self.width];
        let wide = S::widened(kept, &mut wide).to_vec();
        self.reduced(wide, self.products[newest * m..][..m].to_vec())
    }

    /// `x/λ − Gᵀ Bᵀ diag(1/(m + D)) B p`, p being the products of the gradients with x.
    fn reduced(&self, mut x: Vec<S::Wide>, mut along: Vec<f64>) -> Vec<S::Wide> {
        self.coefficients.solve(&mut along);
        let square = self.dampening * self.dampening;
        along.iter_mut().for_each(|along| *along /= square);
        subtract_combination(&self.gradients, &along, self.dampening.recip(), &mut x);
        x
    }

    /// Gradients, their products, their factors, and the place of the next gradient.
    pub(crate) fn parts(&self) -> (&[S], &[f64], &[f64], usize) {
        let table = self.coefficients.table();
        (&self.gradients, &self.products, table, self.next)
    }

    /// The same to be overwritten, with the place of the next gradient.
    pub(crate) fn parts_mut(&mut self, next: usize) -> (&mut [S], &mut [f64], &mut [f64]) {
        self.next = next;
        let table = self.coefficients.table_mut();
        (&mut self.gradients, &mut self.products, table)
    }
}
