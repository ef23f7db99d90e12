//! The contrastive losses of embeddings, through the temperature network.
//!
//! Rows are brought to unit length first, and the network sees those. On CPU floats all of it is one streamed pass
//! ([`streamed`](super::streamed)); elsewhere the tensors of all pairs are composed.

use burn::tensor::{DType, Int, Tensor, TensorData};
use thalweg_kernels::unit_rows::{normalize, project};

use super::limits::is_on_lower;
use super::loss::{Aggregate, AmclLoss, Anchors, TemperedPairs};
use super::network::AdaptiveTemperature;
use super::streamed::{Streamed, Vectors, add};
use super::weights::{WeightGradients, Weights};
use crate::bridge::{CpuFloat, CpuFloats, constant, with_gradients};
use crate::contrastive::Similarity;
use crate::contrastive::views::unit_rows;

/// A loss, and what a trainer should know beside.
#[derive(Clone, Debug)]
pub struct Tempered {
    /// The loss `[1]`.
    pub loss: Tensor<1>,
    /// Share of anchors and heads for which the temperature of the hardest negative sits on the lower limit. Nothing but that
    /// limit keeps the loss from falling then, as long as β is above their similarity.
    pub on_lower_limit: f64,
}

/// What meets: the embeddings of the rows, and who is whose negative.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a loss, and it is borrowed"
)]
pub(super) enum Meeting {
    /// Two views of the same samples.
    Views([Tensor<2>; 2]),
    /// Queries, the key of each, and negatives of all.
    Against([Tensor<2>; 3]),
}

impl AmclLoss {
    /// The loss of two views: the other view of a sample is its positive, both views of all others its negatives, those of the
    /// first view first.
    ///
    /// # Shapes
    /// - two views `[batch, heads·width]`, head after head, `width` that of the network.
    ///
    /// # Panics
    /// When the shapes differ, there are fewer than two samples, or a row is no whole number of heads.
    pub fn forward(&self, network: &AdaptiveTemperature, first: Tensor<2>, second: Tensor<2>) -> Tempered {
        assert_eq!(first.dims(), second.dims(), "two views of the same samples");
        let [batch, _] = first.dims();
        assert!(batch >= 2, "a batch of {batch} has no negatives");
        self.of(network, &Meeting::Views([first, second]))
    }

    /// The loss of queries whose keys are their positives, against negatives from elsewhere: a queue, a memory bank. The queries
    /// are the anchors, whatever the configuration says of views. Gradients reach keys and negatives unless they are detached.
    ///
    /// # Shapes
    /// - queries, keys `[batch, heads·width]`, negatives `[count, heads·width]`.
    ///
    /// # Panics
    /// When the shapes disagree, there is no query or no negative, or a row is no whole number of heads.
    pub fn forward_against(
        &self,
        network: &AdaptiveTemperature,
        queries: Tensor<2>,
        keys: Tensor<2>,
        negatives: Tensor<2>,
    ) -> Tempered {
        assert_eq!(queries.dims(), keys.dims(), "a key for each query");
        let ([batch, row], [count, negative_row]) = (queries.dims(), negatives.dims());
        assert_eq!(row, negative_row, "negatives are as wide as queries");
        assert!(
            batch > 0 && count > 0,
            "{batch} queries and {count} negatives make no loss"
        );
        self.of(network, &Meeting::Against([queries, keys, negatives]))
    }

    fn of(&self, network: &AdaptiveTemperature, meeting: &Meeting) -> Tempered {
        let tensors = meeting.tensors();
        let width = network.width();
        let [_, row] = tensors[0].dims();
        assert!(
            row > 0 && row.is_multiple_of(width),
            "embeddings of {row} numbers are no heads of {width}"
        );
        let memory: Option<Vec<CpuFloats>> = tensors.iter().map(CpuFloats::gathered).collect();
        let is_of = |dtype: DType| tensors.iter().all(|tensor| tensor.dtype() == dtype);
        match memory {
            Some(memory) if is_of(DType::F32) => self.streamed::<f32>(network, meeting, &memory),
            Some(memory) if is_of(DType::F64) => self.streamed::<f64>(network, meeting, &memory),
            _ => self.composed(network, meeting),
        }
    }

