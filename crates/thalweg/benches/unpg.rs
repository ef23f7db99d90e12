//! UNPG with the scalar log-sum-exp of its in-batch negatives, beside the published way of appending all of them to every row
//! of logits: `cargo bench --workspace --bench unpg`.
//!
//! CosFace, no filter, forward and backward, f32, width 512, 1000 classes, through burn; medians of rounds in which both take
//! turns. The margin softmax alone, without pairs, is told as well.

use std::time::Instant;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::verification::{CosFace, CosFaceLossConfig, Head, PairFilter, UnpgLossConfig};
use thalweg_kernels::random::Stream;

const WIDTH: usize = 512;
const CLASSES: usize = 1000;
const SCALE: f64 = 64.0;
const MARGIN: f64 = 0.5;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("threads: {}", rayon::current_num_threads());
    for (batch, rounds) in [(512, 5), (128, 15)] {
        let (features, weights) = (numbers([batch, WIDTH], 0), numbers([CLASSES, WIDTH], 1));
        // No class twice, so that all pairs are negative.
        let labels: Vec<i64> = (0..batch as i64).collect();
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &features.device());
        let head = Head::CosFace(CosFace { margin: MARGIN });
        let unpg = UnpgLossConfig::new(head).with_filter(PairFilter::All);
        let unpg = unpg.init().expect("its defaults are in range");
        let head = CosFaceLossConfig::new()
            .init()
            .expect("its defaults are in range");
        let (mut own, mut alone, mut appended) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let of = |loss: &thalweg::verification::MarginSoftmaxLoss| {
                let loss = loss.forward(features.clone(), weights.clone(), labels.clone());
                loss.expect("rows have a direction")
            };
            own.push(timed(|| of(&unpg)));
            alone.push(timed(|| of(&head)));
            appended.push(timed(|| naive(&features, &weights, &labels)));
        }
        let [(own, value), (alone, _), (appended, other)] = [own, alone, appended].map(median);
        assert!(
            (value - other).abs() < 1e-3 * value,
            "{value} and {other} are to be one number"
        );
        println!(
            "batch {batch}: {own:.2} ms, appended {appended:.1} ms ({:.0} times); without pairs {alone:.2} ms",
            appended / own
        );
    }
}

/// All pairs of the batch appended to every row of logits.
fn naive(features: &Tensor<2>, weights: &Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = features.dims();
    let unit = |x: &Tensor<2>| {
        let norms = x.clone().square().sum_dim(1).sqrt();
        x.clone() / norms
    };
    let (features, weights) = (unit(features), unit(weights));
    let cosines = features.clone().matmul(weights.transpose());
    let places = labels.clone().reshape([batch, 1]);
    let margins = Tensor::<2>::full([batch, 1], -MARGIN, &cosines.device());
    let cosines = cosines.scatter(1, places.clone(), margins, burn::tensor::IndexingUpdateOp::Add);
    let above: Vec<i64> = (0..batch)
        .flat_map(|a| (a + 1..batch).map(move |b| (a * batch + b) as i64))
        .collect();
    let count = above.len();
    let above = Tensor::<1, Int>::from_data(TensorData::new(above, [count]), &cosines.device());
    let pairs: Tensor<1> = features
        .clone()
        .matmul(features.transpose())
        .reshape([batch * batch]);
    let pairs = pairs.select(0, above).reshape([1, count]).repeat(&[batch, 1]);
    let logits = Tensor::cat(vec![cosines, pairs], 1) * SCALE;
    -log_softmax(logits, 1).gather(1, places).mean()
}

/// Milliseconds of value and gradients, and the value.
fn timed(step: impl Fn() -> Tensor<1>) -> (f64, f64) {
    let started = Instant::now();
    let loss = step();
    let gradients = loss.clone().backward();
    let elapsed = started.elapsed().as_secs_f64() * 1e3;
    drop(gradients);
    (elapsed, loss.into_scalar::<f64>())
}

fn median(mut times: Vec<(f64, f64)>) -> (f64, f64) {
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times[times.len() / 2]
}

fn numbers(shape: [usize; 2], seed: u64) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    Stream::new(seed, "numbers", 0).fill_normal(&mut values);
    Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
        .autodiff()
        .require_grad()
}
