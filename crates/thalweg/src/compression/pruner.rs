//! Optimal Brain Surgeon: weights removed where the loss grows least.

use burn::config::Config;
use thalweg_kernels::long_rows::Plain;

use super::saliency::{Inverse, Saliency, fisher_diagonal};
use super::update;
use crate::config::require;
use crate::curvature::{
    BlockFisherInverse, CurvatureError, WoodFisherInverse, check_dampening, check_gradients,
};

/// Configuration of [`Pruner`].
#[derive(Config, Debug)]
pub struct PruningConfig {
    /// By what weights are ranked.
    #[config(default = "Saliency::MFac")]
    pub saliency: Saliency,
    /// Dampening λ of the Fisher information, above 0.
    #[config(default = 1e-5)]
    pub dampening: f64,
    /// Consecutive weights among which curvature is looked at; all of them where none.
    pub block_size: Option<usize>,
    /// Whether weights that stay are moved for all that go together, exactly, instead of for each by itself.
    #[config(default = false)]
    pub joint: bool,
}

impl PruningConfig {
    /// The pruner.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<Pruner, CurvatureError> {
        if let Some(size) = self.block_size {
            require("pruning", "block_size", size as f64, "at least 1", |size| {
                size >= 1.0
            })?;
        }
        Ok(Pruner {
            saliency: self.saliency,
            dampening: check_dampening(self.dampening)?,
            block_size: self.block_size.unwrap_or(usize::MAX),
            joint: self.joint,
        })
    }
}

/// Removes the weights that a loss at its minimum misses least, by its second order with the Fisher information as Hessian.
///
/// - The score of a weight is what its removal costs, `ρ_q = w_q²/(2 [F⁻¹]_qq)`, the other weights then being where they
///   are best; of weights with equal scores the first goes first.
/// - Weights that stay are moved by the sum of what each removal asks for by itself, `δw = Σ_q −w_q F⁻¹e_q/[F⁻¹]_qq`, or,
///   `joint`, by what all of them together do, `δw = −F⁻¹_{:,Q} (F⁻¹_{QQ})⁻¹ w_Q`.
///
/// F is of the weights that are left: gradients of those removed before are left out. It is a good picture near where the
/// gradients were taken, so that many weights are better removed in several steps, with gradients anew
/// ([`sparsity_schedule`](super::sparsity_schedule)).
///
/// Sources: Hassibi, Stork, NIPS 1992; Frantar, Kurtic, Alistarh, M-FAC, NeurIPS 2021.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruner {
    saliency: Saliency,
    dampening: f64,
    block_size: usize,
    joint: bool,
}

/// What was removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// The score of each weight before; infinite for those removed earlier.
    pub scores: Vec<f64>,
    /// The weights that went, ascending.
    pub removed: Vec<usize>,
    /// By how much the loss is expected to grow: the sum of the scores of the weights that went, or what they cost jointly.
    /// Magnitudes expect nothing: NaN.
    pub predicted_loss_increase: f64,
    /// Diagonal elements of F⁻¹ that rounding had put below what they can be.
    pub clamped: usize,
}

