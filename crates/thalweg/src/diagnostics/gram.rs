//! The second moments of embeddings that are streamed by: `Σ z zᵀ` in f64 from blocks of rows of either float type, never
//! more of them in memory than one block.
//!
//! The square roots of the eigenvalues of ZᵀZ are the singular values of Z. In f64 those down to 1e-8 of the largest are
//! told from rounding, which is all that [RankMe](super::RankMe) can see: smaller ones add less than 1e-6. Moments are
//! gathered about the mean of the first block, so that the covariance of features far from 0 keeps its digits. Fewer
//! samples than features have the smaller Z Zᵀ instead.

use faer::{Mat, MatRef, Side};
use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::real::Real;

use super::DiagnosticError;
use super::embeddings::{check_finite, mean};

/// Rows of a block, unless there are more features.
const BLOCK: usize = 1024;

/// Second moments in the making.
#[derive(Clone, Debug)]
pub struct Gram {
    width: usize,
    samples: usize,
    /// What rows are taken relative to; empty until the first block is full.
    shift: Vec<f64>,
    /// Sum of the shifted rows that are no longer pending.
    sum: Vec<f64>,
    /// Sum of their outer products `[width, width]`; empty until the first block is full.
    products: Vec<f64>,
    pending: Vec<f64>,
}

impl Gram {
    /// Of embeddings of so many features.
    ///
    /// # Panics
    /// When there are none.
    pub fn new(width: usize) -> Self {
        assert!(width > 0, "an embedding has a feature");
        Self {
            width,
            samples: 0,
            shift: Vec::new(),
            sum: vec![0.0; width],
            products: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Takes further rows in.
    ///
    /// # Errors
    /// When rows are not whole or a number is not finite.
    pub fn push<F: Real>(&mut self, rows: &[F]) -> Result<(), DiagnosticError> {
        let width = self.width;
        if !rows.len().is_multiple_of(width) {
            return Err(DiagnosticError::Ragged {
                found: rows.len(),
                width,
            });
        }
        let capacity = BLOCK.max(width) * width;
        let mut rest = rows;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(capacity - self.pending.len()));
            let start = self.pending.len();
            self.pending.extend(now.iter().map(|value| value.to_f64()));
            check_finite(&self.pending[start..], width, self.samples)?;
            self.samples += now.len() / width;
            rest = later;
            if self.pending.len() == capacity {
                self.absorb();
            }
        }
        Ok(())
    }

    fn absorb(&mut self) {
        let width = self.width;
        if self.products.is_empty() {
            self.shift = mean(&self.pending, width);
            self.products = vec![0.0; width * width];
        }
        for row in self.pending.chunks_exact_mut(width) {
            for ((value, shift), sum) in row.iter_mut().zip(&self.shift).zip(&mut self.sum) {
                *value -= shift;
                *sum += *value;
            }
        }
        let block = Matrix::new(&self.pending, self.pending.len() / width, width);
        multiply(
            Work::Shared,
            &mut self.products,
            1.0,
            1.0,
            block.transposed(),
            block,
        );
        self.pending.clear();
    }

    /// The moments of all rows.
    ///
    /// # Errors
    /// When there is no row, or squares overflow.
    pub fn finish(mut self) -> Result<Moments, DiagnosticError> {
        let (width, samples) = (self.width, self.samples);
        if samples == 0 {
            return Err(DiagnosticError::Empty);
        }
        let moments = if samples < width {
            let mean = mean(&self.pending, width);
            for row in self.pending.chunks_exact_mut(width) {
                row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
            }
            let rows = Matrix::new(&self.pending, samples, width);
            let mut scatter = vec![0.0; samples * samples];
            multiply(Work::Shared, &mut scatter, 0.0, 1.0, rows, rows.transposed());
            Moments {
                samples,
                mean,
                scatter,
                centred: Some(self.pending),
            }
        } else {
            if !self.pending.is_empty() {
                self.absorb();
            }
            let share = 1.0 / samples as f64;
            let rows = self.products.chunks_exact_mut(width);
            for (row, by) in rows.zip(&self.sum) {
                row.iter_mut()
                    .zip(&self.sum)
                    .for_each(|(cell, with)| *cell -= share * by * with);
            }
            let mean = self
                .shift
                .iter()
                .zip(&self.sum)
                .map(|(shift, sum)| shift + share * sum);
            Moments {
                samples,
                mean: mean.collect(),
                scatter: self.products,
                centred: None,
            }
        };
        let finite = moments
            .scatter
            .iter()
            .chain(&moments.mean)
            .all(|value| value.is_finite());
        if finite {
            Ok(moments)
        } else {
            Err(DiagnosticError::Overflow)
        }
    }
}

