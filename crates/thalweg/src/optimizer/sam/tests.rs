use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;
use crate::layers::{Linear, LinearConfig};
use crate::optimizer::{MomentumSgdConfig, flat_gradients, flat_parameters, with_flat_parameters};

fn layer(seed: u64) -> Linear {
    LinearConfig::new(3, 2).init(&mut Stream::new(seed, "weights", 0), &Device::flex().autodiff())
}

fn inputs(seed: u64) -> Tensor<2> {
    let mut values = vec![0.0; 15];
    Stream::new(seed, "inputs", 0).fill_normal(&mut values);
    Tensor::from_data(TensorData::new(values, [5, 3]), &Device::flex().autodiff())
}

/// A loss that is not quadratic: gradients at other places differ.
fn evaluate(layer: &Linear, inputs: &Tensor<2>) -> Evaluation {
    let loss = layer.forward(inputs.clone()).exp().mean();
    Evaluation {
        value: loss.clone().into_scalar::<f64>(),
        gradients: GradientsParams::from_grads(loss.backward(), layer),
    }
}

fn sam(rho: f64, neighbourhood: Neighbourhood) -> Sam {
    let base = MomentumSgdConfig::new().init().unwrap();
    SamConfig::new()
        .with_rho(rho)
        .with_neighbourhood(neighbourhood)
        .init(base)
        .unwrap()
}

fn stepped(optimizer: &mut Sam, layer: Linear, inputs: &Tensor<2>) -> (Linear, f64) {
    optimizer.step(0.1, layer, &mut |layer| evaluate(layer, inputs))
}

fn vector(values: &[f64]) -> Tensor<1> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [values.len()]),
        (&Device::flex(), DType::F64),
    )
}

fn epsilon(rule: &Perturbation, weights: &[f64], gradient: &[f64]) -> Vec<f64> {
    let (weights, gradient) = (vector(weights), vector(gradient));
    let length = rule.length(&weights, &gradient).value();
    let epsilon = rule.epsilon(length, &weights, gradient);
    epsilon.into_data().try_into_vec_as::<f64>().unwrap()
}

fn rule(rho: f64, neighbourhood: Neighbourhood) -> Perturbation {
    let config = SamConfig::new().with_rho(rho).with_neighbourhood(neighbourhood);
    config.perturbation().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rescaled_weights_move_alike(
        pairs in prop::collection::vec((-3.0_f64..3.0, -2.0_f64..2.0, 0.1_f64..9.0), 1..9),
        rho in 0.01_f64..2.0,
    ) {
        let rule = rule(rho, Neighbourhood::Adaptive { eta: 0.0 });
        let weights: Vec<f64> = pairs.iter().map(|(w, _, _)| *w).collect();
        let gradient: Vec<f64> = pairs.iter().map(|(_, g, _)| *g).collect();
        let plain = epsilon(&rule, &weights, &gradient);
        let scaled_weights: Vec<f64> = pairs.iter().map(|(w, _, c)| w * c).collect();
        let scaled_gradient: Vec<f64> = pairs.iter().map(|(_, g, c)| g / c).collect();
        let scaled = epsilon(&rule, &scaled_weights, &scaled_gradient);
        for ((plain, scaled), (_, _, c)) in plain.iter().zip(scaled).zip(&pairs) {
            prop_assert!((plain * c - scaled).abs() <= 1e-12 * scaled.abs());
        }
    }

    #[test]
    fn the_gradient_is_taken_where_the_way_up_leads(seed in 0_u64..1000, rho in 0.0_f64..0.5, eta in 0.0_f64..0.1) {
        for neighbourhood in [Neighbourhood::Ball, Neighbourhood::Adaptive { eta }] {
            let (start, inputs) = (layer(seed), inputs(seed));
            let theta = flat_parameters::<f64, _>(&start);
            let Evaluation { value, gradients } = evaluate(&start, &inputs);
            let slopes = flat_gradients::<f64, _>(&start, &gradients);
            let way = epsilon(&rule(rho, neighbourhood), &theta, &slopes);
            let up: Vec<f64> = theta.iter().zip(&way).map(|(w, e)| w + e).collect();
            let there = with_flat_parameters(start.clone(), &up);
            let expected = flat_gradients::<f64, _>(&there, &evaluate(&there, &inputs).gradients);
            let (after, reported) = stepped(&mut sam(rho, neighbourhood), start, &inputs);
            prop_assert_eq!(reported, value);
            for ((new, old), slope) in flat_parameters::<f64, _>(&after).iter().zip(&theta).zip(expected) {
                prop_assert!((new - (old - 0.1 * slope)).abs() < 1e-5 * (1.0 + slope.abs()));
            }
        }
    }
}

