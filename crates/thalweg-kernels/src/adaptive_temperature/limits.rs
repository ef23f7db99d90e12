//! `τ = lower + (upper − lower)/(1 + exp(−logit))`.

use crate::dispatch;
use crate::real::Real;

/// What temperatures stay between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The lowest.
    pub lower: f64,
    /// The highest.
    pub upper: f64,
}

/// Limits in the float type of the logits.
#[derive(Clone, Copy)]
struct Range<F> {
    lower: F,
    upper: F,
    width: F,
}

impl Limits {
    /// The temperature of a logit, never out of the limits, and its slope; both finite however large the logit is.
    pub fn at<F: Real>(self, logit: F) -> [F; 2] {
        self.range().at(logit)
    }

    /// Turns logits into temperatures and writes the slope of each.
    ///
    /// # Panics
    /// When there is not a slope for each.
    pub fn apply<F: Real>(self, logits: &mut [F], slopes: &mut [F]) {
        assert_eq!(logits.len(), slopes.len(), "a slope for each logit");
        let range = self.range::<F>();
        dispatch!([F: Real] apply_all, (range: Range<F>, logits: &mut [F], slopes: &mut [F]));
    }

    fn range<F: Real>(self) -> Range<F> {
        Range {
            lower: F::from_f64(self.lower),
            upper: F::from_f64(self.upper),
            width: F::from_f64(self.upper - self.lower),
        }
    }
}

impl<F: Real> Range<F> {
    #[inline(always)]
    fn at(self, logit: F) -> [F; 2] {
        let below = (-logit.abs()).exp_below();
        let far = F::ONE / (F::ONE + below);
        let near = below * far;
        let share = if logit > F::ZERO { far } else { near };
        let temperature = self.lower + self.width * share;
        let temperature = if temperature > self.upper {
            self.upper
        } else {
            temperature
        };
        [temperature, self.width * (near * far)]
    }
}

#[inline(always)]
fn apply_all<F: Real>(range: Range<F>, logits: &mut [F], slopes: &mut [F]) {
    for (logit, slope) in logits.iter_mut().zip(slopes) {
        [*logit, *slope] = range.at(*logit);
    }
}
