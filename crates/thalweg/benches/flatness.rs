//! What SAF adds to cross-entropy, and what an epoch of SAF, MESA and SAM takes of SGD's:
//! `cargo bench --workspace --bench flatness`.
//!
//! The losses are value and gradient of 4096 rows, f32, through burn; the epochs those of a perceptron 64-128-128-10 on 2048
//! samples in batches of 128. One thread, medians of rounds in which all take turns.

use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::classification::CrossEntropyLossConfig;
use thalweg::flatness::{MesaConfig, Moment, OutputHistory, PastOutputs, SafConfig, TrajectoryLossConfig};
use thalweg::layers::{Linear, LinearConfig};
use thalweg::objective::{Batch, Model, Objective, Progress};
use thalweg::optimizer::{Evaluation, MomentumSgdConfig, SamConfig, WholeOptimizer, follow, target_of};
use thalweg_kernels::random::Stream;

const ROWS: usize = 4096;
const SAMPLES: usize = 2048;
const BATCH: usize = 128;
const CLASSES: usize = 10;
const WIDTHS: [usize; 4] = [64, 128, 128, CLASSES];
const EPOCHS: usize = 40;
/// Epochs before anything is timed: memory of past outputs is there by then.
const WARM: usize = 5;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    alone.expect("a pool of one").install(|| {
        for (classes, rounds) in [(10, 200), (1000, 15)] {
            losses(classes, rounds);
        }
        epochs();
    });
}

fn losses(classes: usize, rounds: usize) {
    let logits = numbers([ROWS, classes], "logits").autodiff().require_grad();
    let targets = labels(ROWS, classes);
    let ids: Vec<usize> = (0..ROWS).collect();
    let plain = CrossEntropyLossConfig::new()
        .init()
        .expect("defaults are in range");
    let loss = TrajectoryLossConfig::new().init().expect("defaults are in range");
    let kinds = [
        ("as they are", PastOutputs::Full),
        ("in half precision", PastOutputs::Half),
        ("top 5", PastOutputs::Top { kept: 5 }),
    ];
    let mut histories = kinds.map(|(_, kept)| {
        let mut history = OutputHistory::new(1, kept, 5.0);
        history.record(0, &ids, &numbers([ROWS, classes], "past"));
        history
    });
    let mut times = vec![Vec::new(); 1 + 2 * kinds.len()];
    for _ in 0..rounds {
        times[0].push(timed(|| {
            plain.forward(logits.clone(), targets.clone()).backward();
        }));
        for (at, history) in histories.iter_mut().enumerate() {
            times[1 + at].push(timed(|| {
                let past = history.recalled(1, &ids);
                loss.against(&logits, targets.clone(), &past).backward();
            }));
            let now = logits.clone().without_autodiff();
            times[1 + kinds.len() + at].push(timed(|| history.record(1, &ids, &now)));
        }
    }
    let times: Vec<f64> = times.into_iter().map(median).collect();
    println!(
        "{ROWS} rows of {classes} classes: cross-entropy {:.3} ms",
        times[0]
    );
    for (at, (name, _)) in kinds.iter().enumerate() {
        println!(
            "  past outputs {name}: loss {:.3} ms ({:.2} of cross-entropy), recording {:.3} ms",
            times[1 + at],
            times[1 + at] / times[0],
            times[1 + kinds.len() + at]
        );
    }
}

#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

impl Perceptron {
    fn new(device: &Device) -> Self {
        let layer = |(at, pair): (usize, &[usize])| {
            LinearConfig::new(pair[0], pair[1]).init(&mut Stream::new(0, "weights", at as u64), device)
        };
        Self {
            layers: WIDTHS.windows(2).enumerate().map(layer).collect(),
        }
    }
}

impl Model for Perceptron {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("it has layers");
        let inputs = hidden.iter().fold(inputs, |x, layer| relu(layer.forward(x)));
        last.forward(inputs)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.valid().forward(inputs.without_autodiff())
    }
}

struct Averaging<'a>(&'a Perceptron, Option<&'a Perceptron>);

impl Model for Averaging<'_> {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.0.forward(inputs)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.0.frozen(inputs)
    }

    fn averaged(&self, inputs: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.1?.forward(inputs.without_autodiff()))
    }
}

