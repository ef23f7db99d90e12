use std::sync::atomic::AtomicBool;

use burn::tensor::{Gradients, Tensor};
use thalweg::few_shot::{EpisodeTerm, FewShotLossConfig, PrototypicalLossConfig};
use thalweg::objective::{EmbeddedEpisode, EpisodeObjective, EpisodeShape, Progress};
use thalweg_data::Dataset;
use thalweg_kernels::random::Stream;

use super::*;
use crate::model::ModelSpec;

fn trial(seed: u64) -> FewShot {
    FewShot {
        episodes: 30,
        test_episodes: 20,
        ..FewShot::new(10, seed)
    }
}

fn outcome(dataset: &Dataset, trial: &FewShot) -> FewShotOutcome {
    let mut objective = PrototypicalLossConfig::new().init().unwrap();
    let found = run(dataset, trial, &mut objective, &AtomicBool::new(false));
    found.unwrap().unwrap()
}

/// All but the time it took.
fn results(outcome: &FewShotOutcome) -> String {
    format!("{:?} {:?} {}", outcome.metrics, outcome.losses, outcome.diverged)
}

#[test]
fn a_trial_is_determined_by_its_seed() {
    let digits = thalweg_data::digits();
    let first = outcome(&digits, &trial(3));
    assert_eq!(results(&first), results(&outcome(&digits, &trial(3))));
    assert_ne!(results(&first), results(&outcome(&digits, &trial(4))));
    let written = serde_json::to_string(&first).unwrap();
    let read: FewShotOutcome = serde_json::from_str(&written).unwrap();
    assert_eq!(results(&read), results(&first));
    let written = serde_json::to_string(&trial(3)).unwrap();
    assert_eq!(serde_json::from_str::<FewShot>(&written).unwrap(), trial(3));
}

#[test]
fn novel_classes_are_told_apart_after_training() {
    let digits = thalweg_data::digits();
    let trial = FewShot {
        episodes: 150,
        ..trial(0)
    };
    let found = outcome(&digits, &trial);
    assert!(found.metrics["accuracy"] > 0.5, "{found:?}");
    assert!(found.metrics["validation_accuracy"] > 0.6, "{found:?}");
    assert!(found.losses[1] < 0.5 * found.losses[0]);
    let half_width = found.metrics["accuracy_half_width"];
    assert!(half_width > 0.0 && half_width < 0.1);
    for score in ["icnn_score", "original_icnn_score"] {
        assert!((0.0..=1.0).contains(&found.metrics[score]), "{found:?}");
    }
}

/// Remembers what it was shown.
#[derive(Default)]
struct Watching {
    labels: Vec<Vec<i64>>,
    inputs: Vec<f32>,
    learned: usize,
}

impl EpisodeObjective for Watching {
    fn loss(&mut self, episode: &EmbeddedEpisode, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let labels = episode.query_labels.clone().into_data();
        self.labels.push(labels.try_into_vec_as().unwrap());
        assert_eq!(episode.support.dims()[0], episode.ways * episode.shots);
        if self.inputs.is_empty() {
            let support = episode.support.clone().detach().into_data();
            self.inputs = support.try_into_vec_as().unwrap();
        }
        episode.support.clone().square().mean() + episode.query.clone().mean() * 0.0
    }

    fn learn(&mut self, _: &mut Gradients, rate: f64) {
        assert_eq!(rate, 1e-3);
        self.learned += 1;
    }
}

#[test]
fn objectives_see_the_same_episodes_and_are_let_to_learn() {
    let digits = thalweg_data::digits();
    let trial = FewShot {
        noise: 0.1,
        ..trial(1)
    };
    let classes = Classes::new(&digits, &trial).unwrap();
    let watched = || {
        let mut objective = Watching::default();
        train(&classes, &mut objective, &AtomicBool::new(false)).unwrap();
        objective
    };
    let (first, second) = (watched(), watched());
    assert_eq!(first.inputs, second.inputs);
    assert_eq!((first.labels.len(), first.learned), (30, 30));
    let EpisodeShape { ways, queries, .. } = trial.training;
    let expected: Vec<i64> = (0..ways as i64).flat_map(|way| vec![way; queries]).collect();
    assert_eq!(first.labels[7], expected);
}

#[test]
fn parts_share_no_class() {
    let digits = thalweg_data::digits();
    let trial = trial(5);
    let classes = Classes::new(&digits, &trial).unwrap();
    let labels = |part| -> Vec<u32> {
        let rows = classes.of(part).iter();
        rows.map(|rows| {
            assert!(
                rows.iter()
                    .all(|&row| digits.labels[row] == digits.labels[rows[0]])
            );
            digits.labels[rows[0]]
        })
        .collect()
    };
    let mut all = [Part::Base, Part::Validation, Part::Novel].map(labels).concat();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<u32>>());
}

