use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, TensorData};
use proptest::prelude::*;

use super::*;
use crate::flatness::{Mesa, MesaConfig};
use crate::optimizer::{MomentumSgdConfig, follow, target_of};

/// Scores linear in the inputs.
#[derive(Module, Debug)]
struct Scores {
    weights: Param<Tensor<2>>,
}

impl Model for Scores {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs.matmul(self.weights.val())
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs.matmul(self.weights.val().without_autodiff())
    }
}

struct Averaging<'a>(&'a Scores, &'a Scores);

impl Model for Averaging<'_> {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.0.forward(inputs)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.0.frozen(inputs)
    }

    fn averaged(&self, inputs: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.1.frozen(inputs))
    }
}

const SAMPLES: usize = 12;

fn scores(seed: u64) -> Scores {
    Scores {
        weights: Param::from_tensor(matrix([4, 3], seed)),
    }
}

fn matrix(shape: [usize; 2], seed: u64) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    Stream::new(seed, "matrix", 0).fill_normal(&mut values);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

/// The batches of an epoch, in an order of its own.
fn batches(epoch: usize) -> Vec<Batch> {
    let inputs = matrix([SAMPLES, 4], 7);
    let mut order: Vec<usize> = (0..SAMPLES).collect();
    Stream::new(0, "order", epoch as u64).shuffle(&mut order);
    let device = Device::flex();
    order
        .chunks(5)
        .map(|ids| {
            let rows: Vec<i64> = ids.iter().map(|&id| id as i64).collect();
            let targets: Vec<i64> = ids.iter().map(|&id| id as i64 % 3).collect();
            let count = rows.len();
            let rows = Tensor::from_data(TensorData::new(rows, [count]), &device);
            Batch {
                inputs: inputs.clone().select(0, rows),
                targets: Tensor::from_data(TensorData::new(targets, [count]), &device),
                ids: ids.to_vec(),
                range: None,
                bags: None,
                teacher_logits: None,
            }
        })
        .collect()
}

const EPOCHS: usize = 8;

/// The weights and losses after training `epochs` further; the average beside the model is MESA's.
fn trained(
    objective: &mut dyn Objective,
    mut model: Scores,
    epochs: std::ops::Range<usize>,
) -> (Scores, Vec<f32>) {
    let mut optimizer = MomentumSgdConfig::new().with_momentum(0.0).init().unwrap();
    let mut average = target_of(&model);
    let decay = objective.needs().weight_average.unwrap_or(1.0);
    let mut losses = Vec::new();
    for epoch in epochs {
        let progress = Progress {
            epoch,
            epochs: EPOCHS,
            step: 0,
            steps: 1,
        };
        for batch in batches(epoch) {
            let mut random = Stream::new(0, "none", 0);
            let loss = objective.loss(&Averaging(&model, &average), &batch, &progress, &mut random);
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.3, model, gradients);
            average = follow(average, &model, decay);
        }
    }
    (model, losses)
}

fn weights(model: &Scores) -> Vec<f32> {
    let weights = model.weights.val().without_autodiff().into_data();
    weights.try_into_vec_as::<f32>().unwrap()
}

fn config() -> SafConfig {
    SafConfig::new().with_lag(2).with_start(Moment::Epoch(2))
}

#[test]
fn before_it_starts_it_is_cross_entropy_to_the_last_bit() {
    let mut plain = crate::classification::CrossEntropyLossConfig::new()
        .init()
        .unwrap();
    let (expected, base) = trained(&mut plain, scores(0), 0..EPOCHS);
    let late = config().with_start(Moment::Share(1.0));
    let (model, losses) = trained(&mut late.init().unwrap(), scores(0), 0..EPOCHS);
    assert_eq!((weights(&model), losses), (weights(&expected), base.clone()));
    // Active in epochs 3 to 7: three batches an epoch.
    let (_, losses) = trained(&mut config().init().unwrap(), scores(0), 0..EPOCHS);
    assert_eq!(losses[..9], base[..9]);
    assert!(losses[9] > base[9]);
}

#[test]
fn a_sample_has_cross_entropy_alone_until_it_has_a_past() {
    let mut plain = crate::classification::CrossEntropyLossConfig::new()
        .init()
        .unwrap();
    let (_, base) = trained(&mut plain, scores(0), 0..EPOCHS);
    let early = config().with_start(Moment::Epoch(-1));
    let (_, losses) = trained(&mut early.init().unwrap(), scores(0), 0..EPOCHS);
    assert_eq!(losses[..6], base[..6]);
    assert!(losses[6] > base[6]);
}

