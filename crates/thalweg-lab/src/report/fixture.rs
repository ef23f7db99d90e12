//! Comparisons made up for tests: plausible in shape, true of nothing.

use std::collections::BTreeMap;

use thalweg::objective::Task;
use thalweg_kernels::random::Stream;

use crate::metrics::{self, Direction, Scores};
use crate::pruning::{Judged, Point, Pruning};
use crate::results::*;
use crate::statistics;

/// Text that breaks a page which does not escape it.
pub const HOSTILE: &str = "<script>alert(\"7 & 'seven'\")</script>";

/// Loss at a margin.
type Loss = fn(f64) -> f64;

const OBJECTIVES: [(&str, f64, f64, Loss); 7] = [
    ("cross_entropy", 0.950, 0.30, |m| (9.0 * (-m).exp()).ln_1p()),
    ("generalized_cross_entropy", 0.953, 0.08, |m| {
        (1.0 - (1.0 + 9.0 * (-m).exp()).powf(-0.7)) / 0.7
    }),
    ("mean_absolute_error", 0.940, 0.05, |m| {
        1.0 - 1.0 / (1.0 + 9.0 * (-m).exp())
    }),
    ("sum_exponential", 0.930, 0.55, |m| 9.0 * (-m).exp()),
    ("label_smoothing", 0.951, 0.22, |m| {
        (9.0 * (-m).exp()).ln_1p() + 0.09 * m
    }),
    ("focal", 0.948, 0.32, |m| {
        let p = 1.0 / (1.0 + 9.0 * (-m).exp());
        -(1.0 - p).powi(2) * p.ln()
    }),
    ("smooth_adversarial_comp_sum", 0.952, 0.20, |m| {
        (9.0 * (-m).exp()).ln_1p() + 0.3 * (1.0 - m).max(0.0)
    }),
];

/// Seven objectives, three noise levels, ten classes, eight seeds.
pub fn large() -> Comparison {
    let classes = [
        "zero", "one", "two", "three", "four", "five", "six", HOSTILE, "eight", "nine",
    ];
    comparison(&classes, &[0.0, 0.2, 0.4], 8, OBJECTIVES.len())
}

/// Two objectives, two classes, one seed: nothing has an interval, and a metric and a loss are undefined.
pub fn small() -> Comparison {
    let mut comparison = comparison(&["benign", "malignant"], &[0.3], 1, 2);
    let entry = &mut comparison.conditions[0].entries[0];
    entry
        .metrics
        .insert("auroc".to_owned(), statistics::summary(&[f64::NAN]));
    entry.curve[1].train_loss = f64::NAN;
    comparison
}

