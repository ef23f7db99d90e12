//! What the paper says exactly, and gradients against differences.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;
use crate::classification::rowwise::tests::central_differences;
use crate::objective::{EmbeddedEpisode, EpisodeObjective, EpisodeShape};

const ALL: [EpisodeTerm; 5] = [
    EpisodeTerm::Cross,
    EpisodeTerm::ProtoTriplet,
    EpisodeTerm::SupportIcnn,
    EpisodeTerm::QueryIcnn,
    EpisodeTerm::FullIcnn,
];

fn matrix(values: Vec<f64>, width: usize, dtype: DType) -> Tensor<2> {
    let shape = [values.len() / width, width];
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
}

fn random(rows: usize, width: usize, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0_f32; rows * width];
    Stream::new(seed, "points", 0).fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

fn labels(labels: &[i64]) -> Tensor<1, Int> {
    Tensor::from_ints(labels, &Device::flex())
}

fn number(value: Tensor<1>) -> f64 {
    value.into_scalar::<f64>()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_into_vec_as::<f64>().unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + b.abs())
}

const SHAPE: EpisodeShape = EpisodeShape {
    ways: 3,
    shots: 3,
    queries: 2,
};
const WIDTH: usize = 4;

/// Support and queries with some order in them: each class around a random place.
fn points(seed: u64) -> [Vec<f64>; 2] {
    let places = random(SHAPE.ways, WIDTH, seed);
    let around = |each: usize, stream: u64| {
        let noise = random(SHAPE.ways * each, WIDTH, stream);
        let at = |(index, noise): (usize, f64)| {
            let (row, column) = (index / WIDTH, index % WIDTH);
            places[row / each * WIDTH + column] + noise
        };
        noise.into_iter().enumerate().map(at).collect()
    };
    [
        around(SHAPE.shots, seed ^ 0x1000),
        around(SHAPE.queries, seed ^ 0x2000),
    ]
}

fn episode([support, query]: [Tensor<2>; 2]) -> EmbeddedEpisode {
    EmbeddedEpisode {
        support,
        query,
        query_labels: labels(&[0, 0, 1, 1, 2, 2]),
        ways: SHAPE.ways,
        shots: SHAPE.shots,
    }
}

fn episode_of(points: [Vec<f64>; 2], dtype: DType) -> EmbeddedEpisode {
    episode(points.map(|values| matrix(values, WIDTH, dtype)))
}

fn term(term: EpisodeTerm) -> FewShotLoss {
    FewShotLossConfig::new(vec![term]).init().unwrap()
}

/// Each term, and those with options.
fn losses() -> Vec<FewShotLoss> {
    let mut losses: Vec<FewShotLoss> = ALL.map(term).into();
    let query = FewShotLossConfig::new(vec![EpisodeTerm::QueryIcnn]);
    let kept = query.clone().with_query_nearest(NearestTarget::Kept);
    losses.push(kept.init().unwrap());
    losses.push(query.with_query_targets(QueryTargets::Prototypes).init().unwrap());
    let all = FewShotLossConfig::new(ALL.to_vec())
        .with_temperature(3.0)
        .with_k(2);
    losses.push(all.init().unwrap());
    losses
}

#[test]
fn gradients_are_slopes() {
    for seed in 0..6 {
        let [support, query] = points(seed);
        for loss in losses() {
            let leaves = [&support, &query].map(|values| {
                let leaf = matrix(values.clone(), WIDTH, DType::F64);
                leaf.autodiff().require_grad()
            });
            let value = loss.forward(&episode(leaves.clone()));
            let gradients = value.backward();
            for side in 0..2 {
                let at = leaves[side].clone().without_autodiff();
                // Nothing of the support's own term depends on queries.
                let found = leaves[side].grad(&gradients);
                let found = floats(found.unwrap_or_else(|| at.zeros_like()));
                let numeric = central_differences(&at, |moved| {
                    let mut sides = leaves.clone().map(|leaf| leaf.without_autodiff());
                    sides[side] = moved;
                    loss.forward(&episode(sides))
                });
                for (a, b) in found.iter().zip(&numeric) {
                    assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{loss:?}: {a}, {b}");
                }
            }
        }
    }
}

