//! GroCo: group ordering over views of a batch.
//!
//! Every view of every sample is an anchor once. Its positives are the sample's other views among the first `n_pos` ones, its
//! negatives the *same* view of the other samples; similarity is the cosine. Unless told otherwise the gradient flows through
//! the anchor alone.
//!
//! Source: Shvetsova, Petersen, Kukleva, Schiele, Kuehne, "Learning by sorting: self-supervised learning with group ordering
//! constraints", ICCV 2023 (arXiv 2301.02009).

use burn::config::Config;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_kernels::sorting::{Distribution, Network};

use super::group_ordering::preordered;
use super::pairs::beside_the_diagonal;
use super::sorting::sorting_quantity;
use super::views::unit_rows;
use super::{DifferentiableSortConfig, GroupOrderingLossConfig, PermutationBceLossConfig};
use crate::config::require;
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// What a positive or negative is to its anchor's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OtherSide {
    /// A constant: the gradient flows through the anchor only.
    Detached,
    /// As much a variable as the anchor.
    Tracked,
}

/// What of the order of an anchor's similarities is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderTarget {
    /// Every positive above every negative.
    Groups,
    /// Each at its own rank, negatives and positives in the order among themselves that they have already: the loss of the
    /// whole permutation, as before GroCo.
    Permutation,
}

/// Configuration of [`GroCoLoss`].
#[derive(Config, Debug)]
pub struct GroCoLossConfig {
    /// The number K of strongest negatives that count, at least 1 and less than the batch.
    #[config(default = 10)]
    pub topk_neg: usize,
    /// The number of first views that serve as positives: those of full size.
    #[config(default = 2)]
    pub n_pos: usize,
    /// What gradients the other side has.
    #[config(default = "OtherSide::Detached")]
    pub other_side: OtherSide,
    /// What order is asked for.
    #[config(default = "OrderTarget::Groups")]
    pub order: OrderTarget,
    /// Which wires are compared.
    #[config(default = "Network::OddEven")]
    pub network: Network,
    /// How far numbers are swapped.
    #[config(default = "Distribution::Cauchy")]
    pub distribution: Distribution,
    /// Steepness β, above 0.
    #[config(default = 1.0)]
    pub steepness: f64,
    /// Exponent λ of [`Distribution::LogisticPhi`], from 0 to less than 1.
    #[config(default = 0.25)]
    pub art_lambda: f64,
}

impl GroCoLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When K or the number of positive views is 0, or steepness or λ is out of its range.
    pub fn init(&self) -> Result<GroCoLoss, ConfigError> {
        require("groco", "n_pos", self.n_pos as f64, "at least 1", |n| n >= 1.0)?;
        let group = GroupOrderingLossConfig::new()
            .with_topk_neg(self.topk_neg)
            .with_sort(DifferentiableSortConfig {
                network: self.network,
                distribution: self.distribution,
                steepness: self.steepness,
                art_lambda: self.art_lambda,
            })
            .with_reduction(Reduction::Mean);
        group.init(self.n_pos)?;
        Ok(GroCoLoss {
            group,
            positives: self.n_pos,
            other_side: self.other_side,
            order: self.order,
        })
    }
}

/// The GroCo loss of views.
#[derive(Clone, Debug)]
pub struct GroCoLoss {
    group: GroupOrderingLossConfig,
    positives: usize,
    other_side: OtherSide,
    order: OrderTarget,
}

/// Norms are at least this.
const LEAST_NORM: f64 = 1e-8;
const CHECKED: &str = "checked when it was made";