    fn streamed<F: CpuFloat>(
        &self,
        network: &AdaptiveTemperature,
        meeting: &Meeting,
        memory: &[CpuFloats],
    ) -> Tempered {
        let (tensors, width) = (meeting.tensors(), network.width());
        let [batch, row] = tensors[0].dims();
        let heads = row / width;
        let anchors = self.anchors(meeting, batch);
        let weights = Weights::<F>::of(network);
        let mut by_weights = weights.zeros();
        let streamed = Streamed {
            rule: self.rule(width as f64),
            limits: network.limits(),
            weights: &weights,
            scale: 1.0 / anchors as f64,
        };
        let mut gradients: Vec<Vec<F>> = memory
            .iter()
            .map(|of| vec![F::ZERO; of.slice::<F>().len()])
            .collect();
        let (mut value, mut on_lower) = (0.0, 0);
        for head in 0..heads {
            let columns = head * width..(head + 1) * width;
            let gather = |of: &CpuFloats| -> Vec<F> {
                let rows = of.slice::<F>().chunks_exact(row);
                rows.flat_map(|row| &row[columns.clone()]).copied().collect()
            };
            let mut units: Vec<F> = memory.iter().flat_map(gather).collect();
            let lengths = normalize(&mut units, width, Similarity::LEAST_NORM);
            let (mut by_units, found) = self.head(
                &streamed,
                meeting,
                &units,
                [anchors, batch, width],
                &mut by_weights,
            );
            value += found.0;
            on_lower += found.1;
            project(&units, width, Similarity::LEAST_NORM, &lengths, &mut by_units);
            let mut slopes = by_units.chunks_exact(width);
            for gradient in &mut gradients {
                for row in gradient.chunks_exact_mut(row) {
                    row[columns.clone()].copy_from_slice(slopes.next().expect("one a row"));
                }
            }
        }
        let like = &tensors[0];
        let loss = constant(vec![F::from_f64(value)], [1], &like.device(), like.dtype());
        Tempered {
            loss: node(loss, tensors, gradients, by_weights, network),
            on_lower_limit: on_lower as f64 / (heads * anchors) as f64,
        }
    }

    /// The gradient by the unit rows of one head, all that meets one after the other; value and anchors on the lower limit.
    fn head<F: CpuFloat>(
        &self,
        streamed: &Streamed<F>,
        meeting: &Meeting,
        units: &[F],
        [anchors, batch, width]: [usize; 3],
        by_weights: &mut WeightGradients<F>,
    ) -> (Vec<F>, (f64, usize)) {
        let mut run = |vectors: Vectors<F>| match self.config.aggregate {
            Aggregate::Max => streamed.hardest(vectors, width, by_weights),
            Aggregate::LogSumExp => streamed.softmax(vectors, width, by_weights),
        };
        match meeting {
            Meeting::Views(_) => {
                let (first, second) = units.split_at(batch * width);
                let positives = [second, first].concat();
                let mut head = run(Vectors {
                    anchors: &units[..anchors * width],
                    positives: &positives[..anchors * width],
                    negatives: units,
                    samples: Some(batch),
                });
                add(&mut head.negatives, &head.anchors);
                // The positives of the first view are the second, and the other way round.
                let (by_second, by_first) = head.positives.split_at(batch * width);
                let (of_first, of_second) = head.negatives.split_at_mut(batch * width);
                add(of_first, by_first);
                add(of_second, by_second);
                (head.negatives, (head.value, head.on_lower))
            }
            Meeting::Against(_) => {
                let (queries, others) = units.split_at(batch * width);
                let (keys, negatives) = others.split_at(batch * width);
                let head = run(Vectors {
                    anchors: queries,
                    positives: keys,
                    negatives,
                    samples: None,
                });
                let all = [head.anchors, head.positives, head.negatives].concat();
                (all, (head.value, head.on_lower))
            }
        }
    }

    fn anchors(&self, meeting: &Meeting, batch: usize) -> usize {
        match (meeting, self.config.anchors) {
            (Meeting::Views(_), Anchors::BothViews) => 2 * batch,
            (Meeting::Views(_), Anchors::FirstView) | (Meeting::Against(_), _) => batch,
        }
    }

