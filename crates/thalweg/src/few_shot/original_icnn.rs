//! The original ICNN score of labelled points, to diagnose an embedding with.
//!
//! Of each point the k nearest others are taken, their distances brought to `[0, 1]` by the row's least and largest: d_j. Then
//!
//! - `λ` = the mean over rows of `(s_i/max_i s_i)^(1/p)`, `s_i` the sum of d_j over neighbours of other classes and of `1 − d_j`
//!   over those of the own: others are far and own ones near;
//! - `ω = (1 − var(d of own) − var(d of others))^(1/q)`, each over all n·k places, zeros where the neighbour is of the other kind;
//! - `γ` = the mean over rows of `(share of own neighbours)^(1/r)`.
//!
//! The score is `(λ + γ + ω)/3`; `(λ + γ)/2` in the code of the few-shot paper. Higher is better, 1 the best.
//!
//! Source: as the [loss](super::IcnnLoss), section on the score, after García Ramírez and others (arXiv 2107.06992).

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::distances::SquaredDistances;
use super::neighbors::{NearestTarget, Neighbors, TooFewTargets};
use crate::ConfigError;
use crate::bridge::class_indices;
use crate::config::require;
use crate::quantity::{Outputs, Quantity};

/// Neighbours where the points are too few for those asked for.
const FEW: usize = 3;

/// Configuration of [`OriginalIcnn`].
#[derive(Config, Debug)]
pub struct OriginalIcnnConfig {
    /// The number k of neighbours, at least 1; 3 where there are no more points than k.
    #[config(default = 5)]
    pub k: usize,
    /// p, the root of λ, above 0.
    #[config(default = 2.0)]
    pub p: f64,
    /// q, the root of ω, above 0.
    #[config(default = 2.0)]
    pub q: f64,
    /// r, the root of γ, above 0.
    #[config(default = 2.0)]
    pub r: f64,
    /// ε beside denominators, above 0.
    #[config(default = 1e-6)]
    pub epsilon: f64,
}

impl OriginalIcnnConfig {
    /// The score.
    ///
    /// # Errors
    /// When k is 0, or a root or ε is not positive.
    pub fn init(&self) -> Result<OriginalIcnn, ConfigError> {
        let name = "original_icnn";
        require(name, "k", self.k as f64, "at least 1", |k| k >= 1.0)?;
        let positive = [
            ("p", self.p),
            ("q", self.q),
            ("r", self.r),
            ("epsilon", self.epsilon),
        ];
        for (parameter, value) in positive {
            require(name, parameter, value, "above 0 and finite", |value| {
                value > 0.0 && value.is_finite()
            })?;
        }
        Ok(OriginalIcnn(self.clone()))
    }
}

/// What scores labelled points by their neighbours.
#[derive(Clone, Debug)]
pub struct OriginalIcnn(OriginalIcnnConfig);

/// The score and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OriginalIcnnScore {
    /// λ: neighbours of other classes are far, those of the own near.
    pub lambda: f64,
    /// ω: distances vary little.
    pub omega: f64,
    /// γ: neighbours are of the own class.
    pub gamma: f64,
    /// `(λ + γ)/2`.
    pub score_two: f64,
    /// `(λ + γ + ω)/3`.
    pub score_three: f64,
}

impl OriginalIcnn {
    /// The score of points.
    ///
    /// # Shapes
    /// - x `[points, width]`, labels `[points]`.
    ///
    /// # Errors
    /// When there are fewer points than it takes neighbours, and one.
    ///
    /// # Panics
    /// When there are not as many labels as points.
    pub fn score(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> Result<OriginalIcnnScore, TooFewTargets> {
        let OriginalIcnnConfig { k, p, q, r, epsilon } = self.0;
        let points = x.dims()[0];
        let k = if k >= points { FEW } else { k };
        if k >= points {
            return Err(TooFewTargets::Targets {
                targets: points,
                least: FEW + 1,
            });
        }
        let labels = class_indices(labels);
        let distances = SquaredDistances::within(x);
        let found = Neighbors::find(&distances, &labels, &labels, k, NearestTarget::Dropped);
        let (mut sums, mut gamma) = (Vec::with_capacity(points), 0.0);
        let mut sides = [Vec::new(), Vec::new()];
        for neighbors in found.of_points() {
            let (least, largest) = (neighbors[0].distance, neighbors[k - 1].distance);
            let (mut sum, mut own) = (0.0, 0);
            for neighbor in neighbors {
                let scaled = (neighbor.distance - least) / (largest - least + epsilon);
                let [of_own, of_others] = if neighbor.same_class {
                    own += 1;
                    sum += 1.0 - scaled;
                    [scaled, 0.0]
                } else {
                    sum += scaled;
                    [0.0, scaled]
                };
                sides[0].push(of_own);
                sides[1].push(of_others);
            }
            sums.push(sum);
            gamma += (own as f64 / k as f64).powf(1.0 / r);
        }
        gamma /= points as f64;
        let largest = sums.iter().copied().fold(0.0_f64, f64::max) + epsilon;
        let roots = sums.iter().map(|sum| (sum / largest).powf(1.0 / p));
        let lambda = roots.sum::<f64>() / points as f64;
        let omega = (1.0 - variance(&sides[0]) - variance(&sides[1])).powf(1.0 / q);
        Ok(OriginalIcnnScore {
            lambda,
            omega,
            gamma,
            score_two: (lambda + gamma) / 2.0,
            score_three: (lambda + gamma + omega) / 3.0,
        })
    }
}

/// The unbiased one.
fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "icnn_original_score",
            "how pure and tight the neighbourhoods of labelled points are, by the original score",
        )
        .param("k", 5.0)
        .param("p", 2.0)
        .param("q", 2.0)
        .param("r", 2.0)
        .param("eps", 1e-6)
        .input("x", "[n, d]")
        .input("labels", "[n]")
        .with_example("k", 2.0)
        .with_example("labels", vec![0.0, 1.0, 0.0])
        .eval(|case| {
            case.embeddings(&["x"])?;
            let score = OriginalIcnnConfig::new()
                .with_k(case.count("k", 1)?)
                .with_p(case.param("p")?)
                .with_q(case.param("q")?)
                .with_r(case.param("r")?)
                .with_epsilon(case.param("eps")?)
                .init()?;
            let (labels, _) = crate::contrastive::dense_classes(case.classes("labels")?);
            let labels: Vec<i32> = labels.into_iter().map(|label| label as i32).collect();
            let x = case.tensor("x");
            let labels = Tensor::from_ints(labels.as_slice(), &x.device());
            match score.score(x, labels) {
                Ok(found) => Ok(Outputs::new()
                    .with("lambda", found.lambda)
                    .with("omega", found.omega)
                    .with("gamma", found.gamma)
                    .with("score_two", found.score_two)
                    .with("score_three", found.score_three)),
                Err(problem) => case.refuse_input("x", format!("is too small: {problem}")),
            }
        }),
    ]
}
