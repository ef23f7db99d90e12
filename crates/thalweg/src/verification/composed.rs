//! The loss by tensor operations, on any backend.

use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

use super::box_whisker::{PairFilter, Whiskers};
use super::error::VerificationError;
use super::fused::least;
use super::margin_softmax::MarginSoftmaxLoss;
use crate::bridge::{constant, with_gradients};
use crate::classification::rowwise::host_scores;

pub(super) fn loss(
    loss: &MarginSoftmaxLoss,
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: &[u32],
) -> Result<Tensor<1>, VerificationError> {
    let [count, _] = features.dims();
    let (features, norms) = unit_rows("features", features)?;
    let (weights, _) = unit_rows("weights", weights)?;
    let cosines = features.clone().matmul(weights.transpose());
    let places: Vec<i64> = labels.iter().map(|&label| i64::from(label)).collect();
    let places = Tensor::<1, Int>::from_ints(places.as_slice(), &cosines.device()).reshape([count, 1]);
    let target = cosines.clone().gather(1, places.clone());
    let (adjusted, penalties) = with_margin(loss, target.clone(), norms);
    let change = adjusted.clone().reshape([count, 1]) - target;
    let logits = cosines.scatter(1, places, change, burn::tensor::IndexingUpdateOp::Add) * loss.scale;
    let mut log_sums = log_sum_exp(logits);
    if let Some(log_sum) = loss
        .pairs
        .and_then(|filter| of_pairs(features, labels, filter, loss.scale))
    {
        log_sums = log_add_exp(log_sums, log_sum.repeat(&[count]));
    }
    Ok(loss.reduction.of(log_sums - adjusted * loss.scale + penalties))
}

/// Unit rows, and the norms `[rows, 1]` that they had.
fn unit_rows(input: &'static str, rows: Tensor<2>) -> Result<(Tensor<2>, Tensor<2>), VerificationError> {
    let norms = rows.clone().square().sum_dim(1).sqrt();
    let of_each = host_scores(&norms);
    if let Some(row) = of_each.iter().position(|norm| !(*norm > 0.0 && norm.is_finite())) {
        let width = rows.dims()[1];
        let values = &host_scores(&rows)[row * width..][..width];
        return Err(VerificationError::new(input, super::units::problem(values, row)));
    }
    Ok((rows / norms.clone(), norms))
}

/// The cosines of the labels `[n, 1]` with their margins, and what the head adds for the norms, `[n]` each.
fn with_margin(loss: &MarginSoftmaxLoss, target: Tensor<2>, norms: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    let (device, dtype) = (target.device(), target.dtype());
    let least = if dtype == DType::F64 {
        least::<f64>()
    } else {
        least::<f32>()
    };
    let of_norms = host_scores(&norms);
    let count = of_norms.len();
    let adjusted: Vec<_> = host_scores(&target)
        .into_iter()
        .zip(&of_norms)
        .map(|(cosine, &norm)| loss.head.adjusted(cosine, norm, least))
        .collect();
    let penalties: Vec<_> = of_norms
        .iter()
        .map(|&norm| loss.head.norm_penalty(norm))
        .collect();
    let values = |values: Vec<f64>| constant::<1, f64>(values, [count], &device, dtype);
    let slopes = |slopes: Vec<f64>| constant::<2, f64>(slopes, [count, 1], &device, dtype);
    let cosines = with_gradients(
        values(adjusted.iter().map(|found| found.cosine).collect()),
        [
            (
                target,
                slopes(adjusted.iter().map(|found| found.by_cosine).collect()),
            ),
            (
                norms.clone(),
                slopes(adjusted.iter().map(|found| found.by_norm).collect()),
            ),
        ],
    );
    let penalties = with_gradients(
        values(penalties.iter().map(|penalty| penalty[0]).collect()),
        [(
            norms,
            slopes(penalties.iter().map(|penalty| penalty[1]).collect()),
        )],
    );
    (cosines, penalties)
}

/// `log Σ exp(s·v)` over the kept negative pairs, `[1]`; none where no pair is negative.
fn of_pairs(units: Tensor<2>, labels: &[u32], filter: PairFilter, scale: f64) -> Option<Tensor<1>> {
    let similarities = units.clone().matmul(units.transpose());
    let count = labels.len();
    let host = host_scores(&similarities);
    let negative = |place: usize| {
        let (a, b) = (place / count, place % count);
        a < b && labels[a] != labels[b]
    };
    let mut values: Vec<f64> = (0..host.len())
        .filter(|&place| negative(place))
        .map(|place| host[place])
        .collect();
    let whiskers = match filter {
        PairFilter::All => Whiskers::of(&mut values, f64::INFINITY)?,
        PairFilter::BoxWhisker { wisk } => Whiskers::of(&mut values, wisk)?,
    };
    let left_out: Vec<bool> = host
        .iter()
        .enumerate()
        .map(|(place, &similarity)| !(negative(place) && whiskers.keep(similarity)))
        .collect();
    let left_out = TensorData::new(left_out, [count, count]);
    let left_out = Tensor::<2, Bool>::from_data(left_out, &similarities.device());
    // Not an infinity: its difference from itself is no number.
    let logits = (similarities * scale).mask_fill(left_out, f64::from(f32::MIN) / 4.0);
    Some(log_sum_exp(logits.reshape([1, count * count])))
}

fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let top = logits.clone().max_dim(1).detach();
    let sums = (logits - top.clone()).exp().sum_dim(1).log();
    (sums + top).reshape([rows])
}

fn log_add_exp(a: Tensor<1>, b: Tensor<1>) -> Tensor<1> {
    let count = a.dims()[0];
    let column = |x: Tensor<1>| x.reshape([count, 1]);
    log_sum_exp(Tensor::cat(vec![column(a), column(b)], 1))
}
