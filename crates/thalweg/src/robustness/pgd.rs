//! Projected gradient descent, the attack: ascent steps on a loss of the perturbed inputs, kept in a ball.
//!
//! l-infinity: `δ ← clip(δ + α sign(g), −ε, ε)`, with sign(0) = 0. l2: `δ ← δ + α g/‖g‖`, scaled back onto the ball,
//! sample by sample. Where inputs have a range, `x + δ` is clipped to it after each step. ε and α are in the units of
//! the inputs.
//!
//! Source: Madry, Makelov, Schmidt, Tsipras, Vladu, ICLR 2018; names as in torchattacks.

use burn::config::Config;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use crate::classification::CompSumLossConfig;
use crate::config::require;
use crate::objective::Model;
use crate::quantity::{Outputs, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// The norm that bounds a perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Norm {
    /// The largest change of any feature.
    LInf,
    /// The Euclidean length of the change.
    L2,
}

/// Configuration of [`Pgd`].
#[derive(Config, Debug)]
pub struct PgdConfig {
    /// Radius ε of the ball, above 0.
    pub epsilon: f64,
    /// Step α, above 0; a quarter of the radius unless set.
    pub step_size: Option<f64>,
    /// Ascent steps.
    #[config(default = 10)]
    pub steps: usize,
    /// Norm of the ball.
    #[config(default = "Norm::LInf")]
    pub norm: Norm,
}

impl PgdConfig {
    /// The attack.
    ///
    /// # Errors
    /// When the radius or the step is not positive.
    pub fn init(&self) -> Result<Pgd, ConfigError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let epsilon = require("pgd", "epsilon", self.epsilon, "above 0 and finite", positive)?;
        let step_size = self.step_size.unwrap_or(epsilon / 4.0);
        require("pgd", "step_size", step_size, "above 0 and finite", positive)?;
        Ok(Pgd {
            epsilon,
            step_size,
            steps: self.steps,
            norm: self.norm,
        })
    }
}

/// The attack.
#[derive(Clone, Copy, Debug)]
pub struct Pgd {
    epsilon: f64,
    step_size: f64,
    steps: usize,
    norm: Norm,
}

impl Pgd {
    /// A random start: uniform in `[−ε, ε]` for l-infinity, uniform in the ball for l2. Never 0, where the shift norm
    /// has no gradient.
    pub fn random_start(&self, inputs: &Tensor<2>, random: &mut Stream) -> Tensor<2> {
        let [batch, features] = inputs.dims();
        let mut start = vec![0.0_f32; batch * features];
        match self.norm {
            Norm::LInf => random.fill_uniform(-self.epsilon as f32, self.epsilon as f32, &mut start),
            Norm::L2 => {
                random.fill_normal(&mut start);
                for row in start.chunks_mut(features) {
                    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                    let radius = self.epsilon * random.uniform().powf(1.0 / features as f64);
                    row.iter_mut().for_each(|x| *x *= radius as f32 / length);
                }
            }
        }
        let options = (&inputs.device().without_autodiff(), inputs.dtype());
        Tensor::from_data(TensorData::new(start, [batch, features]), options)
    }

    /// The perturbed inputs `x + δ` that `steps` ascents on `gain` reach from `x + start`, outside any autodiff graph.
    ///
    /// # Shapes
    /// - inputs, start: `[batch, features]`; `gain` takes perturbed inputs of that shape and returns `[1]` or `[batch]`.
    pub fn attack(
        &self,
        inputs: &Tensor<2>,
        start: Tensor<2>,
        range: Option<(f64, f64)>,
        gain: impl Fn(Tensor<2>) -> Tensor<1>,
    ) -> Tensor<2> {
        let inputs = inputs.clone().without_autodiff();
        let clip = |perturbed: Tensor<2>| match range {
            Some((low, high)) => perturbed.clamp(low, high),
            None => perturbed,
        };
        let mut perturbed = clip(inputs.clone() + start.without_autodiff());
        for _ in 0..self.steps {
            let variable = perturbed.clone().autodiff().require_grad();
            let gradients = gain(variable.clone()).sum().backward();
            let Some(gradient) = variable.grad(&gradients) else {
                break;
            };
            let moved = perturbed - inputs.clone() + self.step(gradient);
            perturbed = clip(inputs.clone() + self.project(moved));
        }
        perturbed
    }

    fn step(&self, gradient: Tensor<2>) -> Tensor<2> {
        let direction = match self.norm {
            Norm::LInf => gradient.sign(),
            Norm::L2 => {
                let length = gradient.clone().square().sum_dim(1).sqrt();
                let still = length.clone().equal_scalar(0.0);
                gradient / length.mask_fill(still, 1.0)
            }
        };
        direction * self.step_size
    }

