//! VICReg: `λ s(X, Y) + μ (v(X) + v(Y))/2 + ν (c(X) + c(Y))` of two views' embeddings `[batch, width]`:
//! - invariance `s = mean_ij (x_ij − y_ij)²`;
//! - variance `v = mean_j max(0, γ − √(Var_j + ε))`, so that no feature dies;
//! - covariance `c = (1/width) Σ_{j≠k} Cov_jk²`, so that no two say the same.
//!
//! Variances and covariances are over the batch, divided by `batch − 1`. Means and factors are those of the authors' code;
//! the paper's text writes s as a mean over samples only, and v without the half.
//! pytorch-metric-learning's `VICRegLoss` is this with γ = 1.
//!
//! Source: Bardes, Ponce, LeCun, "VICReg", ICLR 2022 (arXiv 2105.04906).

use burn::config::Config;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::random::Stream;
use thalweg_kernels::real::Real;

use crate::ConfigError;
use crate::bridge::{CpuFloats, Floats, constant, with_gradients};
use crate::config::require;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::quantity::Quantity;

/// Configuration of [`VicRegLoss`].
#[derive(Config, Debug)]
pub struct VicRegLossConfig {
    /// Weight λ of the invariance, at least 0.
    #[config(default = 25.0)]
    pub invariance: f64,
    /// Weight μ of the variance, at least 0.
    #[config(default = 25.0)]
    pub variance: f64,
    /// Weight ν of the covariance, at least 0.
    #[config(default = 1.0)]
    pub covariance: f64,
    /// Standard deviation γ that every feature is to have, above 0.
    #[config(default = 1.0)]
    pub target_deviation: f64,
    /// Added to variances before the root, ε, above 0.
    #[config(default = 1e-4)]
    pub epsilon: f64,
}

/// VICReg of two views.
#[derive(Clone, Debug)]
pub struct VicRegLoss {
    config: VicRegLossConfig,
}

impl VicRegLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a weight is negative, or γ or ε not positive, or one is not finite.
    pub fn init(&self) -> Result<VicRegLoss, ConfigError> {
        let weights = [
            ("invariance", self.invariance),
            ("variance", self.variance),
            ("covariance", self.covariance),
        ];
        for (name, value) in weights {
            let valid = |weight: f64| (0.0..f64::INFINITY).contains(&weight);
            require("vicreg", name, value, "at least 0 and finite", valid)?;
        }
        for (name, value) in [
            ("target_deviation", self.target_deviation),
            ("epsilon", self.epsilon),
        ] {
            let valid = |value: f64| value > 0.0 && value.is_finite();
            require("vicreg", name, value, "above 0 and finite", valid)?;
        }
        Ok(VicRegLoss { config: self.clone() })
    }
}

