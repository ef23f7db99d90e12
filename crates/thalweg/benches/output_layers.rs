//! What a training step of a word model costs with each of the output layers, and how the factored one's grows with the
//! number of classes: `cargo bench --workspace --bench output_layers`.
//!
//! The model: 4 context words, embeddings of 64 numbers of which a step touches only the rows it looked up, a hidden layer
//! of 256 ReLUs by burn, the output layer; plain SGD throughout. The factored layer computes in f64, the others in f32 (the
//! hierarchical one in f64 as well, for the same precision). Words follow Zipf's law, their numbers scattered. Times are
//! medians of rounds in which the layers take turns.
//!
//! It takes about a minute and 8 GB.

use std::fmt;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::Reduction;
use thalweg::classification::output::{
    EmbeddingRows, FactoredOutputConfig, HierarchicalSoftmaxOutput, LogSoftmaxOutput, OutputLayer,
};
use thalweg::classification::spherical::SphericalMember;
use thalweg_kernels::memory::{Counting, peak, reset_peak};
use thalweg_kernels::random::Stream;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CLASSES: usize = 793_471;
const WIDTH: usize = 256;
const BATCH: usize = 128;
const CONTEXT: usize = 4;
const EMBEDDING: usize = 64;
const RATE: f64 = 0.05;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "threads: {}, batch {BATCH}, width {WIDTH}",
        rayon::current_num_threads()
    );
    growth();
    whole_models();
}

/// The factored step alone, at more and more classes.
fn growth() {
    let counts = [10_000, 30_000, 100_000, 300_000, 800_000];
    let mut points = Vec::new();
    for classes in counts {
        let mut layer = FactoredOutputConfig::new(classes, WIDTH)
            .with_member(SphericalMember::ZLoss { a: 0.5, b: 8.0 })
            .init(0)
            .expect("the parameters are in range");
        let mut stream = Stream::new(1, "growth", 0);
        let device = Device::flex();
        let mut hidden = vec![0.0_f32; BATCH * WIDTH];
        let mut step = || {
            stream.fill_uniform(0.0, 1.0, &mut hidden);
            let vectors = Tensor::<2>::from_data(TensorData::new(hidden.clone(), [BATCH, WIDTH]), &device);
            let targets = words(&mut stream, classes, [BATCH, 1]).reshape([BATCH]);
            let started = Instant::now();
            layer
                .train(vectors, targets, RATE)
                .expect("training does not diverge");
            started.elapsed()
        };
        let time = Timed::of((0..60).map(|_| step()).collect());
        let largest = peak_alone(step);
        println!(
            "factored step, {classes:>7} classes: {time}, {:.1} MiB of its own beside {:.0} MiB of weights",
            largest as f64 / 1_048_576.0,
            (classes * WIDTH * 8) as f64 / 1_048_576.0
        );
        points.push(((classes as f64).ln(), time.median.as_secs_f64().ln()));
    }
    println!(
        "log-log slope of the factored step: {:+.3} (target: below 0.1)",
        slope(&points)
    );
}

/// The most bytes that one step holds beyond what it began with, on one thread, since each thread has its own account.
fn peak_alone(mut step: impl FnMut() -> Duration + Send) -> u64 {
    std::thread::scope(|scope| {
        let alone = scope.spawn(|| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .use_current_thread()
                .build();
            let _pool = pool.expect("a pool of the current thread needs no other");
            reset_peak();
            step();
            peak()
        });
        alone.join().expect("the step does not panic")
    })
}

