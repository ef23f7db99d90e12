//! How sharp a minimum is: the rise of the loss on the way up or in a ball around it, and the curvature there.
//!
//! In a [`Rescaled`](super::Rescaled) landscape each is its adaptive variant, which does not depend on the scale of parameters.
//!
//! Source: Foret and others, ICLR 2021 (the rise along the gradient); Keskar and others, ICLR 2017 (the largest rise in a
//! neighbourhood); Lanczos 1950; Hutchinson 1990.

use faer::{Mat, Side};
use thalweg_kernels::random::Stream;

use super::landscape::{Landscape, dot, norm};

/// The least length that a gradient is divided by.
const LEAST_LENGTH: f64 = 1e-12;

/// `L(θ + ρ g/‖g‖) − L(θ)`: the rise that SAM descends. 0 where there is no gradient.
pub fn sam_sharpness(landscape: &impl Landscape, at: &[f64], rho: f64) -> f64 {
    let mut gradient = vec![0.0; at.len()];
    let loss = landscape.gradient(at, &mut gradient);
    let scale = rho / norm(&gradient).max(LEAST_LENGTH);
    landscape.loss(&sum(at, &gradient, scale)) - loss
}

/// `ρ ‖g‖`: the same rise to first order.
pub fn first_order_sharpness(landscape: &impl Landscape, at: &[f64], rho: f64) -> f64 {
    let mut gradient = vec![0.0; at.len()];
    landscape.gradient(at, &mut gradient);
    rho * norm(&gradient)
}

/// The largest rise of the loss that ascent finds within distance ρ, at least 0.
///
/// The first of `steps` goes ρ up the gradient; each further one goes ρ/2 up the gradient where it stands and back to the
/// nearest point of the ball. At a stationary point there is no way up, and 0 is answered whatever the curvature.
pub fn worst_case_sharpness(landscape: &impl Landscape, at: &[f64], rho: f64, steps: usize) -> f64 {
    let mut gradient = vec![0.0; at.len()];
    let loss = landscape.gradient(at, &mut gradient);
    let mut offset = vec![0.0; at.len()];
    let (mut worst, mut stride) = (0.0_f64, rho);
    for _ in 0..steps {
        let scale = stride / norm(&gradient).max(LEAST_LENGTH);
        for (offset, slope) in offset.iter_mut().zip(&gradient) {
            *offset += scale * slope;
        }
        let outside = norm(&offset) / rho;
        if outside > 1.0 {
            offset.iter_mut().for_each(|offset| *offset /= outside);
        }
        let rise = landscape.gradient(&sum(at, &offset, 1.0), &mut gradient) - loss;
        if rise.is_nan() {
            return rise;
        }
        worst = worst.max(rise);
        stride = rho / 2.0;
    }
    worst
}

/// When an iteration for an eigenvalue ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    /// Relative residual `‖Hv − λv‖ ≤ tolerance·|λ|`.
    pub tolerance: f64,
    /// Products with the Hessian at most.
    pub products: usize,
}

impl Default for Convergence {
    fn default() -> Self {
        Self {
            tolerance: 1e-8,
            products: 300,
        }
    }
}

/// The largest eigenvalue of the Hessian, by Lanczos' method with full reorthogonalisation from a random start.
///
/// The error is at most the square of the residual over the gap to the next eigenvalue, where [`Convergence::products`] were
/// enough; NaN where the Hessian is no number.
pub fn top_eigenvalue(
    landscape: &impl Landscape,
    at: &[f64],
    convergence: Convergence,
    random: &mut Stream,
) -> f64 {
    let dimension = at.len();
    let mut basis = vec![normalised(normals(dimension, random))];
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut largest = 0.0;
    for step in 0..dimension.min(convergence.products) {
        let mut next = vec![0.0; dimension];
        landscape.hessian_product(at, &basis[step], &mut next);
        diagonal.push(dot(&next, &basis[step]));
        if !diagonal[step].is_finite() {
            return f64::NAN;
        }
        // Twice: once leaves what rounding made of the nearly parallel.
        for _ in 0..2 {
            for earlier in &basis {
                let along = dot(&next, earlier);
                next.iter_mut().zip(earlier).for_each(|(x, e)| *x -= along * e);
            }
        }
        let length = norm(&next);
        let (value, last) = top_of_tridiagonal(&diagonal, &beside);
        largest = value;
        let scale = diagonal
            .iter()
            .chain(&beside)
            .fold(0.0_f64, |s, x| s.max(x.abs()));
        if length * last.abs() <= convergence.tolerance * value.abs() || length <= 1e-14 * scale {
            break;
        }
        beside.push(length);
        basis.push(next.iter().map(|x| x / length).collect());
    }
    largest
}

/// The largest eigenvalue of a symmetric tridiagonal matrix, and the last entry of its eigenvector.
fn top_of_tridiagonal(diagonal: &[f64], beside: &[f64]) -> (f64, f64) {
    let size = diagonal.len();
    let matrix = Mat::from_fn(size, size, |i, j| match i.abs_diff(j) {
        0 => diagonal[i],
        1 => beside[i.min(j)],
        _ => 0.0,
    });
    let decomposed = matrix
        .self_adjoint_eigen(Side::Lower)
        .expect("a finite symmetric matrix has eigenvalues");
    (decomposed.S()[size - 1], decomposed.U()[(size - 1, size - 1)])
}

/// The trace of the Hessian, by a product with every unit vector: for few parameters.
pub fn hessian_trace(landscape: &impl Landscape, at: &[f64]) -> f64 {
    let (mut unit, mut product) = (vec![0.0; at.len()], vec![0.0; at.len()]);
    let diagonal = (0..at.len()).map(|k| {
        unit[k] = 1.0;
        landscape.hessian_product(at, &unit, &mut product);
        unit[k] = 0.0;
        product[k]
    });
    diagonal.sum()
}

/// An estimate and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; NaN for a single probe.
    pub standard_error: f64,
}

/// The trace of the Hessian by Hutchinson's estimator: the mean of `vᵀHv` over vectors of random signs. Exact where the
/// Hessian is diagonal.
///
/// # Panics
/// When there are no probes.
pub fn hutchinson_trace(
    landscape: &impl Landscape,
    at: &[f64],
    probes: usize,
    random: &mut Stream,
) -> Estimate {
    assert!(probes > 0, "a mean of no probes");
    let mut product = vec![0.0; at.len()];
    let drawn: Vec<f64> = (0..probes)
        .map(|_| {
            let signs: Vec<f64> = (0..at.len())
                .map(|_| if random.below(2) == 0 { -1.0 } else { 1.0 })
                .collect();
            landscape.hessian_product(at, &signs, &mut product);
            dot(&signs, &product)
        })
        .collect();
    let count = probes as f64;
    let mean = drawn.iter().sum::<f64>() / count;
    let squares: f64 = drawn.iter().map(|x| (x - mean) * (x - mean)).sum();
    Estimate {
        mean,
        standard_error: (squares / (count - 1.0) / count).sqrt(),
    }
}

fn sum(at: &[f64], offset: &[f64], scale: f64) -> Vec<f64> {
    at.iter().zip(offset).map(|(x, d)| x + scale * d).collect()
}

fn normals(count: usize, random: &mut Stream) -> Vec<f64> {
    let mut values = vec![0.0; count];
    random.fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

fn normalised(vector: Vec<f64>) -> Vec<f64> {
    let length = norm(&vector);
    vector.into_iter().map(|x| x / length).collect()
}

#[cfg(test)]
mod tests;
