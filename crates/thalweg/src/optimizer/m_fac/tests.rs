use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use faer::Mat;
use faer::linalg::solvers::Solve;
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;
use crate::curvature::{bf16, f16};

/// Two parameters whose loss is `½ Σ_i a_i (θ_i − 1)²`.
#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

const SIZE: usize = 11;

impl Pair {
    fn new(values: &[f64], dtype: DType) -> Self {
        let leaf = |values: &[f64]| TensorData::new(values.to_vec(), [values.len()]);
        let matrix = Tensor::<1>::from_data(leaf(&values[..6]), (&Device::flex(), dtype));
        let vector = Tensor::<1>::from_data(leaf(&values[6..]), (&Device::flex(), dtype));
        Self {
            matrix: Param::from_tensor(matrix.reshape([2, 3]).autodiff()),
            vector: Param::from_tensor(vector.autodiff()),
        }
    }

    fn evaluate(&self) -> Evaluation {
        let off = |tensor: Tensor<1>, first: f32| {
            let count = tensor.dims()[0];
            let steep: Vec<f32> = (0..count).map(|at| first + at as f32).collect();
            let dtype = tensor.dtype();
            let steep = Tensor::<1>::from_data(TensorData::new(steep, [count]), (&Device::flex(), dtype));
            ((tensor - 1.0).square() * steep.autodiff()).sum() * 0.5
        };
        let loss = off(self.matrix.val().flatten(0, 1), 1.0) + off(self.vector.val(), 7.0);
        Evaluation {
            value: loss.clone().into_scalar::<f64>(),
            gradients: GradientsParams::from_grads(loss.backward(), self),
        }
    }
}

fn start(seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "m_fac", 0);
    (0..SIZE).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

fn gradient(w: &[f64], decay: f64) -> Vec<f64> {
    let numbers = w.iter().enumerate();
    numbers
        .map(|(at, w)| (at + 1) as f64 * (w - 1.0) + decay * w)
        .collect()
}

/// `(λI + (1/m) Σ g gᵀ)⁻¹ x`.
fn precondition(dampening: f64, m: usize, held: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    let d = x.len();
    let f = Mat::from_fn(d, d, |i, j| {
        let sum: f64 = held.iter().map(|g| g[i] * g[j]).sum();
        sum / m as f64 + if i == j { dampening } else { 0.0 }
    });
    let solved = f.partial_piv_lu().solve(Mat::from_fn(d, 1, |i, _| x[i]));
    (0..d).map(|i| solved[(i, 0)]).collect()
}

fn run<S: WindowElement>(optimizer: &mut MFac<S>, mut pair: Pair, steps: usize) -> Pair {
    for _ in 0..steps {
        pair = optimizer.step(0.02, pair, &mut Pair::evaluate).0;
    }
    pair
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_step_is_that_of_the_dense_inverse(
        m in 1_usize..7, momentum in prop_oneof![Just(0.0), 0.1..0.95_f64], decay in prop_oneof![Just(0.0), 0.01..0.3_f64],
        dampening in 0.01..1.0_f64, sparse: bool, seed in 0_u64..100,
    ) {
        let mut w = start(seed);
        w[3] = 0.0;
        w[8] = 0.0;
        let moves = |at: usize| !sparse || ![3, 8].contains(&at);
        let config = MFacConfig::new().with_num_gradients(m).with_dampening(dampening).with_momentum(momentum);
        let mut optimizer = config.with_weight_decay(decay).with_sparse(sparse).init_kept_as::<f64>().unwrap();
        let mut pair = Pair::new(&w, DType::F64);
        let (mut held, mut velocity) = (Vec::new(), [0.0; SIZE]);
        for step in 0..12 {
            let mut g = gradient(&w, decay);
            (0..SIZE).filter(|&at| !moves(at)).for_each(|at| g[at] = 0.0);
            held.push(g.clone());
            let last = &held[held.len().saturating_sub(m)..];
            let mut u = precondition(dampening, m, last, &g);
            if momentum > 0.0 {
                velocity.iter_mut().zip(&u).for_each(|(v, u)| *v = momentum * *v + (1.0 - momentum) * u);
                u = velocity.to_vec();
            }
            w.iter_mut().zip(&u).for_each(|(w, u)| *w -= 0.02 * u);
            if step == 1 {
                continue_from(&mut optimizer);
            }
            pair = optimizer.step(0.02, pair, &mut Pair::evaluate).0;
            let found = flat_parameters::<f64, _>(&pair);
            for (found, expected) in found.iter().zip(&w) {
                prop_assert!((found - expected).abs() < 1e-8 * (1.0 + expected.abs()), "{step}: {found}, {expected}");
            }
        }
    }
}

