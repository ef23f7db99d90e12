//! Gradient alignment over the parameters of a network.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use thalweg::distillation::{AlignmentScope, align};

use crate::model::Network;

/// The merged gradients of two losses on separate graphs: [`align`] over all parameters in a row.
pub fn aligned(
    main: Tensor<1>,
    auxiliary: Tensor<1>,
    scope: AlignmentScope,
    network: &Network,
) -> GradientsParams {
    let [main, auxiliary] =
        [main, auxiliary].map(|loss| GradientsParams::from_grads(loss.backward(), network));
    let mut flat = Flat {
        of: [&main, &auxiliary],
        values: [Vec::new(), Vec::new()],
        shared: Vec::new(),
    };
    network.visit(&mut flat);
    let [own, other] = &flat.values;
    let merged = align(own, other, &flat.shared, scope).merged;
    let mut spread = Spread {
        like: [&main, &auxiliary],
        merged: &merged,
        out: GradientsParams::new(),
    };
    network.visit(&mut spread);
    spread.out
}

/// Two gradients in a row, zeros where a loss does not reach; parameters that neither reaches are left out.
struct Flat<'a> {
    of: [&'a GradientsParams; 2],
    values: [Vec<f32>; 2],
    shared: Vec<bool>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let found = self.of.map(|gradients| gradients.get::<D>(param.id));
        if found.iter().all(Option::is_none) {
            return;
        }
        let count = param.shape().num_elements();
        let both = found.iter().all(Option::is_some);
        self.shared.extend(std::iter::repeat_n(both, count));
        for (values, gradient) in self.values.iter_mut().zip(found) {
            match gradient {
                Some(gradient) => {
                    let floats = gradient.into_data().try_into_vec_as::<f32>();
                    values.extend(floats.expect("gradients are floats"));
                }
                None => values.extend(std::iter::repeat_n(0.0, count)),
            }
        }
    }
}

/// A row of numbers put back where [`Flat`] took them.
struct Spread<'a> {
    like: [&'a GradientsParams; 2],
    merged: &'a [f32],
    out: GradientsParams,
}

impl ModuleVisitor for Spread<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let found = self
            .like
            .iter()
            .find_map(|gradients| gradients.get::<D>(param.id));
        let Some(like) = found else { return };
        let (own, rest) = self.merged.split_at(like.shape().num_elements());
        self.merged = rest;
        let data = TensorData::new(own.to_vec(), like.shape());
        self.out
            .register(param.id, Tensor::<D>::from_data(data, &like.device()));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use thalweg::objective::{DualHead, Model};
    use thalweg_kernels::random::Stream;

    use super::*;
    use crate::model::{AuxiliaryHeadSpec, ModelSpec};

    fn numbers(gradients: &GradientsParams, network: &Network) -> Vec<f32> {
        let mut flat = Flat {
            of: [gradients, gradients],
            values: [Vec::new(), Vec::new()],
            shared: Vec::new(),
        };
        network.visit(&mut flat);
        flat.values.into_iter().next().unwrap()
    }

    #[test]
    fn agreement_is_the_sum_and_conflict_leaves_nothing_against_the_main_loss() {
        let device = Device::flex().autodiff();
        let network = Network::new(&ModelSpec::mlp(vec![5]), &[3], 2, 0, &device);
        let network = network.with_auxiliary_head(AuxiliaryHeadSpec::Linear, 0, &device);
        let inputs = Tensor::<2>::ones([4, 3], &device);
        let main = |factor: f64| network.forward(inputs.clone()).sum() * factor;
        let auxiliary = |factor: f64| {
            let features = network.features(inputs.clone());
            // The features' sum stands in for a loss that the main one opposes or not.
            (features.clone().sum() + network.auxiliary(features, &mut Stream::new(0, "none", 0)).sum() * 0.0)
                * factor
        };
        let of = |loss: Tensor<1>| numbers(&GradientsParams::from_grads(loss.backward(), &network), &network);
        let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let shared = |factor: f64| inner(&of(main(1.0)), &of(auxiliary(factor))[..of(main(1.0)).len()]);
        let agreeing = if shared(1.0) > 0.0 { 1.0 } else { -1.0 };
        for scope in [AlignmentScope::Full, AlignmentScope::Shared] {
            let sum = of(main(1.0) + auxiliary(agreeing));
            let merged = numbers(
                &aligned(main(1.0), auxiliary(agreeing), scope, &network),
                &network,
            );
            assert!(sum.iter().zip(&merged).all(|(a, b)| (a - b).abs() < 1e-5));
            let sum = of(main(1.0) + auxiliary(-agreeing));
            let merged = numbers(
                &aligned(main(1.0), auxiliary(-agreeing), scope, &network),
                &network,
            );
            assert_ne!(sum, merged);
            let along = inner(&of(main(1.0)), &merged[..of(main(1.0)).len()]);
            assert!(along > 0.0, "{along}");
        }
    }
}
