use faer::Mat;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;
use crate::curvature::CurvatureError;

fn normal(seed: u64, name: &str, len: usize) -> Vec<f64> {
    let mut values = vec![0.0_f32; len];
    Stream::new(seed, name, 0).fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

/// F of some coordinates, by blocks.
fn fisher(dampening: f64, gradients: &[f64], width: usize, own: &[usize], block: usize) -> Mat<f64> {
    let rows = (gradients.len() / width) as f64;
    Mat::from_fn(own.len(), own.len(), |a, b| {
        let products = gradients.chunks_exact(width).map(|g| g[own[a]] * g[own[b]]);
        let between = if a / block == b / block {
            products.sum::<f64>() / rows
        } else {
            0.0
        };
        between + if a == b { dampening } else { 0.0 }
    })
}

/// The constrained minimum of ½ δᵀFδ with δ_Q = −w_Q, by its Lagrangian's linear system.
fn constrained(f: &Mat<f64>, weights: &[f64], goes: &[usize]) -> (Vec<f64>, f64) {
    let (d, k) = (weights.len(), goes.len());
    let system = Mat::from_fn(d + k, d + k, |i, j| match (i < d, j < d) {
        (true, true) => f[(i, j)],
        (true, false) => f64::from(u8::from(goes[j - d] == i)),
        (false, true) => f64::from(u8::from(goes[i - d] == j)),
        (false, false) => 0.0,
    });
    let right = Mat::from_fn(d + k, 1, |i, _| if i < d { 0.0 } else { -weights[goes[i - d]] });
    let solved = system.partial_piv_lu().solve(&right);
    let change: Vec<f64> = (0..d).map(|i| solved[(i, 0)]).collect();
    let moved = (0..d).map(|i| (0..d).map(|j| f[(i, j)] * change[j]).sum::<f64>() * change[i]);
    let loss = 0.5 * moved.sum::<f64>();
    (change, loss)
}

fn close(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-7 * size.max(b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_surgeon_is_the_dense_one(
        rows in 1_usize..20, width in 1_usize..14, block in 1_usize..16, dead in 0_usize..4, power in -3.0..1.0_f64,
        share in 0.0..1.0_f64, joint: bool, wood: bool, seed in 0_u64..1000,
    ) {
        let dampening = 10.0_f64.powf(power);
        let gradients = normal(seed, "gradients", rows * width);
        let before = normal(seed, "weights", width);
        let mut alive: Vec<bool> = (0..width).map(|at| (at + seed as usize) % 5 >= dead).collect();
        let own: Vec<usize> = (0..width).filter(|&at| alive[at]).collect();
        let count = (share * (own.len() + 1) as f64) as usize;
        let saliency = if wood { Saliency::WoodFisher } else { Saliency::MFac };
        let pruner = PruningConfig::new().with_saliency(saliency).with_dampening(dampening).with_block_size(Some(block));
        let mut weights = before.clone();
        let pruned = pruner.with_joint(joint).init().unwrap().prune(&mut weights, &mut alive, &gradients, count).unwrap();
        prop_assert_eq!(pruned.removed.len(), count);
        prop_assert!(pruned.removed.is_sorted() && pruned.removed.iter().all(|&at| weights[at] == 0.0 && !alive[at]));

        if own.is_empty() {
            return Ok(());
        }
        let f = fisher(dampening, &gradients, width, &own, block);
        let inverse = f.partial_piv_lu().inverse();
        let left: Vec<f64> = own.iter().map(|&at| before[at]).collect();
        let scores: Vec<f64> = left.iter().enumerate().map(|(a, w)| w * w / (2.0 * inverse[(a, a)])).collect();
        for at in 0..width {
            match own.iter().position(|&other| other == at) {
                Some(a) => prop_assert!(close(pruned.scores[at], scores[a], 0.0)),
                None => prop_assert!(pruned.scores[at] == f64::INFINITY && weights[at] == before[at]),
            }
        }
        let goes: Vec<usize> = pruned.removed.iter().map(|at| own.iter().position(|other| other == at).unwrap()).collect();
        let most = goes.iter().map(|&a| scores[a]).fold(0.0, f64::max);
        prop_assert!((0..own.len()).all(|a| goes.contains(&a) || scores[a] >= most * (1.0 - 1e-9)));
        let (change, loss) = if joint {
            constrained(&f, &left, &goes)
        } else {
            let change = (0..own.len()).map(|a| goes.iter().map(|&q| -left[q] * inverse[(a, q)] / inverse[(q, q)]).sum());
            (change.collect(), goes.iter().map(|&a| scores[a]).sum())
        };
        let size: f64 = left.iter().chain(&change).map(|x| x.abs()).fold(0.0, f64::max);
        for (a, &at) in own.iter().enumerate() {
            let expected = if goes.contains(&a) { 0.0 } else { left[a] + change[a] };
            prop_assert!((weights[at] - expected).abs() <= 1e-7 * size, "{} {}", weights[at], expected);
        }
        prop_assert!(close(pruned.predicted_loss_increase, loss, 1e-6));
    }

    #[test]
    fn a_single_weight_goes_alike_both_ways(rows in 1_usize..20, width in 1_usize..14, seed in 0_u64..1000) {
        let gradients = normal(seed, "gradients", rows * width);
        let once = |joint: bool| {
            let (mut weights, mut alive) = (normal(seed, "weights", width), vec![true; width]);
            let pruner = PruningConfig::new().with_dampening(1e-2).with_joint(joint).init().unwrap();
            let pruned = pruner.prune(&mut weights, &mut alive, &gradients, 1).unwrap();
            (pruned.removed, weights, pruned.predicted_loss_increase)
        };
        let ((first, a, loss), (second, b, joint_loss)) = (once(false), once(true));
        prop_assert_eq!(first, second);
        prop_assert!(close(joint_loss, loss, 0.0));
        prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-8));
    }
}

