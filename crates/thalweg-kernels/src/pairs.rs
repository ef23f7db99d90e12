//! Losses of a row of student scores beside the same row of a teacher's: value and gradient with respect to the student
//! in one pass. The teacher is a constant.
//!
//! A loss that is a sum over classes is a [`PairElement`]; one that needs softmaxes is a [`PairLoss`] that calls
//! [`SoftmaxPair`].

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// A loss of one row of each.
pub trait PairLoss: Sync {
    /// The loss of the row at `index` of the batch, and `scale` times its gradient into `gradient`. `scratch` is a row to
    /// be overwritten at will. To be `#[inline(always)]`.
    fn row<F: Real>(
        &self,
        index: usize,
        pair: (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        scratch: &mut [F],
    ) -> f64;
}

/// The share of one class in a loss that is a sum over classes, `Σ_k (linear_k + log factor_k)`, and its slope.
#[derive(Clone, Copy, Debug)]
pub struct Element<F> {
    /// Summed.
    pub linear: F,
    /// Multiplied, so that a row costs one logarithm; in `[1/2, 2]`.
    pub factor: f64,
    /// Derivative with respect to the student's score.
    pub slope: F,
}

/// A loss that is a sum over classes.
pub trait PairElement: Sync {
    /// The share of a class with these scores. To be `#[inline(always)]`.
    fn element<F: Real>(&self, student: F, teacher: F) -> Element<F>;

    /// Factor of the sum, not of the slopes.
    fn weight(&self) -> f64;
}

/// A [`PairElement`] summed over its row.
#[derive(Clone, Copy, Debug)]
pub struct Summed<E>(pub E);

const LANES: usize = 16;

/// Classes after which a product of factors is turned into its logarithm: each lane has 512 of them by then.
const FACTORS: usize = 512 * LANES;

impl<E: PairElement> PairLoss for Summed<E> {
    #[inline(always)]
    fn row<F: Real>(
        &self,
        _: usize,
        (student, teacher): (&[F], &[F]),
        scale: f64,
        gradient: &mut [F],
        _: &mut [F],
    ) -> f64 {
        let slope_scale = F::from_f64(scale);
        let mut total = 0.0;
        let parts = student.chunks(FACTORS).zip(teacher.chunks(FACTORS));
        for ((student, teacher), gradient) in parts.zip(gradient.chunks_mut(FACTORS)) {
            let (mut linear, mut factor) = ([0.0; LANES], [1.0; LANES]);
            let (whole_student, student) = student.as_chunks::<LANES>();
            let (whole_teacher, teacher) = teacher.as_chunks::<LANES>();
            let (whole_gradient, gradient) = gradient.as_chunks_mut::<LANES>();
            let mut add = |student: &[F], teacher: &[F], gradient: &mut [F]| {
                let lanes = linear.iter_mut().zip(&mut factor);
                for ((lane, (&s, &t)), out) in lanes.zip(student.iter().zip(teacher)).zip(gradient) {
                    let element = self.0.element(s, t);
                    *lane.0 += element.linear.to_f64();
                    *lane.1 *= element.factor;
                    *out = element.slope * slope_scale;
                }
            };
            let whole = whole_student.iter().zip(whole_teacher).zip(whole_gradient);
            for ((student, teacher), gradient) in whole {
                add(student, teacher, gradient);
            }
            add(student, teacher, gradient);
            total += linear.iter().sum::<f64>() + factor.iter().map(|factor| factor.ln()).sum::<f64>();
        }
        total * self.0.weight()
    }
}

/// The softmaxes of a student's and a teacher's scores at a common temperature, over all classes but one perhaps.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxPair {
    /// `KL(teacher ‖ student)`.
    pub divergence: f64,
    /// `log Σ exp(z/T)` of the student.
    pub student: f64,
    /// The same of the teacher.
    pub teacher: f64,
    /// What turns the student's exponentials into probabilities.
    student_share: f64,
    /// What turns the teacher's.
    teacher_share: f64,
}

