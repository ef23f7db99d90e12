//! The loss against its composition and its slopes, and the exact statements of the paper.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::head::tests::heads;
use super::*;
use crate::Reduction;
use crate::classification::rowwise::tests::central_differences;

/// Features `[count, 5]`, weights `[classes, 5]` and labels.
struct Drawn {
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
}

fn drawn(count: usize, classes: usize, seed: u64, dtype: DType) -> Drawn {
    let [features, weights] = [("features", count), ("weights", classes)].map(|(name, rows)| {
        let mut values = vec![0.0_f32; rows * 5];
        Stream::new(seed, name, 0).fill_normal(&mut values);
        Tensor::<2>::from_data(TensorData::new(values, [rows, 5]), (&Device::flex(), dtype))
    });
    let mut random = Stream::new(seed, "labels", 0);
    let labels: Vec<i64> = (0..count).map(|_| random.below(classes) as i64).collect();
    let labels = Tensor::from_data(TensorData::new(labels, [count]), &Device::flex());
    Drawn {
        features,
        weights,
        labels,
    }
}

fn host(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().try_into_vec_as::<f64>().unwrap()
}

fn value(loss: &MarginSoftmaxLoss, batch: &Drawn) -> f64 {
    let Drawn {
        features,
        weights,
        labels,
    } = batch;
    let loss = loss.forward(features.clone(), weights.clone(), labels.clone());
    loss.unwrap().into_scalar::<f64>()
}

/// Value, gradient by features, gradient by weights.
fn all_of(batch: &Drawn, loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>) -> [Vec<f64>; 3] {
    let track = |x: &Tensor<2>| x.clone().autodiff().require_grad();
    let (features, weights) = (track(&batch.features), track(&batch.weights));
    let value = loss(features.clone(), weights.clone());
    let gradients = value.clone().sum().backward();
    [
        value.into_data().try_into_vec_as::<f64>().unwrap(),
        host(features.grad(&gradients).unwrap()),
        host(weights.grad(&gradients).unwrap()),
    ]
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1.0_f64, |size, x| size.max(x.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * size, "{a}, expected {b}");
    }
}

fn losses(margin: f64, scale: f64, wisk: f64, reduction: Reduction) -> Vec<MarginSoftmaxLoss> {
    let filters = [PairFilter::All, PairFilter::BoxWhisker { wisk }];
    heads(margin)
        .into_iter()
        .flat_map(|head| {
            let plain = MarginSoftmaxLoss::new(head, scale, reduction).unwrap();
            let with_pairs = filters.map(|filter| {
                let config = UnpgLossConfig::new(head).with_filter(filter).with_scale(scale);
                config.with_reduction(reduction).init().unwrap()
            });
            std::iter::once(plain).chain(with_pairs)
        })
        .collect()
}

#[test]
fn one_pass_equals_the_composition() {
    for (dtype, tolerance, scale) in [(DType::F64, 1e-10, 64.0), (DType::F32, 2e-4, 16.0)] {
        for (count, classes) in [(1, 2), (7, 3), (140, 11)] {
            let batch = drawn(count, classes, count as u64, dtype);
            let labels: Vec<i64> = batch.labels.to_data().try_into_vec_as().unwrap();
            let labels: Vec<u32> = labels.into_iter().map(|label| label as u32).collect();
            for reduction in [Reduction::Mean, Reduction::Sum] {
                for loss in losses(0.4, scale, 0.4, reduction) {
                    let found = all_of(&batch, |x, w| loss.forward(x, w, batch.labels.clone()).unwrap());
                    let expected = all_of(&batch, |x, w| composed::loss(&loss, x, w, &labels).unwrap());
                    for (found, expected) in found.iter().zip(&expected) {
                        assert_near(found, expected, tolerance);
                    }
                }
            }
            for loss in losses(0.4, scale, 0.4, Reduction::None) {
                let Drawn {
                    features,
                    weights,
                    labels,
                } = &batch;
                let each = loss
                    .forward(features.clone(), weights.clone(), labels.clone())
                    .unwrap();
                assert_eq!(each.dims(), [count]);
                let mean = MarginSoftmaxLoss {
                    reduction: Reduction::Mean,
                    ..loss
                };
                let found = each.mean().into_scalar::<f64>();
                assert!((found - value(&mean, &batch)).abs() < tolerance * (1.0 + found));
            }
        }
    }
}

