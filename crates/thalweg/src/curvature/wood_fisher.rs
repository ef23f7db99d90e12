//! WoodFisher: explicit inverses of diagonal blocks.

use rayon::prelude::*;
use thalweg_kernels::real::Real;

use super::blocks::{check_block, columns};
use super::{CurvatureError, check_dampening, check_gradients, ranges};

/// The inverse of the block diagonal of `F = λI + (1/m) Σ_i g_i g_iᵀ`, each `B × B` block of it explicitly, by
/// `F_i⁻¹ = F_{i−1}⁻¹ − (F_{i−1}⁻¹g)(F_{i−1}⁻¹g)ᵀ/(m + gᵀF_{i−1}⁻¹g)`: O(d B m) time and O(d B) memory.
/// [`BlockFisherInverse`](super::BlockFisherInverse) is the same in O(d m²) and O(d m).
///
/// Source: Singh, Alistarh, WoodFisher: Efficient Second-Order Approximation for Neural Network Compression, NeurIPS 2020.
#[derive(Clone, Debug)]
pub struct WoodFisherInverse<F> {
    /// Row-major blocks.
    blocks: Vec<Vec<F>>,
    block_size: usize,
    width: usize,
}

impl<F: Real> WoodFisherInverse<F> {
    /// Of row-major gradients `[m, width]`, in blocks of `block_size` coordinates.
    ///
    /// # Errors
    /// When the dampening is not above 0, blocks are empty, there is no gradient, one is not finite, or products overflow.
    pub fn new(
        dampening: f64,
        gradients: &[F],
        width: usize,
        block_size: usize,
    ) -> Result<Self, CurvatureError> {
        let dampening = check_dampening(dampening)?;
        check_block(block_size)?;
        check_gradients(gradients, width, 0)?;
        let ranges: Vec<_> = ranges(width, block_size).collect();
        let blocks = ranges.into_par_iter().map(|range| {
            let own = columns(gradients, width, &range);
            let block = inverse(dampening, &own, range.len());
            let finite = block.iter().all(|cell| cell.to_f64().is_finite());
            finite.then_some(block).ok_or(CurvatureError::Overflow)
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_, _>>()?,
            block_size,
            width,
        })
    }

    /// `F⁻¹x`.
    ///
    /// # Panics
    /// When x is not as long as a gradient.
    pub fn product(&self, x: &[F]) -> Vec<F> {
        assert_eq!(x.len(), self.width, "a number of each parameter");
        let parts = x.chunks(self.block_size).zip(&self.blocks);
        parts
            .flat_map(|(x, block)| block.chunks_exact(x.len()).map(move |row| dot(row, x)))
            .collect()
    }

    /// The diagonal of F⁻¹.
    pub fn diagonal(&self) -> Vec<f64> {
        let of_block = |block: &Vec<F>| {
            let side = block.len().isqrt();
            let cells: Vec<f64> = block.iter().step_by(side + 1).map(|cell| cell.to_f64()).collect();
            cells
        };
        self.blocks.iter().flat_map(of_block).collect()
    }
}

fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    let terms = a.iter().zip(b).map(|(&a, &b)| a * b);
    terms.fold(F::ZERO, |sum, term| sum + term)
}

fn inverse<F: Real>(dampening: f64, gradients: &[F], side: usize) -> Vec<F> {
    let divisor = F::from_f64((gradients.len() / side) as f64);
    let mut inverse = vec![F::ZERO; side * side];
    let diagonal = inverse.iter_mut().step_by(side + 1);
    diagonal.for_each(|cell| *cell = F::from_f64(dampening.recip()));
    let mut along = vec![F::ZERO; side];
    for gradient in gradients.chunks_exact(side) {
        let rows = inverse.chunks_exact(side).zip(&mut along);
        rows.for_each(|(row, along)| *along = dot(row, gradient));
        let denominator = divisor + dot(&along, gradient);
        for (row, &own) in inverse.chunks_exact_mut(side).zip(&along) {
            let factor = own / denominator;
            let cells = row.iter_mut().zip(&along);
            cells.for_each(|(cell, &other)| *cell = *cell - factor * other);
        }
    }
    inverse
}
