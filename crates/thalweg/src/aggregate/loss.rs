//! Losses of samples whose targets are known as means of bags: bag-level, instance-level, and between.
//!
//! `L_bag = (1/m) Σ_a ℓ(ȳ_a, f̄_a)` compares each bag's mean prediction with its mean target, `L_ins = (1/n) Σ_i ℓ(ȳ_{a(i)},
//! f_i)` each single prediction; `L_ρ = (1−ρ) L_bag + ρ L_ins`. For the squared loss and equal bags L_ins is L_bag plus the
//! variance within bags, so that ρ is the weight of a regulariser that draws predictions of a bag together.
//! For cross-entropy the mean prediction is the mean *probability*; it is computed by log-sum-exp and never 0.
//!
//! Source: Javanmard, Chen, Mirrokni, Badanidiyuru, Fu, "Learning from Aggregate responses: Instance Level versus Bag Level
//! Loss Functions", ICLR 2024.

use burn::config::Config;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

use super::levels::Sums;
use super::{Bags, SOURCE, bags};
use crate::bridge::{constant, with_gradients};
use crate::config::require;
use crate::objective::{
    Batch, Build, Descend, GradientObjective, Needs, ObjectiveEntry, Parameter, Progress, Scale,
    ScoreGradient,
};
use crate::quantity::{Case, Outputs, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// How a prediction is compared with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointLoss {
    /// `(f − y)²`, summed over the columns.
    Squared,
    /// Cross-entropy to the shares of classes. One column: the logit of the share. More: logits of the classes.
    CrossEntropy,
}

/// Configuration of [`AggregateLoss`].
#[derive(Config, Debug)]
pub struct AggregateLossConfig {
    /// Weight ρ of the instance-level loss, in `[0, 1]`; 0 is bag-level.
    #[config(default = 0.5)]
    pub rho: f64,
    /// How bags and samples become one number. [`Reduction::None`] is for ρ of 0 or 1: a number for each bag or sample.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl AggregateLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When ρ is not in `[0, 1]`, or strictly between with no reduction.
    pub fn init(&self) -> Result<AggregateLoss, ConfigError> {
        let (accepted, between) = match self.reduction {
            Reduction::None => ("0 or 1 where nothing is reduced", false),
            _ => ("from 0 to 1", true),
        };
        let rho = require("aggregate_loss", "rho", self.rho, accepted, |rho| {
            rho == 0.0 || rho == 1.0 || between && (0.0..=1.0).contains(&rho)
        })?;
        Ok(AggregateLoss {
            rho,
            reduction: self.reduction,
        })
    }
}

/// The loss. In a training loop of a trainer: [`Descend`]`(AggregateLoss)`.
#[derive(Clone, Copy, Debug)]
pub struct AggregateLoss {
    rho: f64,
    reduction: Reduction,
}

impl AggregateLoss {
    /// # Shapes
    /// - predictions `[n, columns]`, bag means `[m, columns]`; returns `[1]`, or `[m]` or `[n]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the shapes disagree with the bags, or a share for [`PointLoss::CrossEntropy`] is not in `[0, 1]`.
    pub fn forward(
        &self,
        predictions: Tensor<2>,
        means: &Tensor<2>,
        bags: &Bags,
        point_loss: PointLoss,
    ) -> Tensor<1> {
        let ScoreGradient { value, gradient } = self.answer(&predictions, means, bags, point_loss);
        if self.reduction == Reduction::None && self.rho == 0.0 {
            return by_bag(value, predictions, gradient, bags);
        }
        with_gradients(value, [(predictions, gradient)])
    }

