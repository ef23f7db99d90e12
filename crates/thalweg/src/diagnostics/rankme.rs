//! RankMe: the number of dimensions that an embedding uses, as the exponential of an entropy.
//!
//! With the singular values σ of the embeddings Z `[samples, width]`, neither centred nor normalised,
//! `RankMe(Z) = exp(−Σ_k p_k log p_k)`, `p_k = σ_k/‖σ‖₁ + ε`, about from 1 to `min(samples, width)`. ε = 1e-7 is added
//! after the division and p is not normalised again: K vanishing singular values add `−K ε log ε` nats. ε = 0, with
//! `0 log 0 = 0`, is the effective rank of Roy and Vetterli.
//!
//! Its slopes are `∂RankMe/∂σ_k = −RankMe · (log p_k − Σ_j a_j log p_j)/‖σ‖₁` with `a = σ/‖σ‖₁`, and by the embeddings
//! `U diag(∂RankMe/∂σ) Vᵀ`.
//!
//! Compare runs of one method only, and read it as necessary, not sufficient: noise of full rank scores high.
//!
//! Sources: Garrido, Balestriero, Najman, LeCun, "RankMe", ICML 2023 (arXiv 2210.02885); Roy, Vetterli, "The effective
//! rank", EUSIPCO 2007.

use burn::config::Config;
use burn::tensor::Tensor;
use faer::{Mat, MatRef};

use super::embeddings::{CONVERGES, Z, read, refuse, scale_of, scaled};
use super::{DiagnosticError, Embeddings};
use crate::ConfigError;
use crate::bridge::{constant, with_gradients};
use crate::config::require;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// The paper's ε.
pub const EPSILON: f64 = 1e-7;

/// RankMe of singular values in any order.
///
/// # Errors
/// When there is none, one is negative or not finite, all are 0, or ε is negative or not finite.
pub fn rankme_of_singular_values(singular_values: &[f64], epsilon: f64) -> Result<f64, DiagnosticError> {
    let epsilon = checked(epsilon)?;
    let shares = shares(singular_values)?;
    Ok(entropy(&shares, epsilon).exp())
}

/// The effective rank of singular values in any order: RankMe with ε = 0, exactly within 1 and their number.
///
/// # Errors
/// When there is none, one is negative or not finite, or all are 0.
pub fn effective_rank(singular_values: &[f64]) -> Result<f64, DiagnosticError> {
    rankme_of_singular_values(singular_values, 0.0)
}

/// RankMe of singular values, and its slope by each. Where ε is 0 the slope at a singular value of 0 is infinite.
///
/// # Errors
/// As [`rankme_of_singular_values`].
pub fn rankme_with_slopes(singular_values: &[f64], epsilon: f64) -> Result<(f64, Vec<f64>), DiagnosticError> {
    let epsilon = checked(epsilon)?;
    let shares = shares(singular_values)?;
    let value = entropy(&shares, epsilon).exp();
    let log = |share: f64| (share + epsilon).ln();
    let mean: f64 = shares
        .iter()
        .filter(|&&share| share > 0.0)
        .map(|&share| share * log(share))
        .sum();
    // The sum may overflow where no singular value does.
    let scale = scale_of(singular_values);
    let total: f64 = singular_values.iter().map(|value| value / scale).sum();
    let slopes = shares
        .iter()
        .map(|&share| value * (mean - log(share)) / total / scale);
    Ok((value, slopes.collect()))
}

fn checked(epsilon: f64) -> Result<f64, DiagnosticError> {
    let valid = |epsilon: f64| (0.0..f64::INFINITY).contains(&epsilon);
    Ok(require("rankme", "eps", epsilon, "at least 0 and finite", valid)?)
}

/// `σ/‖σ‖₁`.
fn shares(singular_values: &[f64]) -> Result<Vec<f64>, DiagnosticError> {
    if singular_values.is_empty() {
        return Err(DiagnosticError::Empty);
    }
    let valid = |value: &f64| (0.0..f64::INFINITY).contains(value);
    if let Some(at) = singular_values.iter().position(|value| !valid(value)) {
        return Err(DiagnosticError::SingularValue {
            at: at + 1,
            value: singular_values[at],
        });
    }
    let scale = scale_of(singular_values);
    let total: f64 = singular_values.iter().map(|value| value / scale).sum();
    if total == 0.0 {
        return Err(DiagnosticError::Zero);
    }
    Ok(singular_values
        .iter()
        .map(|value| value / scale / total)
        .collect())
}

/// In nats, with `0 log 0 = 0`.
fn entropy(shares: &[f64], epsilon: f64) -> f64 {
    let terms = shares.iter().map(|share| share + epsilon).filter(|&p| p > 0.0);
    -terms.map(|p| p * p.ln()).sum::<f64>()
}

/// Configuration of [`RankMe`].
#[derive(Config, Debug)]
pub struct RankMeConfig {
    /// Added to each share of the singular values, at least 0.
    #[config(default = 1e-7)]
    pub epsilon: f64,
}

impl RankMeConfig {
    /// RankMe as a function of tensors.
    ///
    /// # Errors
    /// When ε is negative or not finite.
    pub fn init(&self) -> Result<RankMe, ConfigError> {
        let valid = |epsilon: f64| (0.0..f64::INFINITY).contains(&epsilon);
        let epsilon = require("rankme", "epsilon", self.epsilon, "at least 0 and finite", valid)?;
        Ok(RankMe { epsilon })
    }
}

