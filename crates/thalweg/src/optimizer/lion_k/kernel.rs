//! The convex function K of Lion-K.

use serde::{Deserialize, Serialize};

use super::{Joint, Separable};
use crate::ConfigError;
use crate::config::require;

/// A convex function K, its slope, and its conjugate K*.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kernel {
    /// A sum over entries.
    Separable(Separable),
    /// A function of all entries together.
    Joint(Joint),
}

impl From<Separable> for Kernel {
    fn from(kernel: Separable) -> Self {
        Self::Separable(kernel)
    }
}

impl From<Joint> for Kernel {
    fn from(kernel: Joint) -> Self {
        Self::Joint(kernel)
    }
}

impl Kernel {
    /// Checks its numbers.
    ///
    /// # Errors
    /// When one is out of its range.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let (parameter, value, least, accepted) = match self {
            Self::Separable(Separable::L1 | Separable::HalfL2Squared)
            | Self::Joint(Joint::LInf | Joint::LogSumExp) => return Ok(self),
            Self::Separable(Separable::LpPower { p }) | Self::Joint(Joint::LpNorm { p }) => {
                ("p", p, 1.0, "above 1 and finite")
            }
            Self::Separable(
                Separable::SoftThresholdL1 { e } | Separable::Huber { e } | Separable::Relativistic { e },
            ) => ("e", e, 0.0, "above 0 and finite"),
            Self::Separable(Separable::LogCosh { a }) => ("a", a, 0.0, "above 0 and finite"),
            Self::Joint(Joint::TopKL1 { k }) => ("k", k as f64, 0.0, "at least 1"),
            Self::Joint(Joint::GroupL2 { size }) => ("group_size", size as f64, 0.0, "at least 1"),
            Self::Joint(Joint::Nuclear { rows }) => ("rows", rows as f64, 0.0, "at least 1"),
        };
        require("lion_k", parameter, value, accepted, |value| {
            value > least && value.is_finite()
        })?;
        Ok(self)
    }

    /// Checks that vectors of so many numbers can be given to it.
    ///
    /// # Errors
    /// When they are no matrix of its rows.
    pub fn fits(self, length: usize) -> Result<(), ConfigError> {
        let Self::Joint(Joint::Nuclear { rows }) = self else {
            return Ok(());
        };
        let accepted = "a divisor of the number of entries";
        require("lion_k", "rows", rows as f64, accepted, |_| {
            length.is_multiple_of(rows)
        })
        .map(drop)
    }

    /// The kernel of a tensor whose first dimension has so many rows: [`Joint::Nuclear`] takes it for their matrix.
    #[must_use]
    pub fn of_rows(self, rows: usize) -> Self {
        match self {
            Self::Joint(Joint::Nuclear { .. }) => Joint::Nuclear { rows }.into(),
            kernel => kernel,
        }
    }

    /// K(m).
    pub fn value(self, m: &[f64]) -> f64 {
        match self {
            Self::Separable(kernel) => m.iter().map(|&m| kernel.value(m)).sum(),
            Self::Joint(kernel) => kernel.value(m),
        }
    }

    /// ∂K(m), written into `slope`; the zero element at kinks.
    pub fn slope(self, m: &[f64], slope: &mut [f64]) {
        match self {
            Self::Separable(kernel) => {
                let each = slope.iter_mut().zip(m);
                each.for_each(|(slope, &m)| *slope = kernel.slope(m));
            }
            Self::Joint(kernel) => kernel.slope(m, slope),
        }
    }

    /// K*(y); none where it is infinite, by more than 1e-12.
    pub fn conjugate(self, y: &[f64]) -> Option<f64> {
        match self {
            Self::Separable(kernel) => y.iter().map(|&y| kernel.conjugate(y)).sum(),
            Self::Joint(kernel) => kernel.conjugate(y),
        }
    }

    /// A slope of K* at y in its domain: zero where many are.
    pub fn conjugate_slope(self, y: &[f64]) -> Vec<f64> {
        let mut slope = vec![0.0; y.len()];
        match self {
            Self::Separable(kernel) => {
                let each = slope.iter_mut().zip(y);
                each.for_each(|(slope, &y)| *slope = kernel.conjugate_slope(y));
            }
            Self::Joint(kernel) => kernel.conjugate_slope(y, &mut slope),
        }
        slope
    }

    /// The Euclidean distance of y to where K* is finite.
    pub fn domain_distance(self, y: &[f64]) -> f64 {
        let mut nearest = y.to_vec();
        match self {
            Self::Separable(kernel) => nearest.iter_mut().for_each(|y| *y = kernel.project(*y)),
            Self::Joint(kernel) => kernel.project(&mut nearest),
        }
        let gaps = y.iter().zip(&nearest).map(|(y, nearest)| y - nearest);
        gaps.map(|gap| gap * gap).sum::<f64>().sqrt()
    }

    /// `argmin_y K*(y) + ‖y − v‖²/(2s)`, in place.
    pub(super) fn conjugate_proximal(self, v: &mut [f64], s: f64) {
        match self {
            Self::Separable(kernel) => v.iter_mut().for_each(|v| *v = kernel.conjugate_proximal(*v, s)),
            Self::Joint(kernel) => kernel.conjugate_proximal(v, s),
        }
    }
}
