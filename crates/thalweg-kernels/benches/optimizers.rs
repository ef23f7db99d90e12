//! What a step of each optimiser costs over 10 million parameters, and row norms over as many numbers, beside copying as
//! many bytes: `cargo bench --workspace --bench optimizers`.
//!
//! Bytes moved are those that the formulas must read and write. The copy goes in one piece a thread, which is when the
//! system's own is fastest. It may still fetch the lines that it overwrites, which a step in place has read anyway: a ratio
//! below 1 says no more than that. Times are medians of rounds in which the two take turns, the fastest in brackets.
//!
//! It takes about ten seconds and 1 GB.

mod copy;

use copy::Copy;
use thalweg_kernels::optimizer::{AdamW, Lion, Momentum, MomentumSgd, Sgd};
use thalweg_kernels::random::Stream;
use thalweg_kernels::real::Real;
use thalweg_kernels::row_norms;

const PARAMETERS: usize = 10_000_000;
const WIDTH: usize = 500;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{PARAMETERS} parameters, {}", copy::conditions());
    all::<f32>("f32");
    all::<f64>("f64");
}

fn all<F: Real>(float: &str) {
    let mut stream = Stream::new(0, "bench", 0);
    let mut draw = || -> Vec<F> {
        let mut drawn = vec![0.0_f32; PARAMETERS];
        stream.fill_uniform(-1.0, 1.0, &mut drawn);
        drawn
            .into_iter()
            .map(|value| F::from_f64(f64::from(value)))
            .collect()
    };
    let (mut parameters, gradient) = (draw(), draw());
    let (mut first, mut second) = (vec![F::ZERO; PARAMETERS], vec![F::ZERO; PARAMETERS]);
    let size = PARAMETERS * size_of::<F>();
    let mut copy = Copy::of(7 * size);

    let adamw = AdamW::default();
    let mut step = 0;
    copy.beside(&format!("AdamW, {float}"), 7 * size, || {
        step += 1;
        adamw.step(step, &mut parameters, &gradient, &mut first, &mut second);
    });
    let sgd = Sgd::default();
    copy.beside(&format!("SGD, {float}"), 3 * size, || {
        sgd.step(&mut parameters, &gradient);
    });
    for kind in [Momentum::HeavyBall, Momentum::Nesterov] {
        let rule = MomentumSgd {
            kind,
            ..MomentumSgd::default()
        };
        copy.beside(&format!("SGD, {kind:?}, {float}"), 5 * size, || {
            rule.step(&mut parameters, &gradient, &mut first);
        });
    }
    let lion = Lion::default();
    copy.beside(&format!("Lion, {float}"), 5 * size, || {
        lion.step(&mut parameters, &gradient, &mut first);
    });
    let mut norms = vec![F::ZERO; PARAMETERS / WIDTH];
    copy.beside(&format!("row norms, {float}"), size, || {
        row_norms::forward(&gradient, WIDTH, &mut norms);
    });
    copy.beside(&format!("their gradient, {float}"), 2 * size, || {
        row_norms::backward(&gradient, WIDTH, &norms, &norms, &mut first);
    });
}
