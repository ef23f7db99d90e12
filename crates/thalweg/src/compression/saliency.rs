//! What the removal of a weight is expected to cost.

use thalweg_kernels::long_rows::{Plain, add_weighted_squares};

use crate::curvature::{
    BlockFisherInverse, CurvatureError, Diagonal, WoodFisherInverse, check_dampening, check_gradients,
};

/// By what weights are ranked. F is the empirical Fisher information `λI + (1/m) Σ_i g_i g_iᵀ`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saliency {
    /// `|w|`. Weights that stay are not moved; gradients are not read.
    Magnitude,
    /// `w² F_qq/2`. Weights that stay are not moved.
    DiagonalFisher,
    /// `w²/(2 [F⁻¹]_qq)` with explicit inverses of blocks.
    WoodFisher,
    /// `w²/(2 [F⁻¹]_qq)` without matrices of blocks.
    #[default]
    MFac,
}

/// F⁻¹ of all weights that are left.
#[derive(Debug)]
pub(super) enum Inverse<F> {
    WoodFisher(WoodFisherInverse<F>),
    MFac(BlockFisherInverse<F>),
}

impl<F: Plain> Inverse<F> {
    pub fn diagonal(&self) -> Diagonal {
        match self {
            Self::WoodFisher(inverse) => Diagonal {
                values: inverse.diagonal(),
                clamped: 0,
            },
            Self::MFac(inverse) => inverse.diagonal(),
        }
    }

    pub fn product(&self, x: &[F]) -> Vec<F> {
        match self {
            Self::WoodFisher(inverse) => inverse.product(x),
            Self::MFac(inverse) => inverse.product(x),
        }
    }
}

/// The diagonal of F.
pub(super) fn fisher_diagonal<F: Plain>(
    dampening: f64,
    gradients: &[F],
    width: usize,
) -> Result<Vec<f64>, CurvatureError> {
    let dampening = check_dampening(dampening)?;
    check_gradients(gradients, width, 0)?;
    let mut diagonal = vec![dampening; width];
    let rows = gradients.len() / width;
    add_weighted_squares(gradients, &vec![1.0 / rows as f64; rows], &mut diagonal);
    if diagonal.iter().all(|value| value.is_finite()) {
        Ok(diagonal)
    } else {
        Err(CurvatureError::Overflow)
    }
}
