//! Losses of a row of scores `o` and its target class `c` that know no more of the row than its sum `s = Σ_k o_k`, its sum
//! of squares `q = Σ_k o_k²` and the target's score `o_c`: value and gradient, generic over the member.
//!
//! A member sees [`Moments`] and answers with [`Slopes`], the numbers that make its gradient
//! `∂ℓ/∂o_k = centred·(o_k − μ) + uniform + target·1[k = c]`. The same answer is its gradient by the statistics, so that one
//! formula serves a dense row and a layer that never forms one.

use crate::batch::{RowKernel, Rows};
use crate::dispatch;
use crate::lanes::sum;
use crate::real::Real;

/// What a member may know of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Number of classes D.
    pub classes: f64,
    /// `s = Σ_k o_k`.
    pub sum: f64,
    /// `q = Σ_k o_k²`.
    pub sum_squares: f64,
    /// `o_c`.
    pub target: f64,
    /// `μ = s/D`.
    pub mean: f64,
    /// `σ² = q/D − μ²`, accurate also where `|μ|` is much larger than σ if the row itself was seen.
    pub variance: f64,
    /// `o_c − μ`, accurate likewise.
    pub deviation: f64,
    /// Number K of targets of the sample; its loss is the mean of those with each of them.
    pub targets: f64,
}

impl Moments {
    /// Of a row that is known by its sums alone. A variance that rounding made negative is 0.
    pub fn of_sums(classes: usize, sum: f64, sum_squares: f64, target: f64) -> Self {
        let count = classes as f64;
        let mean = sum / count;
        Self {
            classes: count,
            sum,
            sum_squares,
            target,
            mean,
            variance: at_least_zero(sum_squares / count - mean * mean),
            deviation: target - mean,
            targets: 1.0,
        }
    }

    /// Of a row: its mean first, then what deviates from it. Scores are taken relative to the target's, so that equal ones
    /// have no variance at all.
    #[inline(always)]
    pub fn of_row<F: Real>(row: &[F], target: usize) -> Self {
        let count = row.len() as f64;
        let own = row[target];
        let lead = sum([row], |[score]| score - own) / count;
        let centre = F::from_f64(lead);
        // What rounding the centre to F left.
        let rest = lead - centre.to_f64();
        let squares = sum([row], |[score]| {
            let deviation = (score - own) - centre;
            deviation * deviation
        });
        let variance = at_least_zero(squares / count - rest * rest);
        let mean = own.to_f64() + lead;
        Self {
            classes: count,
            sum: count * mean,
            sum_squares: count * (variance + mean * mean),
            target: own.to_f64(),
            mean,
            variance,
            deviation: -lead,
            targets: 1.0,
        }
    }
}

/// 0 for a negative number; what is none stays none, which `max` would hide.
#[inline(always)]
fn at_least_zero(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

/// A member's loss, and its gradient `centred·(o_k − μ) + uniform + target·1[k = c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slopes {
    /// The loss.
    pub loss: f64,
    /// Factor of a score's deviation from the mean.
    pub centred: f64,
    /// Added at every class.
    pub uniform: f64,
    /// Added at the target class; `∂ℓ/∂o_c` of the statistics.
    pub target: f64,
}

impl Slopes {
    /// Of a loss given by its derivatives with respect to `s`, `q` and `o_c`.
    pub fn of_sums(loss: f64, sum: f64, sum_squares: f64, target: f64, mean: f64) -> Self {
        Self {
            loss,
            centred: 2.0 * sum_squares,
            uniform: sum + 2.0 * sum_squares * mean,
            target,
        }
    }

    /// `∂ℓ/∂s`, of a row of the given mean.
    pub fn by_sum(&self, mean: f64) -> f64 {
        self.uniform - self.centred * mean
    }

    /// `∂ℓ/∂q`.
    pub fn by_sum_squares(&self) -> f64 {
        0.5 * self.centred
    }
}

/// One loss of the family.
pub trait Member: Sync {
    /// The loss and gradient of a row.
    fn slopes(&self, moments: &Moments) -> Slopes;
}

/// The kernel of a member.
#[derive(Clone, Copy, Debug)]
pub struct OfMoments<'m, M>(pub &'m M);

impl<M: Member> RowKernel for OfMoments<'_, M> {
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]) {
        #[inline(always)]
        fn body<F: Real, M: Member>(member: &M, rows: Rows<F>, losses: &mut [F]) {
            let each = rows.scores.chunks_exact(rows.classes);
            for ((row, &target), loss) in each.zip(rows.targets).zip(losses) {
                let moments = Moments::of_row(row, target as usize);
                *loss = F::from_f64(member.slopes(&moments).loss);
            }
        }
        let member = self.0;
        dispatch!([F: Real, M: Member] body, (member: &M, rows: Rows<F>, losses: &mut [F]));
    }

    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]) {
        let member = self.0;
        dispatch!([F: Real, M: Member] gradient_block, (
            member: &M,
            rows: Rows<F>,
            scale: f64,
            losses: &mut [F],
            gradient: &mut [F],
        ));
    }
}

