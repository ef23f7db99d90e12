use burn::tensor::{DType, Device, TensorData};
use thalweg_kernels::random::Stream;

use super::*;

/// Random rows, tracked.
pub fn embeddings(counts: [usize; 2], width: usize, size: f32, seed: u64, dtype: DType) -> [Tensor<2>; 2] {
    [0, 1].map(|side| {
        let mut values = vec![0.0; counts[side] * width];
        Stream::new(2 * seed + side as u64, "embeddings", 0).fill_normal(&mut values);
        values.iter_mut().for_each(|value| *value *= size);
        Tensor::<2>::from_data(
            TensorData::new(values, [counts[side], width]),
            (&Device::flex(), dtype),
        )
        .autodiff()
        .require_grad()
    })
}

pub fn number(value: Tensor<1>) -> f64 {
    value.into_scalar::<f64>()
}

/// Value and gradients, one list.
pub fn all_gradients(value: Tensor<1>, matrices: &[&Tensor<2>], vectors: &[&Tensor<1>]) -> Vec<Vec<f64>> {
    let floats = |data: TensorData| data.try_into_vec_as::<f64>().unwrap();
    let gradients = value.clone().sum().backward();
    let mut found = vec![floats(value.into_data())];
    found.extend(
        matrices
            .iter()
            .map(|x| floats(x.grad(&gradients).unwrap().into_data())),
    );
    found.extend(
        vectors
            .iter()
            .map(|x| floats(x.grad(&gradients).unwrap().into_data())),
    );
    found
}

pub fn assert_near(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        let size = expected.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() <= tolerance * (1.0 + size),
                "output {at}: {a}, expected {b}"
            );
        }
    }
}

/// Embeddings paired in one of the ways, anew each time: a graph is gone once it was walked back.
fn paired(way: &str, [left, right]: &[Tensor<2>; 2]) -> Pairs {
    let [batch, width] = left.dims();
    let (left, right) = (left.clone(), right.clone());
    let other = right.clone().slice([0..batch, 0..width]);
    match way {
        "in batch" => Pairs::in_batch(left, right),
        "two views" => Pairs::two_views(left, other),
        "both ways" => Pairs::both_ways(left, other),
        _ => {
            let labels: Vec<i64> = (0..batch).map(|i| (i * i % 7) as i64 - 2).collect();
            let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), &left.device());
            Pairs::labelled(left, labels)
        }
    }
}

/// Every way to pair, by streaming and by composition.
fn agrees(batch: usize, similarity: Similarity, dtype: DType, tolerance: f64) {
    let sides = embeddings([batch, batch + 3], 4, 0.7, batch as u64, dtype);
    let [left, right] = &sides;
    for way in ["in batch", "two views", "both ways", "labelled"] {
        let pairs = || paired(way, &sides);
        let leaves: &[&Tensor<2>] = if way == "labelled" {
            &[left]
        } else {
            &[left, right]
        };
        let fixed = Temperature::Fixed(0.4);
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let loss = InBatchSoftmax {
                similarity,
                reduction,
            };
            assert_near(
                &all_gradients(loss.forward(&pairs(), &fixed), leaves, &[]),
                &all_gradients(loss.composed(&pairs(), &fixed), leaves, &[]),
                tolerance,
            );
            for count in [1, pairs().anchors()] {
                let values: Vec<f64> = (0..count).map(|i| 0.3 + 0.1 * (i % 5) as f64).collect();
                let given = TensorData::new(values, [count]);
                let given = Tensor::<1>::from_data(given, (&Device::flex(), dtype));
                let given = given.autodiff().require_grad();
                let temperature = Temperature::Given(given.clone());
                assert_near(
                    &all_gradients(loss.forward(&pairs(), &temperature), leaves, &[&given]),
                    &all_gradients(loss.composed(&pairs(), &temperature), leaves, &[&given]),
                    tolerance,
                );
            }
        }
        let of = |reduction| {
            let loss = InBatchSoftmax {
                similarity,
                reduction,
            };
            loss.forward(&pairs(), &fixed)
        };
        let each = of(Reduction::None);
        assert_eq!(each.dims(), [pairs().anchors()]);
        let (total, sum) = (number(each.sum()), number(of(Reduction::Sum)));
        assert!(
            (total - sum).abs() < tolerance * (1.0 + total),
            "{way}: {total}, {sum}"
        );
    }
}

#[test]
fn streams_agree_with_the_composition() {
    for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::SquaredEuclidean] {
        for batch in [1, 2, 9, 90] {
            agrees(batch, similarity, DType::F64, 1e-10);
        }
        agrees(33, similarity, DType::F32, 1e-4);
    }
}

#[test]
#[should_panic(expected = "3 temperatures for 4 anchors")]
fn temperatures_that_fit_no_anchors_are_refused() {
    let [left, right] = embeddings([4, 4], 2, 1.0, 0, DType::F32);
    let given = Temperature::Given(Tensor::<1>::full([3], 0.1, &left.device()));
    let loss = InBatchSoftmax {
        similarity: Similarity::Dot,
        reduction: Reduction::Mean,
    };
    loss.forward(&Pairs::in_batch(left, right), &given);
}

#[test]
#[should_panic(expected = "temperature 0 of anchor 0 is not above 0")]
fn a_temperature_of_zero_is_refused() {
    let [left, right] = embeddings([2, 2], 2, 1.0, 0, DType::F32);
    let given = Temperature::Given(Tensor::<1>::full([1], 0.0, &left.device()));
    let loss = InBatchSoftmax {
        similarity: Similarity::Dot,
        reduction: Reduction::Mean,
    };
    loss.forward(&Pairs::in_batch(left, right), &given);
}
