//! What convolutions of 3x3 cost beside the products they are made of: `cargo bench --workspace --bench conv`.
//!
//! Medians of rounds. The share is that of the same multiplications as one product of 1024 x 1024 matrices does in a second.

use std::time::Instant;

use thalweg_kernels::conv::{Options, Shape, Wanted, backward, forward};
use thalweg_kernels::matrix::{Matrix, Work, product};
use thalweg_kernels::random::Stream;

const ROUNDS: usize = 11;

const SAME: Options = Options {
    stride: [1; 3],
    padding: [(0, 0), (1, 1), (1, 1)],
    dilation: [1; 3],
    groups: 1,
};

/// Input `[batch, channels, depth, height, width]`, output channels, options.
const CASES: [([usize; 5], usize, Options); 5] = [
    ([128, 1, 1, 28, 28], 32, SAME),
    ([128, 32, 1, 28, 28], 64, SAME),
    ([128, 64, 1, 14, 14], 128, SAME),
    (
        [128, 32, 1, 28, 28],
        64,
        Options {
            stride: [1, 2, 2],
            ..SAME
        },
    ),
    ([128, 64, 1, 28, 28], 64, Options { groups: 4, ..SAME }),
];

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("threads: {}, {ROUNDS} rounds, f32", rayon::current_num_threads());
    let side = 1024;
    let square = numbers(side * side, 0);
    let matrix = Matrix::new(&square, side, side);
    let rate = 2.0 * (side as f64).powi(3) / median(|| drop(product(Work::Shared, matrix, matrix)));
    println!("product: {:.0} GFLOP/s", rate * 1e-9);
    println!(
        "{:>24} {:>8} {:>26} {:>26}",
        "input", "outputs", "forward, ms (share)", "backward, ms (share)"
    );
    for (input, outputs, options) in CASES {
        let weight = [outputs, input[1] / options.groups, 1, 3, 3];
        let shape = Shape::new(input, weight, options).expect("sizes that agree");
        let len = |dims: [usize; 5]| dims.iter().product::<usize>();
        let (x, w) = (numbers(len(input), 1), numbers(len(weight), 2));
        let g = numbers(len(shape.output()), 3);
        let products = 2.0 * (g.len() * len(weight) / outputs) as f64;
        let ahead = median(|| drop(forward(&shape, &x, &w, &[])));
        let wanted = Wanted {
            input: true,
            weight: true,
            bias: true,
        };
        let back = median(|| drop(backward(&shape, wanted, &x, &w, &g)));
        let dims = input.map(|side| side.to_string()).join("x");
        println!(
            "{dims:>24} {outputs:>8} {:>18.2} ({:>5.2}) {:>18.2} ({:>5.2})",
            ahead * 1e3,
            products / ahead / rate,
            back * 1e3,
            2.0 * products / back / rate,
        );
    }
}

fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn numbers(len: usize, index: u64) -> Vec<f32> {
    let mut drawn = vec![0.0; len];
    Stream::new(0, "bench", index).fill_uniform(-1.0, 1.0, &mut drawn);
    drawn
}
