//! A network beside the encoder, that an objective owns and steps itself.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Gradients;

/// A module that is made when the first batch shows what it must take, and is trained by Adam.
pub(super) struct Learned<M> {
    module: Option<M>,
    optimizer: ModuleOptimizer,
}

impl<M: Module> Learned<M> {
    pub fn new() -> Self {
        Self {
            module: None,
            optimizer: AdamConfig::new().with_epsilon(1e-8).init(),
        }
    }

    /// The module, once there was a batch.
    pub fn get(&self) -> Option<&M> {
        self.module.as_ref()
    }

    /// The module, made by `init` where there is none.
    pub fn get_or_init(&mut self, init: impl FnOnce() -> M) -> &M {
        self.module.get_or_insert_with(init)
    }

    /// A step of its parameters.
    pub fn step(&mut self, gradients: &mut Gradients, learning_rate: f64) {
        if let Some(module) = self.module.take() {
            let own = GradientsParams::from_module(gradients, &module);
            self.module = Some(self.optimizer.step(learning_rate, module, own));
        }
    }
}
