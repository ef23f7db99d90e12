//! Barlow Twins with a temperature for each pair of features.

use burn::tensor::{Bool, Tensor};

use super::OBJECTIVE;
use super::regularizer::{beta, regularizers};
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// Features whose centred values are shorter than this are constant.
const LEAST_NORM: f64 = 1e-12;

/// Each feature over the batch as a column of mean 0 and length 1, so that the product of two is their correlation; one that is
/// constant stays 0, and without slope.
///
/// # Shapes
/// - `[batch, features]`, as is what is returned.
pub(super) fn unit_columns(features: Tensor<2>) -> Tensor<2> {
    let centred = features.clone() - features.mean_dim(0);
    let squares = centred
        .clone()
        .square()
        .sum_dim(0)
        .clamp_min(LEAST_NORM * LEAST_NORM);
    centred / squares.sqrt()
}

/// The cross-correlation of the features of two views, standardised over the batch with variances divided by the batch's size:
/// `C_lm = mean_i â_il b̂_im`. A constant feature has correlation 0 with any.
///
/// # Shapes
/// - a, b `[batch, features]`; returns `[features, features]`.
///
/// # Panics
/// When the batches differ in size.
pub fn cross_correlation(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    assert_eq!(a.dims()[0], b.dims()[0], "two views of the same samples");
    unit_columns(a).transpose().matmul(unit_columns(b))
}

/// `Σ_c ( Σ_l (1 − C_ll/τ_l)² + λ Σ_{l≠m} C_lm²/τ_lm + β Σ_l Ω(τ_l) − β Σ_{l≠m} Ω(τ_lm) )`.
#[derive(Clone, Copy, Debug)]
pub struct AmclBarlowTwinsLoss {
    redundancy: f64,
    beta: f64,
}

impl AmclBarlowTwinsLoss {
    /// With weights λ of what features have in common and β of the regulariser.
    ///
    /// # Errors
    /// When either is negative or not finite.
    pub fn new(redundancy: f64, weight: f64) -> Result<Self, ConfigError> {
        let redundancy = require(OBJECTIVE, "lam", redundancy, "at least 0 and finite", |weight| {
            (0.0..f64::INFINITY).contains(&weight)
        })?;
        Ok(Self {
            redundancy,
            beta: beta(weight)?,
        })
    }

    /// The loss `[1]` of correlations and temperatures, with Ω for vectors of `width` numbers. It is a sum, not a mean.
    ///
    /// # Shapes
    /// - correlations and the temperatures of different features `[heads, features, features]`, the diagonal of the latter
    ///   without meaning; those of a feature with itself `[heads, features]`.
    ///
    /// # Panics
    /// When there is nothing in them, or the shapes disagree.
    pub fn forward(
        &self,
        correlations: Tensor<3>,
        own: Tensor<2>,
        between: Tensor<3>,
        width: f64,
    ) -> Tensor<1> {
        let [heads, features, columns] = correlations.dims();
        assert!(heads * features > 0, "no head of no feature has a loss");
        assert_eq!(features, columns, "features of both views");
        assert_eq!(own.dims(), [heads, features], "a temperature for each feature");
        assert_eq!(
            between.dims(),
            [heads, features, features],
            "a temperature for each pair"
        );
        let device = correlations.device();
        let off = Tensor::<2, Bool>::diag_mask([features, features], 0, &device).unsqueeze::<3>();
        let (off, on) = (off.clone(), off.bool_not());
        let over_all = |mask: &Tensor<3, Bool>| mask.clone().repeat(&[heads, 1, 1]);
        let diagonal = correlations.clone().mask_fill(over_all(&off), 0.0);
        let diagonal = diagonal.sum_dim(2).reshape([heads, features]);
        let redundant = correlations.mask_fill(over_all(&on), 0.0).square();
        let between = between.mask_fill(over_all(&on), 1.0);
        // 1 of each head's diagonal counts as a temperature beside the others, with Ω(1) = 1.
        let penalties = regularizers(width, between.clone()).sum() - (heads * features) as f64;
        (diagonal / own.clone() - 1.0).square().sum()
            + (redundant / between).sum() * self.redundancy
            + (regularizers(width, own).sum() - penalties) * self.beta
    }
}

impl Case<'_> {
    /// Refuses features that do not vary.
    fn features_vary(&self, name: &str) -> Result<(), QuantityError> {
        self.embeddings(&[name])?;
        let Array { shape, data } = self.array(name);
        let constant = (0..shape[1]).find(|&feature| {
            let mut values = data[feature..].iter().step_by(shape[1]);
            values.all(|value| *value == data[feature])
        });
        match constant {
            Some(feature) => self.refuse_input(
                name,
                format!("is constant in column {feature}; it has no correlation"),
            ),
            None => Ok(()),
        }
    }

    fn off_diagonal_above_zero(&self, name: &str) -> Result<(), QuantityError> {
        let Array { shape, data } = self.array(name);
        let features = shape[2];
        let is_off = |at: usize| at / features % features != at % features;
        let wrong = data
            .iter()
            .enumerate()
            .find(|(at, value)| is_off(*at) && !(0.0 < **value && value.is_finite()));
        match wrong {
            Some((at, value)) => self.refuse_input(
                name,
                format!("holds {value} at index {at}; temperatures are above 0 and finite"),
            ),
            None => Ok(()),
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let loss = Quantity::new(
        "amcl_barlow_twins_loss",
        "Barlow Twins of several heads with a temperature for each pair of features, and its gradients",
    );
    let array = |shape: Vec<usize>| Array {
        data: vec![0.5; shape.iter().product()],
        shape,
    };
    vec![
        loss.param("lam", 0.005)
            .param("beta", 0.1)
            .param("dim", 128.0)
            .input("cross_correlation", "[C, d, d]")
            .input("tau_pos", "[C, d]")
            .input("tau_neg", "[C, d, d]")
            .with_example("tau_pos", array(vec![3, 3]))
            .with_example("tau_neg", array(vec![3, 3, 3]))
            .eval(|case| {
                let loss = AmclBarlowTwinsLoss::new(case.param("lam")?, case.param("beta")?)?;
                let width = case.dim()?;
                case.finite("cross_correlation")?;
                if case.array("cross_correlation").data.is_empty() {
                    return case.refuse_input(
                        "cross_correlation",
                        "is empty; it must hold at least one head and one feature",
                    );
                }
                case.above_zero("tau_pos")?;
                case.off_diagonal_above_zero("tau_neg")?;
                let correlations = case.variable::<3>("cross_correlation");
                let (own, between) = (case.variable::<2>("tau_pos"), case.variable::<3>("tau_neg"));
                let value = loss.forward(correlations.clone(), own.clone(), between.clone(), width);
                let outputs = Outputs::new().with_scalar("value", value.clone());
                let gradients = value.backward();
                Ok(outputs
                    .with_gradient("cross_correlation", &correlations, &gradients)
                    .with_gradient("tau_pos", &own, &gradients)
                    .with_gradient("tau_neg", &between, &gradients))
            }),
        Quantity::new(
            "cross_correlation_matrix",
            "correlations of the features of one view with those of another, standardised over the batch (ddof 0)",
        )
        .input("za", "[n, d]")
        .input("zb", "[n, d]")
        .eval(|case| {
            for name in ["za", "zb"] {
                case.features_vary(name)?;
            }
            let matrix = cross_correlation(case.tensor("za"), case.tensor("zb"));
            Ok(Outputs::new().with_tensor("matrix", matrix))
        }),
    ]
}
