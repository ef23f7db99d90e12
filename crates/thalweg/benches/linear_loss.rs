//! Linear layer and cross-entropy in one, beside all scores at once: `cargo bench --workspace --bench linear_loss`.
//!
//! Forward and backward, f32, medians of rounds in which both take turns; memory is what a step held at most beside its
//! inputs and the gradients it returns.

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::classification::{CompSumLossConfig, LinearLossConfig};
use thalweg_kernels::memory::{Counting, peak, reset_peak};
use thalweg_kernels::random::Stream;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 7;

struct Case {
    samples: usize,
    width: usize,
    classes: usize,
}

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("threads: {}", rayon::current_num_threads());
    for (samples, width, classes) in [(2048, 512, 32_000), (512, 512, 256_000)] {
        Case {
            samples,
            width,
            classes,
        }
        .run();
    }
}

impl Case {
    fn run(&self) {
        let &Self {
            samples,
            width,
            classes,
        } = self;
        let hidden = numbers([samples, width], 0, 1.0);
        let weight = numbers([classes, width], 1, (width as f32).sqrt().recip());
        let mut stream = Stream::new(2, "targets", 0);
        let targets: Vec<i64> = (0..samples).map(|_| stream.below(classes) as i64).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [samples]), &Device::flex());
        let loss = CompSumLossConfig::new()
            .init()
            .expect("its defaults are in range");
        let layer = LinearLossConfig::new()
            .init(loss.clone())
            .expect("its defaults are in range");
        let streamed = || layer.forward(hidden.clone(), weight.clone(), None, targets.clone());
        let whole = || loss.forward(hidden.clone().matmul(weight.clone().transpose()), targets.clone());
        let gradients = (samples + classes) * width * size_of::<f32>();
        let mut times = [Vec::new(), Vec::new()];
        let mut extra = [0, 0];
        for _ in 0..ROUNDS {
            for (at, step) in [&streamed as &dyn Fn() -> Tensor<1>, &whole]
                .into_iter()
                .enumerate()
            {
                reset_peak();
                let started = Instant::now();
                let gradients_held = step().backward();
                times[at].push(started.elapsed().as_secs_f64() * 1e3);
                extra[at] = peak().saturating_sub(gradients as u64);
                assert!(weight.grad(&gradients_held).is_some());
            }
        }
        println!("{samples} samples, width {width}, {classes} classes:");
        for (name, (times, extra)) in ["streamed", "all scores"]
            .into_iter()
            .zip(times.iter_mut().zip(extra))
        {
            times.sort_by(f64::total_cmp);
            println!(
                "  {name:<12} {:8.1} ({:.1}) ms, {:6.1} MiB beside the gradients",
                times[ROUNDS / 2],
                times[0],
                extra as f64 / f64::from(1 << 20)
            );
        }
    }
}

fn numbers(shape: [usize; 2], seed: u64, size: f32) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    Stream::new(seed, "numbers", 0).fill_normal(&mut values);
    values.iter_mut().for_each(|value| *value *= size);
    Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
        .autodiff()
        .require_grad()
}
