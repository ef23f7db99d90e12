//! A training that is killed without warning and taken up again ends at the same parameters, bit for bit, as one that was
//! never disturbed, whatever the optimiser.
//!
//! The process that is killed is this test binary itself, which runs [`training`] alone and finds what to do in its
//! environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::store::ModuleRecord;
use burn::tensor::activation::relu;
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use thalweg::catalogue;
use thalweg::classification::{CrossEntropyLoss, CrossEntropyLossConfig};
use thalweg::flatness::{Mesa, MesaConfig, Moment, Saf, SafConfig};
use thalweg::layers::{Linear, LinearConfig};
use thalweg::objective::{Batch, Model, Objective, Progress};
use thalweg::optimizer::{Evaluation, WholeOptimizer, flat_parameters, follow, target_of};
use thalweg_kernels::random::Stream;

const FOLDER: &str = "THALWEG_RESUME_FOLDER";
const OPTIMIZER: &str = "THALWEG_RESUME_OPTIMIZER";

const STEPS: u64 = 40;
/// Steps of an epoch.
const EPOCH: u64 = 4;
/// Every so many steps all is written down.
const EVERY: u64 = 5;
const BATCH: usize = 16;
const FEATURES: usize = 5;
const HIDDEN: usize = 7;
const CLASSES: usize = 3;

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let mut stream = Stream::new(0, "weights", 0);
        Self {
            first: LinearConfig::new(FEATURES, HIDDEN).init(&mut stream, device),
            second: LinearConfig::new(HIDDEN, CLASSES).init(&mut stream, device),
        }
    }
}

/// A net, and the average of its weights where there is one, as objectives see them.
struct Seen<'a> {
    net: &'a Net,
    average: Option<&'a Net>,
}

impl Net {
    fn scores(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.second.forward(relu(self.first.forward(inputs)))
    }

    fn from_bytes(bytes: Vec<u8>, device: &Device) -> Self {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).unwrap();
        Self::new(device).load_record(record)
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.clone().into_record().into_bytes().unwrap().to_vec()
    }
}

impl Model for Seen<'_> {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.net.scores(inputs)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.net.valid().scores(inputs.without_autodiff())
    }

    fn averaged(&self, inputs: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.average?.scores(inputs.without_autodiff()))
    }
}

/// What is descended, with what it remembers.
#[expect(clippy::large_enum_variant, reason = "there is one in a training")]
enum Descended {
    CrossEntropy(CrossEntropyLoss),
    Saf(Saf),
    Mesa { objective: Mesa, average: Net },
}

impl Descended {
    fn new(objective: Option<&str>, net: &Net) -> Self {
        match objective {
            None => Self::CrossEntropy(CrossEntropyLossConfig::new().init().unwrap()),
            Some("saf") => Self::Saf(SafConfig::new().with_start(Moment::Epoch(3)).init().unwrap()),
            Some("mesa") => Self::Mesa {
                objective: MesaConfig::new().with_start(Moment::Epoch(3)).init().unwrap(),
                average: target_of(net),
            },
            Some(other) => panic!("{other} is to be taken up again here too"),
        }
    }

    fn loss(&mut self, net: &Net, batch: &Batch, progress: &Progress) -> Tensor<1> {
        let mut random = Stream::new(2, "draws", progress.step as u64);
        match self {
            Self::CrossEntropy(objective) => {
                let seen = Seen { net, average: None };
                objective.loss(&seen, batch, progress, &mut random)
            }
            Self::Saf(objective) => {
                let seen = Seen { net, average: None };
                objective.loss(&seen, batch, progress, &mut random)
            }
            Self::Mesa { objective, average } => {
                let average = Some(&*average);
                objective.loss(&Seen { net, average }, batch, progress, &mut random)
            }
        }
    }

    fn follow(&mut self, net: &Net) {
        if let Self::Mesa { average, .. } = self {
            *average = follow(average.clone(), net, 0.9);
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::CrossEntropy(_) => Vec::new(),
            Self::Saf(objective) => objective.state().unwrap(),
            Self::Mesa { average, .. } => average.to_bytes(),
        }
    }

    fn taken_up(self, bytes: Vec<u8>, device: &Device) -> Self {
        match self {
            Self::CrossEntropy(_) => self,
            Self::Saf(objective) => Self::Saf(objective.with_state(&bytes).unwrap()),
            Self::Mesa { objective, .. } => Self::Mesa {
                objective,
                average: target_of(&Net::from_bytes(bytes, device)),
            },
        }
    }
}

/// What a training goes on from.
struct Checkpoint {
    step: u64,
    net: Vec<u8>,
    optimizer: Vec<u8>,
    objective: Vec<u8>,
}

impl Checkpoint {
    fn path(folder: &Path) -> PathBuf {
        folder.join("checkpoint")
    }

