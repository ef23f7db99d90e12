//! Losses of a row of scores `h` and its target class `y` that need no more of the row than its softmax: value and
//! gradient in one pass, generic over the member.
//!
//! A member sees [`Row`], the statistics of one row, and answers with [`Coefficients`]: its loss and the three
//! numbers that make its gradient, `∂ℓ/∂h_k = softmax·p_k + target·1[k = y] + uniform`. A new loss costs its formula.
//! A member may also say how the scores of a row [enter](Entry) its softmax: by a temperature, and with a margin.

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// What a member may know of a row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `log p_y`, accurate also where `p_y` is within rounding of 1.
    pub log_p: f64,
    /// `1 − p_y`, accurate also where it is tiny.
    pub rest: f64,
    /// `mean_k log p_k`; only where [`Member::NEEDS_MEAN`], else 0.
    pub mean_log_p: f64,
    /// Number of classes.
    pub classes: usize,
    /// Its place in the batch.
    pub index: usize,
}

/// How scores enter the softmax of their row: `p = softmax(scale·(h_k + offset·1[k = y]))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Inverse temperature, positive and finite.
    pub scale: f64,
    /// Added to the target's score: minus a margin, for one that the target must be ahead by.
    pub offset: f64,
}

impl Entry {
    /// The scores as they are.
    pub const PLAIN: Self = Self {
        scale: 1.0,
        offset: 0.0,
    };
}

/// A member's loss on one row, and its gradient `softmax·p_k + target·1[k = y] + uniform`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// The loss.
    pub loss: f64,
    /// Factor of the softmax.
    pub softmax: f64,
    /// Added at the target class.
    pub target: f64,
    /// Added at every class.
    pub uniform: f64,
}

impl Coefficients {
    /// Of a loss `φ(log p_y)` with derivative `slope = φ'`: the gradient is `φ'·(1[k = y] − p_k)`.
    pub fn of_log_p(loss: f64, slope: f64) -> Self {
        Self {
            loss,
            softmax: -slope,
            target: slope,
            uniform: 0.0,
        }
    }
}

/// One loss of the family.
pub trait Member: Sync {
    /// Whether the loss reads [`Row::mean_log_p`], which costs a sum over the row.
    const NEEDS_MEAN: bool = false;

    /// How the scores of the row at `index` of the batch enter its softmax.
    #[inline(always)]
    fn entry(&self, _index: usize) -> Entry {
        Entry::PLAIN
    }

    /// The loss and gradient of a row; the gradient is with respect to its scores, before they [enter](Self::entry).
    fn row(&self, row: Row) -> Coefficients;
}

/// Rows below which a second thread costs more than it saves, in scores.
const PARALLEL: usize = 1 << 15;

/// A task: its number, what it writes, its scores and its targets, as iterators zip them.
type Block<'a, W, S> = (usize, ((W, S), &'a [u32]));

/// Losses of every row into `losses`.
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn forward<F: Real, M: Member>(
    member: &M,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    losses: &mut [F],
) {
    check(scores, targets, classes, losses);
    let rows = block_rows(classes);
    let run = |(block, ((losses, scores), targets)): Block<&mut [F], &[F]>| {
        forward_block(member, block * rows, scores, targets, classes, losses);
    };
    let blocks = losses
        .chunks_mut(rows)
        .zip(scores.chunks(rows * classes))
        .zip(targets.chunks(rows));
    if scores.len() < PARALLEL {
        blocks.enumerate().for_each(run);
    } else {
        losses
            .par_chunks_mut(rows)
            .zip(scores.par_chunks(rows * classes))
            .zip(targets.par_chunks(rows))
            .enumerate()
            .for_each(run);
    }
}

/// Losses of every row into `losses`, and `scale` times their gradients into `gradient` (of the size of `scores`).
///
/// # Panics
/// When the sizes disagree or a target is not in `0..classes`.
pub fn forward_backward<F: Real, M: Member>(
    member: &M,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    check(scores, targets, classes, losses);
    assert_eq!(
        gradient.len(),
        scores.len(),
        "gradient has {} elements, scores {}",
        gradient.len(),
        scores.len()
    );
    let rows = block_rows(classes);
    let run = |(block, (((gradient, losses), scores), targets)): Block<(&mut [F], &mut [F]), &[F]>| {
        let first = block * rows;
        gradient_block(member, first, scores, targets, classes, scale, losses, gradient);
    };
    if scores.len() < PARALLEL {
        gradient
            .chunks_mut(rows * classes)
            .zip(losses.chunks_mut(rows))
            .zip(scores.chunks(rows * classes))
            .zip(targets.chunks(rows))
            .enumerate()
            .for_each(run);
    } else {
        gradient
            .par_chunks_mut(rows * classes)
            .zip(losses.par_chunks_mut(rows))
            .zip(scores.par_chunks(rows * classes))
            .zip(targets.par_chunks(rows))
            .enumerate()
            .for_each(run);
    }
}

