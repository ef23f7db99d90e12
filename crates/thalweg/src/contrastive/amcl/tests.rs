use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::embeddings::Meeting;
use super::*;
use crate::classification::rowwise::tests::central_differences;
use crate::contrastive::in_batch::tests::{all_gradients, assert_near, embeddings, number};
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

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

/// Pairs of heads, anchors and negatives: similarities and temperatures.
#[derive(Clone, Debug)]
struct Given {
    sizes: [usize; 3],
    positive: Vec<f64>,
    negative: Vec<f64>,
    positive_temperature: Vec<f64>,
    negative_temperature: Vec<f64>,
}

impl Given {
    fn value(&self, config: &AmclLossConfig, width: f64) -> f64 {
        number(config.init().unwrap().of_pairs(&self.pairs(), width))
    }

    fn pairs(&self) -> TemperedPairs {
        let [heads, anchors, negatives] = self.sizes;
        let of_positive = |values: &Vec<f64>| leaf(values.clone(), [heads, anchors], DType::F64);
        let of_negative = |values: &Vec<f64>| leaf(values.clone(), [heads, anchors, negatives], DType::F64);
        TemperedPairs {
            positive_similarity: of_positive(&self.positive),
            negative_similarity: of_negative(&self.negative),
            positive_temperature: of_positive(&self.positive_temperature),
            negative_temperature: of_negative(&self.negative_temperature),
        }
    }

    /// All of it `times` over, as further heads.
    fn repeated(&self, times: usize) -> Self {
        let [heads, anchors, negatives] = self.sizes;
        Self {
            sizes: [times * heads, anchors, negatives],
            positive: self.positive.repeat(times),
            negative: self.negative.repeat(times),
            positive_temperature: self.positive_temperature.repeat(times),
            negative_temperature: self.negative_temperature.repeat(times),
        }
    }
}

fn given() -> impl Strategy<Value = Given> {
    (1_usize..4, 1_usize..5, 1_usize..7, 0_u64..1000).prop_map(|(heads, anchors, negatives, seed)| {
        let temperatures = |count, seed| drawn(count, seed).into_iter().map(|x| 0.55 + 0.45 * x).collect();
        let (rows, all) = (heads * anchors, heads * anchors * negatives);
        Given {
            sizes: [heads, anchors, negatives],
            positive: drawn(rows, seed),
            negative: drawn(all, seed + 1000),
            positive_temperature: temperatures(rows, seed + 2000),
            negative_temperature: temperatures(all, seed + 3000),
        }
    })
}

fn log_sum_exp(candidates: Candidates) -> AmclLossConfig {
    AmclLossConfig::new()
        .with_aggregate(Aggregate::LogSumExp)
        .with_candidates(candidates)
}

