//! Softmaxes of similarities within a batch, streamed on CPU floats and composed everywhere else.
//!
//! `ℓ_i = −(1/|P_i|) Σ_{p ∈ P_i} log( exp(s_ip/τ_i) / Σ_j exp(s_ij/τ_i) )`, j over all candidates of anchor i, its positives
//! `P_i` among them, itself not.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Element, Int, Tensor};
use thalweg_kernels::in_batch::Pairs as Meeting;
use thalweg_kernels::in_batch::{
    Anchors, ClassPositives, Own, Slope, SoftmaxTerm, Statistics, softmax_gradients, softmax_statistics,
};
use thalweg_kernels::real::Real;

use super::pairs::Product;
use super::prepared::{Prepared, Role};
use super::{Pairs, Positives, Similarity, Temperature};
use crate::Reduction;
use crate::bridge::{CpuFloats, Floats, constant, with_gradients};

/// The loss of a similarity, whoever meets whom.
#[derive(Clone, Copy, Debug)]
pub struct InBatchSoftmax {
    /// How alike two embeddings are.
    pub similarity: Similarity,
    /// How the losses of anchors become one number; the mean is over those that have a positive, 0 where none has. Without
    /// reduction all pairs are held in memory, as they are for similarities that are no product.
    pub reduction: Reduction,
}

impl InBatchSoftmax {
    /// The loss `[1]`, or `[anchors]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the number of temperatures fits neither all anchors nor each, or one is not above 0.
    pub fn forward(&self, pairs: &Pairs, temperature: &Temperature) -> Tensor<1> {
        let (Some(product), Reduction::Mean | Reduction::Sum) = (self.similarity.product(), self.reduction)
        else {
            return self.composed(pairs, temperature);
        };
        let [left, right] = match pairs {
            Pairs::Across { queries, keys, .. } => [queries, keys],
            Pairs::Within { embeddings, .. } => [embeddings, embeddings],
            Pairs::Both { left, right } => [left, right],
        };
        if let (Some(a), Some(b)) = (CpuFloats::of(left), CpuFloats::of(right)) {
            match (a.floats(), b.floats()) {
                (Floats::F32(a), Floats::F32(b)) => {
                    return Streamed::new(self, pairs, [left, right], temperature).loss(product, [a, b]);
                }
                (Floats::F64(a), Floats::F64(b)) => {
                    return Streamed::new(self, pairs, [left, right], temperature).loss(product, [a, b]);
                }
                _ => {}
            }
        }
        self.composed(pairs, temperature)
    }

    /// By tensor operations, all pairs at once.
    pub(super) fn composed(&self, pairs: &Pairs, temperature: &Temperature) -> Tensor<1> {
        match pairs {
            Pairs::Across {
                queries,
                keys,
                positives,
            } => {
                let scores = self.similarity.matrix(queries.clone(), keys.clone());
                let positives: Vec<i64> = positives.iter().map(|&p| i64::from(p)).collect();
                self.reduction
                    .of(of_target(tempered(scores, temperature), &positives))
            }
            Pairs::Both { left, right } => {
                let scores = self.similarity.matrix(left.clone(), right.clone());
                let own: Vec<i64> = (0..pairs.anchors() as i64).collect();
                let rows = of_target(tempered(scores.clone(), temperature), &own);
                let columns = of_target(tempered(scores.transpose(), temperature), &own);
                self.reduction.of((rows + columns) * 0.5)
            }
            Pairs::Within {
                embeddings,
                positives,
            } => {
                let scores = self.similarity.matrix(embeddings.clone(), embeddings.clone());
                let count = pairs.anchors();
                let own = Tensor::<2, Bool>::diag_mask([count, count], 0, &scores.device()).bool_not();
                // Not an infinity: one alone would have no number for its softmax.
                let logits = tempered(scores, temperature).mask_fill(own.clone(), f64::from(f32::MIN) / 4.0);
                match positives {
                    Positives::One(positives) => {
                        let positives: Vec<i64> = positives.iter().map(|&p| i64::from(p)).collect();
                        self.reduction.of(of_target(logits, &positives))
                    }
                    Positives::SameClass { classes, .. } => self.of_classes(logits, own, classes),
                }
            }
        }
    }

