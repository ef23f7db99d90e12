//! What a loss of softmaxes needs to know of an anchor's scores, and what it answers.

/// What is known of an anchor's scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Score of its positive; NaN where it has none.
    pub positive: f64,
    /// The largest other score, the lowest number there is where it has no others.
    pub top: f64,
    /// `Σ exp((s − top)/τ)` over the others, 0 where there are none.
    pub sum: f64,
    /// `Σ exp((s − top)/τ)·(s − top)` over the others.
    pub moment: f64,
}

/// Derivatives of a loss by the scores of one anchor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// By the positive score.
    pub positive: f64,
    /// By all others together; each has the share of its softmax among the others.
    pub others: f64,
}

/// One anchor's share in a loss of softmaxes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftmaxTerm {
    /// The loss.
    pub loss: f64,
    /// By its scores.
    pub slope: Slope,
    /// By its temperature.
    pub temperature: f64,
}

impl Statistics {
    pub(super) const NONE: Self = Self {
        positive: f64::NAN,
        top: f64::NEG_INFINITY,
        sum: 0.0,
        moment: 0.0,
    };

    /// Of scores that are all at hand.
    pub fn of(positive: f64, others: impl Iterator<Item = f64> + Clone, temperature: f64) -> Self {
        let top = others.clone().fold(f64::NEG_INFINITY, f64::max);
        let mut found = Self {
            positive,
            top,
            ..Self::NONE
        };
        for score in others {
            let exponential = ((score - top) / temperature).exp();
            found.sum += exponential;
            found.moment += exponential * (score - top);
        }
        found
    }

    /// Share of another score in the softmax of the others.
    pub fn share(&self, score: f64, temperature: f64) -> f64 {
        ((score - self.top) / temperature).exp() / self.sum
    }

    /// `log Σ exp(s/τ)` over the others.
    pub fn log_sum_exp(&self, temperature: f64) -> f64 {
        self.top / temperature + self.sum.ln()
    }

    /// Mean of the other scores under their softmax.
    pub fn mean(&self) -> f64 {
        self.top + self.moment / self.sum
    }

    /// `−log(exp(s_p/τ)/(exp(s_p/τ) + Σ exp(s/τ)))`, which loses no digits where the positive p is far ahead; 0 where there
    /// are no others.
    pub fn info_nce(&self, temperature: f64) -> SoftmaxTerm {
        if self.sum == 0.0 {
            return SoftmaxTerm::default();
        }
        let behind = (self.top - self.positive) / temperature + self.sum.ln();
        let share = if behind > 0.0 {
            1.0 / (1.0 + (-behind).exp())
        } else {
            let odds = behind.exp();
            odds / (1.0 + odds)
        };
        let slope = share / temperature;
        SoftmaxTerm {
            loss: behind.max(0.0) + (-behind.abs()).exp().ln_1p(),
            slope: Slope {
                positive: -slope,
                others: slope,
            },
            temperature: -slope * (self.mean() - self.positive) / temperature,
        }
    }

    /// Takes in the sums of some more others.
    pub(super) fn add(&mut self, more: Sums, scale: f64) {
        let (mut ahead, mut behind) = (Sums::of(self), more);
        if behind.top > ahead.top {
            (ahead, behind) = (behind, ahead);
        }
        let gap = behind.top - ahead.top;
        let share = (gap * scale).exp();
        if behind.sum != 0.0 {
            ahead.moment += (behind.moment + gap * behind.sum) * share;
            ahead.sum += behind.sum * share;
        }
        Sums {
            top: self.top,
            sum: self.sum,
            moment: self.moment,
        } = ahead;
    }
}

/// Sums over the others of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub top: f64,
    pub sum: f64,
    pub moment: f64,
}

impl Sums {
    pub const NONE: Self = Self {
        top: f64::NEG_INFINITY,
        sum: 0.0,
        moment: 0.0,
    };

    fn of(statistics: &Statistics) -> Self {
        Self {
            top: statistics.top,
            sum: statistics.sum,
            moment: statistics.moment,
        }
    }
}
