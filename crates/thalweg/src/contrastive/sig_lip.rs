//! SigLIP: every pair by itself, `(1/n) Σ_ij softplus(−y_ij (s_ij/τ + b))`, y = 1 where i = j and −1 elsewhere.
//!
//! The paper learns both numbers, starting at τ = 1/10 and b = −10.
//!
//! Source: Zhai, Mustafa, Kolesnikov, Beyer, "Sigmoid loss for language image pre-training", ICCV 2023 (arXiv 2303.15343).

use burn::config::Config;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Element, Tensor};
use thalweg_kernels::in_batch::{Sigmoid, sigmoid_loss};
use thalweg_kernels::real::Real;

use super::Similarity;
use super::pairs::{Product, check_sides, temperature};
use super::prepared::{Prepared, Role};
use crate::ConfigError;
use crate::bridge::{CpuFloats, Floats, constant, with_gradients};
use crate::config::require;
use crate::quantity::Quantity;

/// Configuration of [`SigLipLoss`].
#[derive(Config, Debug)]
pub struct SigLipLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 0.1)]
    pub temperature: f64,
    /// Bias b.
    #[config(default = "-10.0")]
    pub bias: f64,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
}

impl SigLipLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive or the bias not finite.
    pub fn init(&self) -> Result<SigLipLoss, ConfigError> {
        Ok(SigLipLoss {
            temperature: temperature("sig_lip", self.temperature)?,
            bias: require("sig_lip", "bias", self.bias, "finite", f64::is_finite)?,
            similarity: self.similarity,
        })
    }
}

/// SigLIP's loss of pairs, a mean over them.
#[derive(Clone, Debug)]
pub struct SigLipLoss {
    temperature: f64,
    bias: f64,
    similarity: Similarity,
}

impl SigLipLoss {
    /// # Shapes
    /// - both sides `[batch, width]`; returns `[1]`.
    ///
    /// # Panics
    /// When the batch is empty or the shapes differ.
    pub fn forward(&self, left: Tensor<2>, right: Tensor<2>) -> Tensor<1> {
        let number = |value: f64| Tensor::full([1], value, (&left.device(), left.dtype()));
        let (scale, bias) = (number(1.0 / self.temperature), number(self.bias));
        self.forward_at(left, right, scale, bias)
    }

    /// With a factor of the similarity, `1/τ`, and a bias of its own, `[1]` each, which may be learned. Shapes and panics as
    /// [`forward`](Self::forward).
    pub fn forward_at(
        &self,
        left: Tensor<2>,
        right: Tensor<2>,
        scale: Tensor<1>,
        bias: Tensor<1>,
    ) -> Tensor<1> {
        check_sides(&left, &right);
        let product = self.similarity.product();
        if let (Some(product), Some(a), Some(b)) = (product, CpuFloats::of(&left), CpuFloats::of(&right)) {
            match (a.floats(), b.floats()) {
                (Floats::F32(a), Floats::F32(b)) => {
                    return self.streamed(product, [a, b], [left, right], [scale, bias]);
                }
                (Floats::F64(a), Floats::F64(b)) => {
                    return self.streamed(product, [a, b], [left, right], [scale, bias]);
                }
                _ => {}
            }
        }
        self.composed([left, right], [scale, bias])
    }

    fn composed(&self, [left, right]: [Tensor<2>; 2], [scale, bias]: [Tensor<1>; 2]) -> Tensor<1> {
        let [count, _] = left.dims();
        let scores = self.similarity.matrix(left, right);
        let logits = scores * scale.unsqueeze() + bias.unsqueeze();
        let signs = Tensor::<2>::eye(count, &logits.device()).cast(logits.dtype()) * 2.0 - 1.0;
        -log_sigmoid(logits * signs).sum() * (1.0 / count as f64)
    }