    fn of_classes(&self, logits: Tensor<2>, own: Tensor<2, Bool>, classes: &[u32]) -> Tensor<1> {
        let count = classes.len();
        let log_p = log_softmax(logits, 1).mask_fill(own.clone(), 0.0);
        let classes: Vec<i64> = classes.iter().map(|&class| i64::from(class)).collect();
        let classes = Tensor::<1, Int>::from_ints(classes.as_slice(), &log_p.device());
        let column = classes.clone().reshape([count, 1]).repeat(&[1, count]);
        let same = column.equal(classes.reshape([1, count]).repeat(&[count, 1]));
        let same = same.float().cast(log_p.dtype()).mask_fill(own, 0.0);
        let positives = same.clone().sum_dim(1);
        let losses = -(log_p * same).sum_dim(1) / positives.clone().clamp_min(1.0);
        let losses = losses.reshape([count]);
        match self.reduction {
            Reduction::Mean => {
                let counted = positives.clamp_max(1.0).sum().clamp_min(1.0);
                losses.sum() / counted
            }
            reduction => reduction.of(losses),
        }
    }
}

/// Scores over the temperature of their row.
fn tempered(scores: Tensor<2>, temperature: &Temperature) -> Tensor<2> {
    let [anchors, _] = scores.dims();
    let temperatures = temperature.of_each(anchors, &scores);
    scores / temperatures.reshape([anchors, 1])
}

/// `−log softmax` of each row at its positive.
fn of_target(logits: Tensor<2>, positives: &[i64]) -> Tensor<1> {
    let [anchors, _] = logits.dims();
    let positives = Tensor::<1, Int>::from_ints(positives, &logits.device()).reshape([anchors, 1]);
    -log_softmax(logits, 1).gather(1, positives).reshape([anchors])
}

/// A loss on memory.
struct Streamed<'a> {
    loss: &'a InBatchSoftmax,
    pairs: &'a Pairs,
    sides: [&'a Tensor<2>; 2],
    /// One each, with the graph they come from.
    temperatures: Tensor<1>,
    values: Vec<f64>,
    learned: bool,
}

