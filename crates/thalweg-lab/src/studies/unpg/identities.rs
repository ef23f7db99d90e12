//! Made-up identities, since faces are shipped nowhere: families of alike identities, seen through a fixed nonlinear map and
//! among nuisances.

use thalweg_data::Dataset;
use thalweg_kernels::random::Stream;

/// Identities that train, and those that test.
const IDENTITIES: [usize; 2] = [150, 60];
/// Families: alike identities are of one.
const FAMILIES: usize = 25;
const SAMPLES_EACH: usize = 10;
/// Numbers that tell identities, and those that tell nothing.
const TELLING: usize = 12;
const NUISANCES: usize = 20;
/// Numbers of a sample as it is seen.
const SEEN: usize = 64;

/// Training identities first, those of the test as published part.
pub(super) fn dataset(seed: u64) -> Dataset {
    let mut random = Stream::new(seed, "made-up identities", 0);
    let families = normal(&mut random, FAMILIES * TELLING, 1.0);
    let into_hidden = normal(&mut random, (TELLING + NUISANCES) * SEEN, 1.0 / 6.0);
    let into_seen = normal(&mut random, SEEN * SEEN, 1.0 / 8.0);
    let count: usize = IDENTITIES.iter().sum();
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for identity in 0..count {
        let family = random.below(FAMILIES);
        let mut own = normal(&mut random, TELLING, 0.7);
        own.iter_mut()
            .zip(&families[family * TELLING..])
            .for_each(|(x, centre)| *x += centre);
        let norm = own.iter().map(|x| x * x).sum::<f32>().sqrt();
        for _ in 0..SAMPLES_EACH {
            let mut latent = normal(&mut random, TELLING, 0.25);
            latent
                .iter_mut()
                .zip(&own)
                .for_each(|(x, own)| *x += 2.0 * own / norm);
            latent.extend(normal(&mut random, NUISANCES, 1.0));
            let hidden: Vec<f32> = mapped(&latent, &into_hidden).map(f32::tanh).collect();
            features.extend(mapped(&hidden, &into_seen));
            labels.push(identity as u32);
        }
    }
    Dataset {
        name: "made-up identities".to_owned(),
        features,
        labels,
        classes: (0..count).map(|identity| identity.to_string()).collect(),
        numbers: None,
        bags: None,
        feature_names: (1..=SEEN).map(|number| format!("x{number}")).collect(),
        feature_shape: vec![SEEN],
        published_test: Some(IDENTITIES[0] * SAMPLES_EACH),
        licence: None,
    }
}

fn normal(random: &mut Stream, count: usize, deviation: f32) -> Vec<f32> {
    let mut values = vec![0.0; count];
    random.fill_normal(&mut values);
    values.iter_mut().for_each(|value| *value *= deviation);
    values
}

/// A row times a matrix of [`SEEN`] columns.
fn mapped(row: &[f32], matrix: &[f32]) -> impl Iterator<Item = f32> {
    (0..SEEN).map(move |column| {
        let weights = matrix[column..].iter().step_by(SEEN);
        row.iter().zip(weights).map(|(x, w)| x * w).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_has_its_samples_and_its_seed() {
        let made = dataset(3);
        assert_eq!(
            (made.len(), made.width(), made.published_test),
            (2100, 64, Some(1500))
        );
        assert!(made.class_counts().iter().all(|&count| count == 10));
        assert!(made.features.iter().all(|x| x.is_finite()));
        assert_eq!(made, dataset(3));
        assert_ne!(made.features, dataset(4).features);
        let power = made.features.iter().map(|x| x * x).sum::<f32>() / made.features.len() as f32;
        assert!((0.1..1.0).contains(&power), "{power}");
    }
}