    fn streamed<F: Real + Element>(
        &self,
        product: Product,
        memory: [&[F]; 2],
        [left, right]: [Tensor<2>; 2],
        numbers: [Tensor<1>; 2],
    ) -> Tensor<1> {
        let [count, width] = left.dims();
        let sides = [
            Prepared::new(product, Role::Query, memory[0], width),
            Prepared::new(product, Role::Key, memory[1], width),
        ];
        let [scale, bias] = numbers
            .each_ref()
            .map(|number| number.clone().into_scalar::<f64>());
        let found = sigmoid_loss(
            sides.each_ref().map(Prepared::rows),
            sides[0].width(),
            Sigmoid { scale, bias },
            1.0 / count as f64,
        );
        let (device, dtype) = (left.device(), left.dtype());
        let value = constant(vec![F::from_f64(found.loss)], [1], &device, dtype);
        let [by_left, by_right] = found.gradients;
        let [by_left, by_right] = [sides[0].back(by_left), sides[1].back(by_right)]
            .map(|gradient| constant::<2, F>(gradient, [count, width], &device, dtype));
        let [scale, bias] = numbers;
        if scale.is_tracked() || bias.is_tracked() {
            let [by_scale, by_bias] = [found.sigmoid.scale, found.sigmoid.bias]
                .map(|slope| constant::<2, F>(vec![F::from_f64(slope)], [1, 1], &device, dtype));
            let inputs = [
                (left, by_left),
                (right, by_right),
                (scale.unsqueeze(), by_scale),
                (bias.unsqueeze(), by_bias),
            ];
            return with_gradients(value, inputs);
        }
        with_gradients(value, [(left, by_left), (right, by_right)])
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "sig_lip_loss",
            "sigmoid loss of all pairs of image and text, a mean over images, and its gradients",
        )
        .param("tau", 0.1)
        .param("bias", -10.0)
        .param("normalize", true)
        .input("image", "[B, d]")
        .input("text", "[B, d]")
        .eval(|case| {
            case.embeddings(&["image", "text"])?;
            let loss = SigLipLossConfig::new()
                .with_temperature(case.param("tau")?)
                .with_bias(case.param("bias")?)
                .with_similarity(case.similarity(&["image", "text"])?)
                .init()?;
            let (image, text) = (case.variable::<2>("image"), case.variable::<2>("text"));
            let value = loss.forward(image.clone(), text.clone());
            Ok(case.value_and_gradients(value, &[("image", &image), ("text", &text)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::super::in_batch::tests::*;
    use super::*;

    #[test]
    fn streams_agree_with_the_composition() {
        for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::SquaredEuclidean] {
            for (count, dtype, tolerance) in [
                (5, DType::F64, 1e-11),
                (150, DType::F64, 1e-11),
                (70, DType::F32, 1e-4),
            ] {
                let loss = SigLipLossConfig::new()
                    .with_similarity(similarity)
                    .with_bias(-3.0)
                    .init()
                    .unwrap();
                let [left, right] = embeddings([count, count], 3, 1.0, 9, dtype);
                let [scale, bias] = [4.0, -2.0].map(|value| {
                    Tensor::<1>::full([1], value, (&left.device(), dtype))
                        .autodiff()
                        .require_grad()
                });
                let numbers = [&scale, &bias];
                let streamed = loss.forward_at(left.clone(), right.clone(), scale.clone(), bias.clone());
                let composed = loss.composed([left.clone(), right.clone()], [scale.clone(), bias.clone()]);
                assert_near(
                    &all_gradients(streamed, &[&left, &right], &numbers),
                    &all_gradients(composed, &[&left, &right], &numbers),
                    tolerance,
                );
                let (streamed, composed) = (
                    loss.forward(left.clone(), right.clone()),
                    loss.composed(
                        [left.clone(), right.clone()],
                        [10.0, -3.0].map(|value| Tensor::full([1], value, (&left.device(), dtype))),
                    ),
                );
                assert_near(
                    &all_gradients(streamed, &[&left, &right], &[]),
                    &all_gradients(composed, &[&left, &right], &[]),
                    tolerance,
                );
            }
        }
    }
}