impl<'a> Streamed<'a> {
    fn new(
        loss: &'a InBatchSoftmax,
        pairs: &'a Pairs,
        sides: [&'a Tensor<2>; 2],
        temperature: &Temperature,
    ) -> Self {
        let temperatures = temperature.of_each(pairs.anchors(), sides[0]);
        let values = temperatures.clone().into_data().try_into_vec_as::<f64>();
        let values = values.expect("float tensors read as f64");
        if let Some(at) = values.iter().position(|&temperature| temperature <= 0.0) {
            panic!("temperature {} of anchor {at} is not above 0", values[at]);
        }
        Self {
            loss,
            pairs,
            sides,
            temperatures,
            values,
            learned: matches!(temperature, Temperature::Given(_)),
        }
    }

    fn loss<F: Real + Element>(&self, product: Product, memory: [&[F]; 2]) -> Tensor<1> {
        let [_, width] = self.sides[0].dims();
        let rows = Prepared::new(product, Role::Query, memory[0], width);
        let within = matches!(self.pairs, Pairs::Within { .. });
        // Units of one set are prepared once; lifted rows differ by their role.
        let one_set = within && product != Product::SquaredEuclidean;
        let columns = (!one_set).then(|| Prepared::new(product, Role::Key, memory[1], width));
        let keys = columns.as_ref().unwrap_or(&rows);
        let own: Vec<u32> = (0..self.values.len() as u32).collect();
        let positives = match self.pairs {
            Pairs::Across { positives, .. } => Some(&positives[..]),
            Pairs::Both { .. } => Some(&own[..]),
            Pairs::Within { positives, .. } => match positives {
                Positives::One(positives) => Some(&positives[..]),
                Positives::SameClass { .. } => None,
            },
        };
        let anchors = Anchors {
            temperatures: &self.values,
            positives,
        };
        let meeting = match self.pairs {
            Pairs::Within { .. } if one_set => Meeting::Within {
                vectors: rows.rows(),
                anchors,
            },
            Pairs::Within { .. } => Meeting::Across {
                queries: rows.rows(),
                keys: keys.rows(),
                anchors,
                own: Own::Excluded,
            },
            Pairs::Across { .. } => Meeting::Across {
                queries: rows.rows(),
                keys: keys.rows(),
                anchors,
                own: Own::Counted,
            },
            Pairs::Both { .. } => Meeting::Both {
                sides: [rows.rows(), keys.rows()],
                anchors: [anchors; 2],
            },
        };
        let statistics = softmax_statistics(&meeting, rows.width());
        let classes = match self.pairs {
            Pairs::Within {
                positives: Positives::SameClass { classes, count },
                ..
            } => Some(ClassPositives::new(classes, *count)),
            _ => None,
        };
        let terms = match &classes {
            None => statistics.each_ref().map(|side| self.terms(side)),
            Some(classes) => {
                let means = classes.mean_scores(rows.rows(), keys.rows(), rows.width());
                [self.terms_of_classes(&statistics[0], classes, &means), Vec::new()]
            }
        };
        let scale = self.scale(classes.as_ref());
        let total: f64 = terms.iter().flatten().map(|term| term.loss).sum();
        let (device, dtype) = (self.sides[0].device(), self.sides[0].dtype());
        let value = constant(vec![F::from_f64(total * scale)], [1], &device, dtype);
        let tracked = self.sides.iter().any(|side| side.is_tracked()) || self.temperatures.is_tracked();
        if !tracked {
            return value;
        }

        let slopes = terms.each_ref().map(|terms| {
            let scaled = |term: &SoftmaxTerm| Slope {
                positive: scale * term.slope.positive,
                others: scale * term.slope.others,
            };
            terms.iter().map(scaled).collect::<Vec<_>>()
        });
        let mut gradients = softmax_gradients(&meeting, rows.width(), &statistics, &slopes);
        if let Some(classes) = &classes {
            let slopes: Vec<f64> = slopes[0].iter().map(|slope| slope.positive).collect();
            let [by_queries, by_keys] = &mut gradients;
            classes.add_by_queries(keys.rows(), rows.width(), &slopes, by_queries);
            let by_keys = if one_set { by_queries } else { by_keys };
            classes.add_by_keys(rows.rows(), rows.width(), &slopes, by_keys);
        }
        let [by_rows, by_columns] = gradients;
        let mut by_rows = rows.back(by_rows);
        let by_columns = columns.map(|columns| columns.back(by_columns));
        let as_tensor = |values: Vec<F>| {
            let count = values.len() / width;
            constant::<2, F>(values, [count, width], &device, dtype)
        };
        let temperatures = self.learned.then(|| {
            let each = (0..self.values.len()).map(|anchor| {
                let of_side =
                    |terms: &Vec<SoftmaxTerm>| terms.get(anchor).map_or(0.0, |term| term.temperature);
                F::from_f64(scale * terms.iter().map(of_side).sum::<f64>())
            });
            let shape = [1, self.values.len()];
            (
                self.temperatures.clone().unsqueeze::<2>(),
                constant::<2, F>(each.collect(), shape, &device, dtype),
            )
        });
        let [left, right] = self.sides.map(Clone::clone);
        let by_columns = match by_columns {
            Some(by_columns) if within => {
                by_rows
                    .iter_mut()
                    .zip(by_columns)
                    .for_each(|(sum, more)| *sum += more);
                None
            }
            by_columns => by_columns,
        };
        let left = (left, as_tensor(by_rows));
        match (by_columns, temperatures) {
            (None, None) => with_gradients(value, [left]),
            (None, Some(temperatures)) => with_gradients(value, [left, temperatures]),
            (Some(by_columns), None) => with_gradients(value, [left, (right, as_tensor(by_columns))]),
            (Some(by_columns), Some(temperatures)) => {
                with_gradients(value, [left, (right, as_tensor(by_columns)), temperatures])
            }
        }
    }

    fn terms(&self, statistics: &[Statistics]) -> Vec<SoftmaxTerm> {
        let each = statistics.iter().zip(&self.values);
        each.map(|(statistics, &temperature)| statistics.info_nce(temperature))
            .collect()
    }

    fn terms_of_classes(
        &self,
        statistics: &[Statistics],
        classes: &ClassPositives,
        means: &[f64],
    ) -> Vec<SoftmaxTerm> {
        let each = statistics.iter().zip(&self.values).zip(means).enumerate();
        each.map(|(anchor, ((statistics, &temperature), &mean))| {
            let slope = 1.0 / temperature;
            match classes.count(anchor) {
                0 => SoftmaxTerm::default(),
                _ => SoftmaxTerm {
                    loss: statistics.log_sum_exp(temperature) - mean * slope,
                    slope: Slope {
                        positive: -slope,
                        others: slope,
                    },
                    temperature: -slope * slope * (statistics.mean() - mean),
                },
            }
        })
        .collect()
    }

    /// Factor of the sum of all terms.
    fn scale(&self, classes: Option<&ClassPositives>) -> f64 {
        let anchors = self.values.len();
        let counted = classes.map_or(anchors, |classes| {
            (0..anchors).filter(|&anchor| classes.count(anchor) > 0).count()
        });
        let scale = self.loss.reduction.scale(counted.max(1));
        match self.pairs {
            Pairs::Both { .. } => 0.5 * scale,
            Pairs::Across { .. } | Pairs::Within { .. } => scale,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
