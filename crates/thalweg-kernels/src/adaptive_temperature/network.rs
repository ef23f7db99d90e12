//! `logit_ij = Σ_k w_k max(0, l_ki + r_kj) + shift` over the hidden units k of all pairs of rows i and columns j.
//!
//! Forward, threads share rows and lanes are columns. Backward, a hidden unit has nothing to do with another: threads share
//! units, and no sum depends on how many threads there are. Nothing larger than the pairs of a block of rows is ever held.

use std::ops::Range;

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// Rows whose sums are kept in registers together.
const GROUP: usize = 4;
/// Columns of a pass of the forward loop.
const PANEL: usize = 32;
/// Columns of a step of the backward loop.
const LANES: usize = 16;
/// Hidden units that a thread takes at least.
const UNITS: usize = 8;

/// A network of pairs, its first layer done: `units × rows` and `units × columns`, row-major, with any bias of that layer in
/// either.
#[derive(Clone, Copy, Debug)]
pub struct PairNetwork<'a, F> {
    /// `l`, `[units, rows]`.
    pub left: &'a [F],
    /// `r`, `[units, columns]`.
    pub right: &'a [F],
    /// `w`, one a hidden unit.
    pub output: &'a [F],
    /// Added to every logit.
    pub shift: F,
}

/// Sums of gradients, each in the shape of what it belongs to in [`PairNetwork`].
#[derive(Clone, Debug)]
pub struct NetworkGradients<F> {
    /// By `l`.
    pub left: Vec<F>,
    /// By `r`.
    pub right: Vec<F>,
    /// By `w`.
    pub output: Vec<F>,
    /// By the shift.
    pub shift: f64,
}

impl<F: Real> NetworkGradients<F> {
    /// Zeros.
    pub fn zeros(network: &PairNetwork<F>) -> Self {
        Self {
            left: vec![F::ZERO; network.left.len()],
            right: vec![F::ZERO; network.right.len()],
            output: vec![F::ZERO; network.output.len()],
            shift: 0.0,
        }
    }
}

