//! EnsLoss: does a loss drawn anew at every step beat each of three fixed ones on small noisy two-class sets?

use std::sync::Arc;

use thalweg_data::Dataset;
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::model::{Activation, ModelSpec, Normalization, ScoreForm};
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Findings, Scale, Study, Table, Verdict, Weight, points};
use crate::trial::{CurveDetail, DataSpec, OptimizerSpec, Outcome, Scaling, Schedule, TrialSpec};

pub(super) const STUDY: Study = Study {
    slug: "ens_loss",
    claim: "Derivatives of a convex, calibrated loss drawn at random at every step keep a network from overfitting: they \
            beat binary cross-entropy, the hinge and the exponential loss.",
    source: "Dai, ICML 2025 (arXiv 2409.00908)",
    seeds: 10,
    steps: |scale| pairs(scale).len() * scale.seeds() * LOSSES.len(),
    run,
};

/// Pairs of digits to tell apart.
const PAIRS: [[u32; 2]; 8] = [[0, 8], [1, 7], [3, 5], [4, 9], [3, 8], [2, 7], [5, 6], [8, 9]];
/// Label and name in the catalogue; the first is set against the others.
const LOSSES: [(&str, &str); 4] = [
    ("EnsLoss", "ens_loss"),
    ("BCE", "logistic"),
    ("hinge", "hinge"),
    ("exponential", "exponential"),
];
const TRAINING_ROWS: usize = 120;
const NOISE_FEATURES: usize = 200;
/// Standard deviation of the noise, on pixels of 0 to 16.
const NOISE: f32 = 6.0;
/// Being worse than a fixed loss by more than this speaks against the claim.
const TOLERATED: f64 = 0.005;

fn pairs(scale: &Scale) -> &'static [[u32; 2]] {
    scale.pick(&PAIRS, &PAIRS[..2])
}

/// Two digits, their pixels under noise beside features of noise alone, 120 samples to train on.
fn data(pair: [u32; 2], seed: u64) -> Dataset {
    let digits = thalweg_data::digits();
    let mut rows: Vec<usize> = (0..digits.len())
        .filter(|&row| pair.contains(&digits.labels[row]))
        .collect();
    let [a, b] = pair;
    let seed = 100 * seed + u64::from(10 * a + b);
    Stream::new(seed, "rows", 0).shuffle(&mut rows);
    let width = digits.width() + NOISE_FEATURES;
    let mut features = vec![0.0; rows.len() * width];
    Stream::new(seed, "noise", 0).fill_normal(&mut features);
    for (sample, &row) in features.chunks_exact_mut(width).zip(&rows) {
        sample.iter_mut().for_each(|value| *value *= NOISE);
        for (value, pixel) in sample.iter_mut().zip(digits.row(row)) {
            *value += 16.0 * pixel;
        }
        sample.iter_mut().for_each(|value| *value /= 6.0);
    }
    Dataset {
        name: format!("digits {a} and {b} under noise"),
        features,
        labels: rows
            .iter()
            .map(|&row| u32::from(digits.labels[row] == b))
            .collect(),
        classes: pair.map(|digit| digit.to_string()).to_vec(),
        feature_names: (0..width).map(|feature| format!("feature {feature}")).collect(),
        feature_shape: vec![width],
        published_test: Some(TRAINING_ROWS),
        numbers: None,
        bags: None,
        licence: None,
    }
}

fn trial(scale: &Scale, fingerprint: &str, objective: &str, seed: u64) -> TrialSpec {
    let data = DataSpec {
        scaling: Scaling::AsIs,
        ..DataSpec::new(fingerprint.to_owned())
    };
    let model = ModelSpec::Mlp {
        hidden: vec![64, 64],
        activation: Activation::Relu,
        normalization: Normalization::Batch,
        scores: ScoreForm::Single,
    };
    let mut spec = TrialSpec::new(data, model, objective, thalweg::objective::Settings::new(), seed);
    spec.optimizer = OptimizerSpec::sgd(0.9, Schedule::Cosine);
    spec.learning_rate = 1e-2;
    spec.weight_decay = 5e-6;
    spec.batch_size = 32;
    spec.epochs = scale.pick(100, 2);
    spec.curve = CurveDetail::Fit;
    spec
}

