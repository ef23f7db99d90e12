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
use thalweg::classification::CrossEntropyLossConfig;
use thalweg::layers::{Linear, LinearConfig};
use thalweg::optimizer::{Evaluation, WholeOptimizer, flat_parameters};
use thalweg_kernels::random::Stream;

const FOLDER: &str = "THALWEG_RESUME_FOLDER";
const OPTIMIZER: &str = "THALWEG_RESUME_OPTIMIZER";

const STEPS: u64 = 40;
/// Every so many steps all is written down.
const EVERY: u64 = 4;
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

/// What a training goes on from.
struct Checkpoint {
    step: u64,
    net: Vec<u8>,
    optimizer: Vec<u8>,
}

impl Checkpoint {
    fn path(folder: &Path) -> PathBuf {
        folder.join("checkpoint")
    }

    /// Written beside and moved into place: whenever the process dies, one of the two is whole.
    fn write(&self, folder: &Path) {
        let mut bytes = self.step.to_le_bytes().to_vec();
        bytes.extend((self.net.len() as u64).to_le_bytes());
        bytes.extend(&self.net);
        bytes.extend(&self.optimizer);
        let beside = folder.join("unfinished");
        fs::write(&beside, bytes).unwrap();
        fs::rename(beside, Self::path(folder)).unwrap();
    }

    fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read(Self::path(folder)).ok()?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (net, optimizer) = bytes[16..].split_at(number(8) as usize);
        Some(Self {
            step: number(0),
            net: net.to_vec(),
            optimizer: optimizer.to_vec(),
        })
    }
}

/// Trains from the checkpoint of the folder, or from the beginning, waiting at each step.
fn train(name: &str, folder: &Path, wait: Duration) -> Vec<u32> {
    let device = Device::flex().autodiff();
    let entry = catalogue::optimizer(name).unwrap();
    let mut optimizer = entry.build(&entry.defaults()).unwrap();
    let mut net = Net::new(&device);
    let mut start = 0;
    if let Some(found) = Checkpoint::read(folder) {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(found.net)).unwrap();
        net = net.load_record(record);
        optimizer = optimizer.with_state(&found.optimizer).unwrap();
        start = found.step;
    }
    let loss = CrossEntropyLossConfig::new().init().unwrap();
    for step in start..STEPS {
        let (inputs, targets) = batch(step, &device);
        let mut evaluate = |net: &Net| {
            let scores = net.second.forward(relu(net.first.forward(inputs.clone())));
            let value = loss.forward(scores, targets.clone());
            Evaluation {
                value: value.clone().into_scalar::<f64>(),
                gradients: GradientsParams::from_grads(value.backward(), net),
            }
        };
        (net, _) = optimizer.step(entry.learning_rate.default, net, &mut evaluate);
        if (step + 1) % EVERY == 0 {
            let written = Checkpoint {
                step: step + 1,
                net: net.clone().into_record().into_bytes().unwrap().to_vec(),
                optimizer: optimizer.state().unwrap(),
            };
            written.write(folder);
        }
        std::thread::sleep(wait);
    }
    let parameters: Vec<f32> = flat_parameters(&net);
    parameters.into_iter().map(f32::to_bits).collect()
}

fn batch(step: u64, device: &Device) -> (Tensor<2>, Tensor<1, burn::tensor::Int>) {
    let mut stream = Stream::new(1, "batch", step);
    let mut inputs = vec![0.0_f32; BATCH * FEATURES];
    stream.fill_normal(&mut inputs);
    let targets: Vec<i64> = (0..BATCH).map(|row| (row % CLASSES) as i64).collect();
    (
        Tensor::from_data(TensorData::new(inputs, [BATCH, FEATURES]), device),
        Tensor::from_data(TensorData::new(targets, [BATCH]), device),
    )
}

/// What the killed process runs; alone it does nothing.
#[test]
fn training() {
    let (Ok(folder), Ok(name)) = (std::env::var(FOLDER), std::env::var(OPTIMIZER)) else {
        return;
    };
    train(&name, Path::new(&folder), Duration::from_millis(15));
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
    for entry in catalogue::optimizers()
        .iter()
        .filter(|entry| entry.objective.is_none())
    {
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
