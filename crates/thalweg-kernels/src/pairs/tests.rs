use super::*;
use crate::random::Stream;

/// `Σ_k ((s − t)² + log(1 + p))` with a constant p, weighted by 3.
struct Probe;

impl PairElement for Probe {
    #[inline(always)]
    fn element<F: Real>(&self, student: F, teacher: F) -> Element<F> {
        let gap = student - teacher;
        Element {
            linear: gap * gap,
            factor: 2.0,
            slope: gap,
        }
    }

    fn weight(&self) -> f64 {
        3.0
    }
}

/// `KL + (index)·log Σ exp(student)` over all classes but class 1.
struct Skipping;

impl PairLoss for Skipping {
    #[inline(always)]
    fn row<F: Real>(
        &self,
        index: usize,
        pair: (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        scratch: &mut [F],
    ) -> f64 {
        let softmax = SoftmaxPair::new(pair, Some(1), 0.5, gradient, scratch);
        softmax.combine((scale, scale), gradient, scratch);
        gradient[1] = F::ZERO;
        softmax.divergence + index as f64 * softmax.student
    }
}

fn scores(count: usize, name: &str) -> Vec<f32> {
    let mut values = vec![0.0; count];
    Stream::new(1, name, 0).fill_uniform(-3.0, 3.0, &mut values);
    values
}

fn run<L: PairLoss>(loss: &L, rows: usize, classes: usize, threads: usize) -> (Vec<f32>, Vec<f32>) {
    let (student, teacher) = (scores(rows * classes, "s"), scores(rows * classes, "t"));
    let (mut losses, mut gradient) = (vec![0.0; rows], vec![f32::NAN; rows * classes]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(|| {
        forward_backward(
            loss,
            (&student, &teacher),
            classes,
            0.5,
            &mut losses,
            &mut gradient,
        );
    });
    (losses, gradient)
}

#[test]
fn sums_are_right_over_any_number_of_classes_and_threads() {
    for (rows, classes) in [(1, 1), (3, 17), (2, FACTORS + 19), (900, 40)] {
        let (losses, gradient) = run(&Summed(Probe), rows, classes, 1);
        assert_eq!(
            (losses.clone(), gradient.clone()),
            run(&Summed(Probe), rows, classes, 3)
        );
        let (student, teacher) = (scores(rows * classes, "s"), scores(rows * classes, "t"));
        for (row, loss) in losses.iter().enumerate() {
            let at = row * classes..(row + 1) * classes;
            let squares: f64 = student[at.clone()]
                .iter()
                .zip(&teacher[at])
                .map(|(s, t)| f64::from(s - t).powi(2))
                .sum();
            let expected = 3.0 * (squares + classes as f64 * 2.0_f64.ln());
            assert!((f64::from(*loss) - expected).abs() < 1e-6 * expected, "{loss}");
        }
        for ((slope, s), t) in gradient.iter().zip(&student).zip(&teacher) {
            assert_eq!(*slope, (s - t) * 0.5);
        }
    }
}

#[test]
fn a_skipped_class_has_no_part_in_the_softmaxes() {
    let (rows, classes) = (2, 37);
    let (losses, gradient) = run(&Skipping, rows, classes, 1);
    let (student, teacher) = (scores(rows * classes, "s"), scores(rows * classes, "t"));
    for row in 0..rows {
        let others = |scores: &[f32]| -> Vec<f64> {
            (0..classes)
                .filter(|&k| k != 1)
                .map(|k| 0.5 * f64::from(scores[row * classes + k]))
                .collect()
        };
        let log_sum = |z: &[f64]| z.iter().map(|z| z.exp()).sum::<f64>().ln();
        let (s, t) = (others(&student), others(&teacher));
        let (log_s, log_t) = (log_sum(&s), log_sum(&t));
        let divergence: f64 = s
            .iter()
            .zip(&t)
            .map(|(s, t)| (t - log_t).exp() * ((t - log_t) - (s - log_s)))
            .sum();
        let expected = divergence + row as f64 * log_s;
        assert!((f64::from(losses[row]) - expected).abs() < 1e-5, "{row}");
        let slopes = (0..classes).filter(|&k| k != 1);
        for (k, (s, t)) in slopes.zip(s.iter().zip(&t)) {
            let expected = 0.5 * ((s - log_s).exp() - (t - log_t).exp());
            assert!((f64::from(gradient[row * classes + k]) - expected).abs() < 1e-6);
        }
    }
}

#[test]
fn soft_targets_match_plain_arithmetic() {
    for (rows, classes, smoothing, logsumexp_z) in [(1, 1, 0.3, 0.1), (3, 37, 0.1, 0.01), (2, 64, 0.0, 0.0)] {
        let weights: Vec<f64> = (0..classes).map(|k| 0.5 + (k % 3) as f64).collect();
        let loss = SoftTargets {
            smoothing,
            class_weights: Some(&weights),
            logsumexp_z,
        };
        let (losses, gradient) = run(&loss, rows, classes, 2);
        let (scores, targets) = (scores(rows * classes, "s"), scores(rows * classes, "t"));
        for (row, loss_of_row) in losses.iter().enumerate() {
            let at = row * classes..(row + 1) * classes;
            let h: Vec<f64> = scores[at.clone()].iter().map(|&h| f64::from(h)).collect();
            let shares: Vec<f64> = targets[at.clone()]
                .iter()
                .zip(&weights)
                .map(|(&t, w)| w * ((1.0 - smoothing) * f64::from(t) + smoothing / classes as f64))
                .collect();
            let log_sum = h.iter().map(|h| h.exp()).sum::<f64>().ln();
            let mass: f64 = shares.iter().sum();
            let cross: f64 = h.iter().zip(&shares).map(|(h, a)| a * (log_sum - h)).sum();
            let expected = cross + logsumexp_z * log_sum * log_sum;
            let tolerance = 1e-5 * (1.0 + classes as f64);
            assert!((f64::from(*loss_of_row) - expected).abs() < tolerance, "{row}");
            for ((slope, h), a) in gradient[at].iter().zip(&h).zip(&shares) {
                let expected = (mass + 2.0 * logsumexp_z * log_sum) * (h - log_sum).exp() - a;
                assert!((f64::from(*slope) - 0.5 * expected).abs() < 1e-5);
            }
        }
    }
}