    /// Written beside and moved into place: whenever the process dies, one of the two is whole.
    fn write(&self, folder: &Path) {
        let mut bytes = self.step.to_le_bytes().to_vec();
        for part in [&self.net, &self.optimizer, &self.objective] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        let beside = folder.join("unfinished");
        fs::write(&beside, bytes).unwrap();
        fs::rename(beside, Self::path(folder)).unwrap();
    }

    fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read(Self::path(folder)).ok()?;
        let mut rest = &bytes[..];
        let mut part = |length: usize| {
            let (own, others) = rest.split_at(length);
            rest = others;
            own.to_vec()
        };
        let number = |bytes: Vec<u8>| u64::from_le_bytes(bytes.try_into().unwrap());
        let step = number(part(8));
        let [net, optimizer, objective] = [(); 3].map(|()| {
            let length = number(part(8)) as usize;
            part(length)
        });
        Some(Self {
            step,
            net,
            optimizer,
            objective,
        })
    }
}

/// Trains from the checkpoint of the folder, or from the beginning, waiting at each step.
fn train(name: &str, folder: &Path, wait: Duration) -> Vec<u32> {
    let device = Device::flex().autodiff();
    let entry = catalogue::optimizer(name).unwrap();
    let mut optimizer = entry.build(&entry.defaults()).unwrap();
    let mut net = Net::new(&device);
    let mut objective = Descended::new(entry.objective, &net);
    let mut start = 0;
    if let Some(found) = Checkpoint::read(folder) {
        net = Net::from_bytes(found.net, &device);
        optimizer = optimizer.with_state(&found.optimizer).unwrap();
        objective = objective.taken_up(found.objective, &device);
        start = found.step;
    }
    for step in start..STEPS {
        let batch = batch(step % EPOCH, &device);
        let progress = Progress {
            epoch: (step / EPOCH) as usize,
            epochs: (STEPS / EPOCH) as usize,
            step: step as usize,
            steps: STEPS as usize,
        };
        let mut evaluate = |net: &Net| {
            let value = objective.loss(net, &batch, &progress);
            Evaluation {
                value: value.clone().into_scalar::<f64>(),
                gradients: GradientsParams::from_grads(value.backward(), net),
            }
        };
        (net, _) = optimizer.step(entry.learning_rate.default, net, &mut evaluate);
        objective.follow(&net);
        if (step + 1) % EVERY == 0 {
            let written = Checkpoint {
                step: step + 1,
                net: net.to_bytes(),
                optimizer: optimizer.state().unwrap(),
                objective: objective.to_bytes(),
            };
            written.write(folder);
        }
        std::thread::sleep(wait);
    }
    let parameters: Vec<f32> = flat_parameters(&net);
    parameters.into_iter().map(f32::to_bits).collect()
}

fn batch(part: u64, device: &Device) -> Batch {
    let mut stream = Stream::new(1, "batch", part);
    let mut inputs = vec![0.0_f32; BATCH * FEATURES];
    stream.fill_normal(&mut inputs);
    let targets: Vec<i64> = (0..BATCH).map(|row| (row % CLASSES) as i64).collect();
    let first = part as usize * BATCH;
    Batch {
        inputs: Tensor::from_data(TensorData::new(inputs, [BATCH, FEATURES]), device),
        targets: Tensor::from_data(TensorData::new(targets, [BATCH]), device),
        ids: (first..first + BATCH).collect(),
        range: None,
        bags: None,
        teacher_logits: None,
    }
}

/// What the killed process runs; alone it does nothing.
#[test]
fn training() {
    let (Ok(folder), Ok(name)) = (std::env::var(FOLDER), std::env::var(OPTIMIZER)) else {
        return;
    };
    train(&name, Path::new(&folder), Duration::from_millis(40));
}

fn begin(name: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "training", "--quiet"])
        .env(FOLDER, folder)
        .env(OPTIMIZER, name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_training_ends_where_it_would_have() {
    for entry in catalogue::optimizers() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = begin(entry.name, folder.path());
        let patience = Instant::now() + Duration::from_secs(60);
        while !Checkpoint::path(folder.path()).exists() {
            assert!(Instant::now() < patience, "{}: nothing is written", entry.name);
            std::thread::sleep(Duration::from_millis(2));
        }
        // Somewhere between two checkpoints.
        std::thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let left = Checkpoint::read(folder.path()).unwrap();
        assert!((EVERY..STEPS).contains(&left.step), "{}", entry.name);

        let resumed = train(entry.name, folder.path(), Duration::ZERO);
        let undisturbed = tempfile::tempdir().unwrap();
        let whole = train(entry.name, undisturbed.path(), Duration::ZERO);
        assert_eq!(resumed, whole, "{}", entry.name);
    }
}
