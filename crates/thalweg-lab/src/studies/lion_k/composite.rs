//! Part 2: with every smooth conjugate Lion-K comes to the minimum that its kernel says, and to no other's.

use thalweg::optimizer::lion_k::{
    Joint, Kernel, LionKStep, Quadratic, Scheme, Separable, Smooth, composite_minimum,
};
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const SIZE: usize = 20;
const DECAY: f64 = 1.0;
/// Farthest from the own minimum.
const NEAR: f64 = 1e-2;
/// How many times farther any other minimum is.
const TIMES: f64 = 5.0;

const KERNELS: [(&str, Kernel); 6] = [
    ("½‖m‖²", Kernel::Separable(Separable::HalfL2Squared)),
    (
        "Σ|m|ᵖ/p, p = 1.5",
        Kernel::Separable(Separable::LpPower { p: 1.5 }),
    ),
    ("Huber, e = 0.5", Kernel::Separable(Separable::Huber { e: 0.5 })),
    (
        "relativistic, e = 0.5",
        Kernel::Separable(Separable::Relativistic { e: 0.5 }),
    ),
    (
        "log cosh, a = 1",
        Kernel::Separable(Separable::LogCosh { a: 1.0 }),
    ),
    ("log-sum-exp", Kernel::Joint(Joint::LogSumExp)),
];

fn problems(scale: &Scale) -> usize {
    scale.pick(10, 2)
}

pub(super) fn steps(scale: &Scale) -> usize {
    problems(scale)
}

/// Distances of a run's end: to its own minimum, and to the nearest of another kernel.
#[derive(Clone, Copy)]
struct Ends {
    own: f64,
    other: f64,
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let length = scale.pick(20_000, 2000);
    let ends = pool.map(problems(scale), |problem| {
        let f = quadratic(problem as u64);
        let minima = KERNELS.map(|(_, kernel)| composite_minimum(kernel, DECAY, &f, 1e-13).0);
        let ends = [0, 1, 2, 3, 4, 5].map(|own| {
            let end = descend(KERNELS[own].1, &f, length);
            let distance = |minimum: &[f64]| {
                let gaps = end.iter().zip(minimum).map(|(x, minimum)| x - minimum);
                gaps.map(|gap| gap * gap).sum::<f64>().sqrt()
            };
            let others = (0..KERNELS.len()).filter(|&other| other != own);
            Ends {
                own: distance(&minima[own]),
                other: others
                    .map(|other| distance(&minima[other]))
                    .fold(f64::INFINITY, f64::min),
            }
        });
        advance(1);
        ends
    })?;
    let farthest = |of: usize| ends.iter().map(|ends| ends[of].own).fold(0.0, f64::max);
    let nearest = |of: usize| {
        let ratios = ends.iter().map(|ends| ends[of].other / ends[of].own);
        ratios.fold(f64::INFINITY, f64::min)
    };
    let all = 0..KERNELS.len();
    let holds = all.clone().all(|of| farthest(of) < NEAR && nearest(of) >= TIMES);
    let table = Table {
        title: format!(
            "2. Quadratics of {SIZE} unknowns, {} of them, {length} steps: largest distance to the kernel's own minimum, and \
             least ratio of the distance to another kernel's to that",
            ends.len()
        ),
        columns: ["kernel", "own", "others"].map(str::to_owned).to_vec(),
        rows: all
            .map(|of| {
                vec![
                    KERNELS[of].0.to_owned(),
                    format!("{:.1e}", farthest(of)),
                    format!("{:.0e} times", nearest(of)),
                ]
            })
            .collect(),
    };
    let worst = (0..KERNELS.len()).map(farthest).fold(0.0, f64::max);
    let closest = (0..KERNELS.len()).map(nearest).fold(f64::INFINITY, f64::min);
    let claim = Claim {
        text: "each kernel descends a sum of its own".to_owned(),
        criterion: format!(
            "every kernel and problem: within {NEAR} of the minimum of f + K*(λx)/λ, at least {TIMES} times nearer than to that of \
             any other kernel"
        ),
        evidence: format!("farthest {worst:.1e}; least ratio {closest:.0e}"),
        verdict: Some(if holds {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    Ok((table, claim))
}

/// `½ (x − c)ᵀ (I/2 + A Aᵀ/size) (x − c)`, all entries normal, the centre three times so.
pub(super) fn quadratic(seed: u64) -> Quadratic {
    let mut random = Stream::new(seed, "quadratic", 0);
    let mut normal = |count: usize| {
        let mut out = vec![0.0_f32; count];
        random.fill_normal(&mut out);
        out.into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let factor = normal(SIZE * SIZE);
    let centre = normal(SIZE).into_iter().map(|c| 3.0 * c).collect();
    let mut matrix = vec![0.0; SIZE * SIZE];
    for (row, out) in matrix.chunks_exact_mut(SIZE).enumerate() {
        for (column, out) in out.iter_mut().enumerate() {
            let rows = factor[row * SIZE..][..SIZE]
                .iter()
                .zip(&factor[column * SIZE..][..SIZE]);
            let own = if row == column { 0.5 } else { 0.0 };
            *out = own + rows.map(|(a, b)| a * b).sum::<f64>() / SIZE as f64;
        }
    }
    Quadratic::new(matrix, centre)
}

/// From 0, the learning rate falling to 0 along a cosine.
fn descend(kernel: Kernel, f: &Quadratic, length: usize) -> Vec<f64> {
    let (mut x, mut m) = (vec![0.0; SIZE], vec![0.0; SIZE]);
    let (mut gradient, mut direction) = (vec![0.0; SIZE], vec![0.0; SIZE]);
    for step in 0..length {
        let angle = std::f64::consts::PI * step as f64 / length as f64;
        let rule = LionKStep {
            kernel,
            learning_rate: 5e-3 * (1.0 + angle.cos()) + 1e-7,
            beta_1: 0.9,
            beta_2: 0.99,
            weight_decay: DECAY,
            scheme: Scheme::Explicit,
        };
        f.evaluate(&x, &mut gradient);
        let stepped = rule.step(&mut x, &mut m, &gradient, &mut direction);
        if stepped.is_err() {
            x.fill(f64::NAN);
            break;
        }
    }
    x
}
