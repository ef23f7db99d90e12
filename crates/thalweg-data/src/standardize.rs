//! Features brought to mean 0 and standard deviation 1, by what is known of the training samples only.

use crate::dataset::Dataset;

/// A shift and a scale for each feature. The pixels of a channel of images share theirs, so that borders that are
/// nearly always empty are not blown up.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Standardizer {
    /// Means and standard deviations over the samples `rows`. A feature that is constant there is only shifted: its
    /// scale is 1.
    ///
    /// # Panics
    /// When `rows` is empty or names samples that are not there.
    pub fn fit(dataset: &Dataset, rows: &[usize]) -> Self {
        assert!(!rows.is_empty(), "a standardizer needs samples to be fitted on");
        // Features of one group are next to each other.
        let group = match dataset.feature_shape[..] {
            [_, height, width] => height * width,
            _ => 1,
        };
        let mut moments = vec![Moments::default(); dataset.width() / group];
        for &row in rows {
            for (moments, values) in moments.iter_mut().zip(dataset.row(row).chunks_exact(group)) {
                for &value in values {
                    moments.add(f64::from(value));
                }
            }
        }
        let spread = |of: fn(&Moments) -> f32| {
            moments
                .iter()
                .flat_map(|moments| std::iter::repeat_n(of(moments), group))
                .collect()
        };
        Self {
            mean: spread(|moments| moments.mean as f32),
            scale: spread(Moments::scale),
        }
    }

    /// Standardizes samples in place, `features` row-major.
    ///
    /// # Panics
    /// When `features` is not made of whole samples.
    pub fn apply(&self, features: &mut [f32]) {
        assert_eq!(
            features.len() % self.mean.len(),
            0,
            "features are not whole samples of {}",
            self.mean.len()
        );
        for sample in features.chunks_exact_mut(self.mean.len()) {
            for ((value, mean), scale) in sample.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value = (*value - mean) / scale;
            }
        }
    }

    /// The mean of each feature.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// What each feature is divided by: its standard deviation, or 1 if it is constant.
    pub fn scale(&self) -> &[f32] {
        &self.scale
    }
}

/// Running mean and sum of squared deviations (Welford).
#[derive(Clone, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    fn scale(&self) -> f32 {
        let deviation = (self.squares / self.count).sqrt() as f32;
        // A deviation that a 32-bit number near the mean cannot show is rounding.
        if deviation > f32::EPSILON * (self.mean.abs() as f32) {
            deviation
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(features: &[f32], width: usize) -> Dataset {
        let len = features.len() / width;
        Dataset {
            name: String::new(),
            features: features.to_vec(),
            labels: vec![0; len],
            classes: vec!["a".into()],
            feature_names: vec![String::new(); width],
            feature_shape: vec![width],
            published_test: None,
            numbers: None,
            bags: None,
            licence: None,
        }
    }

    #[test]
    fn only_the_given_rows_count_and_constants_are_shifted() {
        let mut set = table(&[1.0, 7.1, 3.0, 7.1, 500.0, 9.1], 2);
        let standardizer = Standardizer::fit(&set, &[0, 1]);
        assert_eq!(
            (standardizer.mean(), standardizer.scale()),
            (&[2.0, 7.1][..], &[1.0, 1.0][..])
        );
        standardizer.apply(&mut set.features);
        assert_eq!(set.features, [-1.0, 0.0, 1.0, 0.0, 498.0, 9.1 - 7.1]);
    }

    #[test]
    fn pixels_of_a_channel_share_their_scale() {
        let mut set = table(&[0.0, 0.0, 1.0, 3.0, 0.0, 8.0, 5.0, 7.0], 4);
        set.feature_shape = vec![2, 1, 2];
        let standardizer = Standardizer::fit(&set, &[0, 1]);
        assert_eq!(standardizer.mean(), [2.0, 2.0, 4.0, 4.0]);
        assert_eq!(standardizer.scale()[0], 12f32.sqrt());
        assert_eq!(standardizer.scale()[2], 5f32.sqrt());
    }

    #[test]
    fn large_offsets_lose_no_precision() {
        let features: Vec<f32> = (0..1000).map(|index| 1e6 + (index % 2) as f32).collect();
        let set = table(&features, 1);
        let scale = Standardizer::fit(&set, &(0..1000).collect::<Vec<_>>()).scale()[0];
        assert!((scale - 0.5).abs() < 1e-6, "{scale}");
    }
}
