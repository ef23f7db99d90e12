//! The network that gives a sample its temperature: `T = clamp(w₂ relu(W₁ x + b₁) + b₂, T_min, T_max)`.
//!
//! Where the clamp holds there is no gradient: a network that starts outside its range never learns. Start the output bias
//! at 1 or at the temperature of temperature scaling. Source: Liu et al., arXiv 2404.13016.

use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use crate::quantity::{Outputs, Quantity};

/// Weights and range of the network, row-major.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperatureNetwork {
    /// `[hidden, inputs]`.
    pub w1: Vec<f64>,
    /// `[hidden]`.
    pub b1: Vec<f64>,
    /// `[1, hidden]`.
    pub w2: Vec<f64>,
    /// `[1]`.
    pub b2: Vec<f64>,
    /// Lowest temperature it gives.
    pub min_temperature: f64,
    /// Highest temperature it gives.
    pub max_temperature: f64,
}

/// The parameters as tensors, in the order w1, b1, w2, b2.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub(super) w1: Tensor<2>,
    pub(super) b1: Tensor<1>,
    pub(super) w2: Tensor<2>,
    pub(super) b2: Tensor<1>,
}

impl Parameters {
    /// Temperatures `[batch]` of features `[batch, inputs]`.
    pub(super) fn temperatures(&self, features: Tensor<2>, (min, max): (f64, f64)) -> Tensor<1> {
        let [batch, _] = features.dims();
        let hidden = relu(features.matmul(self.w1.clone().transpose()) + self.b1.clone().unsqueeze());
        let out = hidden.matmul(self.w2.clone().transpose()) + self.b2.clone().unsqueeze();
        out.reshape([batch]).clamp(min, max)
    }
}

impl TemperatureNetwork {
    /// The range of the paper.
    pub const RANGE: (f64, f64) = (0.1, 10.0);

    /// A network with weights as PyTorch's layers start, uniform in `±1/√fan_in`, and its output bias at `temperature`.
    pub fn new(inputs: usize, hidden: usize, temperature: f64, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "temperature network", 0);
        let mut uniform = |count: usize, fan_in: usize| -> Vec<f64> {
            let bound = 1.0 / (fan_in as f64).sqrt();
            (0..count)
                .map(|_| bound * (2.0 * stream.uniform() - 1.0))
                .collect()
        };
        let (w1, b1) = (uniform(hidden * inputs, inputs), uniform(hidden, inputs));
        let w2 = uniform(hidden, hidden);
        let (min_temperature, max_temperature) = Self::RANGE;
        Self {
            w1,
            b1,
            w2,
            b2: vec![temperature.clamp(min_temperature, max_temperature)],
            min_temperature,
            max_temperature,
        }
    }

    /// The number of features it takes.
    pub fn inputs(&self) -> usize {
        self.w1.len() / self.b1.len()
    }

    /// The range of its temperatures.
    pub fn range(&self) -> (f64, f64) {
        (self.min_temperature, self.max_temperature)
    }

    /// The temperature of each row of `features` `[samples, inputs]`.
    ///
    /// # Panics
    /// When rows are not whole.
    pub fn temperatures(&self, features: &[f64]) -> Vec<f64> {
        let inputs = self.inputs();
        assert!(features.len().is_multiple_of(inputs), "rows of {inputs} features");
        let device = Device::flex();
        let data = TensorData::new(features.to_vec(), [features.len() / inputs, inputs]);
        let features = Tensor::from_data(data, (&device, DType::F64));
        let temperatures = self.parameters(&device).temperatures(features, self.range());
        read(temperatures)
    }

    pub(super) fn parameters(&self, device: &Device) -> Parameters {
        let (hidden, inputs) = (self.b1.len(), self.inputs());
        let options = (device, DType::F64);
        let vector =
            |values: &Vec<f64>| Tensor::from_data(TensorData::new(values.clone(), [values.len()]), options);
        let matrix = |values: &Vec<f64>, shape: [usize; 2]| {
            Tensor::from_data(TensorData::new(values.clone(), shape), options)
        };
        Parameters {
            w1: matrix(&self.w1, [hidden, inputs]),
            b1: vector(&self.b1),
            w2: matrix(&self.w2, [1, hidden]),
            b2: vector(&self.b2),
        }
    }

    /// All parameters in one row: w1, b1, w2, b2.
    pub(super) fn flat(&self) -> Vec<f64> {
        [&self.w1[..], &self.b1, &self.w2, &self.b2].concat()
    }

    /// The network of the same shape and range with other parameters.
    pub(super) fn with_flat(&self, flat: &[f64]) -> Self {
        let mut rest = flat;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at(count);
            rest = after;
            taken.to_vec()
        };
        Self {
            w1: take(self.w1.len()),
            b1: take(self.b1.len()),
            w2: take(self.w2.len()),
            b2: take(self.b2.len()),
            ..*self
        }
    }
}

pub(super) fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.into_data();
    data.try_into_vec_as::<f64>().expect("float tensors read as f64")
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "calibrator_temperature",
            "temperatures that the calibrator network gives, and the gradient of their product with a cotangent",
        )
        .param("min_temperature", TemperatureNetwork::RANGE.0)
        .param("max_temperature", TemperatureNetwork::RANGE.1)
        .input("w1", "[H, F]")
        .input("b1", "[H]")
        .input("w2", "[1, H]")
        .input("b2", "[1]")
        .input("features", "[N, F]")
        .input("cotangent", "[N]")
        .eval(|case| {
            case.not_empty("features")?;
            case.not_empty("b1")?;
            let range = (case.param("min_temperature")?, case.param("max_temperature")?);
            if range.0 <= 0.0 {
                return case.refuse_param("min_temperature", "above 0");
            }
            if range.1 < range.0 || !range.1.is_finite() {
                return case.refuse_param("max_temperature", "finite, and not below min_temperature");
            }
            let parameters = Parameters {
                w1: case.variable("w1"),
                b1: case.variable("b1"),
                w2: case.variable("w2"),
                b2: case.variable("b2"),
            };
            let features = case.tensor::<2>("features").autodiff();
            let temperatures = parameters.temperatures(features, range);
            let value = (temperatures.clone() * case.tensor::<1>("cotangent").autodiff()).sum();
            let gradients = value.backward();
            let Parameters { w1, b1, w2, b2 } = parameters;
            let matrix = |leaf: Tensor<2>| leaf.grad(&gradients).unwrap_or_else(|| leaf.zeros_like().inner());
            let vector = |leaf: Tensor<1>| leaf.grad(&gradients).unwrap_or_else(|| leaf.zeros_like().inner());
            Ok(Outputs::new()
                .with_scalar("value", value)
                .with_tensor("temperatures", temperatures)
                .with_tensor("grad_w1", matrix(w1))
                .with_tensor("grad_b1", vector(b1))
                .with_tensor("grad_w2", matrix(w2))
                .with_tensor("grad_b2", vector(b2)))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_keep_to_their_range() {
        let mut network = TemperatureNetwork::new(3, 5, 1.5, 4);
        let features = [0.1, 0.2, 0.3, 0.9, 0.0, 0.1];
        assert!(
            network
                .temperatures(&features)
                .iter()
                .all(|t| (0.1..=10.0).contains(t))
        );
        network.b2[0] = 100.0;
        assert_eq!(network.temperatures(&features), [10.0, 10.0]);
        network.b2[0] = -100.0;
        assert_eq!(network.temperatures(&features), [0.1, 0.1]);
        assert_eq!(network.with_flat(&network.flat()), network);
    }
}
