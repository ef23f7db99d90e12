//! Kernels that are a sum over entries: one function of a number, its slope, and its conjugate.

use serde::{Deserialize, Serialize};

use super::root::root;

/// How far outside its domain a number counts as rounding.
pub(super) const TOLERANCE: f64 = 1e-12;

/// A sum over entries of a convex function k.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Separable {
    /// `|m|`: Lion.
    L1,
    /// `½ m²`: heavy ball with L2 regularisation.
    HalfL2Squared,
    /// `|m|ᵖ/p`.
    LpPower {
        /// p above 1.
        p: f64,
    },
    /// `max(|m| − e, 0)`: sparse Lion, nothing moves below e.
    SoftThresholdL1 {
        /// Threshold e above 0.
        e: f64,
    },
    /// `m²/(2e)` up to e, `|m| − e/2` beyond.
    Huber {
        /// Where it turns, e above 0.
        e: f64,
    },
    /// `√(m² + e²)`.
    Relativistic {
        /// Width e above 0.
        e: f64,
    },
    /// `log cosh(a m)/a`.
    LogCosh {
        /// Sharpness a above 0.
        a: f64,
    },
}

impl Separable {
    /// k(m).
    pub fn value(self, m: f64) -> f64 {
        let size = m.abs();
        match self {
            Self::L1 => size,
            Self::HalfL2Squared => 0.5 * m * m,
            Self::LpPower { p } => size.powf(p) / p,
            Self::SoftThresholdL1 { e } => (size - e).max(0.0),
            Self::Huber { e } if size <= e => m * m / (2.0 * e),
            Self::Huber { e } => size - 0.5 * e,
            Self::Relativistic { e } => m.hypot(e),
            Self::LogCosh { a } => {
                let z = a * size;
                (z + (-2.0 * z).exp().ln_1p() - std::f64::consts::LN_2) / a
            }
        }
    }

    /// k′(m); 0 at a kink, NaN of NaN.
    pub fn slope(self, m: f64) -> f64 {
        match self {
            Self::L1 => sign(m),
            Self::HalfL2Squared => m,
            Self::LpPower { p } => sign(m) * m.abs().powf(p - 1.0),
            Self::SoftThresholdL1 { e } if m.abs() <= e => 0.0,
            Self::SoftThresholdL1 { .. } => sign(m),
            Self::Huber { e } => m.clamp(-e, e) / e,
            Self::Relativistic { e } => m / m.hypot(e),
            Self::LogCosh { a } => (a * m).tanh(),
        }
    }

    /// Whether slopes stay within ±1, so that the conjugate is finite there alone.
    fn is_bounded(self) -> bool {
        !matches!(self, Self::HalfL2Squared | Self::LpPower { .. })
    }

    /// k*(y); none where it is infinite.
    pub fn conjugate(self, y: f64) -> Option<f64> {
        if self.is_bounded() && (y.is_nan() || y.abs() > 1.0 + TOLERANCE) {
            return None;
        }
        Some(match self {
            Self::L1 => 0.0,
            Self::HalfL2Squared => 0.5 * y * y,
            Self::LpPower { p } => {
                let q = p / (p - 1.0);
                y.abs().powf(q) / q
            }
            Self::SoftThresholdL1 { e } => e * y.abs(),
            Self::Huber { e } => 0.5 * e * y * y,
            Self::Relativistic { e } => -e * ((1.0 - y) * (1.0 + y)).max(0.0).sqrt(),
            Self::LogCosh { a } => (x_log_x(1.0 + y) + x_log_x(1.0 - y)) / (2.0 * a),
        })
    }

    /// A slope of k* at y in its domain: 0 where many are.
    pub fn conjugate_slope(self, y: f64) -> f64 {
        match self {
            Self::L1 => 0.0,
            Self::HalfL2Squared => y,
            Self::LpPower { p } => sign(y) * y.abs().powf(1.0 / (p - 1.0)),
            Self::SoftThresholdL1 { e } => e * sign(y),
            Self::Huber { e } => e * y,
            Self::Relativistic { e } => e * y / ((1.0 - y) * (1.0 + y)).sqrt(),
            Self::LogCosh { a } => y.atanh() / a,
        }
    }

    /// The nearest number where k* is finite.
    pub fn project(self, y: f64) -> f64 {
        if self.is_bounded() { y.clamp(-1.0, 1.0) } else { y }
    }

    /// `argmin_y k*(y) + (y − v)²/(2s)`.
    pub(super) fn conjugate_proximal(self, v: f64, s: f64) -> f64 {
        let within = |farthest: f64, slope: &dyn Fn(f64) -> f64| {
            let size = v.abs();
            sign(v) * root(0.0, size.min(farthest), |y| y + s * slope(y) - size)
        };
        match self {
            Self::L1 => v.clamp(-1.0, 1.0),
            Self::HalfL2Squared => v / (1.0 + s),
            Self::SoftThresholdL1 { e } => sign(v) * (v.abs() - s * e).clamp(0.0, 1.0),
            Self::Huber { e } => (v / (1.0 + s * e)).clamp(-1.0, 1.0),
            Self::LpPower { .. } => within(f64::INFINITY, &|y| self.conjugate_slope(y)),
            Self::Relativistic { .. } | Self::LogCosh { .. } => within(1.0, &|y| self.conjugate_slope(y)),
        }
    }
}

/// The sign of 0 is 0, that of NaN NaN.
pub(super) fn sign(m: f64) -> f64 {
    if m > 0.0 {
        1.0
    } else if m < 0.0 {
        -1.0
    } else {
        m * 0.0
    }
}

/// `x log x`, 0 at 0 and for what rounding put below.
pub(super) fn x_log_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}
