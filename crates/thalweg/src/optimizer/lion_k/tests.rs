use proptest::prelude::*;

use super::*;

const SIZE: usize = 6;

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![
        Just(Separable::L1.into()),
        Just(Separable::HalfL2Squared.into()),
        (1.2..4.0).prop_map(|p| Separable::LpPower { p }.into()),
        (0.1..1.0).prop_map(|e| Separable::SoftThresholdL1 { e }.into()),
        (0.1..1.0).prop_map(|e| Separable::Huber { e }.into()),
        (0.1..1.0).prop_map(|e| Separable::Relativistic { e }.into()),
        (0.5..4.0).prop_map(|a| Separable::LogCosh { a }.into()),
        (1.2..4.0).prop_map(|p| Joint::LpNorm { p }.into()),
        Just(Joint::LInf.into()),
        (1..=SIZE).prop_map(|k| Joint::TopKL1 { k }.into()),
        (1..=SIZE).prop_map(|size| Joint::GroupL2 { size }.into()),
        Just(Joint::LogSumExp.into()),
        prop_oneof![Just(1), Just(2), Just(3), Just(6)].prop_map(|rows| Joint::Nuclear { rows }.into()),
    ]
}

fn vector() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-3.0..3.0, SIZE)
}

fn slope(kernel: Kernel, m: &[f64]) -> Vec<f64> {
    let mut slope = vec![0.0; m.len()];
    kernel.slope(m, &mut slope);
    slope
}

