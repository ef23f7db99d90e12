//! Why there is no curvature of some gradients.

use thalweg_kernels::real::Real;

use crate::ConfigError;
use crate::config::require;

/// What is wrong. Gradients and their coordinates are counted from 0.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CurvatureError {
    #[error("gradients hold no number; at least one gradient of one parameter is needed")]
    Empty,
    #[error("gradients hold {found} numbers, which are no rows of {width}")]
    Ragged { found: usize, width: usize },
    #[error("gradient {row} holds {value} at coordinate {column}; gradients must be finite")]
    NotFinite { row: usize, column: usize, value: f64 },
    #[error(
        "gradient {row} holds {value} at coordinate {column}, which the type that it is kept in cannot hold"
    )]
    NotKept { row: usize, column: usize, value: f64 },
    #[error("products of the gradients overflow; scale the loss down, and the dampening by the square of it")]
    Overflow,
    #[error("{what} hold {found} numbers; there are {expected} parameters")]
    Width {
        what: &'static str,
        found: usize,
        expected: usize,
    },
    #[error("weight {at} is {value}; weights must be finite")]
    Weight { at: usize, value: f64 },
    #[error("{count} weights are to be removed, and {left} are left")]
    TooMany { count: usize, left: usize },
    #[error("pages of gradients cannot be read or written: {0}")]
    Storage(#[from] std::io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Checks λ.
pub(crate) fn check_dampening(dampening: f64) -> Result<f64, ConfigError> {
    require(
        "m_fac",
        "dampening",
        dampening,
        "above 0 and finite",
        |dampening| dampening > 0.0 && dampening.is_finite(),
    )
}

/// Checks rows of gradients, the first of them number `first`.
pub(crate) fn check_gradients<F: Real>(
    gradients: &[F],
    width: usize,
    first: usize,
) -> Result<(), CurvatureError> {
    if gradients.is_empty() || width == 0 {
        return Err(CurvatureError::Empty);
    }
    if !gradients.len().is_multiple_of(width) {
        return Err(CurvatureError::Ragged {
            found: gradients.len(),
            width,
        });
    }
    let found = gradients.iter().position(|value| !value.to_f64().is_finite());
    found.map_or(Ok(()), |at| {
        Err(CurvatureError::NotFinite {
            row: first + at / width,
            column: at % width,
            value: gradients[at].to_f64(),
        })
    })
}