fn configs() -> impl Strategy<Value = AmclLossConfig> {
    let aggregate = prop_oneof![Just(Aggregate::Max), Just(Aggregate::LogSumExp)];
    let candidates = prop_oneof![Just(Candidates::Negatives), Just(Candidates::WithPositive)];
    (aggregate, candidates, 0.0_f64..1.0).prop_map(|(aggregate, candidates, beta)| {
        let config = AmclLossConfig::new().with_aggregate(aggregate);
        config.with_candidates(candidates).with_beta(beta)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn at_one_temperature_without_regulariser_it_is_the_ordinary_loss(given in given(), temperature in 0.05_f64..2.0) {
        let mut given = given;
        given.positive_temperature.fill(temperature);
        given.negative_temperature.fill(temperature);
        let [_, anchors, negatives] = given.sizes;
        let rows = given.positive.iter().zip(given.negative.chunks(negatives));
        let plain = |with_positive: f64| {
            let each = rows.clone().map(|(positive, row)| {
                let sum: f64 = row.iter().map(|s| (s / temperature).exp()).sum();
                (sum + with_positive * (positive / temperature).exp()).ln() - positive / temperature
            });
            each.sum::<f64>() / anchors as f64
        };
        for (candidates, own) in [(Candidates::WithPositive, 1.0), (Candidates::Negatives, 0.0)] {
            let found = given.value(&log_sum_exp(candidates).with_beta(0.0), 8.0);
            prop_assert!((found - plain(own)).abs() < 1e-12 * (1.0 + found.abs()));
        }
    }

    #[test]
    fn heads_are_summed_and_order_does_not_matter(given in given(), config in configs(), times in 1_usize..4) {
        let value = given.value(&config, 8.0);
        let repeated = given.repeated(times).value(&config, 8.0);
        prop_assert!((repeated - times as f64 * value).abs() < 1e-12 * (1.0 + repeated.abs()));
        // Reversed: the heads, anchors and negatives all at once.
        let mut other = given.clone();
        for values in [&mut other.positive, &mut other.negative, &mut other.positive_temperature, &mut other.negative_temperature] {
            values.reverse();
        }
        prop_assert!((other.value(&config, 8.0) - value).abs() < 1e-12 * (1.0 + value.abs()));
    }

    #[test]
    fn temperatures_are_absolute(given in given(), config in configs(), factor in 1.2_f64..3.0) {
        let mut scaled = given.clone();
        for values in [&mut scaled.positive_temperature, &mut scaled.negative_temperature, &mut scaled.positive, &mut scaled.negative] {
            values.iter_mut().for_each(|value| *value *= factor);
        }
        // Ratios are the same, regularisers are not: unless those of positive and hardest negative change alike.
        let without = config.with_beta(0.0);
        let (a, b) = (given.value(&without, 8.0), scaled.value(&without, 8.0));
        prop_assert!((a - b).abs() < 1e-11 * (1.0 + a.abs()));
        let mut hotter = given.clone();
        hotter.positive_temperature.iter_mut().for_each(|value| *value *= factor);
        hotter.negative_temperature.iter_mut().for_each(|value| *value *= factor);
        let (a, b) = (given.value(&without, 8.0), hotter.value(&without, 8.0));
        prop_assert!((a - b).abs() > 1e-9 || a == 0.0);
    }

    #[test]
    fn slopes_of_the_hardest_are_those_of_the_paper(given in given(), beta in 0.0_f64..1.0) {
        let config = AmclLossConfig::new().with_beta(beta);
        let (pairs, width) = (given.pairs(), 8.0);
        let gradients = config.init().unwrap().of_pairs(&pairs, width).backward();
        let floats = |data: TensorData| data.try_into_vec_as::<f64>().unwrap();
        let by_positive = floats(pairs.positive_similarity.grad(&gradients).unwrap().into_data());
        let by_positive_temperature = floats(pairs.positive_temperature.grad(&gradients).unwrap().into_data());
        let by_negative = floats(pairs.negative_similarity.grad(&gradients).unwrap().into_data());
        let by_negative_temperature = floats(pairs.negative_temperature.grad(&gradients).unwrap().into_data());
        let [_, anchors, negatives] = given.sizes;
        let scale = 1.0 / anchors as f64;
        let near = |a: f64, b: f64| (a - scale * b).abs() < 1e-12 * (1.0 + b.abs());
        for (row, (&s, &t)) in given.positive.iter().zip(&given.positive_temperature).enumerate() {
            prop_assert!(near(by_positive[row], -1.0 / t));
            prop_assert!(near(by_positive_temperature[row], s / (t * t) + beta * (width / (2.0 * t) - 1.0 / (t * t))));
            let all = &given.negative[row * negatives..][..negatives];
            for (at, &s) in all.iter().enumerate() {
                let t = given.negative_temperature[row * negatives + at];
                let is_hardest = all.iter().all(|other| *other <= s);
                let expected = if is_hardest {
                    [1.0 / t, -s / (t * t) - beta * (width / (2.0 * t) - 1.0 / (t * t))]
                } else {
                    [0.0, 0.0]
                };
                prop_assert!(near(by_negative[row * negatives + at], expected[0]));
                prop_assert!(near(by_negative_temperature[row * negatives + at], expected[1]));
            }
        }
    }

    #[test]
    fn slopes_of_all_are_differences(given in given(), config in configs()) {
        let pairs = given.pairs();
        let gradients = config.init().unwrap().of_pairs(&pairs, 8.0).backward();
        let floats = |data: TensorData| data.try_into_vec_as::<f64>().unwrap();
        let found = [
            floats(pairs.negative_similarity.grad(&gradients).unwrap().into_data()),
            floats(pairs.negative_temperature.grad(&gradients).unwrap().into_data()),
        ];
        for (which, found) in found.iter().enumerate() {
            for (at, found) in found.iter().enumerate() {
                let beside = |step: f64| {
                    let mut moved = given.clone();
                    [&mut moved.negative, &mut moved.negative_temperature][which][at] += step;
                    moved.value(&config, 8.0)
                };
                let slope = (beside(1e-7) - beside(-1e-7)) / 2e-7;
                prop_assert!((slope - found).abs() < 1e-4 * (1.0 + slope.abs()), "{slope} {found}");
            }
        }
    }

    #[test]
    fn siamese_and_twins_are_the_ordinary_ones_at_temperature_one(features in 2_usize..5, seed in 0_u64..500) {
        let shape = [1, features];
        let sims = [0, 1].map(|side| leaf(drawn(features, seed + side), shape, DType::F64));
        let ones = || leaf(vec![1.0; features], shape, DType::F64);
        let expected: f64 = sims.iter().map(|sim| sim.clone().mean().into_scalar::<f64>()).sum();
        let siamese = AmclSimSiamLoss::new(0.0).unwrap().forward(sims, [ones(), ones()], 8.0);
        prop_assert!((number(siamese) + 0.5 * expected).abs() < 1e-13);

        let views = [2, 3].map(|side| leaf(drawn(9 * features, seed + side), [9, features], DType::F64));
        let [a, b] = views.clone();
        let correlations = cross_correlation(a, b).unsqueeze::<3>();
        let between = leaf(vec![1.0; features * features], [1, features, features], DType::F64);
        let twins = AmclBarlowTwinsLoss::new(0.005, 0.0).unwrap();
        let found = number(twins.forward(correlations, ones(), between, 8.0));
        let [a, b] = views;
        let plain = crate::self_supervised::BarlowTwinsLossConfig::new().with_redundancy(0.005);
        let expected = number(plain.init().unwrap().forward(a, b));
        // That one adds 1e-5 to variances.
        prop_assert!((found - expected).abs() < 1e-2 * (1.0 + expected), "{found} {expected}");
    }
}

#[test]
fn the_hardest_is_the_most_similar_and_the_first_of_several() {
    // By s/τ it would be the first; of the second and third, which tie, the second.
    let given = Given {
        sizes: [1, 1, 3],
        positive: vec![0.2],
        negative: vec![0.5, 0.6, 0.6],
        positive_temperature: vec![1.0],
        negative_temperature: vec![0.1, 1.0, 0.5],
    };
    let config = AmclLossConfig::new().with_beta(0.0);
    assert!((given.value(&config, 8.0) - 0.4).abs() < 1e-15);
    let pairs = given.pairs();
    let gradients = config.init().unwrap().of_pairs(&pairs, 8.0).backward();
    let slopes = pairs.negative_similarity.grad(&gradients).unwrap();
    assert_eq!(
        slopes.into_data().try_into_vec_as::<f64>().unwrap(),
        [0.0, 1.0, 0.0]
    );
    // With the positive among the candidates a tie is the negative's, and beyond it nothing is left of the loss.
    let with_positive = config.with_candidates(Candidates::WithPositive).with_beta(0.1);
    let at = |positive: f64| Given {
        positive: vec![positive],
        ..given.clone()
    };
    assert_eq!(at(0.61).value(&with_positive, 8.0), 0.0);
    assert!(
        at(0.6)
            .value(&config.with_candidates(Candidates::WithPositive), 8.0)
            .abs()
            < 1e-15
    );
}

#[test]
fn the_negative_part_has_no_lower_bound_but_the_limit() {
    let at = |temperature: f64| {
        let given = Given {
            sizes: [1, 1, 1],
            positive: vec![0.5],
            negative: vec![0.0],
            positive_temperature: vec![1.0],
            negative_temperature: vec![temperature],
        };
        given.value(&AmclLossConfig::new(), 128.0)
    };
    assert!(at(1e-5) < -9_900.0 && at(1e-5) > -10_000.0, "{}", at(1e-5));
    assert!(at(1e-3) > at(1e-4) && at(1e-4) > at(1e-5));
}

fn views(heads: usize) -> EmbeddedViews {
    let [first, second] = embeddings([6, 6], 4 * heads, 1.0, 3, DType::F32);
    EmbeddedViews {
        embeddings: vec![first, second],
        ids: (0..6).collect(),
        labels: None,
    }
}

const PROGRESS: Progress = Progress {
    epoch: 0,
    epochs: 1,
    step: 0,
    steps: 1,
};

/// Losses of so many steps of the objective's own parameters, the embeddings staying as they are.
fn own_steps(objective: &mut dyn ViewObjective, steps: usize) -> Vec<f64> {
    let (views, mut random) = (views(2), Stream::new(0, "amcl objective", 0));
    let mut step = || {
        let loss = objective.loss(&views, &PROGRESS, &mut random);
        let value = number(loss.clone());
        objective.learn(&mut loss.backward(), 1e-2);
        value
    };
    (0..steps).map(|_| step()).collect()
}

#[test]
fn networks_of_their_own_are_stepped() {
    let mut objectives: [Box<dyn ViewObjective>; 3] = [
        Box::new(AmclConfig::new().with_heads(2).init().unwrap()),
        Box::new(AmclSimSiamConfig::new().with_heads(2).init().unwrap()),
        Box::new(AmclBarlowTwinsConfig::new().with_heads(2).init().unwrap()),
    ];
    for objective in &mut objectives {
        let losses = own_steps(objective.as_mut(), 30);
        assert!(losses[29] < losses[0] - 0.01, "{losses:?}");
    }
}

#[test]
fn a_trainer_is_told_when_temperatures_sit_on_the_lower_limit() {
    let mut free = AmclConfig::new().with_heads(2).init().unwrap();
    own_steps(&mut free, 1);
    assert_eq!((free.on_lower_limit(), free.warning()), (0.0, None));
    // Weight 1 of the regulariser draws temperatures of negatives down without end.
    let config = AmclConfig::new().with_heads(2);
    let config = config.with_loss(AmclLossConfig::new().with_beta(1.0));
    let mut drawn_down = config.init().unwrap();
    let losses = own_steps(&mut drawn_down, 300);
    assert!(
        drawn_down.on_lower_limit() > 0.5,
        "{}",
        drawn_down.on_lower_limit()
    );
    assert!(losses[299] < -100.0, "{}", losses[299]);
    let warning = drawn_down.warning().unwrap();
    assert!(warning.contains("lower limit 0.00001 for"), "{warning}");
}

#[test]
fn what_makes_no_objective_is_refused() {
    let narrow = AdaptiveTemperatureConfig::new().with_hidden(0);
    assert!(AmclConfig::new().with_heads(0).init().is_err());
    assert!(AmclConfig::new().with_temperature(narrow).init().is_err());
    assert!(
        AmclConfig::new()
            .with_loss(AmclLossConfig::new().with_beta(-0.1))
            .init()
            .is_err()
    );
    assert!(AmclSimSiamConfig::new().with_predictor(0).init().is_err());
    assert!(
        AmclBarlowTwinsConfig::new()
            .with_redundancy(f64::NAN)
            .init()
            .is_err()
    );
}

#[test]
#[should_panic(expected = "embeddings of 8 numbers are not those of 3 heads")]
fn embeddings_of_other_heads_are_refused() {
    let mut objective = AmclConfig::new().init().unwrap();
    objective.loss(&views(2), &PROGRESS, &mut Stream::new(0, "", 0));
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
