//! Kernels that look at all entries together.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::norm;
use super::root::root;
use super::separable::{TOLERANCE, sign, x_log_x};

/// A convex function of a whole vector, or of a matrix in row order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joint {
    /// `(Σ|m|ᵖ)^(1/p)`.
    LpNorm {
        /// p above 1.
        p: f64,
    },
    /// `max |m|`: one entry moves.
    LInf,
    /// The sum of the k largest `|m|`; of equal ones the first count.
    TopKL1 {
        /// How many, at least 1.
        k: usize,
    },
    /// The sum of the Euclidean norms of consecutive groups, the last one shorter where it must be.
    GroupL2 {
        /// Entries of a group, at least 1.
        size: usize,
    },
    /// `log Σ exp(m)`: exponentiated updates on the simplex.
    LogSumExp,
    /// The sum of the singular values: Muon.
    Nuclear {
        /// Rows of the matrix, at least 1.
        rows: usize,
    },
}

impl Joint {
    /// K(m).
    pub fn value(self, m: &[f64]) -> f64 {
        match self {
            Self::LpNorm { p } => lp_norm(m, p),
            Self::LInf => largest(m),
            Self::TopKL1 { k } => strongest(m, k).iter().map(|&at| m[at].abs()).sum(),
            Self::GroupL2 { size } => m.chunks(size).map(norm).sum(),
            Self::LogSumExp => {
                let top = m.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                top + m.iter().map(|m| (m - top).exp()).sum::<f64>().ln()
            }
            Self::Nuclear { rows } => singular(m, rows).values.iter().sum(),
        }
    }

    /// ∂K(m), written into `slope`; 0 where there is no one slope, NaN where an entry it depends on is.
    pub fn slope(self, m: &[f64], slope: &mut [f64]) {
        if m.iter().any(|m| m.is_nan()) {
            return slope.fill(f64::NAN);
        }
        slope.fill(0.0);
        let each = slope.iter_mut().zip(m);
        match self {
            Self::LpNorm { p } => {
                let norm = lp_norm(m, p);
                if norm > 0.0 {
                    each.for_each(|(slope, &m)| *slope = sign(m) * (m.abs() / norm).powf(p - 1.0));
                }
            }
            Self::LInf => {
                let top = largest(m);
                if let Some(at) = m.iter().position(|m| m.abs() == top) {
                    slope[at] = sign(m[at]);
                }
            }
            Self::TopKL1 { k } => {
                for at in strongest(m, k) {
                    slope[at] = sign(m[at]);
                }
            }
            Self::GroupL2 { size } => {
                for (slope, m) in slope.chunks_mut(size).zip(m.chunks(size)) {
                    let norm = norm(m);
                    if norm > 0.0 {
                        let each = slope.iter_mut().zip(m);
                        each.for_each(|(slope, m)| *slope = m / norm);
                    }
                }
            }
            Self::LogSumExp => {
                let value = self.value(m);
                each.for_each(|(slope, m)| *slope = (m - value).exp());
            }
            Self::Nuclear { rows } => {
                let singular = singular(m, rows);
                let least = singular.least();
                singular.rebuilt(slope, |value| if value > least { 1.0 } else { 0.0 });
            }
        }
    }

    /// K*(y); none where it is infinite. That of a norm is 0 on the unit ball of the dual norm.
    pub fn conjugate(self, y: &[f64]) -> Option<f64> {
        let within = |norm: f64, most: f64| (norm <= most + TOLERANCE).then_some(0.0);
        match self {
            Self::LpNorm { p } => within(lp_norm(y, p / (p - 1.0)), 1.0),
            Self::LInf => within(y.iter().map(|y| y.abs()).sum(), 1.0),
            Self::TopKL1 { k } => {
                within(largest(y), 1.0)?;
                within(y.iter().map(|y| y.abs()).sum(), k as f64)
            }
            Self::GroupL2 { size } => within(y.chunks(size).map(norm).fold(0.0, f64::max), 1.0),
            Self::LogSumExp => {
                let sum: f64 = y.iter().sum();
                let on_simplex = (sum - 1.0).abs() <= TOLERANCE && y.iter().all(|&y| y >= -TOLERANCE);
                on_simplex.then(|| y.iter().map(|&y| x_log_x(y)).sum())
            }
            Self::Nuclear { rows } => {
                within(singular(y, rows).values.iter().copied().fold(0.0, f64::max), 1.0)
            }
        }
    }

    /// A slope of K* at y in its domain, written into `slope`: 0 inside a ball.
    pub fn conjugate_slope(self, y: &[f64], slope: &mut [f64]) {
        slope.fill(0.0);
        if self == Self::LogSumExp {
            let each = slope.iter_mut().zip(y);
            each.for_each(|(slope, y)| *slope = 1.0 + y.ln());
        }
    }

