//! The exponential average of a network's weights, kept where an objective asks for it.

use burn::tensor::Tensor;
use thalweg::objective::{DualHead, Model};
use thalweg::optimizer::{follow, target_of};

use crate::model::Network;

/// The average `v ← β v + (1 − β) θ`, from the first weights on.
pub(super) struct WeightAverage {
    network: Network,
    decay: f64,
}

impl WeightAverage {
    /// That of a network that has not been trained yet.
    pub fn of(network: &Network, decay: f64) -> Self {
        Self {
            network: target_of(network),
            decay,
        }
    }

    /// After a step of the network.
    pub fn follow(&mut self, network: &Network) {
        let average = std::mem::replace(&mut self.network, Network::hollow());
        self.network = follow(average, network, self.decay);
    }
}

/// A network beside the average of its weights.
pub(super) struct Averaging<'a> {
    pub network: &'a Network,
    pub average: Option<&'a WeightAverage>,
}

impl Model for Averaging<'_> {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.network.forward(inputs)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.network.frozen(inputs)
    }

    fn averaged(&self, inputs: Tensor<2>) -> Option<Tensor<2>> {
        let average = self.average?;
        Some(average.network.frozen(inputs.without_autodiff()))
    }

    fn dual_head(&self) -> Option<&dyn DualHead> {
        self.network.dual_head()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::{Activation, ModelSpec, Normalization, ScoreForm};

    fn values(scores: Tensor<2>) -> Vec<f32> {
        scores.without_autodiff().into_data().try_into_vec_as().unwrap()
    }

    #[test]
    fn the_average_starts_as_the_network_and_follows_all_of_it() {
        let device = Device::flex().autodiff();
        let spec = ModelSpec::Mlp {
            hidden: vec![5],
            activation: Activation::Relu,
            normalization: Normalization::Batch,
            scores: ScoreForm::ByClass,
        };
        let first = Network::new(&spec, &[3], 2, 0, &device);
        let inputs = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]], &device);
        let of = |average: &WeightAverage| {
            let model = Averaging {
                network: &first,
                average: Some(average),
            };
            let scores = model.averaged(inputs.clone()).unwrap();
            assert!(!scores.is_tracked());
            values(scores)
        };
        let mut average = WeightAverage::of(&first, 0.0);
        assert_eq!(of(&average), values(first.frozen(inputs.clone())));
        // A training step moves the running statistics, which follow as the weights do.
        let _ = first.forward(inputs.clone());
        let moved = values(first.frozen(inputs.clone()));
        assert_ne!(of(&average), moved);
        average.follow(&first);
        assert_eq!(of(&average), moved);
        let none = Averaging {
            network: &first,
            average: None,
        };
        assert!(none.averaged(inputs).is_none());
    }
}
