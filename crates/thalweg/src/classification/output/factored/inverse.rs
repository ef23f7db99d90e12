//! How U takes a step, and its inverse with it.

use faer::linalg::solvers::SolveCore;
use faer::{Conj, MatMut, MatRef};
use serde::{Deserialize, Serialize};
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use super::linear::{Buffers, add, dot, inverse, is_singular};

/// How the inverse of U is kept, which the rows of V need in every step. All are exact in exact arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InverseUpkeep {
    /// By Woodbury's identity, with an m × m inverse: of the order of `m d² + m² d + m³`. The paper's default.
    Woodbury,
    /// By m successive rank-one updates after Sherman and Morrison: of the order of `m d²`, without a matrix product.
    ShermanMorrison,
    /// Not kept: a system with U is solved in every step, of the order of `d³ + m d²`.
    Solve,
    /// Inverted anew in every step, of the order of `d³ + m d²`.
    Full,
}

impl InverseUpkeep {
    pub(super) fn keeps_inverse(self) -> bool {
        self != Self::Solve
    }
}

/// The step `U ← U (keep − η Hᵀ A)` with `A = 2 diag(∂ℓ/∂q) H`.
pub(super) struct Turn<'a> {
    /// H `[m, d]`.
    pub hidden: &'a [f64],
    /// `H Uᵀ` `[m, d]`.
    pub turned: &'a [f64],
    /// A `[m, d]`.
    pub pull: &'a [f64],
    /// `∂ℓ/∂q` of each sample.
    pub slopes: &'a [f64],
    pub learning_rate: f64,
    pub keep: f64,
}

/// U after a step.
pub(super) struct Turned {
    pub u: Vec<f64>,
    /// None where U is singular to rounding.
    pub inverse: Option<Inverse>,
}

/// What the step needs of the inverse of U, and what is kept of it.
pub(super) struct Inverse {
    /// `H U⁻¹` `[m, d]`.
    pub directions: Vec<f64>,
    /// `U⁻¹` `[d, d]`, where it is kept.
    pub kept: Option<Vec<f64>>,
}