impl<F: Real> PairNetwork<'_, F> {
    /// Number of rows.
    ///
    /// # Panics
    /// When there is no hidden unit, or the sizes are no multiples of their number.
    pub fn rows(&self) -> usize {
        self.vectors(self.left)
    }

    /// Number of columns.
    ///
    /// # Panics
    /// As [`rows`](Self::rows).
    pub fn columns(&self) -> usize {
        self.vectors(self.right)
    }

    fn vectors(&self, side: &[F]) -> usize {
        let units = self.output.len();
        assert!(
            units > 0 && side.len().is_multiple_of(units),
            "{} numbers are no vectors of {units} hidden units",
            side.len()
        );
        side.len() / units
    }

    /// The logits of some rows with all columns, `[rows, columns]`.
    ///
    /// # Panics
    /// When the sizes disagree or there is no such row.
    pub fn logits(&self, rows: Range<usize>, out: &mut [F]) {
        let columns = self.columns();
        self.check(&rows, out.len(), columns);
        if columns == 0 {
            return;
        }
        let groups = out.par_chunks_mut(GROUP * columns).enumerate();
        groups.for_each(|(group, out)| {
            let (network, first) = (*self, rows.start + group * GROUP);
            dispatch!([F: Real] logits_of, (network: PairNetwork<F>, first: usize, out: &mut [F]));
        });
    }

    /// Adds to `gradients` what the slopes of the loss by the logits of some rows, `[rows, columns]`, come to.
    ///
    /// # Panics
    /// When the sizes disagree or there is no such row.
    pub fn add_gradients(&self, rows: Range<usize>, slopes: &[F], gradients: &mut NetworkGradients<F>) {
        let (all, columns) = (self.rows(), self.columns());
        self.check(&rows, slopes.len(), columns);
        if rows.is_empty() || columns == 0 {
            return;
        }
        gradients.shift += slopes.iter().map(|slope| slope.to_f64()).sum::<f64>();
        let lefts = gradients.left.par_chunks_mut(all);
        let rights = gradients.right.par_chunks_mut(columns);
        let units = lefts.zip(rights).zip(&mut gradients.output).enumerate();
        units
            .with_min_len(UNITS)
            .for_each(|(unit, ((by_left, by_right), by_output))| {
                let hidden = Unit {
                    left: &self.left[unit * all..][rows.clone()],
                    right: &self.right[unit * columns..][..columns],
                    output: self.output[unit],
                };
                let by_left = &mut by_left[rows.clone()];
                dispatch!([F: Real] unit_gradients, (
                    hidden: Unit<F>,
                    slopes: &[F],
                    by_left: &mut [F],
                    by_right: &mut [F],
                    by_output: &mut F,
                ));
            });
    }

    /// The logits of each row with the column of the same number.
    ///
    /// # Panics
    /// When there are not as many of both, or of `out`.
    pub fn paired_logits(&self, out: &mut [F]) {
        let count = self.check_pairs(out.len());
        out.fill(self.shift);
        for (unit, &weight) in self.output.iter().enumerate() {
            let pairs = self.left[unit * count..][..count]
                .iter()
                .zip(&self.right[unit * count..]);
            for (out, (&left, &right)) in out.iter_mut().zip(pairs) {
                *out += weight * positive_part(left + right);
            }
        }
    }

    /// Adds to `gradients` what the slopes of the loss by [`paired_logits`](Self::paired_logits) come to.
    ///
    /// # Panics
    /// When there are not as many of both, or of the slopes.
    pub fn add_paired_gradients(&self, slopes: &[F], gradients: &mut NetworkGradients<F>) {
        let count = self.check_pairs(slopes.len());
        gradients.shift += slopes.iter().map(|slope| slope.to_f64()).sum::<f64>();
        for (unit, &weight) in self.output.iter().enumerate() {
            let all = unit * count..(unit + 1) * count;
            let pairs = self.left[all.clone()].iter().zip(&self.right[all.clone()]);
            let by_left = &mut gradients.left[all.clone()];
            let out = by_left.iter_mut().zip(&mut gradients.right[all]);
            let mut by_output = 0.0;
            for ((&slope, (&left, &right)), (by_left, by_right)) in slopes.iter().zip(pairs).zip(out) {
                let sum = left + right;
                let through = passed(sum, slope);
                *by_left += weight * through;
                *by_right += weight * through;
                by_output += (through * sum).to_f64();
            }
            gradients.output[unit] += F::from_f64(by_output);
        }
    }

    fn check(&self, rows: &Range<usize>, pairs: usize, columns: usize) {
        let all = self.rows();
        assert!(
            rows.start <= rows.end && rows.end <= all,
            "rows {rows:?} of {all} are asked for"
        );
        assert_eq!(
            pairs,
            rows.len() * columns,
            "{} rows and {columns} columns have as many pairs",
            rows.len()
        );
    }

    fn check_pairs(&self, pairs: usize) -> usize {
        let (rows, columns) = (self.rows(), self.columns());
        assert_eq!(
            rows, columns,
            "each of {rows} rows is paired with one of {columns} columns"
        );
        assert_eq!(pairs, rows, "{rows} pairs");
        rows
    }
}

/// What is no number stays none.
#[inline(always)]
fn positive_part<F: Real>(sum: F) -> F {
    if sum < F::ZERO { F::ZERO } else { sum }
}

/// The slope where the ReLU lets it pass.
#[inline(always)]
fn passed<F: Real>(sum: F, slope: F) -> F {
    if sum > F::ZERO { slope } else { F::ZERO }
}

