//! Euclidean norms of the rows of a matrix `x` `[N, d]`: `n_i = √(Σ_j x_ij²)`, and their gradient
//! `∂L/∂x_ij = ∂L/∂n_i · x_ij/n_i`.
//!
//! A row of zeros has the gradient 0, the subgradient of least norm, as in PyTorch. Sums are f64; rows whose squares leave
//! the range of f64 are scaled first, so that a norm overflows only where the number itself does.

use crate::dispatch;
use crate::real::Real;

/// Elements that one task takes, unless a row is longer.
const BLOCK: usize = 1 << 15;

/// The norm of each row of `values`, rows being `width` long, into `norms`.
///
/// # Panics
/// When the sizes disagree.
pub fn forward<F: Real>(values: &[F], width: usize, norms: &mut [F]) {
    check("values", values.len(), norms.len(), width);
    halve_forward(values, width, norms);
}

/// The gradient by `values` into `gradient`, from the `norms` that [`forward`] gave and the gradient `upstream` by them.
///
/// # Panics
/// When the sizes disagree.
pub fn backward<F: Real>(values: &[F], width: usize, norms: &[F], upstream: &[F], gradient: &mut [F]) {
    check("values", values.len(), norms.len(), width);
    check("gradient", gradient.len(), norms.len(), width);
    assert_eq!(
        upstream.len(),
        norms.len(),
        "upstream has {} elements, norms {}",
        upstream.len(),
        norms.len()
    );
    halve_backward(values, width, norms, upstream, gradient);
}

fn check(name: &str, length: usize, rows: usize, width: usize) {
    assert_eq!(
        length,
        rows * width,
        "{name} has {length} elements for {rows} rows of {width}"
    );
}

fn halve_forward<F: Real>(values: &[F], width: usize, norms: &mut [F]) {
    if norms.len() < 2 || values.len() <= BLOCK {
        return dispatch!([F: Real] norm_block, (values: &[F], width: usize, norms: &mut [F]));
    }
    let (first, second) = norms.split_at_mut(norms.len() / 2);
    let (upper, lower) = values.split_at(first.len() * width);
    rayon::join(
        || halve_forward(upper, width, first),
        || halve_forward(lower, width, second),
    );
}

fn halve_backward<F: Real>(values: &[F], width: usize, norms: &[F], upstream: &[F], gradient: &mut [F]) {
    if norms.len() < 2 || values.len() <= BLOCK {
        return dispatch!([F: Real] gradient_block, (
            values: &[F],
            width: usize,
            norms: &[F],
            upstream: &[F],
            gradient: &mut [F],
        ));
    }
    let rows = norms.len() / 2;
    let (values, more_values) = values.split_at(rows * width);
    let (norms, more_norms) = norms.split_at(rows);
    let (upstream, more_upstream) = upstream.split_at(rows);
    let (gradient, more_gradient) = gradient.split_at_mut(rows * width);
    rayon::join(
        || halve_backward(values, width, norms, upstream, gradient),
        || halve_backward(more_values, width, more_norms, more_upstream, more_gradient),
    );
}

#[inline(always)]
fn norm_block<F: Real>(values: &[F], width: usize, norms: &mut [F]) {
    for (row, norm) in norms.iter_mut().enumerate() {
        *norm = F::from_f64(norm_of(&values[row * width..(row + 1) * width]));
    }
}

#[inline(always)]
fn norm_of<F: Real>(row: &[F]) -> f64 {
    // Below it the squares may have lost digits, which those of f32 never do.
    const SMALLEST: f64 = 1e-280;
    let squares = scaled_squares(row, 1.0);
    if squares.is_nan() || (SMALLEST..f64::INFINITY).contains(&squares) {
        return squares.sqrt();
    }
    let largest = row
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(value.to_f64().abs()));
    if largest == 0.0 || largest == f64::INFINITY {
        return largest;
    }
    scaled_squares(row, largest).sqrt() * largest
}

/// `Σ_j (x_j/scale)²`.
#[inline(always)]
fn scaled_squares<F: Real>(row: &[F], scale: f64) -> f64 {
    const LANES: usize = 32;
    let mut lanes = [0.0_f64; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            let value = value.to_f64() / scale;
            *lane += value * value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        let value = value.to_f64() / scale;
        *lane += value * value;
    }
    lanes.iter().sum()
}

