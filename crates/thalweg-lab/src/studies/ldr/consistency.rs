//! Part C: conditional risks `Σ_y q_y L(f, y)` of random q minimised from random starts, and whether f orders classes as
//! q does.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use thalweg::classification::{LdrKlLossConfig, LogitLoss, SymmetricCrossEntropyLossConfig};
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const CLASSES: usize = 5;

/// One step a loss.
pub(super) const STEPS: usize = 4;

struct Order {
    label: &'static str,
    /// Share of draws in which the k highest scores are the k likeliest classes in their order, by k from 1.
    agreement: [f64; CLASSES],
}

pub(super) fn run(scale: &Scale, advance: &Advance) -> Result<(Table, Vec<Claim>), LabError> {
    let ldr = |lambda| LdrKlLossConfig::new().with_lambda(lambda).with_margin(0.0).init();
    let l1 = SymmetricCrossEntropyLossConfig::new()
        .with_balance(1.0)
        .with_a(2.0)
        .init();
    let losses = [
        ("cross-entropy (LDR-KL, λ = 1)", ldr(1.0)),
        ("LDR-KL λ = 0.3", ldr(0.3)),
        ("LDR-KL λ = 3", ldr(3.0)),
        ("mean absolute error", l1),
    ];
    let mut orders = Vec::new();
    for (label, loss) in losses {
        let loss = loss.map_err(thalweg::objective::BuildError::from)?;
        let agreement = agreement(&loss, scale.pick(200, 10), scale.pick(3000, 50));
        orders.push(Order { label, agreement });
        advance(1);
    }
    let (symmetric, consistent) = orders.split_last().expect("four losses");
    let least = consistent
        .iter()
        .flat_map(|order| order.agreement)
        .fold(1.0, f64::min);
    let second = symmetric.agreement[1];
    let verdict = |holds| {
        Some(if holds {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        })
    };
    let claims = vec![
        Claim {
            text: "minimisers of LDR-KL and cross-entropy order all classes by their probability".to_owned(),
            criterion: "top-k orders agree in every draw, for every k".to_owned(),
            evidence: format!("in {:.1}% of draws at the worst k and λ", 100.0 * least),
            verdict: verdict(least == 1.0),
            weight: Weight::Decisive,
        },
        Claim {
            text: "mean absolute error, a symmetric loss, loses the second class".to_owned(),
            criterion: "top-2 orders do not agree in every draw".to_owned(),
            evidence: format!("in {:.1}% of draws", 100.0 * second),
            verdict: verdict(second < 1.0),
            weight: Weight::Decisive,
        },
    ];
    Ok((table(&orders), claims))
}

/// Descends the risks of all draws at once, by gradient steps with momentum, and compares orders.
fn agreement(loss: &LogitLoss, draws: usize, steps: usize) -> [f64; CLASSES] {
    let mut stream = Stream::new(0, "class probabilities", 0);
    let probs: Vec<f64> = (0..draws).flat_map(|_| distribution(&mut stream)).collect();
    let starts: Vec<f64> = (0..draws * CLASSES)
        .map(|_| 4.0 * stream.uniform() - 2.0)
        .collect();
    let device = Device::flex();
    let tensor = |values: Vec<f64>| {
        Tensor::<2>::from_data(TensorData::new(values, [draws, CLASSES]), (&device, DType::F64))
    };
    let weights = tensor(probs.clone()).reshape([draws * CLASSES]);
    let each = Tensor::<1, Int>::arange(0..CLASSES as i64, &device).repeat_dim(0, draws);
    let mut scores = tensor(starts);
    let mut velocity = scores.zeros_like();
    for _ in 0..steps {
        let at = scores.clone().autodiff().require_grad();
        let rows = at.clone().reshape([draws, 1, CLASSES]).repeat_dim(1, CLASSES);
        let losses = loss.per_sample(rows.reshape([draws * CLASSES, CLASSES]), each.clone());
        let gradients = (losses * weights.clone().autodiff()).sum().backward();
        let gradient = at.grad(&gradients).expect("the risk depends on the scores");
        velocity = velocity * 0.9 - gradient * 0.3;
        scores = scores + velocity.clone();
    }
    let scores = scores
        .into_data()
        .try_into_vec_as::<f64>()
        .expect("scores are floats");
    let mut agreeing = [0.0; CLASSES];
    for (scores, probs) in scores.chunks(CLASSES).zip(probs.chunks(CLASSES)) {
        let same = order(scores)
            .into_iter()
            .zip(order(probs))
            .take_while(|(a, b)| a == b);
        agreeing[..same.count()]
            .iter_mut()
            .for_each(|count| *count += 1.0 / draws as f64);
    }
    agreeing.map(|share| if share > 1.0 - 1e-9 { 1.0 } else { share })
}

/// Uniform on the simplex, mixed with a tenth of the uniform distribution so that no class is too rare to be found.
fn distribution(stream: &mut Stream) -> [f64; CLASSES] {
    let weights = [(); CLASSES].map(|()| -(1.0 - stream.uniform()).ln());
    let total: f64 = weights.iter().sum();
    weights.map(|weight| 0.9 * weight / total + 0.1 / CLASSES as f64)
}

/// Indices, the largest value first.
fn order(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

fn table(orders: &[Order]) -> Table {
    let rows = orders.iter().map(|order| {
        let shares = order
            .agreement
            .iter()
            .map(|share| format!("{:.1}", 100.0 * share));
        std::iter::once(order.label.to_owned()).chain(shares).collect()
    });
    let columns = (1..=CLASSES).map(|k| format!("top-{k}"));
    Table {
        title: "C. Minimised conditional risks: draws whose top-k order is that of the probabilities, in %"
            .to_owned(),
        columns: std::iter::once("loss".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    }
}
