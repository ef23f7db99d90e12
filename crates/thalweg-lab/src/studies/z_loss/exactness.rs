//! Part 1: factored steps beside dense ones, in f64.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use thalweg::Reduction;
use thalweg::classification::output::{FactoredOutputConfig, OutputLayer};
use thalweg::classification::spherical::SphericalMember;
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const CLASSES: usize = 2000;
const WIDTH: usize = 16;
const BATCH: usize = 8;
const TOLERANCE: f64 = 1e-8;

const MEMBERS: [(&str, SphericalMember, f64); 4] = [
    (
        "Z-loss, a = 1, b = 0",
        SphericalMember::ZLoss { a: 1.0, b: 0.0 },
        0.1,
    ),
    ("squared error", SphericalMember::SquaredError, 0.02),
    ("Taylor softmax", SphericalMember::TaylorSoftmax, 0.1),
    (
        "spherical softmax",
        SphericalMember::SphericalSoftmax { epsilon: 1e-2 },
        0.1,
    ),
];

/// One step a member.
pub(super) const STEPS: usize = MEMBERS.len();

/// Largest differences, relative to the largest element.
struct Apart {
    weights: f64,
    gradient: f64,
    statistics: f64,
    unfactorisations: u64,
}

pub(super) fn run(scale: &Scale, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let steps = scale.pick(500, 20);
    let mut rows = Vec::new();
    let mut largest = 0.0_f64;
    for (label, member, learning_rate) in MEMBERS {
        let apart = compare(member, learning_rate, steps)?;
        largest = largest.max(apart.weights).max(apart.gradient);
        rows.push(vec![
            label.to_owned(),
            format!("{:.1e}", apart.weights),
            format!("{:.1e}", apart.gradient),
            format!("{:.1e}", apart.statistics),
            apart.unfactorisations.to_string(),
        ]);
        advance(1);
    }
    let table = Table {
        title: format!(
            "1. {steps} factored steps beside dense ones, {CLASSES} classes, width {WIDTH}, batch {BATCH}, f64: largest \
             relative difference"
        ),
        columns: ["loss", "weights", "gradient of h", "Q", "unfactorised"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    };
    let claim = Claim {
        text: "factored steps are the dense ones".to_owned(),
        criterion: format!(
            "weights and gradients of h within {TOLERANCE:.0e} after {steps} steps, every member"
        ),
        evidence: format!("largest relative difference {largest:.1e}"),
        verdict: Some(if largest < TOLERANCE {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    Ok((table, claim))
}

fn compare(member: SphericalMember, learning_rate: f64, steps: usize) -> Result<Apart, LabError> {
    let config = FactoredOutputConfig::new(CLASSES, WIDTH).with_member(member);
    let mut layer = config.with_reduction(Reduction::Sum).init(0)?;
    let dense = member.init(Reduction::Sum)?;
    let mut weights = floats(layer.weights(), [CLASSES, WIDTH]);
    let mut stream = Stream::new(0, "exactness", 0);
    let mut gradient_apart = 0.0_f64;
    for _ in 0..steps {
        let hidden = (0..BATCH * WIDTH).map(|_| 2.0 * stream.uniform() - 1.0).collect();
        let hidden = floats(hidden, [BATCH, WIDTH]);
        let targets: Vec<i64> = (0..BATCH).map(|_| stream.below(CLASSES) as i64).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [BATCH]), &Device::flex());
        let leaf = |tensor: &Tensor<2>| tensor.clone().autodiff().require_grad();
        let (h, w) = (leaf(&hidden), leaf(&weights));
        let loss = dense.forward(h.clone().matmul(w.clone().transpose()), targets.clone());
        let gradients = loss.backward();
        let of = |tensor: &Tensor<2>| tensor.grad(&gradients).expect("the loss depends on it");
        weights = weights - of(&w) * learning_rate;
        let expected = read(of(&h));

        let h = leaf(&hidden);
        let loss = layer.train(h.clone(), targets, learning_rate)?;
        let found = read(h.grad(&loss.backward()).expect("the loss depends on it"));
        gradient_apart = gradient_apart.max(apart(&found, &expected));
    }
    Ok(Apart {
        weights: apart(&layer.weights(), &read(weights)),
        gradient: gradient_apart,
        statistics: layer.drift().gram,
        unfactorisations: layer.unfactorisations(),
    })
}

fn floats(values: Vec<f64>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

fn read(tensor: Tensor<2>) -> Vec<f64> {
    let data = tensor.into_data();
    data.try_into_vec_as::<f64>().expect("float tensors read as f64")
}

fn apart(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let difference = found
        .iter()
        .zip(expected)
        .fold(0.0_f64, |largest, (a, b)| largest.max((a - b).abs()));
    difference / largest
}
