//! The ways to train that are compared, each as an objective and an optimiser.

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use thalweg::classification::CrossEntropyLossConfig;
use thalweg::flatness::{
    MesaConfig, Moment, OutputHistory, PastOutputs, SafConfig, TrajectoryLoss, TrajectoryLossConfig, Window,
};
use thalweg::objective::{Batch, Model, Objective, Progress};
use thalweg::optimizer::{Evaluation, MomentumSgdConfig, Sam, SamConfig, WholeOptimizer};
use thalweg_kernels::random::Stream;
use thalweg_kernels::trajectory::PastRows;

use crate::LabError;

const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f64 = 1e-4;
/// The trajectory loss is active after this epoch.
const START: Moment = Moment::Epoch(5);
const TEMPERATURE: f64 = 5.0;
const LAG: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    Sgd,
    Sam {
        rho: f64,
    },
    Saf {
        weight: f64,
        temperature: f64,
        lag: usize,
    },
    Mesa {
        weight: f64,
        decay: f64,
    },
    /// SAF with the divergence of the past from the present.
    Swapped {
        weight: f64,
    },
    /// SAF with past outputs of another sample, always the same one.
    Strangers {
        weight: f64,
    },
}

impl Method {
    pub fn label(self) -> String {
        match self {
            Self::Sgd => "SGD".to_owned(),
            Self::Sam { rho } => format!("SAM ρ {rho}"),
            Self::Saf {
                weight,
                temperature,
                lag,
            } if (temperature, lag) == (TEMPERATURE, LAG) => {
                format!("SAF λ {weight}")
            }
            Self::Saf {
                temperature,
                lag: LAG,
                ..
            } => format!("τ {temperature}"),
            Self::Saf { lag, .. } => format!("lag {lag}"),
            Self::Mesa { weight, .. } => format!("MESA λ {weight}"),
            Self::Swapped { .. } => "KL the other way round".to_owned(),
            Self::Strangers { .. } => "past outputs of another sample".to_owned(),
        }
    }

    /// What it descends, of so many samples.
    pub fn objective(self, samples: usize, seed: u64) -> Result<Box<dyn Objective>, LabError> {
        Ok(match self {
            Self::Sgd | Self::Sam { .. } => Box::new(CrossEntropyLossConfig::new().init()?),
            Self::Saf {
                weight,
                temperature,
                lag,
            } => {
                let config = SafConfig::new().with_weight(weight).with_temperature(temperature);
                Box::new(config.with_lag(lag).with_start(START).init()?)
            }
            Self::Mesa { weight, decay } => {
                let config = MesaConfig::new()
                    .with_weight(weight)
                    .with_temperature(TEMPERATURE);
                Box::new(config.with_decay(decay).with_start(START).init()?)
            }
            Self::Swapped { weight } => Box::new(Altered::new(weight, Alteration::Swapped)?),
            Self::Strangers { weight } => {
                let mut others: Vec<usize> = (0..samples).collect();
                Stream::new(seed, "strangers", 0).shuffle(&mut others);
                Box::new(Altered::new(weight, Alteration::Strangers(others))?)
            }
        })
    }

    pub fn optimizer(self) -> Result<Optimizer, LabError> {
        let sgd = MomentumSgdConfig::new().with_momentum(MOMENTUM);
        let sgd = sgd.with_weight_decay(WEIGHT_DECAY).init()?;
        Ok(match self {
            Self::Sam { rho } => Optimizer::Sam(SamConfig::new().with_rho(rho).init(sgd)?),
            _ => Optimizer::Sgd(sgd),
        })
    }
}

/// SGD, or SAM over it.
pub(super) enum Optimizer {
    Sgd(ModuleOptimizer),
    Sam(Sam),
}

impl Optimizer {
    pub fn step<M: Module>(&mut self, rate: f64, module: M, evaluate: &mut dyn FnMut(&M) -> Evaluation) -> M {
        match self {
            Self::Sgd(sgd) => WholeOptimizer::step(sgd, rate, module, evaluate).0,
            Self::Sam(sam) => sam.step(rate, module, evaluate).0,
        }
    }
}

enum Alteration {
    Swapped,
    /// Whose past outputs each sample is held near to.
    Strangers(Vec<usize>),
}

/// SAF with something changed that should matter.
struct Altered {
    loss: TrajectoryLoss,
    window: Window,
    history: OutputHistory,
    weight: f64,
    alteration: Alteration,
}

impl Altered {
    fn new(weight: f64, alteration: Alteration) -> Result<Self, LabError> {
        let config = TrajectoryLossConfig::new().with_temperature(TEMPERATURE);
        Ok(Self {
            loss: config.with_weight(weight).init()?,
            window: Window {
                start: START,
                end: Moment::Share(1.0),
            },
            history: OutputHistory::new(LAG, PastOutputs::Full, TEMPERATURE),
            weight,
            alteration,
        })
    }

    /// `λ τ² mean_i KL(softmax(z_i/τ) ‖ softmax(past_i/τ))`.
    fn swapped(&self, logits: Tensor<2>, epoch: usize, ids: &[usize]) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let past = self.history.recalled(epoch, ids);
        let mut rows = vec![0.0_f32; batch * classes];
        for (index, row) in rows.chunks_exact_mut(classes).enumerate() {
            assert!(past.read(index, row), "every sample is seen in every epoch");
        }
        let past = Tensor::<2>::from_data(TensorData::new(rows, [batch, classes]), &logits.device());
        let scale = 1.0 / TEMPERATURE;
        let (now, then) = (log_softmax(logits * scale, 1), log_softmax(past * scale, 1));
        let divergence = (now.clone().exp() * (now - then)).sum();
        divergence * (self.weight * TEMPERATURE * TEMPERATURE / batch as f64)
    }
}

impl Objective for Altered {
    fn loss(&mut self, model: &dyn Model, batch: &Batch, progress: &Progress, _: &mut Stream) -> Tensor<1> {
        let logits = model.forward(batch.inputs.clone());
        let targets = batch.targets.clone();
        self.history.record(progress.epoch, &batch.ids, &logits);
        if !self.window.holds(progress.epoch, progress.epochs) {
            return self.loss.base(logits, targets);
        }
        match &self.alteration {
            Alteration::Swapped => {
                let base = self.loss.base(logits.clone(), targets);
                base + self.swapped(logits, progress.epoch, &batch.ids)
            }
            Alteration::Strangers(others) => {
                let others: Vec<usize> = batch.ids.iter().map(|&id| others[id]).collect();
                let past = self.history.recalled(progress.epoch, &others);
                self.loss.against(&logits, targets, &past)
            }
        }
    }
}
