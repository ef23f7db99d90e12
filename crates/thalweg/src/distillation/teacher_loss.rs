//! A loss of student and teacher logits behind one type, and how it meets burn: the fused kernel where both are CPU floats
//! of one type, tensor operations everywhere else. The teacher is a constant.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use thalweg_kernels::pairs::{PairLoss, forward_backward};

use crate::Reduction;
use crate::bridge::{CpuFloat, CpuFloats, Floats, written};
use crate::classification::rowwise::assembled;
use crate::quantity::{Case, Outputs, QuantityError};

/// What a student can be taught by: a loss of its logits, its teacher's, and the labels.
pub trait TaughtLoss: Send {
    /// # Shapes
    /// - student and teacher logits `[batch, classes]`, targets `[batch]`; returns `[1]`, or `[batch]` where the reduction
    ///   is none.
    fn of_batch(&self, student: Tensor<2>, teacher: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1>;
}

type Reduced = dyn Fn(Tensor<2>, Tensor<2>, Reduction) -> Tensor<1> + Send + Sync;

/// The loss of a batch of student and teacher logits, as the `init` of several configurations makes it.
#[derive(Clone)]
pub struct TeacherLoss {
    reduced: Arc<Reduced>,
    reduction: Reduction,
}

impl fmt::Debug for TeacherLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("TeacherLoss")
            .field("reduction", &self.reduction)
            .finish_non_exhaustive()
    }
}

impl TeacherLoss {
    /// By its kernel, and by the tensor operations that specify it.
    pub(super) fn new(
        kernel: impl PairLoss + Send + 'static,
        composed: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> + Send + Sync + 'static,
        reduction: Reduction,
    ) -> Self {
        Self {
            reduced: Arc::new(move |student, teacher, reduction| {
                reduced(&kernel, &composed, student, teacher, reduction)
            }),
            reduction,
        }
    }

    /// # Shapes
    /// - student and teacher logits `[batch, classes]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty, there are fewer than two classes, or the shapes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        (self.reduced)(student, teacher, self.reduction)
    }

    /// The loss of each sample, `[batch]`, whatever the reduction. Shapes and panics as [`forward`](Self::forward).
    pub fn per_sample(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        (self.reduced)(student, teacher, Reduction::None)
    }
}

impl TaughtLoss for TeacherLoss {
    fn of_batch(&self, student: Tensor<2>, teacher: Tensor<2>, _: Tensor<1, Int>) -> Tensor<1> {
        self.forward(student, teacher)
    }
}

/// The reduced loss, by the kernel where there is one.
///
/// # Panics
/// When the batch is empty, there are fewer than two classes, or the shapes differ.
pub(crate) fn reduced(
    kernel: &impl PairLoss,
    composed: impl FnOnce(Tensor<2>, Tensor<2>) -> Tensor<1>,
    student: Tensor<2>,
    teacher: Tensor<2>,
    reduction: Reduction,
) -> Tensor<1> {
    let teacher = teacher.detach();
    check_pair(&student, &teacher);
    let memories = (CpuFloats::of(&student), CpuFloats::of(&teacher));
    if let (Some(own), Some(other)) = &memories {
        match (own.floats(), other.floats()) {
            (Floats::F32(own), Floats::F32(other)) => {
                return fused(kernel, (own, other), &student, reduction);
            }
            (Floats::F64(own), Floats::F64(other)) => {
                return fused(kernel, (own, other), &student, reduction);
            }
            _ => {}
        }
    }
    reduction.of(composed(student, teacher))
}

pub(super) fn check_pair(student: &Tensor<2>, teacher: &Tensor<2>) {
    let [batch, classes] = student.dims();
    assert!(batch > 0, "an empty batch has no loss");
    assert!(
        classes >= 2,
        "logits [{batch}, {classes}]: at least 2 classes are needed"
    );
    assert_eq!(
        student.dims(),
        teacher.dims(),
        "logits of student and teacher differ in shape"
    );
}

fn fused<F: CpuFloat>(
    kernel: &impl PairLoss,
    pair: (&[F], &[F]),
    student: &Tensor<2>,
    reduction: Reduction,
) -> Tensor<1> {
    let [batch, classes] = student.dims();
    let mut losses = vec![F::ZERO; batch];
    let gradient = written([batch, classes], |gradient| {
        forward_backward(
            kernel,
            pair,
            classes,
            reduction.scale(batch),
            &mut losses,
            gradient,
        );
    });
    assembled(
        student,
        losses,
        student.is_tracked().then_some(gradient),
        reduction,
    )
}

