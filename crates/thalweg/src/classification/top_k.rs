//! Where targets stand among all classes: top-k error and mean reciprocal rank.
//!
//! The rank of a target is 1 + the number of classes with a score strictly above its own.

use crate::quantity::{Outputs, Quantity};

/// Ranks of the targets of a batch, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks(Vec<usize>);

impl Ranks {
    pub(crate) fn new(ranks: Vec<usize>) -> Self {
        Self(ranks)
    }

    /// Of rows of scores `[samples, classes]`.
    ///
    /// # Panics
    /// When the sizes disagree or a target is no column.
    pub fn of_scores(scores: &[f64], targets: &[usize]) -> Self {
        assert!(!targets.is_empty(), "an empty batch has no ranks");
        let classes = scores.len() / targets.len();
        assert_eq!(scores.len(), classes * targets.len(), "rows of {classes} scores");
        let rank = |(row, &target): (&[f64], &usize)| 1 + row.iter().filter(|&&o| o > row[target]).count();
        Self(scores.chunks_exact(classes).zip(targets).map(rank).collect())
    }

    /// The rank of each sample's target.
    pub fn each(&self) -> &[usize] {
        &self.0
    }

    /// Share of targets of a rank above k.
    pub fn top_k_error(&self, k: usize) -> f64 {
        self.mean(|rank| f64::from(u8::from(rank > k)))
    }

    /// Mean of 1/rank.
    pub fn mean_reciprocal_rank(&self) -> f64 {
        self.mean(|rank| 1.0 / rank as f64)
    }

    fn mean(&self, of: impl Fn(usize) -> f64) -> f64 {
        self.0.iter().map(|&rank| of(rank)).sum::<f64>() / self.0.len() as f64
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "top_k_error",
            "share of targets that are not among the k highest scores, and their mean reciprocal rank",
        )
        .param("k", 1.0)
        .input("logits", "[N, D]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("logits")?;
            let logits = case.array("logits");
            let labels = case.class_indices("labels", logits.shape[1])?;
            let ranks = Ranks::of_scores(&logits.data, &labels);
            Ok(Outputs::new()
                .with("value", ranks.top_k_error(case.count("k", 1)?))
                .with("mean_reciprocal_rank", ranks.mean_reciprocal_rank()))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_do_not_push_a_target_down() {
        let ranks = Ranks::of_scores(&[1.0, 1.0, 0.5, 3.0, 2.0, 1.0, -1.0, -1.0, -1.0], &[1, 2, 0]);
        assert_eq!(ranks.each(), [1, 3, 1]);
        assert_eq!(ranks.top_k_error(2), 1.0 / 3.0);
        assert_eq!(ranks.top_k_error(3), 0.0);
        assert!((ranks.mean_reciprocal_rank() - 7.0 / 9.0).abs() < 1e-15);
    }
}
