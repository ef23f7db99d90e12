//! Area under the receiver operating characteristic, by ranks.

use super::{Scores, mean_of};

impl Scores<'_> {
    /// Chance that a sample of a class has a higher probability for it than a sample of another class, ties counting
    /// half; mean over the classes that have both. NaN when there is none.
    pub fn auroc(&self) -> f64 {
        let counts = (0..self.classes as u32)
            .map(|class| self.labels.iter().filter(|&&label| label == class).count())
            .collect::<Vec<_>>();
        let has_both = |&class: &usize| (1..self.samples()).contains(&counts[class]);
        if self.classes == 2 {
            // Both classes have the same area.
            return if has_both(&1) {
                self.area(1, counts[1])
            } else {
                f64::NAN
            };
        }
        mean_of(
            (0..self.classes)
                .filter(has_both)
                .map(|class| self.area(class, counts[class])),
        )
    }

    fn area(&self, class: usize, positives: usize) -> f64 {
        let odds: Vec<f32> = (0..self.samples()).map(|i| self.log_odds(i, class)).collect();
        let mut order: Vec<usize> = (0..odds.len()).collect();
        order.sort_unstable_by(|&a, &b| odds[a].total_cmp(&odds[b]));
        let mut rank_sum = 0.0;
        let mut before = 0;
        for tied in order.chunk_by(|&a, &b| odds[a] == odds[b]) {
            let mid_rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
            rank_sum += mid_rank * tied.iter().filter(|&&i| self.labels[i] as usize == class).count() as f64;
            before += tied.len();
        }
        let (positives, negatives) = (positives as f64, (self.samples() - positives) as f64);
        (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
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
