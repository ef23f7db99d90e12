//! Keeping U well conditioned: steps multiply it, and its singular values wander.

use faer::MatRef;
use serde::{Deserialize, Serialize};
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use super::linear::product;
use super::state::{BLOCK, State};
use crate::ConfigError;
use crate::config::require;

/// When and how the singular values of U are put back in bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Steps from one control to the next, at least 1.
    pub period: usize,
    /// The singular value that others are put back to, above 0.
    pub target: f64,
    /// Least singular value that is let be, in units of the target; in (0, 1].
    pub low: f64,
    /// Largest singular value that is let be, in units of the target; at least 1.
    pub high: f64,
}

impl Stability {
    /// Every 100 steps, half to twice 1: the paper's.
    pub const DEFAULT: Self = Self {
        period: 100,
        target: 1.0,
        low: 0.5,
        high: 2.0,
    };

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        const NAME: &str = "factored_output";
        require(NAME, "period", self.period as f64, "at least 1", |n| n >= 1.0)?;
        require(NAME, "target", self.target, "above 0 and finite", |target| {
            target > 0.0 && target.is_finite()
        })?;
        require(NAME, "low", self.low, "above 0 and at most 1", |low| {
            low > 0.0 && low <= 1.0
        })?;
        require(NAME, "high", self.high, "at least 1", |high| high >= 1.0)?;
        Ok(())
    }

    fn keeps(&self, value: f64) -> bool {
        (self.low * self.target..=self.high * self.target).contains(&value)
    }
}

/// What a control did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stabilised {
    /// Nothing was out of bounds.
    Untouched,
    /// So many singular values were put back, at a cost of the order of `D d` each.
    Corrected(usize),
    /// More than a third was out of bounds, or U had no singular values: V took U in, at a cost of the order of `D d²`.
    Unfactorised,
}

/// A singular value of U that is to be another.
struct Correction {
    old: f64,
    /// Left singular vector.
    left: Vec<f64>,
    /// Right singular vector.
    right: Vec<f64>,
}

impl State {
    /// Puts singular values of U that are out of bounds back to the target and computes `U⁻¹` anew. `W`, `Q` and `w̄` stay.
    pub fn stabilise(&mut self, stability: &Stability) -> Stabilised {
        let done = match corrections(&self.u, self.width, stability) {
            Some(corrections) if 3 * corrections.len() <= self.width => {
                if corrections.is_empty() {
                    Stabilised::Untouched
                } else {
                    correct(
                        &mut self.u,
                        &mut self.v,
                        self.width,
                        &corrections,
                        stability.target,
                    );
                    Stabilised::Corrected(corrections.len())
                }
            }
            _ => {
                self.unfactorise();
                Stabilised::Unfactorised
            }
        };
        if done != Stabilised::Unfactorised {
            self.refresh_inverse();
        }
        done
    }
}

/// The singular values out of bounds, or none where they do not exist because U is not finite.
fn corrections(u: &[f64], width: usize, stability: &Stability) -> Option<Vec<Correction>> {
    let svd = MatRef::from_row_major_slice(u, width, width).svd().ok()?;
    let column = |matrix: MatRef<f64>, j: usize| (0..width).map(|i| matrix[(i, j)]).collect();
    let all = (0..width).map(|j| Correction {
        old: svd.S()[j],
        left: column(svd.U(), j),
        right: column(svd.V(), j),
    });
    Some(
        all.filter(|correction| !stability.keeps(correction.old))
            .collect(),
    )
}

/// `U ← C U` and `V ← V C⁻¹` with `C = P diag(target/old) Pᵀ` of the left singular vectors P.
fn correct(u: &mut [f64], v: &mut [f64], width: usize, corrections: &[Correction], target: f64) {
    let count = corrections.len();
    let lefts: Vec<f64> = corrections.iter().flat_map(|c| c.left.iter().copied()).collect();
    let lefts = Matrix::new(&lefts, count, width);
    // C U − U = Σ (target − old) p rᵀ.
    let raised: Vec<f64> = corrections
        .iter()
        .flat_map(|c| c.right.iter().map(|r| (target - c.old) * r))
        .collect();
    multiply(
        Work::Shared,
        u,
        1.0,
        1.0,
        lefts.transposed(),
        Matrix::new(&raised, count, width),
    );
    // V C⁻¹ − V = Σ (old/target − 1) (V p) pᵀ.
    let lowered: Vec<f64> = corrections
        .iter()
        .flat_map(|c| c.left.iter().map(|p| (c.old / target - 1.0) * p))
        .collect();
    let lowered = Matrix::new(&lowered, count, width);
    for rows in v.chunks_mut(BLOCK * width) {
        let size = rows.len() / width;
        let along = product(Matrix::new(rows, size, width), lefts.transposed(), size, count);
        multiply(
            Work::Shared,
            rows,
            1.0,
            1.0,
            Matrix::new(&along, size, count),
            lowered,
        );
    }
}

/// U, V and the singular values of U, descending, once those out of bounds are put back; whatever their number.
///
/// None where U has no singular values.
pub(super) fn stabilised(
    u: &[f64],
    v: &[f64],
    width: usize,
    stability: &Stability,
) -> Option<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (mut u, mut v) = (u.to_vec(), v.to_vec());
    let corrections = corrections(&u, width, stability)?;
    correct(&mut u, &mut v, width, &corrections, stability.target);
    let values = MatRef::from_row_major_slice(&u, width, width)
        .singular_values()
        .ok()?;
    Some((u, v, values))
}
