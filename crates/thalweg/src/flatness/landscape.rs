//! A loss as a function of all parameters in one vector, and its derivatives: what sharpness is measured on.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

use crate::optimizer::{Evaluation, flat_gradients, with_flat_parameters};

/// A loss over parameters, in f64.
pub trait Landscape {
    /// Number of parameters.
    fn dimension(&self) -> usize;

    /// The loss, and its gradient into `gradient`.
    fn gradient(&self, at: &[f64], gradient: &mut [f64]) -> f64;

    /// The loss.
    fn loss(&self, at: &[f64]) -> f64 {
        self.gradient(at, &mut vec![0.0; at.len()])
    }

    /// The Hessian times a direction, into `product`.
    ///
    /// By central differences of the gradient with a step of relative size `h = ε^⅓ ≈ 6e-6`: two gradients, and an error of
    /// `h²/6` of the fourth derivative along the direction plus about `ε/h ≈ 4e-11` of the gradient. Where the loss is only
    /// piecewise smooth (ReLU), it is the Hessian of the piece but for kinks within the step.
    fn hessian_product(&self, at: &[f64], direction: &[f64], product: &mut [f64]) {
        let length = norm(direction);
        if length == 0.0 {
            product.fill(0.0);
            return;
        }
        let step = f64::EPSILON.cbrt() * (1.0 + norm(at) / (at.len() as f64).sqrt());
        let moved = |sign: f64| -> Vec<f64> {
            let pairs = at.iter().zip(direction);
            pairs.map(|(w, d)| w + sign * step / length * d).collect()
        };
        let mut below = vec![0.0; at.len()];
        self.gradient(&moved(1.0), product);
        self.gradient(&moved(-1.0), &mut below);
        for (above, below) in product.iter_mut().zip(below) {
            *above = (*above - below) * (length / (2.0 * step));
        }
    }
}

/// The loss of a module: `evaluate` of it with other parameters in place. Parameters outside autodiff stay.
pub struct ModuleLandscape<M, E> {
    module: M,
    evaluate: E,
    dimension: usize,
}

impl<M: Module, E: Fn(&M) -> Evaluation> ModuleLandscape<M, E> {
    /// Of a module, whose float parameters become f64: inputs that `evaluate` gives it are to be f64 as well.
    pub fn new(module: M, evaluate: E) -> Self {
        let module = module.map(&mut InDoublePrecision);
        let dimension = crate::optimizer::flat_parameters::<f64, M>(&module).len();
        Self {
            module,
            evaluate,
            dimension,
        }
    }

    /// The parameters of the module.
    pub fn parameters(&self) -> Vec<f64> {
        crate::optimizer::flat_parameters(&self.module)
    }
}

struct InDoublePrecision;

impl ModuleMapper for InDoublePrecision {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let trained = tensor.is_require_grad();
            let double = tensor.without_autodiff().cast(DType::F64);
            if trained {
                double.autodiff().require_grad()
            } else {
                double
            }
        })
    }
}

impl<M: Module, E: Fn(&M) -> Evaluation> Landscape for ModuleLandscape<M, E> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn gradient(&self, at: &[f64], gradient: &mut [f64]) -> f64 {
        let module = with_flat_parameters(self.module.clone(), at);
        let Evaluation { value, gradients } = (self.evaluate)(&module);
        gradient.copy_from_slice(&flat_gradients::<f64, M>(&module, &gradients));
        value
    }
}

/// A landscape around a point, each coordinate measured by a factor of its own: the loss at `centre + T u` as a function
/// of u. Sharpness at `u = 0` in it is the adaptive one: with [`adaptive`](Self::adaptive) it does not change when parameters
/// are rescaled and the loss is not.
pub struct Rescaled<'a, L> {
    landscape: &'a L,
    centre: &'a [f64],
    factors: Vec<f64>,
}

impl<'a, L: Landscape> Rescaled<'a, L> {
    /// With ASAM's factors `|θ| + η` at θ.
    pub fn adaptive(landscape: &'a L, centre: &'a [f64], eta: f64) -> Self {
        Self {
            landscape,
            centre,
            factors: centre.iter().map(|parameter| parameter.abs() + eta).collect(),
        }
    }

    fn place(&self, at: &[f64]) -> Vec<f64> {
        let each = self.centre.iter().zip(&self.factors).zip(at);
        each.map(|((centre, factor), u)| centre + factor * u).collect()
    }

    fn measured(&self, values: &mut [f64]) {
        for (value, factor) in values.iter_mut().zip(&self.factors) {
            *value *= factor;
        }
    }
}

impl<L: Landscape> Landscape for Rescaled<'_, L> {
    fn dimension(&self) -> usize {
        self.landscape.dimension()
    }

    fn gradient(&self, at: &[f64], gradient: &mut [f64]) -> f64 {
        let value = self.landscape.gradient(&self.place(at), gradient);
        self.measured(gradient);
        value
    }

    fn loss(&self, at: &[f64]) -> f64 {
        self.landscape.loss(&self.place(at))
    }

    fn hessian_product(&self, at: &[f64], direction: &[f64], product: &mut [f64]) {
        let mut direction = direction.to_vec();
        self.measured(&mut direction);
        self.landscape
            .hessian_product(&self.place(at), &direction, product);
        self.measured(product);
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}
