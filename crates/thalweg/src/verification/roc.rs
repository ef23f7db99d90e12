//! How well a threshold on similarity tells pairs of one identity from pairs of two: a pair is accepted when its score is at
//! least the threshold. TAR is the share of accepted pairs of one identity, FAR that of two.

use thalweg_kernels::real::Real;

use super::error::{Problem, VerificationError};
use crate::quantity::{Outputs, Quantity};

/// Pairs with one score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tied {
    pub score: f64,
    pub positive: u64,
    pub negative: u64,
}

/// The receiver operating characteristic of scored pairs, with every point that it has: one for each score that occurs.
#[derive(Clone, Debug)]
pub struct Roc {
    /// By falling score.
    tied: Vec<Tied>,
    positives: f64,
    negatives: f64,
}

/// What a threshold does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Scores from here on are accepted; infinity where none is.
    pub threshold: f64,
    /// Share of pairs of two identities that are accepted.
    pub far: f64,
    /// Share of pairs of one identity that are accepted.
    pub tar: f64,
}

/// The threshold at which most pairs are told rightly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestThreshold {
    /// The threshold, halfway to the next score that is refused.
    pub threshold: f64,
    /// Share of right answers, both kinds of pairs weighing the same.
    pub accuracy: f64,
}

impl Roc {
    /// Of the scores of pairs of one identity and of two.
    ///
    /// # Errors
    /// When there is no pair of either kind, or a score is not a number.
    pub fn new<F: Real>(positive: Vec<F>, negative: Vec<F>) -> Result<Self, VerificationError> {
        let (positive, negative) = (sorted("positive", positive)?, sorted("negative", negative)?);
        let (mut positive, mut negative) = (positive.iter().peekable(), negative.iter().peekable());
        let mut tied: Vec<Tied> = Vec::new();
        loop {
            let next = [positive.peek(), negative.peek()].into_iter().flatten();
            let Some(score) = next.map(|score| score.to_f64()).reduce(f64::max) else {
                break;
            };
            let count = |side: &mut std::iter::Peekable<std::slice::Iter<F>>| {
                let mut found = 0;
                while side.next_if(|next| next.to_f64() == score).is_some() {
                    found += 1;
                }
                found
            };
            let (positive, negative) = (count(&mut positive), count(&mut negative));
            tied.push(Tied {
                score,
                positive,
                negative,
            });
        }
        Self::of_tied(tied)
    }

    /// Of scores with flags: whether a pair is of one identity.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// When there are not as many flags as scores.
    pub fn of_labelled<F: Real>(scores: &[F], same: &[bool]) -> Result<Self, VerificationError> {
        assert_eq!(scores.len(), same.len(), "every score has its flag");
        let of = |kind: bool| -> Vec<F> {
            let pairs = scores.iter().zip(same).filter(|(_, same)| **same == kind);
            pairs.map(|(score, _)| *score).collect()
        };
        Self::new(of(true), of(false))
    }

    /// Of groups by falling score.
    pub(super) fn of_tied(tied: Vec<Tied>) -> Result<Self, VerificationError> {
        let total = |number: fn(&Tied) -> u64| tied.iter().map(number).sum::<u64>() as f64;
        let (positives, negatives) = (total(|tied| tied.positive), total(|tied| tied.negative));
        for (count, kind) in [(positives, "one identity"), (negatives, "two identities")] {
            if count == 0.0 {
                return Err(VerificationError::new("labels", Problem::OneKind(kind)));
            }
        }
        Ok(Self {
            tied,
            positives,
            negatives,
        })
    }

    /// All points, from (0, 0) to (1, 1).
    pub fn points(&self) -> impl Iterator<Item = RocPoint> {
        let (mut positive, mut negative) = (0, 0);
        let after = self.tied.iter().map(move |tied| {
            positive += tied.positive;
            negative += tied.negative;
            RocPoint {
                threshold: tied.score,
                far: negative as f64 / self.negatives,
                tar: positive as f64 / self.positives,
            }
        });
        let none = RocPoint {
            threshold: f64::INFINITY,
            far: 0.0,
            tar: 0.0,
        };
        std::iter::once(none).chain(after)
    }

    /// `1/#negatives`, the least FAR above 0 there is. At a lower target [`tar`](Self::tar) is that above the largest negative:
    /// it says no more than this number of pairs can.
    pub fn resolution(&self) -> f64 {
        1.0 / self.negatives
    }

