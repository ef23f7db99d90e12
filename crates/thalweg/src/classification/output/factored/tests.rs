use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;

use super::super::super::rowwise::FusedLoss;
use super::super::super::rowwise::tests::assert_close;
use super::*;

const MEMBERS: [SphericalMember; 4] = [
    SphericalMember::ZLoss { a: 0.5, b: 3.0 },
    SphericalMember::SquaredError,
    SphericalMember::TaylorSoftmax,
    SphericalMember::SphericalSoftmax { epsilon: 0.05 },
];

const UPKEEPS: [InverseUpkeep; 4] = [
    InverseUpkeep::Woodbury,
    InverseUpkeep::ShermanMorrison,
    InverseUpkeep::Solve,
    InverseUpkeep::Full,
];

fn leaf(values: &[f64], shape: [usize; 2]) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), shape);
    let tensor = Tensor::<2>::from_data(data, (&Device::flex(), DType::F64));
    tensor.autodiff().require_grad()
}

fn classes_of(targets: &[usize], shape: [usize; 2]) -> Tensor<2, Int> {
    let targets: Vec<i64> = targets.iter().map(|&target| target as i64).collect();
    Tensor::from_data(TensorData::new(targets, shape), &Device::flex())
}

fn read<const N: usize>(tensor: Tensor<N>) -> Vec<f64> {
    tensor.into_data().try_into_vec_as::<f64>().unwrap()
}

fn numbers(stream: &mut Stream, len: usize, size: f64) -> Vec<f64> {
    (0..len).map(|_| size * (2.0 * stream.uniform() - 1.0)).collect()
}

/// What one dense step by autodiff finds and makes.
struct Dense {
    loss: f64,
    gradient: Vec<f64>,
    weights: Vec<f64>,
}

fn dense_step(
    config: &FactoredOutputConfig,
    weights: &[f64],
    hidden: &[f64],
    targets: &[usize],
    samples: usize,
    learning_rate: f64,
) -> Dense {
    let (classes, each) = (config.classes, targets.len() / samples);
    let inner = config.inner_width();
    let h = leaf(hidden, [samples, config.width]);
    let w = leaf(weights, [classes, inner]);
    let appended = match config.bias {
        None => h.clone(),
        Some(bias) => {
            let constants = leaf(&vec![bias; samples], [samples, 1]).detach();
            Tensor::cat(vec![h.clone(), constants], 1)
        }
    };
    let logits = appended.matmul(w.clone().transpose());
    let targets = classes_of(targets, [samples, each]);
    let loss = if config.member == SphericalMember::SquaredError {
        let hot: Tensor<3> = targets.one_hot(classes).float().cast(DType::F64);
        let hot = hot.sum_dim(1).reshape([samples, classes]).autodiff();
        config
            .reduction
            .of((logits - hot).square().sum_dim(1).reshape([samples]))
    } else {
        let column = |j: usize| targets.clone().slice([0..samples, j..j + 1]).reshape([samples]);
        let of = |j: usize| config.member.reduced(logits.clone(), column(j), config.reduction);
        (1..each).fold(of(0), |sum, j| sum + of(j)) * (1.0 / each as f64)
    };
    let gradients = loss.backward();
    let step = read(w.grad(&gradients).unwrap());
    let stepped = |(w, g): (&f64, f64)| w - learning_rate * (g + config.weight_decay * w);
    Dense {
        loss: loss.into_scalar::<f64>(),
        gradient: read(h.grad(&gradients).unwrap()),
        weights: weights.iter().zip(step).map(stepped).collect(),
    }
}

