use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;
use crate::classification::CrossEntropyLossConfig;
use crate::flatness::{ModuleLandscape, Rescaled, SoftmaxRegression, largest_in_ball};
use crate::layers::{Linear, LinearConfig};
use crate::optimizer::Evaluation;

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    normals(count, &mut Stream::new(seed, "sharpness", 0))
}

/// `gᵀx + ½ xᵀHx`.
struct Quadratic {
    hessian: Vec<f64>,
    gradient: Vec<f64>,
}

impl Quadratic {
    fn random(size: usize, seed: u64) -> Self {
        let square = numbers(size * size, seed);
        let hessian = (0..size * size).map(|at| square[at] + square[at % size * size + at / size]);
        Self {
            hessian: hessian.collect(),
            gradient: numbers(size, seed + 1000),
        }
    }
}

impl Landscape for Quadratic {
    fn dimension(&self) -> usize {
        self.gradient.len()
    }

    fn gradient(&self, at: &[f64], gradient: &mut [f64]) -> f64 {
        let size = at.len();
        for (i, slope) in gradient.iter_mut().enumerate() {
            *slope = dot(&self.hessian[i * size..][..size], at);
        }
        let value = dot(&self.gradient, at) + 0.5 * dot(gradient, at);
        gradient.iter_mut().zip(&self.gradient).for_each(|(s, g)| *s += g);
        value
    }
}

fn eigenvalues(hessian: &[f64]) -> Vec<f64> {
    let size = hessian.len().isqrt();
    let matrix = Mat::from_fn(size, size, |i, j| hessian[i * size + j]);
    matrix.self_adjoint_eigenvalues(Side::Lower).unwrap()
}

fn dense(landscape: &impl Landscape, at: &[f64]) -> Vec<f64> {
    let (mut unit, mut row) = (vec![0.0; at.len()], vec![0.0; at.len()]);
    let rows = (0..at.len()).flat_map(|k| {
        unit[k] = 1.0;
        landscape.hessian_product(at, &unit, &mut row);
        unit[k] = 0.0;
        row.clone()
    });
    rows.collect()
}

fn regression(classes: usize, width: usize, seed: u64) -> (SoftmaxRegression, Vec<f64>) {
    let labels = (0..9).map(|row| row * 7 % 5 % classes).collect();
    let landscape = SoftmaxRegression::new(numbers(9 * width, seed), labels, width, classes);
    (landscape, numbers(classes * width, seed + 1))
}

