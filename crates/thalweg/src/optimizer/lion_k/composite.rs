//! What Lion-K descends, on quadratics where its minimum can be computed.

use super::{Kernel, dot};

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
    let size = f.size();
    // In y = λx, where f has λ⁻² of its curvature.
    let step = weight_decay * weight_decay / f.steepness().max(f64::MIN_POSITIVE);
    let mut y = vec![0.0; size];
    kernel.conjugate_proximal(&mut y, step / weight_decay);
    let (mut ahead, mut momentum) = (y.clone(), 1.0_f64);
    let (mut x, mut gradient) = (vec![0.0; size], vec![0.0; size]);
    for _ in 0..STEPS {
        x.iter_mut().zip(&ahead).for_each(|(x, y)| *x = y / weight_decay);
        f.evaluate(&x, &mut gradient);
        let moved = ahead
            .iter()
            .zip(&gradient)
            .map(|(y, g)| y - step * g / weight_decay);
        let mut next: Vec<f64> = moved.collect();
        kernel.conjugate_proximal(&mut next, step / weight_decay);
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
    let x: Vec<f64> = y.iter().map(|y| y / weight_decay).collect();
    let beyond = kernel.conjugate(&y).expect("proximal points lie in the domain");
    let value = f.evaluate(&x, &mut gradient) + beyond / weight_decay;
    (x, value)
}
