//! MagFace: a margin of the angle that grows with the norm `a = ‖x‖` of the features, so that norms come to tell quality.
//!
//! - `t' = cos(acos t + m(a))` where `t > 0`, t itself elsewhere ("easy margin");
//! - `m(a) = l_m + (u_m − l_m)(a − l_a)/(u_a − l_a)`, a held within `[l_a, u_a]`;
//! - beside the loss, `λ_g` times the mean of `g(a) = a/u_a² + 1/a`, which falls until `u_a`.
//!
//! Outside `[l_a, u_a]` nothing follows from the norm.
//!
//! Source: Meng, Zhao, Huang, Zhou, "MagFace: a universal representation for face recognition and quality assessment",
//! CVPR 2021 (arXiv 2103.06627).

use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::error::{Problem, VerificationError};
use super::head::{Adjusted, Turned, angle};
use super::{Head, MarginSoftmaxLoss, units};
use crate::bridge::{constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::config::require;
use crate::quantity::{Case, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// The head of MagFace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MagFace {
    /// Margin at the lower norm, in radians, from 0 to π.
    pub l_margin: f64,
    /// Margin at the upper norm, in radians, from the lower one to π.
    pub u_margin: f64,
    /// Lower norm, above 0.
    pub l_a: f64,
    /// Upper norm, above the lower one.
    pub u_a: f64,
    /// Weight λ_g of the norm regulariser, at least 0.
    pub lambda_g: f64,
}

impl Default for MagFace {
    fn default() -> Self {
        Self {
            l_margin: 0.45,
            u_margin: 0.8,
            l_a: 10.0,
            u_a: 110.0,
            lambda_g: 35.0,
        }
    }
}

impl MagFace {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self {
            l_margin,
            u_margin,
            l_a,
            u_a,
            lambda_g,
        } = *self;
        let require = |parameter, value, accepted, holds: bool| {
            require("magface", parameter, value, accepted, |_| holds).map(drop)
        };
        angle("magface", "l_margin", l_margin)?;
        angle("magface", "u_margin", u_margin)?;
        require("u_margin", u_margin, "at least l_margin", u_margin >= l_margin)?;
        require("l_a", l_a, "above 0", l_a > 0.0)?;
        require("u_a", u_a, "above l_a and finite", u_a > l_a && u_a.is_finite())?;
        let valid = (0.0..f64::INFINITY).contains(&lambda_g);
        require("lambda_g", lambda_g, "at least 0 and finite", valid)
    }

    /// The margin of features of a norm, and its derivative by that norm.
    pub fn margin(&self, norm: f64) -> [f64; 2] {
        let (held, follows) = self.held(norm);
        let slope = (self.u_margin - self.l_margin) / (self.u_a - self.l_a);
        [self.l_margin + slope * (held - self.l_a), follows * slope]
    }

    /// `λ_g g(a)` of features of norm a, and its derivative by that norm.
    pub fn norm_penalty(&self, norm: f64) -> [f64; 2] {
        let (held, follows) = self.held(norm);
        let share = 1.0 / (self.u_a * self.u_a);
        [
            self.lambda_g * (held * share + 1.0 / held),
            self.lambda_g * follows * (share - 1.0 / (held * held)),
        ]
    }

    /// The norm held in its range, and its derivative.
    fn held(&self, norm: f64) -> (f64, f64) {
        let within = (self.l_a..=self.u_a).contains(&norm);
        (norm.clamp(self.l_a, self.u_a), f64::from(u8::from(within)))
    }

    pub(super) fn adjusted(&self, cosine: f64, norm: f64, least: f64) -> Adjusted {
        if cosine <= 0.0 {
            return Adjusted {
                cosine,
                by_cosine: 1.0,
                by_norm: 0.0,
            };
        }
        let [margin, slope] = self.margin(norm);
        let turned = Turned::new(cosine, margin, least);
        Adjusted {
            cosine: turned.cosine,
            by_cosine: turned.by_cosine,
            by_norm: turned.by_margin * slope,
        }
    }

    /// `λ_g` times the mean of `g(a)` over a batch.
    ///
    /// # Shapes
    /// - features `[batch, width]`; returns `[1]`.
    ///
    /// # Errors
    /// When there are no features, or they are not finite.
    ///
    /// # Panics
    /// When the head's parameters are out of their ranges.
    pub fn norm_regularizer(&self, features: Tensor<2>) -> Result<Tensor<1>, VerificationError> {
        let [count, width] = features.dims();
        if count * width == 0 {
            return Err(VerificationError::new("features", Problem::Empty));
        }
        let mut slopes = host_scores(&features);
        let mut total = 0.0;
        for (row, values) in slopes.chunks_exact_mut(width).enumerate() {
            let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !norm.is_finite() {
                return Err(VerificationError::new("features", units::problem(values, row)));
            }
            let [penalty, slope] = self.norm_penalty(norm);
            total += penalty;
            // A row of zeros is below the range, and its slope 0.
            let factor = if slope == 0.0 {
                0.0
            } else {
                slope / (norm * count as f64)
            };
            values.iter_mut().for_each(|x| *x *= factor);
        }
        let (device, dtype) = (features.device(), features.dtype());
        let value = constant(vec![total / count as f64], [1], &device, dtype);
        let slopes = constant::<2, f64>(slopes, [count, width], &device, dtype);
        Ok(with_gradients(value, [(features, slopes)]))
    }
}

