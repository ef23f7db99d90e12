use proptest::prelude::*;

use super::super::fixtures::{agrees_with_differences, gradient, leaf, numbers, rotation};
use super::*;

const FORMS: [SingularForm; 2] = [SingularForm::Gram, SingularForm::Sigma];

fn config(form: SingularForm) -> SingularValueLossConfig {
    SingularValueLossConfig::new().with_form(form)
}

fn value(config: &SingularValueLossConfig, rows: Tensor<2>) -> f64 {
    config.init().forward(rows).into_scalar::<f64>()
}

fn drawn(count: usize, width: usize, seed: u64) -> Tensor<2> {
    leaf(&numbers(count * width, seed), width, DType::F64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rotations_from_either_side_change_nothing(
        count in 1_usize..8, width in 1_usize..8, seed in 0_u64..1000,
    ) {
        let rows = unit_rows(drawn(count, width, seed).without_autodiff());
        for form in FORMS {
            let plain = value(&config(form), rows.clone());
            let turned = value(&config(form), rows.clone().matmul(rotation(width, seed)));
            // From the left lengths of rows change, but no singular value.
            let mixed = rotation(count, seed + 1).matmul(rows.clone());
            let mixed = value(&config(form).with_normalize(false), mixed);
            prop_assert!((plain - turned).abs() < 1e-12, "{plain} {turned}");
            prop_assert!((plain - mixed).abs() < 1e-12, "{plain} {mixed}");
        }
    }

    #[test]
    fn even_embeddings_are_the_least_and_collapsed_ones_the_most(
        count in 1_usize..8, width in 1_usize..8, seed in 0_u64..1000,
    ) {
        let rank = count.min(width) as f64;
        // Columns, or rows, of a rotation are orthogonal.
        let even = if count < width {
            rotation(width, seed).slice([0..count, 0..width])
        } else {
            rotation(count, seed).slice([0..count, 0..width]) * (count as f64 / width as f64).sqrt()
        };
        let plain = |form| config(form).with_normalize(false);
        let least = 1.0 / rank - 1.0 / width as f64;
        prop_assert!((value(&plain(SingularForm::Gram), even.clone()) - least).abs() < 1e-12);
        prop_assert!(value(&plain(SingularForm::Sigma), even) < 1e-12);

        let row = numbers(width, seed);
        let collapsed = leaf(&row.repeat(count), width, DType::F64);
        let most = 1.0 - 1.0 / width as f64;
        prop_assert!((value(&config(SingularForm::Gram), collapsed.clone()) - most).abs() < 1e-12);
        let slopes = gradient(&config(SingularForm::Gram).init().forward(collapsed.clone()), &collapsed);
        prop_assert!(slopes.iter().all(|slope| slope.abs() < 1e-11), "{slopes:?}");
        let drawn = drawn(count, width, seed + 1);
        for form in FORMS {
            let between = value(&config(form), drawn.clone());
            prop_assert!(between >= -1e-15 && between <= value(&config(form), collapsed.clone()) + 1e-12);
        }
    }

    #[test]
    fn both_are_functions_of_the_singular_values(
        count in 1_usize..8, width in 1_usize..8, seed in 0_u64..1000, normalize: bool, center: bool,
    ) {
        let rows = drawn(count, width, seed);
        let mut given = rows.clone();
        if normalize {
            given = unit_rows(given);
        }
        if center {
            given = given.clone() - given.mean_dim(0);
        }
        let flat = given.into_data().try_into_vec_as::<f64>().unwrap();
        let singular = MatRef::from_row_major_slice(&flat, count, width).singular_values().unwrap();
        let of = |form| value(&config(form).with_normalize(normalize).with_center(center), rows.clone());
        let all = singular.iter().copied().chain(std::iter::repeat(0.0)).take(width);
        let gram: f64 = all.map(|s| (s * s / count as f64 - 1.0 / width as f64).powi(2)).sum();
        prop_assert!((of(SingularForm::Gram) - gram).abs() < 1e-11 * (1.0 + gram));
        let rank = count.min(width) as f64;
        let square: f64 = singular.iter().map(|s| s * s).sum();
        let nuclear: f64 = singular.iter().sum();
        let sigma = 2.0 / rank * (square - square.sqrt() * nuclear / rank.sqrt());
        prop_assert!((of(SingularForm::Sigma) - sigma).abs() < 1e-11 * (1.0 + sigma));
    }

    #[test]
    fn gradients_agree_with_differences_and_turn_unit_rows(
        count in 1_usize..6, width in 2_usize..6, seed in 0_u64..1000, center: bool,
    ) {
        // A centred batch of at most d samples has singular values of 0, where sigma has no gradient.
        let forms = if center && count <= width { &FORMS[..1] } else { &FORMS[..] };
        for &form in forms {
            let rows = drawn(count, width, seed);
            let loss = config(form).with_center(center).init();
            agrees_with_differences(&rows, &|rows| loss.forward(rows))?;
            let slopes = gradient(&loss.forward(rows.clone()), &rows);
            let values = rows.into_data().try_into_vec_as::<f64>().unwrap();
            for (slope, row) in slopes.chunks(width).zip(values.chunks(width)) {
                let along: f64 = slope.iter().zip(row).map(|(a, b)| a * b).sum();
                prop_assert!(along.abs() < 1e-11, "{along}");
            }
        }
    }

    #[test]
    fn on_memory_as_by_tensor_operations(count in 1_usize..8, width in 1_usize..8, seed in 0_u64..1000) {
        for (dtype, close) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
            let by = |form: fn(Tensor<2>) -> Tensor<1>| {
                let rows = leaf(&numbers(count * width, seed), width, dtype);
                let value = form(rows.clone());
                (value.clone().into_scalar::<f64>(), gradient(&value, &rows))
            };
            let ((value, slopes), (expected, by_operations)) = (by(gram), by(gram_composed));
            prop_assert!((value - expected).abs() < close * (1.0 + expected));
            for (a, b) in slopes.iter().zip(by_operations) {
                prop_assert!((a - b).abs() < close * (1.0 + b.abs()), "{a} {b}");
            }
        }
    }
}

#[test]
fn collapsed_rows_of_single_precision_have_rank_one() {
    let rows = leaf(&numbers(5, 3).repeat(9), 5, DType::F32);
    let loss = config(SingularForm::Sigma).with_normalize(false).init();
    let slopes = gradient(&loss.forward(rows.clone()), &rows);
    // U Vᵀ of one singular value repeats the one row.
    for row in slopes.chunks(5) {
        for (a, b) in row.iter().zip(&slopes[..5]) {
            assert!((a - b).abs() < 1e-5, "{slopes:?}");
        }
    }
}

#[test]
fn repeated_and_vanishing_singular_values_have_finite_slopes() {
    let identity = leaf(&[1.0, 0.0, 0.0, 1.0], 2, DType::F64);
    let zeros = leaf(&[0.0; 6], 3, DType::F64);
    for rows in [identity, zeros] {
        for form in FORMS {
            let loss = config(form).with_normalize(false).init();
            let slopes = gradient(&loss.forward(rows.clone()), &rows);
            assert!(
                slopes.iter().all(|slope| slope.abs() < 1e-12),
                "{form:?} {slopes:?}"
            );
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let rows = leaf(&[1.0, f64::NAN, 0.5, 2.0], 2, DType::F64);
    for form in FORMS {
        assert!(value(&config(form).with_normalize(false), rows.clone()).is_nan());
    }
}
