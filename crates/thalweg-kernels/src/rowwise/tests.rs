use proptest::prelude::*;

use super::*;
use crate::batch::{forward, forward_backward, forward_backward_in_place};

/// `(1 − p_y)·weight − mean_k log p_k / 2`: uses every statistic and all three coefficients.
struct Probe;

impl Member for Probe {
    const NEEDS_MEAN: bool = true;

    fn row(&self, row: Row) -> Coefficients {
        let p = row.log_p.exp();
        Coefficients {
            loss: row.rest - row.mean_log_p / 2.0,
            softmax: p + 0.5,
            target: -p,
            uniform: -0.5 / row.classes as f64,
        }
    }
}

/// [`Probe`] of scores that enter by a temperature and a margin of their row.
struct Tempered;

impl Member for Tempered {
    const NEEDS_MEAN: bool = true;

    fn entry(&self, index: usize) -> Entry {
        Entry {
            scale: 0.5 + index as f64,
            offset: 0.3 * index as f64 - 0.4,
        }
    }

    fn row(&self, row: Row) -> Coefficients {
        let scale = self.entry(row.index).scale;
        let plain = Probe.row(row);
        Coefficients {
            loss: plain.loss,
            softmax: plain.softmax * scale,
            target: plain.target * scale,
            uniform: plain.uniform * scale,
        }
    }
}

/// [`Tempered`] with class weights, the log-partition, a slope that depends on the target, and every fourth row left out.
struct Weighted(ClassWeights);

impl Weighted {
    fn of(classes: usize) -> Self {
        Self(ClassWeights::new(
            (0..classes).map(|k| 0.25 + (k * 5 % 7) as f64).collect(),
        ))
    }
}

impl Member for Weighted {
    const NEEDS_MEAN: bool = true;

    fn entry(&self, index: usize) -> Entry {
        Tempered.entry(index)
    }

    fn class_weights(&self) -> Option<&ClassWeights> {
        Some(&self.0)
    }

    fn counts(&self, index: usize) -> bool {
        index % 4 != 2
    }

    fn row(&self, row: Row) -> Coefficients {
        let scale = self.entry(row.index).scale;
        let own = row.target as f64;
        Coefficients {
            loss: row.log_sum_exp * row.log_sum_exp - own * row.log_p - row.mean_log_p,
            softmax: (own + self.0.mean() + 2.0 * row.log_sum_exp) * scale,
            target: -own * scale,
            uniform: -scale / row.classes as f64,
        }
    }
}

fn weighted_reference(weights: &[f64], row: &[f64], y: usize, entry: Entry) -> f64 {
    let mut row = row.to_vec();
    row[y] += entry.offset;
    row.iter_mut().for_each(|score| *score *= entry.scale);
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_total = row.iter().map(|h| (h - largest).exp()).sum::<f64>().ln() + largest;
    let weighted = row.iter().zip(weights).map(|(h, w)| w * (h - log_total));
    log_total.powi(2) - y as f64 * (row[y] - log_total) - weighted.sum::<f64>() / row.len() as f64
}

fn reference(row: &[f64], y: usize, entry: Entry) -> f64 {
    let mut row = row.to_vec();
    row[y] += entry.offset;
    row.iter_mut().for_each(|score| *score *= entry.scale);
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_total = row.iter().map(|h| (h - largest).exp()).sum::<f64>().ln() + largest;
    let mean = row.iter().map(|h| h - log_total).sum::<f64>() / row.len() as f64;
    1.0 - (row[y] - log_total).exp() - mean / 2.0
}

fn run<F: Real>(scores: &[F], targets: &[u32], classes: usize) -> (Vec<F>, Vec<F>) {
    run_member(&Probe, scores, targets, classes)
}

fn run_member<F: Real>(
    member: &impl Member,
    scores: &[F],
    targets: &[u32],
    classes: usize,
) -> (Vec<F>, Vec<F>) {
    let mut losses = vec![F::ZERO; targets.len()];
    let mut gradient = vec![F::ZERO; scores.len()];
    let kernel = OfSoftmax(member);
    forward_backward(&kernel, scores, targets, classes, 1.0, &mut losses, &mut gradient);
    let (mut same_losses, mut same) = (losses.clone(), scores.to_vec());
    forward_backward_in_place(&kernel, &mut same, targets, classes, 1.0, &mut same_losses);
    let bits = |of: &[F]| of.iter().map(|v| v.to_f64().to_bits()).collect::<Vec<_>>();
    assert_eq!(
        (bits(&same_losses), bits(&same)),
        (bits(&losses), bits(&gradient))
    );
    (losses, gradient)
}