fn stream() -> Stream {
    Stream::new(0, "random", 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn products_with_the_hessian_are_those_of_differences(
        classes in 1_usize..5, width in 1_usize..5, seed in 0_u64..1000,
    ) {
        let (exact, weights) = regression(classes, width, seed);
        /// The same without its closed form.
        struct ByDifferences<'a>(&'a SoftmaxRegression);
        impl Landscape for ByDifferences<'_> {
            fn dimension(&self) -> usize {
                self.0.dimension()
            }
            fn gradient(&self, at: &[f64], gradient: &mut [f64]) -> f64 {
                self.0.gradient(at, gradient)
            }
        }
        let direction = numbers(weights.len(), seed + 2);
        let (mut a, mut b) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
        exact.hessian_product(&weights, &direction, &mut a);
        ByDifferences(&exact).hessian_product(&weights, &direction, &mut b);
        for (a, b) in a.iter().zip(b) {
            prop_assert!((a - b).abs() < 1e-8, "{} {}", a, b);
        }
        // And the gradient itself.
        let mut gradient = vec![0.0; weights.len()];
        let value = exact.gradient(&weights, &mut gradient);
        prop_assert!((value - exact.loss(&weights)).abs() < 1e-13);
        for k in 0..weights.len() {
            let mut moved = weights.clone();
            moved[k] += 1e-5;
            let above = exact.loss(&moved);
            moved[k] -= 2e-5;
            prop_assert!(((above - exact.loss(&moved)) / 2e-5 - gradient[k]).abs() < 1e-8);
        }
    }

    #[test]
    fn the_top_eigenvalue_and_the_trace_are_those_of_the_whole_hessian(
        classes in 1_usize..5, width in 1_usize..6, seed in 0_u64..1000, indefinite in prop::bool::ANY,
    ) {
        let size = classes * width;
        let (top, trace, hessian) = if indefinite {
            let landscape = Quadratic::random(size, seed);
            let at = numbers(size, seed + 3);
            let top = top_eigenvalue(&landscape, &at, Convergence::default(), &mut stream());
            (top, hessian_trace(&landscape, &at), landscape.hessian)
        } else {
            let (landscape, weights) = regression(classes, width, seed);
            let top = top_eigenvalue(&landscape, &weights, Convergence::default(), &mut stream());
            (top, hessian_trace(&landscape, &weights), dense(&landscape, &weights))
        };
        let exact = eigenvalues(&hessian);
        let diagonal: f64 = (0..size).map(|i| hessian[i * size + i]).sum();
        let scale = exact.iter().fold(1e-3_f64, |s, x| s.max(x.abs()));
        prop_assert!((top - exact[size - 1]).abs() < 1e-7 * scale, "{} for {:?}", top, exact);
        prop_assert!((trace - diagonal).abs() < 1e-7 * scale * size as f64);
    }

    #[test]
    fn ascent_comes_near_the_exact_worst_case_and_never_above(size in 1_usize..7, seed in 0_u64..1000, rho in 0.05_f64..2.0) {
        let landscape = Quadratic::random(size, seed);
        let exact = largest_in_ball(&landscape.hessian, &landscape.gradient, rho);
        let at = vec![0.0; size];
        let found = worst_case_sharpness(&landscape, &at, rho, 200);
        let first = sam_sharpness(&landscape, &at, rho);
        prop_assert!(found <= exact * (1.0 + 1e-9) && found >= first - 1e-12, "{} of {}", found, exact);
        prop_assert!(first_order_sharpness(&landscape, &at, rho) - rho * norm(&landscape.gradient) < 1e-12);
    }

    #[test]
    fn no_point_of_the_ball_is_above_the_worst_case(size in 1_usize..7, seed in 0_u64..1000, rho in 0.0_f64..3.0) {
        let Quadratic { hessian, gradient } = Quadratic::random(size, seed);
        let value = largest_in_ball(&hessian, &gradient, rho);
        let landscape = Quadratic { hessian, gradient };
        let mut random = Stream::new(seed, "points", 0);
        for _ in 0..50 {
            let direction = normalised(normals(size, &mut random));
            let radius = rho * random.uniform();
            let point: Vec<f64> = direction.iter().map(|x| x * radius).collect();
            prop_assert!(landscape.loss(&point) <= value + 1e-12 * (1.0 + value));
        }
        prop_assert!(value >= 0.0);
    }

    #[test]
    fn adaptive_sharpness_does_not_see_the_scale_of_parameters(seed in 0_u64..1000, rho in 0.05_f64..1.0) {
        // x -> x/c in the loss and c x in the weights: the same function.
        let plain = Quadratic::random(4, seed);
        let factors: Vec<f64> = numbers(4, seed + 5).into_iter().map(f64::exp).collect();
        let scaled = Quadratic {
            hessian: (0..16).map(|at| plain.hessian[at] / factors[at / 4] / factors[at % 4]).collect(),
            gradient: plain.gradient.iter().zip(&factors).map(|(g, c)| g / c).collect(),
        };
        let at = numbers(4, seed + 6);
        let there: Vec<f64> = at.iter().zip(&factors).map(|(x, c)| x * c).collect();
        let (a, b) = (Rescaled::adaptive(&plain, &at, 0.0), Rescaled::adaptive(&scaled, &there, 0.0));
        let origin = [0.0; 4];
        let pairs = [
            (sam_sharpness(&a, &origin, rho), sam_sharpness(&b, &origin, rho)),
            (first_order_sharpness(&a, &origin, rho), first_order_sharpness(&b, &origin, rho)),
            (worst_case_sharpness(&a, &origin, rho, 8), worst_case_sharpness(&b, &origin, rho, 8)),
            (hessian_trace(&a, &origin), hessian_trace(&b, &origin)),
        ];
        for (a, b) in pairs {
            prop_assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{} and {}", a, b);
        }
    }
}