pub(crate) fn check<F>(scores: &[F], targets: &[u32], classes: usize, losses: &[F]) {
    assert!(classes >= 1, "a row needs at least one class");
    assert_eq!(
        scores.len(),
        targets.len() * classes,
        "{} scores for {} targets of {classes} classes",
        scores.len(),
        targets.len()
    );
    assert_eq!(
        losses.len(),
        targets.len(),
        "room for {} losses, {} targets",
        losses.len(),
        targets.len()
    );
    if let Some(row) = targets.iter().position(|&y| y as usize >= classes) {
        panic!("target {} of row {row} is not in 0..{classes}", targets[row]);
    }
}

/// Rows a task takes: about 64 KiB of scores, so that a block stays in the second-level cache.
fn block_rows(classes: usize) -> usize {
    ((1 << 14) / classes).max(1)
}

fn forward_block<F: Real, M: Member>(
    member: &M,
    first: usize,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    losses: &mut [F],
) {
    #[inline(always)]
    fn body<F: Real, M: Member>(
        member: &M,
        first: usize,
        scores: &[F],
        targets: &[u32],
        classes: usize,
        losses: &mut [F],
    ) {
        let rows = scores.chunks_exact(classes).zip(targets).zip(losses);
        for (index, ((row, &y), loss)) in (first..).zip(rows) {
            let entered = Entered::new(row, y as usize, index, member.entry(index));
            let (before, after) = entered.others();
            let rest = entered.sum_exp(before) + entered.sum_exp(after);
            *loss = F::from_f64(member.row(entered.statistics::<M>(rest)).loss);
        }
    }
    dispatch!([F: Real, M: Member] body, (
        member: &M,
        first: usize,
        scores: &[F],
        targets: &[u32],
        classes: usize,
        losses: &mut [F],
    ));
}

#[expect(
    clippy::too_many_arguments,
    reason = "one block of every array, and what is done to it"
)]
fn gradient_block<F: Real, M: Member>(
    member: &M,
    first: usize,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    #[expect(clippy::too_many_arguments, reason = "as the block's")]
    #[inline(always)]
    fn body<F: Real, M: Member>(
        member: &M,
        first: usize,
        scores: &[F],
        targets: &[u32],
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ) {
        let rows = scores
            .chunks_exact(classes)
            .zip(gradient.chunks_exact_mut(classes))
            .zip(targets)
            .zip(losses);
        for (index, (((row, gradient), &y), loss)) in (first..).zip(rows) {
            let y = y as usize;
            let entered = Entered::new(row, y, index, member.entry(index));
            let (before, after) = entered.others();
            let (before_out, at_and_after_out) = gradient.split_at_mut(y);
            let rest =
                entered.exp_into(before, before_out) + entered.exp_into(after, &mut at_and_after_out[1..]);
            let own = entered.exponent(entered.own).exp_lane();
            gradient[y] = own;
            let statistics = entered.statistics::<M>(rest);
            let coefficients = member.row(statistics);
            *loss = F::from_f64(coefficients.loss);
            // An infinite slope times a vanished probability would be no number.
            let bounded = |value: f64| F::from_f64(value.clamp(-F::MAX.to_f64(), F::MAX.to_f64()));
            let largest_slope = F::MAX.to_f64();
            let softmax_slope = coefficients.softmax.clamp(-largest_slope, largest_slope);
            let target_slope = coefficients.target.clamp(-largest_slope, largest_slope);
            let softmax = bounded(softmax_slope * scale / (rest + own.to_f64()));
            let uniform = bounded(coefficients.uniform * scale);
            for value in gradient.iter_mut() {
                *value = *value * softmax + uniform;
            }
            // p_y − 1 cancels for a confident row: write its gradient from 1 − p_y instead.
            let at_target = softmax_slope + target_slope - softmax_slope * statistics.rest;
            gradient[y] = bounded((at_target + coefficients.uniform) * scale);
        }
    }
    dispatch!([F: Real, M: Member] body, (
        member: &M,
        first: usize,
        scores: &[F],
        targets: &[u32],
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ));
}

