//! What an encoder makes of classes that it was not trained on.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use thalweg::few_shot::{
    EpisodeInterval, IcnnLossConfig, OriginalIcnnConfig, PrototypicalLossConfig, class_prototypes,
    episode_interval,
};
use thalweg::objective::{EmbeddedEpisode, Model};

use super::episodes::Episode;
use super::{Classes, Part};
use crate::model::Network;

/// Over test episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Share of queries whose nearest prototype is their own.
    pub accuracy: EpisodeInterval,
    /// The same of each episode.
    pub accuracies: Vec<f64>,
    /// Mean score of the neighbourhoods of support and queries together, as the ICNN loss has it.
    pub icnn_score: f64,
    /// The same by the original score, of all three parts.
    pub original_icnn_score: f64,
}

/// Judges an encoder on episodes of some classes. Where embeddings are no numbers, queries are classified as well as by chance
/// and the scores are NaN.
///
/// # Panics
/// When there are no classes of the part.
pub fn judge(classes: &Classes, encoder: &Network, part: Part) -> Judgement {
    let trial = classes.trial;
    let device = Device::flex();
    let shape = trial.shape(part);
    let of_class = shape.shots + shape.queries;
    let icnn = IcnnLossConfig::new().with_neighbors(Some(of_class)).init();
    let icnn = icnn.expect("an episode has a sample of each class");
    let original = OriginalIcnnConfig::new().init().expect("defaults are in range");
    let (mut accuracies, mut scores, mut originals) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..trial.test_episodes {
        let episode = Episode::draw(classes, part, index);
        let embeddings = encoder.frozen(episode.inputs(&device));
        accuracies.push(accuracy(&episode.embedded(&embeddings)));
        let labels = episode.labels(&device);
        scores.push(icnn.score(embeddings.clone(), labels.clone()).score);
        let found = original.score(embeddings, labels);
        originals.push(
            found
                .expect("two ways, a shot and a query are four points")
                .score_three,
        );
    }
    Judgement {
        accuracy: episode_interval(&accuracies),
        icnn_score: episode_interval(&scores).mean,
        original_icnn_score: episode_interval(&originals).mean,
        accuracies,
    }
}

fn accuracy(episode: &EmbeddedEpisode) -> f64 {
    let nearest = PrototypicalLossConfig::new()
        .init()
        .expect("defaults are in range");
    let prototypes = class_prototypes(episode.support.clone(), episode.ways);
    let logits = nearest.logits(episode.query.clone(), prototypes).into_data();
    let logits = logits.try_into_vec_as::<f32>().expect("logits are floats");
    if logits.iter().any(|logit| !logit.is_finite()) {
        return 1.0 / episode.ways as f64;
    }
    let labels = episode.query_labels.clone().into_data();
    let labels = labels.try_into_vec_as::<i64>().expect("classes are integers");
    let rows = logits.chunks_exact(episode.ways).zip(&labels);
    let right = rows.filter(|(logits, label)| {
        let own = logits[**label as usize];
        // Of equally near prototypes the first is taken.
        let earlier = &logits[..**label as usize];
        logits.iter().all(|logit| *logit <= own) && !earlier.contains(&own)
    });
    right.count() as f64 / labels.len() as f64
}