#[inline(always)]
fn logits_of<F: Real>(network: PairNetwork<F>, first: usize, out: &mut [F]) {
    let (all, columns) = (network.rows(), network.columns());
    let rows = out.len() / columns;
    // Of a last group that is smaller, its last row several times.
    let places: [usize; GROUP] = std::array::from_fn(|row| first + row.min(rows - 1));
    for start in (0..columns).step_by(PANEL) {
        let width = PANEL.min(columns - start);
        let mut sums = [[network.shift; PANEL]; GROUP];
        for (unit, &weight) in network.output.iter().enumerate() {
            let right = &network.right[unit * columns + start..][..width];
            let left = &network.left[unit * all..][..all];
            let left = places.map(|row| left[row]);
            match <&[F; PANEL]>::try_from(right) {
                Ok(right) => add_unit(&mut sums, left, right, weight),
                Err(_) => {
                    let mut padded = [F::ZERO; PANEL];
                    padded[..width].copy_from_slice(right);
                    add_unit(&mut sums, left, &padded, weight);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate().take(rows) {
            out[row * columns + start..][..width].copy_from_slice(&sums[..width]);
        }
    }
}

#[inline(always)]
fn add_unit<F: Real>(sums: &mut [[F; PANEL]; GROUP], left: [F; GROUP], right: &[F; PANEL], weight: F) {
    for (sums, left) in sums.iter_mut().zip(left) {
        for (sum, &right) in sums.iter_mut().zip(right) {
            *sum += weight * positive_part(left + right);
        }
    }
}

/// One hidden unit.
#[derive(Clone, Copy)]
struct Unit<'a, F> {
    left: &'a [F],
    right: &'a [F],
    output: F,
}

/// Sums of one row in lanes, without the unit's weight.
#[derive(Clone, Copy)]
struct RowSums<F> {
    slopes: [F; LANES],
    outputs: [F; LANES],
}

#[inline(always)]
fn unit_gradients<F: Real>(
    unit: Unit<F>,
    slopes: &[F],
    by_left: &mut [F],
    by_right: &mut [F],
    by_output: &mut F,
) {
    let columns = unit.right.len();
    let (right, rest) = unit.right.as_chunks::<LANES>();
    let (out, out_rest) = by_right.as_chunks_mut::<LANES>();
    let padded = padded(rest);
    let mut of_rest = [F::ZERO; LANES];
    let mut of_output = 0.0;
    let empty = RowSums {
        slopes: [F::ZERO; LANES],
        outputs: [F::ZERO; LANES],
    };
    let lefts = unit.left.chunks(2).zip(by_left.chunks_mut(2));
    for (pair, (left, by_left)) in lefts.enumerate() {
        // Of a last row that is alone, itself twice, the second time without a slope.
        let slopes = &slopes[2 * pair * columns..];
        let first = slopes[..columns].as_chunks::<LANES>();
        let mut sums = [empty; 2];
        if let [a, b] = *left {
            let second = slopes[columns..2 * columns].as_chunks::<LANES>();
            for (((right, out), first), second) in right.iter().zip(&mut *out).zip(first.0).zip(second.0) {
                add_slopes(unit.output, [a, b], right, [first, second], &mut sums, out);
            }
            if !rest.is_empty() {
                let slopes = [&self::padded(first.1), &self::padded(second.1)];
                add_slopes(unit.output, [a, b], &padded, slopes, &mut sums, &mut of_rest);
            }
        } else {
            let [a] = *left else { unreachable!("chunks of two") };
            let none = &[F::ZERO; LANES];
            for ((right, out), first) in right.iter().zip(&mut *out).zip(first.0) {
                add_slopes(unit.output, [a, a], right, [first, none], &mut sums, out);
            }
            if !rest.is_empty() {
                let slopes = [&self::padded(first.1), none];
                add_slopes(unit.output, [a, a], &padded, slopes, &mut sums, &mut of_rest);
            }
        }
        for (by_left, sums) in by_left.iter_mut().zip(&sums) {
            *by_left += unit.output * F::from_f64(total(&sums.slopes));
        }
        of_output += total(&sums[0].outputs) + total(&sums[1].outputs);
    }
    for (out, more) in out_rest.iter_mut().zip(of_rest) {
        *out += more;
    }
    *by_output += F::from_f64(of_output);
}

#[inline(always)]
fn add_slopes<F: Real>(
    weight: F,
    left: [F; 2],
    right: &[F; LANES],
    slopes: [&[F; LANES]; 2],
    sums: &mut [RowSums<F>; 2],
    out: &mut [F; LANES],
) {
    let [first, second] = sums;
    for lane in 0..LANES {
        let above = [left[0] + right[lane], left[1] + right[lane]];
        let through = [
            passed(above[0], slopes[0][lane]),
            passed(above[1], slopes[1][lane]),
        ];
        first.slopes[lane] += through[0];
        second.slopes[lane] += through[1];
        first.outputs[lane] += through[0] * above[0];
        second.outputs[lane] += through[1] * above[1];
        out[lane] += weight * (through[0] + through[1]);
    }
}

#[inline(always)]
fn padded<F: Real>(rest: &[F]) -> [F; LANES] {
    let mut padded = [F::ZERO; LANES];
    padded[..rest.len()].copy_from_slice(rest);
    padded
}

#[inline(always)]
fn total<F: Real>(lanes: &[F; LANES]) -> f64 {
    lanes.iter().map(|lane| lane.to_f64()).sum()
}