impl Case<'_> {
    /// Checks logits: not empty, at least two classes, all finite.
    pub(super) fn logits(&self, name: &str) -> Result<(), QuantityError> {
        self.not_empty(name)?;
        let array = self.array(name);
        if let classes @ 0..2 = array.shape[1] {
            let problem = format!("has {classes} columns; at least 2 classes are needed");
            return self.refuse_input(name, problem);
        }
        match array.data.iter().position(|logit| !logit.is_finite()) {
            Some(at) => self.refuse_input(
                name,
                format!("holds {} at index {at}; logits are finite", array.data[at]),
            ),
            None => Ok(()),
        }
    }

    /// A loss of the inputs `student_logits` and `teacher_logits`: `value`, `per_sample` and `grad_student_logits`.
    pub(super) fn teacher_loss(&self, loss: &TeacherLoss) -> Result<Outputs, QuantityError> {
        self.logits("student_logits")?;
        self.logits("teacher_logits")?;
        let (student, teacher) = (
            self.variable::<2>("student_logits"),
            self.tensor("teacher_logits"),
        );
        let per_sample = loss.per_sample(self.tensor("student_logits"), self.tensor("teacher_logits"));
        let value = loss.forward(student.clone(), teacher);
        Ok(self
            .value_and_gradients(value, &[("student_logits", &student)])
            .with_tensor("per_sample", per_sample))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use burn::tensor::DType;
    use thalweg_kernels::random::Stream;

    use super::*;
    use crate::classification::rowwise::tests::*;

    /// Random student and teacher logits of the given spread.
    pub fn random_pair(batch: usize, classes: usize, spread: f32, seed: u64, dtype: DType) -> [Tensor<2>; 2] {
        [2 * seed, 2 * seed + 1].map(|seed| random_batch(batch, classes, spread, seed, dtype).0)
    }

    pub fn values(tensor: Tensor<1>) -> Vec<f64> {
        tensor.into_data().try_into_vec_as::<f64>().unwrap()
    }

    /// Holds a kernel equal to the tensor operations, in value and gradient, for every reduction and both float types; the
    /// gradient equal to central differences; and both finite for logits of ±1e4.
    pub fn kernel_equals_composition(
        kernel: &impl PairLoss,
        composed: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    ) {
        for (batch, classes, seed) in [(1, 2, 0), (5, 7, 1), (3, 130, 2)] {
            for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
                let [student, teacher] = random_pair(batch, classes, 3.0, seed, dtype);
                for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
                    let fused = value_and_gradient(&student, |s| {
                        reduced(kernel, &composed, s, teacher.clone(), reduction)
                    });
                    let plain = value_and_gradient(&student, |s| reduction.of(composed(s, teacher.clone())));
                    assert_close(&fused.0, &plain.0, tolerance);
                    assert_close(&fused.1, &plain.1, tolerance);
                }
            }
        }
        let loss = |s: Tensor<2>, t: Tensor<2>| reduced(kernel, &composed, s, t, Reduction::Mean);
        let [student, teacher] = random_pair(4, 5, 2.0, 3, DType::F64);
        let (_, gradient) = value_and_gradient(&student, |s| loss(s, teacher.clone()));
        let numeric = central_differences(&student, |s| loss(s, teacher.clone()));
        assert_close(&gradient, &numeric, 1e-8);
        let mut stream = Stream::new(4, "extremes", 0);
        for _ in 0..20 {
            let mut extreme = || [1e4, -1e4, 0.0, 9.99e3][stream.below(4)];
            let rows: [[f32; 3]; 2] = [[(); 3].map(|()| extreme()), [(); 3].map(|()| extreme())];
            let [student, teacher] = rows.map(|row| Tensor::<2>::from_floats([row], &student.device()));
            let (value, gradient) = value_and_gradient(&student, |s| loss(s, teacher.clone()));
            assert!(
                value.iter().chain(&gradient).all(|x| x.is_finite()),
                "{rows:?}: {value:?} {gradient:?}"
            );
        }
    }
}
