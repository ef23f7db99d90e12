//! The ICNN loss: minus the logarithm of a score, in `(0, 1]`, of how pure and how tight the neighbourhoods of points are.
//!
//! Of each point the nearest targets are taken, at distances `v_1 ≤ … ≤ v_L`, `D(a, b) = √(‖a − b‖² + 10⁻⁶)`. With r the distance
//! of the nearest one of another class (infinite where all L are of the point's own) and ε = 10⁻⁷:
//!
//! - `λ_same = 1 −` the mean, over points with neighbours of their class among the first k, of the mean `v_j/(r + ε)` of those,
//!   each row divided by its largest where that is above 1: own neighbours are nearer than others.
//! - `λ_diff =` the mean, over points with neighbours of other classes among the first k, of the mean of these `v_j` over the
//!   largest of all; 1 where there are none.
//! - `γ =` the mean share of the first k neighbours that are of the point's class; 1 where k was cut to two less than the targets.
//! - score `= ((λ_same + λ_diff)/2 + γ)/2`, loss `= −log score`.
//!
//! Which neighbours are nearest, their classes and γ are constants to the gradient. Alone the loss teaches little: γ, the purity
//! itself, has no gradient. It is meant as a term beside cross-entropy ([`FewShotLoss`](super::FewShotLoss)). Without two
//! support samples of a class there is no neighbour of a point's own class among the support: λ_same is then 1. With targets no
//! more than k + 2, such as five prototypes, γ is the constant 1.
//!
//! Source: Mendez-Ruiz, Gonzalez-Zapata, Reyes-Amezcua, Flores-Araiza, Lopez-Tiro, Mendez-Vazquez, Ochoa-Ruiz, "SuSana Distancia
//! is all you need", 2023 (arXiv 2305.09062).

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::distances::{Sloped, SquaredDistances};
use super::neighbors::{NearestTarget, Neighbor, Neighbors, TooFewTargets};
use crate::ConfigError;
use crate::bridge::class_indices;
use crate::config::require;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// A score below this counts as this: the logarithm of 0 teaches nothing.
const LEAST_SCORE: f64 = 1e-12;

/// Configuration of [`IcnnLoss`].
#[derive(Config, Debug)]
pub struct IcnnLossConfig {
    /// The number k of neighbours that are judged, at least 1; cut to two less than there are targets.
    #[config(default = 4)]
    pub k: usize,
    /// The number L of neighbours among which the nearest one of another class is sought, at least 1; k + 1 where none is given.
    pub neighbors: Option<usize>,
    /// Whether the nearest target counts.
    #[config(default = "NearestTarget::Dropped")]
    pub nearest: NearestTarget,
    /// ε beside denominators, above 0.
    #[config(default = 1e-7)]
    pub epsilon: f64,
}

impl IcnnLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a number of neighbours is 0 or ε is not positive.
    pub fn init(&self) -> Result<IcnnLoss, ConfigError> {
        let counts = [("k", Some(self.k)), ("neighbors", self.neighbors)];
        for (parameter, count) in counts.into_iter().filter_map(|(name, n)| Some((name, n?))) {
            require("icnn", parameter, count as f64, "at least 1", |n| n >= 1.0)?;
        }
        Ok(IcnnLoss {
            k: self.k,
            neighbors: self.neighbors,
            nearest: self.nearest,
            epsilon: require("icnn", "epsilon", self.epsilon, "above 0 and finite", |epsilon| {
                epsilon > 0.0 && epsilon.is_finite()
            })?,
        })
    }
}

/// Minus the logarithm of the inter- and intra-class nearest-neighbour score.
#[derive(Clone, Debug)]
pub struct IcnnLoss {
    k: usize,
    neighbors: Option<usize>,
    nearest: NearestTarget,
    epsilon: f64,
}

/// The score and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IcnnScore {
    /// How much nearer neighbours of the own class are than the nearest other one, in `[0, 1]`.
    pub lambda_same: f64,
    /// How far neighbours of other classes are, of the furthest of them, in `[0, 1]`.
    pub lambda_diff: f64,
    /// Share of neighbours of the own class.
    pub gamma: f64,
    /// `((λ_same + λ_diff)/2 + γ)/2`.
    pub score: f64,
}