/// A training: an objective, and a step of its optimiser.
struct Training<O> {
    objective: Box<dyn Objective>,
    optimizer: O,
    model: Option<Perceptron>,
    average: Option<(Perceptron, f64)>,
}

impl<O: WholeOptimizer> Training<O> {
    fn new(objective: Box<dyn Objective>, optimizer: O, device: &Device) -> Self {
        let model = Perceptron::new(device);
        let decay = objective.needs().weight_average;
        Self {
            average: decay.map(|decay| (target_of(&model), decay)),
            objective,
            optimizer,
            model: Some(model),
        }
    }

    fn epoch(&mut self, batches: &[Batch], epoch: usize) {
        let progress = Progress {
            epoch,
            epochs: EPOCHS,
            step: 0,
            steps: 1,
        };
        for batch in batches {
            let model = self.model.take().expect("it is put back");
            let (model, _) = self.optimizer.step(0.01, model, &mut |model| {
                let average = self.average.as_ref().map(|(average, _)| average);
                let mut random = Stream::new(0, "none", 0);
                let model_and_average = Averaging(model, average);
                let loss = self
                    .objective
                    .loss(&model_and_average, batch, &progress, &mut random);
                Evaluation {
                    value: 0.0,
                    gradients: GradientsParams::from_grads(loss.backward(), model),
                }
            });
            let average = self.average.take();
            self.average = average.map(|(average, decay)| (follow(average, &model, decay), decay));
            self.model = Some(model);
        }
    }
}

fn epochs() {
    let device = Device::flex().autodiff();
    let (inputs, targets) = (numbers([SAMPLES, WIDTHS[0]], "inputs"), labels(SAMPLES, CLASSES));
    let batches: Vec<Batch> = (0..SAMPLES)
        .step_by(BATCH)
        .map(|start| Batch {
            inputs: inputs.clone().narrow(0, start, BATCH).autodiff(),
            targets: targets.clone().narrow(0, start, BATCH),
            ids: (start..start + BATCH).collect(),
            range: None,
            bags: None,
            teacher_logits: None,
        })
        .collect();
    let sgd = || MomentumSgdConfig::new().init().expect("defaults are in range");
    let plain = || {
        Box::new(
            CrossEntropyLossConfig::new()
                .init()
                .expect("defaults are in range"),
        )
    };
    let first = Moment::Epoch(-1);
    let saf = SafConfig::new().with_start(first).init().expect("in range");
    let mesa = MesaConfig::new().with_start(first).init().expect("in range");
    let sam = SamConfig::new().init(sgd()).expect("defaults are in range");
    let mut single = [
        Training::new(plain(), sgd(), &device),
        Training::new(Box::new(saf), sgd(), &device),
        Training::new(Box::new(mesa), sgd(), &device),
    ];
    let mut double = Training::new(plain(), sam, &device);
    let mut times = [const { Vec::new() }; 4];
    for epoch in 0..EPOCHS {
        // Each has its turn at each place.
        for turn in 0..times.len() {
            let method = (epoch + turn) % times.len();
            let elapsed = timed(|| match single.get_mut(method) {
                Some(training) => training.epoch(&batches, epoch),
                None => double.epoch(&batches, epoch),
            });
            if epoch >= WARM {
                times[method].push(elapsed);
            }
        }
    }
    let times = times.map(median);
    println!(
        "an epoch of {SAMPLES} samples, {CLASSES} classes: SGD {:.2} ms",
        times[0]
    );
    for (name, elapsed) in ["SAF", "MESA", "SAM"].iter().zip(&times[1..]) {
        println!("  {name} {elapsed:.2} ms, {:.3} of SGD", elapsed / times[0]);
    }
}

/// Milliseconds.
fn timed(step: impl FnOnce()) -> f64 {
    let started = Instant::now();
    step();
    started.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn labels(rows: usize, classes: usize) -> Tensor<1, Int> {
    let labels: Vec<i64> = (0..rows).map(|row| (row * 7 % classes) as i64).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), &Device::flex())
}

fn numbers(shape: [usize; 2], name: &str) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    Stream::new(0, name, 0).fill_normal(&mut values);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}
