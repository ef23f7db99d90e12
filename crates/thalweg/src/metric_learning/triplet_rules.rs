//! The triplets of one anchor, by way of mining. With similarities a triplet costs `max(0, s_an − s_ap + margin)`.

use super::anchors::{Anchor, AnchorLoss, Terms};

/// All pairs of a positive and a negative.
///
/// With both in descending order, the negatives that cost something beside a positive (its offenders) are those beside the
/// positive before and some more. What they cost is carried along, a sum of nothing but costs, so that no digits are lost.
pub(super) struct All {
    pub margin: f64,
}

/// The least similar positive and the most similar negative.
pub(super) struct Hard {
    pub margin: f64,
}

/// Each positive with the most similar negative of those less similar than it.
pub(super) struct SemiHard {
    pub margin: f64,
}

impl AnchorLoss for All {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let positives = descending(anchor.positives());
        let Some(&(_, least)) = positives.last() else {
            return Terms::default();
        };
        let mut terms = Terms {
            all: positives.len() * anchor.negatives().count(),
            ..Terms::default()
        };
        // Once much is learned few are left to be sorted.
        let lowest = least - self.margin;
        let negatives = descending(anchor.negatives().filter(|(_, similarity)| *similarity > lowest));
        let (mut offenders, mut cost, mut bar) = (0, 0.0, 0.0);
        for (passed, &(positive, similarity)) in positives.iter().enumerate() {
            let lower = similarity - self.margin;
            if offenders > 0 {
                cost += offenders as f64 * (bar - lower);
            }
            bar = lower;
            while let Some(&(negative, similarity)) = negatives.get(offenders).filter(|(_, s)| *s > bar) {
                cost += similarity - bar;
                offenders += 1;
                // It costs something beside this positive and all that follow.
                slopes[negative] = (positives.len() - passed) as f64;
            }
            slopes[positive] = -(offenders as f64);
            terms.total += cost;
            terms.non_zero += offenders;
        }
        terms
    }
}

impl AnchorLoss for Hard {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let least = anchor.positives().reduce(|a, b| if b.1 < a.1 { b } else { a });
        let most = anchor.negatives().reduce(|a, b| if b.1 > a.1 { b } else { a });
        let mut terms = Terms::default();
        if let (Some(positive), Some(negative)) = (least, most) {
            add(&mut terms, self.margin, positive, negative, slopes);
        }
        terms
    }
}

impl AnchorLoss for SemiHard {
    fn terms(&self, anchor: &Anchor, slopes: &mut [f64]) -> Terms {
        let (positives, negatives) = (descending(anchor.positives()), descending(anchor.negatives()));
        let mut terms = Terms::default();
        let mut first = 0;
        for positive in positives {
            // The bar only ever falls, and what was not below it is not below it now.
            while negatives
                .get(first)
                .is_some_and(|negative| negative.1 >= positive.1)
            {
                first += 1;
            }
            if let Some(&negative) = negatives.get(first) {
                add(&mut terms, self.margin, positive, negative, slopes);
            }
        }
        terms
    }
}

fn add(
    terms: &mut Terms,
    margin: f64,
    (positive, to_positive): (usize, f64),
    (negative, to_negative): (usize, f64),
    slopes: &mut [f64],
) {
    let cost = to_negative - to_positive + margin;
    terms.all += 1;
    // Infinities of one sign have a difference that is no number, and it is to be seen.
    if cost <= 0.0 {
        return;
    }
    terms.total += cost;
    terms.non_zero += 1;
    slopes[positive] -= 1.0;
    slopes[negative] += 1.0;
}

/// Those of equal similarity in the order of the batch.
fn descending(others: impl Iterator<Item = (usize, f64)>) -> Vec<(usize, f64)> {
    let mut others: Vec<_> = others.collect();
    others.sort_by(|a, b| b.1.total_cmp(&a.1));
    others
}
