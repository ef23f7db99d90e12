//! The loss of one anchor and head, from its positive pair and what is known of its negatives.

use thalweg_kernels::adaptive_temperature::Softmax;

use super::Candidates;
use super::regularizer::{regularizer, regularizer_slope};

/// Similarity and temperature of a pair, or the slopes by both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pair {
    pub similarity: f64,
    pub temperature: f64,
}

impl Pair {
    fn ratio(self) -> f64 {
        self.similarity / self.temperature
    }

    /// Slopes of `factor·s/τ`.
    fn slopes(self, factor: f64) -> Self {
        Self {
            similarity: factor / self.temperature,
            temperature: -factor * self.ratio() / self.temperature,
        }
    }

    /// Times a number.
    pub fn scaled(self, scale: f64) -> Self {
        Self {
            similarity: scale * self.similarity,
            temperature: scale * self.temperature,
        }
    }
}

/// What does not depend on the pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub beta: f64,
    /// Numbers d of a vector.
    pub width: f64,
    pub candidates: Candidates,
}

/// A loss with its slopes where the hardest candidate stands for all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct HardestTerm {
    pub value: f64,
    pub by_positive: Pair,
    pub by_hardest: Pair,
}

/// A loss with its slopes where all candidates count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SoftmaxTerm {
    pub value: f64,
    pub by_positive: Pair,
    /// Factor of the weights `exp(s/τ − top)` of the negatives.
    pub factor: f64,
    /// Beside what the weights say: the regulariser.
    pub by_hardest_temperature: f64,
}

/// `β (Ω(τ⁺) − Ω(τ*))` and its slopes.
struct Penalty {
    value: f64,
    by_positive: f64,
    by_hardest: f64,
}

impl Rule {
    /// Whether the positive itself is the hardest candidate. It comes after the negatives: theirs is a tie.
    fn is_hardest(&self, positive: Pair, negative: Pair) -> bool {
        self.candidates == Candidates::WithPositive && positive.similarity > negative.similarity
    }

    /// `−s⁺/τ⁺ + s*/τ* + β (Ω(τ⁺) − Ω(τ*))`, from the hardest negative.
    pub fn hardest(&self, positive: Pair, negative: Pair) -> HardestTerm {
        if self.is_hardest(positive, negative) {
            // Every part meets its opposite.
            return HardestTerm::default();
        }
        let penalty = self.penalty(positive, negative);
        let (mut by_positive, mut by_hardest) = (positive.slopes(-1.0), negative.slopes(1.0));
        by_positive.temperature += penalty.by_positive;
        by_hardest.temperature += penalty.by_hardest;
        HardestTerm {
            value: negative.ratio() - positive.ratio() + penalty.value,
            by_positive,
            by_hardest,
        }
    }

    /// `−s⁺/τ⁺ + log Σ exp(s/τ) + β (Ω(τ⁺) − Ω(τ*))`, from the softmax of the negatives.
    pub fn softmax(&self, positive: Pair, found: &Softmax, negative: Pair) -> SoftmaxTerm {
        let gap = found.top - positive.ratio();
        // Share of all negatives in the sum.
        let (value, factor, negatives) = match self.candidates {
            Candidates::Negatives => (gap + found.sum.ln(), 1.0 / found.sum, 1.0),
            Candidates::WithPositive if gap <= 0.0 => {
                // Digits of a loss near 0 are those of its distance to 1.
                let odds = found.sum * gap.exp();
                (odds.ln_1p(), gap.exp() / (1.0 + odds), odds / (1.0 + odds))
            }
            Candidates::WithPositive => {
                let sum = found.sum + (-gap).exp();
                (gap + sum.ln(), 1.0 / sum, found.sum / sum)
            }
        };
        let penalty = if self.is_hardest(positive, negative) {
            Penalty {
                value: 0.0,
                by_positive: 0.0,
                by_hardest: 0.0,
            }
        } else {
            self.penalty(positive, negative)
        };
        let mut by_positive = positive.slopes(-negatives);
        by_positive.temperature += penalty.by_positive;
        SoftmaxTerm {
            value: value + penalty.value,
            by_positive,
            factor,
            by_hardest_temperature: penalty.by_hardest,
        }
    }

    fn penalty(&self, positive: Pair, negative: Pair) -> Penalty {
        let of = |pair: Pair| regularizer(self.width, pair.temperature);
        let slope = |pair: Pair| self.beta * regularizer_slope(self.width, pair.temperature);
        Penalty {
            value: self.beta * (of(positive) - of(negative)),
            by_positive: slope(positive),
            by_hardest: -slope(negative),
        }
    }
}
