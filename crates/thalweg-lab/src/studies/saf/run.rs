//! One training: a perceptron 64-64-64-10 with ReLU, in batches of 50 at a rate of 0.1 that falls by half a cosine wave; and
//! what is measured on it.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use thalweg::classification::CrossEntropyLossConfig;
use thalweg::flatness::{Convergence, Landscape, ModuleLandscape, top_eigenvalue, worst_case_sharpness};
use thalweg::objective::{Batch, Model, Objective, Progress};
use thalweg::optimizer::Evaluation;
use thalweg_kernels::random::Stream;

use super::data::{Part, Problem};
use super::method::{Method, Optimizer};
use crate::LabError;
use crate::model::{ModelSpec, Network};
use crate::trial::{Averaging, Schedule, WeightAverage};

const BATCH: usize = 50;
const RATE: f64 = 0.1;
const HIDDEN: [usize; 2] = [64, 64];
/// The ball and the ascent of the worst case.
const RADIUS: f64 = 0.5;
const ASCENT: usize = 8;
/// A residual of 1e-3 leaves an error of about its square in the eigenvalue.
const CONVERGENCE: Convergence = Convergence {
    tolerance: 1e-3,
    products: 60,
};

pub(super) struct Run<'a> {
    problem: &'a Problem,
    objective: Box<dyn Objective>,
    optimizer: Optimizer,
    network: Network,
    average: Option<WeightAverage>,
    device: Device,
    seed: u64,
    epochs: usize,
}

/// What a trained network is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// On the test part.
    pub accuracy: f64,
    /// Cross-entropy on the training part.
    pub train_loss: f64,
    /// Of the Hessian of that.
    pub top_eigenvalue: f64,
    /// Rise of that within the ball.
    pub worst_case: f64,
}

impl<'a> Run<'a> {
    pub fn new(problem: &'a Problem, method: Method, epochs: usize, seed: u64) -> Result<Self, LabError> {
        let device = Device::flex().autodiff();
        let spec = ModelSpec::mlp(HIDDEN.to_vec());
        let network = Network::new(&spec, &[problem.train.width()], problem.classes, seed, &device);
        let objective = method.objective(problem.train.len(), seed)?;
        let decay = objective.needs().weight_average;
        Ok(Self {
            problem,
            optimizer: method.optimizer()?,
            average: decay.map(|decay| WeightAverage::of(&network, decay)),
            objective,
            network,
            device,
            seed,
            epochs,
        })
    }

    /// One pass over the training part.
    pub fn epoch(&mut self, epoch: usize) {
        let train = &self.problem.train;
        let mut order: Vec<usize> = (0..train.len()).collect();
        Stream::new(self.seed, "batches", epoch as u64).shuffle(&mut order);
        let rate = RATE * Schedule::Cosine.factor(epoch, self.epochs);
        for ids in order.chunks(BATCH) {
            self.step(ids, epoch, rate);
        }
    }

    fn step(&mut self, ids: &[usize], epoch: usize, rate: f64) {
        let (inputs, targets) = self.problem.train.batch(ids, &self.device);
        let batch = Batch {
            inputs,
            targets,
            ids: ids.to_vec(),
            range: None,
            bags: None,
            teacher_logits: None,
        };
        let progress = Progress {
            epoch,
            epochs: self.epochs,
            step: 0,
            steps: 1,
        };
        // No method here draws numbers.
        let mut random = Stream::new(self.seed, "objective", epoch as u64);
        let network = std::mem::replace(&mut self.network, Network::hollow());
        self.network = self.optimizer.step(rate, network, &mut |network| {
            let model = Averaging {
                network,
                average: self.average.as_ref(),
            };
            let loss = self.objective.loss(&model, &batch, &progress, &mut random);
            Evaluation {
                value: 0.0,
                gradients: GradientsParams::from_grads(loss.backward(), network),
            }
        });
        if let Some(average) = &mut self.average {
            average.follow(&self.network);
        }
    }

    /// Trains to the end.
    pub fn trained(mut self) -> Self {
        (0..self.epochs).for_each(|epoch| self.epoch(epoch));
        self
    }

    pub fn outcome(&self) -> Result<Outcome, LabError> {
        let (inputs, targets) = self.problem.train.whole(&self.device);
        let inputs = inputs.cast(DType::F64);
        let loss = CrossEntropyLossConfig::new().init()?;
        let landscape = ModuleLandscape::new(self.network.clone(), |network: &Network| {
            let loss = loss.forward(network.forward(inputs.clone()), targets.clone());
            Evaluation {
                value: loss.clone().into_scalar::<f64>(),
                gradients: GradientsParams::from_grads(loss.backward(), network),
            }
        });
        let at = landscape.parameters();
        let mut random = Stream::new(self.seed, "curvature", 0);
        Ok(Outcome {
            accuracy: accuracy(&self.network, &self.problem.test, &self.device),
            train_loss: landscape.loss(&at),
            top_eigenvalue: top_eigenvalue(&landscape, &at, CONVERGENCE, &mut random),
            worst_case: worst_case_sharpness(&landscape, &at, RADIUS, ASCENT),
        })
    }
}

fn accuracy(network: &Network, part: &Part, device: &Device) -> f64 {
    let (inputs, targets) = part.whole(&device.clone().without_autodiff());
    let predicted: Tensor<2> = network.valid().forward(inputs);
    let right = predicted.argmax(1).reshape([part.len()]).equal(targets);
    right.float().mean().into_scalar::<f64>()
}
