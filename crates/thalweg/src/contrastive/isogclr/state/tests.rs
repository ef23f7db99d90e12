use burn::tensor::DType;
use proptest::prelude::*;

use super::super::super::in_batch::tests::{all_gradients, assert_near, embeddings, number};
use super::super::{optimal_temperature, robust_term};
use super::*;

/// Unit rows of two views, tracked.
fn views(batch: usize, seed: u64) -> [Tensor<2>; 2] {
    embeddings([batch, batch], 3, 1.0, seed, DType::F64).map(|view| {
        let norms = view.clone().square().sum_dim(1).sqrt();
        (view / norms).detach().require_grad()
    })
}

fn rows(view: &Tensor<2>) -> Vec<[f64; 3]> {
    let data = view.to_data().try_into_vec_as::<f64>().unwrap();
    data.as_chunks::<3>().0.to_vec()
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn individual(samples: usize) -> SogClr {
    let mut config = SogClrConfig::individual(samples);
    config.temperature = 0.3;
    config.init().unwrap()
}

#[test]
fn samples_are_remembered_by_their_number_in_any_order_and_through_a_checkpoint() {
    let [first, second] = views(4, 0);
    let mut learner = individual(9);
    learner
        .forward(first.clone(), second.clone(), &[7, 2, 0, 5])
        .unwrap();
    let text = serde_json::to_string(&learner).unwrap();
    let mut restored: SogClr = serde_json::from_str(&text).unwrap();
    assert_eq!(restored, learner);

    let order = Tensor::<1, burn::tensor::Int>::from_ints([2, 0, 3, 1], &first.device());
    let shuffled = [&first, &second].map(|view| view.clone().select(0, order.clone()));
    let there = learner.forward(first, second, &[7, 2, 0, 5]).unwrap();
    let [first, second] = shuffled;
    let here = restored.forward(first, second, &[0, 7, 5, 2]).unwrap();
    assert!((number(there) - number(here)).abs() < 1e-12);
    for (a, b) in learner.temperatures().iter().zip(restored.temperatures()) {
        assert!((a - b).abs() < 1e-13);
    }
    assert_eq!(learner.temperatures()[1], 0.3);
    assert!(learner.temperatures()[7] != 0.3);
}

#[test]
fn a_batch_that_cannot_be_remembered_changes_nothing() {
    let [first, second] = views(3, 1);
    let mut learner = individual(5);
    let before = learner.clone();
    let cases: [(&[usize], &str); 3] = [
        (&[1, 4, 1], "sample 1 is in the batch more than once"),
        (&[1, 5, 2], "sample 5 is not in 0..5"),
        (&[1, 2], "2 sample numbers were given for a batch of 3"),
    ];
    for (ids, message) in cases {
        let error = learner.forward(first.clone(), second.clone(), ids).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let [one, other] = views(1, 2);
    assert_eq!(
        learner.forward(one, other, &[0]).unwrap_err(),
        StateError::TooSmall(1)
    );
    assert_eq!(learner, before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn at_the_first_visit_the_gradient_is_that_of_the_batch(batch in 2_usize..7, seed in 0_u64..500, temperature in 0.05_f64..1.0) {
        let [first, second] = views(batch, seed);
        let mut config = SogClrConfig::new(batch);
        config.temperature = temperature;
        let ids: Vec<usize> = (0..batch).collect();
        let loss = config.init().unwrap().forward(first.clone(), second.clone(), &ids).unwrap();
        let found = all_gradients(loss, &[&first, &second], &[]);
        let all: Vec<[f64; 3]> = [rows(&first), rows(&second)].concat();
        // Of τ log mean exp(s/τ) − s⁺, summed over both views and averaged over samples.
        let mut expected = vec![[0.0; 3]; 2 * batch];
        for anchor in 0..2 * batch {
            let own = [anchor, (anchor + batch) % (2 * batch)];
            let others: Vec<usize> = (0..2 * batch).filter(|j| !own.contains(j)).collect();
            let scores: Vec<f64> = others.iter().map(|&j| dot(&all[anchor], &all[j])).collect();
            let term = robust_term(&scores, temperature, 0.0);
            let pulls = others.iter().copied().zip(term.weights).chain([(own[1], -1.0)]);
            for (j, weight) in pulls {
                for k in 0..3 {
                    expected[anchor][k] += weight * all[j][k] / batch as f64;
                    expected[j][k] += weight * all[anchor][k] / batch as f64;
                }
            }
        }
        let (one, two) = expected.split_at(batch);
        assert_near(&found[1..], &[one.concat(), two.concat()], 1e-11);
    }

    #[test]
    fn with_the_encoder_frozen_temperatures_go_to_their_optimum(seed in 0_u64..500, rho in 0.05_f64..0.4) {
        let batch = 8;
        let [view, _] = views(batch, seed);
        let view = view.detach();
        let mut config = SogClrConfig::individual(batch).with_gamma(1.0);
        config.temperature = 0.3;
        if let Some(rule) = &mut config.rule {
            rule.rho = rho;
            rule.tau_max = 3.0;
        }
        let mut learner = config.init().unwrap();
        let ids: Vec<usize> = (0..batch).collect();
        for _ in 0..6000 {
            learner.forward(view.clone(), view.clone(), &ids).unwrap();
        }
        let all = rows(&view);
        for (sample, &found) in learner.temperatures().iter().enumerate() {
            let others = (0..batch).filter(|&j| j != sample);
            let h: Vec<f64> = others.map(|j| dot(&all[sample], &all[j]) - 1.0).collect();
            let best = optimal_temperature(&h, rho, [0.05, 3.0]);
            prop_assert!((found - best).abs() < 1e-4, "{found} instead of {best}");
        }
    }
}

#[test]
fn temperatures_stay_without_a_step_size_and_in_their_range_with_one() {
    let [first, second] = views(5, 3);
    let ids = [0, 1, 2, 3, 4];
    let mut still = individual(5);
    still.set_eta(0.0);
    still.forward(first.clone(), second.clone(), &ids).unwrap();
    assert_eq!(still.temperatures(), [0.3; 5]);
    let mut wild = individual(5);
    wild.set_eta(1e3);
    wild.forward(first, second, &ids).unwrap();
    assert!(wild.temperatures().iter().all(|t| *t == 0.05 || *t == 1.0));
}

#[test]
fn schedules_start_at_the_step_size() {
    assert_eq!(Schedule::Constant.at(0.03, 7, 10), 0.03);
    let cosine = Schedule::Cosine { least: 0.01 };
    assert!((cosine.at(0.03, 0, 10) - 0.03).abs() < 1e-15 && (cosine.at(0.03, 10, 10) - 0.01).abs() < 1e-15);
    let falling = Schedule::Exponential {
        least: 0.01,
        ratio: 0.5,
    };
    assert!((falling.at(0.03, 1, 10) - 0.03).abs() < 1e-15 && (falling.at(0.03, 2, 10) - 0.02).abs() < 1e-15);
}
