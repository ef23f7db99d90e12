//! Embeddings of which a step touches only the rows it looked up.
//!
//! burn's own embedding has a gradient of the size of its table, which over a large vocabulary would cost more than all else.

use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg_kernels::random::Stream;

use super::uniform_weights;
use crate::bridge::class_indices;

/// A table of embeddings in f32, trained by plain SGD on the rows that were looked up.
#[derive(Clone, Debug)]
pub struct EmbeddingRows {
    rows: Vec<f32>,
    width: usize,
}

impl EmbeddingRows {
    /// `entries` embeddings of the given width, uniform in `±1/√width`.
    ///
    /// # Panics
    /// When the width is 0.
    pub fn new(entries: usize, width: usize, seed: u64) -> Self {
        assert!(width > 0, "an embedding has at least one number");
        let mut stream = Stream::new(seed, "embedding", 0);
        Self {
            rows: uniform_weights(&mut stream, width, entries * width),
            width,
        }
    }

    /// The embeddings of `ids`, a leaf of the graph whose gradient is to be handed to [`descend`](Self::descend).
    ///
    /// # Shapes
    /// - ids `[batch, context]`; returns `[batch, context·width]`, on the given device, which is to be one of autodiff.
    ///
    /// # Panics
    /// When an id is no entry.
    pub fn look_up(&self, ids: &Tensor<2, Int>, device: &Device) -> Tensor<2> {
        let [batch, context] = ids.dims();
        let ids = class_indices(ids.clone().reshape([batch * context]));
        let mut found = Vec::with_capacity(ids.len() * self.width);
        for &id in &ids {
            found.extend_from_slice(&self.rows[id as usize * self.width..(id as usize + 1) * self.width]);
        }
        Tensor::from_data(TensorData::new(found, [batch, context * self.width]), device).require_grad()
    }

    /// `row ← row − learning_rate·gradient` for each id; of one that occurs more than once, for all of them.
    ///
    /// # Shapes
    /// - ids and gradient as they were looked up.
    ///
    /// # Panics
    /// When the shapes disagree or an id is no entry.
    pub fn descend(&mut self, ids: &Tensor<2, Int>, gradient: Tensor<2>, learning_rate: f64) {
        let [batch, context] = ids.dims();
        assert_eq!(
            gradient.dims(),
            [batch, context * self.width],
            "one gradient an id"
        );
        let ids = class_indices(ids.clone().reshape([batch * context]));
        let gradient = gradient
            .into_data()
            .try_into_vec_as::<f32>()
            .expect("gradients are floats");
        for (&id, gradient) in ids.iter().zip(gradient.chunks_exact(self.width)) {
            let row = &mut self.rows[id as usize * self.width..(id as usize + 1) * self.width];
            for (weight, &slope) in row.iter_mut().zip(gradient) {
                *weight -= learning_rate as f32 * slope;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_looked_up_descend_and_no_others() {
        let device = Device::flex().autodiff();
        let mut table = EmbeddingRows::new(5, 2, 0);
        let start = table.rows.clone();
        let ids = Tensor::<2, Int>::from_ints([[1, 3], [3, 3]], &device);
        let found = table.look_up(&ids, &device);
        let loss = (found.clone()
            * Tensor::from_floats([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], &device))
        .sum();
        let gradient = found.grad(&loss.backward()).unwrap();
        table.descend(&ids, gradient, 0.5);
        let expected = [0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 7.5, 9.0, 0.0, 0.0];
        for ((row, start), step) in table.rows.iter().zip(&start).zip(expected) {
            assert!((start - row - step).abs() < 1e-5);
        }
    }
}