    /// The largest TAR at a FAR of at most `target`.
    pub fn tar(&self, target: f64) -> f64 {
        let within = self.points().take_while(|point| point.far <= target);
        within.last().map_or(0.0, |point| point.tar)
    }

    /// The TAR of the point whose FAR is nearest to `target`, the largest of several: the official evaluation's.
    pub fn tar_nearest(&self, target: f64) -> f64 {
        let away = |point: &RocPoint| (point.far - target).abs();
        let nearest = self.points().reduce(
            |best, point| {
                if away(&point) <= away(&best) { point } else { best }
            },
        );
        nearest.map_or(0.0, |point| point.tar)
    }

    /// Chance that a pair of one identity has a higher score than a pair of two, ties counting half.
    pub fn auc(&self) -> f64 {
        let mut above = 0;
        let mut area = 0.0;
        for tied in &self.tied {
            area += tied.negative as f64 * (above as f64 + 0.5 * tied.positive as f64);
            above += tied.positive;
        }
        area / (self.positives * self.negatives)
    }

    /// The threshold of the highest accuracy when both kinds of pairs weigh the same, as in lists with as many of each; the
    /// highest of several.
    pub fn best_threshold(&self) -> BestThreshold {
        let accuracy = |point: &RocPoint| 0.5 * (point.tar + 1.0 - point.far);
        let mut best = BestThreshold {
            threshold: f64::INFINITY,
            accuracy: 0.5,
        };
        let next = self.tied.iter().map(|tied| Some(tied.score)).chain([None]);
        for (point, next) in self.points().zip(next) {
            if accuracy(&point) > best.accuracy {
                best = BestThreshold {
                    threshold: next.map_or(point.threshold, |next| 0.5 * (point.threshold + next)),
                    accuracy: accuracy(&point),
                };
            }
        }
        best
    }

    /// The least score of one identity minus the largest of two: above 0 the feature space is well discriminative (WDFS).
    pub fn gap(&self) -> f64 {
        let least = self.tied.iter().rev().find(|tied| tied.positive > 0);
        let largest = self.tied.iter().find(|tied| tied.negative > 0);
        let score = |tied: Option<&Tied>| tied.map_or(f64::NAN, |tied| tied.score);
        score(least) - score(largest)
    }

    /// Share of the pairs of one score of each kind in which that of two identities is not below.
    pub fn violation_rate(&self) -> f64 {
        let mut above = 0.0;
        let mut violations = 0.0;
        for tied in &self.tied {
            violations += tied.negative as f64 * (self.positives - above);
            above += tied.positive as f64;
        }
        violations / (self.positives * self.negatives)
    }
}

