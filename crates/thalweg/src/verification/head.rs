//! What a margin head makes of the cosine of a sample with its own class; other classes keep theirs.

use serde::{Deserialize, Serialize};

use super::{ArcFace, CosFace, MagFace};
use crate::ConfigError;
use crate::config::require;

/// A margin head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Head {
    /// No margin: the normalised softmax.
    Softmax,
    /// A margin of the cosine.
    CosFace(CosFace),
    /// A margin of the angle.
    ArcFace(ArcFace),
    /// A margin of the angle that grows with the norm of the features.
    MagFace(MagFace),
}

/// A cosine with its margin, and its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjusted {
    /// `t'`, the cosine with its margin.
    pub cosine: f64,
    /// `∂t'/∂t`.
    pub by_cosine: f64,
    /// `∂t'/∂‖x‖`.
    pub by_norm: f64,
}

/// How class weights begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightInit {
    /// Uniform in `±√(6/(classes + width))`.
    XavierUniform,
    /// Uniform in `±1`, each class then brought to length 1.
    UnitUniform,
}

impl Head {
    /// CosFace with a margin of the cosine.
    pub fn cos_face(margin: f64) -> Self {
        Self::CosFace(CosFace { margin })
    }

    /// ArcFace with a margin of the angle, radians.
    pub fn arc_face(margin: f64) -> Self {
        Self::ArcFace(ArcFace { margin })
    }

    /// The head itself, if its parameters are in their ranges.
    pub(super) fn checked(self) -> Result<Self, ConfigError> {
        match self {
            Self::Softmax => {}
            Self::CosFace(head) => head.check()?,
            Self::ArcFace(head) => head.check()?,
            Self::MagFace(head) => head.check()?,
        }
        Ok(self)
    }

    /// The cosine t of a sample with its own class, with the margin. `least` is what `1 − t²` is held above where it is
    /// divided by.
    pub fn adjusted(&self, cosine: f64, norm: f64, least: f64) -> Adjusted {
        match self {
            Self::Softmax => Adjusted {
                cosine,
                by_cosine: 1.0,
                by_norm: 0.0,
            },
            Self::CosFace(head) => head.adjusted(cosine),
            Self::ArcFace(head) => head.adjusted(cosine, least),
            Self::MagFace(head) => head.adjusted(cosine, norm, least),
        }
    }

    /// What the head adds to the loss for the norm of a sample's features, and its derivative by that norm.
    pub fn norm_penalty(&self, norm: f64) -> [f64; 2] {
        match self {
            Self::MagFace(head) => head.norm_penalty(norm),
            Self::Softmax | Self::CosFace(_) | Self::ArcFace(_) => [0.0; 2],
        }
    }

    /// How the class weights of its source begin.
    pub fn weight_init(&self) -> WeightInit {
        match self {
            Self::MagFace(_) => WeightInit::UnitUniform,
            Self::Softmax | Self::CosFace(_) | Self::ArcFace(_) => WeightInit::XavierUniform,
        }
    }
}

/// The cosine of an angle that is `margin` larger than that whose cosine is t.
pub(super) struct Turned {
    /// `cos(acos t + m)`.
    pub cosine: f64,
    /// `cos m + t sin m/√(1 − t²)`.
    pub by_cosine: f64,
    /// `−sin(acos t + m)`.
    pub by_margin: f64,
}

impl Turned {
    /// Rounding may have left t a little outside `[−1, 1]`. At its ends the derivative is infinite: `1 − t²` is held above
    /// `least`.
    pub fn new(cosine: f64, margin: f64, least: f64) -> Self {
        let t = cosine.clamp(-1.0, 1.0);
        let square = (1.0 - t) * (1.0 + t);
        let sine = square.sqrt();
        let (sin, cos) = margin.sin_cos();
        Self {
            cosine: t * cos - sine * sin,
            by_cosine: cos + t * sin / square.max(least).sqrt(),
            by_margin: -(sine * cos + t * sin),
        }
    }
}

