//! The digits: 500 to train on, of every class in proportion, with a fifth of the labels drawn at random; the rest to test.

use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg_data::split::{Fractions, stratified};
use thalweg_kernels::random::Stream;

use crate::LabError;

const TRAINING: f64 = 500.0;
/// Share of the training labels that are replaced by any label.
const NOISE: f64 = 0.2;

/// Whether training labels are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    Noisy,
    Clean,
}

/// Rows and labels.
pub(super) struct Part {
    features: Vec<f32>,
    width: usize,
    labels: Vec<u32>,
}

pub(super) struct Problem {
    pub train: Part,
    pub test: Part,
    pub classes: usize,
}

impl Part {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Inputs `[rows, width]` and targets of some rows, the inputs of the device's float type.
    pub fn batch(&self, rows: &[usize], device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let features: Vec<f32> = rows
            .iter()
            .flat_map(|&row| &self.features[row * self.width..][..self.width])
            .copied()
            .collect();
        let labels: Vec<i64> = rows.iter().map(|&row| i64::from(self.labels[row])).collect();
        (
            Tensor::from_data(TensorData::new(features, [rows.len(), self.width]), device),
            Tensor::from_data(TensorData::new(labels, [rows.len()]), device),
        )
    }

    /// All of it.
    pub fn whole(&self, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        self.batch(&(0..self.len()).collect::<Vec<_>>(), device)
    }
}

impl Problem {
    pub fn new(labels: Labels, seed: u64) -> Result<Self, LabError> {
        let digits = thalweg_data::digits();
        let fractions = Fractions {
            validation: 0.0,
            test: 1.0 - TRAINING / digits.len() as f64,
        };
        let split = stratified(&digits.labels, &digits.classes, fractions, seed)?;
        let part = |rows: &[usize]| Part {
            features: rows.iter().flat_map(|&row| digits.row(row)).copied().collect(),
            width: digits.width(),
            labels: rows.iter().map(|&row| digits.labels[row]).collect(),
        };
        let (mut train, test) = (part(&split.train), part(&split.test));
        let classes = digits.classes.len();
        if labels == Labels::Noisy {
            let mut stream = Stream::new(seed, "replaced labels", 0);
            let mut order: Vec<usize> = (0..train.len()).collect();
            stream.shuffle(&mut order);
            for &row in &order[..(NOISE * train.len() as f64).round() as usize] {
                train.labels[row] = stream.below(classes) as u32;
            }
        }
        Ok(Self { train, test, classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_labels_is_drawn_at_random() {
        let (noisy, clean) = (
            Problem::new(Labels::Noisy, 3).unwrap(),
            Problem::new(Labels::Clean, 3).unwrap(),
        );
        assert!((495..=505).contains(&clean.train.len()), "{}", clean.train.len());
        assert_eq!(clean.train.len() + clean.test.len(), thalweg_data::digits().len());
        assert_eq!(clean.test.labels, noisy.test.labels);
        assert_eq!(clean.train.features, noisy.train.features);
        let pairs = clean.train.labels.iter().zip(&noisy.train.labels);
        let changed = pairs.filter(|(a, b)| a != b).count();
        // One in ten of the hundred is drawn as it was.
        assert!((75..=100).contains(&changed), "{changed}");
    }
}
