//! What a linear classifier and the nearest neighbours make of an encoder's features.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{Encoder, LogisticProbe, NearestNeighbours, Samples, SelfSupervised};

/// Shares of test samples that are classified rightly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// By a logistic probe of the features.
    pub probe: f64,
    /// By their 20 nearest neighbours.
    pub neighbours: f64,
}

/// Both classifiers learn from clean training samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// On test samples as they are.
    pub clean: Judgement,
    /// On a view of each.
    pub augmented: Judgement,
}

/// Judges the features of an encoder.
pub fn judge(trial: &SelfSupervised, encoder: &Encoder, train: &Samples, test: &Samples) -> Scored {
    let width = trial.encoder.features;
    let classes = train
        .labels
        .iter()
        .chain(&test.labels)
        .max()
        .map_or(0, |&label| label as usize + 1);
    let features = encoder.features(train);
    let probe = LogisticProbe::fit(&features, width, &train.labels, classes, 1.0);
    let neighbours = NearestNeighbours::new(&features, width, &train.labels, classes);
    let on = |samples: &Samples| {
        let features = encoder.features(samples);
        Judgement {
            probe: accuracy(&probe.predict(&features), &samples.labels),
            neighbours: accuracy(&neighbours.predict(&features), &samples.labels),
        }
    };
    Scored {
        clean: on(test),
        augmented: on(&trial.view(test, "test views", 0)),
    }
}

/// Judges the encoder with the weights that the trial begins with, its batch normalisation settled on the training samples:
/// what training adds is what is above.
pub fn untrained(trial: &SelfSupervised, train: &Samples, test: &Samples) -> Scored {
    let encoder = Encoder::new(trial.encoder, train.width, trial.seed, &Device::flex());
    encoder.settle(train);
    judge(trial, &encoder, train, test)
}

fn accuracy(predicted: &[u32], labels: &[u32]) -> f64 {
    let right = predicted
        .iter()
        .zip(labels)
        .filter(|(predicted, label)| predicted == label);
    right.count() as f64 / labels.len() as f64
}
