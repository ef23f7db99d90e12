//! Curvature of a loss without a matrix of its parameters' size: the inverse of the empirical Fisher information
//! `F = λI + (1/m) Σ_i g_i g_iᵀ` of m gradients g_i in d dimensions, from products of the gradients alone.
//!
//! - All of F⁻¹ after one precomputation in O(d m²), in place of the gradients: [`FisherInverse`]; by blocks of the
//!   coordinates [`BlockFisherInverse`], in pages of rows that need not fit in memory [`PagedFisherInverse`].
//! - Of the last m gradients of a stream, one replaced at a time in O(d m + m³): [`GradientWindow`].
//! - Gradients kept as they are, F⁻¹x through the Cholesky factor of their m × m products: [`woodbury`].
//! - What WoodFisher does instead, explicit inverses of blocks: [`WoodFisherInverse`].
//!
//! A product F⁻¹x costs O(d m), an element of F⁻¹ O(m), its diagonal O(d m). The divisor is m, gradients are not centred.
//! Zero gradients, equal ones, a single one and more of them than dimensions are all allowed.
//!
//! ```
//! use thalweg::curvature::FisherInverse;
//!
//! // Two gradients of three parameters.
//! let gradients = vec![1.0, 0.0, 2.0, 0.0, 1.0, -1.0];
//! let inverse = FisherInverse::new(0.1, gradients, 3)?;
//! let step = inverse.product(&[1.0, 0.0, 0.0]);
//! assert!((step[0] - inverse.element(0, 0)).abs() < 1e-12);
//! # Ok::<(), thalweg::curvature::CurvatureError>(())
//! ```
//!
//! Source: Frantar, Kurtic, Alistarh, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, NeurIPS 2021.

mod blocks;
mod coefficients;
mod error;
mod fisher_inverse;
mod pages;
mod precompute;
mod quantities;
mod window;
mod wood_fisher;
mod woodbury;

pub use blocks::BlockFisherInverse;
pub use coefficients::Coefficients;
pub use error::CurvatureError;
pub use fisher_inverse::{Diagonal, FisherInverse};
pub use pages::{FilePages, MemoryPages, PageStore, PagedFisherInverse};
pub use window::GradientWindow;
pub use wood_fisher::WoodFisherInverse;
pub use woodbury::woodbury;

pub use thalweg_kernels::long_rows::{Plain, Stored, bf16, f16};

pub(crate) use blocks::columns;
pub(crate) use error::{check_dampening, check_gradients};
pub(crate) use quantities::quantities;
pub(crate) use woodbury::of_gram;

/// Consecutive ranges of `block` out of `width`, the last one shorter where it must be.
pub(crate) fn ranges(width: usize, block: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..width)
        .step_by(block)
        .map(move |start| start..width.min(start + block))
}

#[cfg(test)]
mod tests;
