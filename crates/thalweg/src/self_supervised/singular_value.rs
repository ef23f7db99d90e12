//! The singular value loss: embeddings spread evenly over all dimensions, which is when all singular values σ of the batch Z
//! `[n, d]` are equal.
//!
//! - Gram: `‖ZᵀZ/n − I/d‖_F² = Σ_k (σ_k²/n − 1/d)²` over d values, missing ones 0: for unit rows from 0 (`1/n − 1/d` where
//!   n < d) to `1 − 1/d` when all rows are one. It needs no decomposition: with the smaller of the two Gram matrices, of side
//!   s = min(n, d), it is `‖G/n − I/d‖_F² + (d − s)/d²`.
//! - Sigma: `(1/r) Σ_k (σ_k − ‖Z‖_F/√r)²`, r = min(n, d), a falling function of the nuclear norm for unit rows. Its gradient
//!   goes through `U Vᵀ`, which repeated singular values leave stable; of those that are 0 it is the subgradient without them.
//!
//! At full collapse the Gram form has no slope along the sphere: only noise leaves it.
//!
//! Source: Moon, Buracas, Park, Kim, Canny, WACV 2023 (arXiv 2207.03552), whose normalisation is not published: both forms are
//! reconstructions with its minimum and its maximum.

use burn::config::Config;
use burn::tensor::{DType, Tensor};
use faer::MatRef;
use thalweg_kernels::matrix::{Matrix, Work, multiply, product};

use super::unit_views::unit_rows;
use crate::bridge::{CpuFloat, CpuFloats, constant, with_gradients};
use crate::quantity::Quantity;

/// How unequal singular values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SingularForm {
    /// By their squares: two matrix products.
    Gram,
    /// By themselves: a decomposition.
    Sigma,
}

