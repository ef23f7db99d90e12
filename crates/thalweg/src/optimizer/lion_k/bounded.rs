//! What Lion descends, to a certified gap: the minimum under a bound on every entry.

use faer::linalg::solvers::{Llt, Solve};
use faer::{Col, Mat, Side};

use super::Smooth;

/// A function with two derivatives.
pub trait Curved: Smooth {
    /// The Hessian at x in row order, written into `hessian`.
    fn curvature(&self, x: &[f64], hessian: &mut [f64]);
}

/// A minimum under a bound on every entry.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundedMinimum {
    /// Where it is.
    pub x: Vec<f64>,
    /// f there.
    pub value: f64,
    /// f there is at most this much above the least value: `max ∇f·(x − z)` over all z within the bound, for convex f.
    pub gap: f64,
}

/// Newton steps at most.
const STEPS: usize = 1000;
/// Entries this near to the bound, in units of it, are held there when the slope draws them outwards.
const NEAR: f64 = 1e-6;
/// Share of the fall that the slope promises which a step must keep.
const KEPT: f64 = 1e-4;
/// The shortest step, in units of Newton's.
const SHORTEST: f64 = 1e-9;

/// `argmin f(x)` over all x with `|x_i| ≤ bound`, f convex, by projected Newton steps, until the gap is at most `gap` of the
/// value or rounding lets nothing fall any more; the gap reached is told.
///
/// Source: Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM Journal on Control and
/// Optimization 1982.
///
/// # Panics
/// When the bound is not positive.
pub fn bounded_minimum(f: &dyn Curved, bound: f64, gap: f64) -> BoundedMinimum {
    assert!(bound > 0.0, "a bound of {bound} leaves nothing to search");
    let size = f.size();
    let mut x = vec![0.0; size];
    let (mut slope, mut beside) = (vec![0.0; size], vec![0.0; size]);
    let mut hessian = vec![0.0; size * size];
    let mut value = f.evaluate(&x, &mut slope);
    for _ in 0..STEPS {
        if certified(&x, &slope, bound) <= gap * value.abs() {
            break;
        }
        f.curvature(&x, &mut hessian);
        let outwards = |i: usize| slope[i] * x[i] < 0.0 && x[i].abs() >= bound * (1.0 - NEAR);
        let free: Vec<usize> = (0..size).filter(|&i| !outwards(i)).collect();
        let direction = newton(&hessian, &slope, &free);
        let mut length = 1.0;
        let moved = loop {
            let mut next: Vec<f64> = x
                .iter()
                .zip(&slope)
                .map(|(x, slope)| x - length * slope)
                .collect();
            for (&i, direction) in free.iter().zip(&direction) {
                next[i] = x[i] + length * direction;
            }
            next.iter_mut().for_each(|x| *x = x.clamp(-bound, bound));
            let promised: f64 = slope
                .iter()
                .zip(next.iter().zip(&x))
                .map(|(slope, (next, x))| slope * (next - x))
                .sum();
            let reached = f.evaluate(&next, &mut beside);
            if promised < 0.0 && reached <= value + KEPT * promised {
                break Some((next, reached));
            }
            length *= 0.5;
            if length < SHORTEST {
                break None;
            }
        };
        let Some((next, reached)) = moved else { break };
        std::mem::swap(&mut slope, &mut beside);
        (x, value) = (next, reached);
    }
    BoundedMinimum {
        gap: certified(&x, &slope, bound),
        x,
        value,
    }
}

/// How much f may fall at most.
fn certified(x: &[f64], slope: &[f64], bound: f64) -> f64 {
    let each = x.iter().zip(slope);
    each.map(|(x, slope)| slope * x + bound * slope.abs()).sum()
}

/// Newton's direction over the free entries, the Hessian lifted by as little as makes it positive definite.
fn newton(hessian: &[f64], slope: &[f64], free: &[usize]) -> Vec<f64> {
    let size = slope.len();
    let largest = (0..size).map(|i| hessian[i * size + i]).fold(0.0, f64::max);
    let right = Col::from_fn(free.len(), |i| -slope[free[i]]);
    let mut lift = f64::EPSILON * size as f64 * largest.max(f64::MIN_POSITIVE);
    loop {
        let lifted = Mat::from_fn(free.len(), free.len(), |i, j| {
            hessian[free[i] * size + free[j]] + if i == j { lift } else { 0.0 }
        });
        if let Ok(factor) = Llt::new(lifted.as_ref(), Side::Lower) {
            let solution = factor.solve(&right);
            return solution.iter().copied().collect();
        }
        lift *= 100.0;
    }
}
