//! The softmaxes of a student and a teacher on the same row, and their divergence.

use crate::lanes::{exponentials, largest, sum};
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
        // Of short rows an empty stretch would cost as much as a full one.
        let stretches = || stretches.iter().filter(|stretch| !stretch.is_empty()).cloned();
        let (mut top_student, mut top_teacher) = (F::NEG_INFINITY, F::NEG_INFINITY);
        for stretch in stretches() {
            top_student = top_student.larger(largest(&student[stretch.clone()]));
            top_teacher = top_teacher.larger(largest(&teacher[stretch]));
        }
        let lane_scale = F::from_f64(scale);
        let (mut sum_student, mut sum_teacher, mut gap) = (0.0, 0.0, 0.0);
        for stretch in stretches() {
            let (s, t) = (&student[stretch.clone()], &teacher[stretch.clone()]);
            let own = &mut students[stretch.clone()];
            exponentials(s, top_student, lane_scale, own);
            sum_student += sum([own], |[e]| e);
            let weights = &mut teachers[stretch];
            exponentials(t, top_teacher, lane_scale, weights);
            sum_teacher += sum([weights], |[e]| e);
            gap += sum([weights, s, t], |[weight, s, t]| {
                weight * ((t - top_teacher) - (s - top_student))
            });
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