/// Outcomes by pair, seed and loss.
struct Grid {
    outcomes: Vec<Outcome>,
    seeds: usize,
}

impl Grid {
    /// A number of each pair and seed under a loss, seeds within pairs.
    fn of(&self, loss: usize, number: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        let runs = self.outcomes.iter().skip(loss).step_by(LOSSES.len());
        runs.map(number).collect()
    }

    fn accuracy(&self, loss: usize) -> Vec<f64> {
        self.of(loss, |outcome| outcome.metrics["accuracy"])
    }
}

fn run(scale: &Scale, pool: &Pool, _: &Advance) -> Result<Findings, LabError> {
    let mut grid = Grid {
        outcomes: Vec::new(),
        seeds: scale.seeds(),
    };
    for &pair in pairs(scale) {
        for seed in 0..scale.seeds() as u64 {
            let dataset = Arc::new(data(pair, seed));
            let fingerprint = dataset.fingerprint();
            let specs = LOSSES.map(|(_, objective)| trial(scale, &fingerprint, objective, seed));
            grid.outcomes.extend(pool.run(&dataset, &specs)?);
        }
    }
    let claims = vec![beats_fixed_losses(&grid), fits_later(&grid)];
    let tables = vec![
        accuracy_table(scale, &grid),
        tests_table(&grid),
        fit_table(scale, &grid),
    ];
    Ok(Findings::new(scale, tables, claims))
}

fn beats_fixed_losses(grid: &Grid) -> Claim {
    let differences = [1, 2, 3].map(|loss| paired(&grid.accuracy(0), &grid.accuracy(loss)));
    let better = differences.iter().filter(|difference| difference.low > 0.0);
    let much_worse = differences
        .iter()
        .any(|difference| difference.high < 0.0 && difference.mean < -TOLERATED);
    let verdict = match better.count() {
        _ if much_worse => Verdict::DoesNotHold,
        2.. => Verdict::Holds,
        _ => Verdict::Inconclusive,
    };
    let evidence: Vec<String> = LOSSES[1..]
        .iter()
        .zip(&differences)
        .map(|((label, _), difference)| format!("minus {label}: {}", points(difference)))
        .collect();
    Claim {
        text: "EnsLoss is more accurate than fixed losses".to_owned(),
        criterion:
            "95% intervals over pairs and seeds above 0 for two of three, none worse by more than 0.5 points"
                .to_owned(),
        evidence: evidence.join("; "),
        verdict: Some(verdict),
        weight: Weight::Decisive,
    }
}

/// The first epoch after which every training sample is right; one after the last where that never happens.
fn fitted(outcome: &Outcome) -> f64 {
    let curve = &outcome.curve;
    let right = |fit: Option<crate::results::Fit>| fit.is_some_and(|fit| fit.accuracy == 1.0);
    let first = curve.iter().position(|point| right(point.fit));
    (first.unwrap_or(curve.len()) + 1) as f64
}

fn fits_later(grid: &Grid) -> Claim {
    let epochs = paired(&grid.of(0, fitted), &grid.of(1, fitted));
    let Paired { mean, low, high, .. } = epochs;
    Claim {
        text: "EnsLoss keeps training accuracy below 1 for longer than binary cross-entropy".to_owned(),
        criterion: "95% interval of the difference in the first epoch of accuracy 1 above 0".to_owned(),
        evidence: format!("{mean:+.1} epochs [{low:+.1}, {high:+.1}]").replace('-', "−"),
        verdict: Some(Verdict::above_zero(&epochs)),
        weight: Weight::Supporting,
    }
}

fn named(pair: [u32; 2]) -> String {
    format!("{}-{}", pair[0], pair[1])
}

