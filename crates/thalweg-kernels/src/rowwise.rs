//! Losses of a row of scores `h` and its target class `y` that need no more of the row than its softmax: value and
//! gradient in one pass, generic over the member.
//!
//! A member sees [`Row`], the statistics of one row, and answers with [`Coefficients`]: its loss and the three
//! numbers that make its gradient, `∂ℓ/∂h_k = softmax·p_k + target·1[k = y] + uniform`. A new loss costs its formula.

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

    /// The loss and gradient of a row.
    fn row(&self, row: Row) -> Coefficients;
}

/// Rows below which a second thread costs more than it saves, in scores.
const PARALLEL: usize = 1 << 15;

/// What a task writes, its scores and its targets, as iterators zip them.
type Block<'a, W, S> = ((W, S), &'a [u32]);

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
    let run = |((losses, scores), targets): Block<&mut [F], &[F]>| {
        forward_block(member, scores, targets, classes, losses);
    };
    let blocks = losses
        .chunks_mut(rows)
        .zip(scores.chunks(rows * classes))
        .zip(targets.chunks(rows));
    if scores.len() < PARALLEL {
        blocks.for_each(run);
    } else {
        losses
            .par_chunks_mut(rows)
            .zip(scores.par_chunks(rows * classes))
            .zip(targets.par_chunks(rows))
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
    let run = |(((gradient, losses), scores), targets): Block<(&mut [F], &mut [F]), &[F]>| {
        gradient_block(member, scores, targets, classes, scale, losses, gradient);
    };
    if scores.len() < PARALLEL {
        gradient
            .chunks_mut(rows * classes)
            .zip(losses.chunks_mut(rows))
            .zip(scores.chunks(rows * classes))
            .zip(targets.chunks(rows))
            .for_each(run);
    } else {
        gradient
            .par_chunks_mut(rows * classes)
            .zip(losses.par_chunks_mut(rows))
            .zip(scores.par_chunks(rows * classes))
            .zip(targets.par_chunks(rows))
            .for_each(run);
    }
}

fn check<F>(scores: &[F], targets: &[u32], classes: usize, losses: &[F]) {
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
    scores: &[F],
    targets: &[u32],
    classes: usize,
    losses: &mut [F],
) {
    #[inline(always)]
    fn body<F: Real, M: Member>(member: &M, scores: &[F], targets: &[u32], classes: usize, losses: &mut [F]) {
        for ((row, &y), loss) in scores.chunks_exact(classes).zip(targets).zip(losses) {
            let largest = maximum(row);
            let (before, after) = (&row[..y as usize], &row[y as usize + 1..]);
            let rest = sum_exp(before, largest) + sum_exp(after, largest);
            *loss = F::from_f64(
                member
                    .row(statistics::<F, M>(row, y as usize, largest, rest))
                    .loss,
            );
        }
    }
    dispatch!([F: Real, M: Member] body, (member: &M, scores: &[F], targets: &[u32], classes: usize, losses: &mut [F]));
}

fn gradient_block<F: Real, M: Member>(
    member: &M,
    scores: &[F],
    targets: &[u32],
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    #[inline(always)]
    fn body<F: Real, M: Member>(
        member: &M,
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
        for (((row, gradient), &y), loss) in rows {
            let y = y as usize;
            let largest = maximum(row);
            let (before, at_and_after) = gradient.split_at_mut(y);
            let rest = exp_into(&row[..y], largest, before)
                + exp_into(&row[y + 1..], largest, &mut at_and_after[1..]);
            let own = (row[y] - largest).exp_lane();
            gradient[y] = own;
            let statistics = statistics::<F, M>(row, y, largest, rest);
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
        scores: &[F],
        targets: &[u32],
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ));
}

/// The statistics of a row whose largest score and `rest = Σ_{k≠y} exp(h_k − largest)` are known.
#[inline(always)]
fn statistics<F: Real, M: Member>(row: &[F], y: usize, largest: F, rest: f64) -> Row {
    let below = (row[y] - largest).to_f64();
    // With u = Σ_{k≠y} exp(h_k − h_y): log p_y = −log(1 + u), 1 − p_y = u / (1 + u).
    let own = below.exp();
    let total = own + rest;
    let log_p = if own >= rest {
        -(rest / own).ln_1p()
    } else {
        below - total.ln()
    };
    let mean_log_p = if M::NEEDS_MEAN {
        let mean = lane_sum(row) / row.len() as f64;
        mean - largest.to_f64() - total.ln()
    } else {
        0.0
    };
    Row {
        log_p,
        rest: rest / total,
        mean_log_p,
        classes: row.len(),
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
fn sum_exp<F: Real>(part: &[F], largest: F) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (chunks, tail) = part.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += (value - largest).exp_lane();
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane += (value - largest).exp_lane();
    }
    wide_sum(&lanes)
}