    fn answer(
        &self,
        predictions: &Tensor<2>,
        means: &Tensor<2>,
        bags: &Bags,
        point_loss: PointLoss,
    ) -> ScoreGradient {
        let [n, columns] = predictions.dims();
        assert_eq!(
            n,
            bags.samples(),
            "{n} predictions for {} samples",
            bags.samples()
        );
        assert_eq!(
            means.dims(),
            [bags.len(), columns],
            "means of {} bags and {columns} columns are needed",
            bags.len()
        );
        let host = |tensor: &Tensor<2>| {
            let data = tensor.clone().without_autodiff().into_data();
            data.try_into_vec_as::<f64>().expect("float tensors read as f64")
        };
        let (predictions_host, means_host) = (host(predictions), host(means));
        let sums = Sums {
            bags,
            columns,
            predictions: &predictions_host,
            means: &means_host,
        };
        let by_bag = sums.bag_level(point_loss);
        let by_sample = sums.instance_level(point_loss);
        let (device, dtype) = (predictions.device(), predictions.dtype());
        let (bag_scale, sample_scale) = (
            (1.0 - self.rho) * self.reduction.scale(bags.len()),
            self.rho * self.reduction.scale(n),
        );
        let gradient: Vec<f64> = by_bag
            .gradient
            .iter()
            .zip(&by_sample.gradient)
            .map(|(bag, sample)| bag_scale * bag + sample_scale * sample)
            .collect();
        let values = match self.reduction {
            Reduction::None if self.rho == 0.0 => by_bag.losses,
            Reduction::None => by_sample.losses,
            _ => {
                let total = |losses: &[f64]| losses.iter().sum::<f64>();
                vec![bag_scale * total(&by_bag.losses) + sample_scale * total(&by_sample.losses)]
            }
        };
        let count = values.len();
        ScoreGradient {
            value: constant(values, [count], &device, dtype),
            gradient: constant(gradient, [n, columns], &device, dtype),
        }
    }
}

impl GradientObjective for AggregateLoss {
    fn needs(&self) -> Needs {
        Needs {
            bag_means: true,
            ..Needs::default()
        }
    }

    fn score_gradient(
        &mut self,
        scores: Tensor<2>,
        batch: &Batch,
        _: &Progress,
        _: &mut Stream,
    ) -> ScoreGradient {
        let labels = batch
            .bags
            .as_ref()
            .expect("an aggregate loss is trained on bags with known means");
        self.answer(&scores, &labels.means, &labels.bags, labels.point_loss)
    }
}

/// Values `[m]` that each depend on the rows of their bag, which is neither one value nor one for each row: the sum over
/// a bag of `⟨f − detach(f), g⟩` is 0 and has the gradient.
fn by_bag(value: Tensor<1>, predictions: Tensor<2>, gradient: Tensor<2>, bags: &Bags) -> Tensor<1> {
    let carrier = (predictions.clone() - predictions.detach()) * gradient;
    let rows = carrier.sum_dim(1).reshape([bags.samples()]);
    let index: Vec<i64> = bags.index().iter().map(|&bag| bag as i64).collect();
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [bags.samples()]), &rows.device());
    let value = Tensor::from_inner(value);
    value.select_assign(0, index, rows, IndexingUpdateOp::Add)
}

/// `(1/n) Σ_i (f_i − f̄_{a(i)})²` of predictions `[n]`.
///
/// # Panics
/// When there are not `n` predictions.
pub fn within_bag_variance(predictions: &[f64], bags: &Bags) -> f64 {
    let means = bags.means(predictions, 1);
    let gaps = predictions.iter().zip(bags.index());
    gaps.map(|(f, &bag)| (f - means[bag]).powi(2)).sum::<f64>() / bags.samples() as f64
}

