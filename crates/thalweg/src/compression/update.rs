//! How weights that stay make up for those that go.

use thalweg_kernels::long_rows::{Plain, dots, subtract_combination};

use super::saliency::Inverse;
use crate::curvature::{Coefficients, CurvatureError, columns, of_gram, ranges};

/// `δw = F⁻¹t` with `t_q = −w_q/[F⁻¹]_qq` of each weight that goes: what its own removal would take, added up.
pub(super) fn independent<F: Plain>(
    inverse: &Inverse<F>,
    weights: &mut [f64],
    diagonal: &[f64],
    goes: &[bool],
) {
    let each = weights.iter().zip(diagonal).zip(goes);
    let target: Vec<F> = each
        .map(|((w, diagonal), goes)| F::from_f64(if *goes { -w / diagonal } else { 0.0 }))
        .collect();
    let change = inverse.product(&target);
    let each = weights.iter_mut().zip(change);
    each.for_each(|(w, change)| *w += change.to_f64());
}

/// The least that `½ δᵀFδ` can be where the weights Q are to become 0, F by blocks; the other weights, R, are moved to
/// where it is.
///
/// With a = G_Q w_Q the minimum is at `δ_R = G_Rᵀ y` and comes to `½ λ (‖w_Q‖² + a·y)`, where
/// `(mλI + G_R G_Rᵀ) y = a`: O(d m² + m³) however many weights go.
pub(super) fn joint<F: Plain>(
    dampening: f64,
    gradients: &[F],
    block_size: usize,
    weights: &mut [f64],
    goes: &[bool],
) -> Result<f64, CurvatureError> {
    let width = weights.len();
    let mut loss = 0.0;
    for range in ranges(width, block_size) {
        let own = columns(gradients, width, &range);
        loss += joint_of_block(dampening, &own, &mut weights[range.clone()], &goes[range])?;
    }
    Ok(loss)
}

fn joint_of_block<F: Plain>(
    dampening: f64,
    gradients: &[F],
    weights: &mut [f64],
    goes: &[bool],
) -> Result<f64, CurvatureError> {
    let rows = gradients.len() / weights.len();
    let removed: Vec<F> = weights
        .iter()
        .zip(goes)
        .map(|(w, goes)| F::from_f64(if *goes { *w } else { 0.0 }))
        .collect();
    let mut along = vec![0.0; rows];
    dots(gradients, &removed, &mut along);
    let mut solved = along.clone();

    let stays: Vec<usize> = (0..goes.len()).filter(|&at| !goes[at]).collect();
    let kept: Vec<F> = gradients
        .chunks_exact(weights.len())
        .flat_map(|row| stays.iter().map(|&at| row[at]))
        .collect();
    let coefficients = if stays.is_empty() {
        Coefficients::new(&vec![0.0; rows * rows], rows, rows as f64)
    } else {
        of_gram(dampening, &kept, stays.len(), rows)?
    };
    coefficients.solve(&mut solved);
    solved.iter_mut().for_each(|y| *y /= dampening);
    let squares: f64 = weights
        .iter()
        .zip(goes)
        .map(|(w, goes)| if *goes { w * w } else { 0.0 })
        .sum();
    let saved: f64 = along.iter().zip(&solved).map(|(a, y)| a * y).sum();

    if !stays.is_empty() {
        let mut change = vec![F::ZERO; stays.len()];
        solved.iter_mut().for_each(|y| *y = -*y);
        subtract_combination(&kept, &solved, 1.0, &mut change);
        for (&at, change) in stays.iter().zip(change) {
            weights[at] += change.to_f64();
        }
    }
    Ok(0.5 * dampening * (squares + saved))
}