    fn project(&self, delta: Tensor<2>) -> Tensor<2> {
        match self.norm {
            Norm::LInf => delta.clamp(-self.epsilon, self.epsilon),
            Norm::L2 => {
                let length = delta.clone().square().sum_dim(1).sqrt();
                let excess = (length / self.epsilon).clamp_min(1.0);
                delta / excess
            }
        }
    }

    /// The inputs that cross-entropy at the true labels is driven to from a random start.
    pub fn attack_cross_entropy(
        &self,
        model: &dyn Model,
        inputs: &Tensor<2>,
        targets: &Tensor<1, Int>,
        range: Option<(f64, f64)>,
        random: &mut Stream,
    ) -> Tensor<2> {
        let start = self.random_start(inputs, random);
        self.attack(inputs, start, range, |x| {
            cross_entropy_gain(model.frozen(x), targets.clone())
        })
    }
}

/// Cross-entropy summed over the batch.
pub(super) fn cross_entropy_gain(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let loss = CompSumLossConfig::new()
        .with_reduction(Reduction::Sum)
        .init()
        .expect("cross-entropy has no bad value");
    loss.forward(logits, targets)
}

/// `KL(softmax clean ‖ softmax perturbed)` of each sample, `[batch]`.
pub(super) fn kl_divergence(clean: Tensor<2>, perturbed: Tensor<2>) -> Tensor<1> {
    let [batch, _] = clean.dims();
    let difference = log_softmax(clean.clone(), 1) - log_softmax(perturbed, 1);
    (softmax(clean, 1) * difference).sum_dim(1).reshape([batch])
}

/// `‖Δ_h(x', y) − Δ_h(x, y)‖₂` of each sample, `[batch]`, with `Δ_h(x, y) = (h_y(x) − h_k(x))_{k≠y}`. Its gradient is 0
/// where the norm is.
pub fn shift_norm(clean: Tensor<2>, perturbed: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = clean.dims();
    let shift = perturbed - clean;
    // The class y itself contributes 0.
    let margins = shift.clone().gather(1, targets.reshape([batch, 1])) - shift;
    let tiny = margins.dtype().finfo().map_or(0.0, |info| info.min_positive);
    margins
        .square()
        .sum_dim(1)
        .add_scalar(tiny)
        .sqrt()
        .reshape([batch])
}

/// A two-layer network given as arrays, for cases: `h = W2 tanh(W1 x + b1) + b2`.
struct TanhMlp {
    w1: Tensor<2>,
    b1: Tensor<1>,
    w2: Tensor<2>,
    b2: Tensor<1>,
}

impl TanhMlp {
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = (x.matmul(self.w1.clone().transpose()) + self.b1.clone().unsqueeze()).tanh();
        hidden.matmul(self.w2.clone().transpose()) + self.b2.clone().unsqueeze()
    }
}

/// A case asks for no more steps: a damaged document must not ask for work without end.
const MOST_STEPS: usize = 100_000;

