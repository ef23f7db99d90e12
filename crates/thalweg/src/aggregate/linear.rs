//! The linear model that minimises the interpolating squared loss, for every ρ from products computed once.
//!
//! `θ̂ = argmin (1−ρ)/m ‖X_b θ − ȳ‖² + ρ/n ‖X θ − S ȳ‖²`, X_b the bag means of the rows of X and `S ȳ` each sample's bag
//! mean; the shortest of several.

use faer::linalg::solvers::{Llt, Solve, Svd};
use faer::{Col, Mat, MatRef, Side};

use super::bags::{self, Bags};
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Outputs, Quantity};

/// Where the smallest pivot of a Cholesky factor is below this share of the largest, singular values decide.
const LEAST_PIVOT: f64 = 1e-6;

/// Features and bag means, with the products that all ρ share.
pub struct AggregateLinear {
    samples: Rows,
    bags: Rows,
}

/// Equations `rows · θ = targets`, each weighted by one over their number.
struct Rows {
    rows: Mat<f64>,
    targets: Col<f64>,
    /// `rowsᵀ rows` over their number.
    gram: Mat<f64>,
    /// `rowsᵀ targets` over their number.
    right: Col<f64>,
}

impl Rows {
    fn new(rows: Mat<f64>, targets: Col<f64>) -> Self {
        let weight = 1.0 / rows.nrows() as f64;
        let gram = rows.transpose() * &rows * faer::Scale(weight);
        let right = rows.transpose() * &targets * faer::Scale(weight);
        Self {
            rows,
            targets,
            gram,
            right,
        }
    }

    /// The shortest θ that meets all equations, where the rows are independent.
    fn interpolate(&self) -> Option<Col<f64>> {
        let outer = &self.rows * self.rows.transpose();
        let weights = solve(&outer, &self.targets)?;
        Some(self.rows.transpose() * weights)
    }
}

impl AggregateLinear {
    /// Features `[n, features]`, row-major, and bag means `[m]`.
    ///
    /// # Panics
    /// When the sizes disagree.
    pub fn new(x: &[f64], features: usize, means: &[f64], bags: &Bags) -> Self {
        assert_eq!(
            x.len(),
            bags.samples() * features,
            "a row is needed for each sample"
        );
        assert_eq!(means.len(), bags.len(), "a mean is needed for each bag");
        let matrix = |rows: &[f64], count| MatRef::from_row_major_slice(rows, count, features).to_owned();
        let of_sample = Col::from_fn(bags.samples(), |sample| means[bags.index()[sample]]);
        let of_bag = Col::from_fn(bags.len(), |bag| means[bag]);
        Self {
            samples: Rows::new(matrix(x, bags.samples()), of_sample),
            bags: Rows::new(matrix(&bags.means(x, features), bags.len()), of_bag),
        }
    }

    /// `θ̂` `[features]` at ρ.
    ///
    /// # Errors
    /// When ρ is not in `[0, 1]`.
    pub fn estimate(&self, rho: f64) -> Result<Vec<f64>, ConfigError> {
        let rho = require("aggregate_linear_estimator", "rho", rho, "from 0 to 1", |rho| {
            (0.0..=1.0).contains(&rho)
        })?;
        // Where single samples can all be met, bag means are met as well, whatever ρ above 0.
        let decisive = if rho > 0.0 { &self.samples } else { &self.bags };
        let theta = if decisive.rows.nrows() < decisive.rows.ncols() {
            decisive.interpolate()
        } else {
            let mix = |bags: f64, samples: f64| (1.0 - rho) * bags + rho * samples;
            let (bags, samples) = (&self.bags, &self.samples);
            let size = bags.gram.nrows();
            let gram = Mat::from_fn(size, size, |i, j| mix(bags.gram[(i, j)], samples.gram[(i, j)]));
            let right = Col::from_fn(size, |i| mix(bags.right[i], samples.right[i]));
            solve(&gram, &right)
        };
        let theta = theta.unwrap_or_else(|| self.shortest(rho));
        Ok(theta.iter().copied().collect())
    }

    /// By the singular values of all weighted equations, those that are rounding left out.
    fn shortest(&self, rho: f64) -> Col<f64> {
        let parts = [(&self.bags, 1.0 - rho), (&self.samples, rho)];
        let parts: Vec<_> = parts.into_iter().filter(|(_, weight)| *weight > 0.0).collect();
        let (m, size) = (parts[0].0.rows.nrows(), self.bags.rows.ncols());
        let count = parts.iter().map(|(part, _)| part.rows.nrows()).sum();
        let of = |row: usize| {
            let (part, row) = if row < m {
                (parts[0], row)
            } else {
                (parts[1], row - m)
            };
            (part.0, row, (part.1 / part.0.rows.nrows() as f64).sqrt())
        };
        let rows = Mat::from_fn(count, size, |i, j| {
            let (part, row, weight) = of(i);
            weight * part.rows[(row, j)]
        });
        let targets = Col::from_fn(count, |i| {
            let (part, row, weight) = of(i);
            weight * part.targets[row]
        });
        // What is not finite has no singular values, and no solution.
        let Ok(svd) = Svd::new_thin(rows.as_ref()) else {
            return Col::from_fn(size, |_| f64::NAN);
        };
        let singular = svd.S().column_vector();
        let rounding = f64::EPSILON * count.max(size) as f64 * singular[0];
        let along = svd.U().transpose() * targets;
        let scaled = Col::from_fn(along.nrows(), |i| {
            if singular[i] > rounding {
                along[i] / singular[i]
            } else {
                0.0
            }
        });
        svd.V() * scaled
    }
}

