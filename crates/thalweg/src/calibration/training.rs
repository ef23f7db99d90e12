//! Training the network that gives temperatures, on the logits of held-out samples, by Adam.
//!
//! The paper: Adam at 1e-4 in batches of 1000 over ten passes of 50 000 samples. On sets of a few hundred to a few
//! thousand samples that moves nothing; the defaults here are 600 steps at 2e-3.

use burn::config::Config;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::temperature_network::read;
use super::{
    CorrectnessAwareLossConfig, Logits, TemperatureNetwork, TemperatureScaledBrierLossConfig,
    TemperatureScaledCrossEntropyConfig, Weighting,
};
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Array, Outputs, Quantity};

/// What the temperatures are trained to minimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemperatureObjective {
    /// Squared difference of confidence and correctness.
    CorrectnessAware(Weighting),
    /// Cross-entropy.
    CrossEntropy,
    /// Squared error of all probabilities.
    Brier,
}

impl TemperatureObjective {
    fn loss(self, logits: Tensor<2>, temperatures: Tensor<1>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self {
            Self::CorrectnessAware(weighting) => {
                let config = CorrectnessAwareLossConfig::new().with_weighting(weighting);
                config.init().forward(logits, temperatures, targets)
            }
            Self::CrossEntropy => {
                let loss = TemperatureScaledCrossEntropyConfig::new().init();
                loss.forward(logits, temperatures, targets)
            }
            Self::Brier => {
                let loss = TemperatureScaledBrierLossConfig::new().init();
                loss.forward(logits, temperatures, targets)
            }
        }
    }
}

/// How a [`TemperatureNetwork`] is trained.
#[derive(Config, Debug)]
pub struct NetworkTrainingConfig {
    /// What for.
    pub objective: TemperatureObjective,
    /// Adam steps.
    #[config(default = 600)]
    pub steps: usize,
    /// Learning rate, above 0.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Samples of a step; all where there are no more. Weights of the balanced objective are those of the batch.
    #[config(default = 1000)]
    pub batch_size: usize,
    /// Seed of the order of samples.
    #[config(default = 0)]
    pub seed: u64,
}

/// A trained network, and how it went.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network after the last step.
    pub network: TemperatureNetwork,
    /// Loss of each batch before its step.
    pub losses: Vec<f64>,
}

impl NetworkTrainingConfig {
    /// Trains `network` on `features` `[samples, inputs]` of the samples of `logits`.
    ///
    /// # Errors
    /// When the learning rate is not positive or there are no samples in a batch.
    ///
    /// # Panics
    /// When features, logits and labels do not go together; see [`Logits::check_labels`].
    pub fn train(
        &self,
        network: &TemperatureNetwork,
        features: &[f64],
        logits: &Logits,
        labels: &[usize],
    ) -> Result<Trained, ConfigError> {
        const NAME: &str = "calibrator network";
        require(
            NAME,
            "learning_rate",
            self.learning_rate,
            "above 0 and finite",
            |rate| rate > 0.0 && rate.is_finite(),
        )?;
        require(NAME, "batch_size", self.batch_size as f64, "at least 1", |size| {
            size >= 1.0
        })?;
        logits.check_labels(labels).expect("labels of these samples");
        let (samples, inputs) = (logits.samples(), network.inputs());
        assert_eq!(features.len(), samples * inputs, "every sample has its features");
        let all = Batch::of(features, logits.values(), labels);
        let mut parameters = network.flat();
        let mut adam = Adam::new(parameters.len());
        let mut losses = Vec::with_capacity(self.steps);
        let mut pending: Vec<usize> = Vec::new();
        let mut epoch = 0;
        for _ in 0..self.steps {
            let batch = if self.batch_size >= samples {
                all.clone()
            } else {
                if pending.len() < self.batch_size {
                    pending = (0..samples).collect();
                    Stream::new(self.seed, "calibrator batches", epoch).shuffle(&mut pending);
                    epoch += 1;
                }
                all.select(&pending.split_off(pending.len() - self.batch_size))
            };
            let (loss, gradient) = self.gradient(&network.with_flat(&parameters), batch);
            losses.push(loss);
            adam.step(self.learning_rate, &mut parameters, &gradient);
        }
        Ok(Trained {
            network: network.with_flat(&parameters),
            losses,
        })
    }