impl SingularForm {
    pub(super) const NAMES: [(&'static str, Self); 2] = [("gram", Self::Gram), ("sigma", Self::Sigma)];
}

/// Configuration of [`SingularValueLoss`].
#[derive(Config, Debug)]
pub struct SingularValueLossConfig {
    /// How unequal singular values count.
    #[config(default = "SingularForm::Gram")]
    pub form: SingularForm,
    /// Whether rows are brought to length 1 first.
    #[config(default = true)]
    pub normalize: bool,
    /// Whether the mean row is subtracted, after that.
    #[config(default = false)]
    pub center: bool,
}

impl SingularValueLossConfig {
    /// The loss.
    pub fn init(&self) -> SingularValueLoss {
        SingularValueLoss { config: self.clone() }
    }
}

/// The singular value loss of one view.
#[derive(Clone, Debug)]
pub struct SingularValueLoss {
    config: SingularValueLossConfig,
}

impl SingularValueLoss {
    /// # Shapes
    /// - embeddings `[n, d]`, neither 0; norms are taken to be at least 1e-12. Returns `[1]`.
    ///
    /// # Panics
    /// When there is no row or no column.
    pub fn forward(&self, embeddings: Tensor<2>) -> Tensor<1> {
        let [count, width] = embeddings.dims();
        assert!(
            count > 0 && width > 0,
            "[{count}, {width}] embeddings have no singular values"
        );
        let mut rows = embeddings;
        if self.config.normalize {
            rows = unit_rows(rows);
        }
        if self.config.center {
            rows = rows.clone() - rows.mean_dim(0);
        }
        match self.config.form {
            SingularForm::Gram => gram(rows),
            SingularForm::Sigma => sigma(rows),
        }
    }
}

fn gram(rows: Tensor<2>) -> Tensor<1> {
    match CpuFloats::gathered(&rows) {
        Some(floats) => match floats.dtype() {
            DType::F32 => gram_on_memory::<f32>(rows, &floats),
            _ => gram_on_memory::<f64>(rows, &floats),
        },
        None => gram_composed(rows),
    }
}

fn gram_on_memory<F: CpuFloat>(rows: Tensor<2>, floats: &CpuFloats) -> Tensor<1> {
    let [count, width] = rows.dims();
    let side = count.min(width);
    let matrix = Matrix::new(floats.slice::<F>(), count, width);
    let (inverse, even) = (1.0 / count as f64, 1.0 / width as f64);
    let mut excess = vec![F::ZERO; side * side];
    let [left, right] = if count < width {
        [matrix, matrix.transposed()]
    } else {
        [matrix.transposed(), matrix]
    };
    multiply(
        Work::Shared,
        &mut excess,
        F::ZERO,
        F::from_f64(inverse),
        left,
        right,
    );
    for diagonal in excess.iter_mut().step_by(side + 1) {
        *diagonal = F::from_f64(diagonal.to_f64() - even);
    }
    let squares: f64 = excess.iter().map(|x| x.to_f64() * x.to_f64()).sum();
    let missing = (width - side) as f64 * even * even;
    let excess = Matrix::new(&excess, side, side);
    let [left, right] = if count < width {
        [excess, matrix]
    } else {
        [matrix, excess]
    };
    let mut gradient = vec![F::ZERO; count * width];
    let factor = F::from_f64(4.0 * inverse);
    multiply(Work::Shared, &mut gradient, F::ZERO, factor, left, right);
    known(rows, squares + missing, gradient)
}

/// In tensor operations, on every backend.
fn gram_composed(rows: Tensor<2>) -> Tensor<1> {
    let [count, width] = rows.dims();
    let side = count.min(width);
    let turned = rows.clone().transpose();
    let gram = if count < width {
        rows.clone().matmul(turned)
    } else {
        turned.matmul(rows.clone())
    };
    let even = 1.0 / width as f64;
    let identity = Tensor::<2>::eye(side, &rows.device()).cast(rows.dtype());
    let excess = gram * (1.0 / count as f64) - identity * even;
    excess.square().sum() + (width - side) as f64 * even * even
}

/// Value and gradient on the host, in f64, whatever the backend: of a decomposition there is nothing to compose.
fn sigma(rows: Tensor<2>) -> Tensor<1> {
    let [count, width] = rows.dims();
    let least = match rows.dtype() {
        DType::F64 => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    };
    let values = rows.clone().into_data().try_into_vec_as::<f64>();
    let values = values.expect("float tensors read as f64");
    let (value, gradient) = sigma_with_slopes(&values, count, width, least);
    known(rows, value, gradient)
}

fn sigma_with_slopes(values: &[f64], count: usize, width: usize, least: f64) -> (f64, Vec<f64>) {
    let rank = count.min(width);
    let none = || (f64::NAN, vec![f64::NAN; values.len()]);
    if !values.iter().all(|value| value.is_finite()) {
        return none();
    }
    let Ok(decomposed) = MatRef::from_row_major_slice(values, count, width).thin_svd() else {
        return none();
    };
    let singular: Vec<f64> = (0..rank).map(|k| decomposed.S()[k]).collect();
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let (share, root) = (1.0 / rank as f64, (rank as f64).sqrt());
    let even = norm / root;
    let value = share * singular.iter().map(|s| (s - even) * (s - even)).sum::<f64>();
    if norm == 0.0 {
        return (value, vec![0.0; values.len()]);
    }
    // Singular values fall: those that count as 0 are the last.
    let threshold = least * singular[0] * count.max(width) as f64;
    let kept = singular.iter().take_while(|&&s| s > threshold).count();
    let columns = |matrix: MatRef<f64>, rows: usize| -> Vec<f64> {
        let of_row = |row| (0..kept).map(move |k| (row, k));
        (0..rows)
            .flat_map(of_row)
            .map(|(row, k)| matrix[(row, k)])
            .collect()
    };
    let (left, right) = (columns(decomposed.U(), count), columns(decomposed.V(), width));
    let polar = product(
        Work::Shared,
        Matrix::new(&left, count, kept),
        Matrix::new(&right, width, kept).transposed(),
    );
    let nuclear: f64 = singular.iter().sum();
    // (2/r)(2Z − (‖Z‖_* Z/‖Z‖_F + ‖Z‖_F UVᵀ)/√r)
    let (by_rows, by_polar) = (2.0 * share * (2.0 - nuclear / (norm * root)), 2.0 * share * even);
    let pairs = values.iter().zip(polar);
    (
        value,
        pairs.map(|(z, polar)| by_rows * z - by_polar * polar).collect(),
    )
}

/// A value of rows whose gradient is known.
fn known<E: burn::tensor::Element>(rows: Tensor<2>, value: f64, gradient: Vec<E>) -> Tensor<1> {
    let (shape, device, dtype) = (rows.dims(), rows.device(), rows.dtype());
    let gradient = constant(gradient, shape, &device, dtype);
    with_gradients(constant(vec![value], [1], &device, dtype), [(rows, gradient)])
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "singular_value_loss",
            "how far the singular values of embeddings are from equal, and its gradient",
        )
        .param("form", "gram")
        .param("normalize", true)
        .param("center", false)
        .input("z", "[n, d]")
        .eval(|case| {
            case.embeddings(&["z"])?;
            let config = SingularValueLossConfig {
                form: case.choice("form", &SingularForm::NAMES)?,
                normalize: case.flag("normalize")?,
                center: case.flag("center")?,
            };
            if config.normalize {
                case.no_zero_rows("z")?;
            }
            let z = case.variable::<2>("z");
            let value = config.init().forward(z.clone());
            Ok(case.value_and_gradients(value, &[("z", &z)]))
        }),
    ]
}

#[cfg(test)]
mod tests;
