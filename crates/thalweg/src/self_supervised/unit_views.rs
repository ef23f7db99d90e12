//! Views of samples on the unit sphere.

use burn::tensor::{DType, Tensor};
use thalweg_kernels::unit_rows::{normalize, project};

use crate::bridge::{CpuFloat, CpuFloats, Input, Operation, with_operation};
use crate::contrastive::{self, Similarity};

/// Norm that rows are taken to have at least; a row of zeros stays one and has a slope as if it were so long.
const LEAST: f64 = Similarity::LEAST_NORM;

/// Rows over their norms.
pub(super) fn unit_rows(rows: Tensor<2>) -> Tensor<2> {
    let [count, width] = rows.dims();
    match CpuFloats::gathered(&rows) {
        Some(floats) if count > 0 && width > 0 => match floats.dtype() {
            DType::F32 => on_memory::<f32>(&rows, &floats),
            _ => on_memory::<f64>(&rows, &floats),
        },
        _ => contrastive::unit_rows(rows, LEAST),
    }
}

fn on_memory<F: CpuFloat>(rows: &Tensor<2>, floats: &CpuFloats) -> Tensor<2> {
    let shape = rows.dims();
    let mut units = floats.slice::<F>().to_vec();
    let lengths = normalize(&mut units, shape[1], LEAST);
    let units = CpuFloats::new(units, shape);
    let operation = Normalized {
        units: units.clone(),
        lengths,
        shape,
    };
    with_operation(units, [Input::of(rows)], operation)
}

#[derive(Clone, Debug)]
struct Normalized {
    units: CpuFloats,
    lengths: Vec<f64>,
    shape: [usize; 2],
}

impl Normalized {
    fn back<F: CpuFloat>(&self, upstream: &[F]) -> CpuFloats {
        let mut gradient = upstream.to_vec();
        project(
            self.units.slice(),
            self.shape[1],
            LEAST,
            &self.lengths,
            &mut gradient,
        );
        CpuFloats::new(gradient, self.shape)
    }
}

impl Operation<1> for Normalized {
    fn backward(self, upstream: CpuFloats, _: [bool; 1]) -> [Option<CpuFloats>; 1] {
        [Some(match upstream.dtype() {
            DType::F32 => self.back::<f32>(upstream.slice()),
            _ => self.back::<f64>(upstream.slice()),
        })]
    }
}

/// All views on the unit sphere.
///
/// # Panics
/// When there is none, or they differ in shape.
pub(super) fn unit_views(views: &[Tensor<2>]) -> Vec<Tensor<2>> {
    assert!(!views.is_empty(), "at least one view is needed");
    for view in views {
        assert_eq!(
            view.dims(),
            views[0].dims(),
            "all views are of the same samples, equally wide"
        );
    }
    views.iter().cloned().map(unit_rows).collect()
}

/// The mean `[batch, width]` over views.
pub(super) fn mean_view(views: &[Tensor<2>]) -> Tensor<2> {
    sum_of_views(views) * (1.0 / views.len() as f64)
}

/// The sum `[batch, width]` over views, at least one.
pub(super) fn sum_of_views(views: &[Tensor<2>]) -> Tensor<2> {
    let sum = views.iter().cloned().reduce(|sum, view| sum + view);
    sum.expect("at least one view")
}

/// Views as constants.
pub(super) fn constants(views: &[Tensor<2>]) -> Vec<Tensor<2>> {
    views.iter().map(|view| view.clone().without_autodiff()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{gradient, leaf, numbers};
    use super::*;

    #[test]
    fn on_memory_as_by_tensor_operations() {
        for (dtype, close) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
            let mut values = numbers(15, 1);
            values[3..6].fill(0.0);
            let weights = leaf(&numbers(15, 2), 3, dtype).without_autodiff();
            let by = |form: &dyn Fn(Tensor<2>) -> Tensor<2>| {
                let rows = leaf(&values, 3, dtype);
                let units = form(rows.clone());
                // The slope of a row of zeros is that of a length of 1e-12.
                let slope = gradient(&(units.clone() * weights.clone()).sum(), &rows);
                (units.into_data().try_into_vec_as::<f64>().unwrap(), slope)
            };
            let (units, slopes) = by(&unit_rows);
            let (expected, by_operations) = by(&|rows| contrastive::unit_rows(rows, LEAST));
            for (a, b) in units
                .iter()
                .chain(&slopes)
                .zip(expected.iter().chain(&by_operations))
            {
                assert!((a - b).abs() <= close * (1.0 + b.abs()), "{a}, {b}");
            }
        }
    }
}
