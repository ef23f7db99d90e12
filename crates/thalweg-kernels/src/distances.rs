//! Squared distances of all rows of one set `x` `[n, width]`, `‖x_i − x_j‖²`, and what is pulled along their differences,
//! `Σ_j w_ij (x_i − x_j)`, which is how every function of distances has its gradient.
//!
//! Both go by differences of elements, not by `‖x_i‖² + ‖x_j‖² − 2⟨x_i, x_j⟩`: equal rows are at 0 exactly, near ones keep
//! their digits, and the matrix is symmetric to the last bit.

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// Elements read below which a second thread costs more than it saves.
const PARALLEL: usize = 1 << 16;

/// Lanes of an accumulator.
const LANES: usize = 32;

/// The squared distance of each row to each, into `out` `[n, n]`.
///
/// # Panics
/// When `rows` is no whole number of rows, or `out` of another size.
pub fn squared_distances<F: Real>(rows: &[F], width: usize, out: &mut [F]) {
    let count = check(rows.len(), width);
    assert_eq!(
        out.len(),
        count * count,
        "a distance for each pair of {count} rows"
    );
    if rows.is_empty() {
        return;
    }
    let distances = |(row, out): (&[F], &mut [F])| {
        dispatch!([F: Real] distances_of, (row: &[F], rows: &[F], width: usize, out: &mut [F]));
    };
    if count * rows.len() < PARALLEL {
        let each = rows.chunks_exact(width).zip(out.chunks_exact_mut(count));
        each.for_each(distances);
    } else {
        let each = rows.par_chunks_exact(width).zip(out.par_chunks_exact_mut(count));
        each.for_each(distances);
    }
}

/// `out_i = Σ_j w_ij (x_i − x_j)` `[n, width]`, with weights w `[n, n]`. Those of 0 cost nothing.
///
/// # Panics
/// When `rows` is no whole number of rows, or `weights` or `out` of another size.
pub fn weighted_differences<F: Real>(rows: &[F], width: usize, weights: &[F], out: &mut [F]) {
    let count = check(rows.len(), width);
    assert_eq!(
        weights.len(),
        count * count,
        "a weight for each pair of {count} rows"
    );
    assert_eq!(out.len(), rows.len(), "a sum for each row");
    let sums = |(index, (row, out)): (usize, (&[F], &mut [F]))| {
        let weights = &weights[index * count..][..count];
        dispatch!([F: Real] sum_of_differences, (
            row: &[F],
            rows: &[F],
            width: usize,
            weights: &[F],
            out: &mut [F],
        ));
    };
    if count * rows.len() < PARALLEL {
        let each = rows.chunks_exact(width).zip(out.chunks_exact_mut(width));
        each.enumerate().for_each(sums);
    } else {
        let each = rows.par_chunks_exact(width).zip(out.par_chunks_exact_mut(width));
        each.enumerate().for_each(sums);
    }
}

fn check(elements: usize, width: usize) -> usize {
    assert!(
        width > 0 && elements.is_multiple_of(width),
        "{elements} numbers are no rows of width {width}"
    );
    elements / width
}

#[inline(always)]
fn distances_of<F: Real>(row: &[F], rows: &[F], width: usize, out: &mut [F]) {
    for (other, out) in rows.chunks_exact(width).zip(out) {
        *out = squared_distance(row, other);
    }
}

#[inline(always)]
fn squared_distance<F: Real>(a: &[F], b: &[F]) -> F {
    let mut lanes = [F::ZERO; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += (a - b) * (a - b);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += (a - b) * (a - b);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for at in 0..half {
            let upper = lanes[half + at];
            lanes[at] += upper;
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sum_of_differences<F: Real>(row: &[F], rows: &[F], width: usize, weights: &[F], out: &mut [F]) {
    out.fill(F::ZERO);
    for (other, &weight) in rows.chunks_exact(width).zip(weights) {
        if weight == F::ZERO {
            continue;
        }
        for ((sum, &a), &b) in out.iter_mut().zip(row).zip(other) {
            *sum += weight * (a - b);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; count];
        Stream::new(seed, "distances", 0).fill_normal(&mut values);
        values.into_iter().map(f64::from).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_are_their_definitions(count in 0_usize..40, width in 1_usize..80, seed in 0_u64..1000) {
            let rows = numbers(count * width, seed);
            let weights = numbers(count * count, seed + 1000);
            let (mut squares, mut sums) = (vec![f64::NAN; count * count], vec![f64::NAN; rows.len()]);
            squared_distances(&rows, width, &mut squares);
            weighted_differences(&rows, width, &weights, &mut sums);
            for i in 0..count {
                let mut expected = vec![0.0; width];
                for j in 0..count {
                    let gaps = (0..width).map(|k| rows[i * width + k] - rows[j * width + k]);
                    let square: f64 = gaps.clone().map(|gap| gap * gap).sum();
                    prop_assert!((squares[i * count + j] - square).abs() <= 1e-12 * (1.0 + square));
                    prop_assert_eq!(squares[i * count + j], squares[j * count + i]);
                    for (sum, gap) in expected.iter_mut().zip(gaps) {
                        *sum += weights[i * count + j] * gap;
                    }
                }
                for (found, expected) in sums[i * width..].iter().zip(expected) {
                    prop_assert!((found - expected).abs() < 1e-10);
                }
            }
        }
    }

    #[test]
    fn equal_rows_are_at_zero_however_long() {
        let rows: Vec<f32> = [1e4_f32 / 3.0, -7.1, 1e-3].repeat(3);
        let mut squares = vec![f32::NAN; 9];
        squared_distances(&rows, 3, &mut squares);
        assert_eq!(squares, [0.0; 9]);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let rows: Vec<f32> = numbers(200 * 40, 1).into_iter().map(|x| x as f32).collect();
        let weights: Vec<f32> = numbers(200 * 200, 2).into_iter().map(|x| x as f32).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let (mut squares, mut sums) = (vec![0.0; 200 * 200], vec![0.0; rows.len()]);
            pool.unwrap().install(|| {
                squared_distances(&rows, 40, &mut squares);
                weighted_differences(&rows, 40, &weights, &mut sums);
            });
            (squares, sums)
        };
        assert!(run(1) == run(3));
    }
}
