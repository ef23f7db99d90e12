//! Two-level hierarchical softmax: class y is number `y mod K` of group `y div K`, and
//! `ℓ = −log softmax(W₁ h + b₁)_g − log softmax(W₂[g] h + b₂[g])_k`, in nats. With G = K = ⌈√D⌉ a step costs of the order
//! of √D.
//!
//! Source: Goodman, "Classes for fast maximum entropy training", ICASSP 2001; two levels of equal size as in Theano's
//! `h_softmax`.

use burn::tensor::{Element, Int, Tensor};
use thalweg_kernels::hierarchical_output::{Levels, step};
use thalweg_kernels::log_softmax_output::Samples;
use thalweg_kernels::random::Stream;
use thalweg_kernels::real::Real;

use super::{OutputError, OutputLayer, assembled, check_rate, one_target_each, uniform_weights, vectors};
use crate::Reduction;
use crate::classification::rowwise::log_prob_of_target;
use crate::quantity::Quantity;

/// Weights and biases of both levels, of G groups of K classes over hidden vectors of width d.
#[derive(Clone, Debug)]
pub struct HierarchicalWeights {
    /// W₁ `[G, d]`.
    pub group_weights: Tensor<2>,
    /// b₁ `[G]`.
    pub group_biases: Tensor<1>,
    /// W₂ `[G, K, d]`.
    pub class_weights: Tensor<3>,
    /// b₂ `[G, K]`.
    pub class_biases: Tensor<2>,
}

/// The loss in tensor operations, on any backend; what [`HierarchicalSoftmaxOutput`] computes fast.
///
/// # Shapes
/// - hidden `[batch, d]`, targets `[batch]` with values in `0..G·K`; returns `[1]`, or `[batch]` for [`Reduction::None`].
///
/// # Panics
/// When the shapes disagree or a target is out of range.
pub fn hierarchical_softmax_loss(
    hidden: Tensor<2>,
    weights: &HierarchicalWeights,
    targets: Tensor<1, Int>,
    reduction: Reduction,
) -> Tensor<1> {
    let ([batch, width], [groups, size]) = (hidden.dims(), weights.class_biases.dims());
    let group = targets.clone().div_scalar(size as i64);
    let class = targets - group.clone() * size as i64;
    let of_groups = hidden.clone().matmul(weights.group_weights.clone().transpose())
        + weights.group_biases.clone().reshape([1, groups]);
    let own = weights.class_weights.clone().select(0, group.clone());
    let within = own
        .matmul(hidden.reshape([batch, width, 1]))
        .reshape([batch, size])
        + weights.class_biases.clone().select(0, group.clone());
    let log_p = log_prob_of_target(of_groups, group) + log_prob_of_target(within, class);
    reduction.of(-log_p)
}

/// The loss as an output layer with weights of the float type `F`, trained by plain SGD.
#[derive(Clone, Debug)]
pub struct HierarchicalSoftmaxOutput<F> {
    group_weights: Vec<F>,
    group_biases: Vec<F>,
    class_weights: Vec<F>,
    class_biases: Vec<F>,
    classes: usize,
    width: usize,
    reduction: Reduction,
}

impl<F: Real + Element> HierarchicalSoftmaxOutput<F> {
    /// ⌈√classes⌉ groups of as many classes; weights uniform in `±1/√width`, biases 0.
    ///
    /// # Panics
    /// When there are no classes or the width is 0.
    pub fn new(classes: usize, width: usize, reduction: Reduction, seed: u64) -> Self {
        assert!(
            classes > 0 && width > 0,
            "a layer of {classes} classes and width {width}"
        );
        let side = (classes as f64).sqrt().ceil() as usize;
        let mut stream = Stream::new(seed, "output", 0);
        Self {
            group_weights: uniform_weights(&mut stream, width, side * width),
            group_biases: vec![F::ZERO; side],
            class_weights: uniform_weights(&mut stream, width, side * side * width),
            class_biases: vec![F::ZERO; side * side],
            classes,
            width,
            reduction,
        }
    }
}

