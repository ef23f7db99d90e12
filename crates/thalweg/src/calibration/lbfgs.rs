//! Limited-memory BFGS with backtracking, for smooth convex functions of many parameters.
//!
//! Source: Nocedal and Wright, Numerical Optimization, algorithms 3.1 and 7.4.

use std::collections::VecDeque;

/// Pairs of steps and gradient changes that are kept.
const MEMORY: usize = 10;
/// Of the decrease that the slope promises, so much must come true.
const SUFFICIENT: f64 = 1e-4;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Iterations at most.
    pub iterations: usize,
    /// Largest component of the gradient that counts as none.
    pub gradient: f64,
}

/// Goes down from `start`; `function` returns value and gradient.
pub fn minimise(
    start: Vec<f64>,
    stop: Stop,
    mut function: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> Vec<f64> {
    let mut at = start;
    let (mut value, mut gradient) = function(&at);
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..stop.iterations {
        if gradient.iter().all(|slope| slope.abs() <= stop.gradient) {
            break;
        }
        let direction = direction(&gradient, &pairs);
        let slope = dot(&direction, &gradient);
        let mut step = 1.0;
        let next = loop {
            let moved: Vec<f64> = at.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let (lower, changed) = function(&moved);
            if lower <= value + SUFFICIENT * step * slope {
                break Some((moved, lower, changed));
            }
            step *= 0.5;
            if step < 1e-12 {
                break None;
            }
        };
        // No decrease along the way down: the value is as low as its digits allow.
        let Some((moved, lower, changed)) = next else {
            break;
        };
        let taken: Vec<f64> = moved.iter().zip(&at).map(|(a, b)| a - b).collect();
        let bent: Vec<f64> = changed.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&taken, &bent);
        if curvature > f64::EPSILON * dot(&bent, &bent).sqrt() * dot(&taken, &taken).sqrt() {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((taken, bent, curvature));
        }
        (at, value, gradient) = (moved, lower, changed);
    }
    at
}

/// Minus the gradient times the approximate inverse Hessian, by the two-loop recursion.
fn direction(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for (taken, bent, curvature) in pairs.iter().rev() {
        let share = dot(taken, &direction) / curvature;
        add(&mut direction, -share, bent);
        shares.push(share);
    }
    let scale = match pairs.back() {
        Some((_, bent, curvature)) => curvature / dot(bent, bent),
        // The first step has length 1 at most.
        None => 1.0_f64.min(1.0 / dot(gradient, gradient).sqrt()),
    };
    direction.iter_mut().for_each(|d| *d *= scale);
    for ((taken, bent, curvature), share) in pairs.iter().zip(shares.into_iter().rev()) {
        let factor = share - dot(bent, &direction) / curvature;
        add(&mut direction, factor, taken);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut()
        .zip(what)
        .for_each(|(to, what)| *to += factor * what);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: Stop = Stop {
        iterations: 500,
        gradient: 1e-10,
    };

    #[test]
    fn an_ill_scaled_bowl_is_solved() {
        let minimum = minimise(vec![3.0, -2.0, 1.0], STOP, |x| {
            let scales = [1.0, 100.0, 1e4];
            let value = (0..3).map(|i| 0.5 * scales[i] * (x[i] - i as f64).powi(2)).sum();
            (value, (0..3).map(|i| scales[i] * (x[i] - i as f64)).collect())
        });
        for (i, x) in minimum.into_iter().enumerate() {
            assert!((x - i as f64).abs() < 1e-8, "{x}");
        }
    }

    #[test]
    fn a_bent_valley_is_followed() {
        let minimum = minimise(vec![-1.2, 1.0], STOP, |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (
                a * a + 100.0 * b * b,
                vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b],
            )
        });
        assert!((minimum[0] - 1.0).abs() < 1e-6 && (minimum[1] - 1.0).abs() < 1e-6);
    }
}
