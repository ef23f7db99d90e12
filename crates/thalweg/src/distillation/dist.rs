//! DIST: relations instead of values. `T² (β (1 − mean row correlation) + γ (1 − mean column correlation))` of the softmaxes
//! of student and teacher, Pearson's correlations.
//!
//! A row compares the classes of a sample, a column the samples of a class. Where one side is constant (the softmax of
//! equal scores, a column of a batch of one) there is no correlation: it counts as 0 and sends no gradient.
//!
//! Source: Huang, You, Wang, Qian, Xu, "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022; which adds 1e-8 to
//! the norms instead.

use burn::config::Config;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Int, Tensor};

use super::kd::{ce_weight, temperature, temperature_parameter, weight};
use super::teacher_loss::check_pair;
use super::{OneHeadDistillation, SHAPES, TaughtLoss};
use crate::ConfigError;
use crate::objective::{Build, ObjectiveEntry, Parameter, Scale};
use crate::quantity::Quantity;

/// Configuration of [`DistLoss`].
#[derive(Config, Debug)]
pub struct DistLossConfig {
    /// Weight β of the rows, between classes; at least 0.
    #[config(default = 1.0)]
    pub beta: f64,
    /// Weight γ of the columns, within classes; at least 0.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// Temperature T of both softmaxes, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl DistLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<DistLoss, ConfigError> {
        Ok(DistLoss {
            beta: weight("dist", "beta", self.beta)?,
            gamma: weight("dist", "gamma", self.gamma)?,
            temperature: temperature("dist", self.temperature)?,
        })
    }
}

/// The loss of a batch, which its columns tie together: there is none of a sample.
#[derive(Clone, Copy, Debug)]
pub struct DistLoss {
    beta: f64,
    gamma: f64,
    temperature: f64,
}

impl DistLoss {
    /// # Shapes
    /// - student and teacher logits `[batch, classes]`; returns `[1]`.
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, or the shapes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        check_pair(&student, &teacher);
        let scale = 1.0 / self.temperature;
        let student = softmax(student * scale, 1);
        let teacher = softmax(teacher.detach() * scale, 1);
        let between = of_probabilities(student.clone(), teacher.clone());
        let within = of_probabilities(student.transpose(), teacher.transpose());
        let squared = self.temperature * self.temperature;
        between * (squared * self.beta) + within * (squared * self.gamma)
    }
}

/// One minus the mean correlation of the rows of two matrices.
fn of_probabilities(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    row_correlations(student, teacher).mean() * -1.0 + 1.0
}

fn row_correlations(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let [rows, _] = a.dims();
    // Rounding spreads even equal numbers by about this much of their size.
    let rounding = match a.dtype() {
        DType::F64 => 8.0 * f64::EPSILON,
        _ => 8.0 * f64::from(f32::EPSILON),
    };
    let centred = |x: Tensor<2>| {
        let size = x.clone().detach().square().sum_dim(1);
        let x = x.clone() - x.mean_dim(1);
        let squares = x.clone().square().sum_dim(1);
        let constant = squares.clone().detach().lower_equal(size * (rounding * rounding));
        // A root of 0 has no slope: where there is nothing to divide by, divide by 1.
        (x, squares.mask_fill(constant.clone(), 1.0).sqrt(), constant)
    };
    let (a, norm_a, constant_a) = centred(a);
    let (b, norm_b, constant_b) = centred(b);
    ((a * b).sum_dim(1) / norm_a / norm_b)
        .mask_fill(constant_a.bool_or(constant_b), 0.0)
        .reshape([rows])
}

impl TaughtLoss for DistLoss {
    fn of_batch(&self, student: Tensor<2>, teacher: Tensor<2>, _: Tensor<1, Int>) -> Tensor<1> {
        self.forward(student, teacher)
    }
}

/// Configuration of training with DIST.
#[derive(Config, Debug)]
pub struct DistConfig {
    /// Weight β of the rows, between classes; at least 0.
    #[config(default = 1.0)]
    pub beta: f64,
    /// Weight γ of the columns, within classes; at least 0.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// Temperature T of both softmaxes, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Weight of cross-entropy, at least 0.
    #[config(default = 1.0)]
    pub ce_weight: f64,
}

