//! How far the softmax of a row is from uniform.

use super::{Entered, Entry};
use crate::batch::{RowKernel, Rows};
use crate::dispatch;
use crate::lanes::{exponentials, sum};
use crate::real::Real;

/// `KL(p ‖ 1/classes) = Σ_k p_k log p_k + log classes` of the softmax p of each row: log classes minus its entropy. The
/// function says how the scores of the row at an index [enter](Entry) it.
#[derive(Clone, Copy, Debug)]
pub struct DivergenceFromUniform<E>(pub E);

impl<E: Fn(usize) -> Entry + Sync> RowKernel for DivergenceFromUniform<E> {
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]) {
        #[inline(always)]
        fn body<F: Real, E: Fn(usize) -> Entry>(entry: &E, rows: Rows<F>, losses: &mut [F]) {
            let mut scratch = vec![F::ZERO; rows.classes];
            let each = rows
                .scores
                .chunks_exact(rows.classes)
                .zip(rows.targets)
                .zip(losses);
            for (index, ((row, &y), loss)) in (rows.first..).zip(each) {
                let entered = Entered::new(row, y as usize, index, entry(index));
                *loss = F::from_f64(Spread::of(&entered, &mut scratch).divergence(rows.classes));
            }
        }
        let entry = &self.0;
        dispatch!([F: Real, E: Fn(usize) -> Entry] body, (entry: &E, rows: Rows<F>, losses: &mut [F]));
    }

    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]) {
        let entry = &self.0;
        dispatch!([F: Real, E: Fn(usize) -> Entry] gradient_block, (
            entry: &E,
            rows: Rows<F>,
            scale: f64,
            losses: &mut [F],
            gradient: &mut [F],
        ));
    }
}

#[inline(always)]
fn gradient_block<F: Real, E: Fn(usize) -> Entry>(
    entry: &E,
    rows: Rows<F>,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    let each = rows.scores.chunks_exact(rows.classes);
    let each = each.zip(gradient.chunks_exact_mut(rows.classes));
    for (index, (((row, gradient), &y), loss)) in (rows.first..).zip(each.zip(rows.targets).zip(losses)) {
        let entered = Entered::new(row, y as usize, index, entry(index));
        let spread = Spread::of(&entered, gradient);
        *loss = F::from_f64(spread.divergence(rows.classes));
        // p_k (log p_k − Σ p log p), and log p_k − Σ p log p = z_k − Σ p z.
        let mean = spread.weighted / spread.total;
        let factor = entered.entry.scale * scale / spread.total;
        let (centre, lane_factor) = (F::from_f64(mean), F::from_f64(factor));
        for (slope, &score) in gradient.iter_mut().zip(row) {
            let z = (score - entered.largest) * entered.scale;
            *slope = shared(*slope, z - centre) * lane_factor;
        }
        gradient[entered.y] = F::from_f64(spread.own * (spread.own_exponent - mean) * factor);
    }
}

/// Sums over the exponents `z_k <= 0` of a row and their exponentials.
struct Spread {
    /// `Σ exp z_k`.
    total: f64,
    /// `Σ exp(z_k) z_k`.
    weighted: f64,
    /// `exp z_y`.
    own: f64,
    /// `z_y`.
    own_exponent: f64,
}

impl Spread {
    /// Leaves the exponentials in `scratch`, with 0 for the target.
    #[inline(always)]
    fn of<F: Real>(entered: &Entered<F>, scratch: &mut [F]) -> Self {
        let &Entered { largest, scale, .. } = entered;
        exponentials(entered.row, largest, scale, scratch);
        scratch[entered.y] = F::ZERO;
        let own_exponent = (entered.own - largest).to_f64() * entered.entry.scale;
        let own = own_exponent.exp_below();
        Self {
            total: sum([scratch], |[e]| e) + own,
            weighted: sum([scratch, entered.row], |[e, score]| {
                shared(e, (score - largest) * scale)
            }) + shared(own, own_exponent),
            own,
            own_exponent,
        }
    }

    fn divergence(&self, classes: usize) -> f64 {
        self.weighted / self.total - self.total.ln() + (classes as f64).ln()
    }
}

/// `e·z` with `0·(−∞) = 0`.
#[inline(always)]
fn shared<F: Real>(e: F, z: F) -> F {
    if e == F::ZERO { F::ZERO } else { e * z }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{forward, forward_backward};
    use crate::random::Stream;

    fn entry(index: usize) -> Entry {
        Entry {
            scale: 0.4 + index as f64,
            offset: -0.3 * index as f64,
        }
    }

    fn plain(row: &[f64], y: usize, entry: Entry) -> f64 {
        let mut z = row.to_vec();
        z[y] += entry.offset;
        let total: f64 = z.iter().map(|z| (z * entry.scale).exp()).sum();
        let p = z.iter().map(|z| (z * entry.scale).exp() / total);
        p.map(|p| p * p.ln()).sum::<f64>() + (row.len() as f64).ln()
    }

    #[test]
    fn value_and_gradient_match_plain_arithmetic() {
        let kernel = DivergenceFromUniform(entry);
        for classes in [1, 2, 17, 200] {
            let mut stream = Stream::new(classes as u64, "divergence", 0);
            let scores: Vec<f64> = (0..3 * classes).map(|_| 4.0 * stream.uniform() - 2.0).collect();
            let targets: Vec<u32> = (0..3).map(|_| stream.below(classes) as u32).collect();
            let (mut losses, mut gradient) = (vec![0.0; 3], vec![0.0; 3 * classes]);
            forward_backward(
                &kernel,
                &scores,
                &targets,
                classes,
                2.0,
                &mut losses,
                &mut gradient,
            );
            let mut alone = vec![0.0; 3];
            forward(&kernel, &scores, &targets, classes, &mut alone);
            assert_eq!(alone, losses);
            for row in 0..3 {
                let (y, own) = (targets[row] as usize, &scores[row * classes..(row + 1) * classes]);
                assert!((losses[row] - plain(own, y, entry(row))).abs() < 1e-12);
                for k in 0..classes {
                    let nudged = |by: f64| {
                        let mut row_of = own.to_vec();
                        row_of[k] += by;
                        plain(&row_of, y, entry(row))
                    };
                    let numeric = (nudged(1e-5) - nudged(-1e-5)) / 1e-5;
                    assert!((gradient[row * classes + k] - numeric).abs() < 1e-8);
                }
            }
        }
    }

    #[test]
    fn one_class_is_all_and_equal_ones_are_uniform() {
        let kernel = DivergenceFromUniform(|_| Entry::PLAIN);
        let mut losses = [0.0_f32; 2];
        forward(&kernel, &[1e4, -1e4, 3.0, 3.0], &[0, 1], 2, &mut losses);
        assert!((losses[0] - std::f32::consts::LN_2).abs() < 1e-6 && losses[1].abs() < 1e-6);
        forward(&kernel, &[f32::NAN, 0.0, 0.0, 0.0], &[1, 1], 2, &mut losses);
        assert!(losses[0].is_nan() && losses[1].abs() < 1e-6);
    }
}
