//! Part 3: the promise of an implicit step, kept or broken, over many of them.

use thalweg::optimizer::lion_k::{Certificate, Joint, Kernel, LionKStep, Scheme, Separable, Smooth};
use thalweg_kernels::random::Stream;

use super::composite::quadratic;
use crate::study::{Advance, Claim, Scale, Verdict, Weight};

pub(super) const STEPS: usize = 1;

/// Relative to the Lyapunov function, what rounding may do.
const ROUNDING: f64 = 1e-12;
/// Steps of a run before another begins.
const RUN: usize = 20;

const KERNELS: [Kernel; 8] = [
    Kernel::Separable(Separable::L1),
    Kernel::Separable(Separable::HalfL2Squared),
    Kernel::Separable(Separable::Huber { e: 0.5 }),
    Kernel::Separable(Separable::Relativistic { e: 0.4 }),
    Kernel::Separable(Separable::LogCosh { a: 1.5 }),
    Kernel::Joint(Joint::LpNorm { p: 2.0 }),
    Kernel::Joint(Joint::GroupL2 { size: 4 }),
    Kernel::Joint(Joint::TopKL1 { k: 3 }),
];

pub(super) fn run(scale: &Scale, advance: &Advance) -> Claim {
    let wanted = scale.pick(10_000, 500);
    let (mut taken, mut broken, mut run) = (0, 0, 0);
    while taken < wanted {
        let kernel = KERNELS[run % KERNELS.len()];
        let mut random = Stream::new(run as u64, "certificate", 0);
        let f = quadratic(run as u64);
        let rule = LionKStep {
            kernel,
            learning_rate: 10.0_f64.powf(-3.0 + 2.0 * random.uniform()),
            beta_1: 0.85 + 0.1 * random.uniform(),
            beta_2: 0.96 + 0.035 * random.uniform(),
            weight_decay: 0.5 + 1.5 * random.uniform(),
            scheme: Scheme::Implicit,
        };
        let mut normal = || {
            let mut out = vec![0.0_f32; f.size()];
            random.fill_normal(&mut out);
            out.into_iter().map(f64::from).collect::<Vec<f64>>()
        };
        // A slope of K, drawn in a little: λx is inside the domain.
        let (seen, mut m) = (normal(), normal());
        let mut x = vec![0.0; f.size()];
        kernel.slope(&seen, &mut x);
        x.iter_mut().for_each(|x| *x *= 0.9 / rule.weight_decay);
        for _ in 0..RUN {
            let Some(certificate) = Certificate::of(&rule, &f, f.steepness(), &mut x, &mut m) else {
                break;
            };
            let Certificate {
                before, after, bound, ..
            } = certificate;
            taken += 1;
            let kept = after - before <= bound + ROUNDING * (1.0 + before.abs());
            broken += usize::from(!kept);
        }
        run += 1;
    }
    advance(STEPS);
    Claim {
        text: "the Lyapunov function falls by what is promised or more at every step".to_owned(),
        criterion: format!(
            "no step of {wanted}, over {} kernels and random rules, breaks the inequality",
            KERNELS.len()
        ),
        evidence: format!("{broken} of {taken} steps did"),
        verdict: Some(if broken == 0 {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    }
}