/// As [`sum_exp`], keeping the exponentials.
#[inline(always)]
fn exp_into<F: Real>(part: &[F], largest: F, out: &mut [F]) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (chunks, tail) = part.as_chunks::<LANES>();
    let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
    for (chunk, out) in chunks.iter().zip(out_chunks) {
        for ((lane, &value), out) in lanes.iter_mut().zip(chunk).zip(out) {
            let e = (value - largest).exp_lane();
            *out = e;
            *lane += e;
        }
    }
    for ((lane, &value), out) in lanes.iter_mut().zip(tail).zip(out_tail) {
        let e = (value - largest).exp_lane();
        *out = e;
        *lane += e;
    }
    wide_sum(&lanes)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `(1 − p_y)·weight − mean_k log p_k / 2`: uses every statistic and all three coefficients.
    struct Probe;

    impl Member for Probe {
        const NEEDS_MEAN: bool = true;

        fn row(&self, row: Row) -> Coefficients {
            let p = row.log_p.exp();
            Coefficients {
                loss: row.rest - row.mean_log_p / 2.0,
                softmax: p + 0.5,
                target: -p,
                uniform: -0.5 / row.classes as f64,
            }
        }
    }

    fn reference(row: &[f64], y: usize) -> f64 {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_total = row.iter().map(|h| (h - largest).exp()).sum::<f64>().ln() + largest;
        let mean = row.iter().map(|h| h - log_total).sum::<f64>() / row.len() as f64;
        1.0 - (row[y] - log_total).exp() - mean / 2.0
    }

    fn run<F: Real>(scores: &[F], targets: &[u32], classes: usize) -> (Vec<F>, Vec<F>) {
        let mut losses = vec![F::ZERO; targets.len()];
        let mut gradient = vec![F::ZERO; scores.len()];
        forward_backward(&Probe, scores, targets, classes, 1.0, &mut losses, &mut gradient);
        (losses, gradient)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn value_and_gradient_match_plain_arithmetic(classes in 1_usize..200, seed in 0_u64..1000) {
            let mut stream = crate::random::Stream::new(seed, "rowwise", 0);
            let scores: Vec<f64> = (0..3 * classes).map(|_| 8.0 * stream.uniform() - 4.0).collect();
            let targets: Vec<u32> = (0..3).map(|_| stream.below(classes) as u32).collect();
            let (losses, gradient) = run(&scores, &targets, classes);
            let mut only_losses = vec![0.0; 3];
            forward(&Probe, &scores, &targets, classes, &mut only_losses);
            prop_assert_eq!(&losses, &only_losses);
            for row in 0..3 {
                let y = targets[row] as usize;
                let own = &scores[row * classes..(row + 1) * classes];
                prop_assert!((losses[row] - reference(own, y)).abs() < 1e-12);
                for k in 0..classes {
                    let nudge = |by: f64| {
                        let mut row = own.to_vec();
                        row[k] += by;
                        reference(&row, y)
                    };
                    let numeric = (nudge(1e-5) - nudge(-1e-5)) / 2e-5;
                    prop_assert!((gradient[row * classes + k] - numeric).abs() < 1e-8);
                }
            }
            let narrow: Vec<f32> = scores.iter().map(|&h| h as f32).collect();
            let (losses_f32, gradient_f32) = run(&narrow, &targets, classes);
            for (a, b) in losses_f32.iter().zip(&losses).chain(gradient_f32.iter().zip(&gradient)) {
                prop_assert!((f64::from(*a) - b).abs() < 2e-6 * (1.0 + b.abs()));
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let (rows, classes) = (1000, 257);
        let mut scores = vec![0.0_f32; rows * classes];
        crate::random::Stream::new(0, "threads", 0).fill_normal(&mut scores);
        let targets: Vec<u32> = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| run(&scores, &targets, classes))
        };
        let one = on(1);
        assert!([2, 3, 5].into_iter().all(|threads| on(threads) == one));
    }

    #[test]
    fn a_confident_row_keeps_its_relative_accuracy() {
        let (losses, gradient) = run(&[40.0, 0.0], &[0], 2);
        let rest = (-40.0_f64).exp() / (1.0 + (-40.0_f64).exp());
        assert!((losses[0] - (rest + 10.0)).abs() < 1e-14);
        // (p + 1/2)·p − p − 1/4 at p = 1 − rest, expanded.
        assert!((gradient[0] - (0.25 - 1.5 * rest)).abs() < 1e-15);
    }

    #[test]
    fn scores_of_ten_thousand_stay_finite() {
        let (losses, gradient) = run(&[1e4_f32, -1e4, 0.0, -1e4, 1e4, 0.0], &[0, 0], 3);
        assert!(losses.iter().chain(&gradient).all(|value| value.is_finite()));
    }

    #[test]
    #[should_panic(expected = "target 3 of row 1 is not in 0..3")]
    fn a_target_out_of_range_is_named() {
        run(&[0.0_f32; 6], &[0, 3], 3);
    }
}