/// Configuration of the MagFace loss.
#[derive(Config, Debug)]
pub struct MagFaceLossConfig {
    /// Margin at the lower norm, in radians, from 0 to π.
    #[config(default = 0.45)]
    pub l_margin: f64,
    /// Margin at the upper norm, in radians, from the lower one to π.
    #[config(default = 0.8)]
    pub u_margin: f64,
    /// Lower norm, above 0.
    #[config(default = 10.0)]
    pub l_a: f64,
    /// Upper norm, above the lower one.
    #[config(default = 110.0)]
    pub u_a: f64,
    /// Weight of the norm regulariser, at least 0.
    #[config(default = 35.0)]
    pub lambda_g: f64,
    /// Scale s of cosines, above 0.
    #[config(default = 64.0)]
    pub scale: f64,
    /// How the losses of samples become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl MagFaceLossConfig {
    /// The head of the loss.
    pub fn head(&self) -> MagFace {
        MagFace {
            l_margin: self.l_margin,
            u_margin: self.u_margin,
            l_a: self.l_a,
            u_a: self.u_a,
            lambda_g: self.lambda_g,
        }
    }

    /// The loss, its norm regulariser with it.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<MarginSoftmaxLoss, ConfigError> {
        MarginSoftmaxLoss::new(Head::MagFace(self.head()), self.scale, self.reduction)
    }
}

impl Case<'_> {
    /// MagFace by the parameters `l_margin`, `u_margin`, `l_a` and `u_a`, without its regulariser.
    pub(super) fn mag_face(&self) -> Result<MagFace, QuantityError> {
        Ok(MagFace {
            l_margin: self.param("l_margin")?,
            u_margin: self.param("u_margin")?,
            l_a: self.param("l_a")?,
            u_a: self.param("u_a")?,
            lambda_g: 0.0,
        })
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let preset = MagFace::default();
    vec![
        Quantity::new(
            "magface_norm_regularizer",
            "mean over features of a/u_a² + 1/a, a their norm held in its range, and its gradient",
        )
        .param("l_a", preset.l_a)
        .param("u_a", preset.u_a)
        .input("features", "[n, d]")
        .eval(|case| {
            let head = MagFace {
                l_a: case.param("l_a")?,
                u_a: case.param("u_a")?,
                lambda_g: 1.0,
                ..MagFace::default()
            };
            head.check()?;
            let features = case.variable::<2>("features");
            let value = head.norm_regularizer(features.clone())?;
            Ok(case.value_and_gradients(value, &[("features", &features)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_is_flat_at_the_upper_norm_and_beyond() {
        let head = MagFace::default();
        assert_eq!(head.norm_penalty(head.u_a)[1], 0.0);
        assert_eq!(head.norm_penalty(500.0), [35.0 * 2.0 / 110.0, 0.0]);
        assert!(head.norm_penalty(20.0)[1] < 0.0 && head.norm_penalty(5.0)[1] == 0.0);
        assert_eq!(head.margin(10.0)[0], 0.45);
        assert!((head.margin(110.0)[0] - 0.8).abs() < 1e-15);
    }
}