/// The same optimiser, from its own bytes.
fn continue_from(optimizer: &mut MFac<f64>) {
    let bytes = optimizer.state().unwrap();
    let fresh = optimizer.config.init_kept_as::<f64>().unwrap();
    *optimizer = fresh.with_state(&bytes).unwrap();
}

#[test]
fn state_is_kept_to_the_bit() {
    fn check<S: WindowElement>(dtype: DType) {
        for (sparse, momentum, before) in [(false, 0.0, 0), (false, 0.9, 3), (true, 0.0, 9), (true, 0.5, 70)]
        {
            let config = MFacConfig::new()
                .with_num_gradients(66)
                .with_dampening(0.1)
                .with_momentum(momentum);
            let config = config.with_sparse(sparse);
            let mut w = start(5);
            w[2] = 0.0;
            let mut through = config.init_kept_as::<S>().unwrap();
            let pair = run(&mut through, Pair::new(&w, dtype), before);
            let bytes = through.state().unwrap();
            let mut again = config.init_kept_as::<S>().unwrap().with_state(&bytes).unwrap();
            assert_eq!(again.state().unwrap(), bytes);
            let values = |pair: &Pair| flat_parameters::<f64, _>(pair);
            let copy = Pair::new(&values(&pair), dtype);
            let (a, b) = (run(&mut through, pair, 9), run(&mut again, copy, 9));
            assert_eq!(values(&a), values(&b));
            assert_eq!(through.state().unwrap(), again.state().unwrap());
        }
    }
    check::<f64>(DType::F64);
    check::<f32>(DType::F32);
    check::<f16>(DType::F32);
    check::<bf16>(DType::F32);
}

#[test]
fn other_bytes_are_refused() {
    let config = MFacConfig::new().with_num_gradients(4);
    let mut optimizer = config.init().unwrap();
    run(&mut optimizer, Pair::new(&start(0), DType::F32), 2);
    let bytes = optimizer.state().unwrap();
    let refused =
        |config: &MFacConfig, bytes: &[u8]| config.init().unwrap().with_state(bytes).unwrap_err().to_string();
    assert!(refused(&config, b"nothing").contains("optimiser"));
    assert!(refused(&config.clone().with_num_gradients(5), &bytes).contains("[5, 11]"));
    assert!(refused(&config.clone().with_sparse(true), &bytes).contains("kept"));
    assert!(config.init_kept_as::<f64>().unwrap().with_state(&bytes).is_err());
    for config in [
        config.clone().with_num_gradients(0),
        config.clone().with_dampening(0.0),
        config.clone().with_momentum(1.0),
        config.with_weight_decay(-1.0),
    ] {
        assert!(config.init().is_err());
    }
}

#[test]
fn what_was_observed_shrinks_the_first_step() {
    let config = MFacConfig::new().with_num_gradients(2).with_dampening(0.1);
    let moved = |observe: bool| {
        let mut optimizer = config.init_kept_as::<f64>().unwrap();
        let pair = Pair::new(&start(1), DType::F64);
        if observe {
            optimizer.observe(&pair, &pair.evaluate().gradients).unwrap();
        }
        let after = flat_parameters::<f64, _>(&run(&mut optimizer, pair, 1));
        let held = vec![gradient(&start(1), 0.0); if observe { 2 } else { 1 }];
        let expected = precondition(0.1, 2, &held, &held[0]);
        for ((after, before), u) in after.iter().zip(start(1)).zip(expected) {
            assert!((before - 0.02 * u - after).abs() < 1e-12);
        }
        after
            .iter()
            .zip(start(1))
            .map(|(a, b)| (a - b).abs())
            .sum::<f64>()
    };
    assert!(moved(true) < moved(false));
}

#[test]
fn a_gradient_that_is_no_number_is_not_hidden() {
    let mut optimizer = MFacConfig::new().with_num_gradients(2).init().unwrap();
    let mut values = start(0);
    values[4] = f64::NAN;
    let after = run(&mut optimizer, Pair::new(&values, DType::F32), 1);
    assert!(
        flat_parameters::<f32, _>(&after)
            .iter()
            .all(|value| value.is_nan())
    );
}
