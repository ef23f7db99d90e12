//! Cross-entropy of a relaxed permutation with the identity: the numbers of a row are to be in ascending order already.
//!
//! `−(1/n²) Σ_ij [ 1(i = j) log P_ij + 1(i ≠ j) log(1 − P_ij) ]`, logarithms of at least −100.
//!
//! Source: Petersen, Borgelt, Kuehne, Deussen, "Differentiable sorting networks for scalable sorting and ranking supervision",
//! ICML 2021 (arXiv 2105.04019).

use burn::config::Config;
use burn::tensor::Tensor;
use thalweg_kernels::rows::RowLoss;
use thalweg_kernels::sorting::RelaxedSort;

use super::score_loss::row_loss;
use super::sorting::{DifferentiableSortConfig, binary_cross_entropy, sorting_quantity};
use crate::quantity::Quantity;
use crate::{ConfigError, Reduction};

/// Configuration of [`PermutationBceLoss`].
#[derive(Config, Debug)]
pub struct PermutationBceLossConfig {
    /// The relaxed sorting network.
    #[config(default = "DifferentiableSortConfig::new()")]
    pub sort: DifferentiableSortConfig,
    /// How the losses of rows become one number.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
}

impl PermutationBceLossConfig {
    /// The loss for rows of so many numbers.
    ///
    /// # Errors
    /// When steepness or λ is out of its range.
    pub fn init(&self, wires: usize) -> Result<PermutationBceLoss, ConfigError> {
        Ok(PermutationBceLoss {
            sort: self.sort.init(wires)?.relaxed().clone(),
            reduction: self.reduction,
        })
    }
}

/// Cross-entropy of a relaxed permutation with the identity.
#[derive(Clone, Debug)]
pub struct PermutationBceLoss {
    sort: RelaxedSort,
    reduction: Reduction,
}

impl PermutationBceLoss {
    /// # Shapes
    /// - x `[batch, wires]`; returns `[1]`, or `[batch]` for [`Reduction::None`].
    ///
    /// # Panics
    /// When the batch is empty or rows have another length.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<1> {
        let [batch, wires] = x.dims();
        assert!(batch > 0, "an empty batch has no loss");
        assert_eq!(wires, self.sort.wires(), "a number for each wire");
        row_loss(self, x, vec![0; batch], self.reduction)
    }
}

impl RowLoss for PermutationBceLoss {
    fn row(&self, _: usize, scores: &mut [f64], _: usize, gradient: &mut [f64]) -> f64 {
        let n = self.sort.wires();
        let tape = self.sort.sort(scores);
        let mut masses = vec![0.0; n * n];
        masses.iter_mut().step_by(n + 1).for_each(|own| *own = 1.0);
        let trail = self.sort.masses(&tape, &mut masses);
        let share = 1.0 / (n * n) as f64;
        let mut total = 0.0;
        for (at, mass) in masses.iter_mut().enumerate() {
            let (loss, slope) = binary_cross_entropy(*mass, at / n == at % n);
            total += loss;
            *mass = slope * share;
        }
        gradient.fill(0.0);
        self.sort.reverse(&tape, gradient, Some((&trail, &mut masses)));
        total * share
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        sorting_quantity(
            "permutation_bce_loss",
            "cross-entropy of the permutation of a relaxed sort with the identity, and its gradient",
        )
        .input("x", "[B, n]")
        .eval(|case| {
            case.rows_to_sort("x")?;
            let loss = PermutationBceLossConfig::new()
                .with_sort(case.sort_config()?)
                .init(case.array("x").shape[1])?;
            let x = case.variable::<2>("x");
            Ok(case.value_and_gradients(loss.forward(x.clone()), &[("x", &x)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use thalweg_kernels::sorting::Network;

    use super::*;
    use crate::classification::rowwise::tests::{central_differences, random_batch, value_and_gradient};

    #[test]
    fn the_gradient_is_the_slope() {
        for network in Network::ALL {
            let sort = DifferentiableSortConfig::new()
                .with_network(network)
                .with_steepness(3.0);
            let loss = PermutationBceLossConfig::new().with_sort(sort).init(5).unwrap();
            let (x, _) = random_batch(2, 5, 1.0, 1, DType::F64);
            let (_, gradient) = value_and_gradient(&x, |x| loss.forward(x));
            for (a, b) in gradient.iter().zip(central_differences(&x, |x| loss.forward(x))) {
                assert!((a - b).abs() < 1e-7, "{a} {b}");
            }
        }
    }

    #[test]
    fn order_is_better_than_disorder() {
        let sort = DifferentiableSortConfig::new().with_steepness(20.0);
        let loss = PermutationBceLossConfig::new().with_sort(sort).init(4).unwrap();
        let of = |row: [f64; 4]| {
            let x = Tensor::<2>::from_data([row], (&Device::flex(), DType::F64));
            loss.forward(x).into_scalar::<f64>()
        };
        assert!(of([0.0, 1.0, 2.0, 3.0]) < 0.1);
        assert!(of([3.0, 2.0, 1.0, 0.0]) > 1.0);
    }
}
