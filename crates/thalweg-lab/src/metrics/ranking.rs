//! Area under the receiver operating characteristic, by ranks.

use thalweg::calibration::area_under_roc;

use super::{Scores, mean_of};

impl Scores<'_> {
    /// Chance that a sample of a class has a higher probability for it than a sample of another class, ties counting
    /// half; mean over the classes that have both. NaN when there is none.
    pub fn auroc(&self) -> f64 {
        if self.classes == 2 {
            // Both classes have the same area.
            return self.area(1);
        }
        mean_of(
            (0..self.classes)
                .map(|class| self.area(class))
                .filter(|area| !area.is_nan()),
        )
    }

    fn area(&self, class: usize) -> f64 {
        let odds: Vec<f64> = (0..self.samples())
            .map(|i| f64::from(self.log_odds(i, class)))
            .collect();
        let is_class: Vec<bool> = self.labels.iter().map(|&label| label as usize == class).collect();
        area_under_roc(&odds, &is_class).unwrap_or(f64::NAN)
    }

    /// `ln p/(1−p)`: the order of the probability, but told apart also where that rounds to one. No finer than the scores
    /// are, so that equal ones tie in whatever order their sums were taken.
    fn log_odds(&self, sample: usize, class: usize) -> f32 {
        let others = self.others[sample];
        if class == self.predicted[sample] {
            return -others.ln() as f32;
        }
        let logit = |class: usize| f64::from(self.logits[sample * self.classes + class]);
        let below = logit(class) - logit(self.predicted[sample]);
        (below - (1.0 + others - below.exp()).ln()) as f32
    }
}
