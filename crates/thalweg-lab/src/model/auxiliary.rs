//! The auxiliary head of a student: a second output on the features of the last layer, which training alone uses.
//!
//! It is never asked for an answer, so its batch normalisation needs no running statistics: it always sees those of the
//! batch.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg::objective::DualHead;
use thalweg_kernels::random::Stream;

use super::{Dense, Network, Trained, uniform};

/// What the second head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuxiliaryHeadSpec {
    /// One linear layer.
    Linear,
    /// Linear to 200, dropout of 0.1, batch normalisation, ReLU, linear: for students unlike their teachers.
    NonLinear,
}

const HIDDEN: usize = 200;
const DROPOUT: f64 = 0.1;
/// Added to variances, as PyTorch does.
const EPSILON: f64 = 1e-5;

#[derive(Module, Debug)]
pub struct AuxiliaryHead {
    hidden: Option<Hidden>,
    output: Dense,
}

#[derive(Module, Debug)]
struct Hidden {
    layer: Dense,
    scale: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
}

impl AuxiliaryHead {
    fn new(
        spec: AuxiliaryHeadSpec,
        width: usize,
        classes: usize,
        mut stream: Stream,
        device: &Device,
    ) -> Self {
        let mut dense = |inputs, outputs| Dense {
            weight: uniform([inputs, outputs], inputs, &mut stream, device),
            bias: uniform([outputs], inputs, &mut stream, device),
        };
        match spec {
            AuxiliaryHeadSpec::Linear => Self {
                hidden: None,
                output: dense(width, classes),
            },
            AuxiliaryHeadSpec::NonLinear => Self {
                hidden: Some(Hidden {
                    layer: dense(width, HIDDEN),
                    scale: Param::from_tensor(Tensor::ones([HIDDEN], device)),
                    shift: Param::from_tensor(Tensor::zeros([HIDDEN], device)),
                }),
                output: dense(HIDDEN, classes),
            },
        }
    }

    fn scores(&self, features: Tensor<2>, random: &mut Stream) -> Tensor<2> {
        let features = match &self.hidden {
            None => features,
            Some(hidden) => hidden.of(features, random),
        };
        self.output.of(features, &Trained)
    }
}

impl Hidden {
    fn of(&self, features: Tensor<2>, random: &mut Stream) -> Tensor<2> {
        let sums = dropout(self.layer.of(features, &Trained), random);
        let centred = sums.clone() - sums.mean_dim(0);
        let deviation = (centred.clone().square().mean_dim(0) + EPSILON).sqrt();
        relu(centred / deviation * self.scale.val().unsqueeze() + self.shift.val().unsqueeze())
    }
}

/// Each element 0 with the probability of dropout, the others larger by as much.
fn dropout(values: Tensor<2>, random: &mut Stream) -> Tensor<2> {
    let shape = values.dims();
    let kept = (1.0 / (1.0 - DROPOUT)) as f32;
    let mask: Vec<f32> = (0..shape[0] * shape[1])
        .map(|_| if random.uniform() < DROPOUT { 0.0 } else { kept })
        .collect();
    let mask = Tensor::<2>::from_data(TensorData::new(mask, shape), &values.device());
    values * mask
}

impl Network {
    /// The same network with a second head, its weights drawn under `seed`.
    #[must_use]
    pub fn with_auxiliary_head(mut self, spec: AuxiliaryHeadSpec, seed: u64, device: &Device) -> Self {
        let [width, classes] = self.last().weight.dims();
        let stream = Stream::new(seed, "auxiliary head", 0);
        self.auxiliary = Some(AuxiliaryHead::new(spec, width, classes, stream, device));
        self
    }
}

impl DualHead for Network {
    fn features(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.hidden(inputs, &Trained)
    }

    fn main(&self, features: Tensor<2>) -> Tensor<2> {
        self.last().of(features, &Trained)
    }

    fn auxiliary(&self, features: Tensor<2>, random: &mut Stream) -> Tensor<2> {
        let head = self.auxiliary.as_ref();
        head.expect("a network offers two heads only where it has them")
            .scores(features, random)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use thalweg::objective::Model;

    use super::super::ModelSpec;
    use super::*;

    fn network(spec: AuxiliaryHeadSpec) -> Network {
        let device = Device::flex().autodiff();
        Network::new(&ModelSpec::mlp(vec![6, 5]), &[4], 3, 1, &device).with_auxiliary_head(spec, 1, &device)
    }

    #[test]
    fn the_main_head_answers_as_without_the_other() {
        let device = Device::flex().autodiff();
        let inputs = Tensor::<2>::ones([7, 4], &device);
        let plain = Network::new(&ModelSpec::mlp(vec![6, 5]), &[4], 3, 1, &device);
        assert!(plain.dual_head().is_none());
        for spec in [AuxiliaryHeadSpec::Linear, AuxiliaryHeadSpec::NonLinear] {
            let network = network(spec);
            let heads = network.dual_head().unwrap();
            let features = heads.features(inputs.clone());
            assert_eq!(features.dims(), [7, 5]);
            let scores = plain.forward(inputs.clone()).into_data();
            assert_eq!(network.forward(inputs.clone()).into_data(), scores);
            assert_eq!(heads.main(features.clone()).into_data(), scores);
            let auxiliary = heads.auxiliary(features, &mut Stream::new(0, "dropout", 0));
            assert_eq!(auxiliary.dims(), [7, 3]);
        }
    }

    #[test]
    fn the_hidden_layer_is_normalised_over_the_batch_and_drops_by_its_stream() {
        let device = Device::flex().autodiff();
        let network = network(AuxiliaryHeadSpec::NonLinear);
        let mut values = vec![0.0_f32; 400 * 4];
        Stream::new(0, "inputs", 0).fill_normal(&mut values);
        let inputs = Tensor::<2>::from_data(TensorData::new(values, [400, 4]), &device);
        let hidden = network.auxiliary.as_ref().unwrap().hidden.as_ref().unwrap();
        let of = |seed| {
            hidden.of(
                network.hidden(inputs.clone(), &Trained),
                &mut Stream::new(seed, "dropout", 0),
            )
        };
        assert_eq!(of(1).into_data(), of(1).into_data());
        assert_ne!(of(1).into_data(), of(2).into_data());
        // Lifted above the ReLU the columns show what they are normalised to.
        let lifted = Hidden {
            shift: Param::from_tensor(Tensor::ones([HIDDEN], &device) * 100.0),
            ..hidden.clone()
        };
        let columns = lifted.of(
            network.hidden(inputs.clone(), &Trained),
            &mut Stream::new(1, "dropout", 0),
        ) - 100.0;
        let means = columns.clone().mean_dim(0).abs().max().into_scalar::<f64>();
        let squares = columns.square().mean_dim(0).mean().into_scalar::<f64>();
        assert!(means < 1e-3 && (squares - 1.0).abs() < 0.01, "{means} {squares}");
        let alone = hidden.of(
            network.hidden(inputs.slice([0..1, 0..4]), &Trained),
            &mut Stream::new(1, "dropout", 0),
        );
        assert!(
            alone
                .into_data()
                .try_into_vec_as::<f64>()
                .unwrap()
                .iter()
                .all(|x| x.is_finite())
        );
    }
}
