//! M-FAC.

mod quantities;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub(super) use quantities::quantities;
pub use state::WindowElement;
pub use step::MFacStep;

use burn::config::Config;
use burn::module::Module;
use burn::optim::{GradientsParams, LearningRate};

use super::{Evaluation, StateError, WholeOptimizer, decay, factor};
use super::{flat_gradients, flat_parameters, with_flat_parameters};
use crate::ConfigError;
use crate::config::require;
use crate::curvature::{CurvatureError, check_dampening};

/// Configuration of [`MFac`]; defaults are those of its authors' code.
#[derive(Config, Debug)]
pub struct MFacConfig {
    /// Gradients m that the Fisher information is of, at least 1; 512 for small networks.
    #[config(default = 1024)]
    pub num_gradients: usize,
    /// Dampening λ of the Fisher information, above 0; 1e-6 where a pre-trained network is tuned.
    #[config(default = 1e-5)]
    pub dampening: f64,
    /// What the velocity of preconditioned gradients keeps per step, μ in `[0, 1)`.
    #[config(default = 0.0)]
    pub momentum: f64,
    /// Weight decay, at least 0, added to gradients before they are looked at.
    #[config(default = 0.0)]
    pub weight_decay: f64,
    /// Whether parameters that are 0 at the first step stay so.
    #[config(default = false)]
    pub sparse: bool,
}

impl MFacConfig {
    /// The optimiser of a whole module, its gradients kept in single precision.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<MFac, ConfigError> {
        self.init_kept_as()
    }

    /// The optimiser of a whole module, its gradients kept as S: in [`f16`](crate::curvature::f16) or
    /// [`bf16`](crate::curvature::bf16) they take half the memory, in f64 twice.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init_kept_as<S: WindowElement>(&self) -> Result<MFac<S>, ConfigError> {
        require(
            "MFac",
            "num_gradients",
            self.num_gradients as f64,
            "at least 1",
            |rows| rows >= 1.0,
        )?;
        check_dampening(self.dampening)?;
        factor("MFac", "momentum", self.momentum)?;
        decay("MFac", self.weight_decay)?;
        Ok(MFac {
            config: self.clone(),
            running: None,
        })
    }
}

/// Descent along gradients times the inverse of the empirical Fisher information `F = λI + (1/m) Σ_i g_i g_iᵀ` of the last
/// m of them, over all parameters of a module as one vector of d numbers. With gradient g and learning rate η:
///
/// - `g ← g + weight_decay·θ`, taken up in the place of the oldest of the m gradients;
/// - `u = F⁻¹g`;
/// - where μ is above 0: `v ← μ·v + (1 − μ)·u`, `u = v`;
/// - `θ ← θ − η·u`.
///
/// Before there are m gradients the others are zeros, and the divisor is m nevertheless: the first steps are about g/λ, so
/// that learning rates are to be of the order of λ, or gradients are [observed](Self::observe) first. A step costs
/// O(d m + m³), memory is d m numbers and O(m²).
///
/// A gradient that is not finite, or cannot be kept, leaves parameters that are no numbers, as it does with other optimisers.
///
/// Source: Frantar, Kurtic, Alistarh, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, NeurIPS 2021.
#[derive(Clone, Debug)]
pub struct MFac<S: WindowElement = f32> {
    config: MFacConfig,
    running: Option<Running<S>>,
}

/// What there is from the first gradient on.
#[derive(Clone, Debug)]
struct Running<S: WindowElement> {
    /// Parameters of the module, which not all need be stepped.
    parameters: usize,
    /// Those that are stepped; all of them where none.
    kept: Option<Vec<usize>>,
    rule: MFacStep<S>,
}

impl<S: WindowElement> Running<S> {
    fn of_kept(&self, all: Vec<S::Wide>) -> Vec<S::Wide> {
        match &self.kept {
            Some(kept) => kept.iter().map(|&at| all[at]).collect(),
            None => all,
        }
    }
}

impl<S: WindowElement> MFac<S> {
    fn running(&mut self, parameters: &[S::Wide]) -> Result<&mut Running<S>, CurvatureError> {
        let running = match self.running.take() {
            Some(running) => running,
            None => {
                let zero = <S::Wide as thalweg_kernels::real::Real>::ZERO;
                let numbers = parameters.iter().enumerate();
                let kept: Option<Vec<usize>> = self.config.sparse.then(|| {
                    numbers
                        .filter(|(_, value)| **value != zero)
                        .map(|(at, _)| at)
                        .collect()
                });
                let width = kept.as_ref().map_or(parameters.len(), Vec::len);
                Running {
                    parameters: parameters.len(),
                    kept,
                    rule: self.rule(width)?,
                }
            }
        };
        if running.parameters != parameters.len() {
            let error = CurvatureError::Width {
                what: "the parameters of the module",
                found: parameters.len(),
                expected: running.parameters,
            };
            self.running = Some(running);
            return Err(error);
        }
        Ok(self.running.insert(running))
    }

    fn rule(&self, width: usize) -> Result<MFacStep<S>, CurvatureError> {
        let MFacConfig {
            num_gradients,
            dampening,
            momentum,
            weight_decay,
            ..
        } = self.config;
        MFacStep::new(num_gradients, width, dampening, momentum, weight_decay)
    }

    /// Takes a gradient up without a step, so that the first steps know of as many as were observed.
    ///
    /// # Errors
    /// When it is not finite, cannot be kept, or is of another module.
    pub fn observe<M: Module>(
        &mut self,
        module: &M,
        gradients: &GradientsParams,
    ) -> Result<(), CurvatureError> {
        let parameters = flat_parameters(module);
        let gradient = flat_gradients(module, gradients);
        let running = self.running(&parameters)?;
        let (parameters, gradient) = (running.of_kept(parameters), running.of_kept(gradient));
        running.rule.observe(&parameters, gradient)
    }

    /// The parameters after a step.
    fn stepped(
        &mut self,
        rate: f64,
        mut parameters: Vec<S::Wide>,
        gradient: Vec<S::Wide>,
    ) -> Result<Vec<S::Wide>, CurvatureError> {
        let running = self.running(&parameters)?;
        let gradient = running.of_kept(gradient);
        match running.kept.clone() {
            None => running.rule.step(rate, &mut parameters, gradient)?,
            Some(kept) => {
                let mut own = running.of_kept(parameters.clone());
                running.rule.step(rate, &mut own, gradient)?;
                kept.iter()
                    .zip(own)
                    .for_each(|(&at, value)| parameters[at] = value);
            }
        }
        Ok(parameters)
    }
}

impl<S: WindowElement> WholeOptimizer for MFac<S> {
    fn step<M: Module>(
        &mut self,
        rate: LearningRate,
        module: M,
        evaluate: &mut dyn FnMut(&M) -> Evaluation,
    ) -> (M, f64) {
        let Evaluation { value, gradients } = evaluate(&module);
        let parameters = flat_parameters(&module);
        let count = parameters.len();
        let gradient = flat_gradients(&module, &gradients);
        let undefined = <S::Wide as thalweg_kernels::real::Real>::from_f64(f64::NAN);
        let parameters = self
            .stepped(rate, parameters, gradient)
            .unwrap_or_else(|_| vec![undefined; count]);
        (with_flat_parameters(module, &parameters), value)
    }

    fn state(&self) -> Result<Vec<u8>, StateError> {
        state::to_bytes(self)
    }

    fn with_state(self, bytes: &[u8]) -> Result<Self, StateError> {
        state::from_bytes(self, bytes)
    }
}