#[test]
fn single_precision_differs_by_its_rounding() {
    for loss in losses() {
        let single = episode_of(points(1), DType::F32);
        let double =
            episode([single.support.clone(), single.query.clone()].map(|side| side.cast(DType::F64)));
        let [single, double] = [single, double].map(|episode| number(loss.forward(&episode)));
        assert!((single - double).abs() < 1e-5 * (1.0 + double.abs()), "{loss:?}");
    }
}

#[test]
fn the_prototypical_loss_is_a_composition() {
    let (query, prototypes) = (random(5, 3, 0), random(4, 3, 1));
    let [query, prototypes] = [query, prototypes].map(|values| matrix(values, 3, DType::F64));
    let loss = PrototypicalLossConfig::new()
        .with_temperature(2.5)
        .init()
        .unwrap();
    let apart = query.clone().reshape([5, 1, 3]) - prototypes.clone().reshape([1, 4, 3]);
    let logits = apart.square().sum_dim(2).reshape([5, 4]) * (-1.0 / 2.5);
    let own = labels(&[3, 0, 1, 1, 2]);
    let log = burn::tensor::activation::log_softmax(logits.clone(), 1);
    let expected = number(-log.gather(1, own.clone().reshape([5, 1])).mean());
    assert!(near(
        number(loss.forward(query.clone(), prototypes.clone(), own)),
        expected
    ));
    for (a, b) in floats(loss.logits(query, prototypes)).iter().zip(floats(logits)) {
        assert!(near(*a, b));
    }
}

#[test]
fn icnn_terms_are_the_loss_of_those_they_are_among() {
    let episode = episode_of(points(4), DType::F64);
    let (support, query) = (episode.support.clone(), episode.query.clone());
    let own = || labels(&[0, 0, 0, 1, 1, 1, 2, 2, 2]);
    let both = Tensor::cat(vec![own(), episode.query_labels.clone()], 0);
    let loss = IcnnLossConfig::new().init().unwrap();
    let among = number(loss.forward(support.clone(), own()));
    assert_eq!(among, number(term(EpisodeTerm::SupportIcnn).forward(&episode)));
    assert!(near(-loss.score(support.clone(), own()).score.ln(), among));
    let to = loss.forward_to(
        query.clone(),
        episode.query_labels.clone(),
        support.clone(),
        own(),
    );
    assert_eq!(number(to), number(term(EpisodeTerm::QueryIcnn).forward(&episode)));
    let wide = IcnnLossConfig::new().with_neighbors(Some(SHAPE.shots + SHAPE.queries));
    let full = wide
        .init()
        .unwrap()
        .forward(Tensor::cat(vec![support, query], 0), both);
    assert_eq!(
        number(full),
        number(term(EpisodeTerm::FullIcnn).forward(&episode))
    );
}

#[test]
fn far_embeddings_have_finite_losses() {
    let loss = PrototypicalLossConfig::new().init().unwrap();
    let query = matrix(vec![1e4, 0.0], 2, DType::F32).autodiff().require_grad();
    let prototypes = matrix(vec![1e4, 0.0, -1e4, 0.0], 2, DType::F32);
    for (label, expected) in [(0, 0.0), (1, 4e8)] {
        let value = loss.forward(query.clone(), prototypes.clone().autodiff(), labels(&[label]));
        assert_eq!(number(value.clone()), expected);
        assert!(
            floats(query.grad(&value.backward()).unwrap())
                .iter()
                .all(|x| x.is_finite())
        );
    }
}

#[test]
fn an_embedding_that_is_no_number_gives_a_loss_that_is_none() {
    let [support, mut query] = points(0);
    query[3] = f64::NAN;
    for loss in losses() {
        // The support among itself does not know of queries.
        let value = number(loss.forward(&episode_of([support.clone(), query.clone()], DType::F64)));
        let knows = !format!("{loss:?}").contains("terms: [SupportIcnn]");
        assert_eq!(value.is_nan(), knows, "{loss:?}");
    }
    let score = IcnnLossConfig::new().init().unwrap();
    let found = score.score(matrix(query, WIDTH, DType::F64), labels(&[0, 0, 1, 1, 2, 2]));
    assert!(found.score.is_nan());
}

