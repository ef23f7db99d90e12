//! The proto-triplet loss: `mean_q max(0, D(x_q, c_y) − min_{k≠y} D(x_q, c_k) + margin)` with
//! `D(a, b) = √(‖a − b‖² + ε)`.
//!
//! A triplet loss whose anchors are the queries, whose positives are their own prototypes and whose negatives are the nearest
//! other prototypes: no mining. A query that is closer to its own prototype by the margin has no gradient, so that alone it stops
//! teaching early; beside cross-entropy it adds a margin in the unit of the embedding. The margin is a length: it says nothing
//! where embeddings are free to grow, and too much where they are small.
//!
//! Source: Mendez-Ruiz, Gonzalez-Zapata, Reyes-Amezcua, Flores-Araiza, Lopez-Tiro, Mendez-Vazquez, Ochoa-Ruiz, "SuSana Distancia
//! is all you need", 2023 (arXiv 2305.09062).

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::distances::{Sloped, SquaredDistances, class_prototypes};
use crate::ConfigError;
use crate::bridge::class_indices;
use crate::config::require;
use crate::objective::{EmbeddedEpisode, EpisodeObjective, Progress};
use crate::quantity::{Case, Quantity, QuantityError};

/// Configuration of [`ProtoTripletLoss`].
#[derive(Config, Debug)]
pub struct ProtoTripletLossConfig {
    /// How much further the nearest other prototype has to be, at least 0.
    #[config(default = 0.5)]
    pub margin: f64,
    /// ε under the root, above 0.
    #[config(default = 1e-6)]
    pub epsilon: f64,
}

impl ProtoTripletLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the margin is negative or ε is not positive.
    pub fn init(&self) -> Result<ProtoTripletLoss, ConfigError> {
        let (name, margin) = ("proto_triplet", self.margin);
        Ok(ProtoTripletLoss {
            margin: require(name, "margin", margin, "at least 0 and finite", |margin| {
                margin >= 0.0 && margin.is_finite()
            })?,
            epsilon: require(name, "epsilon", self.epsilon, "above 0 and finite", |epsilon| {
                epsilon > 0.0 && epsilon.is_finite()
            })?,
        })
    }
}

/// A triplet loss on prototypes.
#[derive(Clone, Debug)]
pub struct ProtoTripletLoss {
    margin: f64,
    epsilon: f64,
}

impl ProtoTripletLoss {
    /// The mean over queries; 0 where there is one prototype only.
    ///
    /// # Shapes
    /// - query `[queries, width]`, prototypes `[ways, width]`, labels `[queries]` in `0..ways`; returns `[1]`.
    ///
    /// # Panics
    /// When there are no queries or prototypes, shapes disagree or a label is out of range.
    pub fn forward(&self, query: Tensor<2>, prototypes: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let distances = SquaredDistances::between(query, prototypes);
        distances.loss(&self.of_distances(&distances, &class_indices(labels)))
    }

    pub(super) fn of_distances(&self, distances: &SquaredDistances, labels: &[u32]) -> Sloped {
        let queries = distances.rows().len();
        let ways = distances.targets();
        assert_eq!(labels.len(), queries, "a label for each query");
        let scale = 1.0 / queries as f64;
        let mut found = Sloped::flat(distances);
        let rows = distances.rows().zip(found.slopes.chunks_exact_mut(ways));
        for ((squares, slopes), &label) in rows.zip(labels) {
            let own = label as usize;
            assert!(
                own < ways,
                "a query's label is {own}; there are {ways} prototypes"
            );
            let others = (0..ways).filter(|&other| other != own);
            let Some(hardest) = others.min_by(|&a, &b| squares[a].total_cmp(&squares[b])) else {
                continue;
            };
            let [positive, negative] = [own, hardest].map(|at| (squares[at] + self.epsilon).sqrt());
            let excess = positive - negative + self.margin;
            if excess > 0.0 {
                found.value += scale * excess;
                slopes[own] = scale / (2.0 * positive);
                slopes[hardest] = -scale / (2.0 * negative);
            }
        }
        found
    }
}

impl EpisodeObjective for ProtoTripletLoss {
    fn loss(&mut self, episode: &EmbeddedEpisode, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let prototypes = class_prototypes(episode.support.clone(), episode.ways);
        self.forward(episode.query.clone(), prototypes, episode.query_labels.clone())
    }
}

impl Case<'_> {
    /// The prototype of each query, by its label.
    fn own_prototypes(&self) -> Result<Tensor<1, Int>, QuantityError> {
        let prototypes = self.classes("prototype_labels")?;
        let repeated = (1..prototypes.len()).find(|&at| prototypes[..at].contains(&prototypes[at]));
        if let Some(at) = repeated {
            let problem = format!("holds {} a second time at index {at}", prototypes[at]);
            return self.refuse_input("prototype_labels", problem + "; each class has one prototype");
        }
        let mut own = Vec::new();
        for (at, label) in self.classes("query_labels")?.into_iter().enumerate() {
            let Some(prototype) = prototypes.iter().position(|&known| known == label) else {
                let problem = format!("holds {label} at index {at}, which is no prototype's label");
                return self.refuse_input("query_labels", problem);
            };
            own.push(prototype as i32);
        }
        Ok(Tensor::from_ints(own.as_slice(), &burn::tensor::Device::flex()))
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "proto_triplet_loss",
            "hinge of each query's distance to its own prototype over that to the nearest other one, and its gradients",
        )
        .param("margin", 0.5)
        .param("eps", 1e-6)
        .input("query", "[M, d]")
        .input("prototypes", "[N, d]")
        .input("query_labels", "[M]")
        .input("prototype_labels", "[N]")
        .with_example("query_labels", vec![0.0, 1.0, 1.0])
        .with_example("prototype_labels", vec![1.0, 0.0])
        .eval(|case| {
            case.embeddings(&["query", "prototypes"])?;
            let labels = case.own_prototypes()?;
            let loss = ProtoTripletLossConfig::new()
                .with_margin(case.param("margin")?)
                .with_epsilon(case.param("eps")?)
                .init()?;
            let (query, prototypes) = (case.variable::<2>("query"), case.variable::<2>("prototypes"));
            let value = loss.forward(query.clone(), prototypes.clone(), labels);
            Ok(case.value_and_gradients(value, &[("query", &query), ("prototypes", &prototypes)]))
        }),
    ]
}
