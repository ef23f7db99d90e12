//! Log-spherical-softmax `ℓ = −log((o_c² + ε) / (q + D ε))`, in nats. It knows no sign: a score of −3 is as good as one of 3.
//! Where all scores are 0 it is `log D`.
//!
//! Source: de Brébisson, Vincent, ICLR 2016.

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::spherical::{Member, Moments, Slopes};

use super::{SOURCE, SphericalFormula, SphericalMember, sums, target_logit};
use crate::classification::LogitLoss;
use crate::classification::of_target::SHAPES;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::{ConfigError, Reduction};

/// Configuration of the log-spherical-softmax.
#[derive(Config, Debug)]
pub struct SphericalSoftmaxLossConfig {
    /// Stabiliser ε, above 0.
    #[config(default = 1e-2)]
    pub epsilon: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl SphericalSoftmaxLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When ε is not positive.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        let epsilon = self.epsilon;
        SphericalMember::SphericalSoftmax { epsilon }.init(self.reduction)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SphericalSoftmax {
    pub epsilon: f64,
}

impl Member for SphericalSoftmax {
    fn slopes(&self, m: &Moments) -> Slopes {
        let own = m.target * m.target + self.epsilon;
        let total = m.sum_squares + m.classes * self.epsilon;
        Slopes::of_sums(
            (total / own).ln(),
            0.0,
            1.0 / total,
            -2.0 * m.target / own,
            m.mean,
        )
    }
}

impl SphericalFormula for SphericalSoftmax {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [_, classes] = logits.dims();
        let (_, squares) = sums(logits.clone());
        let own = target_logit(logits, targets).square() + self.epsilon;
        (squares + classes as f64 * self.epsilon).log() - own.log()
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "spherical_softmax",
        title: "Log-spherical-softmax",
        family: "classification",
        formula: "ℓ = −log((o_c² + ε) / (Σ_k o_k² + D ε))",
        shapes: SHAPES,
        good_for: &["many classes", "extreme classification", "probabilities"],
        cost: "below cross-entropy: no exponential; in a factored output layer independent of the number of classes",
        when: "As a point of comparison within the spherical family.",
        when_not: "Almost always: it knows no sign, and has no gradient where the target's score is 0.",
        source: SOURCE,
        parameters: vec![Parameter {
            name: "epsilon",
            meaning: "stabiliser ε",
            default: 1e-2,
            range: (1e-4, 1.0),
            scale: Scale::Logarithmic,
        }],
        rust: "SphericalSoftmaxLossConfig::new().with_epsilon({epsilon}).init()?",
        path: "thalweg::classification::spherical::SphericalSoftmaxLossConfig",
        build: Build::Scores(|value| {
            let config = SphericalSoftmaxLossConfig::new().with_epsilon(value("epsilon"));
            Ok(Box::new(config.init()?))
        }),
    }]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::super::super::rowwise::tests::*;
    use super::*;
    use crate::bridge::constant;

    #[test]
    fn scores_of_zero_and_of_either_sign() {
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_ints([1], &device);
        let loss = SphericalSoftmaxLossConfig::new().init().unwrap();
        let of = |scores: Vec<f64>| {
            let logits = constant(scores, [1, 4], &device, DType::F64);
            value_and_gradient(&logits, |o| loss.forward(o, targets.clone()))
        };
        let (value, gradient) = of(vec![0.0; 4]);
        assert_close(&value, &[4.0_f64.ln()], 1e-15);
        assert_eq!(gradient, [0.0; 4]);
        let (positive, negative) = (of(vec![0.3, 1.0, -2.0, 0.5]), of(vec![-0.3, -1.0, 2.0, -0.5]));
        assert_close(&positive.0, &negative.0, 1e-14);
    }
}
