//! The factored output layer: an exact step of plain SGD on `W` of `o = W h`, at a cost that does not depend on the number
//! of classes D.
//!
//! A loss of the spherical family needs of a sample only `q = ⟨h, Q h⟩` with `Q = Wᵀ W`, `s = ⟨h, w̄⟩` with `w̄ = Wᵀ 1`, and
//! the target's score. Its step changes all of W, but in a form that is kept factored, `W = V U + 1 ωᵀ`: U `[d, d]` and ω
//! `[d]` take what all classes share, and V `[D, d]` changes in the rows of the targets alone. A step of m samples with K
//! targets each costs of the order of `m d² + m² d + m K d`; memory is `D d + O(d²)`. In exact arithmetic the result is that
//! of the dense step.
//!
//! Momentum or adaptive rates on W would break the factors: the layer has plain SGD with weight decay. The network below may
//! use any optimiser. State is f64: in f32 the running Q would drift away from `Wᵀ W` within a thousand steps.
//!
//! Source: Vincent, de Brébisson, Bouthillier, NIPS 2015; de Brébisson, Vincent, arXiv 1604.08859. Their code leaves Q and w̄
//! out of the weight decay; here they take part.

mod checkpoint;
mod evaluation;
mod inverse;
mod linear;
mod quantities;
mod stability;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use checkpoint::CheckpointError;
pub use evaluation::Scored;
pub use inverse::InverseUpkeep;
pub use stability::{Stabilised, Stability};
pub use state::Drift;

pub(super) use quantities::quantities;

use burn::config::Config;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::random::Stream;

use super::{OutputError, OutputLayer, assembled, check_rate, check_targets, uniform_weights, vectors};
use crate::bridge::class_indices;
use crate::classification::spherical::SphericalMember;
use crate::config::require;
use crate::{ConfigError, Reduction};
use linear::Buffers;
use state::State;
use step::{Batch, Descent};

/// Configuration of [`FactoredOutput`].
#[derive(Config, Debug)]
pub struct FactoredOutputConfig {
    /// Number of classes D, at least 2.
    pub classes: usize,
    /// Width of the hidden vectors, at least 1.
    pub width: usize,
    /// The loss.
    #[config(default = "SphericalMember::ZLoss { a: 1.0, b: 0.0 }")]
    pub member: SphericalMember,
    /// How per-sample losses become the one that is descended.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
    /// Weight decay λ, at least 0: the step is `W ← W − η (∂ℓ/∂W + λ W)`.
    #[config(default = 0.0)]
    pub weight_decay: f64,
    /// A constant appended to every hidden vector, whose weights are the output biases. None: no biases. The paper's code
    /// appends 0.001.
    pub bias: Option<f64>,
    /// How `U⁻¹` is kept.
    #[config(default = "InverseUpkeep::Woodbury")]
    pub upkeep: InverseUpkeep,
    /// How the singular values of U are kept in bounds; None: not at all.
    #[config(default = "Some(Stability::DEFAULT)")]
    pub stability: Option<Stability>,
}

impl FactoredOutputConfig {
    /// The layer with weights uniform in `±1/√width`.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self, seed: u64) -> Result<FactoredOutput, ConfigError> {
        self.check()?;
        let width = self.inner_width();
        let mut stream = Stream::new(seed, "output", 0);
        self.layer(uniform_weights(&mut stream, width, self.classes * width))
    }

    /// The layer with the given weights `[classes, width]`, row-major; `[classes, width + 1]` where there is a bias.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    ///
    /// # Panics
    /// When the weights are not as many.
    pub fn init_with(&self, weights: Vec<f64>) -> Result<FactoredOutput, ConfigError> {
        self.check()?;
        self.layer(weights)
    }

    fn layer(&self, weights: Vec<f64>) -> Result<FactoredOutput, ConfigError> {
        let state = State::new(weights, self.classes, self.inner_width(), self.upkeep);
        Ok(FactoredOutput {
            config: self.clone(),
            state,
            buffers: Buffers::default(),
        })
    }

    fn inner_width(&self) -> usize {
        self.width + usize::from(self.bias.is_some())
    }

    fn check(&self) -> Result<(), ConfigError> {
        const NAME: &str = "factored_output";
        require(NAME, "classes", self.classes as f64, "at least 2", |n| n >= 2.0)?;
        require(NAME, "width", self.width as f64, "at least 1", |n| n >= 1.0)?;
        require(
            NAME,
            "weight_decay",
            self.weight_decay,
            "at least 0 and finite",
            |decay| decay >= 0.0 && decay.is_finite(),
        )?;
        if let Some(bias) = self.bias {
            require(NAME, "bias", bias, "other than 0 and finite", |bias| {
                bias != 0.0 && bias.is_finite()
            })?;
        }
        self.stability.map_or(Ok(()), |stability| stability.check())?;
        self.member.checked().map(|_| ())
    }
}