#[test]
fn past_outputs_are_constants_of_the_right_samples() {
    // With the weights standing still, nothing ever moves away from its past.
    let mut objective = config().init().unwrap();
    let mut plain = crate::classification::CrossEntropyLossConfig::new()
        .init()
        .unwrap();
    let model = scores(1);
    for epoch in 0..EPOCHS {
        let progress = Progress {
            epoch,
            epochs: EPOCHS,
            step: 0,
            steps: 1,
        };
        for batch in batches(epoch) {
            let mut random = Stream::new(0, "none", 0);
            let loss = objective.loss(&model, &batch, &progress, &mut random);
            let base = Objective::loss(&mut plain, &model, &batch, &progress, &mut random);
            let gap = loss.into_scalar::<f64>() - base.into_scalar::<f64>();
            assert!(gap.abs() < 1e-6, "{gap} in epoch {epoch}");
        }
    }
}

#[test]
fn a_resumed_training_goes_on_to_the_same_bits() {
    for past_outputs in [PastOutputs::Full, PastOutputs::Half, PastOutputs::Top { kept: 1 }] {
        let config = config().with_past_outputs(past_outputs);
        let mut whole = config.init().unwrap();
        let (expected, _) = trained(&mut whole, scores(2), 0..EPOCHS);
        for cut in 0..EPOCHS {
            let mut first = config.init().unwrap();
            let (model, _) = trained(&mut first, scores(2), 0..cut);
            let bytes = first.to_bytes().unwrap();
            let mut second = config.init().unwrap().from_bytes(&bytes).unwrap();
            let (model, _) = trained(&mut second, model, cut..EPOCHS);
            assert_eq!(
                weights(&model),
                weights(&expected),
                "{past_outputs:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn forms_of_memory_train_alike() {
    let (full, _) = trained(&mut config().init().unwrap(), scores(3), 0..EPOCHS);
    for past_outputs in [PastOutputs::Half, PastOutputs::Top { kept: 3 }] {
        let mut objective = config().with_past_outputs(past_outputs).init().unwrap();
        let (model, _) = trained(&mut objective, scores(3), 0..EPOCHS);
        for (a, b) in weights(&model).iter().zip(weights(&full)) {
            assert!(
                (a - b).abs() < 2e-3 * (1.0 + b.abs()),
                "{a} for {b}, {past_outputs:?}"
            );
        }
    }
}

#[test]
fn senseless_configurations_are_refused() {
    assert!(SafConfig::new().with_start(Moment::Share(-0.1)).init().is_err());
    assert!(
        SafConfig::new()
            .with_past_outputs(PastOutputs::Top { kept: 0 })
            .init()
            .is_err()
    );
    assert!(MesaConfig::new().with_decay(1.1).init().is_err());
}

fn mesa(decay: f64) -> Mesa {
    let config = MesaConfig::new().with_decay(decay).with_start(Moment::Epoch(-1));
    config.init().unwrap()
}

#[test]
fn without_decay_the_average_is_the_model() {
    let mut plain = crate::classification::CrossEntropyLossConfig::new()
        .init()
        .unwrap();
    let (_, base) = trained(&mut plain, scores(4), 0..EPOCHS);
    let (_, losses) = trained(&mut mesa(0.0), scores(4), 0..EPOCHS);
    for (a, b) in losses.iter().zip(base) {
        assert!((a - b).abs() < 1e-5);
    }
}

#[test]
#[should_panic(expected = "without the average of its weights")]
fn a_model_without_an_average_is_refused() {
    let progress = Progress {
        epoch: 0,
        epochs: 1,
        step: 0,
        steps: 1,
    };
    let _ = mesa(0.5).loss(
        &scores(0),
        &batches(0)[0],
        &progress,
        &mut Stream::new(0, "none", 0),
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn with_full_decay_it_compares_with_the_first_weights(seed in 0_u64..1000, weight in 0.1_f64..1.0) {
        let first = scores(seed);
        let (model, _) = trained(&mut mesa(1.0), first.clone(), 0..2);
        let config = TrajectoryLossConfig::new().with_weight(weight);
        let batch = &batches(0)[0];
        let expected = config.init().unwrap().forward(
            model.forward(batch.inputs.clone()),
            batch.targets.clone(),
            first.frozen(batch.inputs.clone()),
        );
        let start = MesaConfig::new().with_decay(1.0).with_start(Moment::Epoch(-1)).with_weight(weight);
        let progress = Progress { epoch: 0, epochs: 1, step: 0, steps: 1 };
        let average = follow(target_of(&first), &model, 1.0);
        let found = start.init().unwrap().loss(
            &Averaging(&model, &average), batch, &progress, &mut Stream::new(0, "none", 0),
        );
        prop_assert_eq!(found.into_scalar::<f32>(), expected.into_scalar::<f32>());
    }
}
