//! How far the scores of positive and negative pairs overlap.

use burn::tensor::{Device, Tensor, TensorData};
use thalweg::calibration::area_under_roc;
use thalweg::contrastive::Similarity;
use thalweg::contrastive::amcl::AdaptiveTemperature;

use crate::self_supervised::{Encoder, Samples, SelfSupervised};

/// What gives a pair of embeddings its temperature.
#[derive(Clone, Copy)]
pub(super) enum Temperatures<'a> {
    /// One for all pairs: it does not change their order.
    Common,
    /// A network.
    Learned(&'a AdaptiveTemperature),
}

/// `1 − AUC` of telling pairs of two views of a test sample from pairs of views of two, by `Σ_c s_c/τ_c` over the heads.
pub(super) fn overlap(
    trial: &SelfSupervised,
    encoder: &Encoder,
    temperatures: Temperatures,
    samples: &Samples,
) -> f64 {
    let count = samples.len();
    let views = [0, 1].map(|index| {
        let embeddings = encoder.encoded(&trial.view(samples, "overlap views", index)).1;
        let shape = [count, embeddings.len() / count];
        Tensor::<2>::from_data(TensorData::new(embeddings, shape), &Device::flex())
    });
    let scores = scores(views, trial.encoder.embedding, temperatures);
    let scores: Vec<f64> = scores.into_data().try_into_vec_as().expect("scores are floats");
    let is_positive: Vec<bool> = (0..count * count).map(|at| at / count == at % count).collect();
    1.0 - area_under_roc(&scores, &is_positive).unwrap_or(f64::NAN)
}

/// Of every embedding of the first view with every one of the second.
fn scores(views: [Tensor<2>; 2], width: usize, temperatures: Temperatures) -> Tensor<2> {
    let heads = views[0].dims()[1] / width;
    let of_head = |head: usize| {
        let [first, second] = views
            .each_ref()
            .map(|view| view.clone().slice_dim(1, head * width..(head + 1) * width));
        let similarities = Similarity::Cosine.matrix(first.clone(), second.clone());
        match temperatures {
            Temperatures::Common => similarities,
            Temperatures::Learned(network) => {
                let [first, second] = [first, second].map(unit_rows);
                similarities / network.between(first, second)
            }
        }
    };
    let all = (0..heads).map(of_head).reduce(|sum, more| sum + more);
    all.expect("an encoder has a head")
}

fn unit_rows(rows: Tensor<2>) -> Tensor<2> {
    let norms = rows
        .clone()
        .square()
        .sum_dim(1)
        .sqrt()
        .clamp_min(Similarity::LEAST_NORM);
    rows / norms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_added() {
        let views = [
            [[1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]],
            [[3.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]],
        ];
        let views = views.map(|view| Tensor::<2>::from_floats(view, &Device::flex()));
        let scores = scores(views, 2, Temperatures::Common);
        let scores: Vec<f32> = scores.into_data().try_into_vec_as().unwrap();
        assert_eq!(scores, [1.0, 0.0, 1.0, 2.0]);
    }
}
