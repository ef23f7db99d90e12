//! Expected values are scikit-learn's and NumPy's, on scores made by the same formula with many ties.

use proptest::prelude::*;
use thalweg::objective::Task;

use super::*;

fn scores(samples: usize, classes: usize, score: impl Fn(usize, usize) -> f32) -> (Vec<f32>, Vec<u32>) {
    let logits: Vec<f32> = (0..samples * classes)
        .map(|at| score(at / classes, at % classes))
        .collect();
    let labels = (0..samples)
        .map(|i| {
            let row = &logits[i * classes..(i + 1) * classes];
            let top = (1..classes).fold(0, |top, k| if row[k] > row[top] { k } else { top });
            (if i % 3 != 0 { top } else { i * 5 % classes }) as u32
        })
        .collect();
    (logits, labels)
}

fn tied(samples: usize, classes: usize) -> (Vec<f32>, Vec<u32>) {
    scores(samples, classes, |i, k| {
        ((i * 7919 + k * 104_729 + i * k * 31) % 41) as f32 / 4.0 - 5.0
    })
}

fn assert_values(actual: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (name, expected) in expected {
        let actual = actual[*name];
        assert!(
            (actual - expected).abs() < 1e-12,
            "{name}: {actual}, expected {expected}"
        );
    }
}

#[test]
fn five_classes_agree_with_scikit_learn() {
    let (logits, labels) = tied(180, 5);
    let scores = Scores::new(&logits, 5, &labels).unwrap();
    let expected = [
        ("accuracy", 0.777_777_777_777_777_8),
        ("balanced_accuracy", 0.913_043_478_260_869_5),
        ("macro_f1", 0.798_293_574_038_255),
        ("auroc", 0.926_613_311_315_555_6),
        ("top_3_accuracy", 0.861_111_111_111_111_2),
        ("nll", 1.458_648_943_573_322_5),
        ("brier", 0.491_515_673_110_373_53),
        ("ece_equal_width", 0.198_782_024_398_219_43),
    ];
    assert_values(&scores.evaluate(), &expected);
    assert_eq!(scores.confusion()[0], [52, 12, 7, 8, 13]);
}

#[test]
fn two_classes_agree_with_scikit_learn() {
    let (logits, labels) = tied(90, 2);
    let values = Scores::new(&logits, 2, &labels).unwrap().evaluate();
    let expected = [
        ("accuracy", 0.833_333_333_333_333_4),
        ("balanced_accuracy", 0.833_498_023_715_415),
        ("macro_f1", 0.833_312_754_661_069_2),
        ("auroc", 0.833_250_988_142_292_4),
        ("nll", 0.731_282_640_487_422_8),
        ("brier", 0.318_125_171_318_472_84),
        ("ece_equal_width", 0.133_937_545_556_498_78),
    ];
    assert_values(&values, &expected);
    assert!(
        !values.contains_key("top_3_accuracy"),
        "true of any guess, so not worth a row"
    );
}

#[test]
fn calibration_errors_agree_with_numpy() {
    let (logits, labels) = scores(150, 4, |i, k| {
        ((i * 7919 + k * 104_729 + i * k * 31) % 997) as f32 / 128.0 - 4.0 + i as f32 / 1024.0
    });
    let values = Scores::new(&logits, 4, &labels).unwrap().evaluate();
    assert_values(
        &values,
        &[
            ("ece_equal_mass", 0.142_473_070_275_916_05),
            ("ece_equal_width", 0.149_931_504_298_297_8),
        ],
    );
}

#[test]
fn every_metric_of_scores_is_in_the_catalogue() {
    let (logits, labels) = tied(30, 5);
    let values = Scores::new(&logits, 5, &labels).unwrap().evaluate();
    assert!(values.keys().all(|name| find(name).is_some()));
    let needs_more = [
        "robust_accuracy",
        "constraint_distance",
        "bag_cross_entropy",
        "bag_rmse",
        "bag_mae",
        "rmse",
        "r2",
    ];
    let of_scores = CATALOGUE
        .iter()
        .filter(|metric| metric.task == Task::Classification);
    for metric in of_scores {
        assert_ne!(
            values.contains_key(metric.name),
            needs_more.contains(&metric.name),
            "{}",
            metric.name
        );
    }
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let refused = |logits: &[f32], classes, labels: &[u32]| Scores::new(logits, classes, labels).unwrap_err();
    assert_eq!(refused(&[], 3, &[]), MetricError::NoSamples);
    assert_eq!(refused(&[1.0], 1, &[0]), MetricError::TooFewClasses(1));
    assert!(matches!(
        refused(&[1.0; 5], 3, &[0, 1]),
        MetricError::Shape { scores: 5, .. }
    ));
    assert!(matches!(
        refused(&[1.0; 6], 3, &[0, 3]),
        MetricError::Label {
            sample: 1,
            label: 3,
            ..
        }
    ));
    let nan = refused(&[0.0, 1.0, 2.0, f32::NAN], 2, &[0, 1]);
    assert!(matches!(
        nan,
        MetricError::NotFinite {
            sample: 1,
            class: 1,
            ..
        }
    ));
}