impl DistConfig {
    /// The objective.
    ///
    /// # Errors
    /// When the temperature is not positive or a weight negative.
    pub fn init(&self) -> Result<OneHeadDistillation, ConfigError> {
        let taught = DistLossConfig::new()
            .with_beta(self.beta)
            .with_gamma(self.gamma)
            .with_temperature(self.temperature)
            .init()?;
        let ce_weight = weight("dist", "ce_weight", self.ce_weight)?;
        OneHeadDistillation::new((ce_weight, 1.0), Box::new(taught))
    }
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let weight = |name, meaning| Parameter {
        name,
        meaning,
        default: 1.0,
        range: (0.5, 4.0),
        scale: Scale::Logarithmic,
    };
    vec![ObjectiveEntry {
        name: "dist",
        title: "DIST",
        family: "distillation",
        formula: "ℓ = w_CE CE(s, y) + T² (β (1 − r_rows) + γ (1 − r_columns)),  \
                  r = mean Pearson correlation of softmax(s/T) and softmax(t/T)",
        shapes: SHAPES,
        good_for: &["small student of a large teacher", "much stronger teachers"],
        cost: "teacher logits; two softmaxes and their correlations",
        when: "The teacher is far better than the student can be: only the order of its answers is to be learnt.",
        when_not: "Batches are small beside the number of classes: columns then correlate by chance.",
        source: "Huang et al., NeurIPS 2022",
        parameters: vec![
            weight("beta", "weight β of the classes of a sample"),
            weight("gamma", "weight γ of the samples of a class"),
            temperature_parameter(1.0),
            ce_weight(1.0),
        ],
        rust: "DistConfig::new().with_beta({beta}).with_gamma({gamma}).with_temperature({temperature})\
               .with_ce_weight({ce_weight}).init()?",
        path: "thalweg::distillation::DistConfig",
        build: Build::Scores(|value| {
            let config = DistConfig::new()
                .with_beta(value("beta"))
                .with_gamma(value("gamma"));
            let config = config.with_temperature(value("temperature"));
            Ok(Box::new(config.with_ce_weight(value("ce_weight")).init()?))
        }),
    }]
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "dist_loss",
            "DIST: correlations of student and teacher softmaxes, and its gradient",
        )
        .param("beta", 1.0)
        .param("gamma", 1.0)
        .param("temperature", 1.0)
        .input("student_logits", "[N, K]")
        .input("teacher_logits", "[N, K]")
        .eval(|case| {
            let config = DistLossConfig::new().with_beta(case.param("beta")?);
            let config = config.with_gamma(case.param("gamma")?);
            let loss = config.with_temperature(case.param("temperature")?).init()?;
            case.logits("student_logits")?;
            case.logits("teacher_logits")?;
            let student = case.variable::<2>("student_logits");
            let value = loss.forward(student.clone(), case.tensor("teacher_logits"));
            Ok(case.value_and_gradients(value, &[("student_logits", &student)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::super::teacher_loss::tests::*;
    use super::*;
    use crate::classification::rowwise::tests::{assert_close, central_differences, value_and_gradient};

    fn loss() -> DistLoss {
        DistLossConfig::new()
            .with_beta(2.0)
            .with_gamma(0.5)
            .with_temperature(1.5)
            .init()
            .unwrap()
    }

    #[test]
    fn the_gradient_is_numeric_and_extremes_are_finite() {
        let [student, teacher] = random_pair(4, 5, 2.0, 3, DType::F64);
        let (_, gradient) = value_and_gradient(&student, |s| loss().forward(s, teacher.clone()));
        let numeric = central_differences(&student, |s| loss().forward(s, teacher.clone()));
        assert_close(&gradient, &numeric, 1e-8);
        let extreme = Tensor::<2>::from_floats([[1e4, -1e4, 0.0], [1e4, 1e4, -1e4]], &Device::flex());
        let other = extreme.clone() * -1.0;
        let (value, gradient) = value_and_gradient(&extreme, |s| loss().forward(s, other.clone()));
        assert!(value.iter().chain(&gradient).all(|x| x.is_finite()));
    }

    #[test]
    fn what_is_constant_has_no_correlation() {
        let device = Device::flex();
        for dtype in [DType::F32, DType::F64] {
            let teacher = Tensor::<2>::from_data([[1.0, 0.5, -0.3]], (&device, dtype));
            let flat = Tensor::<2>::from_data([[0.7, 0.7, 0.7]], (&device, dtype));
            let plain = DistLossConfig::new().init().unwrap();
            let (value, gradient) = value_and_gradient(&flat, |s| plain.forward(s, teacher.clone()));
            assert_eq!((value, gradient), (vec![2.0], vec![0.0; 3]));
            // The rows of a batch of one still correlate.
            let (value, _) = value_and_gradient(&teacher, |s| plain.forward(s, teacher.clone()));
            assert!((value[0] - 1.0).abs() < 1e-6);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn affine_maps_of_probabilities_change_nothing(
            seed in 0_u64..10_000, classes in 3_usize..9, factor in 0.1_f64..5.0, shift in -2.0_f64..2.0,
        ) {
            let [a, b] = random_pair(4, classes, 3.0, seed, DType::F64);
            let plain = values(of_probabilities(softmax(a.clone(), 1), softmax(b.clone(), 1)));
            let mapped = values(of_probabilities(softmax(a, 1) * factor + shift, softmax(b, 1)));
            assert_close(&plain, &mapped, 1e-11);
        }

        #[test]
        fn equal_logits_are_the_minimum(seed in 0_u64..10_000, classes in 2_usize..9) {
            let [student, _] = random_pair(5, classes, 4.0, seed, DType::F64);
            let (value, gradient) = value_and_gradient(&student, |s| loss().forward(s, student.clone()));
            prop_assert!(value.iter().chain(&gradient).all(|x| x.abs() < 1e-12), "{:?} {:?}", value, gradient);
        }
    }
}
