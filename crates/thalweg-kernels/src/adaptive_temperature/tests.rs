use proptest::prelude::*;

use super::*;
use crate::random::Stream;

fn drawn(count: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "adaptive temperature", 0);
    (0..count).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

/// The formula, pair by pair.
fn plain(network: &PairNetwork<f64>, row: usize, column: usize) -> f64 {
    let (rows, columns) = (network.rows(), network.columns());
    let units = network.output.iter().enumerate();
    let each = units.map(|(unit, weight)| {
        weight * (network.left[unit * rows + row] + network.right[unit * columns + column]).max(0.0)
    });
    network.shift + each.sum::<f64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn logits_are_those_of_the_formula_and_gradients_their_slopes(
        units in 1_usize..11, rows in 1_usize..12, columns in 1_usize..70, seed in 0_u64..1000,
    ) {
        let (left, right) = (drawn(units * rows, seed), drawn(units * columns, seed + 1000));
        let output = drawn(units, seed + 2000);
        let network = PairNetwork { left: &left, right: &right, output: &output, shift: 0.3 };
        let from = seed as usize % rows;
        let mut logits = vec![f64::NAN; (rows - from) * columns];
        network.logits(from..rows, &mut logits);
        for row in from..rows {
            for column in 0..columns {
                let found = logits[(row - from) * columns + column];
                prop_assert!((found - plain(&network, row, column)).abs() < 1e-13);
            }
        }
        let slopes = drawn(logits.len(), seed + 3000);
        let mut found = NetworkGradients::zeros(&network);
        network.add_gradients(from..rows, &slopes, &mut found);
        let mut expected = NetworkGradients::zeros(&network);
        for row in from..rows {
            for column in 0..columns {
                let slope = slopes[(row - from) * columns + column];
                expected.shift += slope;
                for unit in 0..units {
                    let sum = left[unit * rows + row] + right[unit * columns + column];
                    if sum > 0.0 {
                        expected.left[unit * rows + row] += slope * output[unit];
                        expected.right[unit * columns + column] += slope * output[unit];
                        expected.output[unit] += slope * sum;
                    }
                }
            }
        }
        let pairs = [(&found.left, &expected.left), (&found.right, &expected.right), (&found.output, &expected.output)];
        for (found, expected) in pairs {
            for (found, expected) in found.iter().zip(expected) {
                prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
        prop_assert!((found.shift - expected.shift).abs() < 1e-12);
    }

    #[test]
    fn pairs_alone_are_the_diagonal_of_all(units in 1_usize..9, count in 1_usize..40, seed in 0_u64..1000) {
        let (left, right) = (drawn(units * count, seed), drawn(units * count, seed + 1000));
        let output = drawn(units, seed + 2000);
        let network = PairNetwork { left: &left, right: &right, output: &output, shift: -0.2 };
        let mut all = vec![0.0; count * count];
        network.logits(0..count, &mut all);
        let mut own = vec![0.0; count];
        network.paired_logits(&mut own);
        let slopes = drawn(count, seed + 3000);
        let mut whole = vec![0.0; count * count];
        for at in 0..count {
            prop_assert!((own[at] - all[at * (count + 1)]).abs() < 1e-13);
            whole[at * (count + 1)] = slopes[at];
        }
        let mut found = NetworkGradients::zeros(&network);
        network.add_paired_gradients(&slopes, &mut found);
        let mut expected = NetworkGradients::zeros(&network);
        network.add_gradients(0..count, &whole, &mut expected);
        for (a, b) in found.left.iter().chain(&found.right).chain(&found.output)
            .zip(expected.left.iter().chain(&expected.right).chain(&expected.output))
        {
            prop_assert!((a - b).abs() < 1e-12);
        }
    }

    #[test]
    fn softmaxes_are_those_of_the_ratios(count in 1_usize..80, seed in 0_u64..1000, factor in -2.0_f64..2.0) {
        let mut scores = drawn(count, seed);
        let mut temperatures: Vec<f64> = drawn(count, seed + 1000).iter().map(|t| 1.05 + t).collect();
        let ratios: Vec<f64> = scores.iter().zip(&temperatures).map(|(s, t)| s / t).collect();
        let top = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = ratios.iter().map(|ratio| (ratio - top).exp()).sum();
        let mut weights = vec![0.0; count];
        let found = softmax(&scores, &temperatures, &mut weights);
        prop_assert_eq!(found.top, top);
        prop_assert!((found.sum / sum - 1.0).abs() < 1e-13);
        prop_assert!(scores.iter().all(|score| *score <= scores[found.hardest]));
        let (given, of) = (scores.clone(), temperatures.clone());
        softmax_slopes(&mut scores, &mut temperatures, &weights, factor);
        for at in 0..count {
            let weight = factor * (ratios[at] - top).exp();
            prop_assert!((scores[at] - weight / of[at]).abs() < 1e-12 * (1.0 + 1.0 / of[at]));
            let slope = -weight * given[at] / of[at].powi(2);
            prop_assert!((temperatures[at] - slope).abs() < 1e-12 * (1.0 + slope.abs()));
        }
    }

    #[test]
    fn temperatures_stay_within_their_limits(lower in 1e-6_f64..1.0, width in 1e-3_f64..3.0, logit in -50.0_f64..50.0) {
        let limits = Limits { lower, upper: lower + width };
        let [temperature, slope] = limits.at(logit);
        let inside = lower < temperature && temperature < limits.upper;
        prop_assert!(inside || logit.abs() > 30.0);
        prop_assert!((lower..=limits.upper).contains(&temperature));
        let share = 1.0 / (1.0 + (-logit).exp());
        prop_assert!((temperature - lower - width * share).abs() < 1e-14 * (1.0 + temperature));
        prop_assert!((slope - width * share * (1.0 - share)).abs() < 1e-14 * width);
        let single = limits.at(logit as f32)[0];
        prop_assert!(single >= lower as f32 && single <= limits.upper as f32);
    }
}

#[test]
fn limits_are_met_however_large_a_logit_is() {
    let limits = Limits {
        lower: 1e-5,
        upper: 2.0,
    };
    for size in [40.0, 700.0, 1e4, f64::INFINITY] {
        assert_eq!(limits.at(size), [2.0, limits.at(-size)[1]]);
        assert!(limits.at(-size)[0] >= 1e-5 && limits.at(-size)[0] < 1.001e-5);
        assert!(limits.at(size as f32) == [2.0, limits.at(-size as f32)[1]]);
        assert!(limits.at(-size as f32)[0] >= 1e-5_f32);
    }
    assert!(limits.at(f64::NAN)[0].is_nan());
    let (mut logits, mut slopes) = ([0.0_f32, -3.0, 700.0], [f32::NAN; 3]);
    limits.apply(&mut logits, &mut slopes);
    let each = [0.0_f32, -3.0, 700.0].map(|logit| limits.at(logit));
    assert_eq!(logits, each.map(|[temperature, _]| temperature));
    assert_eq!(slopes, each.map(|[_, slope]| slope));
}

#[test]
fn what_is_left_out_does_not_count_and_ties_go_to_the_first() {
    let scores = [0.5_f64, -f64::MAX, 0.7, 0.7];
    let mut weights = [0.0; 4];
    let found = softmax(&scores, &[1.0, 1.0, 0.5, 2.0], &mut weights);
    assert_eq!((found.hardest, found.top, weights[1]), (2, 1.4, 0.0));
    let mut slopes = scores;
    softmax_slopes(&mut slopes, &mut [1.0, 1.0, 0.5, 2.0], &weights, 1.0);
    assert_eq!(slopes[1], 0.0);
}

#[test]
fn what_is_no_number_is_not_hidden() {
    let mut logits = [0.0];
    let network = PairNetwork {
        left: &[f64::NAN],
        right: &[1.0],
        output: &[1.0],
        shift: 0.0,
    };
    network.logits(0..1, &mut logits);
    assert!(logits[0].is_nan());
}

#[test]
fn threads_change_nothing() {
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let single = |count, seed| -> Vec<f32> { drawn(count, seed).iter().map(|&x| x as f32).collect() };
            let (left, right, output) = (single(40 * 21, 0), single(40 * 53, 1), single(40, 2));
            let network = PairNetwork {
                left: &left,
                right: &right,
                output: &output,
                shift: 0.1,
            };
            let mut logits = vec![0.0; 21 * 53];
            network.logits(0..21, &mut logits);
            let mut gradients = NetworkGradients::zeros(&network);
            network.add_gradients(0..21, &logits, &mut gradients);
            (logits, gradients.left, gradients.right, gradients.output)
        })
    };
    assert_eq!(of(1), of(3));
}
