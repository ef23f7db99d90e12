//! EnsLoss: at every step a new random loss, given by its derivatives at the margins of the batch alone.
//!
//! For margins `m_i = y_i f_i`, y = ±1: random magnitudes, capped, become derivatives `g_i < 0` that rise with the margin,
//! are damped by `1/m_i` beyond m = 1 and stay negative: those of a convex, classification-calibrated loss. Then
//! `∂L/∂f_i = g_i y_i / B`. The value reported, `mean_i g_i m_i`, is no loss: it may be negative and means nothing from
//! step to step.
//!
//! The method is for two classes, `f = h_1 − h_0`. With more, each class against the rest draws derivatives of its own and
//! gradients add up: an extension of ours, not the paper's.
//!
//! Source: Dai, "EnsLoss: Stochastic Calibrated Loss Ensembles for Preventing Overfitting in Classification", ICML 2025.

mod derivatives;
mod quantities;

pub use derivatives::{CalibrationCheck, DerivativeShape, box_cox_inverse};
pub(super) use quantities::quantities;

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::binary_margins::{margin, margins_of, put_slope};
use super::rowwise::host_scores;
use crate::ConfigError;
use crate::bridge::{class_indices, constant, with_gradients};
use crate::config::require;
use crate::objective::{
    Batch, Build, Descend, GradientObjective, ObjectiveEntry, Parameter, Progress, Scale, ScoreGradient,
};

/// Where the magnitudes of derivatives come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Magnitudes {
    /// The inverse Box-Cox transform of standard normal numbers at this λ; λ = 0: log-normal, the paper's.
    BoxCox {
        /// Parameter λ.
        lambda: f64,
    },
    /// The same, with λ drawn anew from −1 to 1 every so many epochs, the first included.
    RandomBoxCox {
        /// Epochs between draws, at least 1.
        epochs: usize,
    },
    /// The exponential distribution of mean 1.
    Exponential,
}

impl Magnitudes {
    /// [`Magnitudes::BoxCox`] at λ.
    pub fn box_cox(lambda: f64) -> Self {
        Self::BoxCox { lambda }
    }
}

/// Configuration of [`EnsLoss`].
#[derive(Config, Debug)]
pub struct EnsLossConfig {
    /// Where magnitudes come from.
    #[config(default = "Magnitudes::BoxCox { lambda: 0.0 }")]
    pub magnitudes: Magnitudes,
    /// What becomes of magnitudes.
    #[config(default = "DerivativeShape::default()")]
    pub shape: DerivativeShape,
}

impl EnsLossConfig {
    /// The objective.
    ///
    /// # Errors
    /// When λ is not finite, the epochs are 0, the cap or the tail's start is not above 0, or the floor negative.
    pub fn init(&self) -> Result<EnsLoss, ConfigError> {
        const NAME: &str = "ens_loss";
        let lambda = match self.magnitudes {
            Magnitudes::BoxCox { lambda } => require(NAME, "lambda", lambda, "finite", f64::is_finite)?,
            Magnitudes::RandomBoxCox { epochs } => {
                require(NAME, "epochs", epochs as f64, "at least 1", |epochs| {
                    epochs >= 1.0
                })?;
                0.0
            }
            Magnitudes::Exponential => 0.0,
        };
        Ok(EnsLoss {
            magnitudes: self.magnitudes,
            shape: self.shape.checked()?,
            lambda,
            redrawn: None,
        })
    }
}

/// The objective, with the λ it is at. In a training loop of a trainer: [`Descend`]`(EnsLoss)`.
#[derive(Clone, Debug)]
pub struct EnsLoss {
    magnitudes: Magnitudes,
    shape: DerivativeShape,
    lambda: f64,
    /// Epoch of the last draw of λ.
    redrawn: Option<usize>,
}

impl EnsLoss {
    /// `mean_i g_i m_i` `[1]`, with the gradient of the scores that the method gives. Draws once: call it once a step.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]`; returns `[1]`.
    ///
    /// # Panics
    /// When the batch sizes differ or a target is out of range.
    pub fn forward(
        &mut self,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        epoch: usize,
        random: &mut Stream,
    ) -> Tensor<1> {
        let answer = self.answer(&logits, targets, epoch, random);
        with_gradients(answer.value, [(logits, answer.gradient)])
    }