    fn gradient(&self, network: &TemperatureNetwork, batch: Batch) -> (f64, Vec<f64>) {
        let mut parameters = network.parameters(&Device::flex().autodiff());
        parameters.w1 = parameters.w1.require_grad();
        parameters.b1 = parameters.b1.require_grad();
        parameters.w2 = parameters.w2.require_grad();
        parameters.b2 = parameters.b2.require_grad();
        let temperatures = parameters.temperatures(batch.features, network.range());
        let loss = self.objective.loss(batch.logits, temperatures, batch.targets);
        let gradients = loss.backward();
        let of_matrix = |leaf: &Tensor<2>| leaf.grad(&gradients).map_or_else(|| zeros(leaf), read);
        let of_vector = |leaf: &Tensor<1>| leaf.grad(&gradients).map_or_else(|| zeros(leaf), read);
        let gradient = [
            of_matrix(&parameters.w1),
            of_vector(&parameters.b1),
            of_matrix(&parameters.w2),
            of_vector(&parameters.b2),
        ];
        (loss.into_scalar::<f64>(), gradient.concat())
    }
}

fn zeros<const D: usize>(leaf: &Tensor<D>) -> Vec<f64> {
    vec![0.0; leaf.dims().iter().product()]
}

/// Samples as tensors ready for a step.
#[derive(Clone)]
struct Batch {
    features: Tensor<2>,
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
}

impl Batch {
    fn of(features: &[f64], logits: &[f64], labels: &[usize]) -> Self {
        let (device, samples) = (Device::flex().autodiff(), labels.len());
        let rows = |values: &[f64]| {
            let data = TensorData::new(values.to_vec(), [samples, values.len() / samples]);
            Tensor::<2>::from_data(data, (&device, DType::F64))
        };
        let targets: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        Self {
            features: rows(features),
            logits: rows(logits),
            targets: Tensor::from_data(TensorData::new(targets, [samples]), &device),
        }
    }

    fn select(&self, samples: &[usize]) -> Self {
        let indices: Vec<i64> = samples.iter().map(|&sample| sample as i64).collect();
        let data = TensorData::new(indices, [samples.len()]);
        let indices = Tensor::<1, Int>::from_data(data, &self.targets.device());
        Self {
            features: self.features.clone().select(0, indices.clone()),
            logits: self.logits.clone().select(0, indices.clone()),
            targets: self.targets.clone().select(0, indices),
        }
    }
}

