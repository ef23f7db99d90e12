//! Differentiable sorting: a relaxed sorting network over rows of numbers.
//!
//! Sources: Petersen, Borgelt, Kuehne, Deussen, "Monotonic differentiable sorting networks", ICLR 2022 (arXiv 2203.09630), for
//! networks and distributions; Shvetsova, Petersen, Kukleva, Schiele, Kuehne, "Learning by sorting", ICCV 2023
//! (arXiv 2301.02009), for their use.

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::rows::RowLoss;
pub use thalweg_kernels::sorting::{Distribution, Network};
use thalweg_kernels::sorting::{RelaxedSort, RelaxedSwap, SortingNetwork};

use super::score_loss::row_loss;
use crate::config::require;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};
use crate::{ConfigError, Reduction};

/// A differentiable sorting network of any size.
#[derive(Config, Debug)]
pub struct DifferentiableSortConfig {
    /// Which wires are compared.
    #[config(default = "Network::OddEven")]
    pub network: Network,
    /// How far numbers are swapped.
    #[config(default = "Distribution::Cauchy")]
    pub distribution: Distribution,
    /// Steepness β, above 0: the larger, the closer to a true sort.
    #[config(default = 1.0)]
    pub steepness: f64,
    /// Exponent λ of [`Distribution::LogisticPhi`], from 0 to less than 1.
    #[config(default = 0.25)]
    pub art_lambda: f64,
}

impl DifferentiableSortConfig {
    /// The network for rows of so many numbers.
    ///
    /// # Errors
    /// When the steepness or λ is out of its range.
    pub fn init(&self, wires: usize) -> Result<DifferentiableSort, ConfigError> {
        Ok(DifferentiableSort {
            sort: RelaxedSort::new(SortingNetwork::new(self.network, wires), self.swap()?),
        })
    }

    /// The rule of its comparators.
    ///
    /// # Errors
    /// When the steepness or λ is out of its range.
    pub fn swap(&self) -> Result<RelaxedSwap, ConfigError> {
        let steepness = require(
            "differentiable_sort",
            "steepness",
            self.steepness,
            "above 0 and finite",
            |steepness| steepness > 0.0 && steepness.is_finite(),
        )?;
        let lambda = require(
            "differentiable_sort",
            "art_lambda",
            self.art_lambda,
            "at least 0, less than 1",
            |lambda| (0.0..1.0).contains(&lambda),
        )?;
        Ok(RelaxedSwap::new(self.distribution, steepness, lambda))
    }
}

/// A differentiable sort of rows of one length.
#[derive(Clone, Debug)]
pub struct DifferentiableSort {
    sort: RelaxedSort,
}

impl DifferentiableSort {
    /// The relaxed network itself.
    pub fn relaxed(&self) -> &RelaxedSort {
        &self.sort
    }

    /// A row's numbers in ascending order, as far as the swaps go, and the permutation `[wires, wires]`: the mass of each input
    /// (row) at each rank (column).
    ///
    /// # Panics
    /// When the row has another length.
    pub fn permutation(&self, row: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = self.sort.wires();
        let mut sorted = row.to_vec();
        let tape = self.sort.sort(&mut sorted);
        let mut masses = vec![0.0; n * n];
        masses.iter_mut().step_by(n + 1).for_each(|own| *own = 1.0);
        self.sort.masses(&tape, &mut masses);
        (sorted, masses)
    }

    /// `Σ_r weight_r · sorted_r` of each row: with weights from upstream, any function of the sorted numbers.
    ///
    /// # Shapes
    /// - x `[batch, wires]`, a weight for each rank; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the sizes disagree or the batch is empty.
    pub fn weighted(&self, x: Tensor<2>, weights: &[f64], reduction: Reduction) -> Tensor<1> {
        let [batch, wires] = x.dims();
        assert!(batch > 0, "an empty batch has no loss");
        assert_eq!(wires, self.sort.wires(), "a number for each wire");
        assert_eq!(weights.len(), wires, "a weight for each rank");
        let rule = Weighted {
            sort: &self.sort,
            weights,
        };
        row_loss(&rule, x, vec![0; batch], reduction)
    }
}

