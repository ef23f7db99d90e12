//! The trajectory loss: how far outputs have moved from earlier ones of the same samples,
//! `λ τ² mean_i KL(softmax(past_i/τ) ‖ softmax(z_i/τ))`, beside cross-entropy. Past outputs are constants.
//!
//! Its gradient in the logits is `λ τ (softmax(z/τ) − softmax(past/τ))/n`, and cross-entropy's is added in the same pass.
//! Without the factor τ² that the authors' code has and their text does not, it is `λ/τ` times that.

use burn::config::Config;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use thalweg_kernels::batch::RowKernel;
use thalweg_kernels::real::Real;
use thalweg_kernels::trajectory::{DensePast, NoLoss, PastRows, Trajectory};

use crate::bridge::{CpuFloats, Floats, class_indices, constant};
use crate::classification::rowwise::{host_scores, of_memory};
use crate::classification::{CrossEntropyLoss, CrossEntropyLossConfig};
use crate::config::require;
use crate::{ConfigError, Reduction};

/// Configuration of [`TrajectoryLoss`].
#[derive(Config, Debug)]
pub struct TrajectoryLossConfig {
    /// Temperature τ of both softmaxes, above 0.
    #[config(default = 5.0)]
    pub temperature: f64,
    /// Weight λ, at least 0.
    #[config(default = 0.3)]
    pub weight: f64,
    /// Whether λ is multiplied by τ², which keeps the size of the gradient when the temperature changes.
    #[config(default = true)]
    pub temperature_squared: bool,
    /// Share of the label that cross-entropy spreads evenly over all classes, in `[0, 1]`.
    #[config(default = 0.0)]
    pub label_smoothing: f64,
}

impl TrajectoryLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn init(&self) -> Result<TrajectoryLoss, ConfigError> {
        const NAME: &str = "trajectory loss";
        let temperature = require(NAME, "temperature", self.temperature, "above 0 and finite", |t| {
            t > 0.0 && t.is_finite()
        })?;
        let weight = require(NAME, "weight", self.weight, "at least 0 and finite", |weight| {
            weight >= 0.0 && weight.is_finite()
        })?;
        let base = CrossEntropyLossConfig::new().with_label_smoothing(self.label_smoothing);
        Ok(TrajectoryLoss {
            base: base.init()?,
            temperature,
            factor: if self.temperature_squared {
                weight * temperature * temperature
            } else {
                weight
            },
        })
    }
}

/// Cross-entropy, the divergence from past outputs, and both together.
#[derive(Clone, Debug)]
pub struct TrajectoryLoss {
    base: CrossEntropyLoss,
    temperature: f64,
    /// λ or λ τ².
    factor: f64,
}

impl TrajectoryLoss {
    /// The divergence alone.
    ///
    /// # Shapes
    /// - logits and past logits `[batch, classes]`; returns `[1]`.
    ///
    /// # Panics
    /// When the batch is empty, there is no class, or the shapes differ.
    pub fn divergence(&self, logits: Tensor<2>, past: Tensor<2>) -> Tensor<1> {
        check_shapes(&logits, &past);
        let given = Given::of(&past);
        match CpuFloats::of(&logits) {
            Some(memory) => {
                let targets = vec![0; logits.dims()[0]];
                self.fused(NoLoss, &given.rows(), &memory, &logits, &targets)
            }
            None => Reduction::Mean.of(self.composed(&logits, &given.rows())),
        }
    }

    /// Cross-entropy alone.
    ///
    /// # Shapes
    /// - logits `[batch, classes]`, targets `[batch]` with values in `0..classes`; returns `[1]`.
    ///
    /// # Panics
    /// When the batch is empty, there is no class, the batch sizes differ, or a target is out of range.
    pub fn base(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        check_batch(&logits, &targets);
        match CpuFloats::of(&logits) {
            Some(memory) => {
                let targets = class_indices(targets);
                of_memory(&self.base.kernel(), &memory, &logits, &targets, mean(&logits))
            }
            None => self.base.forward(logits, targets),
        }
    }

