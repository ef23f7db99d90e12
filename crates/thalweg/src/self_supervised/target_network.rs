//! The target network: a copy of the encoder that follows it slowly, `ξ ← m ξ + (1 − m) θ` after every step, with no gradient.
//!
//! BYOL's momentum rises to 1 over training: `m(k) = 1 − (1 − m₀)(cos(πk/K) + 1)/2` at step k of K.
//!
//! Source: Grill and others, "Bootstrap your own latent", NeurIPS 2020 (arXiv 2006.07733).

use crate::ConfigError;
use crate::config::require;
use crate::objective::Progress;
use crate::optimizer::averaged;
use crate::quantity::{Array, Outputs, Quantity};

/// BYOL's momentum at `step` of `steps`, which it ends with at 1.
///
/// # Panics
/// When there are no steps, or fewer than `step`.
pub fn byol_momentum(base: f64, step: usize, steps: usize) -> f64 {
    assert!(steps > 0 && step <= steps, "step {step} of {steps}");
    let half_turn = std::f64::consts::PI * step as f64 / steps as f64;
    1.0 - (1.0 - base) * (half_turn.cos() + 1.0) / 2.0
}

/// How the momentum of a target network goes over training.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum TargetMomentum {
    /// The same at every step.
    Constant(f64),
    /// BYOL's, from this to 1.
    Rising(f64),
}

impl TargetMomentum {
    /// At a step.
    pub fn at(self, progress: &Progress) -> f64 {
        match self {
            Self::Constant(momentum) => momentum,
            Self::Rising(base) => byol_momentum(base, progress.step, progress.steps),
        }
    }

    /// Checks it.
    ///
    /// # Errors
    /// When it is not from 0 to 1.
    pub(super) fn checked(self, objective: &'static str) -> Result<Self, ConfigError> {
        let (Self::Constant(momentum) | Self::Rising(momentum)) = self;
        checked(objective, "momentum", momentum)?;
        Ok(self)
    }
}

fn checked(objective: &'static str, parameter: &'static str, momentum: f64) -> Result<f64, ConfigError> {
    require(objective, parameter, momentum, "from 0 to 1", |momentum| {
        (0.0..=1.0).contains(&momentum)
    })
}

pub(super) fn quantities() -> Vec<Quantity> {
    let steps = Array {
        shape: vec![3],
        data: vec![0.0, 500.0, 1000.0],
    };
    vec![
        Quantity::new("ema_update", "parameters of a target network after one step")
            .param("momentum", 0.996)
            .input("target", "[p]")
            .input("online", "[p]")
            .eval(|case| {
                case.finite("target")?;
                case.finite("online")?;
                let momentum = checked("ema_update", "momentum", case.param("momentum")?)?;
                let after = averaged::<1>(case.tensor("target"), case.tensor("online"), momentum);
                Ok(Outputs::new().with_tensor("target_new", after))
            }),
        Quantity::new(
            "byol_momentum_schedule",
            "momentum of BYOL's target network at steps of training",
        )
        .param("base_momentum", 0.996)
        .param("total_steps", 1000.0)
        .input("step", "[k]")
        .with_example("step", steps)
        .eval(|case| {
            let base = checked(
                "byol_momentum_schedule",
                "base_momentum",
                case.param("base_momentum")?,
            )?;
            let steps = case.count("total_steps", 1)?;
            let given = case.array("step");
            let valid = |step: &f64| step.fract() == 0.0 && (0.0..=steps as f64).contains(step);
            if let Some(at) = given.data.iter().position(|step| !valid(step)) {
                let problem = format!(
                    "holds {} at index {at}; steps are whole numbers from 0 to total_steps, which is {steps}",
                    given.data[at]
                );
                return case.refuse_input("step", problem);
            }
            let momenta = given
                .data
                .iter()
                .map(|&step| byol_momentum(base, step as usize, steps));
            let momenta = Array {
                shape: given.shape.clone(),
                data: momenta.collect(),
            };
            Ok(Outputs::new().with("momentum", momenta))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_momentum_rises_from_its_base_to_one(base in 0.0_f64..=1.0, steps in 1_usize..500) {
            let all: Vec<f64> = (0..=steps).map(|step| byol_momentum(base, step, steps)).collect();
            prop_assert!((all[0] - base).abs() < 1e-15 && all[steps] == 1.0);
            prop_assert!(all.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!((byol_momentum(base, steps, 2 * steps) - (1.0 + base) / 2.0).abs() < 1e-12);
        }
    }
}
