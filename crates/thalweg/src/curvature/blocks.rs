//! The static algorithm on blocks of the coordinates: F without what is between blocks.

use std::ops::Range;

use rayon::prelude::*;
use thalweg_kernels::long_rows::Plain;

use super::{CurvatureError, Diagonal, FisherInverse, check_dampening, check_gradients, ranges};
use crate::config::require;

/// The inverse of the block diagonal of F: consecutive blocks of the coordinates, the last one shorter where it must be,
/// each a [`FisherInverse`] of its part of the gradients. O(d m²), for any size of the blocks; one block of all
/// coordinates is the whole of F, blocks of one are its diagonal.
#[derive(Clone, Debug)]
pub struct BlockFisherInverse<F> {
    blocks: Vec<FisherInverse<F>>,
    width: usize,
}

impl<F: Plain> BlockFisherInverse<F> {
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
        check_dampening(dampening)?;
        check_block(block_size)?;
        check_gradients(gradients, width, 0)?;
        let ranges: Vec<_> = ranges(width, block_size).collect();
        let blocks = ranges.into_par_iter().map(|range| {
            let own = columns(gradients, width, &range);
            FisherInverse::new(dampening, own, range.len())
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_, _>>()?,
            width,
        })
    }

    /// `F⁻¹x` in O(d m).
    ///
    /// # Panics
    /// When x is not as long as a gradient.
    pub fn product(&self, x: &[F]) -> Vec<F> {
        assert_eq!(x.len(), self.width, "a number of each parameter");
        let parts = x.par_chunks(self.blocks[0].width()).zip(&self.blocks);
        parts.flat_map(|(x, block)| block.product(x)).collect()
    }

    /// The diagonal of F⁻¹ in O(d m).
    pub fn diagonal(&self) -> Diagonal {
        let parts: Vec<_> = self.blocks.par_iter().map(FisherInverse::diagonal).collect();
        Diagonal {
            clamped: parts.iter().map(|part| part.clamped).sum(),
            values: parts.into_iter().flat_map(|part| part.values).collect(),
        }
    }
}

/// Checks the size of blocks.
pub(super) fn check_block(size: usize) -> Result<(), CurvatureError> {
    require("m_fac", "block_size", size as f64, "at least 1", |size| {
        size >= 1.0
    })?;
    Ok(())
}

/// Some columns of row-major gradients.
pub(crate) fn columns<F: Copy>(gradients: &[F], width: usize, range: &Range<usize>) -> Vec<F> {
    let rows = gradients.chunks_exact(width);
    rows.flat_map(|row| &row[range.clone()]).copied().collect()
}
