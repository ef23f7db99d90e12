use burn::tensor::{DType, Device};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::super::rowwise::tests::*;
use super::super::{CompSumLossConfig, LabelSmoothingLossConfig};
use super::*;
use crate::quantity::Document;

const REDUCTIONS: [Reduction; 3] = [Reduction::Mean, Reduction::Sum, Reduction::None];

/// Every combination of options over `classes` classes.
fn configurations(classes: usize) -> Vec<CrossEntropyLossConfig> {
    let weights: Vec<f64> = (0..classes).map(|k| 0.5 * (k % 4) as f64 + 0.25).collect();
    let mut all = Vec::new();
    for smoothing in [0.0, 0.1, 1.0] {
        for weights in [None, Some(weights.clone())] {
            for ignored in [None, Some(-100), Some(0)] {
                for regulariser in [0.0, 0.02] {
                    let config = CrossEntropyLossConfig::new().with_label_smoothing(smoothing);
                    let config = config.with_class_weights(weights.clone());
                    let config = config.with_ignore_index(ignored);
                    all.push(config.with_logsumexp_z_loss(regulariser));
                }
            }
        }
    }
    all
}

/// The targets with every third one replaced by -100, where that is ignored.
fn with_padding(targets: Tensor<1, Int>, config: &CrossEntropyLossConfig) -> Tensor<1, Int> {
    if config.ignore_index != Some(-100) {
        return targets;
    }
    let mut labels = targets.to_data().try_into_vec_as::<i64>().unwrap();
    labels
        .iter_mut()
        .skip(1)
        .step_by(3)
        .for_each(|label| *label = -100);
    let shape = [labels.len()];
    Tensor::from_data(TensorData::new(labels, shape), &targets.device())
}

/// Random class probabilities.
fn random_probabilities(batch: usize, classes: usize, seed: u64, dtype: DType) -> Tensor<2> {
    let (logits, _) = random_batch(batch, classes, 2.0, seed + 1000, dtype);
    log_softmax(logits, 1).exp()
}

#[test]
fn kernel_and_composition_agree_on_labels() {
    for (batch, classes, seed) in [(1, 2, 5), (5, 7, 1), (4, 130, 2)] {
        for config in configurations(classes) {
            for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
                let (logits, targets) = random_batch(batch, classes, 3.0, seed, dtype);
                let targets = with_padding(targets, &config);
                for reduction in REDUCTIONS {
                    let loss = config.clone().with_reduction(reduction).init().unwrap();
                    let fused = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
                    let composed =
                        value_and_gradient(&logits, |h| loss.composed(h, targets.clone(), reduction));
                    assert_close(&fused.0, &composed.0, tolerance);
                    assert_close(&fused.1, &composed.1, tolerance);
                }
            }
        }
    }
}

#[test]
fn kernel_and_composition_agree_on_probabilities() {
    for (batch, classes, seed) in [(1, 2, 0), (5, 7, 1), (3, 130, 2)] {
        for config in configurations(classes) {
            let config = config.with_ignore_index(None);
            for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
                let (logits, _) = random_batch(batch, classes, 3.0, seed, dtype);
                let targets = random_probabilities(batch, classes, seed, dtype);
                for reduction in REDUCTIONS {
                    let loss = config.clone().with_reduction(reduction).init().unwrap();
                    let fused = value_and_gradient(&logits, |h| loss.forward_soft(h, targets.clone()));
                    let composed =
                        value_and_gradient(&logits, |h| reduction.of(loss.composed_soft(h, targets.clone())));
                    assert_close(&fused.0, &composed.0, tolerance);
                    assert_close(&fused.1, &composed.1, tolerance);
                }
            }
        }
    }
}

#[test]
fn gradients_are_numeric() {
    for config in configurations(5) {
        let loss = config.clone().init().unwrap();
        gradient_is_numeric(|logits, targets| loss.forward(logits, with_padding(targets, &config)));
        let loss = config.with_ignore_index(None).init().unwrap();
        let soft = random_probabilities(4, 5, 9, DType::F64);
        gradient_is_numeric(|logits, _| loss.forward_soft(logits, soft.clone()));
    }
}

