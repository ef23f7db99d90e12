//! Barlow Twins: `Σ_j (1 − C_jj)² + λ Σ_{j≠k} C_jk²`, with C `[width, width]` the correlation over the batch of the features
//! of one view with those of the other. Each feature is brought to mean 0 and variance 1 over the batch first (divided by
//! the batch's size, ε = 1e-5 added to the variance, as batch normalisation has it).
//!
//! Source: Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins", ICML 2021 (arXiv 2103.03230).

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::random::Stream;

use crate::ConfigError;
use crate::config::require;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::quantity::Quantity;

/// Added to variances.
const EPSILON: f64 = 1e-5;

/// Configuration of [`BarlowTwinsLoss`].
#[derive(Config, Debug)]
pub struct BarlowTwinsLossConfig {
    /// Weight λ of what features have in common, at least 0.
    #[config(default = 0.0051)]
    pub redundancy: f64,
}

/// Barlow Twins of two views.
#[derive(Clone, Copy, Debug)]
pub struct BarlowTwinsLoss {
    redundancy: f64,
}

impl BarlowTwinsLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When λ is negative or not finite.
    pub fn init(&self) -> Result<BarlowTwinsLoss, ConfigError> {
        let valid = |weight: f64| (0.0..f64::INFINITY).contains(&weight);
        let redundancy = require(
            "barlow_twins",
            "redundancy",
            self.redundancy,
            "at least 0 and finite",
            valid,
        )?;
        Ok(BarlowTwinsLoss { redundancy })
    }
}

impl BarlowTwinsLoss {
    /// # Shapes
    /// - x, y `[batch, width]`; returns `[1]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        assert_eq!(x.dims(), y.dims(), "two views of the same samples");
        let [batch, _] = x.dims();
        let [x, y] = [x, y].map(|view| {
            let centred = view.clone() - view.mean_dim(0);
            let variance = centred.clone().square().mean_dim(0);
            centred * (variance + EPSILON).sqrt().recip()
        });
        let diagonal = (x.clone() * y.clone()).mean_dim(0);
        let correlation = x.transpose().matmul(y) * (1.0 / batch as f64);
        let redundant = correlation.square().sum() - diagonal.clone().square().sum();
        (diagonal - 1.0).square().sum() + redundant * self.redundancy
    }
}

impl ViewObjective for BarlowTwinsLoss {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [x, y] = views.pair();
        self.forward(x, y)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "barlow_twins_loss",
            "Barlow Twins of two views' embeddings, with both gradients",
        )
        .param("redundancy", 0.0051)
        .input("x", "[N, D]")
        .input("y", "[N, D]")
        .eval(|case| {
            let config = BarlowTwinsLossConfig::new().with_redundancy(case.param("redundancy")?);
            let loss = config.init()?;
            super::of_pair(case, |x, y| loss.forward(x, y))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    fn tensor(values: &[f64], width: usize) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    fn loss(redundancy: f64, x: &[f64], y: &[f64], width: usize) -> f64 {
        let config = BarlowTwinsLossConfig::new().with_redundancy(redundancy);
        config
            .init()
            .unwrap()
            .forward(tensor(x, width), tensor(y, width))
            .into_scalar::<f64>()
    }

    #[test]
    fn by_hand() {
        // Uncorrelated features of variance 1, up to ε: only the diagonal of equal views, nothing of opposite ones.
        let x = [1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0];
        let opposite = x.map(|value| -value);
        assert!(loss(1.0, &x, &x, 2) < 1e-9);
        assert!((loss(1.0, &x, &opposite, 2) - 8.0).abs() < 1e-3);
        // Two features that are the same: both off the diagonal are 1.
        let same = [1.0, 1.0, -1.0, -1.0];
        assert!((loss(0.5, &same, &same, 2) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn it_does_not_see_scale_or_place() {
        let mut x = vec![0.0; 40];
        Stream::new(0, "twins", 0).fill_normal(&mut x);
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let y: Vec<f64> = x.iter().rev().copied().collect();
        let moved: Vec<f64> = x.iter().map(|value| 100.0 * value + 3.0).collect();
        assert!((loss(0.1, &x, &y, 4) - loss(0.1, &moved, &y, 4)).abs() < 1e-3);
    }

    #[test]
    fn a_gradient_agrees_with_differences() {
        let mut values = vec![0.0; 24];
        Stream::new(1, "twins", 0).fill_normal(&mut values);
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let (mut x, y) = (values[..12].to_vec(), &values[12..]);
        let leaf = tensor(&x, 3).autodiff().require_grad();
        let value = BarlowTwinsLossConfig::new()
            .init()
            .unwrap()
            .forward(leaf.clone(), tensor(y, 3).autodiff());
        let gradient = leaf
            .grad(&value.backward())
            .unwrap()
            .into_data()
            .try_into_vec_as::<f64>()
            .unwrap();
        for at in 0..x.len() {
            let centre = x[at];
            let mut beside = |offset| {
                x[at] = centre + offset;
                loss(0.0051, &x, y, 3)
            };
            let slope = (beside(1e-6) - beside(-1e-6)) / 2e-6;
            x[at] = centre;
            assert!(
                (slope - gradient[at]).abs() < 1e-6 * (1.0 + slope.abs()),
                "{slope}, {}",
                gradient[at]
            );
        }
    }

    #[test]
    fn a_negative_weight_is_refused() {
        assert!(BarlowTwinsLossConfig::new().with_redundancy(-1.0).init().is_err());
    }
}