/// The first and second moments of embeddings.
#[derive(Clone, Debug)]
pub struct Moments {
    samples: usize,
    mean: Vec<f64>,
    /// About the mean: `[width, width]`, or of fewer samples than features `[samples, samples]`.
    scatter: Vec<f64>,
    /// The centred rows, where there are fewer than features.
    centred: Option<Vec<f64>>,
}

/// The directions in which embeddings vary.
#[derive(Clone, Debug)]
pub struct PrincipalComponents {
    /// Eigenvalues of the covariance, descending, `min(samples, width)` of them.
    pub variances: Vec<f64>,
    /// Unit vectors of the first ones, as many as were asked for and have any variance.
    pub axes: Vec<Vec<f64>>,
}

impl Moments {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Mean of each feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    fn side(&self) -> usize {
        self.samples.min(self.width())
    }

    /// The `min(samples, width)` singular values of the embeddings, neither centred nor normalised, descending.
    pub fn singular_values(&self) -> Vec<f64> {
        let side = self.side();
        let (samples, mean) = (self.samples as f64, &self.mean);
        // ZᵀZ = S + n μ μᵀ; with C the centred rows, Z Zᵀ = C Cᵀ + 1 (Cμ)ᵀ + (Cμ) 1ᵀ + |μ|².
        let product = match &self.centred {
            None => Mat::from_fn(side, side, |i, j| {
                self.scatter[i * side + j] + samples * mean[i] * mean[j]
            }),
            Some(rows) => {
                let along: Vec<f64> = rows.chunks_exact(mean.len()).map(|row| dot(row, mean)).collect();
                let square = dot(mean, mean);
                Mat::from_fn(side, side, |i, j| {
                    self.scatter[i * side + j] + along[i] + along[j] + square
                })
            }
        };
        let eigenvalues = product.self_adjoint_eigenvalues(Side::Lower).expect(CONVERGES);
        eigenvalues
            .into_iter()
            .rev()
            .map(|value| value.max(0.0).sqrt())
            .collect()
    }

    /// Eigenvalues of the covariance, divided by `samples − 1`, and the first `count` axes.
    ///
    /// # Errors
    /// When there is one sample only.
    pub fn principal_components(&self, count: usize) -> Result<PrincipalComponents, DiagnosticError> {
        if self.samples < 2 {
            return Err(DiagnosticError::OneSample);
        }
        let side = self.side();
        let scatter = MatRef::from_row_major_slice(&self.scatter, side, side);
        let decomposed = scatter.self_adjoint_eigen(Side::Lower).expect(CONVERGES);
        let (vectors, values) = (decomposed.U(), decomposed.S().column_vector());
        let largest = values[side - 1].max(0.0);
        let scale = 1.0 / (self.samples - 1) as f64;
        let axis = |k: usize| -> Vec<f64> {
            let vector: Vec<f64> = (0..side).map(|i| vectors[(i, k)]).collect();
            let mut axis = match &self.centred {
                None => vector,
                Some(rows) => {
                    let mut axis = vec![0.0; self.width()];
                    for (row, weight) in rows.chunks_exact(self.width()).zip(&vector) {
                        axis.iter_mut()
                            .zip(row)
                            .for_each(|(axis, value)| *axis += weight * value);
                    }
                    axis
                }
            };
            // The sign is free: the largest component is positive.
            let peak = axis.iter().fold(
                0.0_f64,
                |peak, &value| if value.abs() > peak.abs() { value } else { peak },
            );
            let length = dot(&axis, &axis).sqrt().copysign(peak);
            axis.iter_mut().for_each(|value| *value /= length);
            axis
        };
        let descending = (0..side).rev();
        let varying = descending.clone().filter(|&k| values[k] > 1e-14 * largest);
        Ok(PrincipalComponents {
            variances: descending.map(|k| scale * values[k].max(0.0)).collect(),
            axes: varying.take(count).map(axis).collect(),
        })
    }

    /// `Σ_i ((z_i − μ)·v)²` for a direction v.
    pub(super) fn scatter_along(&self, direction: &[f64]) -> f64 {
        match &self.centred {
            Some(rows) => rows
                .chunks_exact(self.width())
                .map(|row| dot(row, direction).powi(2))
                .sum(),
            None => {
                let rows = self.scatter.chunks_exact(self.width());
                rows.zip(direction)
                    .map(|(row, weight)| weight * dot(row, direction))
                    .sum()
            }
        }
    }
}

const CONVERGES: &str = "the decomposition of a symmetric matrix of finite numbers converges";

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests;
