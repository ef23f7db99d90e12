use std::sync::atomic::AtomicBool;

use burn::tensor::Tensor;
use thalweg::contrastive::amcl::{AmclBarlowTwinsConfig, AmclConfig, AmclSimSiamConfig};
use thalweg::objective::{EmbeddedViews, Progress, ViewObjective};
use thalweg::self_supervised::{
    BarlowTwinsLossConfig, ByolConfig, Dispersed, DispersionConfig, MocoConfig, MsbRegConfig,
    PredictorConfig, SimSiamConfig, VicRegLossConfig,
};
use thalweg_data::augment::Augmentations;
use thalweg_kernels::random::Stream;

use super::*;
use crate::model::Normalization;

fn digits() -> (Samples, Samples) {
    let digits = thalweg_data::digits();
    let rows: Vec<usize> = (0..600).collect();
    (
        Samples::of(&digits, &rows[..400]),
        Samples::of(&digits, &rows[400..]),
    )
}

fn trial(epochs: usize) -> SelfSupervised {
    SelfSupervised::new(Augmentations::small_images(&[1, 8, 8]).unwrap(), epochs, 3)
}

fn trained(trial: &SelfSupervised, samples: &Samples) -> Trained {
    let mut loss = VicRegLossConfig::new().init().unwrap();
    let viewed = ViewedSamples::new(trial, samples).unwrap();
    train(&viewed, &mut loss, &AtomicBool::new(false)).unwrap()
}

#[test]
fn training_descends_and_is_determined_by_its_seed() {
    let (samples, _) = digits();
    let run = trained(&trial(12), &samples);
    assert!(run.losses[11] < 0.9 * run.losses[0], "{:?}", run.losses);
    assert_eq!(run.losses, trained(&trial(12), &samples).losses);
    let other = SelfSupervised { seed: 4, ..trial(12) };
    assert_ne!(run.losses, trained(&other, &samples).losses);
}

#[test]
fn features_are_judged_on_clean_and_on_augmented_samples() {
    let (train_samples, test) = digits();
    let trial = SelfSupervised {
        batch_size: 50,
        ..trial(15)
    };
    let before = untrained(&trial, &train_samples, &test);
    let run = trained(&trial, &train_samples);
    let after = judge(&trial, &run.encoder, &train_samples, &test);
    for judgement in [before.clean, after.clean] {
        assert!(
            judgement.probe > 0.6 && judgement.neighbours > 0.6,
            "{judgement:?}"
        );
    }
    assert!(
        after.augmented.neighbours > before.augmented.neighbours + 0.05,
        "{before:?}, {after:?}"
    );
    assert_eq!(judge(&trial, &run.encoder, &train_samples, &test), after);
}

#[test]
fn three_views_and_rows_of_a_table_are_trained_on() {
    let (mut samples, _) = digits();
    samples.labels.fill(0);
    let trial = SelfSupervised {
        views: Augmentations::table(64),
        views_per_sample: 3,
        ..trial(2)
    };
    let mut loss = BarlowTwinsLossConfig::new().init().unwrap();
    let viewed = ViewedSamples::new(&trial, &samples).unwrap();
    let run = train(&viewed, &mut loss, &AtomicBool::new(false)).unwrap();
    assert!(run.losses.iter().all(|loss| loss.is_finite()));
    assert_eq!(run.encoder.encoded(&samples).1.len(), 400 * 32);
}

/// Wants embeddings at 0, and watches how far the target network's are from them.
struct Watching {
    momentum: f64,
    gaps: Vec<f32>,
}

impl ViewObjective for Watching {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let both = views.embeddings.iter().zip(views.of_target());
        let gaps =
            both.map(|(online, target)| (online.clone().without_autodiff() - target.clone()).abs().max());
        self.gaps
            .push(gaps.map(|gap| gap.into_scalar::<f32>()).fold(0.0, f32::max));
        assert!(!views.of_target()[0].is_tracked());
        views.embeddings[0].clone().square().mean()
    }

    fn target_momentum(&self, _: &Progress) -> Option<f64> {
        Some(self.momentum)
    }
}

