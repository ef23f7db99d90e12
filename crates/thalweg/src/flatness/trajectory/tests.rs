use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;
use thalweg_kernels::trajectory::PastRows;

use super::*;
use crate::classification::rowwise::tests::{
    assert_close, central_differences, random_batch, value_and_gradient,
};

fn loss(temperature: f64, weight: f64) -> TrajectoryLoss {
    TrajectoryLossConfig::new()
        .with_temperature(temperature)
        .with_weight(weight)
        .init()
        .unwrap()
}

/// Logits, past ones and targets.
fn batch(rows: usize, classes: usize, seed: u64, dtype: DType) -> (Tensor<2>, Tensor<2>, Tensor<1, Int>) {
    let (logits, targets) = random_batch(rows, classes, 4.0, 2 * seed, dtype);
    let (past, _) = random_batch(rows, classes, 4.0, 2 * seed + 1, dtype);
    (logits, past, targets)
}

fn f64s(rows: &[Vec<f64>]) -> Tensor<2> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(
        TensorData::new(rows.concat(), shape),
        (&Device::flex(), DType::F64),
    )
}

/// No row has a past.
struct Nothing;

impl PastRows for Nothing {
    #[inline(always)]
    fn read<F: Real>(&self, _: usize, _: &mut [F]) -> bool {
        false
    }
}

