use proptest::prelude::*;

use super::*;
use crate::memory::{peak, reset_peak};
use crate::random::Stream;

/// A step: its number, the parameters, the gradient and two slices of state.
type Step<F> = Box<dyn Fn(u64, &mut [F], &[F], &mut [F], &mut [F]) + Sync>;

fn adamw<F: Real>(rule: AdamW) -> Step<F> {
    Box::new(move |t, parameters, gradient, first, second| rule.step(t, parameters, gradient, first, second))
}

fn sgd<F: Real>(rule: Sgd) -> Step<F> {
    Box::new(move |_, parameters, gradient, _, _| rule.step(parameters, gradient))
}

fn momentum_sgd<F: Real>(rule: MomentumSgd) -> Step<F> {
    Box::new(move |_, parameters, gradient, velocity, _| rule.step(parameters, gradient, velocity))
}

fn lion<F: Real>(rule: Lion) -> Step<F> {
    Box::new(move |_, parameters, gradient, momentum, _| rule.step(parameters, gradient, momentum))
}

fn all<F: Real>() -> [Step<F>; 5] {
    let nesterov = MomentumSgd {
        kind: Momentum::Nesterov,
        ..MomentumSgd::default()
    };
    [
        adamw(AdamW::default()),
        sgd(Sgd::default()),
        momentum_sgd(MomentumSgd::default()),
        momentum_sgd(nesterov),
        lion(Lion::default()),
    ]
}

/// Parameters after a step along each of `gradients`.
fn descend<F: Real>(step: &Step<F>, start: &[f64], gradients: &[Vec<f64>]) -> Vec<f64> {
    let narrow = |values: &[f64]| values.iter().map(|&value| F::from_f64(value)).collect::<Vec<F>>();
    let mut parameters = narrow(start);
    let (mut first, mut second) = (vec![F::ZERO; start.len()], vec![F::ZERO; start.len()]);
    for (t, gradient) in (1..).zip(gradients) {
        step(t, &mut parameters, &narrow(gradient), &mut first, &mut second);
    }
    parameters.iter().map(|parameter| parameter.to_f64()).collect()
}

/// The same for one parameter after another, by `rule(step, parameter, gradient, state)`.
fn plainly(
    rule: impl Fn(i32, f64, f64, &mut [f64; 2]) -> f64,
    start: &[f64],
    gradients: &[Vec<f64>],
) -> Vec<f64> {
    let one = |(at, &parameter): (usize, &f64)| {
        let mut state = [0.0; 2];
        let steps = (1..).zip(gradients);
        steps.fold(parameter, |theta, (t, gradient)| {
            rule(t, theta, gradient[at], &mut state)
        })
    };
    start.iter().enumerate().map(one).collect()
}

/// Parameters and gradients that f32 holds exactly: multiples of 1/4 up to 4.
fn quarters(count: usize, steps: usize, seed: u64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut stream = Stream::new(seed, "optimizer", 0);
    let mut draw = |_| {
        let drawn = (0..count).map(|_| (stream.below(33) as f64 - 16.0) / 4.0);
        drawn.collect::<Vec<f64>>()
    };
    (draw(0), (0..steps).map(draw).collect())
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        prop_assert!(
            (a - b).abs() <= tolerance * (1.0 + b.abs()),
            "{} for {} at {}",
            a,
            b,
            at
        );
    }
    Ok(())
}

