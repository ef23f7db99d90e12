use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer, Optimizer};
use burn::tensor::{DType, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;
use crate::bridge::CpuFloats;

fn normal(len: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "optimizer", 0);
    (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, dtype: DType) -> Tensor<D> {
    let values = normal(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.without_autodiff().into_data();
    data.try_into_vec_as::<f64>().unwrap()
}

/// A matrix and a vector.
#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

impl Pair {
    fn new(dtype: DType) -> Self {
        Self {
            matrix: Param::from_tensor(tensor([3, 4], 0, dtype).autodiff()),
            vector: Param::from_tensor(tensor([5], 1, dtype).autodiff()),
        }
    }

    fn gradients(&self, step: u64, dtype: DType) -> GradientsParams {
        let mut gradients = GradientsParams::new();
        gradients.register(self.matrix.id, tensor([3, 4], 10 + step, dtype));
        gradients.register(self.vector.id, tensor([5], 20 + step, dtype));
        gradients
    }

    fn values(&self) -> Vec<f64> {
        let mut values = floats(self.matrix.val());
        values.extend(floats(self.vector.val()));
        values
    }
}

const RATE: f64 = 0.05;

fn after_steps(mut optimizer: ModuleOptimizer, dtype: DType, steps: u64) -> Vec<f64> {
    let mut pair = Pair::new(dtype);
    for step in 0..steps {
        let gradients = pair.gradients(step, dtype);
        pair = optimizer.step(RATE, pair, gradients);
    }
    pair.values()
}

fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{a}, expected {b}");
    }
}

/// Every element by itself, in the words of the formula.
fn by_formula(mut update: impl FnMut(u64, &mut f64, f64, &mut [f64; 2])) -> Vec<f64> {
    let mut all = Vec::new();
    for (len, seed) in [(12, 0), (5, 1)] {
        let mut values = normal(len, seed);
        let mut states = vec![[0.0; 2]; len];
        for step in 0..4 {
            let gradient = normal(len, 10 * (seed + 1) + step);
            for ((value, &g), state) in values.iter_mut().zip(&gradient).zip(&mut states) {
                update(step + 1, value, g, state);
            }
        }
        all.extend(values);
    }
    all
}

#[test]
fn adamw_is_its_formula() {
    let config = AdamWConfig::new().with_beta_2(0.99).with_weight_decay(0.1);
    let expected = by_formula(|t, x, g, [m, v]| {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.99 * *v + 0.01 * g * g;
        let (mean, square) = (
            *m / (1.0 - 0.9_f64.powi(t as i32)),
            *v / (1.0 - 0.99_f64.powi(t as i32)),
        );
        *x -= RATE * (0.1 * *x + mean / (square.sqrt() + 1e-8));
    });
    near(
        &after_steps(config.init().unwrap(), DType::F64, 4),
        &expected,
        1e-13,
    );
    near(
        &after_steps(config.init().unwrap(), DType::F32, 4),
        &expected,
        2e-6,
    );
}

#[test]
fn gradient_descent_is_its_formula() {
    let plain = SgdConfig::new().with_weight_decay(0.1).init().unwrap();
    let expected = by_formula(|_, x, g, _| *x -= RATE * (g + 0.1 * *x));
    near(&after_steps(plain, DType::F64, 4), &expected, 1e-13);
    for kind in [Momentum::HeavyBall, Momentum::Nesterov] {
        let config = MomentumSgdConfig::new().with_weight_decay(0.1).with_kind(kind);
        let expected = by_formula(|_, x, g, [u, _]| {
            let slope = g + 0.1 * *x;
            *u = 0.9 * *u + slope;
            *x -= RATE
                * match kind {
                    Momentum::HeavyBall => *u,
                    Momentum::Nesterov => slope + 0.9 * *u,
                };
        });
        near(
            &after_steps(config.init().unwrap(), DType::F64, 4),
            &expected,
            1e-13,
        );
    }
}

#[test]
fn lion_is_its_formula() {
    let config = LionConfig::new().with_weight_decay(0.1);
    let expected = by_formula(|_, x, g, [m, _]| {
        let direction = 0.9 * *m + 0.1 * g;
        *m = 0.99 * *m + 0.01 * g;
        *x -= RATE * (direction.signum() + 0.1 * *x);
    });
    near(
        &after_steps(config.init().unwrap(), DType::F64, 4),
        &expected,
        1e-13,
    );
}