impl Turn<'_> {
    /// U and its inverse after the step.
    pub fn apply(
        &self,
        u: &[f64],
        u_inverse: Option<&[f64]>,
        upkeep: InverseUpkeep,
        buffers: &Buffers,
    ) -> Turned {
        let d = self.pull.len() / self.slopes.len();
        let next = || {
            let mut next = buffers.copy(u);
            let (turned, pull) = (self.rows(self.turned, d), self.rows(self.pull, d));
            multiply(
                Work::Shared,
                &mut next,
                self.keep,
                -self.learning_rate,
                turned.transposed(),
                pull,
            );
            next
        };
        let (u, inverse) = match (upkeep, u_inverse) {
            (InverseUpkeep::Woodbury, Some(before)) => {
                rayon::join(next, || self.woodbury(before, d, buffers))
            }
            (InverseUpkeep::ShermanMorrison, Some(before)) => {
                rayon::join(next, || self.sherman_morrison(before, d, buffers))
            }
            (InverseUpkeep::Solve, _) => {
                let u = next();
                let inverse = self.solve(&u, d, buffers);
                (u, inverse)
            }
            _ => {
                let u = next();
                let inverse = self.invert(&u, d, buffers);
                (u, inverse)
            }
        };
        Turned { u, inverse }
    }

    fn rows<'b>(&self, data: &'b [f64], width: usize) -> Matrix<'b, f64> {
        Matrix::new(data, self.slopes.len(), width)
    }

    /// H times a `[d, d]` matrix.
    fn through(&self, matrix: &[f64], d: usize, buffers: &Buffers) -> Vec<f64> {
        let matrix = Matrix::new(matrix, d, d);
        buffers.product(self.rows(self.hidden, d), matrix, self.slopes.len(), d)
    }

    /// With `N = keep − 2η H Hᵀ diag(∂ℓ/∂q)`: `H U'⁻¹ = N⁻¹ H U⁻¹`, and `U'⁻¹ = (U⁻¹ + η Aᵀ (H U'⁻¹))/keep`.
    fn woodbury(&self, before: &[f64], d: usize, buffers: &Buffers) -> Option<Inverse> {
        let m = self.slopes.len();
        let small = || {
            let hidden = self.rows(self.hidden, d);
            let mut small = buffers.product(hidden, hidden.transposed(), m, m);
            for (i, row) in small.chunks_exact_mut(m).enumerate() {
                for (x, slope) in row.iter_mut().zip(self.slopes) {
                    *x *= -2.0 * self.learning_rate * slope;
                }
                row[i] += self.keep;
            }
            let inverted = inverse(&small, m);
            buffers.give([small]);
            inverted
        };
        let (small, start) = rayon::join(small, || self.through(before, d, buffers));
        let small = small?;
        let directions = buffers.product(self.rows(&small, m), self.rows(&start, d), m, d);
        buffers.give([start]);
        let mut after = buffers.copy(before);
        let (pull, towards) = (self.rows(self.pull, d).transposed(), self.rows(&directions, d));
        let share = 1.0 / self.keep;
        multiply(
            Work::Shared,
            &mut after,
            share,
            self.learning_rate * share,
            pull,
            towards,
        );
        Some(Inverse {
            directions,
            kept: Some(after),
        })
    }

    /// `(B⁻¹ − η r aᵀ)⁻¹ = B + η (B r)(aᵀ B)/(1 − η aᵀ B r)` for each sample, r a row of `H Uᵀ` and a one of A.
    fn sherman_morrison(&self, before: &[f64], d: usize, buffers: &Buffers) -> Option<Inverse> {
        let mut after: Vec<f64> = before.iter().map(|x| x / self.keep).collect();
        for (r, a) in self.turned.chunks_exact(d).zip(self.pull.chunks_exact(d)) {
            let left: Vec<f64> = after.chunks_exact(d).map(|row| dot(row, r)).collect();
            let mut right = vec![0.0; d];
            for (row, &a) in after.chunks_exact(d).zip(a) {
                add(&mut right, a, row);
            }
            let taken = self.learning_rate * dot(&right, r);
            let denominator = 1.0 - taken;
            if is_singular(denominator.abs(), 1.0 + taken.abs()) {
                return None;
            }
            for (row, left) in after.chunks_exact_mut(d).zip(left) {
                add(row, self.learning_rate * left / denominator, &right);
            }
        }
        Some(Inverse {
            directions: self.through(&after, d, buffers),
            kept: Some(after),
        })
    }

    fn invert(&self, u: &[f64], d: usize, buffers: &Buffers) -> Option<Inverse> {
        let inverse = inverse(u, d)?;
        Some(Inverse {
            directions: self.through(&inverse, d, buffers),
            kept: Some(inverse),
        })
    }

    /// `X U = H` for the U of now, by its LU decomposition; none where the pivots say that it is singular.
    fn solve(&self, u: &[f64], d: usize, buffers: &Buffers) -> Option<Inverse> {
        // Row-major memory read by columns is the transpose: Uᵀ Xᵀ = Hᵀ.
        let lu = MatRef::from_column_major_slice(u, d, d).partial_piv_lu();
        let pivots = (0..d).map(|i| lu.U()[(i, i)].abs());
        let (least, largest) = pivots.fold((f64::INFINITY, 0.0_f64), |(least, largest), pivot| {
            (least.min(pivot), largest.max(pivot))
        });
        if is_singular(least, largest) {
            return None;
        }
        let mut directions = buffers.copy(self.hidden);
        let right = MatMut::from_column_major_slice_mut(&mut directions, d, self.slopes.len());
        lu.solve_in_place_with_conj(Conj::No, right);
        Some(Inverse {
            directions,
            kept: None,
        })
    }
}
