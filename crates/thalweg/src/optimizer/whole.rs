//! What all optimisers of a module share, those that look at the loss twice a step among them.

use burn::module::Module;
use burn::optim::{GradientsParams, LearningRate, ModuleOptimizer};
use burn::tensor::Bytes;

/// Why the state of an optimiser cannot be kept or taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of the optimiser: {0}")]
pub struct StateError(pub String);

/// The loss of a batch at a module, and its gradients for the module's parameters.
#[derive(Debug)]
pub struct Evaluation {
    /// The loss.
    pub value: f64,
    /// Its gradients.
    pub gradients: GradientsParams,
}

/// An optimiser of all parameters of a module.
///
/// A step is handed the module and what evaluates the loss of the batch at a module, which it calls as often as its method
/// says: once, or twice where the gradient is taken somewhere else than where the module stands (SAM).
pub trait WholeOptimizer: Send {
    /// The module after a step, and the loss where the module stood.
    fn step<M: Module>(
        &mut self,
        rate: LearningRate,
        module: M,
        evaluate: &mut dyn FnMut(&M) -> Evaluation,
    ) -> (M, f64);

    /// All that it remembers of earlier steps.
    ///
    /// # Errors
    /// When it cannot be written.
    fn state(&self) -> Result<Vec<u8>, StateError>;

    /// The same optimiser, remembering what the one did that the bytes are of.
    ///
    /// # Errors
    /// When the bytes are of no optimiser of this kind.
    fn with_state(self, bytes: &[u8]) -> Result<Self, StateError>
    where
        Self: Sized;
}

/// A burn optimiser, which takes each parameter by itself.
impl WholeOptimizer for ModuleOptimizer {
    fn step<M: Module>(
        &mut self,
        rate: LearningRate,
        module: M,
        evaluate: &mut dyn FnMut(&M) -> Evaluation,
    ) -> (M, f64) {
        let Evaluation { value, gradients } = evaluate(&module);
        (Self::step(self, rate, module, gradients), value)
    }

    fn state(&self) -> Result<Vec<u8>, StateError> {
        let bytes = self.into_bytes().map_err(|error| StateError(error.to_string()))?;
        Ok(bytes.to_vec())
    }

    fn with_state(self, bytes: &[u8]) -> Result<Self, StateError> {
        let bytes = Bytes::from_bytes_vec(bytes.to_vec());
        Self::from_bytes(self, bytes).map_err(|error| StateError(error.to_string()))
    }
}
