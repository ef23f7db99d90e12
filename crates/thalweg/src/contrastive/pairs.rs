//! The words in which contrastive losses are put together: which embeddings meet, how alike two are, at which temperature.

use std::collections::HashMap;
use std::hash::Hash;

use burn::tensor::{Int, Tensor};

use super::views::unit_rows;
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Case, QuantityError};

/// How alike two embeddings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Similarity {
    /// `⟨q, k⟩/(‖q‖‖k‖)`, norms of at least [`Similarity::LEAST_NORM`].
    Cosine,
    /// `⟨q, k⟩`, as for rows that are units already.
    Dot,
    /// `−‖q − k‖²`. In single precision it is off by the rounding of `‖q‖² + ‖k‖²`.
    SquaredEuclidean,
}

impl Similarity {
    /// The least norm that a row is divided by.
    pub const LEAST_NORM: f64 = 1e-12;

    /// The similarity of every row of `a` with every row of `b`, as one matrix: what streaming avoids, on any backend.
    ///
    /// # Shapes
    /// - `[n, width]`, `[m, width]`; returns `[n, m]`.
    pub fn matrix(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Cosine => Self::units(a).matmul(Self::units(b).transpose()),
            Self::Dot => a.matmul(b.transpose()),
            Self::SquaredEuclidean => {
                let squares = |x: &Tensor<2>| x.clone().square().sum_dim(1);
                let lengths = squares(&a) + squares(&b).transpose();
                a.matmul(b.transpose()) * 2.0 - lengths
            }
        }
    }

    fn units(x: Tensor<2>) -> Tensor<2> {
        unit_rows(x, Self::LEAST_NORM)
    }
}

/// What similarities are divided by, above 0.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a loss, and it is borrowed"
)]
pub enum Temperature {
    /// A number.
    Fixed(f64),
    /// A tensor that may be learned: `[1]` for all anchors, or `[anchors]`. Keep it positive by learning its logarithm.
    Given(Tensor<1>),
}

impl Temperature {
    /// One for each anchor, `[anchors]`, on the device and of the float type of `like`.
    ///
    /// # Panics
    /// When there is neither one nor one for each.
    pub(super) fn of_each(&self, anchors: usize, like: &Tensor<2>) -> Tensor<1> {
        match self {
            Self::Fixed(temperature) => Tensor::full([anchors], *temperature, (&like.device(), like.dtype())),
            Self::Given(given) => match given.dims() {
                [1] => given.clone().repeat(&[anchors]),
                [count] if count == anchors => given.clone(),
                [count] => panic!("{count} temperatures for {anchors} anchors"),
            },
        }
    }
}

impl From<f64> for Temperature {
    fn from(temperature: f64) -> Self {
        Self::Fixed(temperature)
    }
}

/// A temperature of a configuration.
pub(super) fn temperature(objective: &'static str, value: f64) -> Result<f64, ConfigError> {
    require(objective, "temperature", value, "above 0 and finite", |t| {
        t > 0.0 && t.is_finite()
    })
}

/// Who is whose positive within one set of embeddings.
#[derive(Clone, Debug)]
pub enum Positives {
    /// One other embedding of each.
    One(Vec<u32>),
    /// All others of the same class; those that have none do not count.
    SameClass {
        /// The class of each embedding.
        classes: Vec<u32>,
        /// How many classes there are.
        count: usize,
    },
}

/// Which embeddings meet. An embedding is never compared with itself.
#[derive(Clone, Debug)]
pub enum Pairs {
    /// Each query among the keys.
    Across {
        /// `[anchors, width]`.
        queries: Tensor<2>,
        /// `[candidates, width]`.
        keys: Tensor<2>,
        /// The key that belongs to each query.
        positives: Vec<u32>,
    },
    /// Each embedding among all others.
    Within {
        /// `[anchors, width]`.
        embeddings: Tensor<2>,
        /// Who belongs to whom.
        positives: Positives,
    },
    /// Each embedding of either side among those of the other; equal rows belong together, and a sample's loss is the mean
    /// of both directions.
    Both {
        /// `[batch, width]`.
        left: Tensor<2>,
        /// `[batch, width]`.
        right: Tensor<2>,
    },
}

impl Pairs {
    /// Query i belongs to key i; keys beyond the queries belong to none of them, as those of a queue.
    ///
    /// # Panics
    /// When there are no queries, fewer keys than queries, or the widths differ.
    pub fn in_batch(queries: Tensor<2>, keys: Tensor<2>) -> Self {
        let count = check_widths(["queries", "keys"], [&queries, &keys])[0];
        Self::Across {
            positives: (0..count as u32).collect(),
            queries,
            keys,
        }
    }

    /// Two views of the same samples, `[batch, width]` each: every view has the other one of its sample as its positive, among
    /// all other `2·batch − 1`.
    ///
    /// # Panics
    /// When there are none, or the shapes differ.
    pub fn two_views(first: Tensor<2>, second: Tensor<2>) -> Self {
        assert_eq!(first.dims(), second.dims(), "two views differ in shape");
        let count = check_widths(["views", "views"], [&first, &second])[0] as u32;
        Self::Within {
            embeddings: Tensor::cat(vec![first, second], 0),
            positives: Positives::One((count..2 * count).chain(0..count).collect()),
        }
    }

