//! Losses at the level of bags and of single samples, unreduced, with their gradients.

use super::{Bags, PointLoss};

/// Losses of bags or samples, and the gradient of their sum `[n, columns]`.
pub(super) struct Level {
    pub(super) losses: Vec<f64>,
    pub(super) gradient: Vec<f64>,
}

/// Predictions `[n, columns]`, and means of bags `[m, columns]` to compare them with.
pub(super) struct Sums<'a> {
    pub(super) bags: &'a Bags,
    pub(super) columns: usize,
    pub(super) predictions: &'a [f64],
    pub(super) means: &'a [f64],
}

impl Sums<'_> {
    fn target(&self, bag: usize) -> &[f64] {
        &self.means[bag * self.columns..][..self.columns]
    }

    /// `ℓ(ȳ_a, f̄_a)` of each bag.
    pub(super) fn bag_level(&self, point_loss: PointLoss) -> Level {
        match point_loss {
            PointLoss::Squared => {
                let predicted = self.bags.means(self.predictions, self.columns);
                let gaps: Vec<f64> = predicted.iter().zip(self.means).map(|(f, y)| f - y).collect();
                let losses = gaps.chunks_exact(self.columns).map(squares).collect();
                let of_bag = |bag: usize| {
                    let share = 2.0 / self.bags.sizes()[bag] as f64;
                    gaps[bag * self.columns..][..self.columns]
                        .iter()
                        .map(move |gap| share * gap)
                };
                let gradient = self.bags.index().iter().flat_map(|&bag| of_bag(bag)).collect();
                Level { losses, gradient }
            }
            PointLoss::CrossEntropy => self.bag_cross_entropy(),
        }
    }

    /// `ℓ(ȳ_{a(i)}, f_i)` of each sample.
    pub(super) fn instance_level(&self, point_loss: PointLoss) -> Level {
        let mut gradient = vec![0.0; self.predictions.len()];
        let rows = self.predictions.chunks_exact(self.columns).zip(self.bags.index());
        let losses = rows
            .zip(gradient.chunks_exact_mut(self.columns))
            .map(|((row, &bag), out)| match point_loss {
                PointLoss::Squared => {
                    for ((out, f), y) in out.iter_mut().zip(row).zip(self.target(bag)) {
                        *out = 2.0 * (f - y);
                    }
                    squares(out) / 4.0
                }
                PointLoss::CrossEntropy => {
                    let shares = shares(self.target(bag));
                    let log_probs = log_probs(row);
                    put_slopes(
                        &log_probs,
                        &shares.iter().map(|share| -share).collect::<Vec<_>>(),
                        out,
                    );
                    cross_entropy(&shares, &log_probs)
                }
            })
            .collect();
        Level { losses, gradient }
    }

    fn bag_cross_entropy(&self) -> Level {
        let rows: Vec<Vec<f64>> = self
            .predictions
            .chunks_exact(self.columns)
            .map(log_probs)
            .collect();
        let classes = rows[0].len();
        let mut largest = vec![f64::NEG_INFINITY; self.bags.len() * classes];
        for (row, &bag) in rows.iter().zip(self.bags.index()) {
            for (largest, &log_p) in largest[bag * classes..].iter_mut().zip(row) {
                *largest = largest.max(log_p);
            }
        }
        let mut log_means = vec![0.0; largest.len()];
        for (row, &bag) in rows.iter().zip(self.bags.index()) {
            let of_bag = bag * classes..(bag + 1) * classes;
            let sums = log_means[of_bag.clone()].iter_mut().zip(&largest[of_bag]);
            for ((sum, largest), log_p) in sums.zip(row) {
                *sum += (log_p - largest).exp();
            }
        }
        for (bag, size) in self.bags.sizes().iter().enumerate() {
            let of_bag = bag * classes..(bag + 1) * classes;
            for (sum, largest) in log_means[of_bag.clone()].iter_mut().zip(&largest[of_bag]) {
                *sum = sum.ln() + largest - (*size as f64).ln();
            }
        }
        let targets: Vec<Vec<f64>> = (0..self.bags.len()).map(|bag| shares(self.target(bag))).collect();
        let log_mean = |bag: usize| &log_means[bag * classes..(bag + 1) * classes];
        let losses = (0..self.bags.len())
            .map(|bag| cross_entropy(&targets[bag], log_mean(bag)))
            .collect();
        let mut gradient = vec![0.0; self.predictions.len()];
        let outs = gradient.chunks_exact_mut(self.columns);
        for ((out, log_probs), &bag) in outs.zip(&rows).zip(self.bags.index()) {
            let share = 1.0 / self.bags.sizes()[bag] as f64;
            // −ȳ_k/p̄_k · p_ik / k, the slope in log p_ik.
            let slopes: Vec<f64> = targets[bag]
                .iter()
                .zip(log_probs.iter().zip(log_mean(bag)))
                .map(|(target, (log_p, log_mean))| -target * share * (log_p - log_mean).exp())
                .collect();
            put_slopes(log_probs, &slopes, out);
        }
        Level { losses, gradient }
    }
}

fn squares(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

/// Shares of all classes: as given, or of one class and its complement.
fn shares(given: &[f64]) -> Vec<f64> {
    for share in given {
        assert!((0.0..=1.0).contains(share), "{share} is not a share of a bag");
    }
    match given {
        [share] => vec![*share, 1.0 - share],
        _ => given.to_vec(),
    }
}

/// Log-probabilities of all classes: of one logit and its complement, or of the softmax.
fn log_probs(row: &[f64]) -> Vec<f64> {
    let log_sigmoid = |z: f64| z.min(0.0) - (-z.abs()).exp().ln_1p();
    match row {
        [z] => vec![log_sigmoid(*z), log_sigmoid(-z)],
        _ => {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
            let log_sum = largest + sum.ln();
            row.iter().map(|z| z - log_sum).collect()
        }
    }
}

/// From slopes in the log-probabilities to those in the row's own numbers.
fn put_slopes(log_probs: &[f64], slopes: &[f64], out: &mut [f64]) {
    let total: f64 = slopes.iter().sum();
    for ((out, slope), log_p) in out.iter_mut().zip(slopes).zip(log_probs) {
        *out = slope - log_p.exp() * total;
    }
}

/// `−Σ_k y_k log p_k`, a class of share 0 counting nothing.
fn cross_entropy(shares: &[f64], log_probs: &[f64]) -> f64 {
    let present = shares.iter().zip(log_probs).filter(|(share, _)| **share > 0.0);
    -present.map(|(share, log_p)| share * log_p).sum::<f64>()
}
