//! Cross-entropy to labels: the kernel's members, and the tensor operations that specify them.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::batch::{RowKernel, Rows};
use thalweg_kernels::real::Real;
use thalweg_kernels::rowwise::{ClassWeights, Coefficients, Member, OfSoftmax, Row};

use super::super::logsumexp_z_loss::log_sum_exp;
use super::super::rowwise::{check_batch, of_memory};
use super::CrossEntropyLoss;
use crate::Reduction;
use crate::bridge::CpuFloats;

impl CrossEntropyLoss {
    pub(super) fn of_labels(
        &self,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        reduction: Reduction,
    ) -> Tensor<1> {
        check_batch(&logits, &targets);
        self.check_weights(&logits);
        match CpuFloats::of(&logits) {
            Some(memory) => self.fused(&memory, &logits, targets, reduction),
            None => self.composed(logits, targets, reduction),
        }
    }

    fn fused(
        &self,
        memory: &CpuFloats,
        logits: &Tensor<2>,
        targets: Tensor<1, Int>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let [_, classes] = logits.dims();
        let (targets, counted) = self.read(targets, classes);
        let (total, regulariser) = match reduction {
            Reduction::Mean => {
                let classes_counted = targets.iter().zip(&counted).filter(|(_, counts)| **counts);
                let weights = classes_counted.map(|(&class, _)| self.weight(class as usize));
                let (samples, weight) = weights.fold((0.0, 0.0), |(n, sum), w| (n + 1.0, sum + w));
                // Everything is divided by the weight, but the regulariser's mean is over samples.
                (Some(1.0 / weight), weight / samples)
            }
            Reduction::Sum => (Some(1.0), 1.0),
            Reduction::None => (None, 1.0),
        };
        let member = Labelled {
            class_weights: self.class_weights.as_ref(),
            counted: Some(&counted),
            smoothing: self.smoothing,
            logsumexp_z: self.logsumexp_z * regulariser,
        };
        of_memory(&LabelKernel(member), memory, logits, &targets, total)
    }

    /// The kernel of the mean over samples that all count.
    ///
    /// # Panics
    /// When a class is ignored, or the classes have weights: what samples weigh is then a matter of the batch.
    pub(crate) fn kernel(&self) -> impl RowKernel {
        assert!(
            self.ignore_index.is_none() && self.class_weights.is_none(),
            "samples weigh alike only without ignored classes and class weights"
        );
        LabelKernel(Labelled {
            class_weights: None,
            counted: None,
            smoothing: self.smoothing,
            logsumexp_z: self.logsumexp_z,
        })
    }

    /// The class of each sample, any where it is ignored; and whether it counts.
    fn read(&self, targets: Tensor<1, Int>, classes: usize) -> (Vec<u32>, Vec<bool>) {
        let labels = targets.into_data().try_into_vec_as::<i64>();
        let labels = labels.expect("class indices are integers");
        let class = |(row, label): (usize, i64)| {
            if Some(label) == self.ignore_index {
                return (0, false);
            }
            match u32::try_from(label) {
                Ok(class) if (class as usize) < classes => (class, true),
                _ => panic!(
                    "target {label} of row {row} is not in 0..{classes}{}",
                    match self.ignore_index {
                        Some(ignored) => format!(", nor the ignored {ignored}"),
                        None => String::new(),
                    }
                ),
            }
        };
        labels.into_iter().enumerate().map(class).unzip()
    }

    /// The reduced loss by tensor operations.
    pub(super) fn composed(
        &self,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let ignored = match self.ignore_index {
            Some(ignored) => targets.clone().equal_elem(ignored),
            None => targets.zeros_like().bool(),
        };
        let targets = targets.mask_fill(ignored.clone(), 0);
        let rows = ignored.clone().reshape([batch, 1]).repeat_dim(1, classes);
        let logits = logits.mask_fill(rows, 0.0);
        let weights = self.weights_like(&logits);
        let own_weights = weights
            .clone()
            .select(0, targets.clone())
            .mask_fill(ignored.clone(), 0.0);
        let log_p = log_softmax(logits.clone(), 1);
        let own = log_p.clone().gather(1, targets.reshape([batch, 1]));
        let own = own.reshape([batch]) * own_weights.clone();
        let all = (log_p * weights.reshape([1, classes]))
            .sum_dim(1)
            .reshape([batch]);
        let all = all.mask_fill(ignored.clone(), 0.0) * (self.smoothing / classes as f64);
        let cross = own * (self.smoothing - 1.0) - all;
        let log_sum_exp = log_sum_exp(logits).mask_fill(ignored.clone(), 0.0);
        let regulariser = log_sum_exp.clone() * log_sum_exp * self.logsumexp_z;
        match reduction {
            Reduction::None => cross + regulariser,
            Reduction::Sum => (cross + regulariser).sum(),
            Reduction::Mean => {
                let counted = own_weights.ones_like().mask_fill(ignored, 0.0).sum();
                cross.sum() / own_weights.sum() + regulariser.sum() / counted
            }
        }
    }
}

/// Cross-entropy to labels, of one batch.
struct LabelKernel<'b>(Labelled<'b>);

impl RowKernel for LabelKernel<'_> {
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]) {
        let Self(member) = self;
        if member.smoothing == 0.0 {
            OfSoftmax(member).losses(rows, losses);
        } else {
            OfSoftmax(&Smoothed(*member)).losses(rows, losses);
        }
    }

    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]) {
        let Self(member) = self;
        if member.smoothing == 0.0 {
            OfSoftmax(member).gradients(rows, scale, losses, gradient);
        } else {
            OfSoftmax(&Smoothed(*member)).gradients(rows, scale, losses, gradient);
        }
    }
}

/// Cross-entropy to labels without smoothing.
#[derive(Clone, Copy)]
struct Labelled<'b> {
    class_weights: Option<&'b ClassWeights>,
    /// Whether each sample counts; all where there are none.
    counted: Option<&'b [bool]>,
    smoothing: f64,
    logsumexp_z: f64,
}

impl Labelled<'_> {
    #[inline(always)]
    fn own_weight(&self, class: usize) -> f64 {
        self.class_weights.map_or(1.0, |weights| weights.each()[class])
    }
}

impl Member for Labelled<'_> {
    #[inline(always)]
    fn counts(&self, index: usize) -> bool {
        self.counted.is_none_or(|counted| counted[index])
    }

    #[inline(always)]
    fn row(&self, row: Row) -> Coefficients {
        let own = (1.0 - self.smoothing) * self.own_weight(row.target);
        Coefficients {
            loss: self.logsumexp_z * row.log_sum_exp * row.log_sum_exp - own * row.log_p,
            softmax: own + 2.0 * self.logsumexp_z * row.log_sum_exp,
            target: -own,
            uniform: 0.0,
        }
    }
}

/// The same with the rest of the label spread over all classes.
struct Smoothed<'b>(Labelled<'b>);

impl Member for Smoothed<'_> {
    const NEEDS_MEAN: bool = true;

    #[inline(always)]
    fn class_weights(&self) -> Option<&ClassWeights> {
        self.0.class_weights
    }

    #[inline(always)]
    fn counts(&self, index: usize) -> bool {
        self.0.counts(index)
    }

    #[inline(always)]
    fn row(&self, row: Row) -> Coefficients {
        let smoothing = self.0.smoothing;
        let own = self.0.row(row);
        Coefficients {
            loss: own.loss - smoothing * row.mean_log_p,
            softmax: own.softmax + smoothing * self.0.class_weights.map_or(1.0, ClassWeights::mean),
            target: own.target,
            uniform: -smoothing / row.classes as f64,
        }
    }
}
