//! Log-Taylor-softmax `ℓ = −log(t(o_c) / Σ_k t(o_k))` with `t(o) = 1 + o + o²/2`, the start of the exponential's series, in
//! nats. t is at least 1/2, so that every class keeps a probability above 0.
//!
//! Source: de Brébisson, Vincent, ICLR 2016.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::spherical::{Member, Moments, Slopes};

use super::{SOURCE, SphericalFormula, SphericalMember, sums, target_logit};
use crate::classification::LogitLoss;
use crate::classification::of_target::SHAPES;
use crate::objective::{Build, ObjectiveEntry};
use crate::{ConfigError, Reduction};

/// Configuration of the log-Taylor-softmax.
#[derive(Config, Debug)]
pub struct TaylorSoftmaxLossConfig {
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl TaylorSoftmaxLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// Never: it has no parameter; so that it is made as the others are.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        SphericalMember::TaylorSoftmax.init(self.reduction)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TaylorSoftmax;

impl Member for TaylorSoftmax {
    fn slopes(&self, m: &Moments) -> Slopes {
        let own = 1.0 + m.target + 0.5 * m.target * m.target;
        let total = m.classes + m.sum + 0.5 * m.sum_squares;
        Slopes::of_sums(
            (total / own).ln(),
            1.0 / total,
            0.5 / total,
            -(1.0 + m.target) / own,
            m.mean,
        )
    }
}

impl SphericalFormula for TaylorSoftmax {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [_, classes] = logits.dims();
        let (sum, squares) = sums(logits.clone());
        let own = target_logit(logits, targets);
        let own = own.clone().square() * 0.5 + own + 1.0;
        (squares * 0.5 + sum + classes as f64).log() - own.log()
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "taylor_softmax",
        title: "Log-Taylor-softmax",
        family: "classification",
        formula: "ℓ = −log(t(o_c) / Σ_k t(o_k)),  t(o) = 1 + o + o²/2",
        shapes: SHAPES,
        good_for: &[
            "many classes",
            "extreme classification",
            "probabilities",
            "few classes",
        ],
        cost: "below cross-entropy: no exponential; in a factored output layer independent of the number of classes",
        when: "Probabilities are wanted from the spherical family, or few classes that softmax is too sharp for.",
        when_not: "Scores grow large: t is even around −1, and what is far below looks like what is far above.",
        source: SOURCE,
        parameters: Vec::new(),
        rust: "TaylorSoftmaxLossConfig::new().init()?",
        path: "thalweg::classification::spherical::TaylorSoftmaxLossConfig",
        build: Build::Scores(|_| Ok(Box::new(TaylorSoftmaxLossConfig::new().init()?))),
    }]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::super::super::rowwise::tests::*;
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let (logits, _) = random_batch(1, 6, 4.0, 2, DType::F64);
        let loss = TaylorSoftmaxLossConfig::new().init().unwrap();
        let device = logits.device();
        let total: f64 = (0..6)
            .map(|k| loss.forward(logits.clone(), Tensor::from_ints([k], &device)))
            .map(|loss| (-loss.into_scalar::<f64>()).exp())
            .sum();
        assert!((total - 1.0).abs() < 1e-14);
    }
}
