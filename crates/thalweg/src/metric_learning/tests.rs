mod batch;

use burn::tensor::{DType, Device, Int, Tensor};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use self::batch::*;
use super::*;
use crate::Reduction;
use crate::classification::rowwise::tests::{central_differences, value_and_gradient};
use crate::objective::{EmbeddedViews, Progress, ViewObjective};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn triplets_are_those_of_the_definition(count in 1_usize..14, width in 2_usize..5, seed in 0_u64..10_000) {
        let batch = Batch::random(count, width, seed);
        for similarity in DISTANCES {
            for mining in MININGS {
                let cost = |&[a, p, n]: &[usize; 3]| {
                    let d = |j| batch.distance(similarity, a, j);
                    (d(p) - d(n) + 0.2).max(0.0)
                };
                let costs: Vec<f64> = batch.triplets(mining, similarity).iter().map(cost).collect();
                for over in [MeanOver::NonZero, MeanOver::All] {
                    let found = number(&triplet(mining, similarity, over, Reduction::Mean), &batch);
                    assert_close(found, mean(&costs, over));
                }
                let found = number(&triplet(mining, similarity, MeanOver::All, Reduction::Sum), &batch);
                assert_close(found, costs.iter().sum());
            }
        }
    }

    #[test]
    fn pairs_are_those_of_the_definition(count in 1_usize..14, seed in 0_u64..10_000) {
        let batch = Batch::random(count, 3, seed);
        for similarity in DISTANCES {
            for over in [MeanOver::NonZero, MeanOver::All] {
                for (hinge, power, factor) in [(Hinge::Linear, 1, 1.0), (Hinge::Squared, 2, 0.5)] {
                    let (mut alike, mut unlike) = (Vec::new(), Vec::new());
                    for i in 0..count {
                        for j in i + 1..count {
                            let distance = batch.distance(similarity, i, j);
                            let cost = |excess: f64| factor * excess.max(0.0).powi(power);
                            if batch.labels[i] == batch.labels[j] {
                                alike.push(cost(distance - 0.3));
                            } else {
                                unlike.push(cost(1.0 - distance));
                            }
                        }
                    }
                    let found = number(&pair(hinge, similarity, over, Reduction::Mean), &batch);
                    assert_close(found, mean(&alike, over) + mean(&unlike, over));
                }
            }
        }
    }

    #[test]
    fn multi_similarity_mines_and_weighs_as_defined(count in 1_usize..12, seed in 0_u64..10_000, epsilon in -0.5_f64..0.5) {
        let batch = Batch::random(count, 3, seed);
        for mining in [PairMining::None, PairMining::Within { epsilon }] {
            let of_anchor = |a: usize| {
                let s = |j| 1.0 - batch.distance(Similarity::Cosine, a, j);
                let (positives, negatives) = (batch.others(a, true), batch.others(a, false));
                let kept = |j: usize, others: &[usize], sign: f64| match mining {
                    PairMining::None => true,
                    PairMining::Within { epsilon } => others.iter().any(|&k| sign * (s(k) - s(j)) > -epsilon),
                };
                let side = |own: &[usize], others: &[usize], scale: f64, sign: f64| {
                    let each = own.iter().filter(|&&j| kept(j, others, sign));
                    each.map(|&j| (-sign * scale * (s(j) - 0.5)).exp()).sum::<f64>().ln_1p() / scale
                };
                side(&positives, &negatives, 2.0, 1.0) + side(&negatives, &positives, 8.0, -1.0)
            };
            let expected = (0..count).map(of_anchor).sum::<f64>() / count as f64;
            assert_close(number(&multi_similarity(mining, Reduction::Mean), &batch), expected);
        }
    }

    #[test]
    fn order_of_the_batch_does_not_matter(count in 1_usize..12, seed in 0_u64..10_000) {
        let batch = Batch::random(count, 3, seed);
        let mut places: Vec<usize> = (0..count).collect();
        let mut stream = Stream::new(seed, "places", 0);
        for at in (1..count).rev() {
            places.swap(at, (stream.uniform() * (at + 1) as f64) as usize);
        }
        for loss in of_all_embeddings(Reduction::Mean) {
            let (value, gradient) = with_gradient(&loss, &batch, DType::F64);
            let (again, moved) = with_gradient(&loss, &batch.reordered(&places), DType::F64);
            assert_close(again, value);
            for (slopes, &place) in moved.chunks(3).zip(&places) {
                for (a, b) in slopes.iter().zip(&gradient[3 * place..]) {
                    prop_assert!((a - b).abs() < 1e-9, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_rotation_changes_nothing(count in 1_usize..12, seed in 0_u64..10_000, angle in 0.0_f64..6.3) {
        let batch = Batch::random(count, 3, seed);
        let (sin, cos) = angle.sin_cos();
        let turned = |row: &Vec<f64>| vec![cos * row[0] - sin * row[1], sin * row[0] + cos * row[1], row[2]];
        let turned = Batch { rows: batch.rows.iter().map(turned).collect(), ..batch.clone() };
        for loss in every_loss() {
            assert_close(number(&loss, &turned), number(&loss, &batch));
        }
    }

    #[test]
    fn without_reduction_there_is_a_term_for_each_embedding(count in 1_usize..12, seed in 0_u64..10_000) {
        let batch = Batch::random(count, 3, seed);
        let both = of_all_embeddings(Reduction::None).into_iter().zip(of_all_embeddings(Reduction::Sum));
        for (each, sum) in both {
            let (values, gradient) = value_and_gradient(&batch.tensor(DType::F64), |x| each(x, batch.labels()));
            prop_assert_eq!(values.len(), count);
            let (total, slopes) = with_gradient(&sum, &batch, DType::F64);
            assert_close(values.iter().sum(), total);
            for (a, b) in gradient.iter().zip(slopes) {
                prop_assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} {b}");
            }
        }
    }
}

/// Seeds are fixed: close to where the mined pairs change, a difference has no slope to show.
#[test]
fn gradients_are_slopes() {
    for seed in 0..4 {
        let batch = Batch::random(9, 3, seed);
        for (at, loss) in every_loss().into_iter().enumerate().skip(1) {
            let (_, gradient) = with_gradient(&loss, &batch, DType::F64);
            let numeric = central_differences(&batch.tensor(DType::F64), |x| loss(x, batch.labels()));
            for (a, b) in gradient.iter().zip(&numeric) {
                assert!((a - b).abs() < 1e-7, "seed {seed}, loss {at}: {a} {b}");
            }
        }
    }
}

/// The weights of the circle loss are constants of its gradient.
#[test]
fn the_circle_loss_has_the_slope_of_frozen_weights() {
    let batch = Batch::random(8, 3, 5);
    let cosine = |of: &Batch, i, j| 1.0 - of.distance(Similarity::Cosine, i, j);
    let (margin, gamma) = (0.4, 5.0);
    let frozen = |moved: &Batch| {
        let mut losses = Vec::new();
        for a in 0..8 {
            let (positives, negatives) = (batch.others(a, true), batch.others(a, false));
            if positives.is_empty() || negatives.is_empty() {
                continue;
            }
            let pull = positives.iter().map(|&p| {
                let weight = (1.0 + margin - cosine(&batch, a, p)).max(0.0);
                (-gamma * weight * (cosine(moved, a, p) - 1.0 + margin)).exp()
            });
            let push = negatives.iter().map(|&n| {
                let weight = (cosine(&batch, a, n) + margin).max(0.0);
                (gamma * weight * (cosine(moved, a, n) - margin)).exp()
            });
            losses.push((pull.sum::<f64>() * push.sum::<f64>()).ln_1p());
        }
        mean(&losses, MeanOver::All)
    };
    let (value, gradient) = with_gradient(&circle(Reduction::Mean), &batch, DType::F64);
    assert_close(value, frozen(&batch));
    for (at, slope) in gradient.iter().enumerate() {
        let moved = |step: f64| {
            let mut moved = batch.clone();
            moved.rows[at / 3][at % 3] += step;
            frozen(&moved)
        };
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((slope - numeric).abs() < 1e-8, "{slope} {numeric}");
    }
}

#[test]
fn where_nothing_is_to_be_learned_the_gradient_is_zero() {
    let alone = Batch::random(1, 3, 0);
    let strangers = Batch {
        labels: (0..6).collect(),
        ..Batch::random(6, 3, 1)
    };
    let siblings = Batch {
        labels: vec![4; 6],
        ..Batch::random(6, 3, 2)
    };
    let zero = |loss: &Forward, batch: &Batch| {
        let (value, gradient) = with_gradient(loss, batch, DType::F64);
        assert_eq!(value, 0.0);
        assert!(gradient.iter().all(|slope| *slope == 0.0), "{gradient:?}");
    };
    for loss in every_loss() {
        zero(&loss, &alone);
    }
    let mut of_both_kinds = vec![
        circle(Reduction::Mean),
        multi_similarity(PairMining::Within { epsilon: 0.1 }, Reduction::Mean),
    ];
    of_both_kinds.extend(
        MININGS.map(|mining| triplet(mining, Similarity::Euclidean, MeanOver::NonZero, Reduction::Mean)),
    );
    for loss in of_both_kinds {
        zero(&loss, &strangers);
        zero(&loss, &siblings);
    }
    zero(&n_pairs(Similarity::Dot), &strangers);
}

#[test]
fn what_is_no_number_is_not_hidden() {
    let mut batch = Batch::random(7, 3, 3);
    batch.labels = vec![0, 0, 0, 1, 1, 1, 2];
    batch.rows[1][2] = f64::NAN;
    for loss in every_loss() {
        assert!(number(&loss, &batch).is_nan());
    }
    // Also where there is no triplet.
    batch.labels = vec![0; 7];
    for loss in of_all_embeddings(Reduction::Mean) {
        assert!(number(&loss, &batch).is_nan());
    }
}

#[test]
fn single_precision_is_close_and_far_embeddings_stay_finite() {
    let batch = Batch::random(40, 6, 4);
    let far = Batch {
        rows: batch
            .rows
            .iter()
            .map(|row| row.iter().map(|x| x * 1e4).collect())
            .collect(),
        ..batch.clone()
    };
    for loss in every_loss() {
        let (value, gradient) = with_gradient(&loss, &batch, DType::F32);
        let (expected, slopes) = with_gradient(&loss, &batch, DType::F64);
        assert!(
            (value - expected).abs() < 1e-5 * (1.0 + expected),
            "{value} {expected}"
        );
        for (a, b) in gradient.iter().zip(slopes) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
        }
        let (value, gradient) = with_gradient(&loss, &far, DType::F32);
        assert!(value.is_finite() && gradient.iter().all(|slope| slope.is_finite()));
    }
}

/// Four equal embeddings of two classes: all distances are 0, nothing pulls anywhere, every triplet costs the margin.
#[test]
fn equal_embeddings_cost_the_margin() {
    let batch = Batch {
        rows: vec![vec![0.1, -3.0]; 4],
        labels: vec![0, 0, 1, 1],
    };
    for similarity in [
        Similarity::Euclidean,
        Similarity::SquaredEuclidean,
        Similarity::Chord,
    ] {
        for (mining, expected) in [(Mining::All, 0.2), (Mining::Hard, 0.2), (Mining::SemiHard, 0.0)] {
            let loss = triplet(mining, similarity, MeanOver::NonZero, Reduction::Mean);
            let (value, gradient) = with_gradient(&loss, &batch, DType::F64);
            assert_close(value, expected);
            assert_eq!(gradient, [0.0; 8]);
        }
    }
}

#[test]
fn views_are_embeddings_with_the_label_of_their_sample() {
    let [first, second] = [1, 2].map(|seed| Batch::random(5, 3, seed).tensor(DType::F64));
    let labels = Tensor::<1, Int>::from_ints([0, 1, 0, 2, 1], &Device::flex());
    let all = Tensor::cat(vec![first.clone(), second.clone()], 0);
    let labels_of_all = Tensor::cat(vec![labels.clone(), labels.clone()], 0);
    let views = EmbeddedViews {
        targets: None,
        embeddings: vec![first, second],
        ids: (0..5).collect(),
        labels: Some(labels),
    };
    let progress = Progress {
        epoch: 0,
        epochs: 1,
        step: 0,
        steps: 1,
    };
    macro_rules! same {
        ($config:expr) => {{
            let mut objective = $config.init().unwrap();
            let loss = objective.forward(all.clone(), labels_of_all.clone());
            let of_views = objective.loss(&views, &progress, &mut Stream::new(0, "", 0));
            assert_eq!(of_views.into_scalar::<f64>(), loss.into_scalar::<f64>());
        }};
    }
    same!(TripletMarginLossConfig::new());
    same!(ContrastivePairLossConfig::new());
    same!(CircleLossConfig::new());
    same!(MultiSimilarityLossConfig::new());
    same!(NPairsLossConfig::new());
}

#[test]
fn settings_out_of_range_are_named() {
    macro_rules! refused {
        ($config:expr) => {
            $config.init().unwrap_err().parameter
        };
    }
    assert_eq!(
        refused!(TripletMarginLossConfig::new().with_margin(-0.1)),
        "margin"
    );
    assert_eq!(
        refused!(ContrastivePairLossConfig::new().with_negative_margin(f64::INFINITY)),
        "negative_margin"
    );
    assert_eq!(refused!(CircleLossConfig::new().with_margin(1.0)), "margin");
    assert_eq!(refused!(CircleLossConfig::new().with_gamma(0.0)), "gamma");
    assert_eq!(
        refused!(MultiSimilarityLossConfig::new().with_beta(f64::NAN)),
        "beta"
    );
    let endless = PairMining::Within {
        epsilon: f64::INFINITY,
    };
    assert_eq!(
        refused!(MultiSimilarityLossConfig::new().with_mining(endless)),
        "epsilon"
    );
    assert_eq!(
        refused!(NPairsLossConfig::new().with_regularization(-1.0)),
        "regularization"
    );
}
