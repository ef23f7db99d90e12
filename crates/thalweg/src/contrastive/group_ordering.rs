//! Group ordering: all positives are to be more similar to their anchor than its strongest negatives.
//!
//! The K largest negatives and the P positives of an anchor, each in ascending order, go through a relaxed sorting network.
//! With `p_i` the mass of input i in the K lowest ranks, the loss is the binary cross-entropy of p with 1 for the negatives and
//! 0 for the positives, a mean over all K + P.
//!
//! Source: Shvetsova, Petersen, Kukleva, Schiele, Kuehne, "Learning by sorting: self-supervised learning with group ordering
//! constraints", ICCV 2023 (arXiv 2301.02009).

use burn::config::Config;
use burn::tensor::{Int, Tensor, TensorData};
use thalweg_kernels::rows::RowLoss;
use thalweg_kernels::sorting::RelaxedSort;

use super::score_loss::row_loss;
use super::sorting::{DifferentiableSortConfig, binary_cross_entropy, sorting_quantity};
use crate::classification::rowwise::host_scores;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// Configuration of [`GroupOrderingLoss`].
#[derive(Config, Debug)]
pub struct GroupOrderingLossConfig {
    /// The number K of strongest negatives that count, at least 1.
    #[config(default = 10)]
    pub topk_neg: usize,
    /// The relaxed sorting network.
    #[config(default = "DifferentiableSortConfig::new()")]
    pub sort: DifferentiableSortConfig,
    /// How the losses of anchors become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl GroupOrderingLossConfig {
    /// The loss for so many positives an anchor.
    ///
    /// # Errors
    /// When there is no positive, K is 0, or steepness or λ is out of its range.
    pub fn init(&self, positives: usize) -> Result<GroupOrderingLoss, ConfigError> {
        for (parameter, value) in [("topk_neg", self.topk_neg), ("positives", positives)] {
            crate::config::require("group_ordering", parameter, value as f64, "at least 1", |value| {
                value >= 1.0
            })?;
        }
        let sort = self.sort.init(self.topk_neg + positives)?;
        Ok(GroupOrderingLoss {
            sort: sort.relaxed().clone(),
            negatives: self.topk_neg,
            positives,
            reduction: self.reduction,
        })
    }
}

/// The group ordering loss of similarities.
#[derive(Clone, Debug)]
pub struct GroupOrderingLoss {
    sort: RelaxedSort,
    negatives: usize,
    positives: usize,
    reduction: Reduction,
}

impl GroupOrderingLoss {
    /// # Shapes
    /// - similarities with positives `[anchors, positives]` and with negatives `[anchors, M]`, M at least K, in any order;
    ///   returns `[1]`, or `[anchors]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When there are no anchors, too few negatives, or the shapes do not fit.
    pub fn forward(&self, positives: Tensor<2>, negatives: Tensor<2>) -> Tensor<1> {
        let ([anchors, own], [rows, others]) = (positives.dims(), negatives.dims());
        assert!(anchors > 0, "an empty batch has no loss");
        assert_eq!(
            anchors, rows,
            "positives of {anchors} anchors, negatives of {rows}"
        );
        assert_eq!(own, self.positives, "positives of each anchor");
        assert!(
            others >= self.negatives,
            "{others} negatives are fewer than the {} that count",
            self.negatives
        );
        let both = Tensor::cat(vec![negatives, positives], 1);
        row_loss(self, both, vec![0; anchors], self.reduction)
    }
}

impl RowLoss for GroupOrderingLoss {
    fn row(&self, _: usize, scores: &mut [f64], _: usize, gradient: &mut [f64]) -> f64 {
        let inputs = order_of_inputs(scores, self.positives, self.negatives);
        let mut sorted: Vec<f64> = inputs.iter().map(|&input| scores[input]).collect();
        let tape = self.sort.sort(&mut sorted);
        let count = inputs.len();
        let mut masses: Vec<f64> = (0..count)
            .map(|rank| f64::from(u8::from(rank < self.negatives)))
            .collect();
        let trail = self.sort.masses(&tape, &mut masses);
        let share = 1.0 / count as f64;
        let mut total = 0.0;
        for (input, mass) in masses.iter_mut().enumerate() {
            let (loss, slope) = binary_cross_entropy(*mass, input < self.negatives);
            total += loss;
            *mass = slope * share;
        }
        let mut by_inputs = vec![0.0; count];
        self.sort
            .reverse(&tape, &mut by_inputs, Some((&trail, &mut masses)));
        gradient.fill(0.0);
        for (input, slope) in inputs.into_iter().zip(by_inputs) {
            gradient[input] = slope;
        }
        total * share
    }
}