    fn answer(
        &mut self,
        scores: &Tensor<2>,
        targets: Tensor<1, Int>,
        epoch: usize,
        random: &mut Stream,
    ) -> ScoreGradient {
        let [batch, classes] = scores.dims();
        let targets = class_indices(targets);
        assert_eq!(
            targets.len(),
            batch,
            "scores [{batch}, {classes}] and targets [{}] differ in batch size",
            targets.len()
        );
        if let Some(target) = targets.iter().find(|&&target| target as usize >= classes) {
            panic!("target {target} is not below the number of classes, {classes}");
        }
        self.redraw(epoch, random);
        let values = host_scores(scores);
        let rows = || values.chunks_exact(classes).zip(&targets);
        let share = 1.0 / batch as f64;
        let mut gradient = vec![0.0; values.len()];
        let mut value = 0.0;
        for which in 0..margins_of(classes) {
            let margins: Vec<f64> = rows()
                .map(|(row, &target)| margin(row, target as usize, which))
                .collect();
            let derivatives = self.shape.derivatives(&margins, self.draw(batch, random));
            let pairs = margins.iter().zip(&derivatives);
            value += pairs.map(|(m, g)| m * g).sum::<f64>() * share;
            let out = gradient.chunks_exact_mut(classes).zip(&targets);
            for ((row, &target), derivative) in out.zip(derivatives) {
                put_slope(row, target as usize, which, derivative * share);
            }
        }
        let (device, dtype) = (scores.device(), scores.dtype());
        ScoreGradient {
            value: constant(vec![value], [1], &device, dtype),
            gradient: constant(gradient, [batch, classes], &device, dtype),
        }
    }

    fn redraw(&mut self, epoch: usize, random: &mut Stream) {
        let Magnitudes::RandomBoxCox { epochs } = self.magnitudes else {
            return;
        };
        let period = epoch / epochs * epochs;
        if self.redrawn != Some(period) {
            self.lambda = 2.0 * random.uniform() - 1.0;
            self.redrawn = Some(period);
        }
    }

    fn draw(&self, count: usize, random: &mut Stream) -> Vec<f64> {
        if self.magnitudes == Magnitudes::Exponential {
            return (0..count).map(|_| -(1.0 - random.uniform()).ln()).collect();
        }
        let mut normals = vec![0.0; count];
        random.fill_normal(&mut normals);
        let transform = |normal: f32| box_cox_inverse(f64::from(normal), self.lambda);
        normals.into_iter().map(transform).collect()
    }
}

