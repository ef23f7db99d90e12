//! Squared error to the one-hot vector, `ℓ = ‖o − onehot(c)‖² = q − 2 o_c + 1`: the scores themselves are fitted, without a
//! softmax.
//!
//! Source: Vincent, de Brébisson, Bouthillier, "Efficient Exact Gradient Update for training Deep Networks with Very Large
//! Sparse Targets", NIPS 2015.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::spherical::{Member, Moments, Slopes};

use super::{SphericalFormula, SphericalMember, sums, target_logit};
use crate::classification::LogitLoss;
use crate::classification::of_target::SHAPES;
use crate::objective::{Build, ObjectiveEntry};
use crate::{ConfigError, Reduction};

/// Configuration of the squared error.
#[derive(Config, Debug)]
pub struct SquaredErrorLossConfig {
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl SquaredErrorLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// Never: it has no parameter; so that it is made as the others are.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        SphericalMember::SquaredError.init(self.reduction)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SquaredError;

impl Member for SquaredError {
    fn slopes(&self, m: &Moments) -> Slopes {
        // The mean over K targets of this is the squared distance to their multi-hot vector, q − 2 Σ o_c + K.
        let loss = m.sum_squares + m.targets * (1.0 - 2.0 * m.target);
        Slopes::of_sums(loss, 0.0, 1.0, -2.0 * m.targets, m.mean)
    }
}

impl SphericalFormula for SquaredError {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let (_, squares) = sums(logits.clone());
        squares - target_logit(logits, targets) * 2.0 + 1.0
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "squared_error",
        title: "Squared error of the scores",
        family: "classification",
        formula: "ℓ = ‖o − onehot(c)‖²",
        shapes: SHAPES,
        good_for: &["many classes", "extreme classification", "least squares"],
        cost: "below cross-entropy: no exponential; in a factored output layer independent of the number of classes",
        when: "Least squares are wanted for their simplicity, or as the plainest member of the spherical family.",
        when_not: "Scores far on the right side of their target are punished as well as those on the wrong one.",
        source: "Vincent, de Brébisson, Bouthillier, NIPS 2015",
        parameters: Vec::new(),
        rust: "SquaredErrorLossConfig::new().init()?",
        path: "thalweg::classification::spherical::SquaredErrorLossConfig",
        build: Build::Scores(|_| Ok(Box::new(SquaredErrorLossConfig::new().init()?))),
    }]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn it_is_the_squared_distance_to_the_one_hot_vector() {
        let (logits, targets) = random_batch(5, 9, 3.0, 1, DType::F64);
        let loss = SquaredErrorLossConfig::new().init().unwrap();
        let hot: Tensor<2> = targets.clone().one_hot(9).float().cast(DType::F64);
        let distance = (logits.clone() - hot).square().sum_dim(1).reshape([5]);
        let expected = distance.into_data().try_into_vec_as::<f64>().unwrap();
        let value = loss.per_sample(logits, targets).into_data();
        assert_close(&value.try_into_vec_as::<f64>().unwrap(), &expected, 1e-13);
    }
}