impl IcnnLoss {
    /// The loss of points among themselves.
    ///
    /// # Shapes
    /// - x `[points, width]`, labels `[points]`; returns `[1]`.
    ///
    /// # Panics
    /// When the points are too few ([`check`](Self::check)) or not as many as labels.
    pub fn forward(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let labels = class_indices(labels);
        let distances = SquaredDistances::within(x);
        distances.loss(&self.of_distances(&distances, &labels, &labels).1)
    }

    /// The loss of points among targets, such as queries among the support or among prototypes.
    ///
    /// # Shapes
    /// - x `[points, width]`, labels `[points]`, targets `[targets, width]`, their labels `[targets]`; returns `[1]`.
    ///
    /// # Panics
    /// When the targets are too few ([`check`](Self::check)), or shapes disagree.
    pub fn forward_to(
        &self,
        x: Tensor<2>,
        labels: Tensor<1, Int>,
        targets: Tensor<2>,
        target_labels: Tensor<1, Int>,
    ) -> Tensor<1> {
        let [labels, target_labels] = [labels, target_labels].map(class_indices);
        let distances = SquaredDistances::between(x, targets);
        distances.loss(&self.of_distances(&distances, &labels, &target_labels).1)
    }

    /// The score of points among themselves, NaN where one is no number. Shapes and panics as [`forward`](Self::forward).
    pub fn score(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> IcnnScore {
        let labels = class_indices(labels);
        let distances = SquaredDistances::within(x);
        if !distances.are_finite() {
            return IcnnScore {
                lambda_same: f64::NAN,
                lambda_diff: f64::NAN,
                gamma: f64::NAN,
                score: f64::NAN,
            };
        }
        self.of_distances(&distances, &labels, &labels).0
    }

    /// Whether there is a loss among so many targets.
    ///
    /// # Errors
    /// When they are fewer than 3, or no more than the neighbours asked for.
    pub fn check(&self, targets: usize) -> Result<(), TooFewTargets> {
        if targets < 3 {
            return Err(TooFewTargets::Targets { targets, least: 3 });
        }
        match self.neighbors {
            Some(neighbors) if neighbors >= targets => Err(TooFewTargets::Neighbors { targets, neighbors }),
            _ => Ok(()),
        }
    }

    /// With so many neighbours where none were asked for.
    pub(super) fn or_neighbors(&self, neighbors: usize) -> Self {
        Self {
            neighbors: self.neighbors.or(Some(neighbors)),
            ..self.clone()
        }
    }

    /// The score, and the loss.
    pub(super) fn of_distances(
        &self,
        distances: &SquaredDistances,
        labels: &[u32],
        target_labels: &[u32],
    ) -> (IcnnScore, Sloped) {
        let targets = distances.targets();
        self.check(targets).unwrap_or_else(|problem| panic!("{problem}"));
        let k = self.k.min(targets - 2);
        let per_point = self.neighbors.unwrap_or(k + 1);
        let found = Neighbors::find(distances, labels, target_labels, per_point, self.nearest);
        // By the distance of each neighbour.
        let mut slopes = vec![0.0; labels.len() * per_point];
        let lambda_same = own_classes(&found, k, self.epsilon, slopes.chunks_exact_mut(per_point));
        let lambda_diff = other_classes(&found, k, self.epsilon, slopes.chunks_exact_mut(per_point));
        let gamma = if k + 2 < targets { purity(&found, k) } else { 1.0 };
        let score = 0.5 * (0.5 * (lambda_same + lambda_diff) + gamma);
        let by_score = if score > LEAST_SCORE { -1.0 / score } else { 0.0 };
        let mut loss = Sloped::flat(distances);
        loss.value = -score.max(LEAST_SCORE).ln();
        let rows = found.of_points().zip(slopes.chunks_exact(per_point));
        for ((neighbors, slopes), by_square) in rows.zip(loss.slopes.chunks_exact_mut(targets)) {
            for (neighbor, slope) in neighbors.iter().zip(slopes) {
                by_square[neighbor.target] = 0.25 * by_score * slope / (2.0 * neighbor.distance);
            }
        }
        let score = IcnnScore {
            lambda_same,
            lambda_diff,
            gamma,
            score,
        };
        (score, loss)
    }
}

/// How many of the neighbours are of the point's class, or are not.
fn count(neighbors: &[Neighbor], same_class: bool) -> usize {
    neighbors.iter().filter(|n| n.same_class == same_class).count()
}

fn first(neighbors: &[Neighbor], k: usize) -> &[Neighbor] {
    &neighbors[..k.min(neighbors.len())]
}

/// Number of points that have a neighbour of their class, or of another, among the first k.
fn points_with(found: &Neighbors, k: usize, same_class: bool) -> f64 {
    let with = found
        .of_points()
        .filter(|neighbors| count(first(neighbors, k), same_class) > 0);
    with.count() as f64
}

/// λ_same, with its slopes.
fn own_classes<'a>(
    found: &Neighbors,
    k: usize,
    epsilon: f64,
    slopes: impl Iterator<Item = &'a mut [f64]>,
) -> f64 {
    let points = points_with(found, k, true) + epsilon;
    let mut lambda = 1.0;
    for (neighbors, slopes) in found.of_points().zip(slopes) {
        let near = first(neighbors, k);
        // Without a foreign neighbour r is infinite and all quotients are 0; the point counts all the same.
        let Some(foreign) = neighbors.iter().position(|n| !n.same_class) else {
            continue;
        };
        let r = neighbors[foreign].distance + epsilon;
        let share = 1.0 / ((count(near, true) as f64 + epsilon) * points);
        let own = near.iter().filter(|n| n.same_class);
        let sum: f64 = own.map(|n| n.distance / r).sum();
        // They ascend.
        let furthest = near.len() - 1;
        let largest = near[furthest].distance / r;
        let divisor = largest.max(1.0);
        lambda -= share * sum / divisor;
        for (neighbor, slope) in near.iter().zip(slopes.iter_mut()) {
            if neighbor.same_class {
                *slope -= share / (r * divisor);
            }
        }
        if largest > 1.0 {
            // r cancels.
            slopes[furthest] += share * sum / (r * divisor * divisor);
        } else {
            slopes[foreign] += share * sum / r;
        }
    }
    lambda
}

