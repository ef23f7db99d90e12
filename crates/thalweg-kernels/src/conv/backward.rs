//! Gradients of a convolution.

use std::ops::Range;

use rayon::prelude::*;

use super::Shape;
use super::columns::{gather, scatter};
use crate::dispatch;
use crate::matrix::{Matrix, MatrixMut, Work, multiply, multiply_into, transpose};
use crate::real::Real;

/// Which gradients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of the input.
    pub input: bool,
    /// Of the weight.
    pub weight: bool,
    /// Of the bias.
    pub bias: bool,
}

/// Gradients, each of the shape of what it is of; empty where not asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients<F> {
    /// Of the input.
    pub input: Vec<F>,
    /// Of the weight.
    pub weight: Vec<F>,
    /// Of the bias.
    pub bias: Vec<F>,
}

/// The gradients that are `wanted`, given that of the output.
///
/// # Panics
/// When the sizes disagree.
pub fn backward<F: Real>(
    shape: &Shape,
    wanted: Wanted,
    input: &[F],
    weight: &[F],
    upstream: &[F],
) -> Gradients<F> {
    shape.check(input, weight);
    assert_eq!(
        upstream.len(),
        shape.batch * shape.image_out(),
        "a gradient for each output of {shape:?}"
    );
    let images = shape.images_per_block();
    let mut of_input = vec![F::ZERO; if wanted.input { input.len() } else { 0 }];
    // Where no gradient of the input is asked for, every block gets an empty part of none.
    let mut parts: Vec<&mut [F]> = of_input.chunks_mut((images * shape.image_in()).max(1)).collect();
    parts.resize_with(shape.batch.div_ceil(images), Default::default);
    let turned = turned_weights(shape, weight);
    let blocks: Vec<Sums<F>> = parts
        .into_par_iter()
        .enumerate()
        .map(|(block, of_input)| {
            let range = block * images..((block + 1) * images).min(shape.batch);
            let mut block = Block::new(shape, wanted, &turned);
            block.run(range, input, upstream, of_input);
            block.sums
        })
        .collect();
    let mut total = Sums::new(shape, wanted);
    for block in &blocks {
        total.add(block);
    }
    Gradients {
        input: of_input,
        weight: turned_back(shape, &total.weight),
        bias: total.bias,
    }
}

/// Each group's `[outputs, taps]` as `[taps, outputs]`.
fn turned_weights<F: Real>(shape: &Shape, weight: &[F]) -> Vec<F> {
    turn(weight, shape.options.groups, shape.taps())
}

fn turned_back<F: Real>(shape: &Shape, weight: &[F]) -> Vec<F> {
    turn(weight, shape.options.groups, shape.channels_out)
}

fn turn<F: Real>(matrices: &[F], groups: usize, columns: usize) -> Vec<F> {
    let mut out = vec![F::ZERO; matrices.len()];
    let size = (matrices.len() / groups).max(1);
    let each = matrices.chunks_exact(size).zip(out.chunks_exact_mut(size));
    each.for_each(|(source, out)| transpose(Work::Shared, source, columns, out, columns));
    out
}

/// Sums over the images of a block.
struct Sums<F> {
    /// `[groups, taps, outputs]`.
    weight: Vec<F>,
    bias: Vec<F>,
}

impl<F: Real> Sums<F> {
    fn new(shape: &Shape, wanted: Wanted) -> Self {
        let channels = shape.channels_out * shape.options.groups;
        Self {
            weight: vec![F::ZERO; if wanted.weight { shape.weights() } else { 0 }],
            bias: vec![F::ZERO; if wanted.bias { channels } else { 0 }],
        }
    }

    fn add(&mut self, other: &Self) {
        let pairs = self.weight.iter_mut().zip(&other.weight);
        pairs
            .chain(self.bias.iter_mut().zip(&other.bias))
            .for_each(|(sum, &more)| *sum += more);
    }
}