fn near(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

fn rule(kernel: Kernel, scheme: Scheme) -> LionKStep {
    LionKStep {
        kernel,
        learning_rate: 0.05,
        beta_1: 0.9,
        beta_2: 0.99,
        weight_decay: 0.7,
        scheme,
    }
}

fn quadratic(entries: &[f64], centre: Vec<f64>) -> Quadratic {
    let mut matrix = vec![0.0; SIZE * SIZE];
    for row in 0..SIZE {
        for column in 0..SIZE {
            let along = (0..SIZE).map(|k| entries[row * SIZE + k] * entries[column * SIZE + k]);
            matrix[row * SIZE + column] = along.sum::<f64>() + f64::from(u8::from(row == column));
        }
    }
    Quadratic::new(matrix, centre)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn kernel_and_conjugate_touch_at_slopes_and_nowhere_cross(kernel in kernels(), m in vector(), other in vector()) {
        let y = slope(kernel, &m);
        let conjugate = kernel.conjugate(&y).expect("slopes lie in the domain");
        let gap = kernel.value(&m) + conjugate - dot(&m, &y);
        prop_assert!(gap.abs() < 1e-9 * (1.0 + kernel.value(&m).abs()), "{}", gap);
        prop_assert!(kernel.value(&other) + conjugate - dot(&other, &y) > -1e-9);
        prop_assert!(kernel.domain_distance(&y) < 1e-9);
    }

    #[test]
    fn projections_are_nearest(kernel in kernels(), y in vector(), m in vector()) {
        // Nothing of the domain is nearer: distances to slopes bound that to the projection.
        let distance = kernel.domain_distance(&y);
        let inside = slope(kernel, &m);
        let gap: Vec<f64> = y.iter().zip(&inside).map(|(y, inside)| y - inside).collect();
        prop_assert!(distance <= norm(&gap) + 1e-9);
    }

    #[test]
    fn decay_draws_into_the_domain(kernel in kernels(), x in vector(), m in vector(), gradient in vector()) {
        for scheme in [Scheme::Explicit, Scheme::Implicit] {
            let rule = rule(kernel, scheme);
            let (mut x, mut m) = (x.iter().map(|x| 5.0 * x).collect::<Vec<_>>(), m.clone());
            let distance = |x: &[f64]| {
                let y: Vec<f64> = x.iter().map(|x| rule.weight_decay * x).collect();
                kernel.domain_distance(&y)
            };
            let before = distance(&x);
            rule.step(&mut x, &mut m, &gradient, &mut [0.0; SIZE]).unwrap();
            let kept = match scheme {
                Scheme::Explicit => 1.0 - rule.learning_rate * rule.weight_decay,
                Scheme::Implicit => 1.0 / (1.0 + rule.learning_rate * rule.weight_decay),
            };
            prop_assert!(distance(&x) <= kept * before + 1e-9);
        }
    }

    #[test]
    fn schemes_are_one_at_related_rates(kernel in kernels(), x in vector(), m in vector(), gradient in vector()) {
        let implicit = rule(kernel, Scheme::Implicit);
        let explicit = LionKStep {
            learning_rate: implicit.learning_rate / (1.0 + implicit.learning_rate * implicit.weight_decay),
            ..rule(kernel, Scheme::Explicit)
        };
        let after = |rule: LionKStep| {
            let (mut x, mut m) = (x.clone(), m.clone());
            rule.step(&mut x, &mut m, &gradient, &mut [0.0; SIZE]).unwrap();
            (x, m)
        };
        let (a, b) = (after(implicit), after(explicit));
        prop_assert!(near(&a.0, &b.0, 1e-12) && a.1 == b.1);
    }

    #[test]
    fn implicit_steps_keep_their_promise(
        kernel in kernels(),
        entries in prop::collection::vec(-0.5..0.5, SIZE * SIZE),
        centre in vector(),
        start in vector(),
        m in vector(),
    ) {
        let rule = rule(kernel, Scheme::Implicit);
        let f = quadratic(&entries, centre);
        // λx is a slope of K scaled into the domain, so that H is finite.
        let mut x: Vec<f64> = slope(kernel, &start).iter().map(|y| y / rule.weight_decay).collect();
        let mut m = m;
        // Largest row sum of a symmetric matrix: no smaller than its norm.
        let smoothness = 1.0 + 0.25 * (SIZE * SIZE) as f64;
        for _ in 0..20 {
            let certificate = Certificate::of(&rule, &f, smoothness, &mut x, &mut m);
            let Some(certificate) = certificate else {
                // On the edge of the domain rounding may lie outside it, and slopes of K* may be infinite there.
                break;
            };
            if !certificate.bound.is_finite() {
                break;
            }
            prop_assert!(certificate.delta_1 > -1e-9 && certificate.delta_2 > -1e-9, "{certificate:?}");
            let fell = certificate.after - certificate.before;
            prop_assert!(fell <= certificate.bound + 1e-8 * (1.0 + certificate.before.abs()), "{certificate:?}");
        }
    }

    #[test]
    fn lion_does_not_see_scale(x in vector(), m in vector(), gradient in vector(), scale in 0.01..100.0_f64) {
        let after = |scale: f64| {
            let mut x = x.clone();
            let mut m: Vec<f64> = m.iter().map(|m| scale * m).collect();
            let gradient: Vec<f64> = gradient.iter().map(|g| scale * g).collect();
            rule(Separable::L1.into(), Scheme::Explicit)
                .step(&mut x, &mut m, &gradient, &mut [0.0; SIZE])
                .unwrap();
            x
        };
        prop_assert_eq!(after(1.0), after(scale));
    }

    #[test]
    fn kernels_meet_at_their_ends(m in vector()) {
        let same = |a: Kernel, b: Kernel, tolerance: f64| {
            (a.value(&m) - b.value(&m)).abs() <= tolerance && near(&slope(a, &m), &slope(b, &m), tolerance)
        };
        let l1 = Kernel::from(Separable::L1);
        let exact: [(Kernel, Kernel); 4] = [
            (Joint::GroupL2 { size: 1 }.into(), l1),
            (Joint::TopKL1 { k: SIZE }.into(), l1),
            (Joint::TopKL1 { k: 1 }.into(), Joint::LInf.into()),
            (Joint::LpNorm { p: 2.0 }.into(), Joint::GroupL2 { size: SIZE }.into()),
        ];
        for (a, b) in exact {
            prop_assert!(same(a, b, 1e-12), "{:?} {:?}", a, b);
        }
        prop_assume!(m.iter().all(|m| m.abs() > 1e-2));
        let limits: [Kernel; 3] = [
            Separable::Huber { e: 1e-9 }.into(),
            Separable::Relativistic { e: 1e-9 }.into(),
            Separable::LogCosh { a: 1e9 }.into(),
        ];
        for limit in limits {
            prop_assert!(same(limit, l1, 1e-7), "{:?}", limit);
        }
    }

    #[test]
    fn the_flow_dissipates_as_its_formula_says(
        kernel in prop_oneof![
            Just(Kernel::from(Separable::HalfL2Squared)),
            (0.3..1.0).prop_map(|e| Separable::Relativistic { e }.into()),
            (0.5..2.0).prop_map(|a| Separable::LogCosh { a }.into()),
        ],
        entries in prop::collection::vec(-0.5..0.5, SIZE * SIZE),
        centre in vector(),
        y in prop::collection::vec(-0.8..0.8, SIZE),
        m in vector(),
    ) {
        let flow = Flow { alpha: 1.3, gamma: 0.6, epsilon: 0.7, weight_decay: 1.2 };
        let f = quadratic(&entries, centre);
        let x: Vec<f64> = y.iter().map(|y| y / flow.weight_decay).collect();
        let at = |x: &[f64], m: &[f64]| {
            let mut gradient = vec![0.0; SIZE];
            let value = f.evaluate(x, &mut gradient);
            Dissipation::of(kernel, &flow, value, &gradient, x, m).expect("inside the domain")
        };
        let time = 1e-4;
        let ahead = flow.run(kernel, &f, &x, &m, time).unwrap();
        let (here, there) = (at(&x, &m), at(&ahead.0, &ahead.1));
        let mean = 0.5 * (here.rate + there.rate);
        prop_assert!(here.delta_1 >= -1e-12 && here.delta_2 >= -1e-12 && here.rate <= 1e-12);
        let slope = (there.energy - here.energy) / time;
        prop_assert!((slope - mean).abs() < 1e-3 * (1.0 + mean.abs()), "{} {}", slope, mean);
    }

    #[test]
    fn the_bounded_minimum_is_what_lion_descends(
        entries in prop::collection::vec(-0.5..0.5, SIZE * SIZE),
        centre in vector(),
        decay in 0.3..3.0,
    ) {
        let f = quadratic(&entries, centre);
        let bounded = bounded_minimum(&f, f64::recip(decay), 1e-14);
        let (minimum, value) = composite_minimum(Separable::L1.into(), decay, &f, 1e-14);
        prop_assert!(near(&bounded.x, &minimum, 1e-6), "{:?} {:?}", bounded.x, minimum);
        prop_assert!((-1e-12..1e-10).contains(&bounded.gap), "{}", bounded.gap);
        prop_assert!((bounded.value - value).abs() < 1e-9);
    }

    #[test]
    fn long_runs_come_to_the_composite_minimum(
        kernel in prop_oneof![
            Just(Kernel::from(Separable::HalfL2Squared)),
            (0.3..1.0).prop_map(|e| Separable::Huber { e }.into()),
            (0.5..2.0).prop_map(|a| Separable::LogCosh { a }.into()),
        ],
        entries in prop::collection::vec(-0.5..0.5, SIZE * SIZE),
        centre in vector(),
    ) {
        let f = quadratic(&entries, centre);
        let (minimum, value) = composite_minimum(kernel, 0.7, &f, 1e-14);
        let (mut x, mut m) = (vec![0.0; SIZE], vec![0.0; SIZE]);
        let mut gradient = vec![0.0; SIZE];
        let steps = 6000;
        for step in 0..steps {
            let rule = LionKStep {
                learning_rate: 0.05 * (1.0 - f64::from(step) / f64::from(steps)) + 1e-6,
                ..rule(kernel, Scheme::Explicit)
            };
            f.evaluate(&x, &mut gradient);
            rule.step(&mut x, &mut m, &gradient, &mut [0.0; SIZE]).unwrap();
        }
        prop_assert!(near(&x, &minimum, 1e-3), "{:?} {:?}", x, minimum);
        let y: Vec<f64> = x.iter().map(|x| 0.7 * x).collect();
        let reached = f.evaluate(&x, &mut gradient) + kernel.conjugate(&y).unwrap_or(f64::INFINITY) / 0.7;
        prop_assert!(value <= reached + 1e-9);
    }
}

#[test]
fn a_gradient_that_is_no_number_changes_nothing() {
    let (mut x, mut m) = (vec![1.0, 2.0], vec![3.0, 4.0]);
    let refused =
        rule(Separable::L1.into(), Scheme::Explicit).step(&mut x, &mut m, &[0.0, f64::NAN], &mut [0.0; 2]);
    assert_eq!(refused.unwrap_err().index, 1);
    assert_eq!((x, m), (vec![1.0, 2.0], vec![3.0, 4.0]));
}

#[test]
fn explicit_decay_may_not_overshoot() {
    let rule = LionKStep {
        learning_rate: 2.0,
        ..rule(Separable::L1.into(), Scheme::Explicit)
    };
    assert!(rule.checked().is_err());
    assert!(
        LionKStep {
            scheme: Scheme::Implicit,
            ..rule
        }
        .checked()
        .is_ok()
    );
}