/// λ_diff, with its slopes.
fn other_classes<'a>(
    found: &Neighbors,
    k: usize,
    epsilon: f64,
    slopes: impl Iterator<Item = &'a mut [f64]>,
) -> f64 {
    let points = points_with(found, k, false);
    if points == 0.0 {
        return 1.0;
    }
    let foreign = |neighbors: &&Neighbor| !neighbors.same_class;
    let all = found.of_points().flat_map(|neighbors| first(neighbors, k));
    let largest = all.filter(foreign).fold(0.0_f64, |top, n| top.max(n.distance));
    let (mut lambda, mut furthest) = (0.0, None);
    for (neighbors, slopes) in found.of_points().zip(slopes) {
        let near = first(neighbors, k);
        let share = 1.0 / ((count(near, false) as f64 + epsilon) * (points + epsilon) * (largest + epsilon));
        for (neighbor, slope) in near.iter().zip(slopes).filter(|(n, _)| !n.same_class) {
            lambda += share * neighbor.distance;
            *slope += share;
            if neighbor.distance == largest && furthest.is_none() {
                furthest = Some(slope);
            }
        }
    }
    if let Some(slope) = furthest {
        *slope -= lambda / (largest + epsilon);
    }
    lambda
}

/// γ.
fn purity(found: &Neighbors, k: usize) -> f64 {
    let shares = found.of_points().map(|neighbors| {
        let own = count(first(neighbors, k), true);
        own as f64 / k as f64
    });
    shares.sum::<f64>() / found.of_points().len() as f64
}