impl VicRegLoss {
    /// # Shapes
    /// - x, y `[batch, width]`, at least two samples; returns `[1]`.
    ///
    /// # Panics
    /// When the shapes differ or there are fewer than two samples.
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let shape = x.dims();
        assert_eq!(shape, y.dims(), "two views of the same samples");
        assert!(
            shape[0] >= 2,
            "a variance needs at least 2 samples, not {}",
            shape[0]
        );
        let (device, dtype) = (x.device(), x.dtype());
        let (Some(of_x), Some(of_y)) = (CpuFloats::of(&x), CpuFloats::of(&y)) else {
            return self.composed(x, y);
        };
        let fused = |value: f64, gradients: [Vec<f64>; 2]| {
            let [by_x, by_y] = gradients.map(|gradient| constant(gradient, shape, &device, dtype));
            let value = constant(vec![value], [1], &device, dtype);
            with_gradients(value, [(x.clone(), by_x), (y.clone(), by_y)])
        };
        match (of_x.floats(), of_y.floats()) {
            (Floats::F32(a), Floats::F32(b)) => {
                let (value, gradients) = self.with_slopes(a, b, shape[1]);
                fused(value, gradients)
            }
            (Floats::F64(a), Floats::F64(b)) => {
                let (value, gradients) = self.with_slopes(a, b, shape[1]);
                fused(value, gradients)
            }
            _ => self.composed(x, y),
        }
    }

    /// In tensor operations, on every backend.
    fn composed(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let config = &self.config;
        let invariance = (x.clone() - y.clone()).square().mean() * config.invariance;
        [x, y].into_iter().fold(invariance, |total, view| {
            let [batch, width] = view.dims();
            let centred = view.clone() - view.mean_dim(0);
            let covariance = centred.clone().transpose().matmul(centred.clone()) * (1.0 / (batch - 1) as f64);
            let variance = centred.square().sum_dim(0) * (1.0 / (batch - 1) as f64);
            let off_diagonal = covariance.square().sum() - variance.clone().square().sum();
            let deviation = (variance + config.epsilon).sqrt();
            let missing = relu(deviation * -1.0 + config.target_deviation).mean();
            total + missing * (0.5 * config.variance) + off_diagonal * (config.covariance / width as f64)
        })
    }

    /// Value and both gradients, in f64.
    fn with_slopes<F: Real>(&self, x: &[F], y: &[F], width: usize) -> (f64, [Vec<f64>; 2]) {
        let [x, y] = [x, y].map(|view| view.iter().map(|value| value.to_f64()).collect::<Vec<f64>>());
        let (of_x, mut by_x) = self.of_view(&x, width);
        let (of_y, mut by_y) = self.of_view(&y, width);
        let share = self.config.invariance / x.len() as f64;
        let mut invariance = 0.0;
        for (((a, b), by_a), by_b) in x.iter().zip(&y).zip(&mut by_x).zip(&mut by_y) {
            let gap = a - b;
            invariance += gap * gap;
            *by_a += 2.0 * share * gap;
            *by_b -= 2.0 * share * gap;
        }
        (share * invariance + of_x + of_y, [by_x, by_y])
    }

    /// Variance and covariance of one view, and their gradient: both are functions of the covariance C, and with
    /// `G = ∂/∂C` symmetric the gradient is `2/(batch − 1) · centred · G`.
    fn of_view(&self, view: &[f64], width: usize) -> (f64, Vec<f64>) {
        let config = &self.config;
        let batch = view.len() / width;
        let mut mean = vec![0.0; width];
        for row in view.chunks_exact(width) {
            mean.iter_mut()
                .zip(row)
                .for_each(|(mean, value)| *mean += value / batch as f64);
        }
        let rows = view.chunks_exact(width);
        let centred: Vec<f64> = rows
            .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean))
            .collect();
        let rows = Matrix::new(&centred, batch, width);
        let unbiased = 1.0 / (batch - 1) as f64;
        let mut covariance = vec![0.0; width * width];
        multiply(
            Work::Alone,
            &mut covariance,
            0.0,
            unbiased,
            rows.transposed(),
            rows,
        );
        let (by_variance, by_covariance) = (
            0.5 * config.variance / width as f64,
            config.covariance / width as f64,
        );
        let mut value = 0.0;
        for (at, cell) in covariance.iter_mut().enumerate() {
            if at / width == at % width {
                let deviation = (*cell + config.epsilon).sqrt();
                let missing = config.target_deviation - deviation;
                value += by_variance * missing.max(0.0);
                *cell = if missing > 0.0 {
                    -0.5 * by_variance / deviation
                } else {
                    0.0
                };
            } else {
                value += by_covariance * *cell * *cell;
                *cell *= 2.0 * by_covariance;
            }
        }
        let mut gradient = vec![0.0; view.len()];
        let slopes = Matrix::new(&covariance, width, width);
        multiply(Work::Alone, &mut gradient, 0.0, 2.0 * unbiased, rows, slopes);
        (value, gradient)
    }
}

