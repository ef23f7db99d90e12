//! Softmax over scaled cosines with class weights, with a margin head at the label:
//! `ℓ_i = −log( exp(s t'_i) / (exp(s t'_i) + Σ_{j≠y_i} exp(s cos_ij) + Σ_{v∈S'} exp(s v)) )`, `cos_ij = ⟨x_i, W_j⟩/(‖x_i‖‖W_j‖)`,
//! `t'_i` what the head makes of `cos_{i,y_i}`.
//!
//! `S'` is empty, or for [UNPG](super::UnpgLossConfig) the kept negative pairs of the batch. On CPU floats value and gradients
//! come from one pass; elsewhere, and without a reduction, from tensor operations.

use burn::tensor::{Int, Tensor};

use super::error::{Problem, VerificationError};
use super::fused::Sides;
use super::{ArcFace, CosFace, Head, PairFilter, composed};
use crate::bridge::{CpuFloat, CpuFloats, Floats, constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::config::require;
use crate::quantity::{Case, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// A margin-softmax loss of features, class weights and labels.
#[derive(Clone, Copy, Debug)]
pub struct MarginSoftmaxLoss {
    pub(super) head: Head,
    pub(super) scale: f64,
    /// Which pairs of the batch count as negatives of every sample; none at all where there is no filter.
    pub(super) pairs: Option<PairFilter>,
    pub(super) reduction: Reduction,
}

impl MarginSoftmaxLoss {
    /// A loss with a head at scale s, without in-batch pairs.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn new(head: Head, scale: f64, reduction: Reduction) -> Result<Self, ConfigError> {
        let valid = |scale: f64| scale > 0.0 && scale.is_finite();
        Ok(Self {
            head: head.checked()?,
            scale: require("margin_softmax", "scale", scale, "above 0 and finite", valid)?,
            pairs: None,
            reduction,
        })
    }

    /// Its head.
    pub fn head(&self) -> Head {
        self.head
    }

    /// # Shapes
    /// - features `[batch, width]`, weights `[classes, width]`, labels `[batch]`; returns `[1]`, or `[batch]` for
    ///   [`Reduction::None`].
    ///
    /// # Errors
    /// When there are no samples or classes, a row of features or weights has no direction or is not finite, or a label is no
    /// class.
    ///
    /// # Panics
    /// When the shapes disagree.
    pub fn forward(
        &self,
        features: Tensor<2>,
        weights: Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> Result<Tensor<1>, VerificationError> {
        let labels = checked_labels(&features, &weights, labels)?;
        if self.reduction != Reduction::None
            && let (Some(x), Some(w)) = (CpuFloats::gathered(&features), CpuFloats::gathered(&weights))
        {
            match (x.floats(), w.floats()) {
                (Floats::F32(x), Floats::F32(w)) => return self.fused([x, w], [features, weights], &labels),
                (Floats::F64(x), Floats::F64(w)) => return self.fused([x, w], [features, weights], &labels),
                _ => {}
            }
        }
        composed::loss(self, features, weights, &labels)
    }

    fn fused<F: CpuFloat>(
        &self,
        memory: [&[F]; 2],
        [features, weights]: [Tensor<2>; 2],
        labels: &[u32],
    ) -> Result<Tensor<1>, VerificationError> {
        let [count, width] = features.dims();
        let sides = Sides::new(memory, width, labels)?;
        let (value, slopes) = sides.value(self, self.reduction.scale(count));
        let (device, dtype) = (features.device(), features.dtype());
        let value = constant(vec![F::from_f64(value)], [1], &device, dtype);
        let tracked = (features.is_tracked(), weights.is_tracked());
        if tracked == (false, false) {
            return Ok(value);
        }
        let [by_features, by_weights] = sides.gradients(slopes);
        let gradient = |values: Vec<F>, of: &Tensor<2>| constant::<2, F>(values, of.dims(), &device, dtype);
        let by_features = gradient(by_features, &features);
        let by_weights = gradient(by_weights, &weights);
        Ok(match tracked {
            (true, false) => with_gradients(value, [(features, by_features)]),
            (false, true) => with_gradients(value, [(weights, by_weights)]),
            _ => with_gradients(value, [(features, by_features), (weights, by_weights)]),
        })
    }

    /// Cosines of samples with classes, that of the label with its margin, not scaled; outside any autodiff graph.
    ///
    /// # Shapes
    /// - as [`forward`](Self::forward); returns `[batch, classes]`.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    ///
    /// # Panics
    /// When the shapes disagree.
    pub fn cosines(
        &self,
        features: &Tensor<2>,
        weights: &Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> Result<Tensor<2>, VerificationError> {
        let labels = checked_labels(features, weights, labels)?;
        let ([count, width], [classes, _]) = (features.dims(), weights.dims());
        let (x, w) = (host_scores(features), host_scores(weights));
        let cosines = Sides::new([&x, &w], width, &labels)?.cosines(self);
        let (device, dtype) = (features.device(), features.dtype());
        Ok(constant(cosines.values, [count, classes], &device, dtype))
    }
}

/// Labels on the host, all of them classes.
fn checked_labels(
    features: &Tensor<2>,
    weights: &Tensor<2>,
    labels: Tensor<1, Int>,
) -> Result<Vec<u32>, VerificationError> {
    let ([count, width], [classes, other]) = (features.dims(), weights.dims());
    assert_eq!(
        width, other,
        "features [{count}, {width}] and weights [{classes}, {other}] differ in width"
    );
    let [labelled] = labels.dims();
    assert_eq!(
        count, labelled,
        "features [{count}, {width}] and labels [{labelled}] differ in batch size"
    );
    for (input, rows) in [("features", count), ("weights", classes)] {
        if rows * width == 0 {
            return Err(VerificationError::new(input, Problem::Empty));
        }
    }
    let labels = labels.into_data().try_into_vec_as::<i64>();
    let labels = labels.expect("labels are integers").into_iter().enumerate();
    labels
        .map(|(row, label)| match u32::try_from(label) {
            Ok(class) if (class as usize) < classes => Ok(class),
            _ => {
                let problem = Problem::Label { row, label, classes };
                Err(VerificationError::new("labels", problem))
            }
        })
        .collect()
}

impl Case<'_> {
    /// The head that the parameters `head`, `m` and those of MagFace name.
    pub(super) fn head(&self) -> Result<Head, QuantityError> {
        let margin = self.param("m")?;
        let heads = [
            ("softmax", Head::Softmax),
            ("cosface", Head::CosFace(CosFace { margin })),
            ("arcface", Head::ArcFace(ArcFace { margin })),
            ("magface", Head::MagFace(self.mag_face()?)),
        ];
        self.choice("head", &heads)
    }

    /// Labels that are rows of the input `weights`.
    pub(super) fn labels_of_weights(&self) -> Result<Tensor<1, Int>, QuantityError> {
        self.labels("labels", self.array("weights").shape[0])
    }
}

/// A quantity of a head, features, weights and labels.
pub(super) fn of_head(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .required_param("head")
        .with_example("head", "arcface")
        .param("s", 64.0)
        .param("m", 0.5)
        .param("l_margin", 0.45)
        .param("u_margin", 0.8)
        .param("l_a", 10.0)
        .param("u_a", 110.0)
        .input("features", "[n, d]")
        .input("weights", "[C, d]")
        .input("labels", "[n]")
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        of_head(
            "margin_softmax_loss",
            "cross-entropy of scaled cosines with a margin at the label, without a norm regulariser, and its gradients",
        )
        .eval(|case| {
            let loss = MarginSoftmaxLoss::new(case.head()?, case.param("s")?, Reduction::Mean)?;
            let (features, weights) = (case.variable::<2>("features"), case.variable::<2>("weights"));
            let labels = case.labels_of_weights()?;
            let cosines = loss.cosines(&features, &weights, labels.clone())?;
            let value = loss.forward(features.clone(), weights.clone(), labels)?;
            Ok(case
                .value_and_gradients(value, &[("features", &features), ("weights", &weights)])
                .with_tensor("cosine", cosines))
        }),
    ]
}