/// The solution of a symmetric system, none where it is singular or nearly so.
fn solve(matrix: &Mat<f64>, right: &Col<f64>) -> Option<Col<f64>> {
    let factor = Llt::new(matrix.as_ref(), Side::Lower).ok()?;
    let pivots = (0..matrix.nrows()).map(|i| factor.L()[(i, i)]);
    let (least, most) = pivots.fold((f64::INFINITY, 0.0_f64), |(a, b), pivot| {
        (a.min(pivot), b.max(pivot))
    });
    (least > LEAST_PIVOT * most).then(|| factor.solve(right))
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "aggregate_linear_estimator",
            "linear model of least interpolating squared loss, the shortest of several",
        )
        .param("rho", 0.5)
        .input("x", "[n, d]")
        .input("bag_means", "[m]")
        .input("bag_index", "[n]")
        .with_example("bag_means", vec![0.25, 0.75])
        .with_example("bag_index", vec![1.0, 0.0, 1.0])
        .eval(|case| {
            let bags = bags::with_means(case)?;
            case.finite("x")?;
            case.finite("bag_means")?;
            let x = case.array("x");
            if x.shape[1] == 0 {
                return case.refuse_input("x", "has no features; it must have at least one");
            }
            let linear = AggregateLinear::new(&x.data, x.shape[1], &case.array("bag_means").data, &bags);
            Ok(Outputs::new().with("theta", linear.estimate(case.param("rho")?)?))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(
        bags: usize,
        size: usize,
        features: usize,
    ) -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Bags)> {
        let n = bags * size;
        let x = proptest::collection::vec(-2.0..2.0_f64, n * features);
        let means = proptest::collection::vec(-3.0..3.0_f64, bags);
        (x, means)
            .prop_map(move |(x, means)| (x, means, Bags::new((0..n).map(|i| i % bags).collect()).unwrap()))
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.iter()
            .zip(b)
            .all(|(a, b)| (a - b).abs() < 1e-7 * (1.0 + a.abs()))
    }

    proptest! {
        #[test]
        fn the_two_ways_agree((x, means, bags) in problem(8, 2, 3), rho in 0.0..1.0_f64) {
            let linear = AggregateLinear::new(&x, 3, &means, &bags);
            let by_singular_values: Vec<f64> = linear.shortest(rho).iter().copied().collect();
            prop_assume!(by_singular_values.iter().all(|t| t.abs() < 1e3));
            prop_assert!(close(&linear.estimate(rho).unwrap(), &by_singular_values));
        }

        #[test]
        fn too_few_equations_are_all_met((x, means, bags) in problem(3, 2, 9), rho in 0.0..1.0_f64) {
            let linear = AggregateLinear::new(&x, 9, &means, &bags);
            let theta = linear.estimate(rho).unwrap();
            let by_singular_values: Vec<f64> = linear.shortest(rho).iter().copied().collect();
            prop_assume!(by_singular_values.iter().all(|t| t.abs() < 1e3));
            prop_assert!(close(&theta, &by_singular_values), "{theta:?} {by_singular_values:?}");
            let predicted: Vec<f64> = x.chunks(9).map(|row| row.iter().zip(&theta).map(|(x, t)| x * t).sum()).collect();
            prop_assert!(close(&bags.means(&predicted, 1), &means));
        }

        #[test]
        fn instance_level_is_least_squares_on_repeated_means((x, means, bags) in problem(8, 2, 2)) {
            let theta = AggregateLinear::new(&x, 2, &means, &bags).estimate(1.0).unwrap();
            prop_assume!(theta.iter().all(|t| t.abs() < 1e3));
            // The residuals are orthogonal to the features.
            for feature in 0..2 {
                let slope: f64 = x.chunks(2).zip(bags.index()).map(|(row, &bag)| {
                    row[feature] * (row[0] * theta[0] + row[1] * theta[1] - means[bag])
                }).sum();
                prop_assert!(slope.abs() < 1e-8);
            }
        }
    }

    #[test]
    fn what_is_not_finite_has_no_solution() {
        let bags = Bags::new(vec![0, 1, 2]).unwrap();
        let linear = AggregateLinear::new(&[1.0, f64::INFINITY, 2.0], 1, &[2.0, 4.0, -2.0], &bags);
        assert!(linear.estimate(0.3).unwrap()[0].is_nan());
    }

    #[test]
    fn a_repeated_feature_is_shared() {
        let x = [1.0, 1.0, 2.0, 2.0, -1.0, -1.0];
        let bags = Bags::new(vec![0, 1, 2]).unwrap();
        let theta = AggregateLinear::new(&x, 2, &[2.0, 4.0, -2.0], &bags)
            .estimate(0.3)
            .unwrap();
        assert!(close(&theta, &[1.0, 1.0]), "{theta:?}");
    }
}
