//! AMCL's loss of two views, streamed, beside the plain way: the two vectors of every pair put one after the other and through
//! the network: `cargo bench --workspace --bench adaptive_temperature`.
//!
//! Forward and backward, f32, 3 heads of width 32, 128 hidden units, through burn; medians of rounds in which all take turns.
//! The largest batch is streamed alone. Memory is the most that the process has held.

use std::time::Instant;

use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::contrastive::Similarity;
use thalweg::contrastive::amcl::{
    AdaptiveTemperature, Aggregate, AmclLoss, AmclLossConfig, Anchors, Candidates, Limits, TemperedPairs,
};
use thalweg_kernels::random::Stream;

const HEADS: usize = 3;
const WIDTH: usize = 32;
const HIDDEN: usize = 128;
const LIMITS: Limits = Limits {
    lower: 0.1,
    upper: 1.0,
};

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("threads: {}", rayon::current_num_threads());
    let weights = Weights::new();
    let network = weights.network();
    // The largest first, so that the memory told is its own.
    for (batch, rounds) in [(4096, 1), (200, 5), (100, 7)] {
        let [first, second] = [0, 1].map(|seed| numbers([batch, HEADS * WIDTH], seed, 1.0));
        let views = || (first.clone(), second.clone());
        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            for (of, aggregate) in [Aggregate::LogSumExp, Aggregate::Max].into_iter().enumerate() {
                let loss = loss(aggregate);
                times[of].push(timed(|| {
                    let (first, second) = views();
                    loss.forward(&network, first, second).loss
                }));
            }
            if rounds > 1 {
                let loss = loss(Aggregate::LogSumExp);
                times[2].push(timed(|| weights.plain(&loss, views())));
            }
        }
        let [all, hardest, plain] = times;
        print!(
            "batch {batch}: all negatives {:.1} ms, hardest {:.1} ms",
            median(all),
            median(hardest)
        );
        if !plain.is_empty() {
            print!(", all by concatenation {:.1} ms", median(plain));
        }
        println!("; {}", peak().unwrap_or_default());
    }
}

fn loss(aggregate: Aggregate) -> AmclLoss {
    let config = AmclLossConfig::new()
        .with_aggregate(aggregate)
        .with_candidates(Candidates::WithPositive)
        .with_anchors(Anchors::BothViews);
    config.init().expect("its numbers are in range")
}

struct Weights {
    w1: Tensor<2>,
    b1: Tensor<1>,
    w2: Tensor<2>,
    b2: Tensor<1>,
}

impl Weights {
    fn new() -> Self {
        let vector = |count, seed| numbers([1, count], seed, 0.1).inner().reshape([count]);
        let leaf = |vector: Tensor<1>| vector.autodiff().require_grad();
        Self {
            w1: numbers([HIDDEN, 2 * WIDTH], 2, 0.1),
            b1: leaf(vector(HIDDEN, 3)),
            w2: numbers([1, HIDDEN], 4, 0.1),
            b2: leaf(vector(1, 5)),
        }
    }

    fn network(&self) -> AdaptiveTemperature {
        let (w1, b1, b2) = (self.w1.clone(), self.b1.clone(), self.b2.clone());
        AdaptiveTemperature::from_parameters(w1, b1, Some(self.w2.clone()), b2, LIMITS).expect("two vectors")
    }

    /// Temperatures of pairs `[pairs, 2·width]`.
    fn temperatures(&self, pairs: Tensor<2>) -> Tensor<2> {
        let hidden = relu(pairs.matmul(self.w1.clone().transpose()) + self.b1.clone().unsqueeze());
        let logits = hidden.matmul(self.w2.clone().transpose()) + self.b2.clone().unsqueeze();
        sigmoid(logits) * (LIMITS.upper - LIMITS.lower) + LIMITS.lower
    }

    fn plain(&self, loss: &AmclLoss, (first, second): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
        let [batch, _] = first.dims();
        let all = 2 * batch;
        let mut parts: [Vec<Tensor<3>>; 4] = Default::default();
        for head in 0..HEADS {
            let units = [&first, &second].map(|view| {
                let rows = view.clone().slice_dim(1, head * WIDTH..(head + 1) * WIDTH);
                let norms = rows.clone().square().sum_dim(1).sqrt();
                rows / norms
            });
            let units = Tensor::cat(units.to_vec(), 0);
            let similarities = Similarity::Dot.matrix(units.clone(), units.clone());
            let left = units.clone().reshape([all, 1, WIDTH]).repeat(&[1, all, 1]);
            let right = units.reshape([1, all, WIDTH]).repeat(&[all, 1, 1]);
            let pairs = Tensor::cat(vec![left, right], 2).reshape([all * all, 2 * WIDTH]);
            let temperatures = self.temperatures(pairs).reshape([all, all]);
            for (at, matrix) in [similarities, temperatures].into_iter().enumerate() {
                let positives = matrix
                    .clone()
                    .gather(1, places(all, 1, |row, _| (row + batch) % all));
                let negatives = places(all, all - 2, |row, at| others(row % batch, batch, at));
                parts[at].push(positives.reshape([1, all, 1]));
                parts[2 + at].push(matrix.gather(1, negatives).unsqueeze::<3>());
            }
        }
        let [similarity, temperature, similarities, temperatures] = parts.map(|part| Tensor::cat(part, 0));
        let pairs = TemperedPairs {
            positive_similarity: similarity.reshape([HEADS, all]),
            negative_similarity: similarities,
            positive_temperature: temperature.reshape([HEADS, all]),
            negative_temperature: temperatures,
        };
        loss.of_pairs(&pairs, WIDTH as f64)
    }
}

/// The `at`-th of the columns of two views without those of a sample.
fn others(sample: usize, batch: usize, at: usize) -> usize {
    let of_first = at + usize::from(at >= sample);
    of_first + usize::from(of_first >= sample + batch)
}

fn places(rows: usize, columns: usize, of: impl Fn(usize, usize) -> usize) -> Tensor<2, Int> {
    let each = (0..rows * columns).map(|at| of(at / columns, at % columns) as i64);
    let data = TensorData::new(each.collect::<Vec<i64>>(), [rows, columns]);
    Tensor::from_data(data, &Device::flex().autodiff())
}

fn timed(step: impl Fn() -> Tensor<1>) -> f64 {
    let started = Instant::now();
    let gradients = step().backward();
    let elapsed = started.elapsed().as_secs_f64() * 1e3;
    drop(gradients);
    elapsed
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The line in which Linux tells the most memory that this process has held.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(format!(
        "at most {} held",
        line.trim_start_matches("VmHWM:").trim()
    ))
}

fn numbers(shape: [usize; 2], seed: u64, size: f32) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    Stream::new(seed, "numbers", 0).fill_normal(&mut values);
    values.iter_mut().for_each(|value| *value *= size);
    Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
        .autodiff()
        .require_grad()
}