struct Weighted<'a> {
    sort: &'a RelaxedSort,
    weights: &'a [f64],
}

impl RowLoss for Weighted<'_> {
    fn row(&self, _: usize, scores: &mut [f64], _: usize, gradient: &mut [f64]) -> f64 {
        let tape = self.sort.sort(scores);
        gradient.copy_from_slice(self.weights);
        self.sort.reverse(&tape, gradient, None);
        scores
            .iter()
            .zip(self.weights)
            .map(|(sorted, weight)| sorted * weight)
            .sum()
    }
}

const NETWORKS: [(&str, Network); 2] = [("odd_even", Network::OddEven), ("bitonic", Network::Bitonic)];

const DISTRIBUTIONS: [(&str, Distribution); 6] = [
    ("cauchy", Distribution::Cauchy),
    ("logistic", Distribution::Logistic),
    ("logistic_phi", Distribution::LogisticPhi),
    ("gaussian", Distribution::Gaussian),
    ("reciprocal", Distribution::Reciprocal),
    ("optimal", Distribution::Optimal),
];

impl Case<'_> {
    /// The rule of comparators of the parameters `distribution`, `steepness` and `art_lambda`.
    fn sort_rule(&self) -> Result<DifferentiableSortConfig, QuantityError> {
        Ok(DifferentiableSortConfig::new()
            .with_distribution(self.choice("distribution", &DISTRIBUTIONS)?)
            .with_steepness(self.param("steepness")?)
            .with_art_lambda(self.param("art_lambda")?))
    }

    /// The same with the parameter `network`.
    pub(super) fn sort_config(&self) -> Result<DifferentiableSortConfig, QuantityError> {
        Ok(self.sort_rule()?.with_network(self.choice("network", &NETWORKS)?))
    }

    /// Rows of at least one finite number.
    pub(super) fn rows_to_sort(&self, name: &str) -> Result<(), QuantityError> {
        self.not_empty(name)?;
        if self.array(name).shape[1] == 0 {
            return self.refuse_input(name, "has no columns; there is nothing to sort");
        }
        self.finite(name)
    }
}

