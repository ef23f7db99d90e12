//! Objectives on a graphics processor, or on software Vulkan where there is none, against the kernels of the processor: every
//! classification objective of the catalogue, and one of pairs. Both in single precision. Run by hand, see CONTRIBUTING.md.

#![cfg(feature = "wgpu")]

use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use thalweg::catalogue;
use thalweg::contrastive::NtXentLossConfig;
use thalweg::objective::{Batch, Model, Needs, ObjectiveEntry, Progress, Settings, Task};
use thalweg_kernels::random::Stream;

const BATCH: usize = 6;
const CLASSES: usize = 11;

/// The inputs are the scores.
struct Identity;

impl Model for Identity {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs
    }
}

fn uniform(name: &str) -> TensorData {
    let mut numbers = vec![0.0_f32; BATCH * CLASSES];
    Stream::new(0, name, 0).fill_uniform(-4.0, 4.0, &mut numbers);
    TensorData::new(numbers, [BATCH, CLASSES])
}

fn floats(data: TensorData) -> Vec<f64> {
    data.try_into_vec_as::<f64>().expect("floats")
}

/// Value and gradient with respect to `of`.
fn derived(loss: &Tensor<1>, of: &Tensor<2>) -> (f64, Vec<f64>) {
    let gradients = loss.backward();
    let gradient = of.grad(&gradients).expect("a loss depends on its scores");
    (loss.clone().into_scalar::<f64>(), floats(gradient.into_data()))
}

fn objective(entry: &ObjectiveEntry, device: &Device) -> (f64, Vec<f64>) {
    let inputs = Tensor::<2>::from_data(uniform("wgpu scores"), device)
        .autodiff()
        .require_grad();
    let targets: Vec<i32> = (0..BATCH).map(|row| (row * 5 % CLASSES) as i32).collect();
    let batch = Batch {
        inputs: inputs.clone(),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [BATCH]), device),
        ids: (0..BATCH).collect(),
        range: None,
        bags: None,
        teacher_logits: None,
    };
    let progress = Progress {
        epoch: 0,
        epochs: 1,
        step: 0,
        steps: 1,
    };
    let mut objective = entry.build(&Settings::new()).expect("defaults build");
    let loss = objective.loss(&Identity, &batch, &progress, &mut Stream::new(0, "wgpu", 0));
    derived(&loss, &inputs)
}

fn pairs(device: &Device) -> (f64, Vec<f64>) {
    let first = Tensor::<2>::from_data(uniform("wgpu first view"), device)
        .autodiff()
        .require_grad();
    let second = Tensor::<2>::from_data(uniform("wgpu second view"), device).autodiff();
    let loss = NtXentLossConfig::new().init().expect("defaults build");
    derived(&loss.forward(first.clone(), second), &first)
}

fn differs(found: &(f64, Vec<f64>), expected: &(f64, Vec<f64>)) -> bool {
    let largest = expected
        .1
        .iter()
        .fold(1e-6_f64, |max, slope| max.max(slope.abs()));
    let value = (found.0 - expected.0).abs() <= 2e-5 * (1.0 + expected.0.abs());
    let gradient = found
        .1
        .iter()
        .zip(&expected.1)
        .all(|(found, expected)| (found - expected).abs() <= 2e-4 * largest);
    !(value && gradient && found.1.len() == expected.1.len())
}

#[test]
fn classification_objectives_are_those_of_the_kernels() {
    let (device, host) = (Device::wgpu(DeviceKind::DefaultDevice), Device::flex());
    let entries = catalogue::objectives_for(Task::Classification).filter(|entry| {
        let needs = |entry: &ObjectiveEntry| entry.build(&Settings::new()).expect("defaults build").needs();
        entry.family == "classification" && needs(entry) == Needs::default()
    });
    let mut held = 0;
    let mut apart = Vec::new();
    for entry in entries {
        let (found, expected) = (objective(entry, &device), objective(entry, &host));
        if differs(&found, &expected) {
            apart.push(format!("{}: {found:?}, kernel {expected:?}", entry.name));
        }
        held += 1;
    }
    assert!(apart.is_empty(), "{}", apart.join("\n"));
    assert!(held > 20, "only {held} objectives");
}

#[test]
fn losses_of_pairs_are_those_of_the_kernels() {
    let (found, expected) = (
        pairs(&Device::wgpu(DeviceKind::DefaultDevice)),
        pairs(&Device::flex()),
    );
    assert!(!differs(&found, &expected), "{found:?}, kernel {expected:?}");
}