const WIDE: f64 = 1e-13;
const NARROW: f64 = 5e-6;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn adamw_is_its_formula(
        count in 0_usize..200,
        seed in 0_u64..1000,
        learning_rate in 1e-4..0.1,
        beta1 in 0.0..0.99,
        beta2 in 0.5..0.9999,
        epsilon in prop::sample::select(vec![1e-8, 1e-3]),
        weight_decay in prop::sample::select(vec![0.0, 0.01, 0.5]),
    ) {
        let (start, gradients) = quarters(count, 6, seed);
        let rule = AdamW { learning_rate, beta1, beta2, epsilon, weight_decay };
        let expected = plainly(
            |t, theta, g, [m, v]| {
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                let (mean, square) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)));
                theta * (1.0 - learning_rate * weight_decay) - learning_rate * mean / (square.sqrt() + epsilon)
            },
            &start,
            &gradients,
        );
        close(&descend(&adamw::<f64>(rule), &start, &gradients), &expected, WIDE)?;
        close(&descend(&adamw::<f32>(rule), &start, &gradients), &expected, NARROW)?;
    }

    #[test]
    fn descent_is_its_formula(
        count in 0_usize..200,
        seed in 0_u64..1000,
        learning_rate in 1e-4..0.5,
        momentum in 0.0..0.99,
        weight_decay in prop::sample::select(vec![0.0, 1e-4, 0.5]),
    ) {
        let (start, gradients) = quarters(count, 6, seed);
        let heavy_ball = MomentumSgd { learning_rate, momentum, kind: Momentum::HeavyBall, weight_decay };
        let nesterov = MomentumSgd { kind: Momentum::Nesterov, ..heavy_ball };
        let along = |direction: fn(f64, f64, f64) -> f64| {
            let rule = move |_, theta: f64, g: f64, [u, _]: &mut [f64; 2]| {
                let d = g + weight_decay * theta;
                *u = momentum * *u + d;
                theta - learning_rate * direction(d, *u, momentum)
            };
            plainly(rule, &start, &gradients)
        };
        let expected = along(|_, u, _| u);
        close(&descend(&momentum_sgd::<f64>(heavy_ball), &start, &gradients), &expected, WIDE)?;
        close(&descend(&momentum_sgd::<f32>(heavy_ball), &start, &gradients), &expected, NARROW)?;
        let expected = along(|d, u, momentum| d + momentum * u);
        close(&descend(&momentum_sgd::<f64>(nesterov), &start, &gradients), &expected, WIDE)?;
        close(&descend(&momentum_sgd::<f32>(nesterov), &start, &gradients), &expected, NARROW)?;
        let expected = along(|d, _, _| d);
        let rule = Sgd { learning_rate, weight_decay };
        close(&descend(&sgd::<f64>(rule), &start, &gradients), &expected, WIDE)?;
        close(&descend(&sgd::<f32>(rule), &start, &gradients), &expected, NARROW)?;
    }

    #[test]
    fn lion_is_its_formula(
        count in 0_usize..200,
        seed in 0_u64..1000,
        learning_rate in 1e-4..0.1,
        // With these the averages of quarters are exact in f32 as well, and so are the signs.
        beta1 in prop::sample::select(vec![0.0, 0.5, 0.75, 0.875]),
        beta2 in prop::sample::select(vec![0.0, 0.5, 0.75, 0.875]),
        weight_decay in prop::sample::select(vec![0.0, 0.1, 1.0]),
    ) {
        let (start, gradients) = quarters(count, 5, seed);
        let rule = Lion { learning_rate, beta1, beta2, weight_decay };
        let expected = plainly(
            |_, theta, g, [m, _]| {
                let direction = beta1 * *m + (1.0 - beta1) * g;
                *m = beta2 * *m + (1.0 - beta2) * g;
                let sign = if direction == 0.0 { 0.0 } else { direction.signum() };
                theta - learning_rate * (sign + weight_decay * theta)
            },
            &start,
            &gradients,
        );
        close(&descend(&lion::<f64>(rule), &start, &gradients), &expected, WIDE)?;
        close(&descend(&lion::<f32>(rule), &start, &gradients), &expected, NARROW)?;
    }
}

#[test]
fn averages_follow_and_stay_where_they_have_arrived() {
    fn check<F: Real>() {
        let (averages, mut parameters) = quarters(BLOCK + 9, 1, 4);
        let parameters = parameters.remove(0);
        let [averages, parameters] =
            [averages, parameters].map(|values| values.into_iter().map(F::from_f64).collect::<Vec<F>>());
        let after = |momentum, parameters: &[F]| {
            let mut averages = averages.clone();
            Average { momentum }.step(&mut averages, parameters);
            averages
        };
        assert_eq!(after(1.0, &parameters), averages);
        assert_eq!(after(0.0, &parameters), parameters);
        assert_eq!(after(0.996, &averages), averages);
        let quarter = F::from_f64(0.25);
        for ((found, &from), &to) in after(0.75, &parameters)
            .into_iter()
            .zip(&averages)
            .zip(&parameters)
        {
            assert_eq!(found, from + quarter * (to - from));
        }
    }
    check::<f32>();
    check::<f64>();
}

/// The seventh step, by an independent implementation (case `p-adamw-1` of the vectors `small_scale_proxies`).
#[test]
fn adamw_agrees_with_independent_numbers() {
    let mut parameters = [
        -0.4947115854913305,
        -1.0371105080860885,
        -0.06194478476413139,
        -0.8432160348438933,
        -1.4006068293399847,
    ];
    let gradient = [
        -0.6010572947068684,
        -0.67439598814563,
        -2.1621953486685936,
        -1.330267138891908,
        -0.4609351181032886,
    ];
    let mut first = [
        -1.0721572826350805,
        1.2381296112131575,
        1.0035135903161516,
        -0.8022541612753709,
        0.6421301531525614,
    ];
    let mut second = [
        0.6282721342348981,
        0.24572834400770227,
        0.07591307801898228,
        0.6875387815704507,
        0.7603544755282545,
    ];
    let rule = AdamW {
        learning_rate: 0.005,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weight_decay: 0.1,
    };
    rule.step(7, &mut parameters, &gradient, &mut first, &mut second);
    let expected = [
        -0.48758339269976,
        -1.0474794588024283,
        -0.0684520114578508,
        -0.8375680055899869,
        -1.4031764294506874,
    ];
    close(&parameters, &expected, WIDE).unwrap();
    let expected = [
        -1.0250472838422593,
        1.0468770512772787,
        0.6869426964176771,
        -0.8550554590370245,
        0.5318236260269764,
    ];
    close(&first, &expected, WIDE).unwrap();
    let expected = [
        0.6149220210991702,
        0.2561824242486632,
        0.30587186040823844,
        0.7416423755327113,
        0.7329598109068864,
    ];
    close(&second, &expected, WIDE).unwrap();
}