/// RankMe of a batch of embeddings, with its gradient: subtract it (or its logarithm), weighted, from a loss to keep an
/// embedding from collapsing.
///
/// Of a batch it is at most the batch's size: means over batches are no RankMe of the whole.
#[derive(Clone, Copy, Debug)]
pub struct RankMe {
    epsilon: f64,
}

impl RankMe {
    /// # Shapes
    /// - embeddings `[batch, width]`, at least one number; returns `[1]`.
    ///
    /// The singular values are computed in f64 on the host, whatever the backend. Embeddings that are all 0 have the value
    /// 0 and no gradient; what is not finite has neither: both are NaN. Directions whose singular value is rounding have
    /// no gradient.
    pub fn forward(&self, embeddings: Tensor<2>) -> Tensor<1> {
        let [batch, width] = embeddings.dims();
        let (device, dtype) = (embeddings.device(), embeddings.dtype());
        let values: Vec<f64> = embeddings
            .clone()
            .into_data()
            .try_into_vec_as()
            .expect("float tensors read as f64");
        let (value, gradient) = match Embeddings::new(&values, width) {
            Ok(embeddings) => of_matrix(&embeddings, self.epsilon),
            Err(_) => (f64::NAN, vec![f64::NAN; values.len()]),
        };
        let gradient = constant(gradient, [batch, width], &device, dtype);
        with_gradients(
            constant(vec![value], [1], &device, dtype),
            [(embeddings, gradient)],
        )
    }
}

/// Value and gradient, 0 for embeddings that are all 0.
fn of_matrix(embeddings: &Embeddings, epsilon: f64) -> (f64, Vec<f64>) {
    let (samples, width) = (embeddings.samples(), embeddings.width());
    let (values, scale) = scaled(embeddings.values());
    let decomposed = MatRef::from_row_major_slice(&values, samples, width)
        .thin_svd()
        .expect(CONVERGES);
    let column = decomposed.S().column_vector();
    let sigma: Vec<f64> = (0..column.nrows()).map(|k| column[k]).collect();
    let Ok((value, mut slopes)) = rankme_with_slopes(&sigma, epsilon) else {
        return (0.0, vec![0.0; values.len()]);
    };
    let rounding = sigma[0] * samples.max(width) as f64 * f64::EPSILON;
    for (slope, sigma) in slopes.iter_mut().zip(&sigma) {
        if *sigma <= rounding {
            *slope = 0.0;
        }
    }
    let (left, right) = (decomposed.U(), decomposed.V());
    let weighted = Mat::from_fn(samples, sigma.len(), |i, k| left[(i, k)] * slopes[k] / scale);
    let gradient = weighted * right.transpose();
    let elements = (0..samples * width).map(|at| gradient[(at / width, at % width)]);
    (value, elements.collect())
}

/// The input of singular values, and what it holds.
const SIGMA: (&str, &str) = ("singular_values", "singular values");

fn spectrum<'a>(case: &'a Case) -> &'a [f64] {
    &case.array("singular_values").data
}

fn outcome(
    case: &Case,
    found: Result<f64, DiagnosticError>,
    input: (&str, &str),
) -> Result<Outputs, QuantityError> {
    match found {
        Ok(value) => Ok(Outputs::new().with("value", value)),
        Err(error) => refuse(case, input, &error),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let descending = || vec![3.0, 2.0, 1.0, 0.5];
    vec![
        Quantity::new(
            "rankme",
            "effective number of dimensions of embeddings: exp of the entropy of their singular values",
        )
        .param("eps", EPSILON)
        .input("z", "[N, D]")
        .eval(|case| {
            let epsilon = match checked(case.param("eps")?) {
                Ok(epsilon) => epsilon,
                Err(error) => return refuse(case, Z, &error),
            };
            if read(case)?.values().iter().all(|&value| value == 0.0) {
                return refuse(case, Z, &DiagnosticError::Zero);
            }
            let z = case.variable::<2>("z");
            let value = RankMe { epsilon }.forward(z.clone());
            Ok(case.value_and_gradients(value, &[("z", &z)]))
        }),
        Quantity::new(
            "rankme_from_singular_values",
            "RankMe of given singular values, and its slope by each",
        )
        .param("eps", EPSILON)
        .input("singular_values", "[R]")
        .with_example("singular_values", descending())
        .eval(
            |case| match rankme_with_slopes(spectrum(case), case.param("eps")?) {
                Ok((value, slopes)) => Ok(Outputs::new()
                    .with("value", value)
                    .with("grad_singular_values", slopes)),
                Err(error) => refuse(case, SIGMA, &error),
            },
        ),
        Quantity::new("effective_rank", "RankMe without epsilon (Roy and Vetterli)")
            .input("z", "[N, D]")
            .eval(|case| outcome(case, read(case)?.effective_rank(), Z)),
        Quantity::new(
            "effective_rank_from_singular_values",
            "effective rank of given singular values (Roy and Vetterli)",
        )
        .input("singular_values", "[R]")
        .with_example("singular_values", descending())
        .eval(|case| outcome(case, effective_rank(spectrum(case)), SIGMA)),
    ]
}

#[cfg(test)]
mod tests;
