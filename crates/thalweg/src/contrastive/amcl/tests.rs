mod objectives;
mod pairs;

use burn::tensor::{DType, Device, Tensor, TensorData};
use thalweg_kernels::random::Stream;

use super::embeddings::Meeting;
use super::*;
use crate::classification::rowwise::tests::central_differences;
use crate::contrastive::in_batch::tests::{all_gradients, assert_near, embeddings};

const LIMITS: Limits = Limits {
    lower: 0.1,
    upper: 1.0,
};

/// A network, and its weights as leaves.
struct Weighted {
    network: AdaptiveTemperature,
    matrices: Vec<Tensor<2>>,
    vectors: [Tensor<1>; 2],
}

fn leaf<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype));
    tensor.autodiff().require_grad()
}

fn drawn(count: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "amcl", 0);
    (0..count).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

fn weighted(
    form: PairForm,
    [width, hidden]: [usize; 2],
    limits: Limits,
    seed: u64,
    dtype: DType,
) -> Weighted {
    let inputs = match form {
        PairForm::Concat => 2 * width,
        PairForm::Dot => width,
    };
    let w1 = leaf(drawn(hidden * inputs, seed), [hidden, inputs], dtype);
    let w2 = leaf(drawn(hidden, seed + 1), [1, hidden], dtype);
    let w2 = (form == PairForm::Concat).then_some(w2);
    let b1 = leaf(drawn(hidden, seed + 2), [hidden], dtype);
    let b2 = leaf(drawn(1, seed + 3), [1], dtype);
    Weighted {
        network: AdaptiveTemperature::from_parameters(w1.clone(), b1.clone(), w2.clone(), b2.clone(), limits)
            .unwrap(),
        matrices: std::iter::once(w1).chain(w2).collect(),
        vectors: [b1, b2],
    }
}

fn every_loss() -> Vec<AmclLoss> {
    let mut all = Vec::new();
    for aggregate in [Aggregate::Max, Aggregate::LogSumExp] {
        for candidates in [Candidates::Negatives, Candidates::WithPositive] {
            for anchors in [Anchors::FirstView, Anchors::BothViews] {
                let config = AmclLossConfig::new().with_aggregate(aggregate);
                let config = config.with_candidates(candidates).with_anchors(anchors);
                all.push(config.init().unwrap());
            }
        }
    }
    all
}

/// Streamed and composed, of views and against negatives from elsewhere.
fn agrees(form: PairForm, [batch, count]: [usize; 2], dtype: DType, tolerance: f64) {
    let (heads, width) = (2, 3);
    let [first, second] = embeddings([batch, batch], heads * width, 0.7, batch as u64, dtype);
    let [queue, _] = embeddings([count, 1], heads * width, 0.7, 99, dtype);
    let of = weighted(form, [width, 5], LIMITS, 4, dtype);
    for loss in every_loss() {
        let views = || Meeting::Views([first.clone(), second.clone()]);
        let against = || Meeting::Against([first.clone(), second.clone(), queue.clone()]);
        let meetings: [(&dyn Fn() -> Meeting, Vec<&Tensor<2>>); 2] = [
            (&views, vec![&first, &second]),
            (&against, vec![&first, &second, &queue]),
        ];
        for (meeting, leaves) in meetings {
            let matrices: Vec<_> = leaves.into_iter().chain(&of.matrices).collect();
            let gradients = |found: &Tempered| {
                let vectors = [&of.vectors[0], &of.vectors[1]];
                all_gradients(found.loss.clone(), &matrices, &vectors)
            };
            let streamed = match meeting() {
                Meeting::Views([first, second]) => loss.forward(&of.network, first, second),
                Meeting::Against([queries, keys, negatives]) => {
                    loss.forward_against(&of.network, queries, keys, negatives)
                }
            };
            let composed = loss.composed(&of.network, &meeting());
            assert_near(&gradients(&streamed), &gradients(&composed), tolerance);
            assert_eq!(streamed.on_lower_limit, composed.on_lower_limit);
        }
    }
}