pub(super) fn objectives() -> Vec<ObjectiveEntry> {
    let interpolating = ObjectiveEntry {
        name: "interpolating_aggregate",
        title: "Between bag and instance level",
        family: "aggregate",
        formula: "ℓ = (1−ρ)/m Σ_a ℓ(ȳ_a, f̄_a) + ρ/n Σ_i ℓ(ȳ_{a(i)}, f_i)",
        shapes: "predictions [samples, columns], bag means [bags, columns], bags → [1]",
        good_for: &[
            "targets known as means of bags",
            "label proportions",
            "private labels",
        ],
        cost: "a pass over the predictions",
        when: "Only means of groups are known, and how much to draw a group together is left to validation.",
        when_not: "Every sample has a target of its own: any other objective uses it.",
        source: SOURCE,
        parameters: vec![Parameter {
            name: "rho",
            meaning: "weight ρ of the instance level; 0: bag, 1: instance",
            default: 0.5,
            range: (0.0, 1.0),
            scale: Scale::Linear,
        }],
        rust: "AggregateLossConfig::new().with_rho({rho}).init()?",
        path: "thalweg::aggregate::AggregateLossConfig",
        build: Build::Scores(|value| {
            let config = AggregateLossConfig::new().with_rho(value("rho"));
            Ok(Box::new(Descend(config.init()?)))
        }),
    };
    vec![
        ObjectiveEntry {
            name: "bag_level",
            title: "Bag-level loss",
            formula: "ℓ = (1/m) Σ_a ℓ(ȳ_a, f̄_a),  f̄_a the mean prediction of bag a",
            when: "Only means of groups are known, groups are small or signals strong.",
            parameters: Vec::new(),
            rust: "AggregateLossConfig::new().with_rho(0.0).init()?",
            build: Build::Scores(|_| {
                Ok(Box::new(Descend(
                    AggregateLossConfig::new().with_rho(0.0).init()?,
                )))
            }),
            ..interpolating.clone()
        },
        ObjectiveEntry {
            name: "instance_level",
            title: "Instance-level loss",
            formula: "ℓ = (1/n) Σ_i ℓ(ȳ_{a(i)}, f_i)",
            when: "Only means of groups are known, and there is more noise than signal in them.",
            parameters: Vec::new(),
            rust: "AggregateLossConfig::new().with_rho(1.0).init()?",
            build: Build::Scores(|_| {
                Ok(Box::new(Descend(
                    AggregateLossConfig::new().with_rho(1.0).init()?,
                )))
            }),
            ..interpolating.clone()
        },
        interpolating,
    ]
}

pub(super) fn quantities() -> Vec<Quantity> {
    let at_level =
        |name, meaning, rho| with_inputs(Quantity::new(name, meaning)).eval(move |case| evaluate(case, rho));
    vec![
        at_level(
            "bag_level_loss",
            "mean over bags of the loss of the mean prediction (probability) against the mean target",
            0.0,
        ),
        at_level(
            "instance_level_loss",
            "mean over samples of the loss of each prediction against the mean target of its bag",
            1.0,
        ),
        with_inputs(
            Quantity::new(
                "interpolating_loss",
                "(1 − ρ) times the bag-level plus ρ times the instance-level loss",
            )
            .param("rho", 0.5),
        )
        .eval(|case| evaluate(case, case.param("rho")?)),
        Quantity::new(
            "within_bag_variance",
            "mean squared distance of predictions from their bag's mean",
        )
        .input("predictions", "[n]")
        .input("bag_index", "[n]")
        .with_example("bag_index", vec![1.0, 0.0, 1.0])
        .eval(|case| {
            let bags = bags::of_case(case)?;
            let variance = within_bag_variance(&case.array("predictions").data, &bags);
            Ok(Outputs::new().with("value", variance))
        }),
    ]
}

fn with_inputs(quantity: Quantity) -> Quantity {
    quantity
        .param("point_loss", "squared")
        .param("reduction", "mean")
        .input("predictions", "[n]")
        .input("bag_means", "[m]")
        .input("bag_index", "[n]")
        .with_example("bag_means", vec![0.25, 0.75])
        .with_example("bag_index", vec![1.0, 0.0, 1.0])
}