/// An output layer over D classes whose step costs the same whatever D.
#[derive(Clone, Debug)]
pub struct FactoredOutput {
    config: FactoredOutputConfig,
    state: State,
    buffers: Buffers,
}

impl FactoredOutput {
    /// What it was made from.
    pub fn config(&self) -> &FactoredOutputConfig {
        &self.config
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.state.steps
    }

    /// How often V had to take in the other factors: a step that U could not follow, or a U with too many singular values
    /// out of bounds. Each costs of the order of `D d²`.
    pub fn unfactorisations(&self) -> u64 {
        self.state.unfactorisations
    }

    /// The weights W, `[classes, width]` (`width + 1` with a bias), row-major: of the order of `D d²` to compute.
    pub fn weights(&self) -> Vec<f64> {
        self.state.weights()
    }

    /// How far the running statistics have drifted from what the factors say, computed anew: of the order of `D d²`.
    pub fn drift(&self) -> Drift {
        self.state.drift()
    }

    /// Computes the running statistics and `U⁻¹` anew from the factors: of the order of `D d²`.
    pub fn refresh(&mut self) {
        self.state.refresh();
    }

    /// Puts the singular values of U back in bounds now, whatever the period; nothing without [`Stability`]. W stays.
    pub fn stabilise(&mut self) -> Option<Stabilised> {
        let stability = self.config.stability?;
        Some(self.state.stabilise(&stability))
    }

    /// As [`train`](OutputLayer::train), with K targets a sample: its loss is the mean of those with each of them; that of
    /// the squared error is `‖o − y‖²` with y the multi-hot vector.
    ///
    /// # Shapes
    /// - hidden `[batch, width]`, targets `[batch, K]` with values in `0..classes`, different ones in a row; returns `[1]`,
    ///   or `[batch]` where the reduction is none.
    ///
    /// # Errors
    /// When a target is no class, the learning rate is refused or a loss is not finite; the layer is then as it was.
    ///
    /// # Panics
    /// When the batch is empty or the hidden vectors are not of the layer's width.
    pub fn train_multi_hot(
        &mut self,
        hidden: Tensor<2>,
        targets: Tensor<2, Int>,
        learning_rate: f64,
    ) -> Result<Tensor<1>, OutputError> {
        let [samples, each] = targets.dims();
        let [batch, _] = hidden.dims();
        if samples != batch {
            return Err(OutputError::Targets {
                targets: samples * each,
                samples: batch,
            });
        }
        self.descend(
            hidden,
            &class_indices(targets.reshape([samples * each])),
            learning_rate,
        )
    }

    fn descend(
        &mut self,
        hidden: Tensor<2>,
        targets: &[u32],
        learning_rate: f64,
    ) -> Result<Tensor<1>, OutputError> {
        check_rate(learning_rate)?;
        let [samples, _] = hidden.dims();
        let values = self.inner_vectors(&hidden);
        check_targets(targets, samples, self.config.classes)?;
        let keep = 1.0 - learning_rate * self.config.weight_decay;
        if keep <= 0.0 {
            return Err(OutputError::Decay {
                learning_rate,
                weight_decay: self.config.weight_decay,
            });
        }
        let batch = Batch {
            hidden: &values,
            targets,
            samples,
        };
        let descent = Descent {
            member: self.config.member,
            scale: self.config.reduction.scale(samples),
            learning_rate,
            keep,
            upkeep: self.config.upkeep,
        };
        let mut outcome = self.state.step(&batch, &descent, &self.buffers)?;
        if let Some(stability) = &self.config.stability
            && self.state.steps.is_multiple_of(stability.period as u64)
        {
            self.state.stabilise(stability);
        }
        if self.config.bias.is_some() {
            let inner = self.config.inner_width();
            outcome.gradient = without_last(&outcome.gradient, inner);
        }
        Ok(assembled(
            hidden,
            outcome.losses,
            outcome.gradient,
            self.config.reduction,
        ))
    }

    /// Hidden vectors with the bias constant appended.
    fn inner_vectors(&self, hidden: &Tensor<2>) -> Vec<f64> {
        let values = vectors::<f64>(hidden, self.config.width);
        match self.config.bias {
            None => values,
            Some(constant) => values
                .chunks_exact(self.config.width)
                .flat_map(|row| row.iter().copied().chain([constant]))
                .collect(),
        }
    }
}

fn without_last(rows: &[f64], width: usize) -> Vec<f64> {
    rows.chunks_exact(width)
        .flat_map(|row| &row[..width - 1])
        .copied()
        .collect()
}

impl OutputLayer for FactoredOutput {
    fn train(
        &mut self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        learning_rate: f64,
    ) -> Result<Tensor<1>, OutputError> {
        let [samples] = targets.dims();
        self.train_multi_hot(hidden, targets.reshape([samples, 1]), learning_rate)
    }
}