/// A margin of an angle, from 0 to π.
pub(super) fn angle(
    objective: &'static str,
    parameter: &'static str,
    value: f64,
) -> Result<f64, ConfigError> {
    require(objective, parameter, value, "from 0 to π", |angle| {
        (0.0..=std::f64::consts::PI).contains(&angle)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn heads(margin: f64) -> [Head; 4] {
        [
            Head::Softmax,
            Head::CosFace(CosFace { margin }),
            Head::ArcFace(ArcFace { margin }),
            Head::MagFace(MagFace {
                l_margin: 0.2 * margin,
                u_margin: margin,
                l_a: 0.5,
                u_a: 4.0,
                lambda_g: 3.0,
            }),
        ]
    }

    proptest! {
        #[test]
        fn derivatives_are_slopes(margin in 0.0_f64..1.2, cosine in -0.99_f64..0.99, norm in 0.1_f64..6.0) {
            const STEP: f64 = 1e-6;
            prop_assume!(cosine.abs() > STEP && (norm - 0.5).abs() > STEP && (norm - 4.0).abs() > STEP);
            for head in heads(margin) {
                let at = |cosine, norm| head.adjusted(cosine, norm, 1e-12).cosine;
                let found = head.adjusted(cosine, norm, 1e-12);
                let by_cosine = (at(cosine + STEP, norm) - at(cosine - STEP, norm)) / (2.0 * STEP);
                let by_norm = (at(cosine, norm + STEP) - at(cosine, norm - STEP)) / (2.0 * STEP);
                prop_assert!((found.by_cosine - by_cosine).abs() < 1e-6 * (1.0 + by_cosine.abs()), "{head:?}");
                prop_assert!((found.by_norm - by_norm).abs() < 1e-6, "{head:?}");
                let penalty = |norm| head.norm_penalty(norm)[0];
                let slope = (penalty(norm + STEP) - penalty(norm - STEP)) / (2.0 * STEP);
                prop_assert!((head.norm_penalty(norm)[1] - slope).abs() < 1e-5 * (1.0 + slope.abs()), "{head:?}");
            }
        }

        #[test]
        fn a_margin_of_nothing_changes_nothing(cosine in -1.0_f64..=1.0, norm in 0.1_f64..6.0) {
            let plain = Head::Softmax.adjusted(cosine, norm, 1e-12);
            for head in heads(0.0) {
                let found = head.adjusted(cosine, norm, 1e-12);
                prop_assert_eq!((found.cosine, found.by_cosine), (plain.cosine, plain.by_cosine), "{:?}", head);
                prop_assert_eq!(found.by_norm, 0.0);
            }
        }

        #[test]
        fn one_margin_for_all_norms_is_arcface_with_an_easy_margin(
            margin in 0.0_f64..1.5, cosine in -1.0_f64..=1.0, norm in 0.1_f64..200.0,
        ) {
            let magnitude = Head::MagFace(MagFace { l_margin: margin, u_margin: margin, ..MagFace::default() });
            let found = magnitude.adjusted(cosine, norm, 1e-12);
            let expected = if cosine > 0.0 {
                Head::ArcFace(ArcFace { margin }).adjusted(cosine, norm, 1e-12)
            } else {
                Head::Softmax.adjusted(cosine, norm, 1e-12)
            };
            prop_assert_eq!(found.cosine, expected.cosine);
            prop_assert_eq!(found.by_cosine, expected.by_cosine);
            prop_assert_eq!(found.by_norm, 0.0);
        }
    }

    #[test]
    fn slopes_stay_finite_at_the_ends() {
        let head = Head::ArcFace(ArcFace { margin: 0.5 });
        for cosine in [1.0, -1.0, 1.0 + 1e-12, -1.0 - 1e-12] {
            let found = head.adjusted(cosine, 1.0, 1e-12);
            assert!((found.cosine - cosine.signum() * 0.5_f64.cos()).abs() < 1e-12);
            assert!((found.by_cosine - (0.5_f64.cos() + cosine.signum() * 0.5_f64.sin() * 1e6)).abs() < 1.0);
        }
    }

    #[test]
    fn margins_out_of_range_are_named() {
        let refused = |head: Head| head.checked().unwrap_err().to_string();
        assert!(refused(Head::CosFace(CosFace { margin: -0.1 })).contains("`margin` is -0.1"));
        assert!(refused(Head::ArcFace(ArcFace { margin: 3.2 })).contains("from 0 to π"));
        for (head, name) in [
            (
                MagFace {
                    l_a: 0.0,
                    ..MagFace::default()
                },
                "l_a",
            ),
            (
                MagFace {
                    u_a: 10.0,
                    ..MagFace::default()
                },
                "u_a",
            ),
            (
                MagFace {
                    u_margin: 0.4,
                    ..MagFace::default()
                },
                "u_margin",
            ),
            (
                MagFace {
                    l_margin: -1.0,
                    ..MagFace::default()
                },
                "l_margin",
            ),
            (
                MagFace {
                    lambda_g: f64::INFINITY,
                    ..MagFace::default()
                },
                "lambda_g",
            ),
        ] {
            assert!(refused(Head::MagFace(head)).contains(&format!("`{name}`")));
        }
    }
}
