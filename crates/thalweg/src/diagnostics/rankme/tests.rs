use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;

fn normal(samples: usize, width: usize, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0; samples * width];
    Stream::new(seed, "rankme", 0).fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

/// Columns of an orthogonal matrix `[size, size]`, by rotations in every plane.
fn orthogonal(size: usize, seed: u64) -> Vec<f64> {
    let mut q: Vec<f64> = (0..size * size)
        .map(|at| f64::from(at / size == at % size))
        .collect();
    let mut stream = Stream::new(seed, "orthogonal", 0);
    for a in 0..size {
        for b in 0..a {
            let (sin, cos) = (std::f64::consts::TAU * stream.uniform()).sin_cos();
            for row in q.chunks_exact_mut(size) {
                (row[a], row[b]) = (cos * row[a] - sin * row[b], sin * row[a] + cos * row[b]);
            }
        }
    }
    q
}

fn product(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let columns = b.len() / inner;
    let cell = |row: &[f64], column: usize| (0..inner).map(|k| row[k] * b[k * columns + column]).sum();
    a.chunks_exact(inner)
        .flat_map(|row| (0..columns).map(move |column| cell(row, column)))
        .collect()
}

fn rankme(z: &[f64], width: usize) -> f64 {
    Embeddings::new(z, width).unwrap().rankme(EPSILON).unwrap()
}

