//! The trained parameters of a module as one vector, in the order in which the module visits them.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Element, Tensor, TensorData};

/// The parameters that are trained.
///
/// # Panics
/// When one does not hold floats.
pub fn flat_parameters<F: Element, M: Module>(module: &M) -> Vec<F> {
    struct Parameters<F>(Vec<F>);
    impl<F: Element> ModuleVisitor for Parameters<F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.0.extend(values::<F, D>(param.val().without_autodiff()));
            }
        }
    }
    let mut parameters = Parameters(Vec::new());
    module.visit(&mut parameters);
    parameters.0
}

/// The gradients of the parameters that are trained; zeros for those that have none.
///
/// # Panics
/// When one does not hold floats.
pub fn flat_gradients<F: Element, M: Module>(module: &M, gradients: &GradientsParams) -> Vec<F> {
    struct Gradients<'a, F>(&'a GradientsParams, Vec<F>);
    impl<F: Element> ModuleVisitor for Gradients<'_, F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.val().is_require_grad() {
                return;
            }
            let gradient = self.0.get::<D>(param.id);
            let gradient = gradient.unwrap_or_else(|| param.val().without_autodiff().zeros_like());
            self.1.extend(values::<F, D>(gradient));
        }
    }
    let mut found = Gradients(gradients, Vec::new());
    module.visit(&mut found);
    found.1
}

/// The module with its trained parameters replaced.
///
/// # Panics
/// When there are not as many values as trained parameters.
pub fn with_flat_parameters<F: Element, M: Module>(module: M, values: &[F]) -> M {
    struct Replace<'a, F>(&'a [F]);
    impl<F: Element> ModuleMapper for Replace<'_, F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !param.val().is_require_grad() {
                return param;
            }
            param.map(|old| {
                let (own, rest) = self
                    .0
                    .split_at_checked(old.shape().num_elements())
                    .expect("there is a value for each parameter");
                self.0 = rest;
                let data = TensorData::new(own.to_vec(), old.shape());
                let device = old.device().without_autodiff();
                let new = Tensor::<D>::from_data(data, (&device, old.dtype()));
                new.autodiff().require_grad()
            })
        }
    }
    let mut replace = Replace(values);
    let module = module.map(&mut replace);
    assert!(replace.0.is_empty(), "there are more values than parameters");
    module
}

fn values<F: Element, const D: usize>(tensor: Tensor<D>) -> Vec<F> {
    let values = tensor.into_data().try_into_vec_as::<F>();
    values.expect("parameters are floats")
}
