//! What the kernels of row losses cost, value and gradient, beside copying as many bytes:
//! `cargo bench --workspace --bench rowwise`.
//!
//! Bytes moved are scores read and gradient written. "Into fresh memory" pays for pages that the system has to give first. Times are medians of rounds in which kernel and copy take
//! turns, the fastest in brackets.

mod copy;

use copy::Copy;
use thalweg_kernels::batch::forward_backward;
use thalweg_kernels::random::Stream;
use thalweg_kernels::real::Real;
use thalweg_kernels::rowwise::{Coefficients, Member, OfSoftmax, Row};
use thalweg_kernels::spherical::{self, Moments, OfMoments, Slopes};
use thalweg_kernels::{batch, pairs};

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{}", copy::conditions());
    all::<f32>("f32", 4096, 1000);
    all::<f32>("f32", 512, 32_000);
    all::<f64>("f64", 4096, 1000);
}

struct CrossEntropy;

impl Member for CrossEntropy {
    fn row(&self, row: Row) -> Coefficients {
        Coefficients::of_log_p(-row.log_p, -1.0)
    }
}

/// The variance of the scores.
struct Spread;

impl spherical::Member for Spread {
    fn slopes(&self, moments: &Moments) -> Slopes {
        Slopes {
            loss: moments.variance,
            centred: 2.0 / moments.classes,
            uniform: 0.0,
            target: 0.0,
        }
    }
}

fn all<F: Real>(float: &str, rows: usize, classes: usize) {
    let mut stream = Stream::new(0, "bench", 0);
    let mut draw = || -> Vec<F> {
        let mut drawn = vec![0.0_f32; rows * classes];
        stream.fill_uniform(-5.0, 5.0, &mut drawn);
        drawn
            .into_iter()
            .map(|value| F::from_f64(f64::from(value)))
            .collect()
    };
    let (scores, others, mut gradient) = (draw(), draw(), draw());
    let targets: Vec<u32> = (0..rows).map(|row| (row * 7919 % classes) as u32).collect();
    let mut losses = vec![F::ZERO; rows];
    let bytes = 2 * size_of_val(&scores[..]);
    let mut copy = Copy::of(2 * bytes);
    println!("{float}, [{rows}, {classes}]");
    let softmax = OfSoftmax(&CrossEntropy);
    copy.beside("cross-entropy", bytes, || {
        forward_backward(
            &softmax,
            &scores,
            &targets,
            classes,
            1.0,
            &mut losses,
            &mut gradient,
        );
    });
    copy.beside("  into fresh memory", bytes, || {
        let mut fresh = vec![F::ZERO; scores.len()];
        forward_backward(&softmax, &scores, &targets, classes, 1.0, &mut losses, &mut fresh);
    });
    copy.beside("  its value alone", bytes / 2, || {
        batch::forward(&softmax, &scores, &targets, classes, &mut losses);
    });
    let moments = OfMoments(&Spread);
    copy.beside("variance", bytes, || {
        forward_backward(
            &moments,
            &scores,
            &targets,
            classes,
            1.0,
            &mut losses,
            &mut gradient,
        );
    });
    let soft = pairs::SoftTargets {
        smoothing: 0.1,
        class_weights: None,
        logsumexp_z: 0.0,
    };
    copy.beside("soft targets", bytes * 3 / 2, || {
        pairs::forward_backward(
            &soft,
            (&scores, &others),
            classes,
            1.0,
            &mut losses,
            &mut gradient,
        );
    });
}