impl SoftmaxPair {
    /// Over the classes of a row but `skipped`. The exponentials of the student are left in `students`, those of the
    /// teacher in `teachers`; what stands at `skipped` is left as it is. `scale` is the inverse temperature.
    ///
    /// # Panics
    /// When no class is left.
    #[inline(always)]
    pub fn new<F: Real>(
        (student, teacher): (&[F], &[F]),
        skipped: Option<usize>,
        scale: f64,
        students: &mut [F],
        teachers: &mut [F],
    ) -> Self {
        let classes = student.len();
        // Two stretches of classes, the second empty where none is skipped.
        let stretches = match skipped {
            Some(at) => [0..at, at + 1..classes],
            None => [0..classes, classes..classes],
        };
        assert!(
            stretches.iter().any(|stretch| !stretch.is_empty()),
            "a softmax needs a class"
        );
        let largest = |row: &[F]| {
            let of = |stretch: &std::ops::Range<usize>| maximum(&row[stretch.clone()]);
            of(&stretches[0]).larger(of(&stretches[1]))
        };
        let (top_student, top_teacher) = (largest(student), largest(teacher));
        let lane_scale = F::from_f64(scale);
        let (mut sum_student, mut sum_teacher, mut gap) = (0.0, 0.0, 0.0);
        for stretch in stretches {
            let (s, t) = (&student[stretch.clone()], &teacher[stretch.clone()]);
            sum_student += exponentials(s, top_student, lane_scale, &mut students[stretch.clone()]);
            let weights = &mut teachers[stretch];
            sum_teacher += exponentials(t, top_teacher, lane_scale, weights);
            gap += weighted_gap(weights, (s, top_student), (t, top_teacher));
        }
        let (log_student, log_teacher) = (sum_student.ln(), sum_teacher.ln());
        Self {
            divergence: gap * scale / sum_teacher + (log_student - log_teacher),
            student: top_student.to_f64() * scale + log_student,
            teacher: top_teacher.to_f64() * scale + log_teacher,
            student_share: 1.0 / sum_student,
            teacher_share: 1.0 / sum_teacher,
        }
    }

    /// `a` times the student's probabilities minus `b` times the teacher's, from the exponentials, into those of the
    /// student; also at what was skipped, where it means nothing.
    #[inline(always)]
    pub fn combine<F: Real>(&self, (a, b): (f64, f64), students: &mut [F], teachers: &[F]) {
        let (a, b) = (
            F::from_f64(a * self.student_share),
            F::from_f64(b * self.teacher_share),
        );
        for (student, &teacher) in students.iter_mut().zip(teachers) {
            *student = *student * a - teacher * b;
        }
    }
}

#[inline(always)]
fn maximum<F: Real>(row: &[F]) -> F {
    let mut lanes = [F::NEG_INFINITY; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = value.larger(*lane);
        }
    }
    let wide = lanes
        .iter()
        .fold(F::NEG_INFINITY, |largest, &lane| lane.larger(largest));
    tail.iter().fold(wide, |largest, &value| value.larger(largest))
}

/// `exp((z − top)·scale)` of each score into `out`, and their sum.
#[inline(always)]
fn exponentials<F: Real>(scores: &[F], top: F, scale: F, out: &mut [F]) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (chunks, tail) = scores.as_chunks::<LANES>();
    let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
    let mut add = |scores: &[F], out: &mut [F]| {
        for ((lane, &score), out) in lanes.iter_mut().zip(scores).zip(out) {
            let e = ((score - top) * scale).exp_lane();
            *out = e;
            *lane += e;
        }
    };
    for (chunk, out) in chunks.iter().zip(out_chunks) {
        add(chunk, out);
    }
    add(tail, out_tail);
    lanes.iter().map(|lane| lane.to_f64()).sum()
}