fn with_gradient(z: &[f64], width: usize, dtype: DType) -> (f64, Vec<f64>) {
    let data = TensorData::new(z.to_vec(), [z.len() / width, width]);
    let leaf = Tensor::<2>::from_data(data, (&Device::flex(), dtype))
        .autodiff()
        .require_grad();
    let value = RankMeConfig::new().init().unwrap().forward(leaf.clone());
    let gradient = leaf.grad(&value.backward()).unwrap().into_data();
    (
        value.into_scalar::<f64>(),
        gradient.try_into_vec_as::<f64>().unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn it_is_within_its_range_and_blind_to_rotation_scale_and_repetition(
        samples in 1_usize..9,
        width in 1_usize..9,
        seed in 0_u64..1000,
    ) {
        let z = normal(samples, width, seed);
        let value = rankme(&z, width);
        let most = samples.min(width) as f64;
        prop_assert!((1.0 - 1e-5..most * (1.0 + 1e-5)).contains(&value), "{value}");
        let right = product(&z, &orthogonal(width, seed), width);
        let left = product(&orthogonal(samples, seed + 1), &z, samples);
        for other in [right, left] {
            prop_assert!((rankme(&other, width) - value).abs() < 1e-9 * value);
        }
        let exact = |z: &[f64]| Embeddings::new(z, width).unwrap().effective_rank().unwrap();
        // Without ε, which counts the singular values that are 0.
        prop_assert!((exact(&[z.clone(), z.clone()].concat()) - exact(&z)).abs() < 1e-9 * value);
        let larger: Vec<f64> = z.iter().map(|x| x * 3.7e5).collect();
        prop_assert!((rankme(&larger, width) - value).abs() < 1e-10 * value);
        let doubled: Vec<f64> = z.iter().map(|x| x * 1024.0).collect();
        prop_assert_eq!(rankme(&doubled, width), value);
        prop_assert!((1.0 - 1e-12..=most * (1.0 + 1e-12)).contains(&exact(&z)));
    }

    #[test]
    fn its_gradient_is_its_slope_and_at_right_angles_to_the_embeddings(
        samples in 2_usize..7,
        width in 1_usize..7,
        seed in 0_u64..1000,
    ) {
        let mut z = normal(samples, width, seed);
        // Where two singular values meet or one vanishes, differences do not tell the slope.
        let sigma = Embeddings::new(&z, width).unwrap().singular_values();
        prop_assume!(sigma.iter().all(|value| *value > 0.05 * sigma[0]));
        let (value, gradient) = with_gradient(&z, width, DType::F64);
        prop_assert!((value - rankme(&z, width)).abs() < 1e-12 * value);
        let inner: f64 = gradient.iter().zip(&z).map(|(g, z)| g * z).sum();
        prop_assert!(inner.abs() < 1e-11, "{inner}");
        for at in 0..z.len() {
            let centre = z[at];
            let mut beside = |offset| { z[at] = centre + offset; rankme(&z, width) };
            let slope = (beside(1e-5) - beside(-1e-5)) / 2e-5;
            z[at] = centre;
            prop_assert!((slope - gradient[at]).abs() < 1e-6 * (1.0 + slope.abs()), "{slope}, {}", gradient[at]);
        }
    }
}

#[test]
fn orthogonal_columns_of_one_length_have_the_rank_of_their_number() {
    assert!((effective_rank(&[0.3; 7]).unwrap() - 7.0).abs() < 1e-12);
    let four: Vec<f64> = orthogonal(9, 4)
        .chunks_exact(9)
        .flat_map(|row| row[..4].to_vec())
        .collect();
    assert!((Embeddings::new(&four, 4).unwrap().rankme(0.0).unwrap() - 4.0).abs() < 1e-12);
}

#[test]
fn rank_one_and_constant_rows_use_one_dimension() {
    let outer = product(&normal(8, 1, 1), &normal(1, 5, 2), 1);
    let constant = normal(1, 5, 3).repeat(8);
    for z in [outer, constant] {
        assert!((Embeddings::new(&z, 5).unwrap().effective_rank().unwrap() - 1.0).abs() < 1e-6);
    }
    let one = rankme(&normal(1, 5, 4), 5);
    let expected = (-(1.0 + EPSILON) * (1.0 + EPSILON).ln()).exp();
    assert!((one - expected).abs() < 1e-14);
}

#[test]
fn the_effective_rank_of_a_diagonal_is_by_hand() {
    let entropy: f64 = [1.0 / 2.0, 1.0 / 3.0, 1.0 / 6.0]
        .iter()
        .map(|p: &f64| -p * p.ln())
        .sum();
    let found = effective_rank(&[3.0, 2.0, 1.0, 0.0, 0.0]).unwrap();
    assert!((found - entropy.exp()).abs() < 1e-14);
}

#[test]
fn epsilon_adds_what_the_header_says() {
    let sigma = [vec![1.0], vec![0.0; 2048]].concat();
    let added = rankme_of_singular_values(&sigma, EPSILON).unwrap().ln();
    assert!((added + 2048.0 * EPSILON * EPSILON.ln()).abs() < 1e-6, "{added}");
}

#[test]
fn embeddings_are_not_centred() {
    let z = normal(30, 6, 5);
    let moved: Vec<f64> = z.iter().map(|x| x + 2.0).collect();
    let mean = crate::diagnostics::embeddings::mean(&moved, 6);
    let centred: Vec<f64> = moved.iter().enumerate().map(|(at, x)| x - mean[at % 6]).collect();
    assert!((rankme(&moved, 6) - rankme(&z, 6)).abs() > 0.1);
    assert!((rankme(&moved, 6) - rankme(&centred, 6)).abs() > 0.1);
}

#[test]
fn single_precision_has_the_same_gradient() {
    let z = normal(12, 5, 6);
    let (value, gradient) = with_gradient(&z, 5, DType::F64);
    let (single, slopes) = with_gradient(&z, 5, DType::F32);
    assert!((single - value).abs() < 1e-6 * value);
    for (a, b) in gradient.iter().zip(slopes) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn ascending_it_spreads_an_embedding_over_more_dimensions() {
    let mut z = product(
        &normal(20, 4, 7),
        &[
            vec![1.0, 0.0, 0.0, 0.0],
            vec![0.0, 0.2, 0.0, 0.0],
            vec![0.0, 0.0, 0.1, 0.0],
            vec![0.0, 0.0, 0.0, 0.1],
        ]
        .concat(),
        4,
    );
    let before = rankme(&z, 4);
    for _ in 0..200 {
        let (_, gradient) = with_gradient(&z, 4, DType::F64);
        z.iter_mut()
            .zip(gradient)
            .for_each(|(z, slope)| *z += 0.2 * slope);
    }
    assert!(before < 2.8 && rankme(&z, 4) > 3.8, "{before}, {}", rankme(&z, 4));
}

#[test]
fn nothing_and_no_numbers() {
    assert_eq!(with_gradient(&[0.0; 6], 2, DType::F64), (0.0, vec![0.0; 6]));
    let (value, gradient) = with_gradient(&[1.0, f64::NAN], 2, DType::F32);
    assert!(value.is_nan() && gradient.iter().all(|slope| slope.is_nan()));
    assert_eq!(effective_rank(&[0.0; 3]), Err(DiagnosticError::Zero));
    assert_eq!(effective_rank(&[]), Err(DiagnosticError::Empty));
    assert_eq!(
        effective_rank(&[1.0, -1.0]),
        Err(DiagnosticError::SingularValue { at: 2, value: -1.0 })
    );
    assert!(matches!(
        rankme_of_singular_values(&[1.0], -1e-7),
        Err(DiagnosticError::Config(_))
    ));
    assert!(RankMeConfig::new().with_epsilon(f64::NAN).init().is_err());
    // A sum beyond the largest number is none of a share.
    assert!((effective_rank(&[f64::MAX; 4]).unwrap() - 4.0).abs() < 1e-12);
    let (_, slopes) = rankme_with_slopes(&[1.0, 0.0], 0.0).unwrap();
    assert_eq!(slopes[1], f64::INFINITY);
}