    /// In tensor operations, on every backend.
    pub(super) fn composed(&self, network: &AdaptiveTemperature, meeting: &Meeting) -> Tempered {
        let (tensors, width) = (meeting.tensors(), network.width());
        let [batch, row] = tensors[0].dims();
        let anchors = self.anchors(meeting, batch);
        let heads = (0..row / width).map(|head| {
            let units: Vec<Tensor<2>> = tensors
                .iter()
                .map(|tensor| tensor.clone().slice_dim(1, head * width..(head + 1) * width))
                .map(|rows| unit_rows(rows, Similarity::LEAST_NORM))
                .collect();
            let (anchor, positive, negative, own) = match meeting {
                Meeting::Views(_) => {
                    let all = Tensor::cat(units.clone(), 0);
                    let other = Tensor::cat(vec![units[1].clone(), units[0].clone()], 0);
                    let of_anchors = |of: Tensor<2>| of.slice_dim(0, 0..anchors);
                    (of_anchors(all.clone()), of_anchors(other), all, Some(batch))
                }
                Meeting::Against(_) => (units[0].clone(), units[1].clone(), units[2].clone(), None),
            };
            let similarity = (anchor.clone() * positive.clone())
                .sum_dim(1)
                .reshape([1, anchors]);
            let temperature = network.paired(anchor.clone(), positive).reshape([1, anchors]);
            let between = |of: Tensor<2>| {
                let of = without_own(of, own);
                let [_, count] = of.dims();
                of.reshape([1, anchors, count])
            };
            let similarities = between(anchor.clone().matmul(negative.clone().transpose()));
            let temperatures = between(network.between(anchor, negative));
            (similarity, similarities, temperature, temperatures)
        });
        let all: Vec<_> = heads.collect();
        let of_positives = |of: fn(&HeadPairs) -> Tensor<2>| Tensor::cat(all.iter().map(of).collect(), 0);
        let of_negatives = |of: fn(&HeadPairs) -> Tensor<3>| Tensor::cat(all.iter().map(of).collect(), 0);
        let pairs = TemperedPairs {
            positive_similarity: of_positives(|head| head.0.clone()),
            negative_similarity: of_negatives(|head| head.1.clone()),
            positive_temperature: of_positives(|head| head.2.clone()),
            negative_temperature: of_negatives(|head| head.3.clone()),
        };
        let (loss, hardest) = self.with_hardest(&pairs, width as f64);
        let limits = network.limits();
        let on_lower = hardest
            .iter()
            .filter(|temperature| is_on_lower(limits, **temperature));
        Tempered {
            loss,
            on_lower_limit: on_lower.count() as f64 / hardest.len() as f64,
        }
    }
}

/// Similarity of the positives, of the negatives, and their temperatures.
type HeadPairs = (Tensor<2>, Tensor<3>, Tensor<2>, Tensor<3>);

impl Meeting {
    fn tensors(&self) -> &[Tensor<2>] {
        match self {
            Self::Views(views) => views,
            Self::Against(all) => all,
        }
    }
}

/// Each row without the columns of both views of its own sample.
fn without_own(matrix: Tensor<2>, samples: Option<usize>) -> Tensor<2> {
    let Some(samples) = samples else { return matrix };
    let [rows, columns] = matrix.dims();
    let others = |row: usize| (0..columns).filter(move |column| column % samples != row % samples);
    let places: Vec<i64> = (0..rows).flat_map(others).map(|column| column as i64).collect();
    let places = TensorData::new(places, [rows, columns - 2]);
    let places = Tensor::<2, Int>::from_data(places, &matrix.device());
    matrix.gather(1, places)
}

/// The loss with the gradients by the embeddings and by the network.
fn node<F: CpuFloat>(
    loss: Tensor<1>,
    tensors: &[Tensor<2>],
    gradients: Vec<Vec<F>>,
    by_weights: WeightGradients<F>,
    network: &AdaptiveTemperature,
) -> Tensor<1> {
    let of_tensors = tensors.iter().zip(gradients).map(|(tensor, values)| {
        let gradient = constant(values, tensor.dims(), &tensor.device(), tensor.dtype());
        (tensor.clone(), gradient)
    });
    let inputs: Vec<_> = of_tensors.chain(by_weights.beside(network)).collect();
    // Two or three tensors that meet, three or four parameters.
    match inputs.len() {
        5 => with_gradients(loss, array::<5>(inputs)),
        6 => with_gradients(loss, array::<6>(inputs)),
        _ => with_gradients(loss, array::<7>(inputs)),
    }
}

fn array<const N: usize>(inputs: Vec<(Tensor<2>, Tensor<2>)>) -> [(Tensor<2>, Tensor<2>); N] {
    let count = inputs.len();
    inputs
        .try_into()
        .unwrap_or_else(|_| panic!("{count} inputs are not {N}"))
}