fn matches_plain_arithmetic(
    member: &impl Member,
    reference: impl Fn(&[f64], usize, Entry) -> f64,
    classes: usize,
    seed: u64,
) -> Result<(), TestCaseError> {
    let mut stream = crate::random::Stream::new(seed, "rowwise", 0);
    let scores: Vec<f64> = (0..3 * classes).map(|_| 8.0 * stream.uniform() - 4.0).collect();
    let targets: Vec<u32> = (0..3).map(|_| stream.below(classes) as u32).collect();
    let (losses, gradient) = run_member(member, &scores, &targets, classes);
    let mut only_losses = vec![0.0; 3];
    forward(&OfSoftmax(member), &scores, &targets, classes, &mut only_losses);
    prop_assert_eq!(&losses, &only_losses);
    for row in 0..3 {
        let y = targets[row] as usize;
        let own = &scores[row * classes..(row + 1) * classes];
        if !member.counts(row) {
            prop_assert_eq!(losses[row], 0.0);
            prop_assert!(
                gradient[row * classes..(row + 1) * classes]
                    .iter()
                    .all(|slope| *slope == 0.0)
            );
            continue;
        }
        let expected = reference(own, y, member.entry(row));
        prop_assert!((losses[row] - expected).abs() < 1e-12 * (1.0 + expected.abs()));
        for k in 0..classes {
            let nudge = |by: f64| {
                let mut nudged = own.to_vec();
                nudged[k] += by;
                reference(&nudged, y, member.entry(row))
            };
            let numeric = (nudge(1e-5) - nudge(-1e-5)) / 2e-5;
            prop_assert!((gradient[row * classes + k] - numeric).abs() < 1e-8 * (1.0 + expected.abs()));
        }
    }
    let narrow: Vec<f32> = scores.iter().map(|&h| h as f32).collect();
    let (losses_f32, gradient_f32) = run_member(member, &narrow, &targets, classes);
    for (a, b) in losses_f32
        .iter()
        .zip(&losses)
        .chain(gradient_f32.iter().zip(&gradient))
    {
        prop_assert!((f64::from(*a) - b).abs() < 4e-6 * (1.0 + b.abs()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn value_and_gradient_match_plain_arithmetic(classes in 1_usize..200, seed in 0_u64..1000) {
        matches_plain_arithmetic(&Probe, reference, classes, seed)?;
        matches_plain_arithmetic(&Tempered, reference, classes, seed)?;
        let weighted = Weighted::of(classes);
        let expected = |row: &[f64], y: usize, entry: Entry| weighted_reference(weighted.0.each(), row, y, entry);
        matches_plain_arithmetic(&weighted, expected, classes, seed)?;
    }
}

#[test]
fn rows_keep_their_index_in_every_block() {
    let (rows, classes) = (900, 64);
    let scores: Vec<f64> = (0..rows * classes).map(|i| (i * 7 % 11) as f64 / 1e3).collect();
    let targets = vec![3; rows];
    let (losses, _) = run_member(&Tempered, &scores, &targets, classes);
    for row in [0, 255, 256, 257, 899] {
        let own = &scores[row * classes..(row + 1) * classes];
        assert!((losses[row] - reference(own, 3, Tempered.entry(row))).abs() < 1e-10);
    }
}

#[test]
fn a_margin_of_many_temperatures_stays_finite() {
    struct Cold;
    impl Member for Cold {
        fn entry(&self, _: usize) -> Entry {
            Entry {
                scale: 1e3,
                offset: -20.0,
            }
        }
        fn row(&self, row: Row) -> Coefficients {
            Coefficients::of_log_p(-row.log_p, -1.0)
        }
    }
    let (losses, gradient) = run_member(&Cold, &[10.0, 0.0], &[0], 2);
    assert_eq!((losses, gradient), (vec![1e4], vec![-1.0, 1.0]));
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (rows, classes) = (1000, 257);
    let mut scores = vec![0.0_f32; rows * classes];
    crate::random::Stream::new(0, "threads", 0).fill_normal(&mut scores);
    let targets: Vec<u32> = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(&scores, &targets, classes))
    };
    let one = on(1);
    assert!([2, 3, 5].into_iter().all(|threads| on(threads) == one));
}

#[test]
fn a_confident_row_keeps_its_relative_accuracy() {
    let (losses, gradient) = run(&[40.0, 0.0], &[0], 2);
    let rest = (-40.0_f64).exp() / (1.0 + (-40.0_f64).exp());
    assert!((losses[0] - (rest + 10.0)).abs() < 1e-14);
    // (p + 1/2)·p − p − 1/4 at p = 1 − rest, expanded.
    assert!((gradient[0] - (0.25 - 1.5 * rest)).abs() < 1e-15);
}

#[test]
fn scores_of_ten_thousand_stay_finite() {
    let (losses, gradient) = run(&[1e4_f32, -1e4, 0.0, -1e4, 1e4, 0.0], &[0, 0], 3);
    assert!(losses.iter().chain(&gradient).all(|value| value.is_finite()));
}

#[test]
#[should_panic(expected = "3 class weights for 2 classes")]
fn weights_that_are_not_one_a_class_are_refused() {
    run_member(&Weighted::of(3), &[0.0, 1.0], &[0], 2);
}

#[test]
#[should_panic(expected = "target 3 of row 1 is not in 0..3")]
fn a_target_out_of_range_is_named() {
    run(&[0.0_f32; 6], &[0, 3], 3);
}