#[derive(Clone, Copy)]
enum Gain {
    CrossEntropy,
    Kl,
    Shift,
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "pgd_attack",
            "perturbation that projected gradient ascent reaches, and the logits there",
        )
        .required_param("epsilon")
        .required_param("step_size")
        .param("steps", 10.0)
        .param("norm", "linf")
        .param("objective", "cross_entropy")
        .param("model", "tanh_mlp")
        .input("x", "[N, d]")
        .input("labels", "[N]")
        .input("init_delta", "[N, d]")
        .input("w1", "[H, d]")
        .input("b1", "[H]")
        .input("w2", "[C, H]")
        .input("b2", "[C]")
        .eval(|case| {
            case.not_empty("x")?;
            case.choice("model", &[("tanh_mlp", ())])?;
            let norm = case.choice("norm", &[("linf", Norm::LInf), ("l2", Norm::L2)])?;
            let gains = [
                ("cross_entropy", Gain::CrossEntropy),
                ("kl", Gain::Kl),
                ("delta_shift", Gain::Shift),
            ];
            let gain = case.choice("objective", &gains)?;
            let steps = case.count("steps", 0)?;
            if steps > MOST_STEPS {
                return Err(QuantityError::Parameter {
                    name: "steps".to_owned(),
                    found: steps.to_string(),
                    accepted: format!("at most {MOST_STEPS}"),
                });
            }
            let attack = PgdConfig::new(case.param("epsilon")?)
                .with_step_size(Some(case.param("step_size")?))
                .with_steps(steps)
                .with_norm(norm)
                .init()?;
            let model = TanhMlp {
                w1: case.tensor("w1"),
                b1: case.tensor("b1"),
                w2: case.tensor("w2"),
                b2: case.tensor("b2"),
            };
            let labels = case.labels("labels", case.array("b2").shape[0])?;
            let x = case.tensor::<2>("x");
            let clean = model.logits(x.clone());
            let perturbed = attack.attack(&x, case.tensor("init_delta"), None, |x| {
                let logits = model.logits(x);
                match gain {
                    Gain::CrossEntropy => cross_entropy_gain(logits, labels.clone()),
                    Gain::Kl => kl_divergence(clean.clone(), logits),
                    Gain::Shift => shift_norm(clean.clone(), logits, labels.clone()),
                }
            });
            Ok(Outputs::new()
                .with_tensor("delta", perturbed.clone() - x)
                .with_tensor("adv_logits", model.logits(perturbed)))
        }),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::sup_linear_l2;
    use super::*;

    /// A random f64 matrix.
    pub fn random_matrix(rows: usize, columns: usize, spread: f32, stream: &mut Stream) -> Tensor<2> {
        let mut values = vec![0.0; rows * columns];
        stream.fill_uniform(-spread, spread, &mut values);
        Tensor::from_data(
            TensorData::new(values, [rows, columns]),
            (&Device::flex(), DType::F64),
        )
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor.into_data().try_into_vec_as::<f64>().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_perturbation_stays_in_ball_and_range(seed in 0_u64..10_000, epsilon in 0.01_f64..1.0, l2 in any::<bool>()) {
            let mut stream = Stream::new(seed, "pgd", 0);
            let (batch, features, classes) = (5, 4, 3);
            let x = (random_matrix(batch, features, 0.5, &mut stream) + 0.5).clamp(0.0, 1.0);
            let weight = random_matrix(features, classes, 2.0, &mut stream);
            let targets = Tensor::<1, Int>::from_ints([0, 1, 2, 0, 1], &Device::flex());
            let norm = if l2 { Norm::L2 } else { Norm::LInf };
            let pgd = PgdConfig::new(epsilon).with_norm(norm).init().unwrap();
            let start = pgd.random_start(&x, &mut stream);
            let gain = |x: Tensor<2>| cross_entropy_gain(x.matmul(weight.clone()), targets.clone());
            let perturbed = pgd.attack(&x, start, Some((0.0, 1.0)), gain);
            prop_assert!(numbers(perturbed.clone()).iter().all(|v| (0.0..=1.0).contains(v)));
            for row in numbers(perturbed.clone() - x.clone()).chunks(features) {
                let length = match norm {
                    Norm::LInf => row.iter().fold(0.0, |m: f64, d| m.max(d.abs())),
                    Norm::L2 => row.iter().map(|d| d * d).sum::<f64>().sqrt(),
                };
                prop_assert!(length <= epsilon * (1.0 + 1e-9));
            }
            prop_assert!(gain(perturbed).into_scalar::<f64>() >= gain(x).into_scalar::<f64>() - 1e-9);
        }

        #[test]
        fn on_a_linear_model_it_reaches_the_supremum_of_the_shift(seed in 0_u64..10_000) {
            let mut stream = Stream::new(seed, "linear", 0);
            let (classes, features, epsilon) = (4, 3, 0.3);
            let weight = random_matrix(classes, features, 1.0, &mut stream);
            let x = random_matrix(classes, features, 1.0, &mut stream);
            let targets = Tensor::<1, Int>::from_ints([0, 1, 2, 3], &Device::flex());
            let pgd = PgdConfig::new(epsilon).with_steps(300).with_norm(Norm::L2).init().unwrap();
            let start = pgd.random_start(&x, &mut stream);
            let logits = |x: Tensor<2>| x.matmul(weight.clone().transpose());
            let shift = |moved: Tensor<2>| shift_norm(logits(x.clone()), logits(moved), targets.clone());
            let found = numbers(shift(pgd.attack(&x, start, None, shift)));
            let matrix = numbers(weight.clone());
            for (label, found) in found.into_iter().enumerate() {
                let exact = sup_linear_l2(&matrix, classes, label, epsilon);
                prop_assert!(found <= exact * (1.0 + 1e-9) && found >= 0.99 * exact, "label {label}: {found} of {exact}");
            }
        }
    }

    #[test]
    fn the_shift_norm_has_gradient_zero_at_zero() {
        let h = Tensor::<2>::from_floats([[1.0, 2.0, 3.0]], &Device::flex());
        let targets = Tensor::<1, Int>::from_ints([0], &Device::flex());
        let moved = h.clone().autodiff().require_grad();
        let gradients = shift_norm(h, moved.clone(), targets).backward();
        assert_eq!(numbers(moved.grad(&gradients).unwrap()), [0.0; 3]);
    }

    #[test]
    fn bad_balls_are_refused() {
        assert!(PgdConfig::new(0.0).init().is_err());
        assert!(PgdConfig::new(0.1).with_step_size(Some(-1.0)).init().is_err());
    }
}