#[inline(always)]
fn gradient_block<F: Real>(values: &[F], width: usize, norms: &[F], upstream: &[F], gradient: &mut [F]) {
    for (row, (norm, upstream)) in norms.iter().zip(upstream).enumerate() {
        let own = row * width..(row + 1) * width;
        let (norm, upstream) = (norm.to_f64(), upstream.to_f64());
        // Zeros stay zeros then, and what is no number upstream stays none.
        let norm = if norm == 0.0 { 1.0 } else { norm };
        for (out, value) in gradient[own.clone()].iter_mut().zip(&values[own]) {
            *out = F::from_f64(value.to_f64() / norm * upstream);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn norms<F: Real>(values: &[F], width: usize) -> Vec<F> {
        let mut norms = vec![F::ONE; values.len() / width];
        forward(values, width, &mut norms);
        norms
    }

    fn gradient<F: Real>(values: &[F], width: usize, upstream: &[F]) -> Vec<F> {
        let mut gradient = vec![F::ONE; values.len()];
        backward(values, width, &norms(values, width), upstream, &mut gradient);
        gradient
    }

    fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Stream::new(seed, "row norms", 0).fill_normal(&mut values);
        values
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn value_and_gradient_match_plain_arithmetic(
            rows in 1_usize..6,
            width in 1_usize..150,
            scale in prop::sample::select(vec![1e-18_f32, 1.0, 1e4, 1e18]),
            seed in 0_u64..1000,
        ) {
            let values: Vec<f32> = random(rows * width, seed).iter().map(|x| x * scale).collect();
            let upstream = random(rows, seed + 1000);
            let (found, slopes) = (norms(&values, width), gradient(&values, width, &upstream));
            for (row, (own, slopes)) in values.chunks(width).zip(slopes.chunks(width)).enumerate() {
                let exact = own.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                prop_assert!((f64::from(found[row]) - exact).abs() <= 1e-7 * exact);
                for (&x, &slope) in own.iter().zip(slopes) {
                    let expected = f64::from(x) / exact * f64::from(upstream[row]);
                    prop_assert!((f64::from(slope) - expected).abs() <= 3e-7 * expected.abs() + 1e-44);
                }
            }
        }

        #[test]
        fn the_gradient_is_the_slope(width in 1_usize..40, seed in 0_u64..1000) {
            let mut values: Vec<f64> = random(width, seed).into_iter().map(f64::from).collect();
            let slopes = gradient(&values, width, &[1.5]);
            for at in 0..width {
                let centre = values[at];
                let mut beside = |offset| {
                    values[at] = centre + offset;
                    1.5 * norms(&values, width)[0]
                };
                let (above, below) = (beside(1e-6), beside(-1e-6));
                values[at] = centre;
                // Where the row is short enough to be all but 0 the norm bends within the difference.
                prop_assume!(norms(&values, width)[0] > 1e-2);
                prop_assert!(((above - below) / 2e-6 - slopes[at]).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn norms_that_are_numbers_neither_overflow_nor_vanish() {
        for (scale, norm) in [5e200, 5e-200]
            .into_iter()
            .zip(norms(&[3e200, -4e200, 3e-200, 4e-200], 2))
        {
            assert!((norm / scale - 1.0).abs() < 1e-15, "{norm} for {scale}");
        }
        assert_eq!(norms(&[3e37_f32, 4e37, 3e-40, 4e-40], 2), [5e37, 5e-40]);
        assert_eq!(norms(&[f64::MAX, f64::NEG_INFINITY], 2), [f64::INFINITY]);
        let slopes = gradient(&[3e-310, -4e-310], 2, &[1.0]);
        assert!((slopes[0] - 0.6).abs() < 1e-12 && (slopes[1] + 0.8).abs() < 1e-12);
    }

    #[test]
    fn zeros_have_no_slope_and_no_numbers_are_not_hidden() {
        assert_eq!(gradient(&[0.0_f32; 3], 3, &[2.0]), [0.0; 3]);
        assert!(
            gradient(&[0.0; 3], 3, &[f64::NAN])
                .iter()
                .all(|slope| slope.is_nan())
        );
        assert!(norms(&[1.0, f32::NAN, f32::INFINITY], 3)[0].is_nan());
        let slopes = gradient(&[1.0, f64::NAN, 2.0, 3.0], 2, &[1.0, 1.0]);
        assert!(slopes[..2].iter().all(|slope| slope.is_nan()) && slopes[2..].iter().all(|s| s.is_finite()));
    }

    #[test]
    fn rows_may_be_empty() {
        assert_eq!(norms(&[0.0_f32; 0], 1), [0.0; 0]);
        let mut of_nothing = [1.0_f32; 2];
        forward(&[], 0, &mut of_nothing);
        assert_eq!(of_nothing, [0.0; 2]);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let values = random(1000 * 301, 7);
        let upstream = random(1000, 8);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| (norms(&values, 301), gradient(&values, 301, &upstream)))
        };
        let alone = on(1);
        for threads in [2, 3, 5] {
            assert!(on(threads) == alone, "{threads} threads");
        }
    }

    #[test]
    #[should_panic(expected = "values has 7 elements for 2 rows of 3")]
    fn sizes_that_disagree_are_told() {
        forward(&[0.0_f32; 7], 3, &mut [0.0; 2]);
    }
}