fn accuracy_table(scale: &Scale, grid: &Grid) -> Table {
    let accuracy: Vec<Vec<f64>> = (0..LOSSES.len()).map(|loss| grid.accuracy(loss)).collect();
    let cell = |values: &[f64]| format!("{:.2}", 100.0 * summary(values).mean);
    let mut rows: Vec<Vec<String>> = pairs(scale)
        .iter()
        .enumerate()
        .map(|(index, &pair)| {
            let of_pair = index * grid.seeds..(index + 1) * grid.seeds;
            let cells = accuracy.iter().map(|values| cell(&values[of_pair.clone()]));
            std::iter::once(named(pair)).chain(cells).collect()
        })
        .collect();
    let all = accuracy.iter().map(|values| cell(values));
    rows.push(std::iter::once("all".to_owned()).chain(all).collect());
    let losses = LOSSES.iter().map(|(label, _)| (*label).to_owned());
    Table {
        title: "Digit pairs under noise: mean test accuracy in %".to_owned(),
        columns: std::iter::once("pair".to_owned()).chain(losses).collect(),
        rows,
    }
}

/// Over the seeds of each pair, as the paper counts.
fn tests_table(grid: &Grid) -> Table {
    let own = grid.accuracy(0);
    let rows = (1..LOSSES.len()).map(|loss| {
        let other = grid.accuracy(loss);
        let tests = own.chunks(grid.seeds).zip(other.chunks(grid.seeds));
        let (mut better, mut same, mut worse) = (0, 0, 0);
        for (own, other) in tests {
            let test = paired(own, other);
            // Half of the two-sided p-value on the side of the mean.
            match test.mean {
                mean if mean > 0.0 && 0.5 * test.p < 0.05 => better += 1,
                mean if mean < 0.0 && 0.5 * test.p < 0.05 => worse += 1,
                _ => same += 1,
            }
        }
        let counts = [better, same, worse].map(|count: usize| count.to_string());
        let difference = points(&paired(&own, &other));
        let label = LOSSES[loss].0.to_owned();
        [vec![label], counts.to_vec(), vec![difference]].concat()
    });
    Table {
        title: "EnsLoss against each: pairs of digits by one-sided t-tests (p < 0.05), and over all"
            .to_owned(),
        columns: ["against", "better", "no difference", "worse", "mean difference"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

fn fit_table(scale: &Scale, grid: &Grid) -> Table {
    let epochs: &[usize] = scale.pick(&[1, 2, 5, 10, 20, 30, 50, 100], &[1, 2]);
    let rows = epochs.iter().map(|&epoch| {
        let at = |loss: usize, number: fn(crate::results::Fit) -> f64| {
            let values = grid.of(loss, |outcome| {
                outcome.curve[epoch - 1].fit.map_or(f64::NAN, number)
            });
            summary(&values).mean
        };
        let cells = [0, 1].into_iter().flat_map(|loss| {
            [
                format!("{:.1}", 100.0 * at(loss, |fit| fit.accuracy)),
                format!("{:.3}", at(loss, |fit| fit.cross_entropy)),
            ]
        });
        std::iter::once(epoch.to_string()).chain(cells).collect()
    });
    Table {
        title:
            "Fit of the training samples after so many epochs: accuracy in %, binary cross-entropy in nats"
                .to_owned(),
        columns: ["epoch", "EnsLoss acc", "EnsLoss BCE", "BCE acc", "BCE BCE"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_are_as_described() {
        let set = data([3, 5], 1);
        assert_eq!((set.width(), set.classes.len()), (264, 2));
        assert_eq!(set.published_test, Some(120));
        let noise: Vec<f32> = set
            .features
            .chunks(264)
            .flat_map(|row| row[64..].to_vec())
            .collect();
        let variance = noise.iter().map(|x| x * x).sum::<f32>() / noise.len() as f32;
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
        assert_ne!(set.features, data([3, 5], 2).features);
    }
}