/// Where the inputs of a sorting network are in a row of negatives and then `positives` positives: its `count` largest
/// negatives, ascending, then its positives, ascending.
fn order_of_inputs(scores: &[f64], positives: usize, count: usize) -> Vec<usize> {
    let first_positive = scores.len() - positives;
    let ascending = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]);
    let mut inputs: Vec<usize> = (0..first_positive).collect();
    if count < first_positive {
        inputs.select_nth_unstable_by(count - 1, |a, b| ascending(b, a));
        inputs.truncate(count);
    }
    inputs.sort_by(ascending);
    let mut positives: Vec<usize> = (first_positive..scores.len()).collect();
    positives.sort_by(ascending);
    inputs.extend(positives);
    inputs
}

/// The inputs of a sorting network `[anchors, count + positives]`, from similarities as [`GroupOrderingLoss::forward`] takes
/// them.
pub(super) fn preordered(positives: Tensor<2>, negatives: Tensor<2>, count: usize) -> Tensor<2> {
    let ([anchors, own], [_, others]) = (positives.dims(), negatives.dims());
    let both = Tensor::cat(vec![negatives, positives], 1);
    let scores = host_scores(&both);
    let rows = scores.chunks(others + own);
    let places: Vec<i64> = rows
        .flat_map(|row| order_of_inputs(row, own, count))
        .map(|place| place as i64)
        .collect();
    let places = TensorData::new(places, [anchors, count + own]);
    let places = Tensor::<2, Int>::from_data(places, &both.device());
    both.gather(1, places)
}

/// How many pairs of an anchor's similarities are in the wrong order: the negative's above the positive's.
pub fn ordering_errors(positives: &[f64], negatives: &[f64]) -> usize {
    let above = |positive: &f64| negatives.iter().filter(|negative| *negative > positive).count();
    positives.iter().map(above).sum()
}

