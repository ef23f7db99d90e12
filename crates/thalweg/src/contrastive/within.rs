//! All similarities within one set of embeddings, as a matrix: for losses that want a whole row of them at once.
//!
//! On CPU floats it is one node of burn's graph, and distances are taken by differences: embeddings that are equal are equally
//! far from all others to the last bit, and at 0 from each other, where a distance has slope 0.

use burn::tensor::{DType, Tensor};
use thalweg_kernels::distances::{squared_distances, weighted_differences};
use thalweg_kernels::matrix::{Matrix, Work, multiply, transpose};
use thalweg_kernels::unit_rows::{normalize, project};

use super::Similarity;
use crate::bridge::{CpuFloat, CpuFloats, Floats, Input, Operation, with_operation, written};

impl Similarity {
    /// The similarity of every row of `x` with every row.
    ///
    /// # Shapes
    /// - `[n, width]`; returns `[n, n]`.
    pub fn within(self, x: Tensor<2>) -> Tensor<2> {
        let shape = x.dims();
        let Some(memory) = CpuFloats::gathered(&x).filter(|_| shape[0] > 0 && shape[1] > 0) else {
            return self.matrix(x.clone(), x);
        };
        let (similarities, operation) = match memory.floats() {
            Floats::F32(rows) => self.forward(rows, shape),
            Floats::F64(rows) => self.forward(rows, shape),
        };
        with_operation(similarities, [Input::of(&x)], operation)
    }

    fn forward<F: CpuFloat>(self, given: &[F], shape: [usize; 2]) -> (CpuFloats, Within) {
        let [count, width] = shape;
        let mut rows = given.to_vec();
        let lengths = match self {
            Self::Cosine | Self::Chord => normalize(&mut rows, width, Self::LEAST_NORM),
            Self::Dot | Self::SquaredEuclidean | Self::Euclidean => Vec::new(),
        };
        let similarities = written([count, count], |out: &mut [F]| match self {
            Self::Cosine | Self::Dot => {
                let rows = Matrix::new(&rows, count, width);
                multiply(Work::Shared, out, F::ZERO, F::ONE, rows, rows.transposed());
            }
            Self::SquaredEuclidean => {
                squared_distances(&rows, width, out);
                out.iter_mut().for_each(|square| *square = -*square);
            }
            Self::Euclidean | Self::Chord => {
                squared_distances(&rows, width, out);
                out.iter_mut().for_each(|square| *square = -square.sqrt());
            }
        });
        let similarities = CpuFloats::of(&similarities).expect("it was written to memory");
        let operation = Within {
            similarity: self,
            rows: CpuFloats::new(rows, shape),
            lengths,
            similarities: similarities.clone(),
            shape,
        };
        (similarities, operation)
    }
}

/// What the way back needs.
#[derive(Clone, Debug)]
struct Within {
    similarity: Similarity,
    /// As they were compared: units where directions were.
    rows: CpuFloats,
    /// What they were divided by for it.
    lengths: Vec<f64>,
    similarities: CpuFloats,
    shape: [usize; 2],
}

impl Operation<1> for Within {
    fn backward(self, upstream: CpuFloats, [wanted]: [bool; 1]) -> [Option<CpuFloats>; 1] {
        [wanted.then(|| match upstream.dtype() {
            DType::F32 => self.slopes::<f32>(&upstream),
            _ => self.slopes::<f64>(&upstream),
        })]
    }
}

impl Within {
    fn slopes<F: CpuFloat>(&self, upstream: &CpuFloats) -> CpuFloats {
        let [count, width] = self.shape;
        let rows = self.rows.slice::<F>();
        let weights = written([count, count], |weights| {
            self.weights::<F>(upstream.slice(), weights);
        });
        let weights = CpuFloats::of(&weights).expect("it was written to memory");
        let weights = weights.slice::<F>();
        let mut slopes = vec![F::ZERO; rows.len()];
        match self.similarity {
            Similarity::Cosine | Similarity::Dot => {
                let weights = Matrix::new(weights, count, count);
                let rows = Matrix::new(rows, count, width);
                multiply(Work::Shared, &mut slopes, F::ZERO, F::ONE, weights, rows);
            }
            Similarity::SquaredEuclidean | Similarity::Euclidean | Similarity::Chord => {
                weighted_differences(rows, width, weights, &mut slopes);
            }
        }
        if !self.lengths.is_empty() {
            project(rows, width, Similarity::LEAST_NORM, &self.lengths, &mut slopes);
        }
        CpuFloats::new(slopes, self.shape)
    }

