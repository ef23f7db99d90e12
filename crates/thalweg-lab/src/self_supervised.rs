//! Self-supervised trials: an encoder with a projection head, trained on views of samples under any
//! [`ViewObjective`](thalweg::objective::ViewObjective), and judged by what a linear classifier and the nearest neighbours
//! make of its features.

mod encoder;
mod evaluation;
mod nearest;
mod probe;
mod training;

pub use encoder::{Encoder, EncoderSpec};
pub use evaluation::{Judgement, Scored, judge, untrained};
pub use nearest::NearestNeighbours;
pub(crate) use nearest::unit;
pub use probe::LogisticProbe;
pub use training::{SelfSupervised, Trained, ViewedSamples, train, train_as};

use burn::tensor::{Device, Tensor, TensorData};

use crate::trial::{Part, Prepared};

/// Samples `[samples, width]`, row-major, with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Numbers of a sample.
    pub width: usize,
    /// All of them.
    pub values: Vec<f32>,
    /// The class of each sample.
    pub labels: Vec<u32>,
}

impl Samples {
    /// Those of a data set at the given rows.
    pub fn of(dataset: &thalweg_data::Dataset, rows: &[usize]) -> Self {
        Self {
            width: dataset.width(),
            values: rows.iter().flat_map(|&row| dataset.row(row)).copied().collect(),
            labels: rows.iter().map(|&row| dataset.labels[row]).collect(),
        }
    }

    /// Those of a part of prepared data, scaled as it is.
    pub fn of_part(prepared: &Prepared, part: &Part) -> Self {
        Self {
            width: prepared.dataset().width(),
            values: prepared.features(&part.rows),
            labels: part.labels.clone(),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One of them.
    pub fn row(&self, sample: usize) -> &[f32] {
        &self.values[sample * self.width..(sample + 1) * self.width]
    }
}

pub(crate) fn tensor(values: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let shape = [values.len() / width, width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn floats(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().expect("scores are floats")
}

#[cfg(test)]
mod tests;
