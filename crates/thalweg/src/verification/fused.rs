//! The loss on memory: one product for the cosines, one pass over them, and two products for the gradients.

use thalweg_kernels::matrix::{Matrix, Work, multiply, product};
use thalweg_kernels::real::Real;
use thalweg_kernels::scaled_softmax::softmax_rows;

use super::error::{Problem, VerificationError};
use super::head::Adjusted;
use super::margin_softmax::MarginSoftmaxLoss;
use super::pairs::{BatchPairs, Negatives};
use super::units::Units;

/// What `1 − t²` is held above where it is divided by: about the rounding of t.
pub(super) fn least<F>() -> f64 {
    if size_of::<F>() == 4 { 1e-7 } else { 1e-12 }
}

/// Features `[n, width]` of a batch and class weights `[classes, width]`, as unit rows, with the labels of the batch.
pub(super) struct Sides<'l, F> {
    features: Units<F>,
    weights: Units<F>,
    labels: &'l [u32],
}

/// Cosines of all samples with all classes, that of each label with its margin.
pub(super) struct Cosines<F> {
    /// `[n, classes]`.
    pub values: Vec<F>,
    /// At the label of each sample.
    adjusted: Vec<Adjusted>,
}

impl<'l, F: Real> Sides<'l, F> {
    pub fn new(
        [features, weights]: [&[F]; 2],
        width: usize,
        labels: &'l [u32],
    ) -> Result<Self, VerificationError> {
        let features = Units::of("features", features, width)?;
        let weights = Units::of("weights", weights, width)?;
        let classes = weights.count();
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
            let label = i64::from(labels[row]);
            let problem = Problem::Label { row, label, classes };
            return Err(VerificationError::new("labels", problem));
        }
        Ok(Self {
            features,
            weights,
            labels,
        })
    }

    /// Places of the labels in rows of classes.
    fn places(&self) -> impl Iterator<Item = usize> {
        let classes = self.weights.count();
        let rows = self.labels.iter().enumerate();
        rows.map(move |(row, &label)| row * classes + label as usize)
    }

    pub fn cosines(&self, loss: &MarginSoftmaxLoss) -> Cosines<F> {
        let mut values = product(
            Work::Shared,
            matrix(&self.features),
            matrix(&self.weights).transposed(),
        );
        let with_margin = |(place, &norm): (usize, &f64)| {
            let cosine = values[place].to_f64();
            let adjusted = loss.head.adjusted(cosine, norm, least::<F>());
            values[place] = F::from_f64(adjusted.cosine);
            adjusted
        };
        let adjusted = self.places().zip(&self.features.norms).map(with_margin).collect();
        Cosines { values, adjusted }
    }

    /// The loss times `share` a sample, and what its gradients follow from.
    pub fn value(&self, loss: &MarginSoftmaxLoss, share: f64) -> (f64, Slopes<F>) {
        let negatives = loss
            .pairs
            .and_then(|filter| BatchPairs::of(&self.features).negatives(self.labels, filter, loss.scale));
        let beside = negatives
            .as_ref()
            .map_or(f64::NEG_INFINITY, |found| found.log_sum);
        let Cosines { mut values, adjusted } = self.cosines(loss);
        let targets: Vec<f64> = self.places().map(|place| values[place].to_f64()).collect();
        let factor = loss.scale * share;
        let logs = softmax_rows(&mut values, self.weights.count(), loss.scale, beside, factor);
        let mut total = 0.0;
        let mut by_norm = Vec::with_capacity(logs.len());
        let each = self.places().zip(&adjusted).zip(&self.features.norms);
        for (((place, adjusted), &norm), (&log, target)) in each.zip(logs.iter().zip(targets)) {
            let [penalty, penalty_slope] = loss.head.norm_penalty(norm);
            total += share * (log - loss.scale * target + penalty);
            let slope = values[place].to_f64() - factor;
            values[place] = F::from_f64(slope * adjusted.by_cosine);
            by_norm.push(slope * adjusted.by_norm + share * penalty_slope);
        }
        let weight: f64 = logs.iter().map(|log| (beside - log).exp()).sum();
        let slopes = Slopes {
            by_cosine: values,
            by_norm,
            negatives,
            of_pairs: factor * weight,
        };
        (total, slopes)
    }

    /// The gradients by features and by weights.
    pub fn gradients(&self, slopes: Slopes<F>) -> [Vec<F>; 2] {
        let (features, weights) = (matrix(&self.features), matrix(&self.weights));
        let (count, width) = (self.features.count(), self.features.width);
        let by_cosine = Matrix::new(&slopes.by_cosine, count, self.weights.count());
        let mut by_features = product(Work::Shared, by_cosine, weights);
        let by_weights = product(Work::Shared, by_cosine.transposed(), features);
        if let Some(negatives) = slopes.negatives {
            let shares = negatives.shares(slopes.of_pairs);
            let shares = Matrix::new(&shares, count, count);
            multiply(Work::Shared, &mut by_features, F::ONE, F::ONE, shares, features);
        }
        let mut by_features = self.features.back(by_features);
        let rows = by_features.chunks_exact_mut(width);
        let rows = rows
            .zip(self.features.rows.chunks_exact(width))
            .zip(slopes.by_norm);
        for ((gradient, unit), slope) in rows.filter(|(_, slope)| *slope != 0.0) {
            let slope = F::from_f64(slope);
            gradient.iter_mut().zip(unit).for_each(|(g, &u)| *g += slope * u);
        }
        [by_features, self.weights.back(by_weights)]
    }
}

/// Slopes of the loss, from which gradients are two or three products away.
pub(super) struct Slopes<F> {
    /// By each cosine, `[n, classes]`.
    by_cosine: Vec<F>,
    /// By the norm of each sample's features.
    by_norm: Vec<f64>,
    /// Pairs that count, with the sum of their slopes.
    negatives: Option<Negatives<F>>,
    of_pairs: f64,
}

fn matrix<F: Real>(units: &Units<F>) -> Matrix<'_, F> {
    Matrix::new(&units.rows, units.count(), units.width)
}