#[test]
fn without_a_radius_it_is_its_base() {
    let inputs = inputs(0);
    let (mut plain, mut perturbed) = (layer(0), layer(0));
    let mut base = MomentumSgdConfig::new().init().unwrap();
    let mut sam = sam(0.0, Neighbourhood::Ball);
    for _ in 0..4 {
        let gradients = evaluate(&plain, &inputs).gradients;
        plain = base.step(0.1, plain, gradients);
        perturbed = stepped(&mut sam, perturbed, &inputs).0;
        assert_eq!(
            flat_parameters::<f32, _>(&plain),
            flat_parameters::<f32, _>(&perturbed)
        );
    }
}

#[test]
fn weights_do_not_drift_where_there_is_no_rate() {
    let (start, inputs) = (layer(3), inputs(3));
    let before = flat_parameters::<f32, _>(&start);
    let mut sam = sam(0.3, Neighbourhood::Ball);
    let mut layer = start;
    for _ in 0..50 {
        layer = sam.step(0.0, layer, &mut |layer| evaluate(layer, &inputs)).0;
    }
    assert_eq!(flat_parameters::<f32, _>(&layer), before);
}

#[test]
fn a_gradient_of_nothing_leads_nowhere() {
    for neighbourhood in [Neighbourhood::Ball, Neighbourhood::Adaptive { eta: 0.0 }] {
        let rule = rule(0.5, neighbourhood);
        assert_eq!(epsilon(&rule, &[1.0, -2.0], &[0.0, 0.0]), [0.0, 0.0]);
    }
    let adaptive = rule(0.5, Neighbourhood::Adaptive { eta: 0.0 });
    assert_eq!(epsilon(&adaptive, &[0.0, 0.0], &[1.0, 2.0]), [0.0, 0.0]);
    assert_eq!(epsilon(&adaptive, &[0.0, 2.0], &[1.0, -3.0]), [0.0, -1.0]);
    assert!(epsilon(&rule(0.5, Neighbourhood::Ball), &[0.0], &[f64::NAN])[0].is_nan());
}

#[test]
fn kernel_and_tensor_operations_agree() {
    // A strided view is what no kernel changes in place.
    let device = Device::flex();
    let strided = |values: [[f64; 3]; 2]| Tensor::<2>::from_data(values, (&device, DType::F64)).transpose();
    let (weights, gradient) = (
        strided([[1.0, -2.0, 0.5], [0.1, 3.0, -1.0]]),
        strided([[0.3, -1.0, 2.0], [4.0, 0.0, -0.5]]),
    );
    for neighbourhood in [Neighbourhood::Ball, Neighbourhood::Adaptive { eta: 0.01 }] {
        let rule = rule(0.5, neighbourhood);
        let length = rule.length(&weights, &gradient).value();
        let values = |tensor: Tensor<2>| tensor.into_data().try_into_vec_as::<f64>().unwrap();
        let copy = Tensor::<2>::from_data(gradient.to_data(), (&device, DType::F64));
        let composed = values(rule.epsilon(length, &weights, gradient.clone()));
        let fused = values(rule.epsilon(length, &weights, copy));
        for (a, b) in composed.iter().zip(fused) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
    }
}

#[test]
fn a_saved_optimiser_goes_on_to_the_same_bits() {
    let inputs = inputs(1);
    let mut optimizer = sam(0.1, Neighbourhood::Adaptive { eta: 0.01 });
    let (mut layer, _) = stepped(&mut optimizer, layer(1), &inputs);
    let bytes = optimizer.state().unwrap();
    let mut other = sam(0.1, Neighbourhood::Adaptive { eta: 0.01 })
        .with_state(&bytes)
        .unwrap();
    let mut same = layer.clone();
    for _ in 0..3 {
        layer = stepped(&mut optimizer, layer, &inputs).0;
        same = stepped(&mut other, same, &inputs).0;
        assert_eq!(
            flat_parameters::<f32, _>(&layer),
            flat_parameters::<f32, _>(&same)
        );
    }
}

#[test]
fn senseless_configurations_are_refused() {
    for rho in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(SamConfig::new().with_rho(rho).perturbation().is_err());
    }
    let negative = Neighbourhood::Adaptive { eta: -0.1 };
    assert!(
        SamConfig::new()
            .with_neighbourhood(negative)
            .perturbation()
            .is_err()
    );
}
