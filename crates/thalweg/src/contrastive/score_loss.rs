//! Losses of given similarities `s` `[n, n]`, positives on the diagonal and negatives beside it, row by row in f64.

use std::cmp::Ordering;

use burn::tensor::Tensor;
use thalweg_kernels::batch::forward_backward;
use thalweg_kernels::in_batch::Statistics;
use thalweg_kernels::rows::{RowLoss, WholeRows};

use crate::bridge::{CpuFloat, CpuFloats, Floats, written};
use crate::classification::rowwise::{assembled, host_scores};
use crate::config::require;
use crate::{ConfigError, Reduction};

/// The negatives of a row that count as hard: those of the upper α quantile of its negatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardNegatives {
    alpha: f64,
}

impl HardNegatives {
    /// A fraction α above 0, at most 1.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(objective: &'static str, alpha: f64) -> Result<Self, ConfigError> {
        let alpha = require(objective, "alpha", alpha, "above 0, at most 1", |alpha| {
            alpha > 0.0 && alpha <= 1.0
        })?;
        Ok(Self { alpha })
    }

    /// The `max(1, ⌈α·negatives⌉)`-th largest negative of a row, above which (and at which) they are hard; none where there are
    /// no negatives.
    pub fn threshold(&self, row: &[f64], positive: usize) -> Option<f64> {
        let mut negatives: Vec<f64> = others(row, positive).map(|(_, score)| score).collect();
        if negatives.is_empty() {
            return None;
        }
        let count = ((self.alpha * negatives.len() as f64).ceil() as usize).clamp(1, negatives.len());
        let (_, threshold, _) = negatives.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        Some(*threshold)
    }
}

/// All but the positive, with their places.
pub(super) fn others(row: &[f64], positive: usize) -> impl Iterator<Item = (usize, f64)> + Clone {
    let all = row.iter().copied().enumerate();
    all.filter(move |(at, _)| *at != positive)
}

/// What is made of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// `−log` of the positive's share in the softmax.
    Softmax { temperature: f64 },
    /// `−s_p + λ Σ s`.
    Linear { lambda: f64 },
    /// `max(0, max s − s_p)`.
    Hardest,
}

/// A loss of similarities.
#[derive(Clone, Copy, Debug)]
pub struct ScoresLoss {
    rule: Rule,
    hard: Option<HardNegatives>,
    reduction: Reduction,
}

impl ScoresLoss {
    pub(super) fn new(rule: Rule, hard: Option<HardNegatives>, reduction: Reduction) -> Self {
        Self {
            rule,
            hard,
            reduction,
        }
    }

    /// # Shapes
    /// - similarities `[anchors, anchors]`, or with more columns: negatives of all. Row i has its positive in column i.
    ///   Returns `[1]`, or `[anchors]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When there are no rows, or fewer columns than rows.
    pub fn forward(&self, similarities: Tensor<2>) -> Tensor<1> {
        let [anchors, candidates] = similarities.dims();
        assert!(anchors > 0, "an empty batch has no loss");
        assert!(
            candidates >= anchors,
            "similarities [{anchors}, {candidates}] have no positive for each row"
        );
        row_loss(self, similarities, (0..anchors as u32).collect(), self.reduction)
    }
}

/// A loss of rows, computed on the host whatever the backend; unlike one of classes it may have a single column.
pub(crate) fn row_loss(
    loss: &impl RowLoss,
    scores: Tensor<2>,
    targets: Vec<u32>,
    reduction: Reduction,
) -> Tensor<1> {
    match CpuFloats::of(&scores).as_ref().map(CpuFloats::floats) {
        Some(Floats::F32(memory)) => of_memory(loss, memory, &scores, &targets, reduction),
        Some(Floats::F64(memory)) => of_memory(loss, memory, &scores, &targets, reduction),
        None => of_memory(loss, &host_scores(&scores), &scores, &targets, reduction),
    }
}

fn of_memory<F: CpuFloat>(
    loss: &impl RowLoss,
    memory: &[F],
    scores: &Tensor<2>,
    targets: &[u32],
    reduction: Reduction,
) -> Tensor<1> {
    let [rows, columns] = scores.dims();
    let mut losses = vec![F::ZERO; rows];
    let kernel = WholeRows(loss);
    let scale = reduction.scale(rows);
    let gradient = written([rows, columns], |gradient| {
        forward_backward(&kernel, memory, targets, columns, scale, &mut losses, gradient);
    });
    assembled(scores, losses, scores.is_tracked().then_some(gradient), reduction)
}

impl RowLoss for ScoresLoss {
    fn row(&self, _: usize, scores: &mut [f64], positive: usize, gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let threshold = self.hard.and_then(|hard| hard.threshold(scores, positive));
        // What is no number is kept, so that it shows.
        let kept =
            |score: f64| threshold.is_none_or(|least| score.partial_cmp(&least) != Some(Ordering::Less));
        let negatives = others(scores, positive).filter(|(_, score)| kept(*score));
        match self.rule {
            Rule::Softmax { temperature } => {
                let negative_scores = negatives.clone().map(|(_, score)| score);
                let statistics = Statistics::of(scores[positive], negative_scores, temperature);
                let term = statistics.info_nce(temperature);
                gradient[positive] = term.slope.positive;
                for (at, score) in negatives {
                    gradient[at] = term.slope.others * statistics.share(score, temperature);
                }
                term.loss
            }
            Rule::Linear { lambda } => {
                gradient[positive] = -1.0;
                let mut sum = 0.0;
                for (at, score) in negatives {
                    gradient[at] = lambda;
                    sum += score;
                }
                lambda * sum - scores[positive]
            }
            Rule::Hardest => {
                let ahead = |(a, most): (usize, f64), (b, score): (usize, f64)| {
                    if most >= score || most.is_nan() {
                        (a, most)
                    } else {
                        (b, score)
                    }
                };
                let Some((hardest, score)) = negatives.reduce(ahead) else {
                    return 0.0;
                };
                let behind = score - scores[positive];
                if behind > 0.0 {
                    gradient[positive] = -1.0;
                    gradient[hardest] = 1.0;
                }
                if behind < 0.0 { 0.0 } else { behind }
            }
        }
    }
}
