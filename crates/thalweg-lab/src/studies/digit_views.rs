//! Digits as self-supervised studies use them: split anew for each seed, and changed as small images are.

use thalweg_data::augment::Augmentations;
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::self_supervised::{Samples, SelfSupervised};

/// Digits to train on; the other 597 are for the test.
const TRAINING: usize = 1200;

/// Data and trials of each seed.
pub(super) struct DigitViews {
    /// Training and test samples.
    pub splits: Vec<(Samples, Samples)>,
    pub trials: Vec<SelfSupervised>,
}

impl DigitViews {
    pub fn new(seeds: usize, epochs: usize) -> Result<Self, LabError> {
        let digits = thalweg_data::digits();
        let views = Augmentations::small_images(&digits.feature_shape);
        let views = views.map_err(|error| LabError::Plan(error.to_string()))?;
        let split = |seed: u64| {
            let mut order: Vec<usize> = (0..digits.len()).collect();
            Stream::new(seed, "digit split", 0).shuffle(&mut order);
            let (training, test) = order.split_at(TRAINING);
            (Samples::of(&digits, training), Samples::of(&digits, test))
        };
        let seeds = 0..seeds as u64;
        Ok(Self {
            splits: seeds.clone().map(split).collect(),
            trials: seeds
                .map(|seed| SelfSupervised::new(views.clone(), epochs, seed))
                .collect(),
        })
    }
}
