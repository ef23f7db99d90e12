//! A trained network judged: its scores of a part, and how many of its answers survive an attack.

use burn::tensor::{Device, Int, Tensor};
use thalweg::classification::CompSumLossConfig;
use thalweg::objective::Model;
use thalweg::robustness::{PgdConfig, shift_norm};
use thalweg::{ConfigError, Reduction};
use thalweg_kernels::random::Stream;

use super::data::{Part, targets};
use super::{AttackSet, AttackSpec, Prepared};
use crate::model::Network;

/// Samples scored at once.
const CHUNK: usize = 1024;

/// Scores `[samples, classes]` of a part, row-major.
pub fn scores(network: &Network, prepared: &Prepared, part: &Part) -> Vec<f32> {
    let device = Device::flex();
    part.rows
        .chunks(CHUNK)
        .flat_map(|rows| {
            let scores = network.frozen(prepared.inputs(rows, &device));
            scores
                .into_data()
                .try_into_vec_as::<f32>()
                .expect("scores are floats")
        })
        .collect()
}

/// Share of a part that is classified correctly whatever the attacks do.
///
/// # Errors
/// When the attack's ball is no ball.
pub fn robust_accuracy(
    network: &Network,
    prepared: &Prepared,
    part: &Part,
    attack: AttackSpec,
    seed: u64,
) -> Result<f64, ConfigError> {
    let pgd = PgdConfig::new(attack.epsilon)
        .with_steps(attack.steps)
        .with_norm(attack.norm)
        .init()?;
    let loss = CompSumLossConfig::new().with_reduction(Reduction::Sum).init()?;
    let device = Device::flex();
    let mut robust = 0;
    for (chunk, (rows, labels)) in part.rows.chunks(CHUNK).zip(part.labels.chunks(CHUNK)).enumerate() {
        let mut random = Stream::new(seed, "attack", chunk as u64);
        let inputs = prepared.inputs(rows, &device);
        let targets = targets(labels.iter().copied(), &device);
        let withstands = |perturbed: Tensor<2>| correct(network.frozen(perturbed), labels);
        let start = pgd.random_start(&inputs, &mut random);
        let gain = |x: Tensor<2>| loss.forward(network.frozen(x), targets.clone());
        let mut survivors = withstands(pgd.attack(&inputs, start, prepared.range(), gain));
        if attack.worst_of == AttackSet::CrossEntropyAndShift {
            let clean = network.frozen(inputs.clone());
            let start = pgd.random_start(&inputs, &mut random);
            let gain = |x: Tensor<2>| shift_norm(clean.clone(), network.frozen(x), targets.clone());
            let second = withstands(pgd.attack(&inputs, start, prepared.range(), gain));
            survivors
                .iter_mut()
                .zip(second)
                .for_each(|(both, second)| *both &= second);
        }
        robust += survivors.into_iter().filter(|&survives| survives).count();
    }
    Ok(robust as f64 / part.rows.len() as f64)
}

fn correct(scores: Tensor<2>, labels: &[u32]) -> Vec<bool> {
    let predicted: Tensor<2, Int> = scores.argmax(1);
    let predicted = predicted
        .into_data()
        .try_into_vec_as::<i64>()
        .expect("class indices are integers");
    predicted
        .into_iter()
        .zip(labels)
        .map(|(predicted, &label)| predicted == i64::from(label))
        .collect()
}