#[test]
fn a_target_network_begins_as_a_copy_and_follows() {
    let (samples, _) = digits();
    let plain = trial(3);
    let without = SelfSupervised {
        encoder: EncoderSpec {
            normalization: Normalization::None,
            ..plain.encoder
        },
        ..plain.clone()
    };
    for trial in [plain, without] {
        let viewed = ViewedSamples::new(&trial, &samples).unwrap();
        let gaps = |momentum| {
            let mut objective = Watching {
                momentum,
                gaps: Vec::new(),
            };
            train(&viewed, &mut objective, &AtomicBool::new(false)).unwrap();
            objective.gaps
        };
        let (copied, behind, still) = (gaps(0.0), gaps(0.9), gaps(1.0));
        assert!(copied.iter().all(|gap| *gap < 1e-5), "{copied:?}");
        assert!(behind[0] < 1e-5 && still[0] < 1e-5);
        let last = behind.len() - 1;
        assert!(
            1e-3 < behind[last] && behind[last] < still[last],
            "{behind:?} {still:?}"
        );
    }
}

#[test]
fn objectives_with_networks_of_their_own_descend() {
    let (samples, _) = digits();
    let trial = SelfSupervised {
        batch_size: 50,
        ..trial(8)
    };
    let predictor = PredictorConfig::new().with_hidden(64);
    let byol = || {
        ByolConfig::new()
            .with_predictor(Some(predictor.clone()))
            .init()
            .unwrap()
    };
    let objectives: [Box<dyn ViewObjective>; 4] = [
        Box::new(byol()),
        Box::new(Dispersed::new(byol(), DispersionConfig::new().init().unwrap())),
        Box::new(MsbRegConfig::new().init().unwrap()),
        Box::new(
            SimSiamConfig::new()
                .with_predictor(predictor.clone())
                .init()
                .unwrap(),
        ),
    ];
    let viewed = ViewedSamples::new(&trial, &samples).unwrap();
    for mut objective in objectives {
        let losses = train(&viewed, objective.as_mut(), &AtomicBool::new(false))
            .unwrap()
            .losses;
        assert!(losses[7] < losses[0] - 0.05, "{losses:?}");
    }
    let mut moco = MocoConfig::new().with_queue(300).init().unwrap();
    let losses = train(&viewed, &mut moco, &AtomicBool::new(false)).unwrap().losses;
    // Once the queue is full.
    assert!(losses[7] < losses[1], "{losses:?}");
    assert_eq!(moco.queue().len(), 300);
}

#[test]
fn specifications_of_before_are_read_as_they_were_meant() {
    let stored = r#"{"hidden":128,"features":64,"head":64,"embedding":32}"#;
    let usual = EncoderSpec::default();
    assert_eq!(serde_json::from_str::<EncoderSpec>(stored).unwrap(), usual);
    assert_eq!(serde_json::to_string(&usual).unwrap(), stored);
    let without = EncoderSpec {
        normalization: Normalization::None,
        ..usual
    };
    let text = serde_json::to_string(&without).unwrap();
    assert_eq!(serde_json::from_str::<EncoderSpec>(&text).unwrap(), without);
}

#[test]
fn what_makes_no_batch_is_refused_and_interruption_heard() {
    let (samples, _) = digits();
    let refused = |trial: &SelfSupervised| {
        ViewedSamples::new(trial, &samples)
            .err()
            .map(|error| error.to_string())
    };
    let too_large = SelfSupervised {
        batch_size: 401,
        ..trial(1)
    };
    assert_eq!(refused(&too_large).unwrap(), "400 samples make no batch of 401");
    assert!(
        refused(&SelfSupervised {
            views_per_sample: 1,
            ..trial(1)
        })
        .is_some()
    );
    let (trial, mut loss) = (trial(1), VicRegLossConfig::new().init().unwrap());
    let viewed = ViewedSamples::new(&trial, &samples).unwrap();
    assert!(train(&viewed, &mut loss, &AtomicBool::new(true)).is_none());
}

#[test]
fn an_objective_that_comes_later_sees_the_same_views() {
    let (samples, _) = digits();
    let trial = trial(2);
    let viewed = ViewedSamples::new(&trial, &samples).unwrap();
    let losses = || {
        let mut loss = VicRegLossConfig::new().init().unwrap();
        train(&viewed, &mut loss, &AtomicBool::new(false)).unwrap().losses
    };
    let first = losses();
    assert_eq!(losses(), first);
    assert_eq!(trained(&trial, &samples).losses, first);
}

