//! The loops over a block of scores, for vector instructions.

use super::statistics::Sums;
use crate::real::Real;

const LANES: usize = 32;

/// Rows after which sums down a column move on to f64.
const FLUSH: usize = 32;

/// In the place of a score that does not count: the lowest there is.
pub(super) fn left_out<F: Real>() -> F {
    -F::MAX
}

/// How the softmax of each anchor of a block falls off: `factor·exp((s − top)·scale)` is the slope by another's score s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fall<'a, F> {
    pub tops: &'a [F],
    pub scales: &'a [F],
    pub factors: &'a [F],
}

/// Sums over each row.
#[inline(always)]
pub(super) fn row_sums<F: Real>(scores: &[F], width: usize, scales: &[F], out: &mut [Sums]) {
    for ((row, &scale), out) in scores.chunks_exact(width).zip(scales).zip(out) {
        let (chunks, tail) = row.as_chunks::<LANES>();
        let mut tops = [-F::MAX; LANES];
        for chunk in chunks {
            for (top, &score) in tops.iter_mut().zip(chunk) {
                *top = score.larger(*top);
            }
        }
        let top = tops
            .iter()
            .chain(tail)
            .fold(-F::MAX, |top, &score| score.larger(top));
        let (mut sums, mut moments) = ([F::ZERO; LANES], [F::ZERO; LANES]);
        for chunk in chunks {
            for ((sum, moment), &score) in sums.iter_mut().zip(&mut moments).zip(chunk) {
                add_exponential(score, top, scale, sum, moment);
            }
        }
        for ((sum, moment), &score) in sums.iter_mut().zip(&mut moments).zip(tail) {
            add_exponential(score, top, scale, sum, moment);
        }
        *out = counted(
            Sums {
                top: top.to_f64(),
                sum: sums.iter().map(|sum| sum.to_f64()).sum(),
                moment: moments.iter().map(|moment| moment.to_f64()).sum(),
            },
            top,
        );
    }
}

/// Sums over each column.
#[inline(always)]
pub(super) fn column_sums<F: Real>(scores: &[F], scales: &[F], out: &mut [Sums]) {
    let width = scales.len();
    let mut tops = vec![-F::MAX; width];
    for row in scores.chunks_exact(width) {
        for (top, &score) in tops.iter_mut().zip(row) {
            *top = score.larger(*top);
        }
    }
    for (out, top) in out.iter_mut().zip(&tops) {
        *out = Sums {
            top: top.to_f64(),
            sum: 0.0,
            moment: 0.0,
        };
    }
    let (mut sums, mut moments) = (vec![F::ZERO; width], vec![F::ZERO; width]);
    for rows in scores.chunks(FLUSH * width) {
        sums.fill(F::ZERO);
        moments.fill(F::ZERO);
        for row in rows.chunks_exact(width) {
            let added = sums.iter_mut().zip(&mut moments);
            for ((&score, (&top, &scale)), (sum, moment)) in
                row.iter().zip(tops.iter().zip(scales)).zip(added)
            {
                add_exponential(score, top, scale, sum, moment);
            }
        }
        for (out, (sum, moment)) in out.iter_mut().zip(sums.iter().zip(&moments)) {
            out.sum += sum.to_f64();
            out.moment += moment.to_f64();
        }
    }
    for (out, &top) in out.iter_mut().zip(&tops) {
        *out = counted(*out, top);
    }
}

#[inline(always)]
fn add_exponential<F: Real>(score: F, top: F, scale: F, sum: &mut F, moment: &mut F) {
    // Never below the lowest number, since an infinity times nothing would be no number.
    let gap = (-F::MAX).larger(score - top);
    let exponential = (gap * scale).exp_lane();
    *sum += exponential;
    *moment += exponential * gap;
}

/// No sums where nothing counted; what is no number stays none.
#[inline(always)]
fn counted<F: Real>(sums: Sums, top: F) -> Sums {
    if top == -F::MAX && !sums.sum.is_nan() {
        Sums::NONE
    } else {
        sums
    }
}

/// From scores to slopes, of the rows' softmaxes alone.
#[inline(always)]
pub(super) fn row_slopes<F: Real>(scores: &mut [F], width: usize, rows: Fall<F>) {
    let each = rows.tops.iter().zip(rows.scales).zip(rows.factors);
    for (row, ((&top, &scale), &factor)) in scores.chunks_exact_mut(width).zip(each) {
        for score in row {
            *score = ((*score - top) * scale).exp_lane() * factor;
        }
    }
}

/// From scores to slopes, of the rows' softmaxes and the columns' together.
#[inline(always)]
pub(super) fn both_slopes<F: Real>(scores: &mut [F], rows: Fall<F>, columns: Fall<F>) {
    let width = columns.tops.len();
    let each = rows.tops.iter().zip(rows.scales).zip(rows.factors);
    for (row, ((&top, &scale), &factor)) in scores.chunks_exact_mut(width).zip(each) {
        let columns = columns.tops.iter().zip(columns.scales).zip(columns.factors);
        for (score, ((&column_top, &column_scale), &column_factor)) in row.iter_mut().zip(columns) {
            let by_row = ((*score - top) * scale).exp_lane() * factor;
            *score = by_row + ((*score - column_top) * column_scale).exp_lane() * column_factor;
        }
    }
}
