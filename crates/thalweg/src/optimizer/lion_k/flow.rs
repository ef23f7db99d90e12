//! The flow that Lion-K follows as its learning rate goes to 0.

use super::{Kernel, Smooth};
use crate::ConfigError;
use crate::config::require;

/// `ṁ = −α∇f − γm`, `ẋ = ∂K(m̃) − λx`, `m̃ = m − ε(α∇f + γm)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Weight α of the gradient, above 0.
    pub alpha: f64,
    /// Decay γ of the momentum, above 0.
    pub gamma: f64,
    /// How far ahead ε the direction looks, at least 0, `εγ ≤ 1`.
    pub epsilon: f64,
    /// Weight decay λ, above 0.
    pub weight_decay: f64,
}

/// Why a flow has no end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the flow turns without end near t = {time}: the slope of its kernel jumps there")]
pub struct FlowError {
    /// Where it got to.
    pub time: f64,
}

/// Error of a step, relative and absolute.
const TOLERANCE: f64 = 1e-12;
/// Steps at most.
const STEPS: usize = 1_000_000;

/// Dormand and Prince, 1980: stages of an explicit method of order 5 with an error estimate of order 4. That f does not depend
/// on time spares their nodes.
const STAGES: [&[f64]; 7] = [
    &[],
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
/// The weights of order 5 less those of order 4.
const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

impl Flow {
    /// Checks its numbers.
    ///
    /// # Errors
    /// When one is out of its range.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let positive = |parameter, value: f64| {
            require("lion_k", parameter, value, "above 0 and finite", |value| {
                value > 0.0 && value.is_finite()
            })
        };
        positive("alpha", self.alpha)?;
        positive("gamma", self.gamma)?;
        positive("weight_decay", self.weight_decay)?;
        let accepted = "at least 0, at most 1/gamma";
        require("lion_k", "epsilon", self.epsilon, accepted, |epsilon| {
            epsilon >= 0.0 && epsilon * self.gamma <= 1.0
        })?;
        Ok(self)
    }

    /// m̃.
    pub fn direction(&self, m: &[f64], gradient: &[f64]) -> Vec<f64> {
        let each = m.iter().zip(gradient);
        each.map(|(m, g)| m - self.epsilon * (self.alpha * g + self.gamma * m))
            .collect()
    }

    /// x and m after time `end`, on f.
    ///
    /// # Errors
    /// When the kernel's slope jumps, and the flow slides along the jump in steps without end.
    pub fn run(
        &self,
        kernel: Kernel,
        f: &dyn Smooth,
        x: &[f64],
        m: &[f64],
        end: f64,
    ) -> Result<(Vec<f64>, Vec<f64>), FlowError> {
        let size = x.len();
        let mut state = [x, m].concat();
        let derivative = |state: &[f64], out: &mut [f64]| {
            let (x, m) = state.split_at(size);
            let (of_x, of_m) = out.split_at_mut(size);
            f.evaluate(x, of_m);
            let direction = self.direction(m, of_m);
            kernel.slope(&direction, of_x);
            of_x.iter_mut()
                .zip(x)
                .for_each(|(slope, x)| *slope -= self.weight_decay * x);
            let each = of_m.iter_mut().zip(m);
            each.for_each(|(g, m)| *g = -self.alpha * *g - self.gamma * m);
        };
        let mut slopes = vec![vec![0.0; 2 * size]; STAGES.len()];
        let (mut time, mut step) = (0.0, (end * 1e-3).min(1e-2));
        for _ in 0..STEPS {
            if time >= end {
                return Ok((state[..size].to_vec(), state[size..].to_vec()));
            }
            step = f64::min(step, end - time);
            let mut next = state.clone();
            for (stage, weights) in STAGES.iter().enumerate() {
                next.copy_from_slice(&state);
                for (weight, slope) in weights.iter().zip(&slopes) {
                    let each = next.iter_mut().zip(slope);
                    each.for_each(|(next, slope)| *next += step * weight * slope);
                }
                derivative(&next, &mut slopes[stage]);
            }
            // The last stage's point is the step's end.
            let error = (0..2 * size).map(|at| {
                let estimate: f64 = ERROR
                    .iter()
                    .zip(&slopes)
                    .map(|(weight, slope)| weight * slope[at])
                    .sum();
                step * estimate / (TOLERANCE * (1.0 + state[at].abs().max(next[at].abs())))
            });
            let worst = error.map(f64::abs).fold(0.0, f64::max);
            if worst <= 1.0 {
                // The last step may be shorter than the clock can tell.
                time = if step == end - time { end } else { time + step };
                state.copy_from_slice(&next);
            }
            step *= (0.9 * worst.max(1e-10).powf(-0.2)).clamp(0.2, 5.0);
        }
        Err(FlowError { time })
    }
}
