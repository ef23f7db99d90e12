//! Part 2: how times grow with the number of gradients and of parameters.
//!
//! Times are those of this machine, caches and all; an operation count would be another thing.

use std::time::Instant;

use thalweg::curvature::FisherInverse;
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

/// Numbers of gradients, at the larger of the widths.
const ROWS: [usize; 3] = [64, 128, 256];
/// Numbers of parameters, at the middle of the numbers of gradients.
const WIDTHS: [usize; 3] = [50_000, 100_000, 200_000];
/// Of which the least time counts.
const REPETITIONS: usize = 3;
/// Elements asked for, far from each other.
const ELEMENTS: usize = 2000;

pub(super) const STEPS: usize = 2 * ROWS.len() - 1;

/// Seconds.
#[derive(Clone, Copy)]
struct Times {
    precompute: f64,
    product: f64,
    element: f64,
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Vec<Claim>), LabError> {
    let shrink = scale.pick(1, 50);
    let widths = WIDTHS.map(|width| width / shrink);
    let (middle, largest) = (ROWS[1], widths[2]);
    let cases = ROWS.map(|rows| (rows, largest)).into_iter();
    let cases: Vec<_> = cases.chain([(middle, widths[0]), (middle, widths[1])]).collect();
    // One after the other, so that none takes another's memory bandwidth.
    let times = pool.map(1, |_| {
        let each = cases.iter().map(|&(rows, width)| {
            let times = timed(rows, width)?;
            advance(1);
            Ok::<_, LabError>(times)
        });
        each.collect::<Result<Vec<_>, _>>()
    })?;
    let times = times.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let by_rows = [times[0], times[1], times[2]];
    let by_width = [times[3], times[4], times[1]];
    let claim = |text: &str, [low, high]: [f64; 2], slope: f64| {
        let verdict = if (low..=high).contains(&slope) {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        };
        Claim {
            text: text.to_owned(),
            criterion: format!("slope of the logarithms within {low} and {high}"),
            evidence: format!("{slope:.2}").replace('-', "−"),
            verdict: Some(verdict),
            weight: Weight::Decisive,
        }
    };
    let rows = ROWS.map(|rows| rows as f64);
    let widths = widths.map(|width| width as f64);
    let claims = vec![
        claim(
            "the precomputation takes a time in m²",
            [1.7, 2.3],
            slope(rows, by_rows.map(|times| times.precompute)),
        ),
        claim(
            "the precomputation takes a time in d",
            [0.85, 1.15],
            slope(widths, by_width.map(|times| times.precompute)),
        ),
        claim(
            "a product takes a time in m",
            [0.8, 1.2],
            slope(rows, by_rows.map(|times| times.product)),
        ),
        claim(
            "an element takes a time that does not depend on d",
            [-0.3, 0.3],
            slope(widths, by_width.map(|times| times.element)),
        ),
    ];
    let lines = cases.iter().zip(&times).map(|(&(rows, width), times)| {
        vec![
            rows.to_string(),
            width.to_string(),
            format!("{:.1}", 1e3 * times.precompute),
            format!("{:.2}", 1e3 * times.product),
            format!("{:.2}", 1e6 * times.element),
        ]
    });
    let table = Table {
        title: format!(
            "2. Times on one thread, the least of {REPETITIONS}: precomputation and product in ms, element in µs"
        ),
        columns: ["m", "d", "precompute", "product", "element"]
            .map(str::to_owned)
            .to_vec(),
        rows: lines.collect(),
    };
    Ok((table, claims))
}

fn timed(rows: usize, width: usize) -> Result<Times, LabError> {
    let mut gradients = vec![0.0_f32; rows * width];
    Stream::new(0, "costs", 0).fill_normal(&mut gradients);
    let x = gradients[..width].to_vec();
    let mut least = Times {
        precompute: f64::INFINITY,
        product: f64::INFINITY,
        element: f64::INFINITY,
    };
    for _ in 0..REPETITIONS {
        let copy = gradients.clone();
        let started = Instant::now();
        let inverse = FisherInverse::new(1e-3, copy, width)?;
        least.precompute = least.precompute.min(started.elapsed().as_secs_f64());
        let started = Instant::now();
        let product = inverse.product(&x);
        least.product = least.product.min(started.elapsed().as_secs_f64());
        let mut at = product.len() / 2;
        let started = Instant::now();
        let mut sum = 0.0;
        for _ in 0..ELEMENTS {
            at = (at + 7919) % width;
            sum += inverse.element(at, width - 1 - at);
        }
        std::hint::black_box(sum);
        let each = started.elapsed().as_secs_f64() / ELEMENTS as f64;
        least.element = least.element.min(each);
    }
    Ok(least)
}

/// Of the straight line through the logarithms, by least squares.
fn slope(sizes: [f64; 3], times: [f64; 3]) -> f64 {
    let (x, y) = (sizes.map(f64::ln), times.map(f64::ln));
    let mean = |values: [f64; 3]| values.iter().sum::<f64>() / 3.0;
    let (middle, height) = (mean(x), mean(y));
    let products: f64 = x.iter().zip(y).map(|(x, y)| (x - middle) * (y - height)).sum();
    let squares: f64 = x.iter().map(|x| (x - middle).powi(2)).sum();
    products / squares
}
