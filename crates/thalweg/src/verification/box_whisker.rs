//! The box-and-whisker filter of noisy negatives: of similarities sorted `v_0 ≤ … ≤ v_{L−1}` with quartiles
//! `q1 = v_⌊L/4⌋`, `q3 = v_⌊3L/4⌋`, those within `[q1 − r(q3 − q1), q3 + r(q3 − q1)]` are kept, ends included.
//!
//! What lies below is too easy, what lies above probably a pair of one identity under a wrong label. The quartiles are entries
//! of the list, not interpolated; they are found by selection, without a sort.
//!
//! Source: Jung, Lee, Oh, Park, Son, "Unified negative pair generation toward well-discriminative feature space for face
//! recognition", BMVC 2022 (arXiv 2203.11593).

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use thalweg_kernels::real::Real;

use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Outputs, Quantity};

/// Which negatives of a batch count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PairFilter {
    /// All.
    All,
    /// Those within the whiskers.
    BoxWhisker {
        /// Length r of a whisker in interquartile ranges, at least 0: 1.5 for MS1MV2, 1 for K-FACE.
        wisk: f64,
    },
}

impl PairFilter {
    pub(super) fn checked(self) -> Result<Self, ConfigError> {
        if let Self::BoxWhisker { wisk } = self {
            require("unpg", "wisk", wisk, "at least 0", |wisk| wisk >= 0.0)?;
        }
        Ok(self)
    }
}

/// The ends of both whiskers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whiskers {
    /// The least similarity that is kept.
    pub lower: f64,
    /// The largest.
    pub upper: f64,
}

impl Whiskers {
    /// Of similarities, at a whisker length r in interquartile ranges; none of no similarities. They are put in another order.
    /// What is not a number has no place in it.
    pub fn of<F: Real>(similarities: &mut [F], r: f64) -> Option<Self> {
        let count = similarities.len();
        if count == 0 {
            return None;
        }
        if r == f64::INFINITY {
            return Some(Self {
                lower: f64::NEG_INFINITY,
                upper: f64::INFINITY,
            });
        }
        let (first, third) = (count / 4, 3 * count / 4);
        let order = |a: &F, b: &F| a.partial_cmp(b).unwrap_or(Ordering::Equal);
        let (below, q3, _) = similarities.select_nth_unstable_by(third, order);
        let q3 = q3.to_f64();
        // With fewer than two similarities both quartiles are the same entry.
        let q1 = if first == third {
            q3
        } else {
            below.select_nth_unstable_by(first, order).1.to_f64()
        };
        let range = q3 - q1;
        Some(Self {
            lower: q1 - r * range,
            upper: q3 + r * range,
        })
    }

    /// Whether a similarity is kept.
    pub fn keep(&self, similarity: f64) -> bool {
        (self.lower..=self.upper).contains(&similarity)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "box_whisker_filter",
            "similarities within whiskers around their quartiles, ascending",
        )
        .param("r", 1.5)
        .input("similarities", "[L]")
        .eval(|case| {
            case.finite("similarities")?;
            let r = require("box_whisker_filter", "r", case.param("r")?, "at least 0", |r| {
                r >= 0.0
            })?;
            let mut similarities = case.array("similarities").data.clone();
            let Some(whiskers) = Whiskers::of(&mut similarities, r) else {
                return case.refuse_input("similarities", "is empty; quartiles need at least one");
            };
            similarities.retain(|&similarity| whiskers.keep(similarity));
            similarities.sort_unstable_by(f64::total_cmp);
            Ok(Outputs::new()
                .with("lower", whiskers.lower)
                .with("upper", whiskers.upper)
                .with("kept_count", similarities.len() as f64)
                .with("kept", similarities))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn selection_finds_what_a_sort_does(values in prop::collection::vec(-1.0_f64..1.0, 1..90), r in 0.0_f64..3.0) {
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let at = |share: f64| sorted[(share * values.len() as f64) as usize];
            let (q1, q3) = (at(0.25), at(0.75));
            let found = Whiskers::of(&mut values.clone(), r).unwrap();
            prop_assert_eq!(found, Whiskers { lower: q1 - r * (q3 - q1), upper: q3 + r * (q3 - q1) });
            prop_assert!(found.keep(q1) && found.keep(q3));
        }
    }

    #[test]
    fn equal_similarities_are_all_kept() {
        let found = Whiskers::of(&mut [0.3_f32; 7], 0.0).unwrap();
        assert!(found.keep(f64::from(0.3_f32)) && !found.keep(0.300_001));
    }

    #[test]
    fn few_similarities_have_quartiles_and_none_has_not() {
        assert_eq!(Whiskers::of::<f64>(&mut [], 1.0), None);
        let of = |values: &[f64]| Whiskers::of(&mut values.to_vec(), 1.0).unwrap();
        assert_eq!(
            of(&[0.5]),
            Whiskers {
                lower: 0.5,
                upper: 0.5
            }
        );
        assert_eq!(
            of(&[0.5, 0.0]),
            Whiskers {
                lower: -0.5,
                upper: 1.0
            }
        );
        assert_eq!(
            of(&[0.5, 0.0, 0.25]),
            Whiskers {
                lower: -0.5,
                upper: 1.0
            }
        );
    }

    #[test]
    fn endless_whiskers_keep_everything() {
        let found = Whiskers::of(&mut [0.1, 0.1, 0.1, 0.9], f64::INFINITY).unwrap();
        assert!(found.keep(0.9) && found.keep(-1.0));
    }

    #[test]
    fn a_negative_length_is_refused() {
        let refused = PairFilter::BoxWhisker { wisk: -1.0 }.checked().unwrap_err();
        assert!(refused.to_string().contains("`wisk` is -1"));
    }
}