/// A task: its sums and its scratch.
struct Block<'a, F> {
    shape: &'a Shape,
    wanted: Wanted,
    /// `[groups, taps, outputs]`.
    weight: &'a [F],
    sums: Sums<F>,
    columns: Vec<F>,
    upstream: Vec<F>,
}

impl<'a, F: Real> Block<'a, F> {
    fn new(shape: &'a Shape, wanted: Wanted, weight: &'a [F]) -> Self {
        let pixels = shape.tile_lines() * shape.output[2];
        Self {
            shape,
            wanted,
            weight,
            sums: Sums::new(shape, wanted),
            columns: vec![F::ZERO; shape.taps() * pixels],
            upstream: vec![F::ZERO; shape.channels_out * pixels],
        }
    }

    fn run(&mut self, images: Range<usize>, input: &[F], upstream: &[F], of_input: &mut [F]) {
        let shape = self.shape;
        let inputs = shape.channels_in * shape.pixels_in();
        let outputs = shape.channels_out * shape.pixels_out();
        let groups = shape.options.groups;
        for (local, index) in (images.start * groups..images.end * groups).enumerate() {
            let input = &input[index * inputs..(index + 1) * inputs];
            let upstream = &upstream[index * outputs..(index + 1) * outputs];
            let of_input = of_input.get_mut(local * inputs..(local + 1) * inputs);
            self.group(index % groups, input, upstream, of_input);
        }
    }

    fn group(&mut self, group: usize, input: &[F], upstream: &[F], mut of_input: Option<&mut [F]>) {
        let shape = self.shape;
        let (taps, outputs, tile) = (shape.taps(), shape.channels_out, shape.tile_lines());
        let weights = group * taps * outputs..(group + 1) * taps * outputs;
        for first in (0..shape.lines()).step_by(tile) {
            let lines = first..(first + tile).min(shape.lines());
            let pixels = lines.len() * shape.output[2];
            let gradient = &upstream[first * shape.output[2]..];
            let columns = &mut self.columns[..taps * pixels];
            if self.wanted.weight {
                gather(shape, input, &lines, columns);
                let turned = &mut self.upstream[..pixels * outputs];
                transpose(shape.work(), gradient, shape.pixels_out(), turned, pixels);
                multiply(
                    shape.work(),
                    &mut self.sums.weight[weights.clone()],
                    F::ONE,
                    F::ONE,
                    Matrix::new(columns, taps, pixels),
                    Matrix::new(turned, pixels, outputs),
                );
            }
            if let Some(of_input) = of_input.as_deref_mut() {
                let into = MatrixMut::strided(columns, taps, pixels, pixels);
                let weight = Matrix::new(&self.weight[weights.clone()], taps, outputs);
                let gradient = Matrix::strided(gradient, outputs, pixels, shape.pixels_out());
                multiply_into(shape.work(), into, F::ZERO, F::ONE, weight, gradient);
                scatter(shape, columns, &lines, of_input);
            }
            if self.wanted.bias {
                let bias = &mut self.sums.bias[group * outputs..(group + 1) * outputs];
                for (sum, row) in bias.iter_mut().zip(gradient.chunks(shape.pixels_out())) {
                    *sum += sum_of(&row[..pixels]);
                }
            }
        }
    }
}

fn sum_of<F: Real>(numbers: &[F]) -> F {
    let mut sum = F::ZERO;
    let out = &mut sum;
    dispatch!([F: Real] sum_lanes, (numbers: &[F], out: &mut F));
    sum
}

#[inline(always)]
fn sum_lanes<F: Real>(numbers: &[F], out: &mut F) {
    let mut lanes = [F::ZERO; 16];
    let (whole, rest) = numbers.as_chunks::<16>();
    for chunk in whole {
        for (lane, &number) in lanes.iter_mut().zip(chunk) {
            *lane += number;
        }
    }
    for (lane, &number) in lanes.iter_mut().zip(rest) {
        *lane += number;
    }
    for lane in lanes {
        *out += lane;
    }
}