/// Steps of whole models with each layer in turn.
fn whole_models() {
    let factored = FactoredOutputConfig::new(CLASSES, WIDTH)
        .with_member(SphericalMember::ZLoss { a: 0.5, b: 8.0 })
        .init(0)
        .expect("the parameters are in range");
    let mut factored = WordModel::new(factored);
    let mut hierarchical = WordModel::new(HierarchicalSoftmaxOutput::<f32>::new(
        CLASSES,
        WIDTH,
        Reduction::Mean,
        0,
    ));
    let mut hierarchical_f64 = WordModel::new(HierarchicalSoftmaxOutput::<f64>::new(
        CLASSES,
        WIDTH,
        Reduction::Mean,
        0,
    ));
    let mut dense = WordModel::new(LogSoftmaxOutput::<f32>::new(CLASSES, WIDTH, Reduction::Mean, 0));
    let mut stream = Stream::new(2, "words", 0);
    dense.step(&mut stream);
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..7 {
        for _ in 0..15 {
            times[0].push(factored.step(&mut stream));
        }
        for _ in 0..15 {
            times[1].push(hierarchical.step(&mut stream));
        }
        for _ in 0..15 {
            times[2].push(hierarchical_f64.step(&mut stream));
        }
        times[3].push(dense.step(&mut stream));
    }
    let [factored, hierarchical, hierarchical_f64, dense] = times.map(Timed::of);
    println!("step of network and output, {CLASSES} classes, median (fastest):");
    println!("  factored Z-loss       {factored}");
    println!(
        "  hierarchical softmax  {hierarchical}, {} times (target: at least 4)",
        hierarchical.over(&factored)
    );
    println!(
        "  the same in f64       {hierarchical_f64}, {} times",
        hierarchical_f64.over(&factored)
    );
    println!(
        "  log-softmax           {dense}, {} times (target: at least 100)",
        dense.over(&factored)
    );
}

/// Times of a step.
struct Timed {
    median: Duration,
    /// What the step takes when nothing else does: on a shared machine the steadier number.
    fastest: Duration,
}

impl Timed {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self {
            median: times[times.len() / 2],
            fastest: times[0],
        }
    }

    fn over(&self, other: &Self) -> String {
        let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        format!(
            "{:.1} ({:.1})",
            ratio(self.median, other.median),
            ratio(self.fastest, other.fastest)
        )
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [median, fastest] = [self.median, self.fastest].map(|time| 1e3 * time.as_secs_f64());
        write!(f, "{median:.2} ({fastest:.2}) ms")
    }
}

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
}

struct WordModel<L> {
    embeddings: EmbeddingRows,
    network: Network,
    optimizer: ModuleOptimizer,
    output: L,
    device: Device,
}

impl<L: OutputLayer> WordModel<L> {
    fn new(output: L) -> Self {
        let device = Device::flex().autodiff();
        Self {
            embeddings: EmbeddingRows::new(CLASSES, EMBEDDING, 3),
            network: Network {
                hidden: LinearConfig::new(CONTEXT * EMBEDDING, WIDTH).init(&device),
            },
            optimizer: SgdConfig::new().init(),
            output,
            device,
        }
    }

    fn step(&mut self, stream: &mut Stream) -> Duration {
        let context = words(stream, CLASSES, [BATCH, CONTEXT]);
        let targets = words(stream, CLASSES, [BATCH, 1]).reshape([BATCH]);
        let started = Instant::now();
        let found = self.embeddings.look_up(&context, &self.device);
        let hidden = relu(self.network.hidden.forward(found.clone()));
        let loss = self
            .output
            .train(hidden, targets, RATE)
            .expect("training does not diverge");
        let gradients = loss.backward();
        let of_found = found
            .grad(&gradients)
            .expect("the loss depends on the embeddings");
        self.embeddings.descend(&context, of_found, RATE);
        let gradients = GradientsParams::from_grads(gradients, &self.network);
        self.network = self.optimizer.step(RATE, self.network.clone(), gradients);
        started.elapsed()
    }
}

/// Words by Zipf's law, their ranks scattered over all numbers.
fn words(stream: &mut Stream, classes: usize, shape: [usize; 2]) -> Tensor<2, Int> {
    // A prime above every number of classes here scatters ranks one to one.
    const SCATTER: u64 = 2_147_483_647;
    let draw = |_| {
        let rank = ((classes as f64 + 1.0).powf(stream.uniform()) as u64 - 1).min(classes as u64 - 1);
        (rank * SCATTER % classes as u64) as i64
    };
    let drawn: Vec<i64> = (0..shape[0] * shape[1]).map(draw).collect();
    Tensor::from_data(TensorData::new(drawn, shape), &Device::flex())
}

/// Of the line of least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), p| (x + p.0 / count, y + p.1 / count));
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    covariance / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}
