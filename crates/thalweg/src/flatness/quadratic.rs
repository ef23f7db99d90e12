//! The largest value of a quadratic in a ball, exactly: `max_{‖e‖ ≤ ρ} gᵀe + ½ eᵀHe` for any symmetric H.
//!
//! In the eigenbasis of H, with eigenvalues λ_i and coordinates γ_i of g, it is
//! `min_{μ ≥ max(0, λ_max)} ½(μρ² + Σ γ_i²/(μ − λ_i))`, since the dual of a trust-region problem has no gap. The minimum is
//! at the lower end, or where `Σ γ_i²/(μ − λ_i)² = ρ²` (the secular equation). In the hard case, where g has no part along
//! the top eigenvectors, terms of γ_i = 0 are none and the lower end is where the minimum is.
//!
//! Source: Moré, Sorensen, "Computing a trust region step", SIAM J. Sci. Stat. Comput. 4, 1983.

use faer::{Mat, Side};

/// The largest value of `gᵀe + ½ eᵀHe` over the closed ball of radius ρ; H `[d, d]` in row-major order counts by its symmetric
/// part.
///
/// # Panics
/// When the sizes disagree or a number is not finite.
pub fn largest_in_ball(hessian: &[f64], gradient: &[f64], rho: f64) -> f64 {
    let size = gradient.len();
    assert_eq!(
        hessian.len(),
        size * size,
        "a Hessian of {} entries for {size} parameters",
        hessian.len()
    );
    assert!(
        hessian.iter().chain(gradient).all(|x| x.is_finite()),
        "the quadratic is to be finite"
    );
    if size == 0 || rho == 0.0 {
        return 0.0;
    }
    let symmetric = Mat::from_fn(size, size, |i, j| {
        0.5 * (hessian[i * size + j] + hessian[j * size + i])
    });
    let decomposed = symmetric
        .self_adjoint_eigen(Side::Lower)
        .expect("a finite symmetric matrix has eigenvalues");
    let (values, vectors) = (decomposed.S(), decomposed.U());
    let least = values[size - 1].max(0.0);
    let terms: Vec<Term> = (0..size)
        .map(|i| {
            let along: f64 = (0..size).map(|j| vectors[(j, i)] * gradient[j]).sum();
            Term {
                along,
                gap: least - values[i],
            }
        })
        .filter(|term| term.along != 0.0)
        .collect();
    let excess = excess(&terms, rho);
    let spread: f64 = terms
        .iter()
        .map(|term| term.along * (term.along / term.at(excess)))
        .sum();
    0.5 * ((least + excess) * rho * rho + spread)
}

/// A part of the gradient along an eigenvector, and how far its eigenvalue is below the least multiplier.
struct Term {
    along: f64,
    gap: f64,
}

impl Term {
    fn at(&self, excess: f64) -> f64 {
        self.gap + excess
    }
}

/// How far the multiplier is above its least.
fn excess(terms: &[Term], rho: f64) -> f64 {
    // Falls in its argument.
    let length = |excess: f64| {
        terms
            .iter()
            .map(|term| term.along / term.at(excess))
            .fold(0.0, f64::hypot)
    };
    if length(0.0) <= rho {
        return 0.0;
    }
    let gradient = terms.iter().map(|term| term.along).fold(0.0, f64::hypot);
    let (mut low, mut high) = (0.0, gradient / rho);
    // Until no number lies between.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if length(middle) > rho {
            low = middle;
        } else {
            high = middle;
        }
    }
}
