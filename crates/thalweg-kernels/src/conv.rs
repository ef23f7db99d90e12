//! Convolutions over images `[batch, channels, depth, height, width]` (a plane has depth 1), as cross-correlations: forward,
//! and the gradients of input, weight and bias.
//!
//! The input under each tap of the kernel is laid out as columns ([`columns`]) for a few lines of output at a time, so that
//! they stay in the second-level cache, and a matrix product does the rest. Images are shared among threads in blocks that
//! depend on the shapes alone, so that no bit depends on the number of threads.

mod backward;
mod columns;
mod forward;
mod shape;
#[cfg(test)]
mod tests;

pub use backward::{Gradients, Wanted, backward};
pub use forward::forward;
pub use shape::{Options, Shape, ShapeError};

/// Elements of columns in a tile: 256 KiB of single precision.
const TILE: usize = 1 << 16;

/// Blocks of images, each a task. Fewer than this leave threads idle, unless they share each product.
const BLOCKS: usize = 16;

impl Shape {
    /// Lines of output in a tile.
    fn tile_lines(&self) -> usize {
        (TILE / (self.taps() * self.output[2])).clamp(1, self.lines())
    }
}