    /// Embeddings `[batch, width]` with labels `[batch]`, any integers.
    ///
    /// # Panics
    /// When there are none, or their numbers differ.
    pub fn labelled(embeddings: Tensor<2>, labels: Tensor<1, Int>) -> Self {
        let [count, width] = embeddings.dims();
        assert!(count > 0, "an empty batch has no loss");
        let [labelled] = labels.dims();
        assert_eq!(
            count, labelled,
            "embeddings [{count}, {width}] and labels [{labelled}] differ in batch size"
        );
        let labels = labels.into_data().try_into_vec_as::<i64>();
        let (classes, count) = dense_classes(labels.expect("labels are integers"));
        Self::Within {
            embeddings,
            positives: Positives::SameClass { classes, count },
        }
    }

    /// Both sides of `batch` pairs, `[batch, width]` each.
    ///
    /// # Panics
    /// When there are none, or the shapes differ.
    pub fn both_ways(left: Tensor<2>, right: Tensor<2>) -> Self {
        check_sides(&left, &right);
        Self::Both { left, right }
    }

    /// How many anchors have a temperature; those of both sides of a pair share one.
    pub fn anchors(&self) -> usize {
        let [count, _] = match self {
            Self::Across { queries, .. } => queries.dims(),
            Self::Within { embeddings, .. } => embeddings.dims(),
            Self::Both { left, .. } => left.dims(),
        };
        count
    }
}

/// Labels of any kind as numbers from 0, and how many there are.
pub(super) fn dense_classes<L: Eq + Hash>(labels: impl IntoIterator<Item = L>) -> (Vec<u32>, usize) {
    let mut known = HashMap::new();
    let classes = labels
        .into_iter()
        .map(|label| {
            let next = known.len() as u32;
            *known.entry(label).or_insert(next)
        })
        .collect();
    (classes, known.len())
}

/// Refuses sides that are no pairs.
pub(super) fn check_sides(left: &Tensor<2>, right: &Tensor<2>) {
    assert_eq!(left.dims(), right.dims(), "the two sides differ in shape");
    assert!(left.dims()[0] > 0, "an empty batch has no loss");
}

fn check_widths(names: [&str; 2], sides: [&Tensor<2>; 2]) -> [usize; 2] {
    let [[n, width], [m, other]] = sides.map(|side| side.dims());
    assert!(n > 0, "an empty batch has no loss");
    assert!(
        m >= n,
        "{n} {} need as many {}, there are {m}",
        names[0],
        names[1]
    );
    assert_eq!(
        width, other,
        "{} [{n}, {width}] and {} [{m}, {other}] differ in width",
        names[0], names[1]
    );
    [n, m]
}

/// All of a square matrix but its diagonal, `[n, n − 1]`.
pub(super) fn beside_the_diagonal(square: Tensor<2>) -> Tensor<2> {
    let [n, _] = square.dims();
    // After the first element, every n + 1 of them end with one of the diagonal.
    let rest: Tensor<1> = square.reshape([n * n]).narrow(0, 1, n * n - 1);
    let rest: Tensor<2> = rest.reshape([n - 1, n + 1]);
    rest.slice([0..n - 1, 0..n]).reshape([n, n - 1])
}

impl Case<'_> {
    /// Refuses embeddings that are none: without rows or columns, or not finite.
    ///
    /// # Errors
    /// When one of the inputs is so.
    pub(crate) fn embeddings(&self, names: &[&str]) -> Result<(), QuantityError> {
        for name in names {
            self.not_empty(name)?;
            if self.array(name).shape.last() == Some(&0) {
                return self.refuse_input(name, "has no columns; embeddings have at least one");
            }
            self.finite(name)?;
        }
        Ok(())
    }

    /// Cosine where the parameter `normalize` says so, else the plain product.
    ///
    /// # Errors
    /// When the parameter is no flag, or a row of the inputs is zero and cannot be normalised.
    pub(super) fn similarity(&self, names: &[&str]) -> Result<Similarity, QuantityError> {
        if !self.flag("normalize")? {
            return Ok(Similarity::Dot);
        }
        for name in names {
            self.no_zero_rows(name)?;
        }
        Ok(Similarity::Cosine)
    }

    /// Refuses rows that have no direction.
    ///
    /// # Errors
    /// When a row of the input is zero.
    pub(crate) fn no_zero_rows(&self, name: &str) -> Result<(), QuantityError> {
        let array = self.array(name);
        let width = array.shape.last().copied().unwrap_or(1);
        let zero = array
            .data
            .chunks(width)
            .position(|row| row.iter().all(|x| *x == 0.0));
        match zero {
            Some(row) => self.refuse_input(name, format!("is zero in row {row}; it cannot be normalised")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagonal_is_left_out() {
        let square = Tensor::<2>::from_floats(
            [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]],
            &burn::tensor::Device::flex(),
        );
        let rest = beside_the_diagonal(square)
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        assert_eq!(rest, [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]);
    }
}