#[test]
fn the_hard_case_is_exact() {
    // No gradient along the top eigenvector: the rest of the radius goes there for its curvature.
    let value = largest_in_ball(&[3.0, 0.0, 0.0, 1.0], &[0.0, 1.0], 2.0);
    // e = (±√(4 − ¼), ½): μ = 3, ½(3·4 + 1/2).
    assert!((value - 6.25).abs() < 1e-14, "{value}");
    // Within: all curvature is negative and the peak is inside.
    assert!((largest_in_ball(&[-2.0, 0.0, 0.0, -1.0], &[1.0, 0.5], 5.0) - (0.25 + 0.125)).abs() < 1e-14);
    // No gradient at all.
    assert_eq!(largest_in_ball(&[3.0, 0.0, 0.0, 1.0], &[0.0, 0.0], 2.0), 6.0);
    assert_eq!(largest_in_ball(&[-3.0, 0.0, 0.0, -1.0], &[0.0, 0.0], 2.0), 0.0);
    // No curvature: the first-order rise.
    assert!((largest_in_ball(&[0.0; 4], &[3.0, -4.0], 0.1) - 0.5).abs() < 1e-15);
    assert_eq!(largest_in_ball(&[1.0], &[1.0], 0.0), 0.0);
    // Only the symmetric part counts.
    let (a, b) = (
        largest_in_ball(&[1.0, 2.0, 0.0, 1.0], &[0.1, 0.2], 1.0),
        largest_in_ball(&[1.0, 1.0, 1.0, 1.0], &[0.1, 0.2], 1.0),
    );
    assert!((a - b).abs() < 1e-14);
    // Nearly hard: a root next to the end of its interval.
    let near = largest_in_ball(&[3.0, 0.0, 0.0, 1.0], &[1e-12, 1.0], 2.0);
    assert!((near - 6.25).abs() < 1e-11);
}

#[test]
fn random_signs_are_exact_for_a_diagonal_and_fair_else() {
    let diagonal = Quadratic {
        hessian: vec![2.0, 0.0, 0.0, -0.5],
        gradient: vec![0.0; 2],
    };
    let estimate = hutchinson_trace(&diagonal, &[0.3, 0.4], 3, &mut stream());
    assert!((estimate.mean - 1.5).abs() < 1e-9 && estimate.standard_error < 1e-8);
    let (landscape, weights) = regression(3, 4, 0);
    let estimate = hutchinson_trace(&landscape, &weights, 4000, &mut stream());
    let exact = hessian_trace(&landscape, &weights);
    assert!((estimate.mean - exact).abs() < 4.0 * estimate.standard_error);
    assert!(estimate.standard_error < 0.05 * exact);
}

#[test]
fn nothing_rises_where_there_is_no_gradient() {
    let flat = Quadratic {
        hessian: vec![1.0, 0.0, 0.0, 1.0],
        gradient: vec![0.0; 2],
    };
    assert_eq!(sam_sharpness(&flat, &[0.0, 0.0], 0.5), 0.0);
    assert_eq!(first_order_sharpness(&flat, &[0.0, 0.0], 0.5), 0.0);
}

#[test]
fn a_module_is_measured_as_the_same_function_in_closed_form() {
    let (exact, _) = regression(3, 4, 8);
    let device = Device::flex().autodiff();
    let config = LinearConfig::new(4, 3).with_bias(false);
    let layer: Linear = config.init(&mut Stream::new(0, "weights", 0), &device);
    let features = TensorData::new(numbers(36, 8), [9, 4]);
    let features = Tensor::<2>::from_data(features, (&device, DType::F64));
    let labels: Vec<i64> = (0..9).map(|row| row * 7 % 5 % 3).collect();
    let labels = Tensor::<1, burn::tensor::Int>::from_data(TensorData::new(labels, [9]), &device);
    let loss = CrossEntropyLossConfig::new().init().unwrap();
    let landscape = ModuleLandscape::new(layer, |layer: &Linear| {
        let loss = loss.forward(layer.forward(features.clone()), labels.clone());
        Evaluation {
            value: loss.clone().into_scalar::<f64>(),
            gradients: GradientsParams::from_grads(loss.backward(), layer),
        }
    });
    // The layer's weights are [inputs, outputs].
    let there = landscape.parameters();
    let weights: Vec<f64> = (0..12).map(|at| there[at % 4 * 3 + at / 4]).collect();
    assert_eq!(landscape.dimension(), 12);
    assert!((landscape.loss(&there) - exact.loss(&weights)).abs() < 1e-12);
    let rise = |a: f64, b: f64| assert!((a - b).abs() < 1e-8 * (1.0 + b.abs()), "{a} for {b}");
    rise(
        sam_sharpness(&landscape, &there, 0.1),
        sam_sharpness(&exact, &weights, 0.1),
    );
    rise(
        worst_case_sharpness(&landscape, &there, 0.5, 8),
        worst_case_sharpness(&exact, &weights, 0.5, 8),
    );
    rise(
        top_eigenvalue(&landscape, &there, Convergence::default(), &mut stream()),
        top_eigenvalue(&exact, &weights, Convergence::default(), &mut stream()),
    );
    rise(hessian_trace(&landscape, &there), hessian_trace(&exact, &weights));
}
