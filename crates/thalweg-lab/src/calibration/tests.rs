use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Logits that are too large by a factor, with the labels drawn from the right ones.
fn overconfident(samples: usize, classes: usize, factor: f64) -> (Logits, Vec<usize>) {
    let mut stream = Stream::new(1, "overconfident", 0);
    let values: Vec<f64> = (0..samples * classes).map(|_| 3.0 * stream.uniform()).collect();
    let logits = Logits::new(values.clone(), classes).unwrap();
    let probabilities = logits.probabilities();
    let labels = probabilities.chunks(classes).map(|row| {
        let mut left = stream.uniform();
        let drawn = row.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        drawn.unwrap_or(classes - 1)
    });
    let labels = labels.collect();
    let larger = values.into_iter().map(|z| factor * z).collect();
    (Logits::new(larger, classes).unwrap(), labels)
}

fn plan(methods: &[Method]) -> Plan {
    Plan {
        name: "z".to_owned(),
        command: "test".to_owned(),
        methods: methods.to_vec(),
        folds: 5,
        seed: 0,
        settings: CalibratorConfig::new(Method::Temperature).with_steps(20),
    }
}

#[test]
fn overconfidence_is_found_and_taken_away() {
    let (logits, labels) = overconfident(3000, 4, 5.0);
    let fits = AtomicUsize::new(0);
    let (methods, left_out) = default_methods(&logits);
    let found = compare(&plan(&methods), &logits, &labels, &|| {
        fits.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(fits.into_inner(), 6 * methods.len());
    assert_eq!(methods.len(), 6);
    assert!(left_out[0].contains("correctness-aware-balanced") && left_out[0].contains("--views"));
    assert!(found.before.ece_15 > 0.2);
    let temperature = &found.methods[0];
    assert!(temperature.after.ece_15 < 0.05 && temperature.after.nll < found.before.nll);
    assert_eq!(temperature.changed_predictions, 0);
    assert_eq!(temperature.after.accuracy, found.before.accuracy);
    assert!(temperature.learnt.starts_with("T = "));
    assert!(found.best.is_some());
}

#[test]
fn what_is_undefined_stands_as_such() {
    let (logits, _) = overconfident(30, 3, 1.0);
    let found = compare(
        &plan(&[Method::Temperature]),
        &logits,
        &logits.predicted(),
        &|| (),
    )
    .unwrap();
    assert!(found.before.auroc.is_nan(), "every prediction is right");
    assert_eq!(found.methods[0].learnt, "T = 0.0500");
    assert!(serde_json::to_value(&found).unwrap()["before"]["auroc"].is_null());
}

#[test]
fn nothing_is_recommended_where_nothing_helps() {
    // The labels tell nothing of the logits but through them: probabilities are right already.
    let (logits, labels) = overconfident(400, 3, 1.0);
    let found = compare(&plan(&[Method::Histogram]), &logits, &labels, &|| ()).unwrap();
    assert_eq!(
        found.best, None,
        "{} {}",
        found.before.nll, found.methods[0].after.nll
    );
}

#[test]
fn folds_hold_every_sample_once_and_every_class_evenly() {
    let labels: Vec<usize> = (0..103).map(|i| i % 7 % 3).collect();
    let parts = folds(&labels, 5, 3);
    let mut all: Vec<usize> = parts.concat();
    all.sort_unstable();
    assert_eq!(all, (0..103).collect::<Vec<_>>());
    for class in 0..3 {
        let counts: Vec<usize> = parts
            .iter()
            .map(|part| part.iter().filter(|&&i| labels[i] == class).count())
            .collect();
        assert!(
            counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
            "{counts:?}"
        );
    }
    assert_ne!(folds(&labels, 5, 4), parts);
}

#[test]
fn plans_without_sense_are_refused() {
    let (logits, labels) = overconfident(3, 2, 1.0);
    let refused = |folds| {
        let plan = Plan {
            folds,
            ..plan(&[Method::Temperature])
        };
        compare(&plan, &logits, &labels, &|| ()).unwrap_err().to_string()
    };
    assert_eq!(refused(1), "there are at least two folds");
    assert_eq!(refused(4), "3 samples cannot be split into 4 folds");
    assert!(compare(&plan(&[]), &logits, &labels[1..], &|| ()).is_err());
}

#[test]
fn the_matrix_of_many_classes_must_be_asked_for() {
    let wide = Logits::new(vec![0.0; 202], 101).unwrap();
    let (methods, reasons) = default_methods(&wide);
    assert!(!methods.contains(&Method::Matrix));
    assert!(reasons.iter().any(|reason| reason.starts_with("matrix left out")));
}