/// Twenty classes, or as many as asked.
pub fn with_classes(count: usize) -> Comparison {
    let names: Vec<String> = (0..count)
        .map(|class| format!("species number {class}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    comparison(&names, &[0.1], 3, 3)
}

fn comparison(classes: &[&str], noises: &[f64], seeds: usize, objectives: usize) -> Comparison {
    let protocol = Protocol {
        model: "mlp 64-64-10, ReLU".to_owned(),
        optimizer: "AdamW, cosine schedule".to_owned(),
        seeds,
        epochs: 30,
        batch_size: 64,
        tuning_trials: 12,
        metric: "accuracy".to_owned(),
        baseline: "cross_entropy".to_owned(),
        objective: None,
        attack: None,
        teacher: None,
        task: Task::Classification,
        untrained: BTreeMap::new(),
    };
    Comparison {
        command: "thalweg compare --noise 0,0.2,0.4 --seeds 8".to_owned(),
        versions: vec![
            ("thalweg".to_owned(), "0.1.0".to_owned()),
            ("burn".to_owned(), "0.22.1".to_owned()),
        ],
        started: "2026-03-14T09:26:53Z".to_owned(),
        data: DataSummary {
            name: "digits".to_owned(),
            samples: 1797,
            features: 64,
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            class_counts: vec![1797 / classes.len(); classes.len()],
            split: [1149, 288, 360],
            imbalance: None,
            bags: None,
        },
        conditions: noises
            .iter()
            .map(|&noise| condition(noise, classes.len(), &protocol, objectives))
            .collect(),
        protocol,
        recommendation: Recommendation {
            sentence: "Train with generalized_cross_entropy: with label noise it was more accurate than cross_entropy."
                .to_owned(),
            evidence: "At 40 % label noise its test accuracy was 91.8 %, 7.9 points above cross_entropy \
                       (95% interval 7.1 to 8.7, p < 0.001 over 8 seeds)."
                .to_owned(),
            code: "use thalweg::classification::GeneralizedCrossEntropyLossConfig;\n\
                   let loss = GeneralizedCrossEntropyLossConfig::new().with_q(0.7).init()?;\n\
                   let value = loss.forward(logits, targets);"
                .to_owned(),
        },
    }
}

fn condition(noise: f64, classes: usize, protocol: &Protocol, objectives: usize) -> Condition {
    let mut entries: Vec<Entry> = OBJECTIVES[..objectives]
        .iter()
        .enumerate()
        .map(|(index, &(name, clean, harm, loss))| {
            let accuracy = clean - harm * noise;
            let mut stream = Stream::new(index as u64, "fixture", (1000.0 * noise) as u64);
            entry(name, accuracy, noise, classes, protocol, loss, &mut stream)
        })
        .collect();
    let values = |entry: &Entry| entry.metrics["accuracy"].values.clone();
    let baseline = values(&entries[0]);
    let others: Vec<Vec<f64>> = entries[1..].iter().map(values).collect();
    let others: Vec<&[f64]> = others.iter().map(Vec::as_slice).collect();
    let differences = statistics::differences(&others, &baseline, Direction::HigherIsBetter);
    for (entry, difference) in entries[1..].iter_mut().zip(differences) {
        entry.difference = Some(difference);
    }
    entries.sort_by(|a, b| b.metrics["accuracy"].mean.total_cmp(&a.metrics["accuracy"].mean));
    Condition { noise, entries }
}

fn entry(
    name: &str,
    accuracy: f64,
    noise: f64,
    classes: usize,
    protocol: &Protocol,
    loss: Loss,
    stream: &mut Stream,
) -> Entry {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut confusion = vec![vec![0; classes]; classes];
    let mut bins = Vec::new();
    for _ in 0..protocol.seeds {
        let (logits, labels) = test_split(accuracy, classes, stream);
        let scores = Scores::new(&logits, classes, &labels).expect("made to be judged");
        for (metric, value) in scores.evaluate() {
            values.entry(metric).or_default().push(value);
        }
        for (sum, row) in confusion
            .iter_mut()
            .flatten()
            .zip(scores.confusion().into_iter().flatten())
        {
            *sum += row;
        }
        bins.push(scores.reliability(metrics::BINS));
    }
    let seconds: Vec<f64> = (0..protocol.seeds)
        .map(|_| 0.04 + 0.01 * stream.uniform())
        .collect();
    let slope = |margin: f64| (loss(margin + 1e-4) - loss(margin - 1e-4)) / 2e-4;
    Entry {
        name: name.to_owned(),
        parameters: BTreeMap::from([("q".to_owned(), 0.7)]),
        learning_rate: 3e-3,
        metrics: values
            .into_iter()
            .map(|(name, values)| (name, statistics::summary(&values)))
            .collect(),
        difference: None,
        seconds_per_epoch: statistics::summary(&seconds),
        peak_bytes: 12_345_678,
        curve: (1..=protocol.epochs)
            .map(|epoch| {
                let left = (-0.25 * epoch as f64).exp();
                EpochPoint {
                    epoch,
                    train_loss: loss(4.0)
                        + (loss(0.0) - loss(4.0)) * (left + noise)
                        + 0.02 * stream.uniform(),
                    validation_accuracy: accuracy - 0.6 * left - noise * 0.002 * epoch as f64
                        + 0.01 * stream.uniform(),
                    fit: None,
                    constraint_distance: None,
                }
            })
            .collect(),
        confusion,
        reliability: metrics::pool_reliability(&bins),
        roc: Vec::new(),
        margin_curve: (-50..=50)
            .map(|tenth| {
                let margin = f64::from(tenth) / 10.0;
                MarginPoint {
                    margin,
                    loss: loss(margin),
                    slope: slope(margin),
                }
            })
            .collect(),
    }
}

fn test_split(accuracy: f64, classes: usize, stream: &mut Stream) -> (Vec<f32>, Vec<u32>) {
    let mut logits = Vec::new();
    let mut labels = Vec::new();
    for sample in 0..360 {
        let label = sample % classes;
        let mut row = vec![0.0; classes];
        stream.fill_normal(&mut row);
        let winner = if stream.uniform() < accuracy {
            label
        } else {
            (label + 1 + stream.below(3)) % classes
        };
        row[winner] += 1.5 + 5.0 * stream.uniform() as f32;
        logits.extend(row);
        labels.push(label as u32);
    }
    (logits, labels)
}

/// Three ways to prune to two sparsities.
pub fn pruning(seeds: usize) -> Pruning {
    let over_seeds = |mean: f64| {
        let values: Vec<f64> = (0..seeds).map(|seed| mean + 0.01 * (seed as f64).sin()).collect();
        statistics::summary(&values)
    };
    let metrics = |accuracy: f64, predicted: f64| {
        let named = [
            ("accuracy", accuracy),
            ("nll", 2.0 - accuracy),
            ("predicted_loss_increase", predicted),
            ("measured_loss_increase", 1.0 - accuracy),
            ("seconds", 0.2),
        ];
        named
            .map(|(name, mean)| (name.to_owned(), over_seeds(mean)))
            .into()
    };
    let way = |method: &str, recomputations, accuracies: [f64; 2], predicted: f64| Judged {
        method: method.to_owned(),
        recomputations,
        block_size: None,
        points: [0.7, 0.9]
            .into_iter()
            .zip(accuracies)
            .map(|(sparsity, accuracy)| Point {
                sparsity,
                metrics: metrics(accuracy, predicted),
                difference: (method != "magnitude").then(|| {
                    let found = over_seeds(accuracy);
                    let base = over_seeds(0.4).values;
                    statistics::differences(&[&found.values], &base, Direction::HigherIsBetter).remove(0)
                }),
            })
            .collect(),
        peak_bytes: 1 << 20,
    };
    let comparison = large();
    Pruning {
        command: "thalweg prune".to_owned(),
        versions: comparison.versions,
        started: comparison.started,
        data: comparison.data,
        protocol: crate::pruning::Protocol {
            model: "mlp 64-40-10, ReLU".to_owned(),
            origin: "trained".to_owned(),
            weights: 2960,
            sparsity_before: 0.0,
            seeds,
            gradients: 512,
            dampening: 1e-5,
            joint: false,
            finetune: 0,
        },
        dense: metrics(0.97, 0.0),
        ways: vec![
            way("magnitude", 1, [0.85, 0.32], f64::NAN),
            way("m_fac", 1, [0.92, 0.33], 0.02),
            way("m_fac", 8, [0.96, 0.91], 0.3),
        ],
        recommendation: comparison.recommendation,
    }
}