#[test]
fn one_shot_prototypes_are_the_support() {
    let support = matrix(random(4, 3, 7), 3, DType::F64);
    let prototypes = class_prototypes(support.clone(), 4);
    assert_eq!(floats(prototypes), floats(support));
}

#[test]
fn what_an_episode_lacks_is_told() {
    let shape = |ways, shots, queries| EpisodeShape { ways, shots, queries };
    let told = |loss: &FewShotLoss, shape| loss.accepts(shape).unwrap_err().to_string();
    assert_eq!(
        told(&term(EpisodeTerm::SupportIcnn), shape(2, 1, 5)),
        "episodes of 2 ways, 1 shots and 5 queries a class do not fit few_shot: among the support, 2 targets are too few \
         for neighbours to be told apart; at least 3 are needed"
    );
    let config = FewShotLossConfig::new(vec![EpisodeTerm::FullIcnn]).with_neighbors(Some(9));
    let loss = config.init().unwrap();
    assert!(told(&loss, shape(3, 1, 2)).contains("9 targets have no 9 nearest"));
    assert!(loss.accepts(shape(3, 1, 3)).is_ok());
    let config = FewShotLossConfig::new(vec![EpisodeTerm::QueryIcnn]);
    let among_prototypes = config.with_query_targets(QueryTargets::Prototypes);
    assert!(among_prototypes.init().unwrap().accepts(shape(2, 5, 5)).is_err());
    assert!(term(EpisodeTerm::Cross).accepts(shape(1, 1, 1)).is_ok());
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |config: FewShotLossConfig| config.init().unwrap_err().parameter;
    let config = || FewShotLossConfig::new(ALL.to_vec());
    assert_eq!(refused(FewShotLossConfig::new(Vec::new())), "terms");
    assert_eq!(refused(config().with_temperature(0.0)), "temperature");
    assert_eq!(refused(config().with_margin(-1.0)), "margin");
    assert_eq!(refused(config().with_k(0)), "k");
    assert_eq!(refused(config().with_neighbors(Some(0))), "neighbors");
    let original = OriginalIcnnConfig::new();
    assert_eq!(original.clone().with_q(0.0).init().unwrap_err().parameter, "q");
    assert_eq!(original.with_k(0).init().unwrap_err().parameter, "k");
}

#[test]
fn a_point_is_never_its_own_neighbour() {
    // Copies in two classes: were the first of equally near targets dropped, point 1 would be its own neighbour.
    let x = matrix(vec![0.0, 0.0, 5.0, 5.0, 9.0, 9.0], 1, DType::F64);
    let loss = IcnnLossConfig::new().with_k(1).init().unwrap();
    let found = loss.score(x, labels(&[0, 1, 0, 1, 0, 1]));
    assert_eq!(
        found.gamma, 0.0,
        "the nearest of each is its copy of the other class"
    );
}

#[test]
fn a_window_without_others_counts_as_nothing_and_not_as_absent() {
    // The three of class 0 see only their own among two; the two of class 1 have each other and then class 0.
    let x = matrix(vec![0.0, 1.0, 3.0, 100.0, 101.0], 1, DType::F64);
    let loss = IcnnLossConfig::new()
        .with_k(1)
        .with_neighbors(Some(2))
        .init()
        .unwrap();
    let found = loss.score(x, labels(&[0, 0, 0, 1, 1]));
    let root = |distance: f64| (distance * distance + 1e-6).sqrt();
    let expected = 1.0 - (root(1.0) / (root(97.0) + 1e-7) + root(1.0) / (root(98.0) + 1e-7)) / 5.0;
    assert!(
        (found.lambda_same - expected).abs() < 1e-6,
        "{} {expected}",
        found.lambda_same
    );
    assert_eq!((found.gamma, found.lambda_diff), (1.0, 1.0));
}

