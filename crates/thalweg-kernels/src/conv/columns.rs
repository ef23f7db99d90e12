//! The input under each tap of the kernel, as rows of a matrix with a column for each output pixel; and back.

use std::ops::Range;

use super::Shape;
use crate::dispatch;
use crate::real::Real;

/// Writes `columns [taps, pixels]` of the output `lines` for one group's channels of one image.
pub(super) fn gather<F: Real>(shape: &Shape, group: &[F], lines: &Range<usize>, columns: &mut [F]) {
    let (pixels, step) = (lines.len() * shape.output[2], shape.options.stride[2]);
    let channels = group.chunks_exact(shape.pixels_in());
    let per_channel = shape.kernel.iter().product::<usize>() * pixels;
    for (channel, columns) in channels.zip(columns.chunks_exact_mut(per_channel)) {
        for (tap, row) in columns.chunks_exact_mut(pixels).enumerate() {
            let tap = Tap::new(shape, tap);
            let mut done = 0;
            tap.runs(shape, lines, |run| {
                row[done..run.column].fill(F::ZERO);
                let out = &mut row[run.column..run.column + run.len];
                if step == 1 {
                    out.copy_from_slice(&channel[run.pixel..run.pixel + run.len]);
                } else {
                    let every = channel[run.pixel..].iter().step_by(step);
                    out.iter_mut().zip(every).for_each(|(out, &pixel)| *out = pixel);
                }
                done = run.column + run.len;
            });
            row[done..].fill(F::ZERO);
            tap.clear_edge(shape, row);
        }
    }
}

/// Adds what `columns` hold to the pixels they were gathered from. Columns over padding are overwritten.
pub(super) fn scatter<F: Real>(shape: &Shape, columns: &mut [F], lines: &Range<usize>, group: &mut [F]) {
    let (pixels, step) = (lines.len() * shape.output[2], shape.options.stride[2]);
    let channels = group.chunks_exact_mut(shape.pixels_in());
    let per_channel = shape.kernel.iter().product::<usize>() * pixels;
    for (channel, columns) in channels.zip(columns.chunks_exact_mut(per_channel)) {
        for (tap, row) in columns.chunks_exact_mut(pixels).enumerate() {
            let tap = Tap::new(shape, tap);
            tap.clear_edge(shape, row);
            tap.runs(shape, lines, |run| {
                let row = &row[run.column..run.column + run.len];
                if step == 1 {
                    add(&mut channel[run.pixel..run.pixel + run.len], row);
                } else {
                    let every = channel[run.pixel..].iter_mut().step_by(step);
                    every.zip(row).for_each(|(pixel, &more)| *pixel += more);
                }
            });
        }
    }
}

fn add<F: Real>(sums: &mut [F], more: &[F]) {
    dispatch!([F: Real] add_lanes, (sums: &mut [F], more: &[F]));
}

#[inline(always)]
fn add_lanes<F: Real>(sums: &mut [F], more: &[F]) {
    for (sum, &more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// Columns that stand beside each other over pixels that do.
struct Run {
    column: usize,
    pixel: usize,
    len: usize,
}

/// A tap of the kernel: how far it reaches from where the kernel is put, per axis.
struct Tap {
    offset: [isize; 3],
    /// Whole blocks of lines are runs, since outputs lie as inputs do, apart from a shift.
    blocks: bool,
}

impl Tap {
    fn new(shape: &Shape, index: usize) -> Self {
        let [_, height, width] = shape.kernel;
        let at = [index / (height * width), index / width % height, index % width];
        let options = &shape.options;
        let reach =
            |axis: usize| (at[axis] * options.dilation[axis]) as isize - options.padding[axis].0 as isize;
        Self {
            offset: [reach(0), reach(1), reach(2)],
            blocks: options.stride[1..] == [1, 1] && shape.output[2] == shape.input[2],
        }
    }

    /// Visits, in order, the columns of `lines` that are over the image.
    fn runs(&self, shape: &Shape, lines: &Range<usize>, mut visit: impl FnMut(Run)) {
        let ([_, heights, width], [_, height, width_in]) = (shape.output, shape.input);
        let along = self.valid(shape, 1);
        let across = self.valid(shape, 2);
        let (mut line, stride) = (lines.start, shape.options.stride);
        while line < lines.end {
            let (depth, first) = (line / heights, line % heights);
            let next = (line - first + heights).min(lines.end);
            let plane = (depth * stride[0]) as isize + self.offset[0];
            let inside = (0..shape.input[0] as isize).contains(&plane);
            let rows = first.max(along.start)..(first + next - line).min(along.end);
            if !inside || rows.is_empty() {
                line = next;
                continue;
            }
            let column = |row: usize| (line - lines.start + row - first) * width;
            let start = |row: usize| {
                let row = (row * stride[1]) as isize + self.offset[1];
                (plane * height as isize + row) * width_in as isize + self.offset[2]
            };
            if self.blocks {
                // A shifted block may begin before the image or end after it, by pixels at its edge, which are cleared.
                let start = start(rows.start);
                let before = (-start).max(0) as usize;
                let len = rows.len() * width;
                let after = (start + len as isize - shape.pixels_in() as isize).max(0) as usize;
                if before + after < len {
                    visit(Run {
                        column: column(rows.start) + before,
                        pixel: (start + before as isize) as usize,
                        len: len - before - after,
                    });
                }
            } else if !across.is_empty() {
                for row in rows {
                    visit(Run {
                        column: column(row) + across.start,
                        pixel: (start(row) + (across.start * stride[2]) as isize) as usize,
                        len: across.len(),
                    });
                }
            }
            line = next;
        }
    }

    /// Outputs along an axis for which this tap is over the image.
    fn valid(&self, shape: &Shape, axis: usize) -> Range<usize> {
        let (stride, offset) = (shape.options.stride[axis], self.offset[axis]);
        let reached = |position: isize| (position.max(0) as usize).div_ceil(stride);
        let end = reached(shape.input[axis] as isize - offset).min(shape.output[axis]);
        reached(-offset).min(end)..end
    }

    /// Zeros the columns whose pixel a block took from the neighbouring line.
    fn clear_edge<F: Real>(&self, shape: &Shape, row: &mut [F]) {
        let (width, shift) = (shape.output[2], self.offset[2].unsigned_abs());
        if !self.blocks || shift == 0 {
            return;
        }
        let shift = shift.min(width);
        let edge = if self.offset[2] < 0 {
            0..shift
        } else {
            width - shift..width
        };
        for line in row.chunks_exact_mut(width) {
            line[edge.clone()].fill(F::ZERO);
        }
    }
}
