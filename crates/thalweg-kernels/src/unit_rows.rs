//! Rows of a matrix `x` `[N, d]` brought to length 1, `u_i = x_i / max(‖x_i‖, least)`, and the gradient through that:
//! `∂L/∂x_i = (g_i − u_i⟨u_i, g_i⟩)/‖x_i‖` with `g_i = ∂L/∂u_i`; `g_i/least` for the shorter ones. Sums are f64.

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// Elements that one task takes, unless a row is longer.
const BLOCK: usize = 1 << 15;

/// Brings each row to length 1, and returns what it was divided by.
///
/// # Panics
/// When `rows` is no whole number of rows.
pub fn normalize<F: Real>(rows: &mut [F], width: usize, least: f64) -> Vec<f64> {
    let mut lengths = vec![0.0; check(rows.len(), width)];
    let each = (BLOCK / width).max(1);
    let tasks = rows
        .par_chunks_mut(each * width)
        .zip(lengths.par_chunks_mut(each));
    tasks.for_each(|(rows, lengths)| {
        dispatch!([F: Real] normalize_block, (rows: &mut [F], width: usize, least: f64, lengths: &mut [f64]));
    });
    lengths
}

/// Turns the gradient by the unit rows into that by the rows, from those units and the lengths that [`normalize`] gave.
///
/// # Panics
/// When the sizes disagree.
pub fn project<F: Real>(units: &[F], width: usize, least: f64, lengths: &[f64], gradient: &mut [F]) {
    let count = check(units.len(), width);
    assert_eq!(lengths.len(), count, "a length for each of {count} rows");
    assert_eq!(gradient.len(), units.len(), "a gradient has the size of its rows");
    let each = (BLOCK / width).max(1);
    let tasks = gradient
        .par_chunks_mut(each * width)
        .zip(units.par_chunks(each * width));
    tasks
        .zip(lengths.par_chunks(each))
        .for_each(|((gradient, units), lengths)| {
            dispatch!([F: Real] project_block, (
                gradient: &mut [F],
                units: &[F],
                width: usize,
                least: f64,
                lengths: &[f64],
            ));
        });
}

fn check(elements: usize, width: usize) -> usize {
    assert!(
        width > 0 && elements.is_multiple_of(width),
        "{elements} numbers are no rows of width {width}"
    );
    elements / width
}

#[inline(always)]
fn normalize_block<F: Real>(rows: &mut [F], width: usize, least: f64, lengths: &mut [f64]) {
    for (row, length) in rows.chunks_exact_mut(width).zip(lengths) {
        let norm = dot(row, row).sqrt();
        // What is no number stays none.
        *length = if norm < least { least } else { norm };
        let inverse = 1.0 / *length;
        for value in row {
            *value = F::from_f64(value.to_f64() * inverse);
        }
    }
}

#[inline(always)]
fn project_block<F: Real>(gradient: &mut [F], units: &[F], width: usize, least: f64, lengths: &[f64]) {
    let rows = gradient.chunks_exact_mut(width).zip(units.chunks_exact(width));
    for ((gradient, unit), &length) in rows.zip(lengths) {
        let along = if length > least { dot(gradient, unit) } else { 0.0 };
        let inverse = 1.0 / length;
        for (slope, unit) in gradient.iter_mut().zip(unit) {
            *slope = F::from_f64((slope.to_f64() - unit.to_f64() * along) * inverse);
        }
    }
}

#[inline(always)]
fn dot<F: Real>(a: &[F], b: &[F]) -> f64 {
    const LANES: usize = 32;
    let mut lanes = [0.0_f64; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a.to_f64() * b.to_f64();
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += a.to_f64() * b.to_f64();
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn drawn(count: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, "unit rows", 0);
        (0..count).map(|_| 2.0 * stream.uniform() - 1.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_have_length_one_and_the_gradient_is_the_slope(rows in 1_usize..5, width in 1_usize..70, seed in 0_u64..1000) {
            let (x, weights) = (drawn(rows * width, seed), drawn(rows * width, seed + 1000));
            let value = |x: &[f64]| {
                let mut units = x.to_vec();
                normalize(&mut units, width, 1e-12);
                units.iter().zip(&weights).map(|(u, w)| u * w).sum::<f64>()
            };
            let mut units = x.clone();
            let lengths = normalize(&mut units, width, 1e-12);
            prop_assume!(lengths.iter().all(|length| *length > 0.05));
            for row in units.chunks(width) {
                prop_assert!((row.iter().map(|u| u * u).sum::<f64>() - 1.0).abs() < 1e-14);
            }
            let mut gradient = weights.clone();
            project(&units, width, 1e-12, &lengths, &mut gradient);
            let mut moved = x.clone();
            for at in 0..x.len().min(20) {
                moved[at] = x[at] + 1e-6;
                let above = value(&moved);
                moved[at] = x[at] - 1e-6;
                prop_assert!(((above - value(&moved)) / 2e-6 - gradient[at]).abs() < 1e-6);
                moved[at] = x[at];
            }
        }
    }

    #[test]
    fn short_rows_are_divided_by_the_least_length() {
        let mut rows = [0.0_f32, 0.0, 3e-9, 0.0];
        let lengths = normalize(&mut rows, 2, 1e-8);
        assert_eq!(lengths, [1e-8; 2]);
        assert_eq!(rows, [0.0, 0.0, 0.3, 0.0]);
        let mut gradient = [1.0_f32; 4];
        project(&rows, 2, 1e-8, &lengths, &mut gradient);
        assert_eq!(gradient, [1e8; 4]);
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        let mut rows = [1.0_f32, f32::NAN, 2.0, 0.0];
        assert!(normalize(&mut rows, 2, 1e-8)[0].is_nan());
        assert!(rows[0].is_nan() && rows[2] == 1.0);
    }
}
