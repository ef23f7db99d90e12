//! Every classification objective of the catalogue on input that is awkward: the fused kernels in f32 against the tensor
//! operations in f64. A strided view is what no kernel reads, so that its loss goes through the operations; it tests strided
//! input as well.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use thalweg::catalogue;
use thalweg::objective::{Batch, Model, Needs, Objective, ObjectiveEntry, Progress, Settings, Task};
use thalweg_kernels::random::Stream;

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

struct Case {
    name: &'static str,
    scores: Vec<f32>,
    targets: Vec<i64>,
    classes: usize,
}

impl Case {
    fn random(name: &'static str, batch: usize, classes: usize, size: f32) -> Self {
        let mut stream = Stream::new(0, name, 0);
        let mut scores = vec![0.0; batch * classes];
        stream.fill_uniform(-size, size, &mut scores);
        let targets = (0..batch).map(|_| stream.below(classes) as i64).collect();
        Self {
            name,
            scores,
            targets,
            classes,
        }
    }

    fn batch(&self) -> usize {
        self.targets.len()
    }
}

fn cases() -> Vec<Case> {
    let mut all_equal = Case::random("all equal", 3, 7, 1.0);
    all_equal.scores.fill(-2.5);
    let mut far_apart = Case::random("far apart", 4, 5, 1.0);
    for (at, score) in far_apart.scores.iter_mut().enumerate() {
        *score = if at % 3 == 0 { 1e4 } else { -1e4 };
    }
    vec![
        Case::random("random", 6, 11, 4.0),
        Case::random("one sample, two classes", 1, 2, 3.0),
        Case::random("no multiple of any lane", 5, 1037, 5.0),
        all_equal,
        far_apart,
    ]
}

/// Objectives that need nothing but scores and targets.
fn objectives() -> Vec<(&'static ObjectiveEntry, Box<dyn Objective>)> {
    catalogue::objectives_for(Task::Classification)
        .filter(|entry| entry.family == "classification")
        .map(|entry| (entry, entry.build(&Settings::new()).expect("defaults build")))
        .filter(|(_, objective)| objective.needs() == Needs::default())
        .collect()
}

/// Value and gradient of an objective at its first step, on memory in row order or on a view of its transpose.
fn evaluated(entry: &ObjectiveEntry, case: &Case, dtype: DType, strided: bool) -> (f64, Vec<f64>) {
    let (batch, classes) = (case.batch(), case.classes);
    let device = Device::flex();
    let rows = Tensor::<2>::from_data(
        TensorData::new(case.scores.clone(), [batch, classes]),
        (&device, dtype),
    );
    let stored = if strided {
        // Through the host, so that memory holds the transpose.
        let columns = rows.transpose().into_data();
        Tensor::<2>::from_data(columns, (&device, dtype))
    } else {
        rows
    };
    let stored = stored.autodiff().require_grad();
    let inputs = if strided {
        stored.clone().transpose()
    } else {
        stored.clone()
    };
    let batch_of = Batch {
        inputs,
        targets: Tensor::<1, Int>::from_data(TensorData::new(case.targets.clone(), [batch]), &device),
        ids: (0..batch).collect(),
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
    let loss = objective.loss(
        &Identity,
        &batch_of,
        &progress,
        &mut Stream::new(0, "extremes", 0),
    );
    let gradient = stored
        .grad(&loss.backward())
        .expect("a loss depends on its scores");
    let gradient = if strided { gradient.transpose() } else { gradient };
    let gradient = gradient.into_data().try_into_vec_as::<f64>().expect("floats");
    (loss.into_scalar::<f64>(), gradient)
}

fn agree(entry: &ObjectiveEntry, case: &Case) {
    let (value, gradient) = evaluated(entry, case, DType::F32, false);
    let (expected, expected_gradient) = evaluated(entry, case, DType::F64, true);
    let at = format!("{}, {}", entry.name, case.name);
    assert!(
        (value - expected).abs() <= 2e-5 * (1.0 + expected.abs()),
        "{at}: {value}, in f64 {expected}"
    );
    let largest = expected_gradient
        .iter()
        .fold(1e-6_f64, |largest, slope| largest.max(slope.abs()));
    for (k, (slope, expected)) in gradient.iter().zip(&expected_gradient).enumerate() {
        assert!(
            (slope - expected).abs() <= 1e-4 * largest,
            "{at}: gradient {slope} at {k}, in f64 {expected}"
        );
    }
}

#[test]
fn kernels_agree_with_tensor_operations_in_double_precision() {
    for (entry, _) in objectives() {
        for case in cases() {
            agree(entry, &case);
        }
    }
}

#[test]
fn a_million_classes_are_no_more_than_many() {
    let case = Case::random("a million classes", 1, 1_000_000, 4.0);
    for name in [
        "cross_entropy",
        "generalized_cross_entropy",
        "focal",
        "ldr_kl",
        "z_loss",
        "taylor_softmax",
    ] {
        agree(catalogue::objective(name).expect("it is in the catalogue"), &case);
    }
}

#[test]
fn what_is_no_number_is_never_a_silent_one() {
    let mut silent = Vec::new();
    for (entry, _) in objectives() {
        for at in 0..3 {
            let mut case = Case::random("no number", 1, 3, 2.0);
            case.scores[at] = f32::NAN;
            for strided in [false, true] {
                let (value, _) = evaluated(entry, &case, DType::F32, strided);
                if !value.is_nan() {
                    let how = if strided { "a view" } else { "memory" };
                    silent.push(format!("{}: {value} of {:?} on {how}", entry.name, case.scores));
                }
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
