//! The target network: a copy of the encoder that follows it slowly, `ξ ← m ξ + (1 − m) θ` after every step, with no gradient.
//!
//! BYOL's momentum rises to 1 over training: `m(k) = 1 − (1 − m₀)(cos(πk/K) + 1)/2` at step k of K.
//!
//! Source: Grill and others, "Bootstrap your own latent", NeurIPS 2020 (arXiv 2006.07733).

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use thalweg_kernels::optimizer::Average;

use crate::ConfigError;
use crate::bridge::{CpuFloat, InPlace, in_place};
use crate::config::require;
use crate::objective::Progress;
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

/// `ξ ← ξ + (1 − m)(θ − ξ)` of one array, on CPU floats in place where nothing else holds it: at m = 1 nothing moves, at m = 0
/// it is copied, and where both are equal they stay so.
///
/// # Panics
/// When the shapes differ or m is not in `[0, 1]`.
pub fn averaged<const D: usize>(target: Tensor<D>, online: Tensor<D>, momentum: f64) -> Tensor<D> {
    struct Follow(Average);
    impl InPlace<1> for Follow {
        fn run<F: CpuFloat>(self, [target]: [&mut [F]; 1], online: &[F]) {
            self.0.step(target, online);
        }
    }
    assert_eq!(
        target.dims(),
        online.dims(),
        "a target is shaped as what it follows"
    );
    match in_place([target], &online, Follow(Average { momentum })) {
        Ok([target]) => target,
        Err([target]) => {
            assert!(
                (0.0..=1.0).contains(&momentum),
                "momentum {momentum} is not in [0, 1]"
            );
            target.clone() + (online - target) * (1.0 - momentum)
        }
    }
}

/// A copy of a module, outside autodiff, to follow it.
pub fn target_of<M: Module>(online: &M) -> M {
    online.valid()
}

/// The target after following the module that it was [made of](target_of): every float parameter, and the running statistics
/// of batch normalisation like them.
///
/// # Panics
/// When the target was made of another module, or m is not in `[0, 1]`.
pub fn follow<M: Module>(target: M, online: &M, momentum: f64) -> M {
    let mut parameters = Parameters(GradientsParams::new());
    online.visit(&mut parameters);
    target.map(&mut Following {
        online: parameters.0,
        momentum,
    })
}

/// Float parameters by their ids: burn's map for gradients holds tensors of any rank.
struct Parameters(GradientsParams);

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().without_autodiff());
    }
}

struct Following {
    online: GradientsParams,
    momentum: f64,
}

impl ModuleMapper for Following {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let online = self.online.remove::<D>(param.id);
        let online = online.expect("a target follows the module that it was made of");
        let (id, target, mapper) = param.consume();
        Param::from_mapped_value(id, averaged(target, online, self.momentum), mapper)
    }
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
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    use super::super::fixtures::{leaf, numbers};
    use super::*;
    use crate::layers::{Linear, LinearConfig};
    use thalweg_kernels::random::Stream;

    fn layer(seed: u64, device: &Device) -> Linear {
        LinearConfig::new(3, 2).init(&mut Stream::new(seed, "weights", 0), device)
    }

    fn weights(layer: &Linear) -> Vec<f32> {
        let bias = layer.bias.as_ref().unwrap().val().without_autodiff().into_data();
        let weight = layer.weight.val().without_autodiff().into_data();
        [weight, bias]
            .map(|data| data.try_into_vec_as::<f32>().unwrap())
            .concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_momentum_rises_from_its_base_to_one(base in 0.0_f64..=1.0, steps in 1_usize..500) {
            let all: Vec<f64> = (0..=steps).map(|step| byol_momentum(base, step, steps)).collect();
            prop_assert!((all[0] - base).abs() < 1e-15 && all[steps] == 1.0);
            prop_assert!(all.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!((byol_momentum(base, steps, 2 * steps) - (1.0 + base) / 2.0).abs() < 1e-12);
        }

        #[test]
        fn an_average_is_between_and_constants_stay(count in 1_usize..9, seed in 0_u64..1000, momentum in 0.0_f64..=1.0) {
            let [target, online] = [seed, seed + 1].map(|seed| leaf(&numbers(count, seed), 1, DType::F64).without_autodiff());
            let values = |tensor: Tensor<2>| tensor.into_data().try_into_vec_as::<f64>().unwrap();
            let after = values(averaged(target.clone(), online.clone(), momentum));
            for ((a, x), y) in after.iter().zip(values(target.clone())).zip(values(online.clone())) {
                prop_assert!((a - (momentum * x + (1.0 - momentum) * y)).abs() < 1e-14);
                prop_assert!((x.min(y) - 1e-15..=x.max(y) + 1e-15).contains(a));
            }
            prop_assert_eq!(values(averaged(target.clone(), target.clone(), momentum)), values(target.clone()));
            prop_assert_eq!(values(averaged(target.clone(), online.clone(), 1.0)), values(target.clone()));
            prop_assert_eq!(values(averaged(target, online.clone(), 0.0)), values(online));
        }
    }

    #[test]
    fn a_module_is_followed_and_not_touched() {
        let device = Device::flex().autodiff();
        let mut online = layer(0, &device);
        let target = target_of(&online);
        let before = weights(&online);
        assert_eq!(weights(&target), before);
        assert!(!target.weight.val().is_autodiff());
        online.weight = online.weight.map(|weight| weight + 1.0);
        let moved = weights(&online);
        let target = follow(target, &online, 0.75);
        assert_eq!(weights(&online), moved);
        for ((found, from), to) in weights(&target).into_iter().zip(before).zip(moved) {
            assert!((found - (0.75 * from + 0.25 * to)).abs() < 1e-6);
        }
        // And again, now that nothing shares its memory.
        let again = weights(&follow(target, &online, 0.0));
        assert_eq!(again, weights(&online));
    }

    #[test]
    #[should_panic(expected = "a target follows the module that it was made of")]
    fn another_module_is_refused() {
        let device = Device::flex();
        follow(layer(0, &device), &layer(1, &device), 0.5);
    }
}