impl Pruner {
    /// Sets `count` more of the weights that are `alive` to 0, and moves the others.
    ///
    /// # Shapes
    /// - weights and alive `[d]`, gradients `[m, d]` row-major: of the loss of single samples, for all weights.
    ///
    /// # Errors
    /// When there are fewer weights left, or the gradients are of other weights, none (magnitudes take none) or not finite.
    /// Weights are then as they were.
    pub fn prune<F: Plain>(
        &self,
        weights: &mut [f64],
        alive: &mut [bool],
        gradients: &[F],
        count: usize,
    ) -> Result<Pruned, CurvatureError> {
        let width = weights.len();
        if alive.len() != width {
            return Err(CurvatureError::Width {
                what: "the marks of weights that are left",
                found: alive.len(),
                expected: width,
            });
        }
        if let Some(at) = weights.iter().position(|w| !w.is_finite()) {
            let value = weights[at];
            return Err(CurvatureError::Weight { at, value });
        }
        if self.saliency != Saliency::Magnitude {
            check_gradients(gradients, width, 0)?;
        }
        let left: Vec<usize> = (0..width).filter(|&at| alive[at]).collect();
        if count > left.len() {
            let left = left.len();
            return Err(CurvatureError::TooMany { count, left });
        }
        let mut scores = vec![f64::INFINITY; width];
        let mut removed = Vec::new();
        let mut predicted_loss_increase = 0.0;
        let mut clamped = 0;
        if !left.is_empty() {
            let mut own: Vec<f64> = left.iter().map(|&at| weights[at]).collect();
            let gradients = self.gathered(gradients, width, &left);
            let round = self.round(&mut own, &gradients, count)?;
            for ((&at, w), score) in left.iter().zip(own).zip(round.scores) {
                weights[at] = w;
                scores[at] = score;
            }
            removed.extend(round.removed.into_iter().map(|at| left[at]));
            removed.iter().for_each(|&at| alive[at] = false);
            predicted_loss_increase = round.predicted_loss_increase;
            clamped = round.clamped;
        }
        Ok(Pruned {
            scores,
            removed,
            predicted_loss_increase,
            clamped,
        })
    }

    /// Gradients of the weights that are left.
    fn gathered<F: Plain>(&self, gradients: &[F], width: usize, left: &[usize]) -> Vec<F> {
        if self.saliency == Saliency::Magnitude {
            return Vec::new();
        }
        let rows = gradients.chunks_exact(width);
        rows.flat_map(|row| left.iter().map(|&at| row[at])).collect()
    }

    /// [`prune`](Self::prune) where all weights are left.
    fn round<F: Plain>(
        &self,
        weights: &mut [f64],
        gradients: &[F],
        count: usize,
    ) -> Result<Pruned, CurvatureError> {
        let (width, dampening) = (weights.len(), self.dampening);
        let block = self.block_size.min(width);
        let by_inverse = |inverse: Inverse<F>| (inverse.diagonal(), inverse);
        let (scores, inverse) = match self.saliency {
            Saliency::Magnitude => (weights.iter().map(|w| w.abs()).collect(), None),
            Saliency::DiagonalFisher => {
                let diagonal = fisher_diagonal(dampening, gradients, width)?;
                let each = weights.iter().zip(diagonal);
                (each.map(|(w, diagonal)| 0.5 * w * w * diagonal).collect(), None)
            }
            Saliency::WoodFisher => {
                let inverse = WoodFisherInverse::new(dampening, gradients, width, block)?;
                let found = by_inverse(Inverse::WoodFisher(inverse));
                (costs(weights, &found.0.values), Some(found))
            }
            Saliency::MFac => {
                let inverse = BlockFisherInverse::new(dampening, gradients, width, block)?;
                let found = by_inverse(Inverse::MFac(inverse));
                (costs(weights, &found.0.values), Some(found))
            }
        };
        let removed = lowest(&scores, count);
        let mut goes = vec![false; width];
        removed.iter().for_each(|&at| goes[at] = true);
        let expected = || removed.iter().map(|&at| scores[at]).sum();
        let predicted_loss_increase = match (&inverse, self.saliency) {
            (None, Saliency::Magnitude) => f64::NAN,
            (Some(_), _) if self.joint => update::joint(dampening, gradients, block, weights, &goes)?,
            (Some((diagonal, inverse)), _) => {
                update::independent(inverse, weights, &diagonal.values, &goes);
                expected()
            }
            (None, _) => expected(),
        };
        removed.iter().for_each(|&at| weights[at] = 0.0);
        Ok(Pruned {
            scores,
            removed,
            predicted_loss_increase,
            clamped: inverse.map_or(0, |(diagonal, _)| diagonal.clamped),
        })
    }
}

/// `w²/(2 [F⁻¹]_qq)`.
fn costs(weights: &[f64], diagonal: &[f64]) -> Vec<f64> {
    let each = weights.iter().zip(diagonal);
    each.map(|(w, diagonal)| 0.5 * w * w / diagonal).collect()
}

/// Where the lowest scores are, ascending; of equal ones the first.
fn lowest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    order.truncate(count);
    order.sort_unstable();
    order
}
