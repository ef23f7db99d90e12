//! How a loss of scores looks along the margin of the true class.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::ScoreLoss;

/// `(m, loss, slope)` for each `m` of `margins`: the loss of the scores `(m, 0, …, 0)`, the first class being the true one,
/// and its derivative with respect to `m` by autodiff.
///
/// # Panics
/// When there are fewer than two classes.
pub fn margin_curve(loss: &dyn ScoreLoss, classes: usize, margins: &[f64]) -> Vec<(f64, f64, f64)> {
    assert!(classes >= 2, "a margin needs at least 2 classes, not {classes}");
    let device = Device::flex().autodiff();
    let targets = Tensor::from_ints([0], &device);
    margins
        .iter()
        .map(|&margin| {
            let mut scores = vec![0.0; classes];
            scores[0] = margin;
            let scores = TensorData::new(scores, [1, classes]);
            let scores = Tensor::<2>::from_data(scores, (&device, DType::F64)).require_grad();
            let value = loss.forward(scores.clone(), targets.clone());
            // Only the first score moves with the margin. A loss that does not depend on it has no gradient at all.
            let slope = scores
                .grad(&value.backward())
                .map_or(0.0, |gradient| gradient.slice([0..1, 0..1]).into_scalar::<f64>());
            (margin, value.into_scalar::<f64>(), slope)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Task;
    use super::*;
    use crate::catalogue;

    #[test]
    fn cross_entropy_is_as_in_the_books() {
        let objective = catalogue::objective("cross_entropy").unwrap();
        let objective = objective.build(&objective.defaults()).unwrap();
        let curve = margin_curve(objective.on_scores().unwrap(), 10, &[-6.0, 0.0, 2.5]);
        for (margin, loss, slope) in curve {
            let others = 9.0 * (-margin).exp();
            assert!((loss - others.ln_1p()).abs() < 1e-12, "{loss} at {margin}");
            assert!(
                (slope + others / (1.0 + others)).abs() < 1e-12,
                "{slope} at {margin}"
            );
        }
    }

    #[test]
    fn slopes_are_central_differences_for_every_loss_of_scores() {
        let h = 1e-5;
        for entry in catalogue::objectives_for(Task::Classification) {
            let objective = entry.build(&entry.defaults()).unwrap();
            let Some(loss) = objective.on_scores() else {
                continue;
            };
            for margin in [-5.3, -1.7, 0.4, 3.9] {
                let points = margin_curve(loss, 10, &[margin - h, margin, margin + h]);
                let [(_, below, _), (_, _, slope), (_, above, _)] = points[..] else {
                    panic!("three margins have three points")
                };
                let difference = (above - below) / (2.0 * h);
                assert!(
                    (difference - slope).abs() < 1e-6 * (1.0 + slope.abs()),
                    "{}: {slope} against {difference} at {margin}",
                    entry.name
                );
            }
        }
    }
}