#[test]
fn a_single_prototype_has_no_other() {
    let loss = ProtoTripletLossConfig::new().init().unwrap();
    let [query, prototype] = [3, 1].map(|rows| matrix(random(rows, 2, 5), 2, DType::F64));
    assert_eq!(number(loss.forward(query, prototype, labels(&[0, 0, 0]))), 0.0);
}

#[test]
fn original_scores_of_what_is_apart_and_of_what_is_too_few() {
    let original = OriginalIcnnConfig::new().with_k(2).init().unwrap();
    let x = matrix(vec![0.0, 1.0, 2.5, 100.0, 101.0, 102.5], 1, DType::F64);
    let apart = original.score(x.clone(), labels(&[0, 0, 0, 1, 1, 1])).unwrap();
    let mixed = original.score(x.clone(), labels(&[0, 1, 0, 1, 0, 1])).unwrap();
    assert_eq!(apart.gamma, 1.0);
    assert!(apart.score_two > mixed.score_two && apart.score_three > mixed.score_three);
    assert!(near(
        apart.score_three,
        (apart.lambda + apart.gamma + apart.omega) / 3.0
    ));
    let default = OriginalIcnnConfig::new().init().unwrap();
    assert!(
        default.score(x.clone(), labels(&[0, 0, 0, 1, 1, 1])).is_ok(),
        "5 of 6"
    );
    let three = x.slice([0..3, 0..1]);
    let refused = default.score(three, labels(&[0, 0, 1])).unwrap_err();
    assert_eq!(refused, TooFewTargets::Targets { targets: 3, least: 4 });
}

#[test]
fn the_interval_by_hand() {
    let found = episode_interval(&[0.5, 0.7, 0.9, 0.7]);
    assert!(near(found.mean, 0.7));
    assert!(near(found.half_width, 1.96 * (0.02_f64).sqrt() / 2.0));
    assert_eq!(episode_interval(&[0.3]).half_width, 0.0);
}