impl<F: Real + Element> OutputLayer for HierarchicalSoftmaxOutput<F> {
    fn train(
        &mut self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        learning_rate: f64,
    ) -> Result<Tensor<1>, OutputError> {
        check_rate(learning_rate)?;
        let values = vectors::<F>(&hidden, self.width);
        let [batch, _] = hidden.dims();
        let targets = one_target_each(targets, batch, self.classes)?;
        let levels = Levels {
            group_weights: &mut self.group_weights,
            group_biases: &mut self.group_biases,
            class_weights: &mut self.class_weights,
            class_biases: &mut self.class_biases,
        };
        let samples = Samples {
            hidden: &values,
            targets: &targets,
        };
        let scale = self.reduction.scale(batch);
        let (mut losses, mut gradient) = (vec![F::ZERO; batch], vec![F::ZERO; values.len()]);
        step(levels, samples, learning_rate * scale, &mut losses, &mut gradient);
        gradient.iter_mut().for_each(|slope| *slope *= F::from_f64(scale));
        Ok(assembled(hidden, losses, gradient, self.reduction))
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "hierarchical_softmax_loss",
            "two-level hierarchical softmax of a batch, and its gradients",
        )
        .required_param("n_groups")
        .required_param("group_size")
        .param("reduction", "mean")
        .input("hidden", "[N, d]")
        .input("w1", "[G, d]")
        .input("b1", "[G]")
        .input("w2", "[G, K, d]")
        .input("b2", "[G, K]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("hidden")?;
            let (groups, size) = (case.count("n_groups", 1)?, case.count("group_size", 1)?);
            if [groups, size] != case.array("b2").shape[..] {
                let problem = format!(
                    "has shape {:?}; n_groups and group_size say [{groups}, {size}]",
                    case.array("b2").shape
                );
                return case.refuse_input("b2", problem);
            }
            let targets = case.labels("labels", groups * size)?;
            let hidden = case.variable::<2>("hidden");
            let weights = HierarchicalWeights {
                group_weights: case.variable("w1"),
                group_biases: case.variable("b1"),
                class_weights: case.variable("w2"),
                class_biases: case.variable("b2"),
            };
            let loss = hierarchical_softmax_loss(hidden.clone(), &weights, targets, case.reduction()?);
            let outputs = case.loss_value(loss.clone());
            let gradients = loss.sum().backward();
            let missing = "every weight is part of the loss";
            Ok(outputs
                .with_tensor("grad_hidden", hidden.grad(&gradients).expect(missing))
                .with_tensor("grad_w1", weights.group_weights.grad(&gradients).expect(missing))
                .with_tensor("grad_b1", weights.group_biases.grad(&gradients).expect(missing))
                .with_tensor("grad_w2", weights.class_weights.grad(&gradients).expect(missing))
                .with_tensor("grad_b2", weights.class_biases.grad(&gradients).expect(missing)))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::super::super::rowwise::tests::assert_close;
    use super::*;

    fn leaf<const N: usize>(values: &[f64], shape: [usize; N]) -> Tensor<N> {
        let data = TensorData::new(values.to_vec(), shape);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
            .autodiff()
            .require_grad()
    }

    fn read<const N: usize>(tensor: Tensor<N>) -> Vec<f64> {
        tensor.into_data().try_into_vec_as::<f64>().unwrap()
    }

    fn weights_of(layer: &HierarchicalSoftmaxOutput<f64>) -> HierarchicalWeights {
        let (side, width) = (layer.group_biases.len(), layer.width);
        HierarchicalWeights {
            group_weights: leaf(&layer.group_weights, [side, width]),
            group_biases: leaf(&layer.group_biases, [side]),
            class_weights: leaf(&layer.class_weights, [side, side, width]),
            class_biases: leaf(&layer.class_biases, [side, side]),
        }
    }

    #[test]
    fn a_step_is_that_of_autodiff_and_probabilities_sum_to_one() {
        let (classes, width) = (23, 70);
        let mut layer = HierarchicalSoftmaxOutput::<f64>::new(classes, width, Reduction::Mean, 1);
        let hidden = uniform_weights::<f64>(&mut Stream::new(2, "hidden", 0), 1, 5 * width);
        // Two of one class, three of one group.
        let targets = Tensor::<1, Int>::from_ints([3, 3, 4, 22, 11], &Device::flex());
        for _ in 0..3 {
            let weights = weights_of(&layer);
            let h = leaf(&hidden, [5, width]);
            let expected = hierarchical_softmax_loss(h.clone(), &weights, targets.clone(), Reduction::Mean);
            let gradients = expected.backward();
            let own = leaf(&hidden, [5, width]);
            let before = layer.clone();
            let value = layer.train(own.clone(), targets.clone(), 0.7).unwrap();
            assert_close(
                &[value.clone().into_scalar::<f64>()],
                &[expected.into_scalar::<f64>()],
                1e-13,
            );
            let gradient = own.grad(&value.backward()).unwrap();
            assert_close(&read(gradient), &read(h.grad(&gradients).unwrap()), 1e-12);
            let stepped = |old: &[f64], new: &[f64], gradient: Vec<f64>| {
                let expected: Vec<f64> = old.iter().zip(gradient).map(|(w, g)| w - 0.7 * g).collect();
                assert_close(new, &expected, 1e-13);
            };
            let of = |weights: &Tensor<2>| read(weights.grad(&gradients).unwrap());
            stepped(
                &before.group_weights,
                &layer.group_weights,
                of(&weights.group_weights),
            );
            stepped(
                &before.class_biases,
                &layer.class_biases,
                of(&weights.class_biases),
            );
            let biases = read(weights.group_biases.grad(&gradients).unwrap());
            stepped(&before.group_biases, &layer.group_biases, biases);
            let classes = read(weights.class_weights.grad(&gradients).unwrap());
            stepped(&before.class_weights, &layer.class_weights, classes);
        }
        let all = Tensor::<1, Int>::arange(0..25, &Device::flex());
        let same = leaf(&hidden[..width].repeat(25), [25, width]);
        let losses = hierarchical_softmax_loss(same, &weights_of(&layer), all, Reduction::None);
        let total: f64 = read(losses).iter().map(|loss| (-loss).exp()).sum();
        assert!((total - 1.0).abs() < 1e-13);
    }
}