#[test]
fn steps_are_those_of_burns_optimisers() {
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{AdamWConfig as BurnAdamW, SgdConfig as BurnSgd};

    let ours = AdamWConfig::new().with_epsilon(1e-5).init().unwrap();
    let theirs = BurnAdamW::new().with_weight_decay(0.01).init();
    near(
        &after_steps(ours, DType::F32, 4),
        &after_steps(theirs, DType::F32, 4),
        1e-5,
    );
    // burn's velocity begins at the first gradient, as one that begins at 0 without dampening does after a step.
    let ours = MomentumSgdConfig::new()
        .with_weight_decay(0.01)
        .with_kind(Momentum::Nesterov)
        .init();
    let momentum = MomentumConfig::new().with_dampening(0.0).with_nesterov(true);
    let theirs = BurnSgd::new()
        .with_weight_decay(Some(WeightDecayConfig::new(0.01)))
        .with_momentum(Some(momentum))
        .init();
    near(
        &after_steps(ours.unwrap(), DType::F32, 4),
        &after_steps(theirs, DType::F32, 4),
        1e-5,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn kernels_are_the_composition(seed in 0_u64..1000, number in 1_u64..50, double in any::<bool>()) {
        let (dtype, tolerance) = if double { (DType::F64, 1e-12) } else { (DType::F32, 1e-5) };
        let [parameters, gradient, average] = [0, 1, 2].map(|i| tensor([7, 3], seed + i, dtype));
        let square = tensor([7, 3], seed + 3, dtype).square();
        let same = |found: Tensor<2>, expected: Tensor<2>| near(&floats(found), &floats(expected), tolerance);

        let rule = AdamWConfig::new().build().unwrap();
        let state = AdamWState {
            steps: number - 1,
            first_moment: average.clone(),
            second_moment: square.clone(),
        };
        let (found, state) = rule.step(RATE, parameters.clone(), gradient.clone(), Some(state));
        let arrays = [parameters.clone(), average.clone(), square];
        let [expected, first, second] = rule.composed(RATE, number, arrays, gradient.clone());
        let state = state.unwrap();
        same(found, expected);
        same(state.first_moment, first);
        same(state.second_moment, second);

        let arrays = [parameters.clone(), average.clone()];
        let kept = || Some(AverageState { average: average.clone() });
        let rule = LionConfig::new().with_weight_decay(0.1).build().unwrap();
        let (found, state) = rule.step(RATE, parameters.clone(), gradient.clone(), kept());
        let [expected, momentum] = rule.composed(RATE, arrays.clone(), gradient.clone());
        same(found, expected);
        same(state.unwrap().average, momentum);
        for kind in [Momentum::HeavyBall, Momentum::Nesterov] {
            let rule = MomentumSgdConfig::new().with_kind(kind).with_weight_decay(0.1).build().unwrap();
            let (found, state) = rule.step(RATE, parameters.clone(), gradient.clone(), kept());
            let [expected, velocity] = rule.composed(RATE, arrays.clone(), gradient.clone());
            same(found, expected);
            same(state.unwrap().average, velocity);
        }
        let rule = SgdConfig::new().with_weight_decay(0.1).build().unwrap();
        let (found, _) = rule.step(RATE, parameters.clone(), gradient.clone(), None);
        let [expected] = rule.composed(RATE, [parameters], gradient);
        same(found, expected);
    }
}

#[test]
fn a_saved_state_goes_on_as_if_nothing_had_happened() {
    for dtype in [DType::F32, DType::F64] {
        let makes: [fn() -> ModuleOptimizer; 3] = [
            || AdamWConfig::new().init().unwrap(),
            || MomentumSgdConfig::new().init().unwrap(),
            || LionConfig::new().init().unwrap(),
        ];
        for make in makes {
            let (mut optimizer, mut pair) = (make(), Pair::new(dtype));
            for step in 0..2 {
                let gradients = pair.gradients(step, dtype);
                pair = optimizer.step(RATE, pair, gradients);
            }
            let mut restored = make().from_bytes(optimizer.into_bytes().unwrap()).unwrap();
            let gradients = || pair.gradients(2, dtype);
            let one = optimizer.step(RATE, pair.clone(), gradients());
            let other = restored.step(RATE, pair.clone(), gradients());
            assert_eq!(one.values(), other.values());
            assert_ne!(
                one.values(),
                make().step(RATE, pair.clone(), gradients()).values()
            );
        }
    }
}

fn address(param: &Param<Tensor<2>>) -> *const f32 {
    CpuFloats::of(&param.val()).unwrap().slice::<f32>().as_ptr()
}

#[test]
fn parameters_stay_where_they_are_unless_someone_else_holds_them() {
    let mut optimizer = AdamWConfig::new().init().unwrap();
    let mut pair = Pair::new(DType::F32);
    let before = address(&pair.matrix);
    for _ in 0..2 {
        let loss = pair.matrix.val().square().sum() + pair.vector.val().square().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &pair);
        pair = optimizer.step(RATE, pair, gradients);
        assert_eq!(address(&pair.matrix), before);
        assert!(pair.matrix.val().is_require_grad());
    }
    let kept = pair.clone();
    let values = kept.values();
    let gradients = pair.gradients(0, DType::F32);
    pair = optimizer.step(RATE, pair, gradients);
    assert_eq!(kept.values(), values);
    assert_ne!(pair.values(), values);
}

#[test]
fn what_is_out_of_range_is_refused() {
    let error = AdamWConfig::new().with_beta_1(1.0).init().err().unwrap();
    assert_eq!(
        error.to_string(),
        "AdamW: `beta_1` is 1; it must be at least 0 and below 1"
    );
    assert!(AdamWConfig::new().with_epsilon(0.0).build().is_err());
    assert!(SgdConfig::new().with_weight_decay(-1.0).build().is_err());
    assert!(MomentumSgdConfig::new().with_momentum(f64::NAN).build().is_err());
    assert!(LionConfig::new().with_beta_2(-0.1).build().is_err());
}
