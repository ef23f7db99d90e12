//! The inverse of the empirical Fisher information, beside the plain products of matrices that it is made of:
//! `cargo bench --workspace --bench m_fac`.
//!
//! Single precision, the least of several rounds in turns. The precomputation of m vectors of d numbers multiplies and adds
//! `m² d` times, half of it in products of rows with each other and half in combinations of rows: beside it stands half of
//! the time of `G·Gᵀ` and half of that of a full `C·G`, in the same blocks with the same `gemm`. Memory is what there was at
//! most beside the gradients.
//!
//! `m_fac --bench FOLDER` answers a peer: see `benches/peers/m_fac.py`.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use core_affinity::CoreId;
use thalweg::curvature::{FisherInverse, GradientWindow, woodbury};
use thalweg_kernels::long_rows::{products, subtract_products};
use thalweg_kernels::matrix::Matrix;
use thalweg_kernels::memory::{Counting, peak, reset_peak};
use thalweg_kernels::random::Stream;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const THREADS: usize = 2;
const ROUNDS: usize = 3;
const DAMPENING: f64 = 1e-5;

fn main() {
    // `cargo test --all-targets` runs benches as well, without this argument.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|word| word == "--bench") {
        return;
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .start_handler(|thread| {
            assert!(
                core_affinity::set_for_current(CoreId { id: thread }),
                "cores 0 and 1 are needed"
            );
        })
        .build_global()
        .expect("no pool was made before");
    match arguments.iter().find(|word| *word != "--bench") {
        Some(folder) => rayon::scope(|_| serve(Path::new(folder))),
        None => rayon::scope(|_| {
            for (rows, width) in [
                (512, 1_000_000),
                (128, 1_000_000),
                (512, 100_000),
                (64, 4_000_000),
            ] {
                report(rows, width);
            }
        }),
    }
}

fn milliseconds<T>(step: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let out = step();
    (started.elapsed().as_secs_f64() * 1e3, out)
}

fn report(rows: usize, width: usize) {
    let mut gradients = vec![0.0_f32; rows * width];
    Stream::new(0, "gradients", 0).fill_normal(&mut gradients);
    gradients.iter_mut().for_each(|value| *value *= 1e-2);
    let x = gradients[..width].to_vec();
    let held = size_of_val(&gradients[..]) as u64;
    let mut least = [f64::INFINITY; 6];
    let mut extra = 0;
    for _ in 0..ROUNDS {
        let copy = gradients.clone();
        reset_peak();
        let (precompute, inverse) = milliseconds(|| FisherInverse::new(DAMPENING, copy, width));
        extra = peak();
        let inverse = inverse.expect("gradients are finite");
        let (product, _) = milliseconds(|| inverse.product(&x));
        let (diagonal, _) = milliseconds(|| inverse.diagonal());
        drop(inverse);
        let (dots, between) = milliseconds(|| products(&gradients, &gradients, width));
        let factors: Vec<f32> = between.iter().map(|&product| product as f32).collect();
        let mut out = vec![0.0; rows * width];
        let (combined, ()) = milliseconds(|| {
            subtract_products(&mut out, width, Matrix::new(&factors, rows, rows), &gradients);
        });
        drop(out);
        let (direct, _) = milliseconds(|| woodbury(DAMPENING, &gradients, &x));
        let times = [precompute, product, diagonal, dots, combined, direct];
        least
            .iter_mut()
            .zip(times)
            .for_each(|(least, time)| *least = least.min(time));
    }
    let [precompute, product, diagonal, dots, combined, direct] = least;
    let plain = 0.5 * (dots + combined);
    let rate = |milliseconds: f64| 2.0 * held as f64 / milliseconds * 1e-6;
    println!(
        "{rows} gradients of {width} numbers, {:.0} MiB:",
        held as f64 / f64::from(1 << 20)
    );
    println!(
        "  precomputation {precompute:8.1} ms, {:.2} times its plain products ({dots:.1}/2 + {combined:.1}/2 ms), {:.1} MiB more",
        precompute / plain,
        extra as f64 / f64::from(1 << 20)
    );
    println!("  product        {product:8.1} ms, {:.1} GB/s", rate(product));
    println!(
        "  diagonal       {diagonal:8.1} ms, {:.1} GB/s",
        0.5 * rate(diagonal)
    );
    println!("  one product by Woodbury without precomputation {direct:8.1} ms");
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the peer wrote the array");
    let numbers = bytes.as_chunks::<4>().0;
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Answers each line of the standard input with the milliseconds that it took: `precompute`, `product`, `window` (a
/// gradient taken up, and its product); `check` also writes the products into the folder.
fn serve(folder: &Path) {
    let x = floats(&folder.join("x.f32"));
    let width = x.len();
    let gradients = floats(&folder.join("gradients.f32"));
    let mut inverse = None;
    let mut window = None;
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let time = match line.expect("the peer writes text").as_str() {
            "precompute" => {
                let copy = gradients.clone();
                let (time, found) = milliseconds(|| FisherInverse::new(DAMPENING, copy, width));
                inverse = Some(found.expect("gradients are finite"));
                time
            }
            "window" => {
                let window = window.get_or_insert_with(|| filled(&gradients, width));
                milliseconds(|| {
                    window.insert(&x).expect("gradients are finite");
                    window.newest_product()
                })
                .0
            }
            word => {
                let inverse = inverse.as_ref().expect("precomputed before");
                let (time, product) = milliseconds(|| inverse.product(&x));
                if word == "check" {
                    let bytes: Vec<u8> = product.into_iter().flat_map(f32::to_le_bytes).collect();
                    std::fs::write(folder.join("checked.f32"), bytes).expect("the folder can be written");
                }
                time
            }
        };
        writeln!(out, "{time}").expect("the peer listens");
        out.flush().expect("the peer listens");
    }
}

fn filled(gradients: &[f32], width: usize) -> GradientWindow<f32> {
    let rows = gradients.len() / width;
    let mut window = GradientWindow::new(DAMPENING, rows, width).expect("there are gradients");
    for gradient in gradients.chunks_exact(width) {
        window.insert(gradient).expect("gradients are finite");
    }
    window
}