#[test]
fn gradients_are_slopes() {
    let batch = drawn(9, 4, 3, DType::F64);
    for loss in losses(0.3, 8.0, 0.3, Reduction::Mean) {
        let of = |x: Tensor<2>, w: Tensor<2>| loss.forward(x, w, batch.labels.clone()).unwrap();
        let [_, by_features, by_weights] = all_of(&batch, of);
        let numeric = central_differences(&batch.features, |x| of(x, batch.weights.clone()));
        assert_near(&by_features, &numeric, 1e-7);
        let numeric = central_differences(&batch.weights, |w| of(batch.features.clone(), w));
        assert_near(&by_weights, &numeric, 1e-7);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pairs_only_ever_add(count in 1_usize..20, classes in 2_usize..5, margin in 0.0_f64..1.0, seed in 0_u64..1000) {
        let batch = drawn(count, classes, seed, DType::F64);
        for head in heads(margin) {
            let plain = value(&MarginSoftmaxLoss::new(head, 16.0, Reduction::Mean).unwrap(), &batch);
            let with = |filter| {
                let config = UnpgLossConfig::new(head).with_scale(16.0).with_filter(filter);
                value(&config.init().unwrap(), &batch)
            };
            let (all, filtered) = (with(PairFilter::All), with(PairFilter::BoxWhisker { wisk: 0.5 }));
            prop_assert!(plain <= filtered + 1e-12 && filtered <= all + 1e-12);
            let far = with(PairFilter::BoxWhisker { wisk: 1e6 });
            prop_assert!((far - all).abs() < 1e-12 * (1.0 + all));
        }
    }

    #[test]
    fn norms_do_not_matter_but_to_magface(
        count in 1_usize..12, seed in 0_u64..1000, factor in 0.01_f64..100.0,
    ) {
        let batch = drawn(count, 3, seed, DType::F64);
        for loss in losses(0.4, 16.0, 1.5, Reduction::Mean) {
            if matches!(loss.head(), Head::MagFace(_)) {
                continue;
            }
            let of = |x, w| loss.forward(x, w, batch.labels.clone()).unwrap();
            let [_, by_features, by_weights] = all_of(&batch, of);
            for (gradient, rows) in [(by_features, &batch.features), (by_weights, &batch.weights)] {
                for (g, x) in gradient.chunks(5).zip(host(rows.clone()).chunks(5)) {
                    prop_assert!(g.iter().zip(x).map(|(g, x)| g * x).sum::<f64>().abs() < 1e-10);
                }
            }
            let scaled = Drawn { features: batch.features.clone() * factor, weights: batch.weights.clone(), labels: batch.labels.clone() };
            prop_assert!((value(&loss, &scaled) - value(&loss, &batch)).abs() < 1e-9);
        }
    }

    #[test]
    fn classes_have_no_order(count in 1_usize..12, seed in 0_u64..1000) {
        let batch = drawn(count, 3, seed, DType::F64);
        let weights = host(batch.weights.clone());
        let turned = [&weights[10..], &weights[..10]].concat();
        let turned = Tensor::<2>::from_data(TensorData::new(turned, [3, 5]), (&Device::flex(), DType::F64));
        let labels: Vec<i64> = batch.labels.to_data().try_into_vec_as().unwrap();
        let labels: Vec<i64> = labels.into_iter().map(|label| (label + 1) % 3).collect();
        let permuted = Drawn {
            features: batch.features.clone(),
            weights: turned,
            labels: Tensor::from_data(TensorData::new(labels, [count]), &Device::flex()),
        };
        for loss in losses(0.4, 16.0, 1.5, Reduction::Mean) {
            prop_assert!((value(&loss, &batch) - value(&loss, &permuted)).abs() < 1e-10);
        }
    }
}

#[test]
fn a_batch_of_one_class_has_the_loss_of_its_head() {
    let mut batch = drawn(6, 4, 1, DType::F64);
    batch.labels = Tensor::zeros([6], &Device::flex());
    for loss in losses(0.4, 64.0, 1.5, Reduction::Mean) {
        let plain = MarginSoftmaxLoss { pairs: None, ..loss };
        assert_eq!(value(&loss, &batch), value(&plain, &batch));
    }
}

#[test]
fn one_pair_adds_what_it_weighs_in_each_row() {
    let batch = drawn(2, 3, 5, DType::F64);
    let batch = Drawn {
        labels: Tensor::from_ints([0, 2], &Device::flex()),
        ..batch
    };
    let scale = 8.0;
    for head in heads(0.3) {
        let plain = MarginSoftmaxLoss::new(head, scale, Reduction::None).unwrap();
        let Drawn {
            features,
            weights,
            labels,
        } = &batch;
        let cosines = host(plain.cosines(features, weights, labels.clone()).unwrap());
        let pair = InBatchPairs::of(&host(features.clone()), 5, &[0, 2]).unwrap();
        let [v] = pair.negative[..] else {
            panic!("one pair")
        };
        let added = cosines.chunks(3).map(|row| {
            let sum: f64 = row.iter().map(|cosine| (scale * cosine).exp()).sum();
            (1.0 + (scale * v).exp() / sum).ln()
        });
        let config = UnpgLossConfig::new(head).with_scale(scale).init().unwrap();
        let mean = MarginSoftmaxLoss {
            reduction: Reduction::Mean,
            ..plain
        };
        let found = value(&config, &batch) - value(&mean, &batch);
        assert!((found - added.sum::<f64>() / 2.0).abs() < 1e-12);
    }
}

#[test]
fn large_scales_and_norms_stay_finite_in_single_precision() {
    for factor in [1e-12, 1.0, 1e12] {
        let mut batch = drawn(40, 6, 2, DType::F32);
        batch.features = batch.features * factor;
        for loss in losses(0.5, 1e4, 1.5, Reduction::Mean) {
            let found = all_of(&batch, |x, w| loss.forward(x, w, batch.labels.clone()).unwrap());
            assert!(
                found.iter().flatten().all(|x| x.is_finite()),
                "{factor}, {loss:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_a_batch_is_refused() {
    let loss = UnpgLossConfig::new(Head::Softmax).init().unwrap();
    let batch = drawn(3, 2, 0, DType::F32);
    let refused = |features: Tensor<2>, weights: Tensor<2>, labels: [i64; 3]| {
        let labels = Tensor::<1, Int>::from_ints(labels, &Device::flex());
        let found = loss
            .forward(features.clone(), weights.clone(), labels.clone())
            .unwrap_err();
        let each = MarginSoftmaxLoss {
            reduction: Reduction::None,
            ..loss
        };
        assert_eq!(
            each.forward(features, weights, labels).unwrap_err().to_string(),
            found.to_string()
        );
        found.to_string()
    };
    let Drawn {
        features, weights, ..
    } = batch;
    let spoiled = |row: usize, value: f32| {
        let mut values: Vec<f32> = features.to_data().try_into_vec_as().unwrap();
        values[row * 5..][..5].fill(value);
        Tensor::<2>::from_data(TensorData::new(values, [3, 5]), &Device::flex())
    };
    let labels = [0, 1, 0];
    assert_eq!(
        refused(spoiled(1, 0.0), weights.clone(), labels),
        "features: is zero in row 1; it has no direction"
    );
    assert!(refused(spoiled(2, f32::NAN), weights.clone(), labels).contains("holds NaN in row 2"));
    assert!(
        refused(features.clone(), weights.clone() * 0.0, labels).starts_with("weights: is zero in row 0")
    );
    assert_eq!(
        refused(features.clone(), weights.clone(), [0, 1, 2]),
        "labels: holds 2 at index 2; labels are whole numbers from 0 to 1"
    );
    assert!(refused(features, weights, [-1, 0, 0]).contains("holds -1 at index 0"));
}

#[test]
fn pairs_are_told_in_order() {
    let at = |degrees: f64| [degrees.to_radians().cos(), degrees.to_radians().sin()];
    let features = [at(0.0), at(60.0), at(90.0)].concat();
    let pairs = InBatchPairs::of(&features, 2, &[1, 0, 1]).unwrap();
    assert_near(&pairs.positive, &[0.0], 1e-15);
    assert_near(&pairs.negative, &[0.5, 0.75_f64.sqrt()], 1e-15);
    let refused = InBatchPairs::of(&features, 2, &[1, 0]).unwrap_err();
    assert_eq!(refused.to_string(), "labels: has 2 entries; there are 3");
}
