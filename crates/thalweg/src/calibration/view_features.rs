//! What transformed views of a sample say of its prediction: their probabilities at the classes that the original ranks
//! highest. Where the views agree with the original, the prediction is likely correct.
//!
//! Source: Liu et al., arXiv 2404.13016: three views (rotation, greyscale, colour jitter) at four classes.

use super::Logits;
use super::logits::softmax;
use crate::quantity::{Array, Outputs, Quantity};

/// For each view, its softmax at the `top_k` highest classes of the original (all, if there are fewer), in the
/// original's order: `[samples, views · k]`, view by view. Equal logits rank by class.
pub fn view_features(logits: &Logits, top_k: usize) -> Vec<f64> {
    let (classes, k) = (logits.classes(), top_k.min(logits.classes()));
    let mut features = Vec::with_capacity(logits.samples() * logits.n_views() * k);
    let mut probabilities = vec![0.0; classes];
    let mut order: Vec<usize> = Vec::with_capacity(classes);
    for sample in 0..logits.samples() {
        let row = logits.row(sample);
        let higher = |&a: &usize, &b: &usize| row[b].total_cmp(&row[a]).then(a.cmp(&b));
        order.clear();
        order.extend(0..classes);
        if k < classes {
            order.select_nth_unstable_by(k, higher);
        }
        order[..k].sort_unstable_by(higher);
        for view in 0..logits.n_views() {
            softmax(logits.view_row(view, sample), 1.0, &mut probabilities);
            features.extend(order[..k].iter().map(|&class| probabilities[class]));
        }
    }
    features
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "transformed_view_features",
            "probabilities that transformed views give to the classes the original ranks highest",
        )
        .param("top_k", 4.0)
        .input("logits", "[N, C]")
        .input("view_logits", "[V, N, C]")
        .eval(|case| {
            case.not_empty("logits")?;
            case.not_empty("view_logits")?;
            let top_k = case.count("top_k", 1)?;
            let array = case.array("logits");
            let logits = Logits::new(array.data.clone(), array.shape[1])
                .or_else(|error| case.refuse_input("logits", format!("is refused: {error}")))?
                .with_views(&case.array("view_logits").data)
                .or_else(|error| case.refuse_input("view_logits", format!("is refused: {error}")))?;
            let data = view_features(&logits, top_k);
            let shape = vec![logits.samples(), data.len() / logits.samples()];
            Ok(Outputs::new().with("value", Array { shape, data }))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::*;

    fn random(seed: u64, count: usize) -> Vec<f64> {
        let mut stream = Stream::new(seed, "scores", 0);
        (0..count).map(|_| 6.0 * stream.uniform() - 3.0).collect()
    }

    proptest! {
        #[test]
        fn renaming_the_classes_changes_nothing(seed in any::<u64>(), classes in 2_usize..9, top_k in 1_usize..9) {
            let (samples, views) = (3, 2);
            let (values, transformed) = (random(seed, samples * classes), random(!seed, views * samples * classes));
            let mut names: Vec<usize> = (0..classes).collect();
            Stream::new(seed, "names", 0).shuffle(&mut names);
            let renamed = |values: &[f64]| -> Vec<f64> {
                values.chunks(classes).flat_map(|row| names.iter().map(|&k| row[k])).collect()
            };
            let features = |values: Vec<f64>, views: &[f64]| {
                view_features(&Logits::new(values, classes).unwrap().with_views(views).unwrap(), top_k)
            };
            let (a, b) = (
                features(values.clone(), &transformed),
                features(renamed(&values), &renamed(&transformed)),
            );
            prop_assert_eq!(a.len(), samples * views * top_k.min(classes));
            prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-14));
        }
    }

    #[test]
    fn the_original_decides_the_classes_and_ties_go_by_class() {
        let logits = Logits::new(vec![1.0, 3.0, 3.0, 0.0], 4).unwrap();
        let logits = logits
            .with_views(&[0.4_f64.ln(), 0.3_f64.ln(), 0.2_f64.ln(), 0.1_f64.ln()])
            .unwrap();
        let features = view_features(&logits, 3);
        for (found, expected) in features.into_iter().zip([0.3, 0.2, 0.4]) {
            assert!((found - expected).abs() < 1e-15);
        }
    }
}