/// Rows after a rotation in each plane of neighbouring axes, and a shift.
fn moved(values: &[f64], angle: f64, shift: f64) -> Vec<f64> {
    let (sin, cos) = angle.sin_cos();
    let mut moved = values.to_vec();
    for row in moved.chunks_exact_mut(WIDTH) {
        for axis in 0..WIDTH - 1 {
            let (a, b) = (row[axis], row[axis + 1]);
            (row[axis], row[axis + 1]) = (cos * a - sin * b, sin * a + cos * b);
        }
        row.iter_mut().for_each(|value| *value += shift);
    }
    moved
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn losses_do_not_change_with_rotation_and_translation(
        seed in 0_u64..1000, angle in 0.0..6.0, shift in -3.0..3.0,
    ) {
        let original = points(seed);
        let moved = original.each_ref().map(|side| moved(side, angle, shift));
        let [original, moved] = [original, moved].map(|points| episode_of(points, DType::F64));
        for loss in losses() {
            let [a, b] = [&original, &moved].map(|episode| number(loss.forward(episode)));
            prop_assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{:?}: {}, {}", loss, a, b);
        }
    }

    #[test]
    fn proto_triplet_is_zero_where_every_query_is_closer_by_the_margin(seed in 0_u64..1000, margin in 0.0..2.0) {
        let EmbeddedEpisode { support, query, query_labels, .. } = episode_of(points(seed), DType::F64);
        let prototypes = class_prototypes(support, SHAPE.ways);
        let config = PrototypicalLossConfig::new().init().unwrap();
        let logits = floats(config.logits(query.clone(), prototypes.clone()));
        let own = floats(query_labels.clone().float());
        let closer = logits.chunks(SHAPE.ways).zip(own).all(|(row, own)| {
            let distance = |logit: f64| (1e-6 - logit).sqrt();
            let others = row.iter().enumerate().filter(|(way, _)| *way as f64 != own);
            let nearest = others.map(|(_, logit)| distance(*logit)).fold(f64::INFINITY, f64::min);
            distance(row[own as usize]) + margin <= nearest
        });
        let query = query.autodiff().require_grad();
        let loss = ProtoTripletLossConfig::new().with_margin(margin).init().unwrap();
        let value = loss.forward(query.clone(), prototypes.autodiff(), query_labels);
        prop_assert_eq!(number(value.clone()) == 0.0, closer);
        let flat = floats(query.grad(&value.backward()).unwrap()).iter().all(|slope| *slope == 0.0);
        prop_assert_eq!(flat, closer);
    }

    #[test]
    fn a_score_is_of_no_order_and_no_numbering(seed in 0_u64..1000, turn in 1_usize..9) {
        let [support, _] = points(seed);
        let numbers = [0, 0, 0, 1, 1, 1, 2, 2, 2];
        let icnn = IcnnLossConfig::new().init().unwrap();
        let original = OriginalIcnnConfig::new().init().unwrap();
        let scores = |values: Vec<f64>, numbers: &[i64]| {
            let x = matrix(values, WIDTH, DType::F64);
            let score = icnn.score(x.clone(), labels(numbers));
            (score, original.score(x, labels(numbers)).unwrap())
        };
        let (found, diagnosis) = scores(support.clone(), &numbers);
        prop_assert!(found.score > 0.0 && found.score <= 1.0);
        prop_assert!(diagnosis.score_three > 0.0 && diagnosis.score_three <= 1.0);
        let mut rows = support;
        rows.rotate_left(turn * WIDTH);
        let mut renumbered = numbers.map(|number| [17, 4, 40][number as usize]);
        renumbered.rotate_left(turn);
        let (again, diagnosis_again) = scores(rows, &renumbered);
        for (a, b) in [
            (found.score, again.score),
            (found.lambda_same, again.lambda_same),
            (found.lambda_diff, again.lambda_diff),
            (found.gamma, again.gamma),
            (diagnosis.score_three, diagnosis_again.score_three),
        ] {
            prop_assert!(near(a, b), "{}, {}", a, b);
        }
    }

    #[test]
    fn classes_far_apart_score_all_but_nearness(seed in 0_u64..1000) {
        let mut x = random(12, 3, seed);
        for (index, value) in x.iter_mut().enumerate() {
            *value += 1000.0 * (index / 12) as f64;
        }
        let numbers = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        let loss = IcnnLossConfig::new().with_k(3).init().unwrap();
        let found = loss.score(matrix(x, 3, DType::F64), labels(&numbers));
        prop_assert_eq!((found.gamma, found.lambda_diff), (1.0, 1.0));
        prop_assert!(found.lambda_same < 1.0 && found.lambda_same > 0.9);
    }

    #[test]
    fn a_temperature_divides_logits(seed in 0_u64..1000, temperature in 0.1..50.0) {
        let [a, b] = [5, 3].map(|rows| matrix(random(rows, 2, seed + rows as u64), 2, DType::F64));
        let at = |temperature| PrototypicalLossConfig::new().with_temperature(temperature).init().unwrap();
        let plain = floats(at(1.0).logits(a.clone(), b.clone()));
        let divided = floats(at(temperature).logits(a.clone(), b.clone()));
        prop_assert!(plain.iter().zip(&divided).all(|(plain, divided)| near(plain / temperature, *divided)));
        let shrunk = 1.0 / temperature.sqrt();
        let own = || labels(&[0, 1, 2, 0, 1]);
        let value = number(at(temperature).forward(a.clone(), b.clone(), own()));
        prop_assert!(near(value, number(at(1.0).forward(a * shrunk, b * shrunk, own()))));
    }

    #[test]
    fn the_combination_is_a_mean(seed in 0_u64..1000, chosen in prop::collection::vec(0_usize..5, 1..5)) {
        let episode = episode_of(points(seed), DType::F64);
        let terms: Vec<EpisodeTerm> = chosen.iter().map(|&index| ALL[index]).collect();
        let of = |terms: Vec<EpisodeTerm>| number(FewShotLossConfig::new(terms).init().unwrap().forward(&episode));
        let each: f64 = terms.iter().map(|term| of(vec![*term])).sum();
        let found = of(terms.clone());
        prop_assert!(near(found, each / terms.len() as f64));
        prop_assert!(near(of(terms.repeat(2)), found));
    }
}
