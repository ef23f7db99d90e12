//! Cross-entropy of a row of scores to a row of class probabilities, `ℓ = −Σ_k a_k log p_k + z (log Σ exp)²` with
//! `a_k = w_k ((1−ε) t_k + ε/classes)`: value and gradient `(Σ_k a_k + 2 z log Σ exp)·p − a` in one pass.

use super::PairLoss;
use crate::lanes::{exponentials, largest, sum};
use crate::real::Real;

/// Cross-entropy to target probabilities t, the second row of its pair.
#[derive(Clone, Copy, Debug)]
pub struct SoftTargets<'a> {
    /// Share ε of the targets that is spread evenly over all classes.
    pub smoothing: f64,
    /// Weight w of each class, 1 where there are none.
    pub class_weights: Option<&'a [f64]>,
    /// Factor z of the squared `log Σ exp` of the scores.
    pub logsumexp_z: f64,
}

impl PairLoss for SoftTargets<'_> {
    #[inline(always)]
    fn row<F: Real>(
        &self,
        _: usize,
        (scores, targets): (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        scratch: &mut [F],
    ) -> f64 {
        self.shares(targets, scratch);
        let top = largest(scores);
        let mass = sum([scratch], |[a]| a);
        let gap = sum([scratch, scores], |[a, score]| a * (top - score));
        exponentials(scores, top, F::ONE, gradient);
        let total = sum([gradient], |[e]| e);
        let below_top = total.ln();
        let log_sum_exp = top.to_f64() + below_top;
        let slope = mass + 2.0 * self.logsumexp_z * log_sum_exp;
        let (softmax, share) = (F::from_f64(slope * scale / total), F::from_f64(scale));
        for (out, &a) in gradient.iter_mut().zip(&*scratch) {
            *out = *out * softmax - a * share;
        }
        mass * below_top + gap + self.logsumexp_z * log_sum_exp * log_sum_exp
    }
}

impl SoftTargets<'_> {
    /// `a_k` of each class.
    #[inline(always)]
    fn shares<F: Real>(&self, targets: &[F], shares: &mut [F]) {
        let classes = targets.len();
        let kept = F::from_f64(1.0 - self.smoothing);
        let spread = F::from_f64(self.smoothing / classes as f64);
        for (share, &target) in shares.iter_mut().zip(targets) {
            *share = target * kept + spread;
        }
        if let Some(weights) = self.class_weights {
            let given = weights.len();
            assert_eq!(given, classes, "{given} class weights for {classes} classes");
            for (share, &weight) in shares.iter_mut().zip(weights) {
                *share *= F::from_f64(weight);
            }
        }
    }
}