/// By falling score; refused where one is not a number.
fn sorted<F: Real>(input: &'static str, mut scores: Vec<F>) -> Result<Vec<F>, VerificationError> {
    if let Some(row) = scores.iter().position(|score| score.to_f64().is_nan()) {
        let value = f64::NAN;
        return Err(VerificationError::new(input, Problem::NotFinite { row, value }));
    }
    scores.sort_unstable_by(|a, b| b.to_f64().total_cmp(&a.to_f64()));
    Ok(scores)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "tar_at_far",
            "true accept rates at false accept rates, accepting from a threshold on, and the area under the ROC curve",
        )
        .input("scores", "[M]")
        .input("labels", "[M]")
        .with_example("labels", vec![1.0, 0.0, 1.0])
        .input("far", "[K]")
        .eval(|case| {
            let same = case.class_indices("labels", 2)?;
            let same: Vec<bool> = same.into_iter().map(|label| label == 1).collect();
            let targets = &case.array("far").data;
            if let Some(at) = targets.iter().position(|far| !(0.0..=1.0).contains(far)) {
                let problem = format!("holds {} at index {at}; rates are from 0 to 1", targets[at]);
                return case.refuse_input("far", problem);
            }
            let roc = Roc::of_labelled(&case.array("scores").data, &same)?;
            let at_each = |tar: fn(&Roc, f64) -> f64| -> Vec<f64> {
                targets.iter().map(|&target| tar(&roc, target)).collect()
            };
            Ok(Outputs::new()
                .with("tar", at_each(Roc::tar))
                .with("tar_nearest", at_each(Roc::tar_nearest))
                .with("auc", roc.auc())
                .with("resolution", roc.resolution()))
        }),
        Quantity::new(
            "wdfs_gap",
            "least positive minus largest negative similarity, and the share of their pairs in the wrong order",
        )
        .input("positive", "[P]")
        .input("negative", "[Q]")
        .eval(|case| {
            for name in ["positive", "negative"] {
                case.not_empty(name)?;
            }
            let [positive, negative] = ["positive", "negative"].map(|name| case.array(name).data.clone());
            let roc = Roc::new(positive, negative)?;
            Ok(Outputs::new()
                .with("gap", roc.gap())
                .with("satisfied", roc.gap() > 0.0)
                .with("violation_rate", roc.violation_rate()))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calibration::area_under_roc;

    fn scored() -> impl Strategy<Value = Vec<(f64, bool)>> {
        // Few distinct scores, so that ties occur.
        let score = prop_oneof![(0_u32..=12).prop_map(|k| f64::from(k) / 12.0), -1.0_f64..1.0];
        prop::collection::vec((score, any::<bool>()), 2..60).prop_filter("both kinds", |pairs| {
            pairs.iter().any(|p| p.1) && pairs.iter().any(|p| !p.1)
        })
    }

    proptest! {
        #[test]
        fn every_number_is_that_of_its_definition(pairs in scored(), target in 0.0_f64..1.0) {
            let (scores, same): (Vec<f64>, Vec<bool>) = pairs.iter().copied().unzip();
            let roc = Roc::of_labelled(&scores, &same).unwrap();
            let of = |kind| -> Vec<f64> { pairs.iter().filter(|p| p.1 == kind).map(|p| p.0).collect() };
            let (positive, negative) = (of(true), of(false));
            let rate = |of: &[f64], threshold| of.iter().filter(|s| **s >= threshold).count() as f64 / of.len() as f64;
            let mut best = 0.0_f64;
            let mut nearest = (target, 0.0);
            let mut accuracy = 0.5_f64;
            for threshold in scores.iter().copied().chain([f64::INFINITY]) {
                let (far, tar) = (rate(&negative, threshold), rate(&positive, threshold));
                if far <= target {
                    best = best.max(tar);
                }
                let away = (far - target).abs();
                if away < nearest.0 || (away == nearest.0 && tar > nearest.1) {
                    nearest = (away, tar);
                }
                accuracy = accuracy.max(0.5 * (tar + 1.0 - far));
            }
            prop_assert_eq!(roc.tar(target), best);
            prop_assert_eq!(roc.tar_nearest(target), nearest.1);
            let chosen = roc.best_threshold();
            prop_assert!((chosen.accuracy - accuracy).abs() < 1e-15);
            let reached = 0.5 * (rate(&positive, chosen.threshold) + 1.0 - rate(&negative, chosen.threshold));
            prop_assert!((reached - accuracy).abs() < 1e-15);
            let by_ranks = area_under_roc(&scores, &same).unwrap();
            prop_assert!((roc.auc() - by_ranks).abs() < 1e-12);
            let wrong = negative.iter().flat_map(|n| positive.iter().filter(move |p| n >= *p)).count();
            let expected = wrong as f64 / (positive.len() * negative.len()) as f64;
            prop_assert!((roc.violation_rate() - expected).abs() < 1e-12);
            let least = positive.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert_eq!(roc.gap(), least - negative.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        }

        #[test]
        fn a_laxer_target_accepts_no_less(pairs in scored(), a in 0.0_f64..1.0, b in 0.0_f64..1.0) {
            let (scores, same): (Vec<f64>, Vec<bool>) = pairs.into_iter().unzip();
            let roc = Roc::of_labelled(&scores, &same).unwrap();
            prop_assert!(roc.tar(a.min(b)) <= roc.tar(a.max(b)));
            prop_assert_eq!(roc.tar(1.0), 1.0);
        }
    }

    #[test]
    fn below_the_resolution_only_what_is_above_every_negative_is_accepted() {
        let roc = Roc::new(vec![0.9_f32, 0.8, 0.3], vec![0.5, 0.1]).unwrap();
        assert_eq!(roc.resolution(), 0.5);
        assert_eq!(roc.tar(1e-6), 2.0 / 3.0);
        assert_eq!(roc.tar(0.5), 1.0);
        assert_eq!(roc.points().count(), 6);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let refused = |positive: &[f64], negative: &[f64]| {
            Roc::new(positive.to_vec(), negative.to_vec())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[], &[0.1]).contains("no pair of one identity"));
        assert!(refused(&[0.1], &[]).contains("no pair of two identities"));
        assert!(refused(&[0.1], &[0.2, f64::NAN]).starts_with("negative: holds NaN in row 1"));
    }
}
