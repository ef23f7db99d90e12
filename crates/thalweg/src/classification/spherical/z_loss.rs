//! Z-loss `ℓ = softplus(a (b − z_c))/a` of standardised scores `z_k = (o_k − μ)/σ`, in units of standard deviations.
//!
//! With `w = sigmoid(a (b − z_c))`: `∂ℓ/∂o_k = (w/σ) ((1 + z_c z_k)/D − 1[k = c])`, which sums to 0 and is orthogonal to
//! the scores: shifting and scaling them changes nothing. `z_c` is at most `√(D − 1)`. A large b pushes the target up
//! without end, which serves top-k errors of small k; a small b lets go once `z_c > b`, which serves large k. Where all
//! scores are equal there is no σ: the loss is `softplus(a b)/a`, its gradient 0.
//!
//! Source: de Brébisson, Vincent, arXiv 1604.08859; a = 1 and b = 0 as in its code.

use burn::config::Config;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::spherical::{Member, Moments, Slopes};

use super::{SphericalFormula, SphericalMember, target_logit};
use crate::classification::LogitLoss;
use crate::classification::of_target::SHAPES;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of the Z-loss.
#[derive(Config, Debug)]
pub struct ZLossConfig {
    /// Sharpness a, above 0; large is the hinge `max(0, b − z_c)`.
    #[config(default = 1.0)]
    pub a: f64,
    /// The standardised score b that the target is to reach.
    #[config(default = 0.0)]
    pub b: f64,
    /// How per-sample losses become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl ZLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a is not positive or b not finite.
    pub fn init(&self) -> Result<LogitLoss, ConfigError> {
        SphericalMember::ZLoss { a: self.a, b: self.b }.init(self.reduction)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ZLoss {
    pub a: f64,
    pub b: f64,
}

fn softplus(t: f64) -> f64 {
    t.max(0.0) + (-t.abs()).exp().ln_1p()
}

impl Member for ZLoss {
    fn slopes(&self, m: &Moments) -> Slopes {
        let Self { a, b } = *self;
        if m.variance == 0.0 {
            return Slopes {
                loss: softplus(a * b) / a,
                centred: 0.0,
                uniform: 0.0,
                target: 0.0,
            };
        }
        let sigma = m.variance.sqrt();
        let z = m.deviation / sigma;
        let t = a * (b - z);
        let slope = 1.0 / (1.0 + (-t).exp()) / sigma;
        Slopes {
            loss: softplus(t) / a,
            centred: slope * z / (m.classes * sigma),
            uniform: slope / m.classes,
            target: -slope,
        }
    }
}

impl SphericalFormula for ZLoss {
    fn composed(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, _] = logits.dims();
        // Relative to the target's, equal scores are exactly 0.
        let led = logits.clone() - target_logit(logits, targets.clone()).reshape([batch, 1]);
        let centred = led.clone() - led.mean_dim(1);
        let variance = centred.clone().square().mean_dim(1).reshape([batch]);
        let flat = variance.clone().equal_scalar(0.0);
        let sigma = variance.mask_fill(flat.clone(), 1.0).sqrt();
        let z = (target_logit(centred, targets) / sigma).mask_fill(flat, 0.0);
        log_sigmoid((z - self.b) * self.a) * (-1.0 / self.a)
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "z_loss",
        title: "Z-loss",
        family: "classification",
        formula: "ℓ = softplus(a (b − z_c))/a,  z_k = (o_k − μ)/σ",
        shapes: SHAPES,
        good_for: &[
            "many classes",
            "extreme classification",
            "top-k",
            "language models",
        ],
        cost: "below cross-entropy: no exponential; in a factored output layer independent of the number of classes",
        when: "There are very many classes and the first k of the ranking matter, not probabilities.",
        when_not: "Probabilities are wanted: scores have neither zero nor unit. a and b need tuning.",
        source: "de Brébisson, Vincent (arXiv 1604.08859)",
        parameters: vec![
            Parameter {
                name: "a",
                meaning: "sharpness a; large is the hinge max(0, b − z)",
                default: 1.0,
                range: (0.02, 5.0),
                scale: Scale::Logarithmic,
            },
            Parameter {
                name: "b",
                meaning: "standardised score b that the target is to reach",
                default: 0.0,
                range: (0.0, 40.0),
                scale: Scale::Linear,
            },
        ],
        rust: "ZLossConfig::new().with_a({a}).with_b({b}).init()?",
        path: "thalweg::classification::spherical::ZLossConfig",
        build: Build::Scores(|value| {
            let config = ZLossConfig::new().with_a(value("a")).with_b(value("b"));
            Ok(Box::new(config.init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new("z_loss", "Z-loss of a batch, per sample, and its gradient")
            .param("a", 1.0)
            .param("b", 0.0)
            .param("reduction", "mean")
            .input("logits", "[N, D]")
            .input("labels", "[N]")
            .eval(|case| {
                let config = ZLossConfig::new()
                    .with_a(case.param("a")?)
                    .with_b(case.param("b")?);
                case.logit_loss(&config.with_reduction(case.reduction()?).init()?)
            }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::super::rowwise::tests::*;
    use super::*;
    use crate::bridge::constant;

    fn per_sample(a: f64, b: f64, logits: Tensor<2>, targets: &Tensor<1, Int>) -> (Vec<f64>, Vec<f64>) {
        let config = ZLossConfig::new().with_a(a).with_b(b);
        let loss = config.with_reduction(Reduction::None).init().unwrap();
        value_and_gradient(&logits, |o| loss.forward(o, targets.clone()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shift_and_scale_change_nothing(
            seed in 0_u64..10_000, classes in 2_usize..30, a in 0.05_f64..5.0, b in 0.0_f64..20.0,
            scale in 0.01_f64..100.0, shift in -100.0_f64..100.0,
        ) {
            let (logits, targets) = random_batch(4, classes, 3.0, seed, DType::F64);
            let (value, gradient) = per_sample(a, b, logits.clone(), &targets);
            let (moved, moved_gradient) = per_sample(a, b, logits.clone() * scale + shift, &targets);
            assert_close(&moved, &value, 1e-10);
            let scores = logits.into_data().try_into_vec_as::<f64>().unwrap();
            for row in 0..4 {
                let span = row * classes..(row + 1) * classes;
                let size = gradient[span.clone()].iter().map(|g| g.abs()).sum::<f64>();
                let sum: f64 = gradient[span.clone()].iter().sum();
                let along: f64 = gradient[span.clone()].iter().zip(&scores[span.clone()]).map(|(g, o)| g * o).sum();
                prop_assert!(sum.abs() <= 1e-12 * (1.0 + size) && along.abs() <= 1e-11 * (1.0 + size));
                for k in span {
                    prop_assert!((moved_gradient[k] * scale - gradient[k]).abs() <= 1e-9 * (1.0 + size));
                }
            }
        }

        #[test]
        fn sharp_is_the_hinge(seed in 0_u64..10_000, classes in 2_usize..30, b in 0.0_f64..4.0) {
            let (logits, targets) = random_batch(4, classes, 3.0, seed, DType::F64);
            let sharpness = 1e7;
            let (value, _) = per_sample(sharpness, b, logits.clone(), &targets);
            let (shallow, _) = per_sample(1e-9, b, logits, &targets);
            for (value, shallow) in value.iter().zip(shallow) {
                // The loss at a → 0 is log 2 / a + (b − z)/2, which tells z.
                let z = b - 2.0 * (shallow - 1e9 * std::f64::consts::LN_2);
                prop_assert!((value - (b - z).max(0.0)).abs() < 1e-5);
                prop_assert!(z <= ((classes - 1) as f64).sqrt() + 1e-5);
            }
        }
    }

    #[test]
    fn equal_scores_have_a_loss_and_no_gradient() {
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_ints([1], &device);
        for dtype in [DType::F64, DType::F32] {
            let logits = constant(vec![0.1; 3], [1, 3], &device, dtype);
            let (value, gradient) = per_sample(2.0, 1.5, logits.clone(), &targets);
            let expected = (1.0 + 3.0_f64.exp()).ln() / 2.0;
            assert_close(
                &value,
                &[expected],
                if dtype == DType::F64 { 1e-15 } else { 1e-7 },
            );
            assert_eq!(gradient, [0.0; 3]);
            let composed =
                value_and_gradient(&logits, |o| ZLoss { a: 2.0, b: 1.5 }.composed(o, targets.clone()));
            assert_close(&composed.0, &value, 1e-6);
            assert_eq!(composed.1, [0.0; 3]);
        }
    }
}
