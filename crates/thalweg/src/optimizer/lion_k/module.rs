//! Lion-K on burn modules.

use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor, TensorData};

use super::super::{AverageState, decay, factor};
use super::{Kernel, LionKStep, Scheme, Separable};
use crate::ConfigError;
use crate::bridge::{CpuFloat, InPlace, in_place};

/// Configuration of [`LionK`]; momentum and decay as in Lion's code.
#[derive(Config, Debug)]
pub struct LionKConfig {
    /// The convex function K. Each parameter tensor is a vector of its own to it;
    /// [`Joint::Nuclear`](super::Joint::Nuclear) takes a tensor for the matrix of its first dimension's rows, whatever rows
    /// it names.
    #[config(default = "Kernel::Separable(Separable::L1)")]
    pub kernel: Kernel,
    /// Weight of the momentum in the direction, β₁ in `[0, 1)`.
    #[config(default = 0.9)]
    pub beta_1: f64,
    /// What the momentum keeps per step, β₂ in `[0, 1)`.
    #[config(default = 0.99)]
    pub beta_2: f64,
    /// Decoupled weight decay λ, at least 0.
    #[config(default = 0.0)]
    pub weight_decay: f64,
    /// Which parameters are decayed: those before or after the step.
    #[config(default = "Scheme::Explicit")]
    pub scheme: Scheme,
}

impl LionKConfig {
    /// The rule for one parameter group.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn build(&self) -> Result<LionK, ConfigError> {
        Ok(LionK {
            kernel: self.kernel.checked()?,
            beta_1: factor("Lion-K", "beta_1", self.beta_1)?,
            beta_2: factor("Lion-K", "beta_2", self.beta_2)?,
            weight_decay: decay("Lion-K", self.weight_decay)?,
            scheme: self.scheme,
        })
    }

    /// The optimiser of a whole module.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn init(&self) -> Result<ModuleOptimizer, ConfigError> {
        self.build().map(ModuleOptimizer::from)
    }
}

/// Lion-K as burn's optimiser. The formula is that of the [module](super); a gradient that is no number makes the parameters
/// it meets none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LionK {
    kernel: Kernel,
    beta_1: f64,
    beta_2: f64,
    weight_decay: f64,
    scheme: Scheme,
}

impl LionK {
    fn rule(&self, learning_rate: f64, rows: usize) -> LionKStep {
        LionKStep {
            kernel: self.kernel.of_rows(rows),
            learning_rate,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            weight_decay: self.weight_decay,
            scheme: self.scheme,
        }
    }
}

impl InPlace<2> for LionKStep {
    fn run<F: CpuFloat>(self, [parameters, momentum]: [&mut [F]; 2], gradient: &[F]) {
        let (keep, move_by) = self.factors();
        let ahead = |m: F, g: F| self.beta_1 * m.to_f64() - (1.0 - self.beta_1) * g.to_f64();
        let kept = |m: F, g: F| F::from_f64(self.beta_2 * m.to_f64() - (1.0 - self.beta_2) * g.to_f64());
        let moved = |x: F, slope: f64| F::from_f64(keep * x.to_f64() + move_by * slope);
        match self.kernel {
            Kernel::Separable(kernel) => {
                for ((x, m), &g) in parameters.iter_mut().zip(momentum).zip(gradient) {
                    *x = moved(*x, kernel.slope(ahead(*m, g)));
                    *m = kept(*m, g);
                }
            }
            Kernel::Joint(kernel) => {
                let direction: Vec<f64> = momentum
                    .iter()
                    .zip(gradient)
                    .map(|(&m, &g)| ahead(m, g))
                    .collect();
                let mut slope = vec![0.0; direction.len()];
                kernel.slope(&direction, &mut slope);
                for (((x, m), &g), slope) in parameters.iter_mut().zip(momentum).zip(gradient).zip(slope) {
                    *x = moved(*x, slope);
                    *m = kept(*m, g);
                }
            }
        }
    }
}

impl Optimizer for LionK {
    type State<const D: usize> = AverageState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameters: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AverageState<D>>,
    ) -> (Tensor<D>, Option<AverageState<D>>) {
        let momentum = state.map_or_else(|| parameters.zeros_like(), |state| state.average);
        let rule = self.rule(rate, parameters.dims()[0]);
        let [parameters, average] = in_place([parameters, momentum], &gradient, rule)
            .unwrap_or_else(|changed| on_host(rule, changed, gradient));
        (parameters, Some(AverageState { average }))
    }

    fn to_device<const D: usize>(state: AverageState<D>, device: &Device) -> AverageState<D> {
        AverageState {
            average: state.average.to_device(device),
        }
    }
}

/// How far weights are from where their decay λ will have them: the Euclidean distance of λθ to the domain of K*, over all
/// trained parameters, each tensor a vector of its own as in [`LionK`]. Weight decay alone shrinks it by `1 − ηλ` a step, and
/// at 0 it stays.
pub fn domain_distance<M: Module>(kernel: Kernel, weight_decay: f64, module: &M) -> f64 {
    struct Distance {
        kernel: Kernel,
        weight_decay: f64,
        squared: f64,
    }
    impl ModuleVisitor for Distance {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let parameters = param.val();
            if !parameters.is_require_grad() {
                return;
            }
            let kernel = self.kernel.of_rows(parameters.dims()[0]);
            let values = parameters.without_autodiff().into_data().try_into_vec_as::<f64>();
            let mut decayed = values.expect("parameters are floats");
            decayed.iter_mut().for_each(|value| *value *= self.weight_decay);
            self.squared += kernel.domain_distance(&decayed).powi(2);
        }
    }
    let mut distance = Distance {
        kernel,
        weight_decay,
        squared: 0.0,
    };
    module.visit(&mut distance);
    distance.squared.sqrt()
}

/// Where no kernel reaches the memory, numbers go to the host and back.
fn on_host<const D: usize>(rule: LionKStep, changed: [Tensor<D>; 2], gradient: Tensor<D>) -> [Tensor<D>; 2] {
    let (device, dtype, shape) = (gradient.device(), gradient.dtype(), gradient.dims());
    let read = |tensor: Tensor<D>| {
        let values = tensor.into_data().try_into_vec_as::<f64>();
        values.expect("parameters are floats")
    };
    let gradient = read(gradient);
    let [mut parameters, mut momentum] = changed.map(read);
    rule.run([&mut parameters, &mut momentum], &gradient);
    [parameters, momentum].map(|values| Tensor::from_data(TensorData::new(values, shape), (&device, dtype)))
}