#[test]
fn the_samples_of_an_episode_are_different_ones() {
    let digits = thalweg_data::digits();
    let trial = FewShot {
        training: EpisodeShape {
            ways: 2,
            shots: 100,
            queries: 74,
        },
        ..trial(2)
    };
    let classes = Classes::new(&digits, &trial).unwrap();
    let inputs = episodes::Episode::draw(&classes, Part::Base, 0)
        .inputs(&burn::tensor::Device::flex())
        .into_data()
        .try_into_vec_as::<f32>()
        .unwrap();
    let mut rows: Vec<String> = inputs.chunks(64).map(|row| format!("{row:?}")).collect();
    rows.sort();
    let count = rows.len();
    rows.dedup();
    assert_eq!(rows.len(), count);
}

#[test]
fn training_that_diverges_ends_and_says_so() {
    let digits = thalweg_data::digits();
    let trial = FewShot {
        noise: f32::MAX,
        ..trial(0)
    };
    let found = outcome(&digits, &trial);
    assert!(found.diverged && found.losses.len() == 1);
    assert_eq!(found.metrics["accuracy"], 0.25);
    assert!(found.metrics["icnn_score"].is_nan());
}

#[test]
fn tables_are_standardised_and_cnns_train_on_images() {
    let digits = thalweg_data::digits();
    let mut table = Dataset {
        feature_shape: vec![64],
        ..digits.clone()
    };
    for row in table.features.chunks_exact_mut(64) {
        row[20] = 1e6 * row[20] + 1e7;
    }
    assert!(outcome(&table, &trial(0)).metrics["accuracy"] > 0.5);
    let convolutional = FewShot {
        encoder: ModelSpec::Cnn,
        episodes: 5,
        ..trial(0)
    };
    assert!(!outcome(&digits, &convolutional).diverged);
    let refused = Classes::new(&table, &convolutional).err().unwrap().to_string();
    assert!(
        refused.contains("images of at least 4 pixels a side"),
        "{refused}"
    );
}

#[test]
fn what_makes_no_episode_is_refused() {
    let digits = thalweg_data::digits();
    let refused = |change: fn(&mut FewShot)| {
        let mut trial = trial(0);
        change(&mut trial);
        Classes::new(&digits, &trial).err().unwrap().to_string()
    };
    assert_eq!(
        refused(|trial| trial.test.ways = 5),
        "5-way test episodes need as many novel classes, not 4"
    );
    assert_eq!(
        refused(|trial| trial.training.ways = 5),
        "`digits` has 10 classes; 4 novel ones, 2 for validation and 5-way training episodes need 11"
    );
    assert_eq!(
        refused(|trial| trial.training.queries = 170),
        "class `8` of `digits` has 174 samples; 5 shots and 170 queries need 175"
    );
    assert!(refused(|trial| trial.test.shots = 0).contains("1 shot"));
    assert!(refused(|trial| trial.noise = f32::NAN).contains("noise is NaN"));
    assert!(refused(|trial| trial.learning_rate = 0.0).contains("learning rate is 0"));
    assert!(refused(|trial| trial.validation_classes = 1).contains("1 validation class"));
    assert!(refused(|trial| trial.embedding = 0).contains("0 numbers of the embedding"));
    let tumours = thalweg_data::embedded::breast_cancer();
    let few = FewShot::new(tumours.classes.len(), 0);
    assert_eq!(
        Classes::new(&tumours, &few).err().unwrap().to_string(),
        "`breast_cancer` has 2 classes; 2 novel ones, 0 for validation and 2-way training episodes need 4"
    );
    let numbers = Classes::new(&thalweg_data::embedded::diabetes(), &trial(0))
        .err()
        .map(|error| error.to_string());
    assert!(numbers.unwrap().contains("are numbers"));
}

#[test]
fn episodes_that_do_not_fit_the_objective_are_refused_and_interruption_heard() {
    let digits = thalweg_data::digits();
    let small = FewShot {
        training: EpisodeShape {
            ways: 2,
            shots: 1,
            queries: 5,
        },
        ..trial(0)
    };
    let mut support = FewShotLossConfig::new(vec![EpisodeTerm::SupportIcnn])
        .init()
        .unwrap();
    let refused = run(&digits, &small, &mut support, &AtomicBool::new(false));
    assert!(refused.unwrap_err().to_string().contains("among the support"));
    let mut objective = PrototypicalLossConfig::new().init().unwrap();
    let stopped = run(&digits, &trial(0), &mut objective, &AtomicBool::new(true));
    assert!(stopped.unwrap().is_none());
}
