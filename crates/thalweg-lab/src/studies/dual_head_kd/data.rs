//! Many classes on a curved surface of twelve dimensions: `z = μ_class + 0.55 ε`, `x = 2 tanh(1.5 z A) B + 0.05 ε'`, all of
//! μ, A √12, 8 B, ε and ε' standard normal.

use thalweg_data::Dataset;
use thalweg_kernels::random::Stream;

const LATENT: usize = 12;
const BENT: usize = 64;
const FEATURES: usize = 32;
/// Samples of each class.
const TRAIN: usize = 20;
const TEST: usize = 30;

/// The data of a seed: the training samples first, classes in turn, then the test samples.
pub fn generate(classes: usize, seed: u64) -> Dataset {
    let normal = |name: &str, count: usize, scale: f32| {
        let mut values = vec![0.0_f32; count];
        Stream::new(seed, name, 0).fill_normal(&mut values);
        values.iter_mut().for_each(|value| *value *= scale);
        values
    };
    let samples = classes * (TRAIN + TEST);
    let means = normal("class means", classes * LATENT, 1.0);
    let bend = normal("bend", LATENT * BENT, 1.5 / (LATENT as f32).sqrt());
    let spread = normal("spread", BENT * FEATURES, 2.0 / 8.0);
    let within = normal("within classes", samples * LATENT, 0.55);
    let mut features = normal("noise", samples * FEATURES, 0.05);
    for (index, row) in features.chunks_exact_mut(FEATURES).enumerate() {
        let mean = &means[index % classes * LATENT..][..LATENT];
        let own = &within[index * LATENT..][..LATENT];
        for j in 0..BENT {
            let sum: f32 = (0..LATENT).map(|i| (mean[i] + own[i]) * bend[i * BENT + j]).sum();
            let bent = sum.tanh();
            for (value, weight) in row.iter_mut().zip(&spread[j * FEATURES..]) {
                *value += bent * weight;
            }
        }
    }
    Dataset {
        name: "many classes".to_owned(),
        features,
        labels: (0..samples).map(|index| (index % classes) as u32).collect(),
        classes: (0..classes).map(|class| class.to_string()).collect(),
        feature_names: (1..=FEATURES).map(|number| format!("x{number}")).collect(),
        feature_shape: vec![FEATURES],
        published_test: Some(classes * TRAIN),
        numbers: None,
        bags: None,
        licence: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_balanced_and_seeds_differ() {
        let set = generate(7, 3);
        assert_eq!(set.class_counts(), [TRAIN + TEST; 7]);
        let first = set.published_test.unwrap();
        for class in 0..7 {
            let train = set.labels[..first].iter().filter(|&&label| label == class);
            assert_eq!(train.count(), TRAIN);
        }
        assert_eq!(set.features, generate(7, 3).features);
        assert_ne!(set.features, generate(7, 4).features);
        assert!(set.features.iter().all(|value| value.is_finite()));
    }
}
