use proptest::prelude::*;

use super::*;
use crate::random::Stream;
use crate::real::Real;

fn vectors<F: Real>(count: usize, width: usize, size: f32, seed: u64) -> Vec<F> {
    let mut drawn = vec![0.0; count * width];
    Stream::new(seed, "in batch", 0).fill_normal(&mut drawn);
    drawn
        .into_iter()
        .map(|x| F::from_f64(f64::from(x * size)))
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Losses, gradients and derivatives by temperature of all anchors by plain loops over all pairs.
#[derive(Default)]
struct Plain {
    losses: [Vec<f64>; 2],
    gradients: [Vec<f64>; 2],
    temperatures: [Vec<f64>; 2],
}

fn plain(
    sides: [&[f64]; 2],
    width: usize,
    anchors: [Option<Anchors>; 2],
    own: Own,
    weights: &[Vec<f64>; 2],
) -> Plain {
    let mut found = Plain {
        gradients: sides.map(|side| vec![0.0; side.len()]),
        ..Plain::default()
    };
    for side in [0, 1] {
        let Some(anchors) = anchors[side] else { continue };
        let candidates: Vec<&[f64]> = sides[1 - side].chunks(width).collect();
        for (i, vector) in sides[side].chunks(width).enumerate() {
            let temperature = anchors.temperatures[i];
            let positive = anchors.positives.unwrap()[i] as usize;
            let counts = |j: usize| own == Own::Counted || j != i || j == positive;
            let scores: Vec<f64> = candidates.iter().map(|other| dot(vector, other)).collect();
            let counted: Vec<usize> = (0..scores.len()).filter(|&j| counts(j)).collect();
            let top = counted
                .iter()
                .map(|&j| scores[j])
                .fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = counted
                .iter()
                .map(|&j| ((scores[j] - top) / temperature).exp())
                .sum();
            found.losses[side].push((top - scores[positive]) / temperature + total.ln());
            let mut by_temperature = 0.0;
            for &j in &counted {
                let share = ((scores[j] - top) / temperature).exp() / total;
                let slope = weights[side][i] * (share - f64::from(u8::from(j == positive))) / temperature;
                by_temperature -= slope * scores[j] / temperature;
                for k in 0..width {
                    found.gradients[side][i * width + k] += slope * candidates[j][k];
                    found.gradients[1 - side][j * width + k] += slope * vector[k];
                }
            }
            found.temperatures[side].push(by_temperature);
        }
    }
    found
}

struct Streamed<F> {
    terms: [Vec<SoftmaxTerm>; 2],
    gradients: [Vec<F>; 2],
}

fn streamed<F: Real>(pairs: &Pairs<F>, width: usize, weights: &[Vec<f64>; 2]) -> Streamed<F> {
    let statistics = softmax_statistics(pairs, width);
    let anchors = match *pairs {
        Pairs::Within { anchors, .. } | Pairs::Across { anchors, .. } => [Some(anchors), None],
        Pairs::Both { anchors, .. } => anchors.map(Some),
    };
    let terms = [0, 1].map(|side| -> Vec<SoftmaxTerm> {
        let temperatures = anchors[side].map_or(&[][..], |anchors| anchors.temperatures);
        statistics[side]
            .iter()
            .zip(temperatures)
            .map(|(s, &t)| s.info_nce(t))
            .collect()
    });
    let slopes = [0, 1].map(|side| {
        let each = terms[side].iter().zip(&weights[side]);
        each.map(|(term, weight)| Slope {
            positive: weight * term.slope.positive,
            others: weight * term.slope.others,
        })
        .collect()
    });
    let gradients = softmax_gradients(pairs, width, &statistics, &slopes);
    Streamed { terms, gradients }
}

fn close(found: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64) -> bool {
    let size = expected.iter().fold(0.0_f64, |size, x| size.max(x.abs()));
    let mut count = 0;
    let near = found.into_iter().zip(expected).all(|(a, b)| {
        count += 1;
        (a - b).abs() <= tolerance * (size + 1.0)
    });
    near && count == expected.len()
}

/// All three ways to pair vectors against plain loops.
fn agrees<F: Real>([n, m]: [usize; 2], width: usize, size: f32, seed: u64, tolerance: f64) {
    let mut stream = Stream::new(seed, "positives", 0);
    let mut draw = |count: usize, candidates: usize| -> (Vec<f64>, Vec<u32>, Vec<f64>) {
        (
            (0..count).map(|_| 0.2 + stream.uniform()).collect(),
            (0..count).map(|_| stream.below(candidates) as u32).collect(),
            (0..count).map(|_| stream.uniform()).collect(),
        )
    };
    let (left, right) = (
        vectors::<F>(n, width, size, 2 * seed),
        vectors::<F>(m, width, size, 2 * seed + 1),
    );
    let wide = |side: &[F]| -> Vec<f64> { side.iter().map(|x| x.to_f64()).collect() };
    let (wide_left, wide_right) = (wide(&left), wide(&right));
    let drawn = [draw(n, m), draw(m, n), draw(n, n)];
    let anchors = [0, 1, 2].map(|at| Anchors {
        temperatures: &drawn[at].0,
        positives: Some(&drawn[at].1),
    });
    let weights = [0, 1, 2].map(|at| drawn[at].2.clone());
    let both = [weights[0].clone(), weights[1].clone()];
    let rows = [weights[0].clone(), Vec::new()];
    let within = [weights[2].clone(), Vec::new()];
    let cases = [
        (
            Pairs::Across {
                queries: &left,
                keys: &right,
                anchors: anchors[0],
                own: Own::Counted,
            },
            [&wide_left, &wide_right],
            [Some(anchors[0]), None],
            Own::Counted,
            &rows,
        ),
        (
            Pairs::Across {
                queries: &left,
                keys: &right,
                anchors: anchors[0],
                own: Own::Excluded,
            },
            [&wide_left, &wide_right],
            [Some(anchors[0]), None],
            Own::Excluded,
            &rows,
        ),
        (
            Pairs::Both {
                sides: [&left, &right],
                anchors: [anchors[0], anchors[1]],
            },
            [&wide_left, &wide_right],
            [Some(anchors[0]), Some(anchors[1])],
            Own::Counted,
            &both,
        ),
        (
            Pairs::Within {
                vectors: &left,
                anchors: anchors[2],
            },
            [&wide_left, &wide_left],
            [Some(anchors[2]), None],
            Own::Excluded,
            &within,
        ),
    ];
    for (pairs, sides, anchors, own, weights) in cases {
        let found = streamed(&pairs, width, weights);
        let mut expected = plain(sides.map(|side| &side[..]), width, anchors, own, weights);
        if matches!(pairs, Pairs::Within { .. }) {
            let [mut sum, more] = expected.gradients;
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            expected.gradients = [sum, Vec::new()];
        }
        for side in [0, 1] {
            let terms = &found.terms[side];
            assert!(
                close(
                    terms.iter().map(|term| term.loss),
                    &expected.losses[side],
                    tolerance
                ),
                "{pairs:?}"
            );
            let by_temperature = terms
                .iter()
                .zip(&weights[side])
                .map(|(term, weight)| weight * term.temperature);
            assert!(
                close(by_temperature, &expected.temperatures[side], tolerance),
                "{pairs:?}"
            );
            let gradient = found.gradients[side].iter().map(|x| x.to_f64());
            assert!(close(gradient, &expected.gradients[side], tolerance), "{pairs:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn streams_agree_with_all_pairs_at_once(n in 1_usize..90, m in 1_usize..90, width in 1_usize..9, seed in 0_u64..1000) {
        agrees::<f64>([n, m], width, 1.0, seed, 1e-12);
        agrees::<f32>([n, m], width, 1.0, seed, 2e-5);
    }
}

#[test]
fn streams_of_many_blocks_agree_with_all_pairs_at_once() {
    agrees::<f64>([700, 300], 7, 1.0, 1, 1e-12);
    agrees::<f64>([130, 520], 3, 1.0, 2, 1e-12);
    agrees::<f32>([600, 601], 16, 0.5, 3, 2e-5);
}

#[test]
fn scores_of_ten_thousand_are_exact() {
    agrees::<f64>([40, 50], 3, 60.0, 4, 1e-11);
    let temperatures = [1.0; 3];
    let anchors = Anchors {
        temperatures: &temperatures,
        positives: Some(&[0, 1, 2]),
    };
    let (queries, keys) = ([100.0_f32, -100.0, 1.0], [100.0_f32, 100.0, -100.0]);
    let pairs = Pairs::Across {
        queries: &queries,
        keys: &keys,
        anchors,
        own: Own::Counted,
    };
    let found = streamed(&pairs, 1, &[vec![1.0; 3], Vec::new()]);
    let losses: Vec<f64> = found.terms[0].iter().map(|term| term.loss).collect();
    assert!((losses[0] - 2.0_f64.ln()).abs() < 1e-7, "{losses:?}");
    assert_eq!(losses[1], 20_000.0);
    assert!((losses[2] - (200.0 + 2.0_f64.ln())).abs() < 1e-5);
    assert!(found.gradients.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn an_anchor_far_ahead_keeps_its_digits() {
    let anchors = Anchors {
        temperatures: &[1.0],
        positives: Some(&[0]),
    };
    let pairs = Pairs::Across {
        queries: &[1.0],
        keys: &[0.0, -50.0],
        anchors,
        own: Own::Counted,
    };
    let found = streamed(&pairs, 1, &[vec![1.0], Vec::new()]);
    let expected = (-50.0_f64).exp();
    assert!((found.terms[0][0].loss / expected - 1.0).abs() < 1e-14);
    assert!((found.gradients[0][0] / (-50.0 * expected) - 1.0).abs() < 1e-14);
}

#[test]
fn one_alone_has_no_loss() {
    let anchors = Anchors {
        temperatures: &[0.1],
        positives: Some(&[0]),
    };
    let pairs = Pairs::Both {
        sides: [&[2.0_f32], &[3.0]],
        anchors: [anchors; 2],
    };
    let found = streamed(&pairs, 1, &[vec![1.0], vec![1.0]]);
    assert_eq!(found.gradients, [[0.0], [0.0]]);
    assert!(found.terms.iter().all(|terms| terms[0].loss == 0.0));
}

#[test]
fn what_is_no_number_is_not_hidden() {
    for place in [0, 100] {
        let mut set = vectors::<f32>(200, 2, 1.0, 0);
        set[place] = f32::NAN;
        let temperatures = [0.5; 200];
        let positives: Vec<u32> = (0..200).map(|i| i ^ 1).collect();
        let anchors = Anchors {
            temperatures: &temperatures,
            positives: Some(&positives),
        };
        let pairs = Pairs::Within {
            vectors: &set,
            anchors,
        };
        let found = streamed(&pairs, 2, &[vec![1.0; 200], Vec::new()]);
        assert!(found.terms[0].iter().all(|term| term.loss.is_nan()));
        assert!(found.gradients[0].iter().all(|x| x.is_nan()));
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (left, right) = (vectors::<f32>(700, 20, 0.3, 0), vectors::<f32>(500, 20, 0.3, 1));
    let temperatures = [vec![0.1; 700], vec![0.2; 500]];
    let positives: [Vec<u32>; 2] = [(0..700).map(|i| i % 500).collect(), (0..500).collect()];
    let anchors = [0, 1].map(|side| Anchors {
        temperatures: &temperatures[side],
        positives: Some(&positives[side]),
    });
    let within: Vec<u32> = (0..700).map(|i| i ^ 1).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let both = Pairs::Both {
                sides: [&left, &right],
                anchors,
            };
            let set = Pairs::Within {
                vectors: &left,
                anchors: Anchors {
                    positives: Some(&within),
                    ..anchors[0]
                },
            };
            let both = streamed(&both, 20, &[vec![0.5; 700], vec![0.25; 500]]);
            let set = streamed(&set, 20, &[vec![0.5; 700], Vec::new()]);
            let sigmoid = sigmoid_loss(
                [&left[..10_000], &right],
                20,
                Sigmoid {
                    scale: 2.0,
                    bias: -1.0,
                },
                0.1,
            );
            (both.terms, both.gradients, set.terms, set.gradients, sigmoid)
        })
    };
    let alone = on(1);
    for threads in [2, 3, 5] {
        assert!(on(threads) == alone, "{threads} threads");
    }
}

#[test]
#[should_panic(expected = "positive 3 of anchor 1 is not in 0..2")]
fn a_positive_that_is_no_candidate_is_told() {
    let anchors = Anchors {
        temperatures: &[1.0; 2],
        positives: Some(&[0, 3]),
    };
    let pairs = Pairs::Across {
        queries: &[1.0, 2.0],
        keys: &[1.0, 2.0],
        anchors,
        own: Own::Counted,
    };
    softmax_statistics(&pairs, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn sigmoids_agree_with_all_pairs_at_once(n in 1_usize..100, width in 1_usize..6, seed in 0_u64..1000, scale in 0.5_f64..10.0, bias in -9.0_f64..2.0) {
        let sides = [vectors::<f64>(n, width, 1.0, seed), vectors::<f64>(n, width, 1.0, seed + 5000)];
        let found = sigmoid_loss([&sides[0], &sides[1]], width, Sigmoid { scale, bias }, 0.25);
        let (mut loss, mut by_scale, mut by_bias) = (0.0, 0.0, 0.0);
        let mut gradients = [vec![0.0; n * width], vec![0.0; n * width]];
        for i in 0..n {
            for j in 0..n {
                let (a, b) = (&sides[0][i * width..][..width], &sides[1][j * width..][..width]);
                let sign = if i == j { 1.0 } else { -1.0 };
                let score = dot(a, b);
                let behind = -sign * (score * scale + bias);
                loss += behind.max(0.0) + (-behind.abs()).exp().ln_1p();
                let slope = -sign / (1.0 + (-behind).exp());
                by_scale += slope * score;
                by_bias += slope;
                for k in 0..width {
                    gradients[0][i * width + k] += 0.25 * slope * scale * b[k];
                    gradients[1][j * width + k] += 0.25 * slope * scale * a[k];
                }
            }
        }
        prop_assert!(close([found.loss, found.sigmoid.scale, found.sigmoid.bias], &[loss, by_scale, by_bias].map(|x| 0.25 * x), 1e-12));
        for side in [0, 1] {
            prop_assert!(close(found.gradients[side].iter().copied(), &gradients[side], 1e-12));
        }
        let narrow = sides.each_ref().map(|side| side.iter().map(|&x| x as f32).collect::<Vec<_>>());
        let narrow = sigmoid_loss([&narrow[0], &narrow[1]], width, Sigmoid { scale, bias }, 0.25);
        prop_assert!((narrow.loss - found.loss).abs() <= 1e-5 * (1.0 + found.loss.abs()));
        for side in [0, 1] {
            prop_assert!(close(narrow.gradients[side].iter().map(|&x| f64::from(x)), &gradients[side], 2e-5));
        }
    }

    #[test]
    fn class_positives_agree_with_all_pairs(n in 1_usize..40, width in 1_usize..5, classes in 1_usize..6, seed in 0_u64..1000) {
        let set = vectors::<f64>(n, width, 1.0, seed);
        let mut stream = Stream::new(seed, "labels", 0);
        let labels: Vec<u32> = (0..n).map(|_| stream.below(classes) as u32).collect();
        let slopes: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
        let positives = ClassPositives::new(&labels, classes);
        let means = positives.mean_scores(&set, &set, width);
        let mut found = vec![0.0; set.len()];
        positives.add_by_queries(&set, width, &slopes, &mut found);
        positives.add_by_keys(&set, width, &slopes, &mut found);
        let mut gradient = vec![0.0; set.len()];
        for i in 0..n {
            let same: Vec<usize> = (0..n).filter(|&j| j != i && labels[j] == labels[i]).collect();
            prop_assert_eq!(same.len(), positives.count(i));
            let share = 1.0 / same.len().max(1) as f64;
            let mean: f64 = same.iter().map(|&j| share * dot(&set[i * width..][..width], &set[j * width..][..width])).sum();
            prop_assert!((mean - means[i]).abs() < 1e-12);
            for &j in &same {
                for k in 0..width {
                    gradient[i * width + k] += slopes[i] * share * set[j * width + k];
                    gradient[j * width + k] += slopes[i] * share * set[i * width + k];
                }
            }
        }
        prop_assert!(close(found, &gradient, 1e-12));
    }
}