impl GradientObjective for EnsLoss {
    fn score_gradient(
        &mut self,
        scores: Tensor<2>,
        batch: &Batch,
        progress: &Progress,
        random: &mut Stream,
    ) -> ScoreGradient {
        self.answer(&scores, batch.targets.clone(), progress.epoch, random)
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    vec![ObjectiveEntry {
        name: "ens_loss",
        title: "EnsLoss",
        family: "classification",
        formula: "∂L/∂f_i = g_i y_i / B,  g rising with the margin y_i f_i: sorted −min(exp ξ, 1), times 1/m from m = 1, \
                  ξ normal and new at every step",
        shapes: "logits [batch, classes], targets [batch], epoch, random stream → [1]",
        good_for: &["two classes", "overfitting", "few samples", "regularisation"],
        cost: "a sort of the batch",
        when: "A network of ample size overfits a small two-class set: it cannot settle on what one fixed loss likes.",
        when_not: "There are many classes (one against the rest is an extension of ours), or a loss value is to be watched.",
        source: "Dai, ICML 2025 (arXiv 2409.00908)",
        parameters: vec![Parameter {
            name: "lambda",
            meaning: "Box-Cox λ of the magnitudes; 0: log-normal",
            default: 0.0,
            range: (-1.0, 1.0),
            scale: Scale::Linear,
        }],
        rust: "EnsLossConfig::new().with_magnitudes(Magnitudes::box_cox({lambda})).init()?",
        path: "thalweg::classification::{EnsLossConfig, Magnitudes}",
        build: Build::Scores(|value| {
            let magnitudes = Magnitudes::box_cox(value("lambda"));
            let config = EnsLossConfig::new().with_magnitudes(magnitudes);
            Ok(Box::new(Descend(config.init()?)))
        }),
    }]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    fn gradient(
        objective: &mut EnsLoss,
        scores: &[[f64; 3]],
        targets: &[i32],
        random: &mut Stream,
    ) -> Vec<f64> {
        let device = Device::flex();
        let flat: Vec<f64> = scores.iter().flatten().copied().collect();
        let data = burn::tensor::TensorData::new(flat, [scores.len(), 3]);
        let logits = Tensor::<2>::from_data(data, (&device, DType::F64))
            .autodiff()
            .require_grad();
        let value = objective.forward(logits.clone(), Tensor::from_ints(targets, &device), 0, random);
        let gradient = logits.grad(&value.backward()).unwrap();
        gradient.into_data().try_into_vec_as::<f64>().unwrap()
    }

    #[test]
    fn two_classes_are_the_binary_method_on_the_difference_of_scores() {
        let device = Device::flex();
        let scores = [0.5, 3.0, -1.0, 0.2];
        let mut objective = EnsLossConfig::new().init().unwrap();
        let data = burn::tensor::TensorData::new(scores.to_vec(), [2, 2]);
        let logits = Tensor::<2>::from_data(data, (&device, DType::F64))
            .autodiff()
            .require_grad();
        let targets = Tensor::<1, Int>::from_ints([1, 0], &device);
        let value = objective.forward(logits.clone(), targets, 0, &mut Stream::new(3, "draw", 0));
        let gradient = logits.grad(&value.backward()).unwrap().into_data();
        let gradient = gradient.try_into_vec_as::<f64>().unwrap();
        let margins = [2.5, -1.2];
        let drawn = objective.draw(2, &mut Stream::new(3, "draw", 0));
        let expected = objective.shape.derivatives(&margins, drawn);
        assert_eq!(
            gradient,
            [
                -0.5 * expected[0],
                0.5 * expected[0],
                0.5 * expected[1],
                -0.5 * expected[1]
            ]
        );
        let reported = 0.5 * (margins[0] * expected[0] + margins[1] * expected[1]);
        assert!((value.into_scalar::<f64>() - reported).abs() < 1e-15);
    }

    #[test]
    fn more_classes_push_the_target_up_and_the_rest_down() {
        let mut objective = EnsLossConfig::new().init().unwrap();
        let scores = [[0.1, 2.0, -1.0], [0.0, 0.0, 0.0], [5.0, -2.0, 1.0]];
        let gradient = gradient(
            &mut objective,
            &scores,
            &[0, 1, 2],
            &mut Stream::new(0, "draw", 0),
        );
        for (row, target) in gradient.chunks(3).zip(0..) {
            for (class, slope) in row.iter().enumerate() {
                assert!(if class == target {
                    *slope < 0.0
                } else {
                    *slope > 0.0
                });
            }
        }
    }

    #[test]
    fn lambda_is_drawn_anew_once_a_period() {
        let magnitudes = Magnitudes::RandomBoxCox { epochs: 2 };
        let mut objective = EnsLossConfig::new().with_magnitudes(magnitudes).init().unwrap();
        let mut random = Stream::new(0, "draw", 0);
        let lambdas: Vec<f64> = [0, 0, 1, 2, 3, 4]
            .into_iter()
            .map(|epoch| {
                objective.redraw(epoch, &mut random);
                objective.lambda
            })
            .collect();
        assert!(lambdas[..3].iter().all(|&lambda| lambda == lambdas[0]));
        assert!(lambdas[2] != lambdas[3] && lambdas[3] == lambdas[4] && lambdas[4] != lambdas[5]);
        assert!(lambdas.iter().all(|lambda| lambda.abs() <= 1.0));
    }

    #[test]
    fn exponential_magnitudes_have_mean_one() {
        let config = EnsLossConfig::new().with_magnitudes(Magnitudes::Exponential);
        let drawn = config
            .init()
            .unwrap()
            .draw(20_000, &mut Stream::new(0, "draw", 0));
        assert!((drawn.iter().sum::<f64>() / 2e4 - 1.0).abs() < 0.03);
        assert!(drawn.iter().all(|&magnitude| magnitude >= 0.0));
    }

    #[test]
    fn senseless_configurations_are_refused() {
        let with = |magnitudes: Magnitudes| EnsLossConfig::new().with_magnitudes(magnitudes).init();
        assert!(with(Magnitudes::RandomBoxCox { epochs: 0 }).is_err());
        assert!(with(Magnitudes::box_cox(f64::NAN)).is_err());
        for (cap, floor, tail_start) in [(0.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, 0.0, 0.0)] {
            let shape = DerivativeShape {
                cap,
                floor,
                tail_start,
            };
            assert!(EnsLossConfig::new().with_shape(shape).init().is_err());
        }
    }
}