    /// The nearest point where K* is finite, in place.
    pub fn project(self, y: &mut [f64]) {
        match self {
            _ if self.conjugate(y).is_some() => {}
            Self::LpNorm { p } => onto_ball(y, p / (p - 1.0)),
            Self::LInf => shrink(y, f64::INFINITY, 1.0),
            Self::TopKL1 { k } => shrink(y, 1.0, k as f64),
            Self::GroupL2 { size } => {
                for group in y.chunks_mut(size) {
                    let norm = norm(group);
                    if norm > 1.0 {
                        group.iter_mut().for_each(|y| *y /= norm);
                    }
                }
            }
            Self::LogSumExp => {
                let low = y.iter().copied().fold(f64::INFINITY, f64::min) - 1.0;
                let high = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum = |shift: f64| y.iter().map(|y| (y - shift).max(0.0)).sum::<f64>();
                let shift = root(low, high, |shift| 1.0 - sum(shift));
                y.iter_mut().for_each(|y| *y = (*y - shift).max(0.0));
            }
            Self::Nuclear { rows } => singular(y, rows).rebuilt(y, |value| value.min(1.0)),
        }
    }

    /// `argmin_y K*(y) + ‖y − v‖²/(2s)`, in place.
    pub(super) fn conjugate_proximal(self, v: &mut [f64], s: f64) {
        if self != Self::LogSumExp {
            return self.project(v);
        }
        // y + s (1 + log y) + ν = v entry by entry, ν such that the entries sum to 1.
        let log_entry = |v: f64| {
            let reach = v.abs() / s + 2.0 + v.abs().ln_1p();
            root(-reach, reach, |log: f64| log.exp() + s * (1.0 + log) - v)
        };
        let sum = |shift: f64| v.iter().map(|v| log_entry(v - shift).exp()).sum::<f64>();
        let top = v.iter().fold(0.0, |top: f64, v| top.max(v.abs()));
        let reach = top + s * (2.0 + (v.len() as f64).ln()) + 2.0;
        let shift = root(-reach, reach, |shift| 1.0 - sum(shift));
        v.iter_mut().for_each(|v| *v = log_entry(*v - shift).exp());
    }
}

fn largest(m: &[f64]) -> f64 {
    m.iter().map(|m| m.abs()).fold(0.0, f64::max)
}

/// Scaled by the largest entry, so that powers neither overflow nor vanish.
fn lp_norm(m: &[f64], p: f64) -> f64 {
    let top = largest(m);
    if top == 0.0 {
        return 0.0;
    }
    let sum: f64 = m.iter().map(|m| (m.abs() / top).powf(p)).sum();
    top * sum.powf(1.0 / p)
}

/// Where the k largest sizes are; the first of equal ones.
fn strongest(m: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..m.len()).collect();
    order.sort_by(|&a, &b| m[b].abs().total_cmp(&m[a].abs()).then(a.cmp(&b)));
    order.truncate(k);
    order
}

/// Sizes less by one number, kept in `[0, most]`, so that they sum to `sum` at most.
fn shrink(y: &mut [f64], most: f64, sum: f64) {
    let kept = |y: f64, by: f64| (y.abs() - by).clamp(0.0, most);
    let total = |by: f64| y.iter().map(|&y| kept(y, by)).sum::<f64>();
    let by = if total(0.0) <= sum {
        0.0
    } else {
        root(0.0, largest(y), |by| sum - total(by))
    };
    y.iter_mut().for_each(|y| *y = sign(*y) * kept(*y, by));
}

/// Onto `Σ|y|^q ≤ 1`, q above 1: every size solves `y + μ q y^(q−1) = |v|`.
fn onto_ball(y: &mut [f64], q: f64) {
    if q == 2.0 {
        let norm = norm(y);
        return y.iter_mut().for_each(|y| *y /= norm);
    }
    let size = |v: f64, mu: f64| root(0.0, v.abs(), |y| y + mu * q * y.powf(q - 1.0) - v.abs());
    let power = |mu: f64| y.iter().map(|&v| size(v, mu).powf(q)).sum::<f64>();
    let mut high = 1.0;
    while power(high) > 1.0 {
        high *= 2.0;
    }
    let mu = root(0.0, high, |mu| 1.0 - power(mu));
    y.iter_mut().for_each(|y| *y = sign(*y) * size(*y, mu));
}

/// The singular value decomposition of a matrix in row order.
struct Singular {
    left: Mat<f64>,
    values: Vec<f64>,
    right: Mat<f64>,
}

fn singular(m: &[f64], rows: usize) -> Singular {
    let columns = m.len() / rows;
    let matrix = Mat::from_fn(rows, columns, |row, column| m[row * columns + column]);
    let decomposed = matrix.thin_svd();
    let decomposed = decomposed.expect("singular values of finite numbers converge");
    Singular {
        left: decomposed.U().to_owned(),
        values: decomposed.S().column_vector().iter().copied().collect(),
        right: decomposed.V().to_owned(),
    }
}

impl Singular {
    /// Singular values up to here are rounding.
    fn least(&self) -> f64 {
        let top = self.values.iter().copied().fold(0.0, f64::max);
        let side = self.left.nrows().max(self.right.nrows());
        top * f64::EPSILON * side as f64
    }

    /// The matrix with other singular values, in row order.
    fn rebuilt(&self, out: &mut [f64], change: impl Fn(f64) -> f64) {
        let changed: Vec<f64> = self.values.iter().map(|&value| change(value)).collect();
        let columns = self.right.nrows();
        for (row, out) in out.chunks_exact_mut(columns).enumerate() {
            for (column, out) in out.iter_mut().enumerate() {
                let along = |k: usize| self.left[(row, k)] * self.right[(column, k)];
                *out = changed
                    .iter()
                    .enumerate()
                    .map(|(k, value)| value * along(k))
                    .sum();
            }
        }
    }
}
