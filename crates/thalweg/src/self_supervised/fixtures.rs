//! What the tests of this family share.

use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use thalweg_kernels::random::Stream;

/// Normal numbers.
pub(super) fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    Stream::new(seed, "self-supervised tests", 0).fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

/// Rows whose gradient is kept.
pub(super) fn leaf(values: &[f64], width: usize, dtype: DType) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::<2>::from_data(data, (&Device::flex(), dtype))
        .autodiff()
        .require_grad()
}

/// The gradient of a value by a leaf.
pub(super) fn gradient(value: &Tensor<1>, leaf: &Tensor<2>) -> Vec<f64> {
    let gradient = leaf
        .grad(&value.clone().backward())
        .expect("it depends on the leaf");
    gradient.into_data().try_into_vec_as().unwrap()
}

/// An orthogonal matrix: rows of normal numbers, each without what the others have of it.
pub(super) fn rotation(width: usize, seed: u64) -> Tensor<2> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for drawn in numbers(width * width, seed ^ 0x7075).chunks(width) {
        let mut row = drawn.to_vec();
        // Twice, for what rounding left.
        for _ in 0..2 {
            for other in &rows {
                let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        rows.push(row.iter().map(|x| x / norm).collect());
    }
    leaf(&rows.concat(), width, DType::F64).without_autodiff()
}

/// Checks the gradient of `loss` at f64 rows against central differences.
pub(super) fn agrees_with_differences(
    rows: &Tensor<2>,
    loss: &dyn Fn(Tensor<2>) -> Tensor<1>,
) -> Result<(), TestCaseError> {
    let [_, width] = rows.dims();
    let slopes = gradient(&loss(rows.clone()), rows);
    let mut values = rows.clone().into_data().try_into_vec_as::<f64>().unwrap();
    for (at, slope) in slopes.into_iter().enumerate() {
        let centre = values[at];
        let mut beside = |offset| {
            values[at] = centre + offset;
            loss(leaf(&values, width, DType::F64)).into_scalar::<f64>()
        };
        let by_differences = (beside(1e-5) - beside(-1e-5)) / 2e-5;
        values[at] = centre;
        prop_assert!(
            (slope - by_differences).abs() < 1e-6 * (1.0 + slope.abs()),
            "{} for {}",
            slope,
            by_differences
        );
    }
    Ok(())
}
