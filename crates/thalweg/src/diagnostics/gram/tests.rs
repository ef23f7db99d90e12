use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;
use crate::diagnostics::Embeddings;

/// Normal numbers whose spread falls with their column, about `centre`.
fn rows(samples: usize, width: usize, centre: f32, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; samples * width];
    Stream::new(seed, "gram", 0).fill_normal(&mut values);
    values
        .iter()
        .enumerate()
        .map(|(at, value)| centre + value / (1 + at % width) as f32)
        .collect()
}

fn moments(values: &[f32], width: usize, piece: usize) -> Moments {
    let mut gram = Gram::new(width);
    values
        .chunks(piece * width)
        .for_each(|rows| gram.push(rows).unwrap());
    gram.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn streamed_spectra_are_those_of_the_whole(
        samples in prop::sample::select(vec![2_usize, 5, 9, 40, 1024, 1500, 2100]),
        width in 1_usize..12,
        centre in prop::sample::select(vec![0.0_f32, 3.0]),
        piece in 1_usize..700,
        seed in 0_u64..1000,
    ) {
        let values = rows(samples, width, centre, seed);
        let found = moments(&values, width, piece);
        prop_assert_eq!((found.samples(), found.width()), (samples, width));
        let whole: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let whole = Embeddings::new(&whole, width).unwrap();
        let sigma = whole.singular_values();
        for (a, b) in found.singular_values().iter().zip(&sigma) {
            prop_assert!((a - b).abs() < 1e-9 * b + 3e-8 * sigma[0], "{a}, {b}");
        }
        let components = found.principal_components(2).unwrap();
        let variances = whole.covariance_eigenvalues().unwrap();
        prop_assert_eq!(components.variances.len(), variances.len());
        for (a, b) in components.variances.iter().zip(&variances) {
            prop_assert!((a - b).abs() < 1e-11 * variances[0], "{a}, {b}");
        }
        for (axis, variance) in components.axes.iter().zip(&variances) {
            prop_assert!((dot(axis, axis) - 1.0).abs() < 1e-10);
            let along = found.scatter_along(axis) / (samples - 1) as f64;
            prop_assert!((along - variance).abs() < 1e-9 * variances[0], "{along}, {variance}");
        }
    }
}

#[test]
fn a_distant_mean_costs_the_covariance_nothing() {
    let near = rows(3000, 4, 0.0, 1);
    let far: Vec<f64> = near.iter().map(|&value| f64::from(value) + 1e6).collect();
    let mut gram = Gram::new(4);
    gram.push(&far).unwrap();
    let expected = moments(&near, 4, 3000).principal_components(0).unwrap().variances;
    let found = gram.finish().unwrap().principal_components(0).unwrap().variances;
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-8 * b, "{a}, {b}");
    }
}

#[test]
fn axes_without_variance_are_left_out() {
    let line: Vec<f64> = (0..9)
        .flat_map(|i| [f64::from(i), 2.0 * f64::from(i), 5.0])
        .collect();
    let mut gram = Gram::new(3);
    gram.push(&line).unwrap();
    let components = gram.finish().unwrap().principal_components(2).unwrap();
    assert_eq!(components.axes.len(), 1);
    let expected = [1.0, 2.0, 0.0].map(|x: f64| x / 5.0_f64.sqrt());
    for (a, b) in components.axes[0].iter().zip(expected) {
        assert!((a - b).abs() < 1e-12);
    }
}

#[test]
fn what_cannot_be_judged_is_named() {
    let mut gram = Gram::new(2);
    gram.push(&[1.0, 2.0]).unwrap();
    assert_eq!(
        gram.push(&[1.0]),
        Err(DiagnosticError::Ragged { found: 1, width: 2 })
    );
    let error = gram.clone().push(&[0.0, 1.0, f64::NAN, 1.0]).unwrap_err();
    assert!(
        matches!(
            error,
            DiagnosticError::NotFinite {
                row: 3,
                column: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        gram.clone().finish().unwrap().principal_components(1).err(),
        Some(DiagnosticError::OneSample)
    );
    gram.push(&[1e300, 1.0, -1e300, 1.0]).unwrap();
    assert_eq!(gram.finish().err(), Some(DiagnosticError::Overflow));
    assert_eq!(Gram::new(3).finish().err(), Some(DiagnosticError::Empty));
}