#[test]
fn the_streamed_pass_agrees_with_the_composition() {
    for form in [PairForm::Concat, PairForm::Dot] {
        for sizes in [[2, 1], [5, 3], [40, 70]] {
            agrees(form, sizes, DType::F64, 1e-11);
        }
        agrees(form, [20, 30], DType::F32, 1e-4);
    }
}

#[test]
fn gradients_are_slopes() {
    for loss in every_loss() {
        let [first, second] = embeddings([4, 4], 6, 1.0, 2, DType::F64);
        let of = weighted(PairForm::Concat, [3, 6], LIMITS, 1, DType::F64);
        let value = |first: Tensor<2>| {
            let second = second.clone().without_autodiff();
            let second = if first.is_autodiff() {
                second.autodiff()
            } else {
                second
            };
            loss.forward(&of.network, first, second).loss.without_autodiff()
        };
        let found = loss.forward(&of.network, first.clone(), second.clone()).loss;
        let found = all_gradients(found, &[&first], &[]);
        let numeric = central_differences(&first.clone().without_autodiff(), value);
        assert_near(&found[1..], &[numeric], 1e-6);
    }
}

#[test]
fn all_pairs_have_the_temperatures_of_each() {
    for form in [PairForm::Concat, PairForm::Dot] {
        let of = weighted(form, [3, 40], LIMITS, 7, DType::F64);
        let [a, b] = embeddings([6, 35], 3, 1.0, 1, DType::F64);
        let all = of.network.between(a.clone(), b.clone());
        let one = of
            .network
            .paired(a.clone().repeat(&[35, 1]).slice_dim(0, 0..35), b.clone());
        let floats = |data: TensorData| data.try_into_vec_as::<f64>().unwrap();
        let (all, one) = (floats(all.into_data()), floats(one.into_data()));
        for column in 0..35 {
            assert!((all[column % 6 * 35 + column] - one[column]).abs() < 1e-14);
        }
    }
    let [left, right] = embeddings([5, 37], 4, 1.0, 3, DType::F64);
    let output = leaf(drawn(4, 0), [1, 4], DType::F64);
    let leaves = [&left, &right, &output];
    let weigh = |logits: Tensor<2>| {
        let weights = Tensor::<2>::from_data(
            TensorData::new(drawn(185, 5), [5, 37]),
            (&Device::flex(), DType::F64),
        );
        (logits * weights.autodiff()).sum()
    };
    let pass = weigh(pair_pass::pair_logits(
        left.clone(),
        right.clone(),
        output.clone(),
    ));
    let composed = weigh(pair_pass::composed(left.clone(), right.clone(), output.clone()));
    assert_near(
        &all_gradients(pass, &leaves, &[]),
        &all_gradients(composed, &leaves, &[]),
        1e-13,
    );
}

#[test]
fn extreme_logits_leave_value_and_gradients_finite() {
    for dtype in [DType::F32, DType::F64] {
        for size in [-1e4, -700.0, 700.0, 1e4] {
            let [first, second] = embeddings([5, 5], 6, 1.0, 0, dtype);
            let shift = leaf(vec![size], [1], dtype);
            let zeros = |shape: [usize; 2]| leaf(vec![0.0; shape[0] * shape[1]], shape, dtype);
            let b1 = leaf(vec![0.0; 2], [2], dtype);
            let limits = Limits {
                lower: 1e-5,
                upper: 2.0,
            };
            let (w1, w2) = (zeros([2, 6]), Some(zeros([1, 2])));
            let network = AdaptiveTemperature::from_parameters(w1, b1, w2, shift, limits).unwrap();
            for loss in every_loss() {
                let found = loss.forward(&network, first.clone(), second.clone());
                assert_eq!(found.on_lower_limit, if size < 0.0 { 1.0 } else { 0.0 });
                let all = all_gradients(found.loss, &[&first, &second], &[]);
                assert!(all.iter().flatten().all(|x| x.is_finite()), "{dtype:?} {size}");
            }
        }
    }
}