    /// Cross-entropy, and the divergence from past logits of the whole batch.
    ///
    /// # Shapes
    /// - logits and past logits `[batch, classes]`, targets `[batch]` with values in `0..classes`; returns `[1]`.
    ///
    /// # Panics
    /// When the batch is empty, there is no class, sizes differ, or a target is out of range.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>, past: Tensor<2>) -> Tensor<1> {
        check_shapes(&logits, &past);
        self.against(&logits, targets, &Given::of(&past).rows())
    }

    /// Cross-entropy, and the divergence of those samples that have a past. Shapes and panics as [`base`](Self::base).
    pub fn against(&self, logits: &Tensor<2>, targets: Tensor<1, Int>, past: &impl PastRows) -> Tensor<1> {
        check_batch(logits, &targets);
        match CpuFloats::of(logits) {
            Some(memory) => self.fused(self.base.kernel(), past, &memory, logits, &class_indices(targets)),
            None => {
                let moved = Reduction::Mean.of(self.composed(logits, past));
                self.base.forward(logits.clone(), targets) + moved
            }
        }
    }

    fn fused(
        &self,
        base: impl RowKernel,
        past: &impl PastRows,
        memory: &CpuFloats,
        logits: &Tensor<2>,
        targets: &[u32],
    ) -> Tensor<1> {
        let kernel = Trajectory {
            base,
            past,
            weight: self.factor,
            temperature: self.temperature,
        };
        of_memory(&kernel, memory, logits, targets, mean(logits))
    }

    /// The divergence of each sample by tensor operations, `[batch]`; 0 where there is no past.
    fn composed(&self, logits: &Tensor<2>, past: &impl PastRows) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let (mut rows, mut known) = (vec![0.0_f64; batch * classes], vec![0.0; batch]);
        for (index, (row, known)) in rows.chunks_exact_mut(classes).zip(&mut known).enumerate() {
            *known = f64::from(u8::from(past.read(index, row)));
        }
        let (device, dtype) = (logits.device(), logits.dtype());
        let past: Tensor<2> = constant(rows, [batch, classes], &device, dtype);
        let known: Tensor<1> = constant(known, [batch], &device, dtype);
        let known = known.equal_elem(1.0);
        let scale = 1.0 / self.temperature;
        let (now, then) = (
            log_softmax(logits.clone() * scale, 1),
            log_softmax(past * scale, 1),
        );
        let gap = then.clone() - now;
        let divergence = (then.exp() * gap).sum_dim(1).reshape([batch]) * self.factor;
        divergence.clone().zeros_like().mask_where(known, divergence)
    }
}

/// What the sum over a batch is multiplied by for its mean.
fn mean(logits: &Tensor<2>) -> Option<f64> {
    Some(Reduction::Mean.scale(logits.dims()[0]))
}

fn check_batch(logits: &Tensor<2>, targets: &Tensor<1, Int>) {
    let ([batch, classes], [labels]) = (logits.dims(), targets.dims());
    assert!(batch > 0, "an empty batch has no loss");
    assert!(classes > 0, "logits [{batch}, 0]: there is no class");
    assert_eq!(
        batch, labels,
        "logits [{batch}, {classes}] and targets [{labels}] differ in batch size"
    );
}

fn check_shapes(logits: &Tensor<2>, past: &Tensor<2>) {
    let [batch, classes] = logits.dims();
    assert!(batch > 0, "an empty batch has no loss");
    assert!(classes > 0, "logits [{batch}, 0]: there is no class");
    assert_eq!(
        logits.dims(),
        past.dims(),
        "past logits have the shape of the logits"
    );
}

/// Past logits of a whole batch: of any tensor, without a copy where it is of CPU floats.
enum Given {
    Memory(CpuFloats),
    Host(Vec<f64>),
}

impl Given {
    fn of(past: &Tensor<2>) -> Self {
        CpuFloats::of(past).map_or_else(|| Self::Host(host_scores(past)), Self::Memory)
    }

    fn rows(&self) -> GivenRows<'_> {
        GivenRows(match self {
            Self::Memory(memory) => memory.floats(),
            Self::Host(rows) => Floats::F64(rows),
        })
    }
}

#[derive(Clone, Copy)]
struct GivenRows<'a>(Floats<'a>);

impl PastRows for GivenRows<'_> {
    #[inline(always)]
    fn read<F: Real>(&self, index: usize, out: &mut [F]) -> bool {
        match self.0 {
            Floats::F32(rows) => DensePast(rows).read(index, out),
            Floats::F64(rows) => DensePast(rows).read(index, out),
        }
    }
}

#[cfg(test)]
mod tests;