/// Adam with β = (0.9, 0.999) and ε = 1e-8 beside the root, in f64 (burn's keeps its constants in f32).
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    const BETAS: (f64, f64) = (0.9, 0.999);
    const EPSILON: f64 = 1e-8;

    fn new(parameters: usize) -> Self {
        Self {
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            steps: 0,
        }
    }

    fn step(&mut self, learning_rate: f64, parameters: &mut [f64], gradient: &[f64]) {
        self.steps += 1;
        let (a, b) = Self::BETAS;
        let (first_scale, second_scale) = (1.0 - a.powi(self.steps), 1.0 - b.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, slope), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *first = a * *first + (1.0 - a) * slope;
            *second = b * *second + (1.0 - b) * slope * slope;
            let root = (*second / second_scale).sqrt() + Self::EPSILON;
            *parameter -= learning_rate * (*first / first_scale) / root;
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "ca_calibrator_training",
            "losses and last weights of a calibrator network trained on the correctness-aware loss, all samples a step",
        )
        .param("steps", 10.0)
        .param("learning_rate", 1e-4)
        .param("optimizer", "adam")
        .param("balanced", true)
        .input("features", "[N, F]")
        .input("logits", "[N, C]")
        .input("labels", "[N]")
        .input("w1", "[H, F]")
        .input("b1", "[H]")
        .input("w2", "[1, H]")
        .input("b2", "[1]")
        .eval(|case| {
            case.not_empty("logits")?;
            case.not_empty("w1")?;
            case.choice("optimizer", &[("adam", ())])?;
            let weighting = if case.flag("balanced")? {
                Weighting::Balanced
            } else {
                Weighting::Plain
            };
            let array = case.array("logits");
            let logits = Logits::new(array.data.clone(), array.shape[1])
                .or_else(|error| case.refuse_input("logits", format!("is refused: {error}")))?;
            let labels = case.class_indices("labels", logits.classes())?;
            let steps = case.count("steps", 0)?;
            if steps > MOST_STEPS {
                return case.refuse_param("steps", "at most 100000");
            }
            let values = |name: &str| case.array(name).data.clone();
            let (min_temperature, max_temperature) = TemperatureNetwork::RANGE;
            let network = TemperatureNetwork {
                w1: values("w1"),
                b1: values("b1"),
                w2: values("w2"),
                b2: values("b2"),
                min_temperature,
                max_temperature,
            };
            let config = NetworkTrainingConfig::new(TemperatureObjective::CorrectnessAware(weighting))
                .with_steps(steps)
                .with_batch_size(logits.samples())
                .with_learning_rate(case.param("learning_rate")?);
            let trained = config.train(&network, &case.array("features").data, &logits, &labels)?;
            let shaped = |name: &str, data: Vec<f64>| Array {
                shape: case.array(name).shape.clone(),
                data,
            };
            let TemperatureNetwork { w1, b1, w2, b2, .. } = trained.network;
            Ok(Outputs::new()
                .with("losses", trained.losses)
                .with("w1", shaped("w1", w1))
                .with("b1", b1)
                .with("w2", shaped("w2", w2))
                .with("b2", b2))
        }),
    ]
}

/// A case may not ask for work without end.
const MOST_STEPS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::logits::tests::random_set;
    use super::*;

    fn config(objective: TemperatureObjective) -> NetworkTrainingConfig {
        NetworkTrainingConfig::new(objective)
    }

    #[test]
    fn every_objective_falls() {
        let (logits, labels) = random_set(120, 4, 5.0, 1);
        let features = logits.probabilities();
        let network = TemperatureNetwork::new(4, 5, 1.0, 0);
        for objective in [
            TemperatureObjective::CorrectnessAware(Weighting::Plain),
            TemperatureObjective::CorrectnessAware(Weighting::Balanced),
            TemperatureObjective::CrossEntropy,
            TemperatureObjective::Brier,
        ] {
            let config = config(objective).with_steps(200).with_learning_rate(1e-2);
            let losses = config
                .train(&network, &features, &logits, &labels)
                .unwrap()
                .losses;
            assert!(losses[199] < 0.98 * losses[0], "{objective:?}: {losses:?}");
        }
    }

    #[test]
    fn batches_cover_the_samples_and_follow_the_seed() {
        let (logits, labels) = random_set(50, 3, 4.0, 2);
        let features = logits.probabilities();
        let network = TemperatureNetwork::new(3, 5, 1.0, 0);
        let run = |seed| {
            let config = config(TemperatureObjective::Brier)
                .with_batch_size(20)
                .with_steps(9);
            config
                .with_seed(seed)
                .train(&network, &features, &logits, &labels)
                .unwrap()
                .losses
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn no_steps_change_nothing_and_bad_rates_are_refused() {
        let (logits, labels) = random_set(5, 3, 4.0, 2);
        let (features, network) = (logits.probabilities(), TemperatureNetwork::new(3, 5, 1.0, 0));
        let train = |config: NetworkTrainingConfig| config.train(&network, &features, &logits, &labels);
        let plain = config(TemperatureObjective::Brier);
        assert_eq!(train(plain.clone().with_steps(0)).unwrap().network, network);
        assert!(train(plain.clone().with_learning_rate(0.0)).is_err());
        assert!(train(plain.with_batch_size(0)).is_err());
    }
}