impl Case<'_> {
    /// The configuration of the sorting parameters and `topk_neg`.
    pub(super) fn group_ordering(&self) -> Result<GroupOrderingLossConfig, QuantityError> {
        Ok(GroupOrderingLossConfig::new()
            .with_topk_neg(self.count("topk_neg", 1)?)
            .with_sort(self.sort_config()?))
    }

    fn similarities_of_anchors(&self) -> Result<(), QuantityError> {
        for name in ["pos_sim", "neg_sim"] {
            self.rows_to_sort(name)?;
        }
        Ok(())
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        sorting_quantity(
            "group_ordering_loss",
            "cross-entropy of the groups of positives and strongest negatives after a relaxed sort, and its gradients",
        )
        .param("topk_neg", 10.0)
        .with_example("topk_neg", 2.0)
        .input("pos_sim", "[B, P]")
        .input("neg_sim", "[B, M]")
        .eval(|case| {
            case.similarities_of_anchors()?;
            let config = case.group_ordering()?;
            let negatives = case.array("neg_sim").shape[1];
            if config.topk_neg > negatives {
                return case.refuse_param("topk_neg", &format!("at most {negatives}, the number of negatives"));
            }
            let loss = config.init(case.array("pos_sim").shape[1])?;
            let (positives, negatives) = (case.variable::<2>("pos_sim"), case.variable::<2>("neg_sim"));
            let value = loss.forward(positives.clone(), negatives.clone());
            Ok(case.value_and_gradients(value, &[("pos_sim", &positives), ("neg_sim", &negatives)]))
        }),
        Quantity::new(
            "ordering_error_count",
            "pairs of each anchor whose negative is more similar than its positive",
        )
        .input("pos_sim", "[B, P]")
        .input("neg_sim", "[B, M]")
        .eval(|case| {
            case.similarities_of_anchors()?;
            let (positives, negatives) = (case.array("pos_sim"), case.array("neg_sim"));
            let rows = positives.data.chunks(positives.shape[1]);
            let rows = rows.zip(negatives.data.chunks(negatives.shape[1]));
            let counts: Vec<f64> = rows.map(|(p, n)| ordering_errors(p, n) as f64).collect();
            Ok(Outputs::new().with("count", counts))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;
    use thalweg_kernels::sorting::{Distribution, Network};

    use super::super::in_batch::tests::{all_gradients, embeddings, number};
    use super::*;

    fn any_config() -> impl Strategy<Value = GroupOrderingLossConfig> {
        let network = prop::sample::select(Network::ALL.to_vec());
        let distribution = prop::sample::select(Distribution::ALL.to_vec());
        (network, distribution, 0.5_f64..4.0, 1_usize..5).prop_map(
            |(network, distribution, steepness, topk)| {
                let sort = DifferentiableSortConfig::new()
                    .with_network(network)
                    .with_distribution(distribution)
                    .with_steepness(steepness);
                GroupOrderingLossConfig::new().with_sort(sort).with_topk_neg(topk)
            },
        )
    }

    /// The loss by whole permutation matrices.
    fn by_matrix(config: &GroupOrderingLossConfig, positives: &[f64], negatives: &[f64]) -> f64 {
        let mut inputs = negatives.to_vec();
        inputs.sort_by(f64::total_cmp);
        inputs.drain(..negatives.len() - config.topk_neg);
        let mut last = positives.to_vec();
        last.sort_by(f64::total_cmp);
        inputs.extend(last);
        let sort = config.sort.init(inputs.len()).unwrap();
        let (_, p) = sort.permutation(&inputs);
        let rows = p.chunks(inputs.len()).enumerate();
        let total: f64 = rows
            .map(|(input, row)| {
                let low: f64 = row[..config.topk_neg].iter().sum();
                -if input < config.topk_neg { low } else { 1.0 - low }.ln()
            })
            .sum();
        total / inputs.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn indicators_give_what_matrices_give(config in any_config(), p in 1_usize..5, more in 0_usize..5, seed in 0_u64..1000) {
            let m = config.topk_neg + more;
            let mut stream = Stream::new(seed, "similarities", 0);
            let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| 2.0 * stream.uniform() - 1.0).collect() };
            let (positives, negatives) = (draw(p), draw(m));
            let expected = by_matrix(&config, &positives, &negatives);
            let loss = config.init(p).unwrap();
            let tensor = |values: &[f64]| {
                let data = TensorData::new(values.to_vec(), [1, values.len()]);
                Tensor::<2>::from_data(data, (&Device::flex(), DType::F64)).autodiff().require_grad()
            };
            let leaves = [tensor(&positives), tensor(&negatives)];
            let found = all_gradients(loss.forward(leaves[0].clone(), leaves[1].clone()), &[&leaves[0], &leaves[1]], &[]);
            prop_assert!((found[0][0] - expected).abs() < 1e-10 * (1.0 + expected));

            let all: Vec<f64> = positives.iter().chain(&negatives).copied().collect();
            // Where similarities are all but equal, their order and with it the network's wiring may change.
            let apart = all.iter().enumerate().all(|(i, a)| all[..i].iter().all(|b| (a - b).abs() > 1e-3));
            // 1 − low of the matrix has lost the digits of a probability that is tiny, and differences of its logarithm are
            // noise: below this sum none is smaller than 1e-4.
            let inputs = config.topk_neg + p;
            let resolved = expected * (inputs as f64) < 9.2;
            prop_assume!(apart && resolved && config.sort.distribution != Distribution::Optimal);
            for (side, values) in [&positives, &negatives].into_iter().enumerate() {
                for at in 0..values.len() {
                    let moved = |step: f64| {
                        let mut both = [positives.clone(), negatives.clone()];
                        both[side][at] += step;
                        by_matrix(&config, &both[0], &both[1])
                    };
                    let numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    prop_assert!((numeric - found[side + 1][at]).abs() < 1e-5 * (1.0 + numeric.abs()), "{numeric} {}", found[side + 1][at]);
                }
            }

            let turned = |values: &[f64]| tensor(&values.iter().rev().copied().collect::<Vec<_>>());
            let again = number(loss.forward(turned(&positives), turned(&negatives)));
            prop_assert!((again - found[0][0]).abs() < 1e-12);
        }

        #[test]
        fn one_of_each_is_a_single_swap(positive in -1.0_f64..1.0, negative in -1.0_f64..1.0, steepness in 0.2_f64..5.0) {
            let sort = DifferentiableSortConfig::new().with_steepness(steepness);
            let loss = GroupOrderingLossConfig::new().with_topk_neg(1).with_sort(sort).init(1).unwrap();
            let tensor = |value: f64| Tensor::<2>::from_data([[value]], (&Device::flex(), DType::F64));
            let alpha = (steepness * (positive - negative)).atan() / std::f64::consts::PI + 0.5;
            let found = number(loss.forward(tensor(positive), tensor(negative)));
            prop_assert!((found + alpha.ln()).abs() < 1e-12);
        }
    }

    #[test]
    #[should_panic(expected = "2 negatives are fewer than the 10 that count")]
    fn too_few_negatives_are_refused() {
        let [positives, negatives] = embeddings([3, 3], 2, 1.0, 0, DType::F32);
        GroupOrderingLossConfig::new()
            .init(2)
            .unwrap()
            .forward(positives, negatives);
    }
}
