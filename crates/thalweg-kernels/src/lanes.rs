//! Passes over a row that compilers turn into vector code: its largest number, sums over it, exponentials of its scores.
//! Each is to be inlined into a body that is [dispatched](crate::dispatch).
//!
//! An accumulator is a group of [`LANES`] numbers that never meet before the end, so that the sum is the same on every
//! instruction set. Eight numbers a lane are summed as a tree first: accumulators wait on each other once for all of them.
//! Single precision is widened after [`WIDEN`] numbers.

use crate::real::Real;

/// Numbers of an accumulator.
pub const LANES: usize = 16;

/// Numbers that go into the accumulator together.
const STEP: usize = 8 * LANES;

/// Numbers after which the sum goes on in f64.
pub const WIDEN: usize = 8 * STEP;

/// The largest number of `row`, negative infinity where there is none. What is not a number may hide others.
#[inline(always)]
pub fn largest<F: Real>(row: &[F]) -> F {
    let mut lanes = [F::NEG_INFINITY; LANES];
    let (steps, rest) = row.as_chunks::<STEP>();
    for step in steps {
        for (j, lane) in lanes.iter_mut().enumerate() {
            let pair = |i: usize| step[j + i * LANES].larger(step[j + (i + 1) * LANES]);
            let four = |i: usize| pair(i).larger(pair(i + 2));
            *lane = four(0).larger(four(4)).larger(*lane);
        }
    }
    let (groups, rest) = rest.as_chunks::<LANES>();
    for group in groups {
        for (lane, &value) in lanes.iter_mut().zip(group) {
            *lane = value.larger(*lane);
        }
    }
    let mut last = [F::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    for (lane, value) in lanes.iter_mut().zip(last) {
        *lane = value.larger(*lane);
    }
    folded(lanes, F::larger)
}

/// All lanes as one number, halves of them at a time.
#[inline(always)]
fn folded<T: Copy>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    for half in [8, 4, 2, 1] {
        for j in 0..half {
            lanes[j] = combine(lanes[j], lanes[j + half]);
        }
    }
    lanes[0]
}

/// The number that a sum in lanes comes to.
#[inline(always)]
pub fn total(wide: [f64; LANES]) -> f64 {
    folded(wide, |a, b| a + b)
}

/// `Σ_k term(a_k, b_k, …)` over rows of one length.
#[inline(always)]
pub fn sum<F: Real, const N: usize>(rows: [&[F]; N], term: impl Fn([F; N]) -> F) -> f64 {
    let length = rows[0].len();
    let mut wide = [0.0; LANES];
    for start in (0..length).step_by(WIDEN) {
        let end = length.min(start + WIDEN);
        add_sum(&mut wide, rows.map(|row| &row[start..end]), &term);
    }
    total(wide)
}

/// Adds to `wide` the lanes of the [`sum`] over at most [`WIDEN`] numbers: for sums that come in pieces of that length.
#[inline(always)]
pub fn add_sum<F: Real, const N: usize>(
    wide: &mut [f64; LANES],
    rows: [&[F]; N],
    term: impl Fn([F; N]) -> F,
) {
    for (wide, lane) in wide.iter_mut().zip(narrow_sum(rows, &term)) {
        *wide += lane.to_f64();
    }
}

#[inline(always)]
fn narrow_sum<F: Real, const N: usize>(rows: [&[F]; N], term: &impl Fn([F; N]) -> F) -> [F; LANES] {
    let mut lanes = [F::ZERO; LANES];
    let steps = rows.map(|row| row.as_chunks::<STEP>().0);
    for step in 0..steps[0].len() {
        let step = steps.map(|steps| &steps[step]);
        for (j, lane) in lanes.iter_mut().enumerate() {
            let one = |i: usize| term(step.map(|step| step[j + i * LANES]));
            let four = |i: usize| (one(i) + one(i + 1)) + (one(i + 2) + one(i + 3));
            *lane += four(0) + four(4);
        }
    }
    let rests = rows.map(|row| row.as_chunks::<STEP>().1);
    let groups = rests.map(|rest| rest.as_chunks::<LANES>().0);
    for group in 0..groups[0].len() {
        let group = groups.map(|groups| &groups[group]);
        for (j, lane) in lanes.iter_mut().enumerate() {
            *lane += term(group.map(|group| group[j]));
        }
    }
    let rests = rests.map(|rest| rest.as_chunks::<LANES>().1);
    for (j, lane) in lanes.iter_mut().enumerate().take(rests[0].len()) {
        *lane += term(rests.map(|rest| rest[j]));
    }
    lanes
}

/// `exp((h_k − top)·scale)` of each score into `out`; the exponents are to be at most 0.
#[inline(always)]
pub fn exponentials<F: Real>(scores: &[F], top: F, scale: F, out: &mut [F]) {
    let (groups, rest) = scores.as_chunks::<LANES>();
    let (out_groups, out_rest) = out[..scores.len()].as_chunks_mut::<LANES>();
    for (group, out) in groups.iter().zip(out_groups) {
        *out = group_of(group, top, scale);
    }
    // A whole group of which only a part is kept: a loop over single numbers would take as long for each of them.
    let mut last = [top; LANES];
    last[..rest.len()].copy_from_slice(rest);
    out_rest.copy_from_slice(&group_of(&last, top, scale)[..rest.len()]);
}

/// As [`exponentials`], in place of the scores.
#[inline(always)]
pub fn exponentials_in_place<F: Real>(scores: &mut [F], top: F, scale: F) {
    let (groups, rest) = scores.as_chunks_mut::<LANES>();
    for group in groups {
        *group = group_of(group, top, scale);
    }
    let mut last = [top; LANES];
    last[..rest.len()].copy_from_slice(rest);
    rest.copy_from_slice(&group_of(&last, top, scale)[..rest.len()]);
}

#[inline(always)]
fn group_of<F: Real>(group: &[F; LANES], top: F, scale: F) -> [F; LANES] {
    let mut out = [F::ZERO; LANES];
    for (out, &score) in out.iter_mut().zip(group) {
        *out = ((score - top) * scale).exp_below();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn every_length_is_summed_and_searched_to_its_end() {
        let mut stream = Stream::new(0, "lanes", 0);
        for length in (0..300).chain([1023, 1024, 1025, 5000]) {
            let a: Vec<f64> = (0..length).map(|_| stream.uniform() - 0.5).collect();
            let b: Vec<f64> = (0..length).map(|_| stream.uniform()).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((sum([&a, &b], |[a, b]| a * b) - plain).abs() < 1e-12);
            let top = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(largest(&a), top);
            let mut out = vec![f64::NAN; length];
            exponentials(&a, top, 2.0, &mut out);
            for (e, a) in out.iter().zip(&a) {
                assert!((e - (2.0 * (a - top)).exp()).abs() < 1e-15);
            }
            let mut own = a;
            exponentials_in_place(&mut own, top, 2.0);
            assert_eq!(own, out);
        }
    }

    #[test]
    fn the_largest_is_found_wherever_it_stands() {
        for at in 0..200 {
            let mut row = [-1.0_f32; 200];
            row[at] = 3.0;
            assert_eq!(largest(&row), 3.0);
        }
    }

    #[test]
    fn a_million_equal_terms_keep_their_digits() {
        let row = vec![0.1_f32; 1_000_000];
        assert!((sum([&row], |[a]| a) / (1e6 * f64::from(0.1_f32)) - 1.0).abs() < 1e-6);
    }
}