fn pruned(saliency: Saliency, weights: &[f64], gradients: &[f32], count: usize) -> (Pruned, Vec<f64>) {
    let (mut weights, mut alive) = (weights.to_vec(), vec![true; weights.len()]);
    let pruner = PruningConfig::new().with_saliency(saliency).with_dampening(0.5);
    let pruned = pruner
        .init()
        .unwrap()
        .prune(&mut weights, &mut alive, gradients, count);
    (pruned.unwrap(), weights)
}

#[test]
fn simpler_saliencies_move_nothing() {
    let weights = [0.5, -1.0, 0.25, 0.0];
    let gradients = [1.0, 0.0, 2.0, 1.0, 1.0, 0.0, -2.0, 0.0];
    let (found, left) = pruned(Saliency::Magnitude, &weights, &[], 2);
    assert_eq!(
        (found.removed, found.scores),
        (vec![2, 3], vec![0.5, 1.0, 0.25, 0.0])
    );
    assert!(found.predicted_loss_increase.is_nan());
    assert_eq!(left, [0.5, -1.0, 0.0, 0.0]);
    let (found, left) = pruned(Saliency::DiagonalFisher, &weights, &gradients, 2);
    assert_eq!(found.scores, [0.1875, 0.25, 0.140_625, 0.0]);
    assert_eq!(
        (found.removed, found.predicted_loss_increase),
        (vec![2, 3], 0.140_625)
    );
    assert_eq!(left, [0.5, -1.0, 0.0, 0.0]);
}

#[test]
fn of_equal_scores_the_first_goes() {
    for saliency in [
        Saliency::Magnitude,
        Saliency::DiagonalFisher,
        Saliency::WoodFisher,
        Saliency::MFac,
    ] {
        let (found, _) = pruned(saliency, &[1.0, -1.0, 1.0, -1.0], &[0.0; 4], 2);
        assert_eq!(found.removed, [0, 1], "{saliency:?}");
    }
}

#[test]
fn none_and_all_of_the_weights_may_go() {
    for joint in [false, true] {
        let pruner = PruningConfig::new().with_joint(joint).init().unwrap();
        let (mut weights, mut alive) = (vec![1.0, 2.0], vec![true; 2]);
        let gradients = [1.0, 1.0, 0.5, -1.0];
        let none = pruner.prune(&mut weights, &mut alive, &gradients, 0).unwrap();
        assert!(none.removed.is_empty() && none.predicted_loss_increase == 0.0);
        assert_eq!(weights, [1.0, 2.0]);
        let all = pruner.prune(&mut weights, &mut alive, &gradients, 2).unwrap();
        assert_eq!((all.removed, weights.clone()), (vec![0, 1], vec![0.0; 2]));
        let again = pruner.prune(&mut weights, &mut alive, &gradients, 0).unwrap();
        assert_eq!(again.scores, [f64::INFINITY; 2]);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    assert!(PruningConfig::new().with_dampening(0.0).init().is_err());
    assert!(PruningConfig::new().with_block_size(Some(0)).init().is_err());
    let pruner = PruningConfig::new().init().unwrap();
    let refused = |weights: &[f64], alive: &mut [bool], gradients: &[f32], count| {
        let mut after = weights.to_vec();
        let error = pruner.prune(&mut after, alive, gradients, count).unwrap_err();
        assert_eq!(
            after.iter().map(|w| w.to_bits()).collect::<Vec<_>>(),
            weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>()
        );
        error
    };
    use CurvatureError::{Empty, NotFinite, Ragged, TooMany, Weight, Width};
    assert!(matches!(
        refused(&[1.0], &mut [], &[1.0], 0),
        Width {
            found: 0,
            expected: 1,
            ..
        }
    ));
    assert!(matches!(
        refused(&[f64::NAN], &mut [true], &[1.0], 0),
        Weight { at: 0, .. }
    ));
    assert!(matches!(refused(&[1.0], &mut [true], &[], 0), Empty));
    assert!(matches!(
        refused(&[1.0, 2.0], &mut [true; 2], &[1.0; 3], 0),
        Ragged { found: 3, width: 2 }
    ));
    assert!(matches!(
        refused(&[1.0], &mut [true], &[f32::NAN], 0),
        NotFinite { row: 0, .. }
    ));
    assert!(matches!(
        refused(&[1.0, 2.0], &mut [true, false], &[1.0; 2], 2),
        TooMany { count: 2, left: 1 }
    ));
}
