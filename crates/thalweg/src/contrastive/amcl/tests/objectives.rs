//! Objectives, which own their networks.

use super::*;
use crate::contrastive::in_batch::tests::number;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

fn views(heads: usize) -> EmbeddedViews {
    let [first, second] = embeddings([6, 6], 4 * heads, 1.0, 3, DType::F32);
    EmbeddedViews {
        targets: None,
        embeddings: vec![first, second],
        ids: (0..6).collect(),
        labels: None,
    }
}

const PROGRESS: Progress = Progress {
    epoch: 0,
    epochs: 1,
    step: 0,
    steps: 1,
};

/// Losses of so many steps of the objective's own parameters, the embeddings staying as they are.
fn own_steps(objective: &mut dyn ViewObjective, steps: usize) -> Vec<f64> {
    let (views, mut random) = (views(2), Stream::new(0, "amcl objective", 0));
    let mut step = || {
        let loss = objective.loss(&views, &PROGRESS, &mut random);
        let value = number(loss.clone());
        objective.learn(&mut loss.backward(), 1e-2);
        value
    };
    (0..steps).map(|_| step()).collect()
}

#[test]
fn networks_of_their_own_are_stepped() {
    let mut objectives: [Box<dyn ViewObjective>; 3] = [
        Box::new(AmclConfig::new().with_heads(2).init().unwrap()),
        Box::new(AmclSimSiamConfig::new().with_heads(2).init().unwrap()),
        Box::new(AmclBarlowTwinsConfig::new().with_heads(2).init().unwrap()),
    ];
    for objective in &mut objectives {
        let losses = own_steps(objective.as_mut(), 30);
        assert!(losses[29] < losses[0] - 0.01, "{losses:?}");
    }
}

#[test]
fn a_trainer_is_told_when_temperatures_sit_on_the_lower_limit() {
    let mut free = AmclConfig::new().with_heads(2).init().unwrap();
    own_steps(&mut free, 1);
    assert_eq!((free.on_lower_limit(), free.warning()), (0.0, None));
    // Positives all alike and negatives opposite: without a regulariser both ask for ever lower temperatures.
    let config = AmclConfig::new().with_heads(1);
    let config = config.with_loss(AmclLossConfig::new().with_beta(0.0));
    let mut drawn_down = config.init().unwrap();
    let view = leaf(vec![1.0, 0.0, -1.0, 0.0], [2, 2], DType::F32);
    let opposite = EmbeddedViews {
        targets: None,
        embeddings: vec![view.clone(), view],
        ids: vec![0, 1],
        labels: None,
    };
    for _ in 0..400 {
        let loss = drawn_down.loss(&opposite, &PROGRESS, &mut Stream::new(0, "opposite", 0));
        drawn_down.learn(&mut loss.backward(), 5e-2);
    }
    assert_eq!(drawn_down.on_lower_limit(), 1.0);
    let warning = drawn_down.warning().unwrap();
    assert!(warning.contains("lower limit 0.00001 for"), "{warning}");
}

#[test]
fn features_that_do_not_belong_together_are_watched_too() {
    let low = AdaptiveTemperatureConfig::new().with_upper(0.4);
    let config = AmclBarlowTwinsConfig::new().with_heads(2).with_temperature(low);
    let mut drawn_down = config.with_beta(10.0).init().unwrap();
    own_steps(&mut drawn_down, 200);
    let warning = drawn_down.warning().unwrap();
    assert!(
        warning.starts_with("the temperature of two features sits on its lower limit 0.00001 for"),
        "{warning}"
    );
}

#[test]
fn what_makes_no_objective_is_refused() {
    let narrow = AdaptiveTemperatureConfig::new().with_hidden(0);
    assert!(AmclConfig::new().with_heads(0).init().is_err());
    assert!(AmclConfig::new().with_temperature(narrow).init().is_err());
    assert!(
        AmclConfig::new()
            .with_loss(AmclLossConfig::new().with_beta(-0.1))
            .init()
            .is_err()
    );
    assert!(AmclSimSiamConfig::new().with_predictor(0).init().is_err());
    assert!(
        AmclBarlowTwinsConfig::new()
            .with_redundancy(f64::NAN)
            .init()
            .is_err()
    );
}

#[test]
#[should_panic(expected = "embeddings of 8 numbers are not those of 3 heads")]
fn embeddings_of_other_heads_are_refused() {
    let mut objective = AmclConfig::new().init().unwrap();
    objective.loss(&views(2), &PROGRESS, &mut Stream::new(0, "", 0));
}