#[inline(always)]
fn gradient_block<F: Real, M: Member>(
    member: &M,
    rows: Rows<F>,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    let each = rows.scores.chunks_exact(rows.classes);
    let each = each.zip(gradient.chunks_exact_mut(rows.classes));
    for (((row, gradient), &target), loss) in each.zip(rows.targets).zip(losses) {
        let target = target as usize;
        let moments = Moments::of_row(row, target);
        let slopes = member.slopes(&moments);
        *loss = F::from_f64(slopes.loss);
        let (own, lead) = (row[target], F::from_f64(-moments.deviation));
        let (centred, uniform) = (
            F::from_f64(slopes.centred * scale),
            F::from_f64(slopes.uniform * scale),
        );
        for (out, &score) in gradient.iter_mut().zip(row) {
            *out = ((score - own) - lead) * centred + uniform;
        }
        let at_target = slopes.centred * moments.deviation + slopes.uniform + slopes.target;
        gradient[target] = F::from_f64(at_target * scale);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{forward, forward_backward};
    use crate::random::Stream;

    /// `sin s + cos q − o_c²/2`: uses every statistic, has every slope.
    struct Probe;

    impl Member for Probe {
        fn slopes(&self, m: &Moments) -> Slopes {
            let loss = m.sum.sin() + m.sum_squares.cos() - 0.5 * m.target * m.target;
            Slopes::of_sums(loss, m.sum.cos(), -m.sum_squares.sin(), -m.target, m.mean)
        }
    }

    /// The variance, which the mean must not spoil.
    struct Spread;

    impl Member for Spread {
        fn slopes(&self, m: &Moments) -> Slopes {
            Slopes {
                loss: m.variance,
                centred: 2.0 / m.classes,
                uniform: 0.0,
                target: 0.0,
            }
        }
    }

    fn run<F: Real>(member: &impl Member, scores: &[F], targets: &[u32], classes: usize) -> (Vec<F>, Vec<F>) {
        let mut losses = vec![F::ZERO; targets.len()];
        let mut gradient = vec![F::ZERO; scores.len()];
        let kernel = OfMoments(member);
        forward_backward(&kernel, scores, targets, classes, 1.0, &mut losses, &mut gradient);
        let mut alone = vec![F::ZERO; targets.len()];
        forward(&kernel, scores, targets, classes, &mut alone);
        assert!(alone.iter().zip(&losses).all(|(a, b)| a.to_f64() == b.to_f64()));
        (losses, gradient)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn value_and_gradient_match_plain_arithmetic(classes in 1_usize..200, seed in 0_u64..1000) {
            let mut stream = Stream::new(seed, "spherical", 0);
            let scale = 1.0 / classes as f64;
            let scores: Vec<f64> = (0..3 * classes).map(|_| scale * (4.0 * stream.uniform() - 2.0)).collect();
            let targets: Vec<u32> = (0..3).map(|_| stream.below(classes) as u32).collect();
            let (losses, gradient) = run(&Probe, &scores, &targets, classes);
            for row in 0..3 {
                let own = &scores[row * classes..(row + 1) * classes];
                let (s, q): (f64, f64) = (own.iter().sum(), own.iter().map(|o| o * o).sum());
                let c = targets[row] as usize;
                prop_assert!((losses[row] - (s.sin() + q.cos() - 0.5 * own[c] * own[c])).abs() < 1e-13);
                for k in 0..classes {
                    let at = if k == c { -own[c] } else { 0.0 };
                    let expected = s.cos() - 2.0 * own[k] * q.sin() + at;
                    prop_assert!((gradient[row * classes + k] - expected).abs() < 1e-13);
                }
            }
            let narrow: Vec<f32> = scores.iter().map(|&o| o as f32).collect();
            let (losses_f32, gradient_f32) = run(&Probe, &narrow, &targets, classes);
            for (a, b) in losses_f32.iter().zip(&losses).chain(gradient_f32.iter().zip(&gradient)) {
                prop_assert!((f64::from(*a) - b).abs() < 2e-6 * (1.0 + b.abs()));
            }
        }

        #[test]
        fn an_offset_leaves_the_variance(classes in 2_usize..100, seed in 0_u64..1000) {
            let mut stream = Stream::new(seed, "offset", 0);
            // Multiples of 1/8 up to 8 stay exact under an offset of 2^20 in f32.
            let plain: Vec<f32> = (0..classes).map(|_| stream.below(64) as f32 / 8.0).collect();
            let moved: Vec<f32> = plain.iter().map(|o| o + 1_048_576.0).collect();
            let target = stream.below(classes) as u32;
            prop_assert_eq!(
                run(&Spread, &plain, &[target], classes),
                run(&Spread, &moved, &[target], classes)
            );
        }
    }

    #[test]
    fn equal_scores_have_no_variance() {
        for value in [0.1, -1e4, 1e4 / 3.0] {
            let (losses, gradient) = run(&Spread, &[value; 7], &[2], 7);
            assert_eq!((losses, gradient), (vec![0.0], vec![0.0; 7]));
            let (losses, _) = run(&Spread, &[value as f32; 7], &[2], 7);
            assert_eq!(losses, [0.0]);
        }
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        assert!(Moments::of_row(&[1.0, f64::NAN], 0).variance.is_nan());
        assert!(Moments::of_sums(2, f64::NAN, 1.0, 0.0).variance.is_nan());
    }

    #[test]
    fn sums_and_rows_tell_the_same() {
        let row = [0.3, -1.2, 2.0, 0.7];
        let (seen, summed) = (
            Moments::of_row(&row, 2),
            Moments::of_sums(4, row.iter().sum(), row.iter().map(|o| o * o).sum(), row[2]),
        );
        for (a, b) in [
            (seen.mean, summed.mean),
            (seen.variance, summed.variance),
            (seen.deviation, summed.deviation),
            (seen.sum, summed.sum),
            (seen.sum_squares, summed.sum_squares),
        ] {
            assert!((a - b).abs() < 1e-15);
        }
        let slopes = Slopes::of_sums(0.0, 0.3, -0.7, 0.2, seen.mean);
        assert!((slopes.by_sum(seen.mean) - 0.3).abs() < 1e-15 && slopes.by_sum_squares() == -0.7);
    }
}