fn evaluate(case: &Case, rho: f64) -> Result<Outputs, QuantityError> {
    let choices = [
        ("squared", PointLoss::Squared),
        ("cross_entropy", PointLoss::CrossEntropy),
    ];
    let point_loss = case.choice("point_loss", &choices)?;
    let config = AggregateLossConfig::new().with_rho(rho);
    let loss = config.with_reduction(case.reduction()?).init()?;
    let bags = bags::with_means(case)?;
    let means = &case.array("bag_means").data;
    let no_share = means.iter().position(|share| !(0.0..=1.0).contains(share));
    if let (PointLoss::CrossEntropy, Some(at)) = (point_loss, no_share) {
        let problem = format!("holds {} at index {at}; shares are from 0 to 1", means[at]);
        return case.refuse_input("bag_means", problem);
    }
    let predictions = case.variable::<1>("predictions");
    let column = predictions.clone().unsqueeze_dim(1);
    let means: Tensor<2> = case.tensor::<1>("bag_means").unsqueeze_dim(1);
    let value = loss.forward(column, &means, &bags, point_loss);
    Ok(case.value_and_gradients(value, &[("predictions", &predictions)]))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::*;

    /// Predictions, means of equal bags of `size`, and the bags.
    fn batch(size: usize, columns: usize) -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Bags)> {
        (1..6_usize).prop_flat_map(move |bags| {
            let n = bags * size;
            let predictions = proptest::collection::vec(-4.0..4.0_f64, n * columns);
            let means = proptest::collection::vec(0.0..1.0_f64, bags);
            (predictions, means).prop_map(move |(predictions, means)| {
                let means = match columns {
                    1 => means,
                    _ => means.iter().flat_map(|&share| [share, 1.0 - share]).collect(),
                };
                (
                    predictions,
                    means,
                    Bags::new((0..n).map(|i| i % bags).collect()).unwrap(),
                )
            })
        })
    }

    fn evaluated(
        rho: f64,
        columns: usize,
        point_loss: PointLoss,
        (predictions, means, bags): &(Vec<f64>, Vec<f64>, Bags),
    ) -> (f64, Vec<f64>) {
        let device = Device::flex();
        let tensor = |values: &Vec<f64>| {
            let data = TensorData::new(values.clone(), [values.len() / columns, columns]);
            Tensor::<2>::from_data(data, (&device, DType::F64))
        };
        let loss = AggregateLossConfig::new().with_rho(rho).init().unwrap();
        let predictions = tensor(predictions).autodiff().require_grad();
        let value = loss.forward(predictions.clone(), &tensor(means), bags, point_loss);
        let gradient = predictions.grad(&value.backward()).unwrap().into_data();
        (
            value.into_scalar::<f64>(),
            gradient.try_into_vec_as::<f64>().unwrap(),
        )
    }

    proptest! {
        #[test]
        fn the_instance_level_is_the_bag_level_plus_the_variance_within_bags(batch in batch(3, 1)) {
            let [bag, instance] = [0.0, 1.0].map(|rho| evaluated(rho, 1, PointLoss::Squared, &batch).0);
            prop_assert!((instance - bag - within_bag_variance(&batch.0, &batch.2)).abs() < 1e-12);
        }

        #[test]
        fn shifting_a_bag_leaves_the_variance_within(batch in batch(4, 1), shift in -9.0..9.0_f64) {
            let (mut shifted, _, bags) = batch.clone();
            shifted.iter_mut().zip(bags.index()).filter(|(_, bag)| **bag == 0).for_each(|(f, _)| *f += shift);
            let [before, after] = [&batch.0, &shifted].map(|f| within_bag_variance(f, &bags));
            prop_assert!((before - after).abs() < 1e-11);
        }

        #[test]
        fn by_convexity_the_instance_level_is_no_smaller_and_rho_walks_straight_between(batch in batch(3, 1), rho in 0.0..1.0_f64) {
            for point_loss in [PointLoss::Squared, PointLoss::CrossEntropy] {
                let [bag, between, instance] = [0.0, rho, 1.0].map(|rho| evaluated(rho, 1, point_loss, &batch).0);
                prop_assert!(instance >= bag - 1e-12);
                prop_assert!((between - (1.0 - rho) * bag - rho * instance).abs() < 1e-12);
            }
        }

        #[test]
        fn bags_of_one_are_the_ordinary_loss(batch in batch(1, 1)) {
            for point_loss in [PointLoss::Squared, PointLoss::CrossEntropy] {
                let (bag, instance) = (evaluated(0.0, 1, point_loss, &batch), evaluated(1.0, 1, point_loss, &batch));
                prop_assert!((bag.0 - instance.0).abs() < 1e-12);
                prop_assert!(bag.1.iter().zip(&instance.1).all(|(a, b)| (a - b).abs() < 1e-12));
            }
        }

        #[test]
        fn two_columns_are_the_logit_of_their_difference(batch in batch(3, 2), rho in 0.0..1.0_f64) {
            let logits: Vec<f64> = batch.0.chunks(2).map(|pair| pair[0] - pair[1]).collect();
            let shares: Vec<f64> = batch.1.chunks(2).map(|pair| pair[0]).collect();
            let two = evaluated(rho, 2, PointLoss::CrossEntropy, &batch);
            let one = evaluated(rho, 1, PointLoss::CrossEntropy, &(logits, shares, batch.2.clone()));
            prop_assert!((two.0 - one.0).abs() < 1e-12);
            prop_assert!(two.1.chunks(2).zip(&one.1).all(|(pair, g)| (pair[0] - g).abs() < 1e-12 && (pair[1] + g).abs() < 1e-12));
        }

        #[test]
        fn gradients_are_central_differences(batch in batch(2, 1), rho in 0.0..1.0_f64, at in 0..12_usize) {
            let at = at % batch.0.len();
            for point_loss in [PointLoss::Squared, PointLoss::CrossEntropy] {
                let gradient = evaluated(rho, 1, point_loss, &batch).1[at];
                let h = 1e-6;
                let moved = |by: f64| {
                    let mut batch = batch.clone();
                    batch.0[at] += by;
                    evaluated(rho, 1, point_loss, &batch).0
                };
                let difference = (moved(h) - moved(-h)) / (2.0 * h);
                prop_assert!((difference - gradient).abs() < 1e-7 * (1.0 + gradient.abs()));
            }
        }
    }

    #[test]
    fn extreme_logits_are_finite() {
        let bags = Bags::new(vec![0, 0]).unwrap();
        for share in [0.0, 0.5, 1.0] {
            let batch = (vec![1e4, -1e4], vec![share], bags.clone());
            let (value, gradient) = evaluated(0.5, 1, PointLoss::CrossEntropy, &batch);
            assert!(
                value.is_finite() && gradient.iter().all(|g| g.is_finite()),
                "{share}"
            );
        }
    }

    #[test]
    fn unreduced_there_is_a_number_for_each_bag_or_sample() {
        let device = Device::flex();
        let bags = Bags::new(vec![0, 1, 0]).unwrap();
        let means = Tensor::<2>::from_floats([[1.0], [2.0]], &device);
        for (rho, values, gradient) in [
            (0.0, vec![2.25, 4.0], [1.5, -40.0, 1.5]),
            (1.0, vec![1.0, 4.0, 4.0], [2.0, -40.0, 400.0]),
        ] {
            let config = AggregateLossConfig::new()
                .with_rho(rho)
                .with_reduction(Reduction::None);
            let loss = config.init().unwrap();
            let predictions = Tensor::<2>::from_floats([[2.0], [0.0], [3.0]], &device)
                .autodiff()
                .require_grad();
            let value = loss.forward(predictions.clone(), &means, &bags, PointLoss::Squared);
            let upstream: Vec<f32> = (0..values.len()).map(|at| 10_f32.powi(at as i32)).collect();
            let upstream = Tensor::<1>::from_floats(upstream.as_slice(), &device).autodiff();
            let found = predictions
                .grad(&(value.clone() * upstream).sum().backward())
                .unwrap();
            assert_eq!(value.into_data().try_into_vec_as::<f64>().unwrap(), values);
            assert_eq!(found.into_data().try_into_vec_as::<f64>().unwrap(), gradient);
        }
        let config = AggregateLossConfig::new().with_reduction(Reduction::None);
        assert!(config.init().is_err() && AggregateLossConfig::new().with_rho(1.5).init().is_err());
    }
}
