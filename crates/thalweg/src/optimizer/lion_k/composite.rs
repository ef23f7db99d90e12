//! What Lion-K descends, on quadratics where its minimum can be computed.

use super::{Curved, Kernel, dot};

/// A function with a gradient, what Lion-K descends before its kernel has a say.
pub trait Smooth {
    /// Length of x.
    fn size(&self) -> usize;

    /// f(x), its gradient written into `gradient`.
    fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64;

    /// A bound L of how much the gradient changes over a way of length 1.
    fn steepness(&self) -> f64;
}

/// `f(x) = ½ (x − c)ᵀ Q (x − c)`, Q symmetric and positive definite, in row order.
#[derive(Clone, Debug, PartialEq)]
pub struct Quadratic {
    matrix: Vec<f64>,
    centre: Vec<f64>,
}

impl Quadratic {
    /// Of a matrix in row order and its centre.
    ///
    /// # Panics
    /// When the matrix is not square of the centre's length.
    pub fn new(matrix: Vec<f64>, centre: Vec<f64>) -> Self {
        assert_eq!(
            matrix.len(),
            centre.len().pow(2),
            "a square matrix of the centre's side"
        );
        Self { matrix, centre }
    }
}

impl Smooth for Quadratic {
    fn size(&self) -> usize {
        self.centre.len()
    }

    fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let offset: Vec<f64> = x.iter().zip(&self.centre).map(|(x, c)| x - c).collect();
        for (gradient, row) in gradient.iter_mut().zip(self.matrix.chunks_exact(offset.len())) {
            *gradient = dot(row, &offset);
        }
        0.5 * dot(&offset, gradient)
    }

    /// The largest sum of sizes of a row: no eigenvalue is larger.
    fn steepness(&self) -> f64 {
        let rows = self.matrix.chunks_exact(self.size());
        rows.map(|row| row.iter().map(|q| q.abs()).sum())
            .fold(0.0, f64::max)
    }
}

impl Curved for Quadratic {
    fn curvature(&self, _: &[f64], hessian: &mut [f64]) {
        hessian.copy_from_slice(&self.matrix);
    }
}

/// Steps at most; each gains digits by a factor that the condition of Q decides.
const STEPS: usize = 200_000;

/// `argmin_x f(x) + K*(λx)/λ` and its value, by accelerated proximal steps that start anew when they turn back, until one moves
/// no entry of λx by more than `tolerance`, relative to the entry or 1.
///
/// # Panics
/// When the weight decay λ is not positive.
pub fn composite_minimum(
    kernel: Kernel,
    weight_decay: f64,
    f: &dyn Smooth,
    tolerance: f64,
) -> (Vec<f64>, f64) {
    assert!(weight_decay > 0.0, "without weight decay there is no second term");
    let mut search = Search {
        kernel,
        weight_decay,
        f,
        // Bounds of the curvature are seldom near it.
        steepness: f.steepness().max(f64::MIN_POSITIVE) / 64.0,
        gradient: vec![0.0; f.size()],
    };
    let mut y = vec![0.0; f.size()];
    let (mut ahead, mut momentum) = (y.clone(), 1.0_f64);
    for _ in 0..STEPS {
        let next = search.step(&ahead);
        let change: Vec<f64> = next.iter().zip(&y).map(|(next, y)| next - y).collect();
        let turned: f64 = ahead
            .iter()
            .zip(&next)
            .zip(&change)
            .map(|((ahead, next), change)| (ahead - next) * change)
            .sum();
        let grown = if turned > 0.0 {
            1.0
        } else {
            0.5 + (0.25 + momentum * momentum).sqrt()
        };
        let carried = if turned > 0.0 {
            0.0
        } else {
            (momentum - 1.0) / grown
        };
        ahead = next
            .iter()
            .zip(&change)
            .map(|(next, change)| next + carried * change)
            .collect();
        momentum = grown;
        let still = change
            .iter()
            .zip(&next)
            .all(|(change, y)| change.abs() <= tolerance * y.abs().max(1.0));
        y = next;
        if still && carried == 0.0 {
            break;
        }
        if still {
            (ahead, momentum) = (y.clone(), 1.0);
        }
    }
    let x = search.undecayed(&y);
    let beyond = kernel.conjugate(&y).expect("proximal points lie in the domain");
    let value = f.evaluate(&x, &mut search.gradient) + beyond / weight_decay;
    (x, value)
}

/// A search in y = λx.
struct Search<'a> {
    kernel: Kernel,
    weight_decay: f64,
    f: &'a dyn Smooth,
    /// A curvature that no step so far met a larger one than.
    steepness: f64,
    gradient: Vec<f64>,
}

impl Search<'_> {
    fn undecayed(&self, y: &[f64]) -> Vec<f64> {
        y.iter().map(|y| y / self.weight_decay).collect()
    }

    /// A proximal step from y, as long as the curvature on the way allows.
    fn step(&mut self, y: &[f64]) -> Vec<f64> {
        let from = self.undecayed(y);
        let value = self.f.evaluate(&from, &mut self.gradient);
        let slope = self.gradient.clone();
        let limit = self.f.steepness().max(f64::MIN_POSITIVE);
        loop {
            let step = self.weight_decay * self.weight_decay / self.steepness;
            let moved = y.iter().zip(&slope);
            let mut next: Vec<f64> = moved.map(|(y, g)| y - step * g / self.weight_decay).collect();
            self.kernel
                .conjugate_proximal(&mut next, step / self.weight_decay);
            if self.steepness >= limit {
                return next;
            }
            let to = self.undecayed(&next);
            let way: Vec<f64> = to.iter().zip(&from).map(|(to, from)| to - from).collect();
            let allowed = value + dot(&slope, &way) + 0.5 * self.steepness * dot(&way, &way);
            // Within rounding of the value nothing can be told of the curvature.
            let reached = self.f.evaluate(&to, &mut self.gradient);
            if reached <= allowed + f64::EPSILON * value.abs() {
                return next;
            }
            self.steepness = (2.0 * self.steepness).min(limit);
        }
    }
}