impl ViewObjective for VicRegLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [x, y] = views.pair();
        self.forward(x, y)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let defaults = VicRegLossConfig::new();
    vec![
        Quantity::new(
            "vicreg_loss",
            "VICReg of two views' embeddings, with both gradients",
        )
        .param("invariance", defaults.invariance)
        .param("variance", defaults.variance)
        .param("covariance", defaults.covariance)
        .param("target_deviation", defaults.target_deviation)
        .param("epsilon", defaults.epsilon)
        .input("x", "[N, D]")
        .input("y", "[N, D]")
        .eval(|case| {
            let loss = VicRegLossConfig {
                invariance: case.param("invariance")?,
                variance: case.param("variance")?,
                covariance: case.param("covariance")?,
                target_deviation: case.param("target_deviation")?,
                epsilon: case.param("epsilon")?,
            }
            .init()?;
            super::of_pair(case, |x, y| loss.forward(x, y))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    fn leaf(values: &[f64], width: usize, dtype: DType) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
        Tensor::<2>::from_data(data, (&Device::flex(), dtype))
            .autodiff()
            .require_grad()
    }

    fn values(count: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; count];
        Stream::new(seed, "vicreg", 0).fill_normal(&mut values);
        values.into_iter().map(f64::from).collect()
    }

    fn floats(tensor: Tensor<2>) -> Vec<f64> {
        tensor.into_data().try_into_vec_as::<f64>().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_closed_form_equals_the_composition(
            batch in 2_usize..9,
            width in 1_usize..7,
            weights in prop::array::uniform3(0.0_f64..30.0),
            seed in 0_u64..1000,
        ) {
            let [invariance, variance, covariance] = weights;
            let config = VicRegLossConfig::new()
                .with_invariance(invariance)
                .with_variance(variance)
                .with_covariance(covariance);
            let loss = config.init().unwrap();
            let (x, y) = (values(batch * width, seed), values(batch * width, seed + 1000));
            for (dtype, close) in [(DType::F64, 1e-10), (DType::F32, 1e-4)] {
                let by = |form: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| {
                    let (x, y) = (leaf(&x, width, dtype), leaf(&y, width, dtype));
                    let value = form(x.clone(), y.clone());
                    let gradients = value.backward();
                    let gradients = [x, y].map(|leaf| floats(leaf.grad(&gradients).unwrap()));
                    (value.into_scalar::<f64>(), gradients.concat())
                };
                let (value, slopes) = by(&|x, y| loss.forward(x, y));
                let (expected, gradients) = by(&|x, y| loss.composed(x, y));
                prop_assert!((value - expected).abs() < close * (1.0 + expected.abs()), "{value}, {expected}");
                for (a, b) in slopes.iter().zip(gradients) {
                    prop_assert!((a - b).abs() < close * (1.0 + b.abs()), "{a}, {b}");
                }
            }
        }
    }

    #[test]
    fn by_hand() {
        // Both features 0 and 2 together: variance 2, covariance 2 in x; constant in y.
        let loss = |invariance, variance, covariance| {
            let config = VicRegLossConfig::new()
                .with_invariance(invariance)
                .with_variance(variance)
                .with_covariance(covariance);
            let (x, y) = (
                leaf(&[0.0, 0.0, 2.0, 2.0], 2, DType::F64),
                leaf(&[1.0; 4], 2, DType::F64),
            );
            config.init().unwrap().forward(x, y).into_scalar::<f64>()
        };
        assert!((loss(1.0, 0.0, 0.0) - 1.0).abs() < 1e-15);
        assert!((loss(0.0, 1.0, 0.0) - 0.5 * 0.99).abs() < 1e-15);
        assert!((loss(0.0, 0.0, 1.0) - (2.0 * 4.0) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let refused = |config: VicRegLossConfig| config.init().unwrap_err().parameter;
        assert_eq!(refused(VicRegLossConfig::new().with_variance(-1.0)), "variance");
        assert_eq!(refused(VicRegLossConfig::new().with_epsilon(0.0)), "epsilon");
        assert_eq!(
            refused(VicRegLossConfig::new().with_invariance(f64::NAN)),
            "invariance"
        );
    }
}