/// A row with its target, as it enters its softmax.
struct Entered<'a, F> {
    row: &'a [F],
    y: usize,
    index: usize,
    entry: Entry,
    /// The entry's scale, in the type of the scores.
    scale: F,
    /// The target's score with its offset.
    own: F,
    /// The largest score, the target's with its offset.
    largest: F,
}

impl<'a, F: Real> Entered<'a, F> {
    #[inline(always)]
    fn new(row: &'a [F], y: usize, index: usize, entry: Entry) -> Self {
        let (own, largest) = if entry.offset == 0.0 {
            (row[y], maximum(row))
        } else {
            let own = row[y] + F::from_f64(entry.offset);
            let others = maximum(&row[..y]).larger(maximum(&row[y + 1..]));
            (own, own.larger(others))
        };
        let scale = F::from_f64(entry.scale);
        Self {
            row,
            y,
            index,
            entry,
            scale,
            own,
            largest,
        }
    }

    /// The scores before the target's, and after it.
    #[inline(always)]
    fn others(&self) -> (&'a [F], &'a [F]) {
        (&self.row[..self.y], &self.row[self.y + 1..])
    }

    #[inline(always)]
    fn exponent(&self, score: F) -> F {
        (score - self.largest) * self.scale
    }

    /// The statistics, given `rest = Σ_{k≠y}` of the exponentials.
    #[inline(always)]
    fn statistics<M: Member>(&self, rest: f64) -> Row {
        let Entry { scale, offset } = self.entry;
        let below = (self.own - self.largest).to_f64() * scale;
        // With u = Σ_{k≠y} exp(z_k − z_y): log p_y = −log(1 + u), 1 − p_y = u / (1 + u).
        let own = below.exp();
        let total = own + rest;
        let log_p = if own >= rest {
            -(rest / own).ln_1p()
        } else {
            below - total.ln()
        };
        let mean_log_p = if M::NEEDS_MEAN {
            let mean = (lane_sum(self.row) + offset) / self.row.len() as f64;
            (mean - self.largest.to_f64()) * scale - total.ln()
        } else {
            0.0
        };
        Row {
            log_p,
            rest: rest / total,
            mean_log_p,
            classes: self.row.len(),
            index: self.index,
        }
    }

    #[inline(always)]
    fn sum_exp(&self, part: &[F]) -> f64 {
        let mut lanes = [F::ZERO; LANES];
        let (chunks, tail) = part.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += self.exponent(value).exp_lane();
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(tail) {
            *lane += self.exponent(value).exp_lane();
        }
        wide_sum(&lanes)
    }

    /// As [`Self::sum_exp`], keeping the exponentials.
    #[inline(always)]
    fn exp_into(&self, part: &[F], out: &mut [F]) -> f64 {
        let mut lanes = [F::ZERO; LANES];
        let (chunks, tail) = part.as_chunks::<LANES>();
        let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
        for (chunk, out) in chunks.iter().zip(out_chunks) {
            for ((lane, &value), out) in lanes.iter_mut().zip(chunk).zip(out) {
                let e = self.exponent(value).exp_lane();
                *out = e;
                *lane += e;
            }
        }
        for ((lane, &value), out) in lanes.iter_mut().zip(tail).zip(out_tail) {
            let e = self.exponent(value).exp_lane();
            *out = e;
            *lane += e;
        }
        wide_sum(&lanes)
    }
}

const LANES: usize = 64;

#[inline(always)]
fn maximum<F: Real>(row: &[F]) -> F {
    let mut lanes = [F::NEG_INFINITY; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = value.larger(*lane);
        }
    }
    let largest = if chunks.is_empty() {
        F::NEG_INFINITY
    } else {
        fold(lanes, F::larger)
    };
    tail.iter().fold(largest, |largest, &value| value.larger(largest))
}

#[inline(always)]
fn lane_sum<F: Real>(row: &[F]) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane += value;
    }
    wide_sum(&lanes)
}

#[inline(always)]
fn wide_sum<F: Real>(lanes: &[F; LANES]) -> f64 {
    lanes.iter().map(|lane| lane.to_f64()).sum()
}

#[inline(always)]
fn fold<F: Real>(lanes: [F; LANES], combine: impl Fn(F, F) -> F) -> F {
    let mut folded = lanes[0];
    for &lane in &lanes[1..] {
        folded = combine(lane, folded);
    }
    folded
}

#[cfg(test)]
mod tests;