impl GroCoLoss {
    /// # Shapes
    /// - views `[batch, width]` each, those of full size first; returns `[1]`.
    ///
    /// # Panics
    /// When shapes differ, a view has no positive, or a batch has too few negatives.
    pub fn forward(&self, views: &[Tensor<2>]) -> Tensor<1> {
        let first = views.first().expect("an anchor is a view");
        let [batch, width] = first.dims();
        assert!(
            batch > self.group.topk_neg,
            "a batch of {batch} has fewer than {} negatives",
            self.group.topk_neg
        );
        let units: Vec<Tensor<2>> = views
            .iter()
            .map(|view| {
                assert_eq!(view.dims(), [batch, width], "views differ in shape");
                unit_rows(view.clone(), LEAST_NORM)
            })
            .collect();
        let others: Vec<Tensor<2>> = match self.other_side {
            OtherSide::Detached => units.iter().map(|unit| unit.clone().detach()).collect(),
            OtherSide::Tracked => units.clone(),
        };
        let total = units
            .iter()
            .enumerate()
            .map(|(anchor, unit)| self.of_anchors(anchor, unit, &others))
            .reduce(|total, loss| total + loss)
            .expect("there is a view");
        total * (1.0 / views.len() as f64)
    }

    fn of_anchors(&self, anchor: usize, unit: &Tensor<2>, others: &[Tensor<2>]) -> Tensor<1> {
        let positives: Vec<Tensor<2>> = others
            .iter()
            .take(self.positives)
            .enumerate()
            .filter(|(view, _)| *view != anchor)
            .map(|(_, other)| (unit.clone() * other.clone()).sum_dim(1))
            .collect();
        assert!(
            !positives.is_empty(),
            "view {anchor} has no positive among the first views"
        );
        let count = positives.len();
        let positives = Tensor::cat(positives, 1);
        let scores = unit.clone().matmul(others[anchor].clone().transpose());
        let negatives = beside_the_diagonal(scores);
        match self.order {
            OrderTarget::Groups => {
                let loss = self.group.init(count).expect(CHECKED);
                loss.forward(positives, negatives)
            }
            OrderTarget::Permutation => {
                let loss = PermutationBceLossConfig::new()
                    .with_sort(self.group.sort.clone())
                    .with_reduction(self.group.reduction);
                let loss = loss.init(self.group.topk_neg + count).expect(CHECKED);
                loss.forward(preordered(positives, negatives, self.group.topk_neg))
            }
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        sorting_quantity(
            "groco_loss",
            "group ordering loss over views of a batch, each view once the anchor, and its gradient",
        )
        .param("topk_neg", 10.0)
        .param("n_pos", 2.0)
        .param("stop_grad", true)
        .with_example("topk_neg", 2.0)
        .input("views", "[V, B, d]")
        .eval(|case| {
            case.embeddings(&["views"])?;
            let [count, batch, width] = case.array("views").shape[..] else {
                unreachable!("three extents were declared")
            };
            if batch == 0 {
                return case.refuse_input("views", "has no samples; it must hold at least one");
            }
            let group = case.group_ordering()?;
            let n_pos = case.count("n_pos", 1)?;
            if group.topk_neg >= batch {
                let most = batch - 1;
                return case.refuse_param(
                    "topk_neg",
                    &format!("at most {most}, the other samples of the batch"),
                );
            }
            if n_pos > count {
                return case.refuse_param("n_pos", &format!("at most {count}, the number of views"));
            }
            if n_pos < 2 {
                return case.refuse_param("n_pos", "at least 2: the first view has no positive otherwise");
            }
            let loss = GroCoLossConfig::new()
                .with_topk_neg(group.topk_neg)
                .with_n_pos(n_pos)
                .with_other_side(if case.flag("stop_grad")? {
                    OtherSide::Detached
                } else {
                    OtherSide::Tracked
                })
                .with_network(group.sort.network)
                .with_distribution(group.sort.distribution)
                .with_steepness(group.sort.steepness)
                .with_art_lambda(group.sort.art_lambda)
                .init()?;
            let views = case.variable::<3>("views");
            let each: Vec<Tensor<2>> = (0..count)
                .map(|view| {
                    let view = views.clone().slice([view..view + 1, 0..batch, 0..width]);
                    view.reshape([batch, width])
                })
                .collect();
            Ok(case.value_and_gradients(loss.forward(&each), &[("views", &views)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::super::in_batch::tests::{all_gradients, assert_near, embeddings, number};
    use super::*;
    use crate::classification::rowwise::host_scores;
    use crate::classification::rowwise::tests::central_differences;

    #[test]
    fn tracked_on_both_sides_the_gradient_is_the_slope() {
        let [first, second] = embeddings([5, 5], 3, 1.0, 2, DType::F64);
        let small = second.clone().detach() * 0.5 + first.clone().detach();
        let loss = GroCoLossConfig::new()
            .with_topk_neg(3)
            .with_other_side(OtherSide::Tracked)
            .init()
            .unwrap();
        let value = |first: Tensor<2>| {
            let inner = |x: &Tensor<2>| x.clone().without_autodiff();
            let others = [inner(&second), inner(&small)];
            let [second, small] = if first.is_tracked() {
                others.map(Tensor::autodiff)
            } else {
                others
            };
            loss.forward(&[first, second, small])
        };
        let found = all_gradients(
            loss.forward(&[first.clone(), second.clone(), small.clone()]),
            &[&first],
            &[],
        );
        let numeric = central_differences(&first.without_autodiff(), value);
        assert_near(&found[1..], &[numeric], 1e-7);
    }

    #[test]
    fn a_permutation_is_asked_of_what_is_in_order_within_groups() {
        let [first, second] = embeddings([5, 5], 3, 1.0, 6, DType::F64);
        let config = GroCoLossConfig::new()
            .with_topk_neg(3)
            .with_order(OrderTarget::Permutation);
        let found = number(config.init().unwrap().forward(&[first.clone(), second.clone()]));
        let units = [first, second].map(|view| {
            let rows = host_scores(&view);
            let unit = |row: &[f64]| {
                let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                row.iter().map(|x| x / norm).collect::<Vec<f64>>()
            };
            rows.chunks(3).map(unit).collect::<Vec<_>>()
        });
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut rows = Vec::new();
        for view in 0..2 {
            for i in 0..5 {
                let unit = &units[view][i];
                let others = (0..5).filter(|&k| k != i);
                let mut negatives: Vec<f64> = others.map(|k| dot(unit, &units[view][k])).collect();
                negatives.sort_by(f64::total_cmp);
                rows.extend_from_slice(&negatives[1..]);
                rows.push(dot(unit, &units[1 - view][i]));
            }
        }
        let rows = burn::tensor::TensorData::new(rows, [10, 4]);
        let rows = Tensor::<2>::from_data(rows, (&burn::tensor::Device::flex(), DType::F64));
        let expected = PermutationBceLossConfig::new().init(4).unwrap().forward(rows);
        assert!((found - number(expected)).abs() < 1e-12);
    }

    #[test]
    fn a_detached_side_changes_the_gradient_and_not_the_value() {
        let [first, second] = embeddings([2, 2], 3, 1.0, 5, DType::F64);
        let value = |side: OtherSide| {
            let loss = GroCoLossConfig::new()
                .with_topk_neg(1)
                .with_other_side(side)
                .init()
                .unwrap();
            all_gradients(
                loss.forward(&[first.clone(), second.clone()]),
                &[&first, &second],
                &[],
            )
        };
        let (detached, tracked) = (value(OtherSide::Detached), value(OtherSide::Tracked));
        assert_eq!(detached[0], tracked[0]);
        assert!(detached[1] != tracked[1]);
    }

    #[test]
    #[should_panic(expected = "a batch of 5 has fewer than 10 negatives")]
    fn a_batch_too_small_is_refused() {
        let [first, second] = embeddings([5, 5], 3, 1.0, 2, DType::F32);
        GroCoLossConfig::new().init().unwrap().forward(&[first, second]);
    }
}