#[test]
fn kernel_and_composition_agree() {
    for (rows, classes, seed) in [(1, 2, 0), (5, 7, 1), (3, 130, 2)] {
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
            let (logits, past, targets) = batch(rows, classes, seed, dtype);
            let loss = TrajectoryLossConfig::new()
                .with_label_smoothing(0.1)
                .init()
                .unwrap();
            // A view of the transpose is what no kernel reads.
            let columns = logits.clone().transpose().into_data();
            let columns = Tensor::<2>::from_data(columns, (&Device::flex(), dtype));
            let fused = value_and_gradient(&logits, |z| loss.forward(z, targets.clone(), past.clone()));
            let composed = value_and_gradient(&columns, |z| {
                loss.forward(z.transpose(), targets.clone(), past.clone())
            });
            assert_close(&fused.0, &composed.0, tolerance);
            let mut slopes = vec![0.0; rows * classes];
            for (at, slope) in composed.1.iter().enumerate() {
                slopes[at % rows * classes + at / rows] = *slope;
            }
            assert_close(&fused.1, &slopes, tolerance);
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_value() {
    let (logits, past, targets) = batch(4, 5, 3, DType::F64);
    for squared in [true, false] {
        let loss = TrajectoryLossConfig::new()
            .with_temperature(2.0)
            .with_temperature_squared(squared)
            .with_label_smoothing(0.2)
            .init()
            .unwrap();
        let forward = |z: Tensor<2>| loss.forward(z, targets.clone(), past.clone());
        let (_, gradient) = value_and_gradient(&logits, forward);
        assert_close(&gradient, &central_differences(&logits, forward), 1e-8);
    }
}

#[test]
fn without_a_past_it_is_cross_entropy_to_the_last_bit() {
    for dtype in [DType::F32, DType::F64] {
        for smoothing in [0.0, 0.1] {
            let (logits, _, targets) = batch(6, 9, 4, dtype);
            let loss = TrajectoryLossConfig::new()
                .with_label_smoothing(smoothing)
                .init()
                .unwrap();
            let plain = CrossEntropyLossConfig::new()
                .with_label_smoothing(smoothing)
                .init()
                .unwrap();
            let expected = value_and_gradient(&logits, |z| plain.forward(z, targets.clone()));
            let base = value_and_gradient(&logits, |z| loss.base(z, targets.clone()));
            let against = value_and_gradient(&logits, |z| loss.against(&z, targets.clone(), &Nothing));
            assert_eq!(base, expected);
            assert_eq!(against, expected);
        }
    }
}

#[test]
fn huge_logits_are_finite_and_single_classes_move_nothing() {
    let (now, past) = (f64s(&[vec![1e4, -1e4, 5e3]]), f64s(&[vec![-1e4, 1e4, 2e3]]));
    for dtype in [DType::F32, DType::F64] {
        let (value, gradient) = value_and_gradient(&now.clone().cast(dtype), |z| {
            loss(5.0, 0.3).divergence(z, past.clone().cast(dtype))
        });
        assert_close(&value, &[0.3 * 25.0 * 4000.0], 1e-6);
        assert_close(&gradient, &[1.5, -1.5, 0.0], 1e-6);
    }
    let (now, past) = (f64s(&[vec![3.0], vec![-1.0]]), f64s(&[vec![7.0], vec![2.0]]));
    let targets = Tensor::from_ints([0, 0], &Device::flex());
    let (value, gradient) =
        value_and_gradient(&now, |z| loss(5.0, 0.3).forward(z, targets.clone(), past.clone()));
    assert!(value.iter().chain(&gradient).all(|x| *x == 0.0));
}

#[test]
fn what_is_no_number_is_none() {
    let past = f64s(&[vec![0.0, 1.0]]);
    let (value, _) = value_and_gradient(&f64s(&[vec![f64::NAN, 1.0]]), |z| {
        loss(5.0, 0.3).divergence(z, past.clone())
    });
    assert!(value[0].is_nan());
}

#[test]
#[should_panic(expected = "an empty batch has no loss")]
fn an_empty_batch_is_refused() {
    let none = Tensor::<2>::empty([0, 3], &Device::flex());
    let _ = loss(5.0, 0.3).divergence(none.clone(), none);
}

#[test]
fn senseless_configurations_are_refused() {
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            TrajectoryLossConfig::new()
                .with_temperature(temperature)
                .init()
                .is_err()
        );
    }
    assert!(TrajectoryLossConfig::new().with_weight(-0.1).init().is_err());
    assert!(
        TrajectoryLossConfig::new()
            .with_label_smoothing(1.1)
            .init()
            .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn equal_outputs_are_the_minimum(seed in 0_u64..10_000, classes in 1_usize..9, temperature in 0.1_f64..50.0) {
        let (logits, _) = random_batch(3, classes, 4.0, seed, DType::F64);
        let (value, gradient) =
            value_and_gradient(&logits, |z| loss(temperature, 0.8).divergence(z, logits.clone()));
        prop_assert!(value.iter().chain(&gradient).all(|x| x.abs() < 1e-12));
    }

    #[test]
    fn constants_added_to_rows_change_nothing_and_gradients_sum_to_nothing(
        seed in 0_u64..10_000, classes in 2_usize..9, temperature in 0.5_f64..6.0,
        now_shift in -20.0_f64..20.0, past_shift in -20.0_f64..20.0,
    ) {
        let (logits, past, _) = batch(3, classes, seed, DType::F64);
        let loss = loss(temperature, 0.5);
        let plain = value_and_gradient(&logits, |z| loss.divergence(z, past.clone()));
        let shifted = value_and_gradient(&logits, |z| loss.divergence(z + now_shift, past.clone() + past_shift));
        prop_assert!(plain.0[0] >= 0.0);
        prop_assert!((plain.0[0] - shifted.0[0]).abs() <= 1e-10 * (1.0 + plain.0[0]));
        for (a, b) in plain.1.iter().zip(&shifted.1) {
            prop_assert!((a - b).abs() < 1e-10);
        }
        for row in plain.1.chunks(classes) {
            prop_assert!(row.iter().sum::<f64>().abs() < 1e-14);
        }
    }

    #[test]
    fn the_square_of_the_temperature_is_a_factor(seed in 0_u64..10_000, temperature in 0.2_f64..20.0) {
        let (logits, past, _) = batch(3, 5, seed, DType::F64);
        let of = |squared: bool| {
            let config = TrajectoryLossConfig::new().with_temperature(temperature);
            let loss = config.with_temperature_squared(squared).init().unwrap();
            value_and_gradient(&logits, |z| loss.divergence(z, past.clone()))
        };
        let (with, without) = (of(true), of(false));
        let factor = temperature * temperature;
        for (a, b) in with.0.iter().chain(&with.1).zip(without.0.iter().chain(&without.1)) {
            prop_assert!((a - b * factor).abs() <= 1e-12 * (1.0 + a.abs()));
        }
    }

    #[test]
    fn at_high_temperatures_it_is_a_squared_distance(seed in 0_u64..10_000, classes in 2_usize..9) {
        let (logits, past, _) = batch(3, classes, seed, DType::F64);
        let value = loss(1e5, 0.7).divergence(logits.clone(), past.clone()).into_scalar::<f64>();
        let gap = (logits - past).into_data().try_into_vec_as::<f64>().unwrap();
        let centred = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()
        };
        let distance = gap.chunks(classes).map(centred).sum::<f64>() / 3.0;
        let limit = 0.7 / (2.0 * classes as f64) * distance;
        // A divergence of 1e-10 from logarithms of numbers about 1 has lost half its digits.
        prop_assert!((value - limit).abs() <= 1e-3 * (1.0 + limit), "{} for {}", value, limit);
    }

    #[test]
    fn small_steps_are_measured_by_the_fisher_matrix(
        seed in 0_u64..10_000, classes in 2_usize..7, temperature in 0.5_f64..6.0,
    ) {
        let (past, direction, _) = batch(1, classes, seed, DType::F64);
        let loss = loss(temperature, 1.0);
        let values = |tensor: &Tensor<2>| tensor.to_data().try_into_vec_as::<f64>().unwrap();
        let (z, d) = (values(&past), values(&direction));
        let exps: Vec<f64> = z.iter().map(|z| (z / temperature).exp()).collect();
        let total: f64 = exps.iter().sum();
        let mean: f64 = exps.iter().zip(&d).map(|(e, d)| e / total * d).sum();
        // λ τ² · ½ dᵀFd with F = (diag p − ppᵀ)/τ².
        let fisher: f64 = exps.iter().zip(&d).map(|(e, d)| e / total * (d - mean) * (d - mean)).sum();
        let size = d.iter().map(|d| d.abs()).fold(0.0, f64::max) / temperature;
        for step in [1e-2, 1e-3] {
            let value = loss.divergence(past.clone() + direction.clone() * step, past.clone());
            let error = value.into_scalar::<f64>() / (step * step) - 0.5 * fisher;
            let bound = size.powi(3) * temperature * temperature * step + 1e-15 / (step * step) * temperature * temperature;
            prop_assert!(error.abs() <= 2.0 * bound + 1e-9, "{} at step {}, bound {}", error, step, bound);
        }
    }
}