/// A quantity with the parameters of [`Case::sort_config`].
pub(super) fn sorting_quantity(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .param("network", "odd_even")
        .param("distribution", "cauchy")
        .param("steepness", 1.0)
        .param("art_lambda", 0.25)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "relaxed_swap",
            "probability that two numbers are in order, and the two after a relaxed swap",
        )
        .param("distribution", "cauchy")
        .param("steepness", 1.0)
        .param("art_lambda", 0.25)
        .input("a", "[k]")
        .input("b", "[k]")
        .eval(|case| {
            case.finite("a")?;
            case.finite("b")?;
            let rule = case.sort_rule()?.swap()?;
            let (mut alpha, mut soft_min, mut soft_max) = (Vec::new(), Vec::new(), Vec::new());
            for (&a, &b) in case.array("a").data.iter().zip(&case.array("b").data) {
                let swap = rule.of(b - a);
                let (min, max) = swap.mix(a, b);
                alpha.push(swap.in_order);
                soft_min.push(min);
                soft_max.push(max);
            }
            Ok(Outputs::new()
                .with("alpha", alpha)
                .with("soft_min", soft_min)
                .with("soft_max", soft_max))
        }),
        Quantity::new(
            "sorting_network_comparators",
            "layers of a sorting network and its comparators: layer, wire of the smaller, wire of the larger",
        )
        .param("network", "odd_even")
        .required_param("n")
        .with_example("n", 4.0)
        .eval(|case| {
            let wires = case.count("n", 1)?;
            if wires > 1 << 12 {
                return case.refuse_param("n", "a whole number from 1 to 4096");
            }
            let network = SortingNetwork::new(case.choice("network", &NETWORKS)?, wires);
            let rows = network.comparators().iter();
            let rows = rows.flat_map(|c| [c.layer as f64, c.low as f64, c.high as f64]);
            let comparators = Array {
                shape: vec![network.comparators().len(), 3],
                data: rows.collect(),
            };
            Ok(Outputs::new()
                .with("layers", network.layers() as f64)
                .with("comparators", comparators))
        }),
        sorting_quantity(
            "differentiable_sort",
            "rows sorted by a relaxed network, the permutation it applies, and the gradient of a weighted sum",
        )
        .input("x", "[B, n]")
        .input("weights", "[n]")
        .with_example("weights", vec![0.5, -0.25, 1.0])
        .eval(|case| {
            case.rows_to_sort("x")?;
            case.finite("weights")?;
            let array = case.array("x");
            let [batch, n] = [array.shape[0], array.shape[1]];
            let sort = case.sort_config()?.init(n)?;
            let x = case.variable::<2>("x");
            let value = sort.weighted(x.clone(), &case.array("weights").data, Reduction::Sum);
            let (mut sorted, mut permutation) = (Vec::new(), Vec::new());
            for row in array.data.chunks(n) {
                let (of_row, masses) = sort.permutation(row);
                sorted.extend(of_row);
                permutation.extend(masses);
            }
            let sorted = Array { shape: vec![batch, n], data: sorted };
            let permutation = Array { shape: vec![batch, n, n], data: permutation };
            Ok(case
                .value_and_gradients(value, &[("x", &x)])
                .with("sorted", sorted)
                .with("permutation", permutation))
        }),
    ]
}

/// Binary cross-entropy of a mass in `[0, 1]`, with logarithms of at least −100 as PyTorch has them, and its slope, which is 0
/// where the mass or its logarithm is clipped.
pub(super) fn binary_cross_entropy(mass: f64, is_target: bool) -> (f64, f64) {
    let inside = mass.clamp(0.0, 1.0);
    let (likely, sign) = if is_target {
        (inside, -1.0)
    } else {
        (1.0 - inside, 1.0)
    };
    let log = likely.ln();
    if log < -100.0 {
        return (100.0, 0.0);
    }
    let slope = if inside == mass { sign / likely } else { 0.0 };
    (-log, slope)
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;
    use crate::classification::rowwise::tests::{central_differences, random_batch, value_and_gradient};

    #[test]
    fn gradients_are_slopes_in_both_float_types() {
        let (x, _) = random_batch(3, 6, 1.0, 0, DType::F64);
        let weights = [0.3, -1.0, 0.7, 2.0, 0.0, 1.0];
        let sort = DifferentiableSortConfig::new()
            .with_steepness(2.0)
            .init(6)
            .unwrap();
        let loss = |x: Tensor<2>| sort.weighted(x, &weights, Reduction::Mean);
        let (_, gradient) = value_and_gradient(&x, loss);
        for (a, b) in gradient.iter().zip(central_differences(&x, loss)) {
            assert!((a - b).abs() < 1e-8);
        }
        let (_, single) = value_and_gradient(&x.cast(DType::F32), loss);
        for (a, b) in single.iter().zip(gradient) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    #[test]
    fn a_steepness_of_zero_is_refused() {
        let error = DifferentiableSortConfig::new()
            .with_steepness(0.0)
            .init(3)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "differentiable_sort: `steepness` is 0; it must be above 0 and finite"
        );
    }

    #[test]
    fn cross_entropy_stops_at_a_hundred() {
        assert_eq!(binary_cross_entropy(0.0, true), (100.0, 0.0));
        assert_eq!(binary_cross_entropy(1.0, true), (0.0, -1.0));
        assert_eq!(binary_cross_entropy(1.0 + 1e-16, false), (100.0, 0.0));
        assert!(binary_cross_entropy(f64::NAN, true).0.is_nan());
    }
}
