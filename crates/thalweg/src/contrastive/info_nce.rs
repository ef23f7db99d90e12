//! InfoNCE: `ℓ_i = −log( exp(s_ii/τ) / Σ_j exp(s_ij/τ) )`, the keys of one view as candidates of the queries of the other.
//!
//! Keys beyond the queries are negatives of all, as those of a MoCo queue.
//!
//! Not to be mixed up with [`NtXentLoss`](super::NtXentLoss), whose anchors meet both views.
//!
//! Sources: van den Oord, Li, Vinyals, 2018 (arXiv 1807.03748); Wang, Liu, "Understanding the behaviour of contrastive loss",
//! CVPR 2021 (arXiv 2012.09740).

use burn::config::Config;
use burn::tensor::Tensor;

use super::pairs::temperature;
use super::{InBatchSoftmax, Pairs, Similarity, Temperature};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`InfoNceLoss`].
#[derive(Config, Debug)]
pub struct InfoNceLossConfig {
    /// Temperature τ, above 0.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// How alike two embeddings are.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the losses of queries become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl InfoNceLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not positive.
    pub fn init(&self) -> Result<InfoNceLoss, ConfigError> {
        Ok(InfoNceLoss {
            temperature: temperature("info_nce", self.temperature)?,
            softmax: InBatchSoftmax {
                similarity: self.similarity,
                reduction: self.reduction,
            },
        })
    }
}

/// InfoNCE of queries and keys.
#[derive(Clone, Debug)]
pub struct InfoNceLoss {
    temperature: f64,
    softmax: InBatchSoftmax,
}

impl InfoNceLoss {
    /// # Shapes
    /// - queries `[batch, width]`, keys `[candidates, width]` of which the first belong to the queries; returns `[1]`, or
    ///   `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When there are no queries, fewer keys than queries, or the widths differ.
    pub fn forward(&self, queries: Tensor<2>, keys: Tensor<2>) -> Tensor<1> {
        self.forward_at(queries, keys, &self.temperature.into())
    }

    /// At a temperature of its own: learned, or one a query. Shapes and panics as [`forward`](Self::forward).
    pub fn forward_at(&self, queries: Tensor<2>, keys: Tensor<2>, temperature: &Temperature) -> Tensor<1> {
        self.softmax.forward(&Pairs::in_batch(queries, keys), temperature)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "infonce_loss",
            "InfoNCE of two views, each anchor among the keys of the other, and its gradients",
        )
        .param("tau", 0.07)
        .param("normalize", true)
        .input("u", "[n, d]")
        .input("v", "[n, d]")
        .eval(|case| {
            case.embeddings(&["u", "v"])?;
            let similarity = case.similarity(&["u", "v"])?;
            let loss = InfoNceLossConfig::new()
                .with_temperature(case.param("tau")?)
                .with_similarity(similarity)
                .init()?;
            let (u, v) = (case.variable::<2>("u"), case.variable::<2>("v"));
            let value = loss.forward(u.clone(), v.clone());
            Ok(case.value_and_gradients(value, &[("u", &u), ("v", &v)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::in_batch::tests::*;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_common_rotation_changes_nothing_and_the_loss_is_never_negative(
            n in 1_usize..9, seed in 0_u64..1000, angle in 0.0_f64..6.3, temperature in 0.02_f64..3.0,
        ) {
            let [u, v] = embeddings([n, n], 2, 1.0, seed, DType::F64);
            let (sin, cos) = angle.sin_cos();
            let turn = Tensor::<2>::from_data([[cos, -sin], [sin, cos]], (&u.device(), DType::F64));
            let loss = InfoNceLossConfig::new().with_temperature(temperature).init().unwrap();
            let plain = number(loss.forward(u.clone(), v.clone()));
            let turned = number(loss.forward(u.matmul(turn.clone()), v.matmul(turn)));
            prop_assert!(plain >= 0.0);
            prop_assert!((plain - turned).abs() < 1e-9 * (1.0 + plain), "{plain} {turned}");
        }

        #[test]
        fn collapsed_embeddings_have_the_loss_of_chance(n in 1_usize..50, temperature in 0.02_f64..3.0) {
            let u = Tensor::<2>::full([n, 3], 0.6, (&burn::tensor::Device::flex(), DType::F64));
            let loss = InfoNceLossConfig::new().with_temperature(temperature).init().unwrap();
            prop_assert!((number(loss.forward(u.clone(), u)) - (n as f64).ln()).abs() < 1e-12);
        }
    }

    #[test]
    fn keys_of_a_queue_are_negatives() {
        let [u, v] = embeddings([3, 8], 4, 1.0, 1, DType::F64);
        let loss = InfoNceLossConfig::new().init().unwrap();
        let few = number(loss.forward(u.clone(), v.clone().slice([0..3, 0..4])));
        assert!(number(loss.forward(u, v)) > few);
    }

    #[test]
    fn a_temperature_of_zero_is_refused() {
        let error = InfoNceLossConfig::new().with_temperature(0.0).init().unwrap_err();
        assert_eq!(
            error.to_string(),
            "info_nce: `temperature` is 0; it must be above 0 and finite"
        );
    }
}
