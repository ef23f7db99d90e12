//! The static algorithm: all of F⁻¹ of m gradients after one precomputation.

use thalweg_kernels::long_rows::{Plain, add_weighted_squares, dots, subtract_combination};

use super::precompute::{Denominators, precompute};
use super::{CurvatureError, MemoryPages, check_dampening, check_gradients};

/// Rows of a page where numbers of a row are many: enough for each number read to be worth it, few enough for what a page
/// costs within itself to stay small.
const PAGE: usize = 256;

/// The same where rows are short.
const SMALL_PAGE: usize = 64;

/// Numbers of a row that are many.
const LONG: usize = 1 << 14;

/// The inverse of `F = λI + (1/m) Σ_i g_i g_iᵀ`, as `I/λ − Σ_i v_i v_iᵀ/e_i` with `v_i = F_{i−1}⁻¹g_i` and
/// `e_i = m + g_i·v_i`.
///
/// The order of the gradients changes v and e, never F⁻¹.
#[derive(Clone, Debug)]
pub struct FisherInverse<F> {
    vectors: Vec<F>,
    width: usize,
    denominators: Denominators,
    dampening: f64,
}

/// A diagonal of F⁻¹.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagonal {
    /// Its elements.
    pub values: Vec<f64>,
    /// How many of them rounding had put a millionth or more below what they can be, `1/(λ + ‖G‖²/m)`. None is below it now.
    pub clamped: usize,
}

impl<F: Plain> FisherInverse<F> {
    /// Of row-major gradients `[m, width]`, in whose memory v is put. O(d m²) products, O(m²) further memory.
    ///
    /// # Errors
    /// When the dampening λ is not above 0, there is no gradient, one is not finite, or products overflow.
    pub fn new(dampening: f64, gradients: Vec<F>, width: usize) -> Result<Self, CurvatureError> {
        let rows = if width < LONG { SMALL_PAGE } else { PAGE };
        Self::by_pages(dampening, gradients, width, rows)
    }

    /// [`new`](Self::new), so many rows at a time.
    pub(super) fn by_pages(
        dampening: f64,
        gradients: Vec<F>,
        width: usize,
        rows: usize,
    ) -> Result<Self, CurvatureError> {
        let dampening = check_dampening(dampening)?;
        check_gradients(&gradients, width, 0)?;
        let mut pages = MemoryPages::new(gradients, width, rows);
        let denominators = precompute(&mut pages, dampening)?;
        Ok(Self {
            vectors: pages.into_numbers(),
            width,
            denominators,
            dampening,
        })
    }

    /// v, `[m, d]` row-major.
    pub fn vectors(&self) -> &[F] {
        &self.vectors
    }

    /// e.
    pub fn denominators(&self) -> &[f64] {
        &self.denominators.values
    }

    /// The number of parameters.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `F⁻¹x` in O(d m).
    ///
    /// # Panics
    /// When x is not as long as a gradient.
    pub fn product(&self, x: &[F]) -> Vec<F> {
        assert_eq!(x.len(), self.width, "a number of each parameter");
        let mut out = x.to_vec();
        let scale = self.dampening.recip();
        subtract_along(&self.vectors, &self.denominators.values, x, scale, &mut out);
        out
    }

    /// An element of F⁻¹ in O(m).
    ///
    /// # Panics
    /// When there are not as many parameters.
    pub fn element(&self, row: usize, column: usize) -> f64 {
        let identity = if row == column {
            self.dampening.recip()
        } else {
            0.0
        };
        let vectors = self.vectors.chunks_exact(self.width);
        let terms = vectors.zip(&self.denominators.values);
        identity
            - terms
                .map(|(v, e)| v[row].to_f64() * v[column].to_f64() / e)
                .sum::<f64>()
    }

    /// The diagonal of F⁻¹ in O(d m), summed in f64.
    pub fn diagonal(&self) -> Diagonal {
        let mut sums = vec![0.0; self.width];
        add_weighted_squares(&self.vectors, &self.denominators.weights(0), &mut sums);
        finish_diagonal(sums, self.dampening, self.denominators.floor)
    }
}

/// `out ← scale·out − Σ_i v_i (v_i·x)/e_i` over the rows of a page; `denominators` are those from its first row on.
pub(super) fn subtract_along<F: Plain>(
    vectors: &[F],
    denominators: &[f64],
    x: &[F],
    scale: f64,
    out: &mut [F],
) {
    let mut along = vec![0.0; vectors.len() / x.len()];
    dots(vectors, x, &mut along);
    let each = along.iter_mut().zip(denominators);
    each.for_each(|(along, e)| *along /= e);
    subtract_combination(vectors, &along, scale, out);
}

/// Share of the least that an element can be which it is told by when rounding takes it below. With one parameter every element is
/// that least one.
const NOTABLE: f64 = 1e-6;

/// From `Σ_i v_i[a]²/e_i`.
pub(super) fn finish_diagonal(mut sums: Vec<f64>, dampening: f64, floor: f64) -> Diagonal {
    let mut clamped = 0;
    for value in &mut sums {
        *value = dampening.recip() - *value;
        if *value < floor {
            clamped += usize::from(*value < floor * (1.0 - NOTABLE));
            *value = floor;
        }
    }
    Diagonal {
        values: sums,
        clamped,
    }
}