#[test]
fn two_steps_by_hand() {
    let heavy_ball = MomentumSgd {
        learning_rate: 0.5,
        momentum: 0.5,
        ..MomentumSgd::default()
    };
    let nesterov = MomentumSgd {
        kind: Momentum::Nesterov,
        ..heavy_ball
    };
    let ones = [vec![1.0], vec![1.0]];
    assert_eq!(descend(&momentum_sgd::<f32>(heavy_ball), &[1.0], &ones), [-0.25]);
    assert_eq!(descend(&momentum_sgd::<f32>(nesterov), &[1.0], &ones), [-0.625]);
    let rule = Lion {
        learning_rate: 0.25,
        beta1: 0.5,
        beta2: 0.75,
        weight_decay: 1.0,
    };
    let found = descend(&lion::<f32>(rule), &[1.0], &[vec![2.0], vec![-1.0]]);
    assert_eq!(found, [0.625]);
}

#[test]
fn without_gradient_only_the_decay_moves() {
    let still = vec![vec![0.0; 3]; 2];
    let start = [1.0, -2.0, 0.0];
    for step in all::<f64>().into_iter().skip(1) {
        assert_eq!(descend(&step, &start, &still), start);
    }
    let decayed = descend(&adamw::<f64>(AdamW::default()), &start, &still);
    close(
        &decayed,
        &start.map(|theta| theta * (1.0 - 1e-5) * (1.0 - 1e-5)),
        WIDE,
    )
    .unwrap();
}

#[test]
fn what_is_no_number_stays_none_and_where_it_is() {
    fn check<F: Real>() {
        for step in all::<F>() {
            let mut gradient = vec![1.0; 100];
            gradient[70] = f64::NAN;
            let mut start = vec![1.0; 100];
            start[3] = f64::NAN;
            let found = descend(&step, &start, &[gradient, vec![1.0; 100]]);
            for (at, theta) in found.iter().enumerate() {
                assert_eq!(theta.is_finite(), at != 3 && at != 70, "{theta} at {at}");
            }
            assert!(found[3].is_nan() && found[70].is_nan());
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    fn check<F: Real>() {
        let (start, gradients) = quarters(5 * BLOCK + 17, 2, 3);
        for step in all::<F>() {
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| descend(&step, &start, &gradients))
            };
            let alone = on(1);
            for threads in [2, 3, 5] {
                assert!(on(threads) == alone, "{threads} threads");
            }
            // An element of the long slices goes the way it goes by itself.
            for at in [0, BLOCK - 1, 3 * BLOCK + 1, 5 * BLOCK + 16] {
                let own: Vec<Vec<f64>> = gradients.iter().map(|gradient| vec![gradient[at]]).collect();
                assert_eq!(descend(&step, &start[at..=at], &own), alone[at..=at]);
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn a_step_allocates_nothing() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .unwrap();
    let (mut parameters, gradient) = (vec![1.0_f32; 3 * BLOCK], vec![1.0_f32; 3 * BLOCK]);
    let (mut first, mut second) = (vec![0.0_f32; 3 * BLOCK], vec![0.0_f32; 3 * BLOCK]);
    for step in all::<f32>() {
        let mut run = || step(1, &mut parameters, &gradient, &mut first, &mut second);
        // The queue of a pool grows once.
        run();
        reset_peak();
        run();
        assert_eq!(peak(), 0);
    }
    drop(pool);
}

#[test]
#[should_panic(expected = "the second moment has 2 elements, there are 3 parameters")]
fn sizes_that_disagree_are_told() {
    AdamW::default().step(1, &mut [0.0; 3], &[0.0; 3], &mut [0.0; 3], &mut [0.0; 2]);
}

#[test]
#[should_panic(expected = "steps are counted from 1")]
fn there_is_no_step_0() {
    AdamW::default().step(0, &mut [0.0_f32; 0], &[], &mut [], &mut []);
}

#[test]
#[should_panic(expected = "beta2 1 is not in [0, 1)")]
fn averages_that_never_forget_are_refused() {
    let rule = Lion {
        beta2: 1.0,
        ..Lion::default()
    };
    rule.step(&mut [0.0_f32; 0], &[], &mut []);
}
