//! The members of the family as one type, for whatever takes any of them.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::batch::RowKernel;
use thalweg_kernels::spherical::{Member, Moments, OfMoments, Slopes};

use super::SphericalFormula;
use super::spherical_softmax::SphericalSoftmax;
use super::squared_error::SquaredError;
use super::taylor_softmax::TaylorSoftmax;
use super::z_loss::ZLoss;
use crate::bridge::{constant, with_gradients};
use crate::classification::LogitLoss;
use crate::classification::rowwise::FusedLoss;
use crate::config::require;
use crate::{ConfigError, Reduction};

/// A member of the spherical family, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SphericalMember {
    /// `softplus(a (b − z_c))/a`.
    ZLoss {
        /// Sharpness a, above 0: large is the hinge `max(0, b − z_c)`.
        a: f64,
        /// The standardised score b that a target is to reach.
        b: f64,
    },
    /// `‖o − onehot(c)‖²`; of several targets, the squared distance to their multi-hot vector.
    SquaredError,
    /// `−log((1 + o_c + o_c²/2) / (D + s + q/2))`.
    TaylorSoftmax,
    /// `−log((o_c² + ε) / (q + D ε))`.
    SphericalSoftmax {
        /// Stabiliser ε, above 0.
        epsilon: f64,
    },
}

/// Per-sample statistics of a row of scores, `[batch]` each.
#[derive(Clone, Debug)]
pub struct RowStatistics {
    /// `s = Σ_k o_k`.
    pub sum: Tensor<1>,
    /// `q = Σ_k o_k²`.
    pub sum_squares: Tensor<1>,
    /// `o_c`.
    pub target: Tensor<1>,
}

impl SphericalMember {
    /// The same member, once its parameters are found to be in their ranges.
    ///
    /// # Errors
    /// When one is not.
    pub fn checked(self) -> Result<Self, ConfigError> {
        match self {
            Self::ZLoss { a, b } => {
                require("z_loss", "a", a, "above 0 and finite", |a| {
                    a > 0.0 && a.is_finite()
                })?;
                require("z_loss", "b", b, "finite", f64::is_finite)?;
            }
            Self::SphericalSoftmax { epsilon } => {
                require(
                    "spherical_softmax",
                    "epsilon",
                    epsilon,
                    "above 0 and finite",
                    |epsilon| epsilon > 0.0 && epsilon.is_finite(),
                )?;
            }
            Self::SquaredError | Self::TaylorSoftmax => {}
        }
        Ok(self)
    }

    /// The loss of logits and labels.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(self, reduction: Reduction) -> Result<LogitLoss, ConfigError> {
        Ok(LogitLoss::of_kernel(self.checked()?, reduction))
    }

    /// The loss of rows that are known by their statistics alone, with gradients for each of these: `[1]`, or `[batch]` for
    /// [`Reduction::None`]. A variance that rounding made negative counts as 0. Computed on the host in f64.
    ///
    /// # Panics
    /// When the statistics differ in length, or there are none.
    pub fn of_statistics(
        &self,
        statistics: &RowStatistics,
        classes: usize,
        reduction: Reduction,
    ) -> Tensor<1> {
        let RowStatistics {
            sum,
            sum_squares,
            target,
        } = statistics;
        let read = |tensor: &Tensor<1>| {
            let data = tensor.clone().detach().into_data();
            data.try_into_vec_as::<f64>().expect("float tensors read as f64")
        };
        let (s, q, o) = (read(sum), read(sum_squares), read(target));
        assert!(!s.is_empty(), "an empty batch has no loss");
        assert!(
            s.len() == q.len() && s.len() == o.len(),
            "{} sums, {} sums of squares and {} target logits",
            s.len(),
            q.len(),
            o.len()
        );
        let scale = reduction.scale(s.len());
        let rows = s.iter().zip(&q).zip(&o).map(|((&s, &q), &o)| {
            let moments = Moments::of_sums(classes, s, q, o);
            let slopes = self.slopes(&moments);
            let by_sum = slopes.by_sum(moments.mean);
            [slopes.loss, by_sum, slopes.by_sum_squares(), slopes.target]
        });
        let rows: Vec<_> = rows.collect();
        let (device, dtype) = (sum.device(), sum.dtype());
        let column = |index: usize, scale: f64| {
            let values: Vec<f64> = rows.iter().map(|row| row[index] * scale).collect();
            constant(values, [s.len()], &device, dtype)
        };
        let losses = column(0, 1.0);
        with_gradients(
            reduction.of(losses),
            [
                (sum.clone(), column(1, scale)),
                (sum_squares.clone(), column(2, scale)),
                (target.clone(), column(3, scale)),
            ],
        )
    }
}

