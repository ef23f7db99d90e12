//! Sharpness-aware minimisation: the gradient is taken where the loss is about largest in a neighbourhood of the weights,
//! and the weights step along it from where they are. Two forward and two backward passes a step.
//!
//! - SAM: `ε = ρ g/‖g‖` over all parameters together, the neighbourhood a ball of radius ρ.
//! - ASAM: `ε = ρ T² g/‖T g‖` with `T = |θ| + η`, a neighbourhood that grows with the weights, so that rescaling a parameter
//!   changes nothing (for η = 0).
//!
//! A gradient of nothing leads nowhere: ε = 0. Lengths below 1e-12 are taken as 1e-12.
//!
//! Source: Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021 (arXiv 2010.01412); Kwon, Kim, Park, Choi, "ASAM", ICML 2021 (arXiv
//! 2102.11600).

use burn::config::Config;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{GradientsParams, LearningRate, ModuleOptimizer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_kernels::optimizer::{Ascent, Length, Metric};

use super::whole::{Evaluation, StateError, WholeOptimizer};
use crate::ConfigError;
use crate::bridge::{CpuFloat, CpuFloats, Floats, InPlace, in_place};
use crate::config::require;

/// The least length that a gradient is divided by.
const LEAST_LENGTH: f64 = 1e-12;

/// Where the largest loss is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Neighbourhood {
    /// A ball: SAM.
    #[default]
    Ball,
    /// Each parameter in proportion to its size: ASAM.
    Adaptive {
        /// Added to the sizes, η at least 0.
        eta: f64,
    },
}

/// Configuration of [`Sam`].
#[derive(Config, Debug)]
pub struct SamConfig {
    /// Radius ρ of the neighbourhood, at least 0; ASAM's are ten times as large or more.
    #[config(default = 0.05)]
    pub rho: f64,
    /// Its form.
    #[config(default = "Neighbourhood::Ball")]
    pub neighbourhood: Neighbourhood,
}

impl SamConfig {
    /// The optimiser, which leaves the step from the weights to `base`.
    ///
    /// # Errors
    /// When ρ or η is negative or not finite.
    pub fn init(&self, base: ModuleOptimizer) -> Result<Sam, ConfigError> {
        Ok(Sam {
            perturbation: self.perturbation()?,
            base,
        })
    }

    /// The way to where the loss is about largest.
    ///
    /// # Errors
    /// When ρ or η is negative or not finite.
    pub fn perturbation(&self) -> Result<Perturbation, ConfigError> {
        let bounded = |parameter, value| {
            require("sam", parameter, value, "at least 0 and finite", |x| {
                x >= 0.0 && x.is_finite()
            })
        };
        Ok(Perturbation {
            rho: bounded("rho", self.rho)?,
            metric: match self.neighbourhood {
                Neighbourhood::Ball => Metric::Euclidean,
                Neighbourhood::Adaptive { eta } => Metric::Adaptive {
                    eta: bounded("eta", eta)?,
                },
            },
        })
    }
}

/// From weights to where the loss is about largest around them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Perturbation {
    rho: f64,
    metric: Metric,
}

impl InPlace<1> for Ascent {
    fn run<F: CpuFloat>(self, [gradient]: [&mut [F]; 1], parameters: &[F]) {
        self.step(gradient, parameters);
    }
}

impl Perturbation {
    /// `‖T g‖` of some of the parameters; of all, it is that of the parts [together](Length::and).
    pub fn length<const D: usize>(&self, parameters: &Tensor<D>, gradient: &Tensor<D>) -> Length {
        let parameters = parameters.clone().without_autodiff();
        let memories = [&parameters, gradient].map(CpuFloats::gathered);
        if let [Some(own), Some(slopes)] = &memories {
            match (own.floats(), slopes.floats()) {
                (Floats::F32(own), Floats::F32(slopes)) => return Length::of(self.metric, own, slopes),
                (Floats::F64(own), Floats::F64(slopes)) => return Length::of(self.metric, own, slopes),
                _ => {}
            }
        }
        let measured = self.measured(&parameters, gradient.clone());
        let measured = measured.into_data().try_into_vec_as::<f64>();
        let measured = measured.expect("gradients are floats");
        Length::of(Metric::Euclidean, &measured, &measured)
    }

    /// ε of some of the parameters, given the length `‖T g‖` of all.
    pub fn epsilon<const D: usize>(
        &self,
        length: f64,
        parameters: &Tensor<D>,
        gradient: Tensor<D>,
    ) -> Tensor<D> {
        let rule = Ascent {
            metric: self.metric,
            // Not `max`, which would hide what is no number.
            scale: self.rho
                / if length < LEAST_LENGTH {
                    LEAST_LENGTH
                } else {
                    length
                },
        };
        let parameters = parameters.clone().without_autodiff();
        match in_place([gradient], &parameters, rule) {
            Ok([epsilon]) => epsilon,
            Err([gradient]) => {
                let measured = self.measured(&parameters, gradient) * rule.scale;
                self.measured(&parameters, measured)
            }
        }
    }

    /// `T g` by tensor operations.
    fn measured<const D: usize>(&self, parameters: &Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        match self.metric {
            Metric::Euclidean => gradient,
            Metric::Adaptive { eta } => gradient * (parameters.clone().abs() + eta),
        }
    }

    /// The module at `θ + ε`, with the gradients taken at θ. The one given stays as it is.
    pub fn moved<M: Module>(&self, module: &M, gradients: GradientsParams) -> M {
        let mut measuring = Measuring {
            perturbation: self,
            gradients: &gradients,
            length: Length::default(),
        };
        module.visit(&mut measuring);
        let length = measuring.length.value();
        module.clone().map(&mut Moving {
            perturbation: self,
            gradients,
            length,
        })
    }
}

struct Measuring<'a> {
    perturbation: &'a Perturbation,
    gradients: &'a GradientsParams,
    length: Length,
}

impl ModuleVisitor for Measuring<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let own = self.perturbation.length(&param.val(), &gradient);
            self.length = self.length.and(own);
        }
    }
}

struct Moving<'a> {
    perturbation: &'a Perturbation,
    gradients: GradientsParams,
    length: f64,
}

impl ModuleMapper for Moving<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        param.map(|parameters| {
            let epsilon = self.perturbation.epsilon(self.length, &parameters, gradient);
            let moved = parameters.without_autodiff() + epsilon;
            moved.autodiff().require_grad()
        })
    }
}

/// The optimiser, over the one that takes the step.
///
/// The weights never move to where the gradient is taken: that is another module, which is gone before the step, so that
/// nothing drifts and the base may step in place.
pub struct Sam {
    perturbation: Perturbation,
    base: ModuleOptimizer,
}

impl WholeOptimizer for Sam {
    fn step<M: Module>(
        &mut self,
        rate: LearningRate,
        module: M,
        evaluate: &mut dyn FnMut(&M) -> Evaluation,
    ) -> (M, f64) {
        let Evaluation { value, gradients } = evaluate(&module);
        let moved = self.perturbation.moved(&module, gradients);
        let gradients = evaluate(&moved).gradients;
        drop(moved);
        (self.base.step(rate, module, gradients), value)
    }

    fn state(&self) -> Result<Vec<u8>, StateError> {
        self.base.state()
    }

    fn with_state(self, bytes: &[u8]) -> Result<Self, StateError> {
        Ok(Self {
            base: self.base.with_state(bytes)?,
            ..self
        })
    }
}

#[cfg(test)]
mod tests;