/// Some steps of the layer held equal to dense ones, and its statistics to what they stand for.
fn follows_the_dense_layer(
    config: &FactoredOutputConfig,
    samples: usize,
    each: usize,
    learning_rate: f64,
    seed: u64,
) {
    let mut stream = Stream::new(seed, "factored", 0);
    let mut weights = numbers(&mut stream, config.classes * config.inner_width(), 1.0);
    let mut layer = config.init_with(weights.clone()).unwrap();
    for _ in 0..7 {
        let hidden = numbers(&mut stream, samples * config.width, 1.0);
        // Different targets within a sample, the same ones across samples.
        let targets: Vec<usize> = (0..samples)
            .flat_map(|_| {
                let first = stream.below(config.classes);
                (0..each).map(move |j| (first + 3 * j) % config.classes)
            })
            .collect();
        let expected = dense_step(config, &weights, &hidden, &targets, samples, learning_rate);
        let own = leaf(&hidden, [samples, config.width]);
        let targets = classes_of(&targets, [samples, each]);
        let loss = layer
            .train_multi_hot(own.clone(), targets, learning_rate)
            .unwrap();
        assert_close(&[loss.clone().into_scalar::<f64>()], &[expected.loss], 1e-9);
        assert_close(
            &read(own.grad(&loss.backward()).unwrap()),
            &expected.gradient,
            1e-9,
        );
        assert_close(&layer.weights(), &expected.weights, 1e-9);
        let drift = layer.drift();
        assert!(
            drift.gram < 1e-10 && drift.row_sum < 1e-10 && drift.inverse < 1e-9,
            "{drift:?}"
        );
        weights = expected.weights;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_step_is_the_dense_step(
        seed in 0_u64..10_000, member in 0..4_usize, upkeep in 0..4_usize, classes in 8_usize..30, width in 1_usize..6,
        samples in 1_usize..7, each in 1_usize..3, learning_rate in 0.001_f64..0.1, decay in 0.0_f64..0.5,
        with_bias in any::<bool>(),
    ) {
        let config = FactoredOutputConfig::new(classes, width)
            .with_member(MEMBERS[member])
            .with_upkeep(UPKEEPS[upkeep])
            .with_weight_decay(decay)
            .with_bias(with_bias.then_some(0.5))
            .with_stability(Some(Stability { period: 3, ..Stability::DEFAULT }));
        follows_the_dense_layer(&config, samples, each, learning_rate, seed);
        let summed = config.with_reduction(Reduction::Sum).with_stability(None);
        follows_the_dense_layer(&summed, samples, each, 0.1 * learning_rate, seed);
    }

    #[test]
    fn control_leaves_the_weights_and_bounds_u(seed in 0_u64..10_000, width in 3_usize..8, out in 1_usize..8) {
        let mut stream = Stream::new(seed, "control", 0);
        let mut state = State::new(numbers(&mut stream, 20 * width, 1.0), 20, width, InverseUpkeep::Woodbury);
        // Rows and columns of U turned at will, then some directions scaled out of bounds.
        let tilt = numbers(&mut stream, width * width, 0.1 / width as f64);
        state.u.iter_mut().zip(tilt).for_each(|(u, t)| *u += t);
        for row in 0..out.min(width) {
            let factor = if row % 2 == 0 { 30.0 } else { 1e-6 };
            state.u[row * width..(row + 1) * width].iter_mut().for_each(|x| *x *= factor);
        }
        state.omega = numbers(&mut stream, width, 1.0);
        state.refresh();
        let (before, gram) = (state.weights(), state.gram.clone());
        let done = state.stabilise(&Stability::DEFAULT);
        if 3 * out > width {
            prop_assert_eq!(done, Stabilised::Unfactorised);
        } else {
            prop_assert_eq!(done, Stabilised::Corrected(out));
        }
        assert_close(&state.weights(), &before, 1e-12);
        prop_assert_eq!(&state.gram, &gram);
        prop_assert!(state.drift().inverse < 1e-12);
        prop_assert_eq!(state.stabilise(&Stability::DEFAULT), Stabilised::Untouched);
    }
}

#[test]
fn a_step_that_u_cannot_follow_is_still_exact() {
    for upkeep in UPKEEPS {
        let config = FactoredOutputConfig::new(9, 3)
            .with_member(SphericalMember::SquaredError)
            .with_upkeep(upkeep);
        let weights = numbers(&mut Stream::new(0, "singular", 0), 27, 1.0);
        let mut layer = config.init_with(weights.clone()).unwrap();
        // 2 η ‖h‖² = 1: the step takes all of W along h.
        let hidden = [1.0, -1.0, 0.5];
        let rate = 1.0 / 4.5;
        let expected = dense_step(&config, &weights, &hidden, &[4], 1, rate);
        let own = leaf(&hidden, [1, 3]);
        let loss = layer
            .train(own, Tensor::from_ints([4], &Device::flex()), rate)
            .unwrap();
        assert_close(&read(loss), &[expected.loss], 1e-12);
        assert_close(&layer.weights(), &expected.weights, 1e-12);
        assert_eq!(layer.unfactorisations(), 1, "{upkeep:?}");
        let next = dense_step(&config, &expected.weights, &[0.3, 0.2, 0.1], &[2], 1, 0.1);
        let own = leaf(&[0.3, 0.2, 0.1], [1, 3]);
        layer
            .train(own, Tensor::from_ints([2], &Device::flex()), 0.1)
            .unwrap();
        assert_close(&layer.weights(), &next.weights, 1e-12);
        let drift = layer.drift();
        assert!(
            drift.gram < 1e-14 && drift.row_sum < 1e-14 && drift.inverse < 1e-14,
            "{drift:?}"
        );
    }
}

#[test]
fn a_step_that_is_refused_changes_nothing() {
    let config = FactoredOutputConfig::new(5, 2).with_weight_decay(0.5);
    let mut layer = config.init(1).unwrap();
    let before = layer.state.clone();
    let targets = |of: [i32; 2]| Tensor::<1, Int>::from_ints(of, &Device::flex());
    let hidden = || leaf(&[0.1, 0.2, 0.3, 0.4], [2, 2]);
    let mut message = |hidden, targets, rate| layer.train(hidden, targets, rate).unwrap_err().to_string();
    assert_eq!(
        message(hidden(), targets([0, 5]), 0.1),
        "target 5 of sample 1 is not in 0..5"
    );
    assert!(message(hidden(), targets([0, -1]), 0.1).contains("of sample 1 is not in 0..5"));
    assert!(message(hidden(), targets([0, 1]), -0.1).starts_with("the learning rate is -0.1"));
    assert!(message(hidden(), targets([0, 1]), 2.0).contains("must stay below 1"));
    let broken = leaf(&[0.1, 0.2, f64::NAN, 0.4], [2, 2]);
    assert!(message(broken, targets([0, 1]), 0.1).starts_with("the loss of sample 1 is NaN"));
    let one = Tensor::<1, Int>::from_ints([0], &Device::flex());
    assert!(message(hidden(), one, 0.1).starts_with("1 targets for 2 samples"));
    assert_eq!(layer.state, before);
}

#[test]
fn parameters_out_of_range_are_refused() {
    let good = FactoredOutputConfig::new(5, 2);
    let bad_stability = |stability| good.clone().with_stability(Some(stability));
    for (config, name) in [
        (FactoredOutputConfig::new(1, 2), "classes"),
        (FactoredOutputConfig::new(5, 0), "width"),
        (good.clone().with_weight_decay(-1.0), "weight_decay"),
        (good.clone().with_bias(Some(0.0)), "bias"),
        (
            good.clone()
                .with_member(SphericalMember::ZLoss { a: 0.0, b: 0.0 }),
            "a",
        ),
        (
            bad_stability(Stability {
                period: 0,
                ..Stability::DEFAULT
            }),
            "period",
        ),
        (
            bad_stability(Stability {
                low: 1.5,
                ..Stability::DEFAULT
            }),
            "low",
        ),
        (
            bad_stability(Stability {
                high: 0.5,
                ..Stability::DEFAULT
            }),
            "high",
        ),
        (
            bad_stability(Stability {
                target: 0.0,
                ..Stability::DEFAULT
            }),
            "target",
        ),
    ] {
        assert_eq!(config.init(0).unwrap_err().parameter, name);
    }
}

#[test]
fn ranks_and_best_classes_are_those_of_all_scores() {
    let (classes, width, samples) = (2 * state::BLOCK + 77, 5, 6);
    let config = FactoredOutputConfig::new(classes, width).with_bias(Some(0.1));
    let mut layer = config.init(3).unwrap();
    let mut stream = Stream::new(4, "ranks", 0);
    let hidden = numbers(&mut stream, samples * width, 1.0);
    let targets: Vec<usize> = (0..samples).map(|_| stream.below(classes)).collect();
    let column = || classes_of(&targets, [samples, 1]).reshape([samples]);
    layer
        .train(leaf(&hidden, [samples, width]), column(), 0.5)
        .unwrap();
    let weights = layer.weights();
    let scores: Vec<f64> = hidden
        .chunks(width)
        .flat_map(|h| {
            weights
                .chunks(width + 1)
                .map(move |w| h.iter().chain([&0.1]).zip(w).map(|(h, w)| h * w).sum())
        })
        .collect();
    let expected = crate::classification::Ranks::of_scores(&scores, &targets);
    let hidden = leaf(&hidden, [samples, width]);
    assert_eq!(layer.ranks(hidden.clone(), column()).unwrap(), expected);
    for (best, scores) in layer.top_k(hidden, 9).iter().zip(scores.chunks(classes)) {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let found: Vec<usize> = best.iter().map(|scored| scored.class).collect();
        assert_eq!(found, order[..9]);
        assert!((best[0].score - scores[order[0]]).abs() < 1e-14);
    }
    let equal = FactoredOutputConfig::new(4, 1).init_with(vec![0.0; 4]).unwrap();
    let best = equal.top_k(leaf(&[1.0], [1, 1]), 9);
    assert_eq!(
        best[0].iter().map(|scored| scored.class).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
}

#[test]
fn saved_and_loaded_it_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.safetensors");
    for upkeep in UPKEEPS {
        let config = FactoredOutputConfig::new(30, 4)
            .with_bias(Some(0.5))
            .with_upkeep(upkeep);
        let mut layer = config.init(5).unwrap();
        let mut stream = Stream::new(6, "saved", 0);
        let batches: Vec<_> = (0..6).map(|_| numbers(&mut stream, 12, 1.0)).collect();
        let train = |layer: &mut FactoredOutput, batches: &[Vec<f64>]| {
            for batch in batches {
                let targets = Tensor::<1, Int>::from_ints([1, 17, 29], &Device::flex());
                layer.train(leaf(batch, [3, 4]), targets, 0.3).unwrap();
            }
        };
        train(&mut layer, &batches[..3]);
        layer.save(&path).unwrap();
        let mut loaded = config.load(&path).unwrap();
        assert_eq!(loaded.state, layer.state);
        train(&mut layer, &batches[3..]);
        train(&mut loaded, &batches[3..]);
        assert_eq!(loaded.state, layer.state);
        assert_eq!(loaded.steps(), 6);
    }
    // Saved without an inverse, loaded with one.
    let saved = FactoredOutputConfig::new(30, 4).with_upkeep(InverseUpkeep::Solve);
    saved.init(5).unwrap().save(&path).unwrap();
    let loaded = saved.with_upkeep(InverseUpkeep::Woodbury).load(&path).unwrap();
    assert_eq!(loaded.drift().inverse, 0.0);
}

#[test]
fn files_that_do_not_fit_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.safetensors");
    let config = FactoredOutputConfig::new(30, 4);
    config.init(5).unwrap().save(&path).unwrap();
    let message = |config: &FactoredOutputConfig| config.load(&path).unwrap_err().to_string();
    assert!(message(&FactoredOutputConfig::new(31, 4)).contains("tensor `v` is F64 of shape [30, 4]"));
    assert!(message(&config.clone().with_bias(Some(0.1))).contains("its bias constant is none"));
    let whole = std::fs::read(&path).unwrap();
    for (bytes, reason) in [
        (whole[..whole.len() - 1].to_vec(), "cut short"),
        ([&whole[..], &[0]].concat(), "cut short or has something appended"),
        (whole[..100].to_vec(), "no saved factored output layer"),
        (vec![255; 64], "no saved factored output layer"),
        (vec![], "no saved factored output layer"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(message(&config).contains(reason), "{}", message(&config));
    }
    let mut broken = whole.clone();
    let last = broken.len() - 8;
    broken[last..].copy_from_slice(&f64::NAN.to_le_bytes());
    std::fs::write(&path, broken).unwrap();
    assert!(
        message(&config).contains("holds NaN at index"),
        "{}",
        message(&config)
    );
    std::fs::remove_file(&path).unwrap();
    assert!(message(&config).starts_with("cannot read"));
    let nowhere = folder.path().join("no folder/layer.safetensors");
    let error = config.init(0).unwrap().save(&nowhere).unwrap_err();
    assert!(error.to_string().starts_with("cannot write"));
}