    /// How strongly each pair is drawn together: its slopes from both ends, times that of the similarity.
    fn weights<F: CpuFloat>(&self, slopes: &[F], weights: &mut [F]) {
        let [count, _] = self.shape;
        transpose(Work::Shared, slopes, count, weights, count);
        let both = weights.iter_mut().zip(slopes);
        match self.similarity {
            Similarity::Cosine | Similarity::Dot => both.for_each(|(weight, &slope)| *weight += slope),
            Similarity::SquaredEuclidean => {
                let minus_two = -(F::ONE + F::ONE);
                both.for_each(|(weight, &slope)| *weight = (*weight + slope) * minus_two);
            }
            Similarity::Euclidean | Similarity::Chord => {
                let each = both.zip(self.similarities.slice::<F>());
                each.for_each(|((weight, &slope), &similarity)| {
                    *weight = if similarity == F::ZERO {
                        F::ZERO
                    } else {
                        (*weight + slope) / similarity
                    };
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::super::in_batch::tests::{all_gradients, assert_near, embeddings};
    use super::*;

    const ALL: [Similarity; 5] = [
        Similarity::Cosine,
        Similarity::Dot,
        Similarity::SquaredEuclidean,
        Similarity::Euclidean,
        Similarity::Chord,
    ];

    /// `Σ_i≠j weight_ij s_ij` with weights that are no symmetric matrix.
    fn weighted(similarities: Tensor<2>) -> Tensor<1> {
        let [count, _] = similarities.dims();
        let weights = (0..count * count).map(|at| match at % (count + 1) {
            0 => 0.0,
            _ => ((at * 7) % 11) as f64 - 4.0,
        });
        let weights = burn::tensor::TensorData::new(weights.collect::<Vec<f64>>(), [count, count]);
        let weights = Tensor::<2>::from_data(weights, (&Device::flex(), similarities.dtype()));
        (similarities * weights).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_composed_matrix(count in 1_usize..30, width in 1_usize..40, seed in 0_u64..1000) {
            for similarity in ALL {
                let [x, _] = embeddings([count, count], width, 1.5, seed, DType::F64);
                let found = all_gradients(weighted(similarity.within(x.clone())), &[&x], &[]);
                let composed = all_gradients(weighted(similarity.matrix(x.clone(), x.clone())), &[&x], &[]);
                // In one dimension the chord is 0 or 2, and the composition's 0 is the root of a rounding.
                if width > 1 || similarity != Similarity::Chord {
                    assert_near(&found, &composed, 1e-8);
                }
            }
        }
    }

    #[test]
    fn where_two_are_equal_a_distance_has_no_slope() {
        for dtype in [DType::F32, DType::F64] {
            for similarity in [Similarity::Euclidean, Similarity::Chord] {
                let row = [0.3, 1e4, -0.7];
                let x = Tensor::<2>::from_data([row, row], (&Device::flex(), dtype));
                let x = x.autodiff().require_grad();
                let found = all_gradients(similarity.within(x.clone()).sum(), &[&x], &[]);
                assert_eq!(found, [vec![0.0], vec![0.0; 6]], "{similarity:?}");
                let composed = similarity.matrix(x.clone(), x.clone()).sum();
                assert!(
                    all_gradients(composed, &[&x], &[])[1]
                        .iter()
                        .all(|slope| slope.is_finite())
                );
            }
        }
    }

    #[test]
    fn a_strided_view_is_read_as_it_is_seen() {
        let [x, _] = embeddings([4, 4], 6, 1.0, 0, DType::F32);
        let turned = || x.clone().transpose();
        for similarity in ALL {
            let found = all_gradients(weighted(similarity.within(turned())), &[&x], &[]);
            let composed = weighted(similarity.matrix(turned(), turned()));
            assert_near(&found, &all_gradients(composed, &[&x], &[]), 1e-4);
        }
    }
}
