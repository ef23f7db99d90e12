//! Outputs of a convolution.

use rayon::prelude::*;

use super::columns::gather;
use super::{BLOCKS, Shape};
use crate::matrix::{Matrix, MatrixMut, Work, multiply_into};
use crate::real::Real;

/// Outputs `[batch, channels out, ..]` of `input [batch, channels in, ..]` under `weight [channels out, channels in / groups,
/// ..]` and `bias [channels out]`, which is none when empty.
///
/// # Panics
/// When the sizes disagree.
pub fn forward<F: Real>(shape: &Shape, input: &[F], weight: &[F], bias: &[F]) -> Vec<F> {
    let channels = shape.channels_out * shape.options.groups;
    shape.check(input, weight);
    assert!(
        bias.is_empty() || bias.len() == channels,
        "{} biases for {channels} output channels",
        bias.len()
    );
    let mut out = vec![F::ZERO; shape.batch * shape.image_out()];
    let images = shape.images_per_block();
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(images * shape.image_out())
        .enumerate()
        .for_each(|(block, out)| {
            let first = block * images * shape.image_in();
            forward_block(shape, &input[first..], weight, bias, out);
        });
    out
}

fn forward_block<F: Real>(shape: &Shape, input: &[F], weight: &[F], bias: &[F], out: &mut [F]) {
    let (taps, pixels, tile) = (shape.taps(), shape.pixels_out(), shape.tile_lines());
    let (inputs, outputs) = (shape.channels_in * shape.pixels_in(), shape.channels_out);
    let width = shape.output[2];
    let mut columns = vec![F::ZERO; taps * tile * width];
    let groups = out.chunks_exact_mut(outputs * pixels).enumerate();
    for (index, out) in groups {
        // Groups of an image follow one another, as images do.
        let input = &input[index * inputs..(index + 1) * inputs];
        let group = index % shape.options.groups;
        let weight = &weight[group * outputs * taps..(group + 1) * outputs * taps];
        let weight = Matrix::new(weight, outputs, taps);
        for first in (0..shape.lines()).step_by(tile) {
            let lines = first..(first + tile).min(shape.lines());
            let (start, len) = (first * width, lines.len() * width);
            let columns = &mut columns[..taps * len];
            gather(shape, input, &lines, columns);
            let mut keep = F::ZERO;
            if !bias.is_empty() {
                let bias = &bias[group * outputs..(group + 1) * outputs];
                for (row, &bias) in out.chunks_exact_mut(pixels).zip(bias) {
                    row[start..start + len].fill(bias);
                }
                keep = F::ONE;
            }
            let into = MatrixMut::strided(&mut out[start..], outputs, len, pixels);
            let columns = Matrix::new(columns, taps, len);
            multiply_into(shape.work(), into, keep, F::ONE, weight, columns);
        }
    }
}

impl Shape {
    pub(super) fn check<F>(&self, input: &[F], weight: &[F]) {
        let found = (input.len(), weight.len());
        let needed = (self.batch * self.image_in(), self.weights());
        assert_eq!(found, needed, "elements of input and weight of {self:?}");
    }

    /// Images of a block. Partial gradients of the weight, one for each block, are to stay below four million elements.
    pub(super) fn images_per_block(&self) -> usize {
        let blocks = ((1 << 22) / self.weights()).clamp(1, BLOCKS);
        self.batch.div_ceil(blocks).max(1)
    }

    /// Products are shared where there are too few blocks to share.
    pub(super) fn work(&self) -> Work {
        if self.batch.div_ceil(self.images_per_block()) < BLOCKS / 2 {
            Work::Shared
        } else {
            Work::Alone
        }
    }
}
