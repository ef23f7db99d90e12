//! The softmaxes of a student and a teacher on the same row, and their divergence.

use super::LANES;
use crate::real::Real;

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
pub(super) fn maximum<F: Real>(row: &[F]) -> F {
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
pub(super) fn exponentials<F: Real>(scores: &[F], top: F, scale: F, out: &mut [F]) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (chunks, tail) = scores.as_chunks::<LANES>();
    let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
    for (chunk, out) in chunks.iter().zip(out_chunks) {
        for ((lane, &score), out) in lanes.iter_mut().zip(chunk).zip(out) {
            *out = ((score - top) * scale).exp_lane();
            *lane += *out;
        }
    }
    for ((lane, &score), out) in lanes.iter_mut().zip(tail).zip(out_tail) {
        *out = ((score - top) * scale).exp_lane();
        *lane += *out;
    }
    lanes.iter().map(|lane| lane.to_f64()).sum()
}

/// `Σ w_k ((t_k − top_t) − (s_k − top_s))`.
#[inline(always)]
fn weighted_gap<F: Real>(weights: &[F], (student, top_s): (&[F], F), (teacher, top_t): (&[F], F)) -> f64 {
    let mut lanes = [F::ZERO; LANES];
    let (weight_chunks, weight_tail) = weights.as_chunks::<LANES>();
    let (student_chunks, student_tail) = student.as_chunks::<LANES>();
    let (teacher_chunks, teacher_tail) = teacher.as_chunks::<LANES>();
    for ((weights, student), teacher) in weight_chunks.iter().zip(student_chunks).zip(teacher_chunks) {
        let scores = student.iter().zip(teacher);
        for ((lane, &weight), (&s, &t)) in lanes.iter_mut().zip(weights).zip(scores) {
            *lane += weight * ((t - top_t) - (s - top_s));
        }
    }
    let scores = student_tail.iter().zip(teacher_tail);
    for ((lane, &weight), (&s, &t)) in lanes.iter_mut().zip(weight_tail).zip(scores) {
        *lane += weight * ((t - top_t) - (s - top_s));
    }
    lanes.iter().map(|lane| lane.to_f64()).sum()
}