impl Case<'_> {
    /// The parameter `skip_nearest`.
    pub(super) fn nearest_target(&self) -> Result<NearestTarget, QuantityError> {
        Ok(match self.flag("skip_nearest")? {
            true => NearestTarget::Dropped,
            false => NearestTarget::Kept,
        })
    }

    /// The loss of the parameters `k`, `neighbors`, `skip_nearest` and `eps`, which has to do with the input `targets`.
    fn icnn(&self, targets: &str) -> Result<IcnnLoss, QuantityError> {
        let neighbors = self.count("neighbors", 0)?;
        let loss = IcnnLossConfig::new()
            .with_k(self.count("k", 1)?)
            .with_neighbors((neighbors > 0).then_some(neighbors))
            .with_nearest(self.nearest_target()?)
            .with_epsilon(self.param("eps")?)
            .init()?;
        match loss.check(self.array(targets).shape[0]) {
            Ok(()) => Ok(loss),
            Err(TooFewTargets::Neighbors { targets, .. }) => {
                let most = targets - 1;
                self.refuse_param(
                    "neighbors",
                    &format!("at most {most}, one less than there are targets"),
                )
            }
            Err(problem) => self.refuse_input(targets, format!("is too small: {problem}")),
        }
    }
}

fn with_score(outputs: Outputs, found: &IcnnScore) -> Outputs {
    outputs
        .with("lambda_same", found.lambda_same)
        .with("lambda_diff", found.lambda_diff)
        .with("gamma", found.gamma)
        .with("score", found.score)
}

/// Class numbers as one list of small ones, which both sides share.
fn shared_classes(sides: [Vec<usize>; 2]) -> [Vec<u32>; 2] {
    let all = sides.iter().flatten().copied();
    let (dense, _) = crate::contrastive::dense_classes(all);
    let (first, second) = dense.split_at(sides[0].len());
    [first.to_vec(), second.to_vec()]
}

fn of_neighbors(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .param("k", 4.0)
        .param("neighbors", 0.0)
        .param("skip_nearest", true)
        .param("eps", 1e-7)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        of_neighbors(
            "icnn_loss",
            "minus the log of the inter- and intra-class nearest-neighbour score of points, its parts and gradient",
        )
        .input("x", "[n, d]")
        .input("labels", "[n]")
        .with_example("labels", vec![0.0, 1.0, 0.0])
        .eval(|case| {
            case.embeddings(&["x"])?;
            let loss = case.icnn("x")?;
            let [labels, _] = shared_classes([case.classes("labels")?, Vec::new()]);
            let x = case.variable::<2>("x");
            let distances = SquaredDistances::within(x.clone());
            let (score, found) = loss.of_distances(&distances, &labels, &labels);
            let outputs = case.value_and_gradients(distances.loss(&found), &[("x", &x)]);
            Ok(with_score(outputs, &score))
        }),
        of_neighbors(
            "icnn_query_loss",
            "the same of queries among prototypes or other labelled targets, with gradients by both",
        )
        .input("query", "[M, d]")
        .input("prototypes", "[n, d]")
        .input("query_labels", "[M]")
        .input("prototype_labels", "[n]")
        .with_example("query_labels", vec![0.0, 1.0, 2.0])
        .with_example("prototype_labels", vec![0.0, 1.0, 2.0])
        .eval(|case| {
            case.embeddings(&["query", "prototypes"])?;
            let loss = case.icnn("prototypes")?;
            let sides = [case.classes("query_labels")?, case.classes("prototype_labels")?];
            if let Some(at) = sides[0].iter().position(|label| !sides[1].contains(label)) {
                let problem = format!("holds {} at index {at}, which no prototype is of", sides[0][at]);
                return case.refuse_input("query_labels", problem);
            }
            let [labels, target_labels] = shared_classes(sides);
            let (query, prototypes) = (case.variable::<2>("query"), case.variable::<2>("prototypes"));
            let distances = SquaredDistances::between(query.clone(), prototypes.clone());
            let (score, found) = loss.of_distances(&distances, &labels, &target_labels);
            let variables = [("query", &query), ("prototypes", &prototypes)];
            let outputs = case.value_and_gradients(distances.loss(&found), &variables);
            Ok(with_score(outputs, &score))
        }),
    ]
}
