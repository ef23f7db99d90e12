//! NT-Xent of two views, streamed, beside all pairs at once: `cargo bench --workspace --bench in_batch`.
//!
//! Forward and backward, f32, width 128, through burn; medians of rounds in which both take turns. Where all pairs would take
//! more memory than a laptop has, the streamed loss runs alone. Memory is the most that the process has held.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use thalweg::Reduction;
use thalweg::contrastive::NtXentLossConfig;
use thalweg_kernels::random::Stream;

const WIDTH: usize = 128;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("threads: {}", rayon::current_num_threads());
    // The largest first, so that the memory told is its own.
    for (batch, rounds) in [(32_768, 1), (2048, 7), (512, 15)] {
        let views = [0, 1].map(|seed| numbers([batch, WIDTH], seed));
        let streamed = NtXentLossConfig::new().init().expect("its defaults are in range");
        // Without a reduction all pairs are held.
        let whole = NtXentLossConfig::new().with_reduction(Reduction::None);
        let whole = whole.init().expect("its defaults are in range");
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            own.push(timed(|| streamed.forward(views[0].clone(), views[1].clone())));
            if rounds > 1 {
                others.push(timed(|| whole.forward(views[0].clone(), views[1].clone()).mean()));
            }
        }
        print!("batch {batch}: {:.1} ms", median(own));
        if !others.is_empty() {
            print!(", all pairs at once {:.1} ms", median(others));
        }
        println!("; {}", peak().unwrap_or_default());
    }
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

fn numbers(shape: [usize; 2], seed: u64) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    Stream::new(seed, "numbers", 0).fill_normal(&mut values);
    Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
        .autodiff()
        .require_grad()
}
