//! The products of a linear layer under a loss, by the arithmetic they reach: `cargo bench --workspace --bench matrix`.

use std::time::Instant;

use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::random::Stream;

const ROUNDS: usize = 5;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{} threads, medians of {ROUNDS}", rayon::current_num_threads());
    let mut stream = Stream::new(0, "bench", 0);
    let mut draw = |len: usize| {
        let mut drawn = vec![0.0_f32; len];
        stream.fill_uniform(-1.0, 1.0, &mut drawn);
        drawn
    };
    for (samples, width, classes) in [(256, 512, 32_000), (490, 512, 32_000), (61, 512, 256_000)] {
        println!("{samples} samples of width {width}, {classes} classes");
        let (hidden, weights) = (draw(samples * width), draw(classes * width));
        let (errors, mut scores) = (draw(samples * classes), draw(samples * classes));
        let (mut of_hidden, mut of_weights) = (draw(samples * width), draw(classes * width));
        let (h, w) = (
            Matrix::new(&hidden, samples, width),
            Matrix::new(&weights, classes, width),
        );
        let e = Matrix::new(&errors, samples, classes);
        let operations = 2.0 * (samples * width * classes) as f64;
        timed("scores = H Wᵀ", operations, || {
            multiply(Work::Shared, &mut scores, 0.0, 1.0, h, w.transposed());
        });
        timed("gradient of H = E W", operations, || {
            multiply(Work::Shared, &mut of_hidden, 0.0, 1.0, e, w);
        });
        timed("gradient of W += Eᵀ H", operations, || {
            multiply(Work::Shared, &mut of_weights, 1.0, 1.0, e.transposed(), h);
        });
        timed("gradient of W = Eᵀ H", operations, || {
            multiply(Work::Shared, &mut of_weights, 0.0, 1.0, e.transposed(), h);
        });
    }
}

fn timed(name: &str, operations: f64, mut run: impl FnMut()) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[ROUNDS / 2];
    println!(
        "  {name:<22} {:>8.2} ms {:>6.0} GFLOP/s",
        1e3 * median,
        operations / median / 1e9
    );
}
