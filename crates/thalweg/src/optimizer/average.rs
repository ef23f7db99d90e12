//! The exponential average of a module's weights, `v ← m v + (1 − m) θ` after every step, outside any gradient: a target
//! network that follows slowly, or what a smoothed model is.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use thalweg_kernels::optimizer::Average;

use crate::bridge::{CpuFloat, InPlace, in_place};

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

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::*;
    use crate::layers::{Linear, LinearConfig};

    fn layer(seed: u64, device: &Device) -> Linear {
        LinearConfig::new(3, 2).init(&mut Stream::new(seed, "weights", 0), device)
    }

    fn numbers(count: usize, seed: u64) -> Tensor<1> {
        let mut values = vec![0.0; count];
        Stream::new(seed, "averages", 0).fill_normal(&mut values);
        Tensor::from_data(TensorData::new(values, [count]), (&Device::flex(), DType::F64))
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
        fn an_average_is_between_and_constants_stay(count in 1_usize..9, seed in 0_u64..1000, momentum in 0.0_f64..=1.0) {
            let [target, online] = [seed, seed + 1].map(|seed| numbers(count, seed));
            let values = |tensor: Tensor<1>| tensor.into_data().try_into_vec_as::<f64>().unwrap();
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