fn batch_of(rows: &[[f64; 3]], labels: &[i64]) -> (Tensor<2>, Tensor<1, Int>) {
    let device = Device::flex();
    let data = TensorData::new(rows.concat(), [rows.len(), 3]);
    let labels = TensorData::new(labels.to_vec(), [labels.len()]);
    (
        Tensor::from_data(data, (&device, DType::F64)),
        Tensor::from_data(labels, &device),
    )
}

#[test]
fn where_nothing_counts_a_mean_is_no_number_and_moves_nothing() {
    let (logits, targets) = batch_of(&[[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]], &[-100, -100]);
    for config in configurations(3) {
        let config = config.with_ignore_index(Some(-100));
        for (reduction, expected) in [(Reduction::Mean, f64::NAN), (Reduction::Sum, 0.0)] {
            let loss = config.clone().with_reduction(reduction).init().unwrap();
            let fused = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
            let composed = value_and_gradient(&logits, |h| loss.composed(h, targets.clone(), reduction));
            for (value, gradient) in [fused, composed] {
                assert_eq!(value[0].is_nan(), expected.is_nan());
                assert!(value[0].is_nan() || value[0] == 0.0);
                assert!(gradient.iter().all(|slope| *slope == 0.0), "{gradient:?}");
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_none_unless_its_row_is_ignored() {
    let rows = [[1.0, 2.0, 3.0], [f64::NAN, 0.0, 1.0], [1.0, f64::NAN, 0.0]];
    let (logits, targets) = batch_of(&rows, &[1, -100, 2]);
    for config in configurations(3) {
        let config = config.with_ignore_index(Some(-100));
        let loss = config.with_reduction(Reduction::None).init().unwrap();
        let fused = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
        let composed = value_and_gradient(&logits, |h| loss.composed(h, targets.clone(), Reduction::None));
        for (value, gradient) in [fused, composed] {
            assert!(value[0].is_finite() && value[1] == 0.0 && value[2].is_nan());
            assert!(gradient[..3].iter().all(|slope| slope.is_finite()));
            assert!(gradient[3..6].iter().all(|slope| *slope == 0.0));
            assert!(gradient[6..].iter().all(|slope| slope.is_nan()), "{gradient:?}");
        }
        let loss = CrossEntropyLossConfig::new()
            .with_reduction(Reduction::None)
            .init()
            .unwrap();
        let soft = Tensor::full([3, 3], 1.0 / 3.0, (&Device::flex(), DType::F64));
        let (value, gradient) = value_and_gradient(&logits, |h| loss.forward_soft(h, soft.clone()));
        assert!(value[0].is_finite() && value[1].is_nan() && value[2].is_nan());
        assert!(gradient[3..].iter().all(|slope| slope.is_nan()));
    }
}

#[test]
fn weights_of_nothing_make_no_number() {
    let (logits, targets) = batch_of(&[[1.0, 2.0, 3.0]], &[0]);
    let config = CrossEntropyLossConfig::new().with_class_weights(Some(vec![0.0, 1.0, 1.0]));
    let loss = config.init().unwrap();
    let (value, gradient) = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
    assert!(value[0].is_nan() && gradient.iter().all(|slope| slope.is_nan()));
}

#[test]
fn logits_of_ten_thousand_stay_finite() {
    let mut stream = Stream::new(4, "extremes", 0);
    for config in configurations(3) {
        let loss = config.clone().init().unwrap();
        let soft = config.with_ignore_index(None).init().unwrap();
        for dtype in [DType::F32, DType::F64] {
            let row = [(); 3].map(|()| [1e4, -1e4, 0.0, 9.99e3][stream.below(4)]);
            let (logits, targets) = batch_of(&[row], &[1]);
            let logits = logits.cast(dtype);
            let probabilities = random_probabilities(1, 3, 0, dtype);
            for (value, gradient) in [
                value_and_gradient(&logits, |h| loss.forward(h, targets.clone())),
                value_and_gradient(&logits, |h| soft.forward_soft(h, probabilities.clone())),
            ] {
                assert!(
                    value.iter().chain(&gradient).all(|x| x.is_finite()),
                    "{row:?}: {value:?} {gradient:?}"
                );
            }
        }
    }
}

#[test]
fn strided_logits_are_read_as_they_are() {
    let (logits, targets) = random_batch(4, 4, 3.0, 8, DType::F64);
    for config in configurations(4) {
        let loss = config.clone().init().unwrap();
        let targets = with_padding(targets.clone(), &config);
        let plain = loss.forward(logits.clone(), targets.clone()).into_scalar::<f64>();
        let strided = logits.clone().transpose();
        let contiguous = Tensor::from_data(strided.to_data(), (&Device::flex(), DType::F64));
        let transposed = loss.forward(strided, targets.clone()).into_scalar::<f64>();
        let copied = loss.forward(contiguous, targets).into_scalar::<f64>();
        assert_close(&[transposed], &[copied], 1e-13);
        assert!(config.label_smoothing == 1.0 || (plain - copied).abs() > 1e-6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn one_hot_probabilities_are_labels(seed in 0_u64..10_000, classes in 2_usize..9, smoothing in 0.0_f64..1.0) {
        let (logits, targets) = random_batch(4, classes, 4.0, seed, DType::F64);
        let weights = (0..classes).map(|k| 1.0 / (1.0 + k as f64)).collect();
        for (weights, reduction) in [(None, Reduction::Mean), (Some(weights), Reduction::Sum)] {
            let config = CrossEntropyLossConfig::new().with_label_smoothing(smoothing).with_logsumexp_z_loss(0.01);
            let loss = config.with_class_weights(weights).with_reduction(reduction).init().unwrap();
            let one_hot = targets.clone().one_hot::<2>(classes).float().cast(DType::F64);
            let hard = value_and_gradient(&logits, |h| loss.forward(h, targets.clone()));
            let soft = value_and_gradient(&logits, |h| loss.forward_soft(h, one_hot.clone()));
            assert_close(&hard.0, &soft.0, 1e-12);
            assert_close(&hard.1, &soft.1, 1e-12);
        }
    }

    #[test]
    fn it_contains_its_special_cases(seed in 0_u64..10_000, classes in 2_usize..9, smoothing in 0.01_f64..1.0) {
        let (logits, targets) = random_batch(4, classes, 4.0, seed, DType::F64);
        let plain = CrossEntropyLossConfig::new();
        let smoothed = plain.clone().with_label_smoothing(smoothing);
        let ones = plain.clone().with_class_weights(Some(vec![1.0; classes]));
        let comp_sum = CompSumLossConfig::new().init().unwrap();
        let smoothing = LabelSmoothingLossConfig::new().with_smoothing(smoothing).init().unwrap();
        let of = |config: CrossEntropyLossConfig| {
            let loss = config.init().unwrap();
            value_and_gradient(&logits, |h| loss.forward(h, targets.clone()))
        };
        let expected = value_and_gradient(&logits, |h| comp_sum.forward(h, targets.clone()));
        for found in [of(plain), of(ones)] {
            assert_close(&found.0, &expected.0, 1e-13);
            assert_close(&found.1, &expected.1, 1e-13);
        }
        let expected = value_and_gradient(&logits, |h| smoothing.forward(h, targets.clone()));
        let found = of(smoothed);
        assert_close(&found.0, &expected.0, 1e-13);
        assert_close(&found.1, &expected.1, 1e-13);
    }

    #[test]
    fn ignored_rows_are_as_if_left_out(seed in 0_u64..10_000, classes in 2_usize..9) {
        let (logits, targets) = random_batch(5, classes, 4.0, seed, DType::F64);
        for config in configurations(classes) {
            let config = config.with_ignore_index(Some(-1));
            let loss = config.init().unwrap();
            let padding = Tensor::<1, Int>::from_ints([-1, -1], &Device::flex());
            let padded = Tensor::cat(vec![targets.clone().narrow(0, 0, 3), padding], 0);
            let all = loss.forward(logits.clone(), padded).into_scalar::<f64>();
            let some = loss.forward(logits.clone().narrow(0, 0, 3), targets.clone().narrow(0, 0, 3));
            assert_close(&[all], &[some.into_scalar::<f64>()], 1e-13);
        }
    }
}

#[test]
fn what_is_out_of_range_is_named() {
    let refused = |config: CrossEntropyLossConfig| config.init().unwrap_err().to_string();
    let plain = CrossEntropyLossConfig::new;
    for (config, expected) in [
        (
            plain().with_label_smoothing(1.1),
            "`label_smoothing` is 1.1; it must be in [0, 1]",
        ),
        (
            plain().with_class_weights(Some(vec![1.0, -2.0])),
            "`class_weights` is -2; it must be at least 0 and finite",
        ),
        (
            plain().with_logsumexp_z_loss(f64::NAN),
            "`logsumexp_z_loss` is NaN",
        ),
    ] {
        let message = refused(config);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
#[should_panic(expected = "target 3 of row 1 is not in 0..3, nor the ignored -100")]
fn a_target_out_of_range_is_named() {
    let (logits, targets) = batch_of(&[[0.0; 3]; 2], &[-100, 3]);
    let config = CrossEntropyLossConfig::new().with_ignore_index(Some(-100));
    config.init().unwrap().forward(logits, targets);
}

#[test]
#[should_panic(expected = "2 class weights for 3 classes")]
fn weights_that_are_not_one_a_class_are_refused() {
    let (logits, targets) = batch_of(&[[0.0; 3]], &[0]);
    let config = CrossEntropyLossConfig::new().with_class_weights(Some(vec![1.0; 2]));
    config.init().unwrap().forward(logits, targets);
}

#[test]
#[should_panic(expected = "at least 2 classes are needed")]
fn one_class_is_refused() {
    let loss = CrossEntropyLossConfig::new().init().unwrap();
    let logits = Tensor::<2>::zeros([2, 1], &Device::flex());
    loss.forward_soft(logits.clone(), logits);
}

#[test]
#[should_panic(expected = "class 2 is to be ignored")]
fn probabilities_have_no_label_to_ignore() {
    let (logits, _) = batch_of(&[[0.0; 3]], &[0]);
    let config = CrossEntropyLossConfig::new().with_ignore_index(Some(2));
    config.init().unwrap().forward_soft(logits.clone(), logits);
}

#[test]
fn the_quantity_says_what_is_wrong_with_a_case() {
    const LABELS: &str = r#", "labels": {"shape": [2], "data": [0, 2]}"#;
    const PROBABILITIES: &str = r#", "target_probs": {"shape": [2, 2], "data": [0, 1, 1, 0]}"#;
    for (params, inputs, expected) in [
        ("", String::new(), "give one of the two"),
        ("", [LABELS, PROBABILITIES].concat(), "give one of the two"),
        (
            "",
            LABELS.to_owned(),
            "`labels` holds 2 at index 1; labels are whole numbers from 0 to 1",
        ),
        (
            r#""ignore_index": -1"#,
            LABELS.to_owned(),
            "from 0 to 1, or -1 to be ignored",
        ),
        (
            r#""ignore_index": 0.5"#,
            LABELS.to_owned(),
            "it must be a whole number or \"none\"",
        ),
        (
            r#""ignore_index": 1"#,
            PROBABILITIES.to_owned(),
            "`ignore_index` is the number 1; it must be left out or negative",
        ),
    ] {
        let text = format!(
            r#"{{"cases": [{{"id": 1, "quantity": "cross_entropy_loss", "params": {{{params}}},
                "inputs": {{"logits": {{"shape": [2, 2], "data": [1, 2, 3, 4]}}{inputs}}}}}]}}"#
        );
        let answers = Document::parse(text.as_bytes()).unwrap().evaluate();
        let error = answers[0].result().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