#[test]
fn saturated_probabilities_are_still_ranked() {
    // Both round to probability 1; only the logits tell that the negative is the less sure one.
    let logits = [0.0, 50.0, 0.0, 90.0, 0.0, 45.0];
    let scores = Scores::new(&logits, 2, &[1, 1, 0]).unwrap();
    assert_eq!(scores.auroc(), 1.0);
}

#[test]
fn huge_scores_stay_finite() {
    let logits = [1e4, -1e4, 0.0, -1e4, 1e4, 0.0];
    let values = Scores::new(&logits, 3, &[1, 0]).unwrap().evaluate();
    assert!(values.values().all(|value| value.is_finite()), "{values:?}");
    assert_eq!(values["nll"], 2e4);
}

#[test]
fn one_class_has_no_auroc() {
    assert!(
        Scores::new(&[0.0, 1.0, 1.0, 0.0], 2, &[1, 1])
            .unwrap()
            .auroc()
            .is_nan()
    );
    assert!(Scores::new(&[0.0; 6], 3, &[1, 1]).unwrap().auroc().is_nan());
}

#[test]
fn pooled_bins_are_those_of_the_pooled_samples() {
    let (logits, labels) = tied(120, 3);
    let whole = Scores::new(&logits, 3, &labels).unwrap().reliability(BINS);
    let half = |from: usize, to: usize| {
        Scores::new(&logits[3 * from..3 * to], 3, &labels[from..to])
            .unwrap()
            .reliability(BINS)
    };
    let pooled = pool_reliability(&[half(0, 50), half(50, 120)]);
    for (pooled, whole) in pooled.iter().zip(&whole) {
        assert_eq!(pooled.count, whole.count);
        assert!((pooled.confidence - whole.confidence).abs() < 1e-12);
        assert!((pooled.accuracy - whole.accuracy).abs() < 1e-12);
    }
}

proptest! {
    #[test]
    fn the_order_of_samples_does_not_matter(
        rows in prop::collection::vec((prop::collection::vec(-3_i8..3, 3), 0_u32..3), 1..40),
    ) {
        let flatten = |rows: &[(Vec<i8>, u32)]| -> (Vec<f32>, Vec<u32>) {
            (rows.iter().flat_map(|(row, _)| row.iter().map(|&z| f32::from(z))).collect(),
             rows.iter().map(|(_, label)| *label).collect())
        };
        let (logits, labels) = flatten(&rows);
        let forward = Scores::new(&logits, 3, &labels).unwrap().evaluate();
        let mut rows = rows;
        rows.reverse();
        let (logits, labels) = flatten(&rows);
        let backward = Scores::new(&logits, 3, &labels).unwrap().evaluate();
        for (name, value) in &forward {
            let other = backward[name];
            prop_assert!((value - other).abs() < 1e-12 || (value.is_nan() && other.is_nan()), "{}", name);
        }
        // An area is a share of pairs, so it can be counted pair by pair.
        let auroc = Scores::new(&logits, 3, &labels).unwrap().auroc();
        let by_pairs = pairwise_auroc(Scores::new(&logits, 3, &labels).unwrap().probabilities(), &labels);
        prop_assert!((auroc - by_pairs).abs() < 1e-9 || (auroc.is_nan() && by_pairs.is_nan()));
    }
}

fn pairwise_auroc(probabilities: &[f64], labels: &[u32]) -> f64 {
    mean_of((0..3).filter_map(|class| {
        let of = |positive: bool| {
            let is_kept = move |label: u32| (label == class as u32) == positive;
            labels
                .iter()
                .enumerate()
                .filter(move |&(_, &label)| is_kept(label))
                .map(|(i, _)| probabilities[i * 3 + class])
                .collect::<Vec<_>>()
        };
        let (positives, negatives) = (of(true), of(false));
        let wins = positives.iter().flat_map(|p| {
            negatives.iter().map(move |n| match () {
                // Equal scores may give probabilities apart by rounding.
                () if (p - n).abs() < 1e-12 => 0.5,
                () if p > n => 1.0,
                () => 0.0,
            })
        });
        (!positives.is_empty() && !negatives.is_empty()).then(|| mean_of(wins))
    }))
}
