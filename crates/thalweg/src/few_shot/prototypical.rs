//! The prototypical loss: cross-entropy of queries over classes that lie where the means of their support do,
//! `mean_q −log softmax(−‖x_q − c‖²/τ)_{y_q}`.
//!
//! It is the loss to begin with, and what a trained encoder is used as afterwards: the nearest prototype wins. Squared distances
//! grow with the width of the embedding and its scale; where training stalls at once, a larger temperature softens it.
//!
//! Source: Snell, Swersky, Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017 (arXiv 1703.05175).

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::distances::{Sloped, SquaredDistances, class_prototypes};
use crate::ConfigError;
use crate::bridge::{class_indices, constant};
use crate::config::require;
use crate::objective::{EmbeddedEpisode, EpisodeObjective, Progress};
use crate::quantity::Quantity;

/// Configuration of [`PrototypicalLoss`].
#[derive(Config, Debug)]
pub struct PrototypicalLossConfig {
    /// Temperature τ that squared distances are divided by, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl PrototypicalLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<PrototypicalLoss, ConfigError> {
        let temperature = require(
            "prototypical",
            "temperature",
            self.temperature,
            "above 0 and finite",
            |temperature| temperature > 0.0 && temperature.is_finite(),
        )?;
        Ok(PrototypicalLoss { temperature })
    }
}

/// Cross-entropy over squared distances to prototypes.
#[derive(Clone, Debug)]
pub struct PrototypicalLoss {
    temperature: f64,
}

impl PrototypicalLoss {
    /// The mean over queries.
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

    /// What the softmax is taken of, `−‖x_q − c‖²/τ`, without gradients: the largest is the class to predict.
    ///
    /// # Shapes
    /// - query `[queries, width]`, prototypes `[ways, width]`; returns `[queries, ways]`.
    ///
    /// # Panics
    /// When there are no queries or prototypes or widths disagree.
    pub fn logits(&self, query: Tensor<2>, prototypes: Tensor<2>) -> Tensor<2> {
        let (device, dtype) = (query.device(), query.dtype());
        let distances = SquaredDistances::between(query, prototypes);
        let shape = [distances.rows().len(), distances.targets()];
        let squares = distances.rows().flatten();
        let logits: Vec<f64> = squares.map(|square| -square / self.temperature).collect();
        constant(logits, shape, &device, dtype)
    }

    pub(super) fn of_distances(&self, distances: &SquaredDistances, labels: &[u32]) -> Sloped {
        let queries = distances.rows().len();
        let ways = distances.targets();
        assert_eq!(labels.len(), queries, "a label for each query");
        let scale = 1.0 / queries as f64;
        let mut found = Sloped::flat(distances);
        let rows = distances.rows().zip(found.slopes.chunks_exact_mut(ways));
        for ((squares, slopes), &label) in rows.zip(labels) {
            let label = label as usize;
            assert!(
                label < ways,
                "a query's label is {label}; there are {ways} prototypes"
            );
            let nearest = squares.iter().copied().fold(f64::INFINITY, f64::min);
            for (weight, square) in slopes.iter_mut().zip(squares) {
                *weight = ((nearest - square) / self.temperature).exp();
            }
            let sum: f64 = slopes.iter().sum();
            found.value += scale * (sum.ln() + (squares[label] - nearest) / self.temperature);
            for weight in slopes.iter_mut() {
                *weight *= -scale / (sum * self.temperature);
            }
            slopes[label] += scale / self.temperature;
        }
        found
    }
}

impl EpisodeObjective for PrototypicalLoss {
    fn loss(&mut self, episode: &EmbeddedEpisode, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let prototypes = class_prototypes(episode.support.clone(), episode.ways);
        self.forward(episode.query.clone(), prototypes, episode.query_labels.clone())
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "prototypical_loss",
            "cross-entropy of queries over squared distances to class means, its gradients, and who is classified rightly",
        )
        .param("temperature", 1.0)
        .input("support", "[N, K, d]")
        .input("query", "[M, d]")
        .input("query_labels", "[M]")
        .with_example("query_labels", vec![0.0, 1.0, 1.0])
        .eval(|case| {
            case.episode()?;
            let [ways, shots, width] = case.array("support").shape[..] else {
                unreachable!("three extents were declared")
            };
            let labels = case.class_indices("query_labels", ways)?;
            let targets = case.labels("query_labels", ways)?;
            let loss = PrototypicalLossConfig::new()
                .with_temperature(case.param("temperature")?)
                .init()?;
            let (support, query) = (case.variable::<3>("support"), case.variable::<2>("query"));
            let prototypes = class_prototypes(support.clone().reshape([ways * shots, width]), ways);
            let value = loss.forward(query.clone(), prototypes.clone(), targets);
            let logits = loss.logits(query.clone(), prototypes.clone());
            let predicted = logits.clone().argmax(1).into_data().try_into_vec_as::<i64>();
            let predicted = predicted.expect("class indices are integers");
            let right = predicted
                .iter()
                .zip(&labels)
                .filter(|(found, label)| **found == **label as i64);
            let accuracy = right.count() as f64 / labels.len() as f64;
            let gradients = value.clone().backward();
            Ok(case
                .loss_value(value)
                .with_gradient("support", &support, &gradients)
                .with_gradient("query", &query, &gradients)
                .with_tensor("prototypes", prototypes)
                .with_tensor("logits", logits)
                .with("accuracy", accuracy))
        }),
    ]
}
