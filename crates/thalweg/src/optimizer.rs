//! Optimisers that step all parameters of any burn module through one fused pass each: AdamW, SGD (plain, heavy ball,
//! Nesterov), Lion, and [Lion-K](lion_k); [`Sam`], which looks at the gradient twice a step and leaves the step to any of them;
//! and [`MFac`], which takes all parameters as one vector. What steps a module, whichever it is, is a [`WholeOptimizer`];
//! what the catalogue says of each is an [`OptimizerEntry`].
//!
//! All but the last two are an [`Optimizer`](burn::optim::Optimizer) of burn's, so that a [`ModuleOptimizer`](burn::optim::ModuleOptimizer)
//! gives it parameter groups, gradient clipping, learning-rate schedules and records. On CPU tensors the kernels of
//! [`thalweg_kernels::optimizer`] change parameters and state in place, without a copy where nothing else holds them (a clone
//! of the module does); elsewhere the same formula runs as tensor operations. Conventions and defaults are PyTorch's; the
//! learning rate is an argument of every step.
//!
//! ```
//! use burn::optim::GradientsParams;
//! use burn::tensor::{Device, Tensor};
//! use thalweg::layers::LinearConfig;
//! use thalweg::optimizer::AdamWConfig;
//! use thalweg_kernels::random::Stream;
//!
//! let device = Device::flex().autodiff();
//! let mut layer = LinearConfig::new(3, 2).init(&mut Stream::new(0, "weights", 0), &device);
//! let mut optimizer = AdamWConfig::new().init()?;
//! let loss = layer.forward(Tensor::<2>::ones([4, 3], &device)).square().mean();
//! let gradients = GradientsParams::from_grads(loss.backward(), &layer);
//! layer = optimizer.step(1e-3, layer, gradients);
//! # Ok::<(), thalweg::ConfigError>(())
//! ```

mod adamw;
mod average;
mod entry;
mod flat;
mod lion;
pub mod lion_k;
mod m_fac;
mod pages;
mod sam;
mod sgd;
#[cfg(test)]
mod tests;
mod whole;

pub use adamw::{AdamW, AdamWConfig, AdamWState};
pub use average::{averaged, follow, target_of};
pub use entry::{AnyOptimizer, LearningRates, OptimizerEntry, OptimizerError};
pub use flat::{flat_gradients, flat_parameters, with_flat_parameters};
pub use lion::{Lion, LionConfig};
pub use m_fac::{MFac, MFacConfig, MFacStep, WindowElement};
pub(crate) use pages::optimizers;
pub use sam::{Neighbourhood, Perturbation, Sam, SamConfig};
pub use sgd::{Momentum, MomentumSgd, MomentumSgdConfig, Sgd, SgdConfig};
pub use whole::{Evaluation, StateError, WholeOptimizer};

use burn::optim::{RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

use crate::ConfigError;
use crate::config::require;
use crate::quantity::Quantity;

pub(crate) fn quantities() -> Vec<Quantity> {
    [lion_k::quantities(), m_fac::quantities()]
        .into_iter()
        .flatten()
        .collect()
}

/// One array of state as long as its parameter: a velocity or a momentum.
#[derive(Clone, Debug)]
pub struct AverageState<const D: usize> {
    average: Tensor<D>,
}

impl<const D: usize> RecordState for AverageState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, "average", self.average.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let average = src.take_tensor(prefix, "average")?;
        Some(Self {
            average: from_record(average, device),
        })
    }
}

/// A tensor of the float type it was saved in.
fn from_record<const D: usize>(data: burn::tensor::TensorData, device: &Device) -> Tensor<D> {
    let dtype = data.dtype();
    Tensor::from_data(data, (device, dtype))
}

/// Checks what an average keeps per step.
fn factor(objective: &'static str, parameter: &'static str, value: f64) -> Result<f64, ConfigError> {
    require(objective, parameter, value, "at least 0 and below 1", |factor| {
        (0.0..1.0).contains(&factor)
    })
}

/// Checks a weight decay.
fn decay(objective: &'static str, value: f64) -> Result<f64, ConfigError> {
    require(
        objective,
        "weight_decay",
        value,
        "at least 0 and finite",
        |decay| decay >= 0.0 && decay.is_finite(),
    )
}
