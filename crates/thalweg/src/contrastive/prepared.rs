//! Embeddings made such that their similarity is a plain product, and the way back for gradients.

use thalweg_kernels::real::Real;
use thalweg_kernels::unit_rows::{normalize, project};

use super::Similarity;
use super::pairs::Product;

/// Which side of a pair an embedding is on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Query,
    Key,
}

/// Rows whose product with those of the other role is the similarity.
pub(super) enum Prepared<'a, F> {
    /// They are so already.
    AsGiven { rows: &'a [F], width: usize },
    /// Brought to length 1.
    Units {
        rows: Vec<F>,
        lengths: Vec<f64>,
        width: usize,
    },
    /// `[2q, −‖q‖², 1]` and `[k, 1, −‖k‖²]`, whose product is `−‖q − k‖²`.
    Lifted {
        rows: Vec<F>,
        given: &'a [F],
        width: usize,
        role: Role,
    },
}

impl<'a, F: Real> Prepared<'a, F> {
    pub fn new(product: Product, role: Role, given: &'a [F], width: usize) -> Self {
        match product {
            Product::Dot => Self::AsGiven { rows: given, width },
            Product::Cosine => {
                let mut rows = given.to_vec();
                let lengths = normalize(&mut rows, width, Similarity::LEAST_NORM);
                Self::Units { rows, lengths, width }
            }
            Product::SquaredEuclidean => {
                let mut rows = Vec::with_capacity(given.len() / width * (width + 2));
                for row in given.chunks_exact(width) {
                    let square = -row.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
                    let square = F::from_f64(square);
                    match role {
                        Role::Query => {
                            rows.extend(row.iter().map(|&x| x + x));
                            rows.extend([square, F::ONE]);
                        }
                        Role::Key => {
                            rows.extend(row);
                            rows.extend([F::ONE, square]);
                        }
                    }
                }
                Self::Lifted {
                    rows,
                    given,
                    width,
                    role,
                }
            }
        }
    }

    pub fn rows(&self) -> &[F] {
        match self {
            Self::AsGiven { rows, .. } => rows,
            Self::Units { rows, .. } | Self::Lifted { rows, .. } => rows,
        }
    }

    pub fn width(&self) -> usize {
        match self {
            Self::AsGiven { width, .. } | Self::Units { width, .. } => *width,
            Self::Lifted { width, .. } => width + 2,
        }
    }

    /// From the gradient by the prepared rows to that by the given ones.
    pub fn back(&self, mut gradient: Vec<F>) -> Vec<F> {
        match self {
            Self::AsGiven { .. } => gradient,
            Self::Units { rows, lengths, width } => {
                project(rows, *width, Similarity::LEAST_NORM, lengths, &mut gradient);
                gradient
            }
            Self::Lifted {
                given, width, role, ..
            } => {
                let each = gradient.chunks_exact(width + 2).zip(given.chunks_exact(*width));
                each.flat_map(|(slopes, row)| {
                    let (factor, by_square) = match role {
                        Role::Query => (2.0, slopes[*width]),
                        Role::Key => (1.0, slopes[width + 1]),
                    };
                    let turn = 2.0 * by_square.to_f64();
                    let pairs = slopes[..*width].iter().zip(row);
                    pairs.map(move |(slope, x)| F::from_f64(factor * slope.to_f64() - turn * x.to_f64()))
                })
                .collect()
            }
        }
    }
}