impl Member for SphericalMember {
    fn slopes(&self, moments: &Moments) -> Slopes {
        match *self {
            Self::ZLoss { a, b } => ZLoss { a, b }.slopes(moments),
            Self::SquaredError => SquaredError.slopes(moments),
            Self::TaylorSoftmax => TaylorSoftmax.slopes(moments),
            Self::SphericalSoftmax { epsilon } => SphericalSoftmax { epsilon }.slopes(moments),
        }
    }
}

impl FusedLoss for SphericalMember {
    fn kernel(&self) -> impl RowKernel {
        OfMoments(self)
    }

    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match *self {
            Self::ZLoss { a, b } => ZLoss { a, b }.composed(logits, targets),
            Self::SquaredError => SquaredError.composed(logits, targets),
            Self::TaylorSoftmax => TaylorSoftmax.composed(logits, targets),
            Self::SphericalSoftmax { epsilon } => SphericalSoftmax { epsilon }.composed(logits, targets),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::super::rowwise::tests::*;
    use super::super::{sums, target_logit};
    use super::*;

    const MEMBERS: [SphericalMember; 5] = [
        SphericalMember::ZLoss { a: 0.7, b: 2.0 },
        SphericalMember::ZLoss { a: 0.1, b: 20.0 },
        SphericalMember::SquaredError,
        SphericalMember::TaylorSoftmax,
        SphericalMember::SphericalSoftmax { epsilon: 0.02 },
    ];

    #[test]
    fn kernels_and_compositions_agree() {
        for member in MEMBERS {
            kernel_equals_composition(&member);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn by_statistics_and_the_chain_rule_as_by_the_row(seed in 0_u64..10_000, classes in 2_usize..40, member in 0..MEMBERS.len()) {
            let member = MEMBERS[member];
            let (logits, targets) = random_batch(4, classes, 3.0, seed, DType::F64);
            for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
                let dense = value_and_gradient(&logits, |o| member.reduced(o, targets.clone(), reduction));
                let by_statistics = value_and_gradient(&logits, |o| {
                    let (sum, sum_squares) = sums(o.clone());
                    let target = target_logit(o, targets.clone());
                    member.of_statistics(&RowStatistics { sum, sum_squares, target }, classes, reduction)
                });
                assert_close(&dense.0, &by_statistics.0, 1e-9);
                assert_close(&dense.1, &by_statistics.1, 1e-7);
            }
        }

        #[test]
        fn other_classes_may_change_places(seed in 0_u64..10_000, classes in 3_usize..20, member in 0..MEMBERS.len()) {
            let (logits, targets) = random_batch(1, classes, 3.0, seed, DType::F64);
            let row = logits.clone().into_data().try_into_vec_as::<f64>().unwrap();
            let target = targets.clone().into_scalar::<i64>() as usize;
            let others: Vec<usize> = (0..classes).filter(|&k| k != target).collect();
            let mut turned = row.clone();
            for (&from, &to) in others.iter().zip(others.iter().cycle().skip(1)) {
                turned[to] = row[from];
            }
            let turned = constant(turned, [1, classes], &logits.device(), DType::F64);
            let of = |logits: &Tensor<2>| {
                value_and_gradient(logits, |o| MEMBERS[member].reduced(o, targets.clone(), Reduction::Sum))
            };
            let (before, after) = (of(&logits), of(&turned));
            assert_close(&before.0, &after.0, 1e-12);
            for (&from, &to) in others.iter().zip(others.iter().cycle().skip(1)) {
                prop_assert!((before.1[from] - after.1[to]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn scores_of_ten_thousand_stay_finite() {
        let like = burn::tensor::Device::flex();
        let targets = Tensor::<1, Int>::from_ints([0, 1, 2], &like);
        for dtype in [DType::F32, DType::F64] {
            let scores = vec![1e4, -1e4, 0.0, 1e4, -1e4, 1e4, -1e4, -1e4, -1e4];
            let logits = constant(scores, [3, 3], &like, dtype);
            for member in MEMBERS {
                let (value, gradient) =
                    value_and_gradient(&logits, |o| member.reduced(o, targets.clone(), Reduction::None));
                assert!(value.iter().chain(&gradient).all(|x| x.is_finite()), "{member:?}");
            }
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        for member in [
            SphericalMember::ZLoss { a: 0.0, b: 1.0 },
            SphericalMember::ZLoss { a: -1.0, b: 1.0 },
            SphericalMember::ZLoss {
                a: 1.0,
                b: f64::INFINITY,
            },
            SphericalMember::SphericalSoftmax { epsilon: 0.0 },
        ] {
            assert!(member.checked().is_err(), "{member:?}");
        }
    }
}