/// `Σ w_k ((t_k − top_t) − (s_k − top_s))`.
#[inline(always)]
fn weighted_gap<F: Real>(weights: &[F], (student, top_s): (&[F], F), (teacher, top_t): (&[F], F)) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (weight_chunks, weight_tail) = weights.as_chunks::<LANES>();
    let (student_chunks, student_tail) = student.as_chunks::<LANES>();
    let (teacher_chunks, teacher_tail) = teacher.as_chunks::<LANES>();
    let mut add = |weights: &[F], student: &[F], teacher: &[F]| {
        let scores = student.iter().zip(teacher);
        for ((lane, &weight), (&s, &t)) in lanes.iter_mut().zip(weights).zip(scores) {
            *lane += weight * ((t - top_t) - (s - top_s));
        }
    };
    for ((weights, student), teacher) in weight_chunks.iter().zip(student_chunks).zip(teacher_chunks) {
        add(weights, student, teacher);
    }
    add(weight_tail, student_tail, teacher_tail);
    lanes.iter().map(|lane| lane.to_f64()).sum()
}

/// Scores below which a second thread costs more than it saves.
const PARALLEL: usize = 1 << 15;

/// A task: its number, what it writes, and the scores of student and teacher, as iterators zip them.
type Block<'a, F> = (usize, (((&'a mut [F], &'a mut [F]), &'a [F]), &'a [F]));

/// Losses of every row into `losses`, and `scale` times their gradients with respect to the student into `gradient`.
///
/// # Panics
/// When the sizes disagree.
pub fn forward_backward<F: Real, L: PairLoss>(
    loss: &L,
    (student, teacher): (&[F], &[F]),
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    assert!(classes >= 1, "a row needs at least one class");
    assert_eq!(
        student.len(),
        losses.len() * classes,
        "{} scores for {} rows of {classes} classes",
        student.len(),
        losses.len()
    );
    assert_eq!(
        teacher.len(),
        student.len(),
        "a teacher scores what its student scores"
    );
    assert_eq!(
        gradient.len(),
        student.len(),
        "a gradient has the size of its scores"
    );
    // About 64 KiB of scores a task, so that a block stays in the second-level cache.
    let rows = ((1 << 14) / classes).max(1);
    let run = |(block, (((gradient, losses), student), teacher)): Block<F>| {
        run_block(
            loss,
            block * rows,
            (student, teacher),
            classes,
            scale,
            losses,
            gradient,
        );
    };
    if student.len() < PARALLEL {
        gradient
            .chunks_mut(rows * classes)
            .zip(losses.chunks_mut(rows))
            .zip(student.chunks(rows * classes))
            .zip(teacher.chunks(rows * classes))
            .enumerate()
            .for_each(run);
    } else {
        gradient
            .par_chunks_mut(rows * classes)
            .zip(losses.par_chunks_mut(rows))
            .zip(student.par_chunks(rows * classes))
            .zip(teacher.par_chunks(rows * classes))
            .enumerate()
            .for_each(run);
    }
}

fn run_block<F: Real, L: PairLoss>(
    loss: &L,
    first: usize,
    pair: (&[F], &[F]),
    classes: usize,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    #[inline(always)]
    fn body<F: Real, L: PairLoss>(
        loss: &L,
        first: usize,
        pair: (&[F], &[F]),
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ) {
        let mut scratch = vec![F::ZERO; classes];
        let rows = pair.0.chunks_exact(classes).zip(pair.1.chunks_exact(classes));
        let rows = rows.zip(losses).zip(gradient.chunks_exact_mut(classes));
        for (index, ((pair, out), gradient)) in (first..).zip(rows) {
            *out = F::from_f64(loss.row(index, pair, scale, gradient, &mut scratch));
        }
    }
    dispatch!([F: Real, L: PairLoss] body, (
        loss: &L,
        first: usize,
        pair: (&[F], &[F]),
        classes: usize,
        scale: f64,
        losses: &mut [F],
        gradient: &mut [F],
    ));
}

#[cfg(test)]
mod tests {
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
}
