//! How far pairs are in order: an anchor's positive above its strongest negatives.

use thalweg::contrastive::ordering_errors;
use thalweg_kernels::matrix::{Matrix, Work, multiply};

use crate::self_supervised::{Encoder, Samples, SelfSupervised, unit};

/// Samples among which negatives are sought: about a batch, and a third of the test samples.
const AMONG: usize = 199;
/// Strongest negatives that count.
pub(super) const STRONGEST: usize = 10;

/// Mean share of the pairs of a positive and one of the strongest negatives that are in the wrong order, over two views of each
/// sample; a pair without a number is. As in training, negatives are the same view of other samples.
pub(super) fn ordering_error(trial: &SelfSupervised, encoder: &Encoder, samples: &Samples) -> f64 {
    let width = trial.encoder.embedding;
    let views = [0, 1].map(|index| {
        let view = trial.view(samples, "ordered views", index);
        unit(&encoder.encoded(&view).1, width)
    });
    let (mut wrong, mut pairs) = (0, 0);
    for (anchors, positives) in [(&views[0], &views[1]), (&views[1], &views[0])] {
        let blocks = anchors.chunks(AMONG * width);
        for (anchors, positives) in blocks.zip(positives.chunks(AMONG * width)) {
            let count = anchors.len() / width;
            let strongest = STRONGEST.min(count - 1);
            wrong += errors(anchors, positives, width, strongest);
            pairs += count * strongest;
        }
    }
    wrong as f64 / pairs as f64
}

fn errors(anchors: &[f64], positives: &[f64], width: usize, strongest: usize) -> usize {
    let count = anchors.len() / width;
    let mut cosines = vec![0.0; count * count];
    let rows = Matrix::new(anchors, count, width);
    multiply(Work::Alone, &mut cosines, 0.0, 1.0, rows, rows.transposed());
    let of_anchor = |own: usize| {
        let of = |rows: &[f64]| rows[own * width..(own + 1) * width].to_vec();
        let positive: f64 = of(anchors).iter().zip(of(positives)).map(|(a, p)| a * p).sum();
        let row = cosines[own * count..(own + 1) * count].iter().enumerate();
        let beside = row.filter(|(other, _)| *other != own);
        let mut negatives: Vec<f64> = beside.map(|(_, cosine)| *cosine).collect();
        negatives.sort_by(|a, b| b.total_cmp(a));
        ordering_errors(&[positive], &negatives[..strongest])
    };
    (0..count).map(of_anchor).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_hand() {
        // At angles 0, 10, 90 and 100 degrees, positives turned by 5: each has one closer negative than its positive at
        // most, and none when its own neighbour is 10 away.
        let at = |degrees: &[f64]| -> Vec<f64> {
            let each = degrees.iter().map(|angle| angle.to_radians());
            each.flat_map(|angle| [angle.cos(), angle.sin()]).collect()
        };
        let anchors = at(&[0.0, 10.0, 90.0, 100.0]);
        assert_eq!(errors(&anchors, &at(&[5.0, 15.0, 95.0, 105.0]), 2, 2), 0);
        assert_eq!(errors(&anchors, &at(&[20.0, 15.0, 95.0, 105.0]), 2, 2), 1);
        assert_eq!(errors(&anchors, &at(&[180.0, 15.0, 95.0, 105.0]), 2, 2), 2);
        assert_eq!(errors(&anchors, &at(&[180.0, 15.0, 95.0, 105.0]), 2, 3), 3);
    }
}
