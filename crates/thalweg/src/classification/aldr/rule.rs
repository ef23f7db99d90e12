//! How a sample's temperature follows from its scores.

use std::ops::RangeInclusive;

use thalweg_kernels::batch;
use thalweg_kernels::real::Real;
use thalweg_kernels::rows::RowLoss;
use thalweg_kernels::rowwise::DivergenceFromUniform;

use super::super::ldr::entry;
use super::super::margins::into_margins;

/// The settings of the inner maximisation over λ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub lambda0: f64,
    pub alpha: f64,
    /// Margin of the loss.
    pub margin: f64,
    /// Margin of the weights that λ is updated from.
    pub margin_in_weights: f64,
}

impl Rule {
    /// `(α₀/2)(λ − λ₀)²`.
    pub fn penalty(&self, lambda: f64, classes: usize) -> f64 {
        let pull = self.alpha * (classes as f64).ln() / self.lambda0;
        0.5 * pull * (lambda - self.lambda0).powi(2)
    }

    /// What λ can be, a rounding error wider.
    pub fn bounds(&self) -> RangeInclusive<f64> {
        let rounding = 1e-12 * self.lambda0;
        self.lambda0 * (1.0 - 1.0 / self.alpha) - rounding..=self.lambda0 + rounding
    }

    /// The temperatures of a batch after one update from `previous`.
    pub fn updated<F: Real>(
        &self,
        scores: &[F],
        targets: &[u32],
        classes: usize,
        previous: &[f64],
    ) -> Vec<f64> {
        let weights = DivergenceFromUniform(|index| entry(previous[index], self.margin_in_weights));
        let mut divergences = vec![F::ZERO; targets.len()];
        batch::forward(&weights, scores, targets, classes, &mut divergences);
        divergences
            .into_iter()
            .map(|divergence| self.at(divergence.to_f64(), classes))
            .collect()
    }

    /// `λ₀ (1 − KL(p ‖ 1/K)/(α log K))` with `p = softmax(δ/λ)`.
    fn update(&self, margins: &[f64], lambda: f64) -> f64 {
        self.at(divergence(margins, lambda), margins.len())
    }

    fn at(&self, divergence: f64, classes: usize) -> f64 {
        let ratio = (divergence / (classes as f64).ln()).clamp(0.0, 1.0);
        self.lambda0 * (1.0 - ratio / self.alpha)
    }
}

/// `KL(softmax(δ/λ) ‖ 1/K)`.
fn divergence(margins: &[f64], lambda: f64) -> f64 {
    let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut weighted) = (0.0, 0.0);
    for margin in margins {
        let z = (margin - largest) / lambda;
        let e = z.exp();
        total += e;
        // 0 log 0 = 0.
        weighted += if e > 0.0 { e * z } else { 0.0 };
    }
    weighted / total - total.ln() + (margins.len() as f64).ln()
}

/// The temperatures that updates from λ₀ end at: they fall monotonically to the largest fixed point.
pub(super) struct FixedPoint {
    pub rule: Rule,
}

/// Updates after which a temperature that still moves is taken as it is.
const MOST_UPDATES: usize = 100_000;

impl RowLoss for FixedPoint {
    fn row(&self, _: usize, scores: &mut [f64], target: usize, gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        into_margins(scores, target, self.rule.margin_in_weights);
        let mut lambda = self.rule.lambda0;
        for _ in 0..MOST_UPDATES {
            let next = self.rule.update(scores, lambda);
            if (next - lambda).abs() <= f64::EPSILON * self.rule.lambda0 {
                return next;
            }
            lambda = next;
        }
        lambda
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn temperatures_stay_in_bounds_and_fall_to_a_fixed_point(
            seed in 0_u64..10_000, classes in 2_usize..12, lambda0 in 0.1_f64..10.0, alpha in 1.1_f64..4.0, spread in 0.0_f64..20.0,
        ) {
            let rule = Rule { lambda0, alpha, margin: 0.1, margin_in_weights: 0.1 };
            let mut stream = Stream::new(seed, "margins", 0);
            let mut margins: Vec<f64> = (0..classes).map(|_| spread * (2.0 * stream.uniform() - 1.0)).collect();
            into_margins(&mut margins, 0, 0.1);
            let objective = |lambda: f64| {
                let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mean: f64 = margins.iter().map(|m| ((m - largest) / lambda).exp()).sum::<f64>() / classes as f64;
                largest + lambda * mean.ln() - rule.penalty(lambda, classes)
            };
            let mut lambda = lambda0;
            for _ in 0..20 {
                let next = rule.update(&margins, lambda);
                prop_assert!(rule.bounds().contains(&next));
                prop_assert!(next <= lambda + 1e-12 * lambda0);
                prop_assert!(objective(next) >= objective(lambda) - 1e-9);
                lambda = next;
            }
            let mut scores = margins.clone();
            let fixed = FixedPoint { rule: Rule { margin_in_weights: 0.0, ..rule } };
            let end = fixed.row(0, &mut scores, 0, &mut vec![0.0; classes]);
            prop_assert!((rule.update(&margins, end) - end).abs() < 1e-10);
        }
    }

    #[test]
    fn equal_scores_keep_the_first_temperature() {
        let rule = Rule {
            lambda0: 3.0,
            alpha: 2.0,
            margin: 0.0,
            margin_in_weights: 0.0,
        };
        assert!((rule.update(&[0.0; 7], 1.7) - 3.0).abs() < 1e-14);
        assert!((rule.update(&[0.0, 1e5], 1.0) - 1.5).abs() < 1e-14);
    }
}