#[test]
fn the_probe_is_at_the_minimum_of_its_objective() {
    // One feature, two classes: by symmetry the shifts are equal and the weights opposite, ±w with
    // Σ x (1 − 2p) σ-part = w/C, solved by bisection here.
    let features = [-2.0_f32, -1.0, 1.0, 2.0, -0.5, 0.5];
    let labels = [0, 0, 1, 1, 1, 0];
    let probe = LogisticProbe::fit(&features, 1, &labels, 2, 1.0);
    let slope = |w: f64| {
        let each = features.iter().zip(labels).map(|(&x, label)| {
            let sign = if label == 1 { 1.0 } else { -1.0 };
            let x = sign * f64::from(x);
            // Class scores are ±w x: the margin is 2 w x.
            -2.0 * x / (1.0 + (2.0 * w * x).exp())
        });
        each.sum::<f64>() + 2.0 * w
    };
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let ends = probe.predict(&[-0.01, 0.01]);
    assert_eq!(ends, [0, 1]);
    assert!(
        (probe.weight(1, 0) - low).abs() < 1e-4,
        "{} {low}",
        probe.weight(1, 0)
    );
}

#[test]
fn neighbours_vote_by_their_cosines() {
    // Twenty of class 0 far away, three of class 1 near: nearness outweighs number.
    let mut features: Vec<f32> = [0.0, 1.0].repeat(20);
    features.extend([1.0, 0.05].repeat(3));
    let labels = [vec![0; 20], vec![1; 3]].concat();
    let votes = NearestNeighbours::new(&features, 2, &labels, 2);
    assert_eq!(votes.predict(&[2.0, 0.0, 0.1, 5.0]), [1, 0]);
    let mut noise = vec![0.0; 60];
    Stream::new(0, "noise", 0).fill_normal(&mut noise);
    let few = NearestNeighbours::new(&noise, 2, &[1; 30], 2);
    assert_eq!(few.predict(&[0.0, 0.0]), [1]);
}

#[test]
fn heads_are_beside_each_other_and_specs_of_one_head_are_as_they_were() {
    let (samples, _) = digits();
    let spec = EncoderSpec {
        heads: 3,
        ..EncoderSpec::default()
    };
    let device = Device::flex();
    let encoder = Encoder::new(spec, samples.width, 0, &device);
    encoder.settle(&samples);
    let (features, embeddings) = encoder.encoded(&samples);
    assert_eq!((features.len(), embeddings.len()), (400 * 64, 400 * 96));
    let [first, second] = [0, 1].map(|head| &embeddings[head * 32..(head + 1) * 32]);
    assert_ne!(first, second);

    let stored = serde_json::to_string(&EncoderSpec::default()).unwrap();
    assert!(!stored.contains("heads"), "{stored}");
    assert_eq!(
        serde_json::from_str::<EncoderSpec>(&stored).unwrap(),
        EncoderSpec::default()
    );
    let several = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<EncoderSpec>(&several).unwrap(), spec);
}

#[test]
fn temperature_networks_learn_beside_the_encoder_and_warn() {
    let (samples, _) = digits();
    let trial = trial(3);
    let viewed = ViewedSamples::new(&trial, &samples).unwrap();
    let heads = EncoderSpec {
        heads: 2,
        ..EncoderSpec::default()
    };
    let run = |objective: &mut dyn ViewObjective| {
        train_as(&viewed, heads, objective, &AtomicBool::new(false)).unwrap()
    };
    let mut tempered = AmclConfig::new().with_heads(2).init().unwrap();
    let trained = run(&mut tempered);
    assert!(trained.losses[2] < trained.losses[0], "{:?}", trained.losses);
    assert!(tempered.network().is_some() && trained.warning.is_none());
    let mut siamese = AmclSimSiamConfig::new().with_heads(2).init().unwrap();
    let losses = run(&mut siamese).losses;
    assert!(losses[2] < losses[0], "{losses:?}");
    let mut twins = AmclBarlowTwinsConfig::new().with_heads(2).init().unwrap();
    let losses = run(&mut twins).losses;
    assert!(losses[2] < losses[0], "{losses:?}");
}
