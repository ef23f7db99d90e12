//! The losses of given pairs, and the exact statements about them.

use burn::tensor::TensorData;
use proptest::prelude::*;

use super::*;
use crate::contrastive::in_batch::tests::number;

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
