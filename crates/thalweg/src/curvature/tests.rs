use std::fs::File;

use faer::Mat;
use faer::linalg::solvers::DenseSolveCore;
use proptest::prelude::*;
use thalweg_kernels::random::Stream;

use super::*;

/// F as a matrix.
fn dense(dampening: f64, gradients: &[f64], width: usize) -> Mat<f64> {
    let rows = gradients.len() / width;
    let g = Mat::from_fn(rows, width, |i, j| gradients[i * width + j]);
    let fisher = g.transpose() * &g;
    Mat::from_fn(width, width, |i, j| {
        fisher[(i, j)] / rows as f64 + if i == j { dampening } else { 0.0 }
    })
}

fn inverse(dampening: f64, gradients: &[f64], width: usize) -> Mat<f64> {
    dense(dampening, gradients, width).partial_piv_lu().inverse()
}

fn times(matrix: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    (0..matrix.nrows())
        .map(|i| x.iter().enumerate().map(|(j, x)| matrix[(i, j)] * x).sum())
        .collect()
}

fn normal(seed: u64, name: &str, len: usize) -> Vec<f64> {
    let mut values = vec![0.0_f32; len];
    Stream::new(seed, name, 0).fill_normal(&mut values);
    values.into_iter().map(f64::from).collect()
}

/// Gradients with a zero row and a repeated one, where there are enough.
fn gradients(seed: u64, rows: usize, width: usize) -> Vec<f64> {
    let mut gradients = normal(seed, "gradients", rows * width);
    if rows > 2 {
        gradients[width..2 * width].fill(0.0);
        gradients.copy_within(..width, (rows - 1) * width);
    }
    gradients
}

fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(0.0_f64, |top, x| top.max(x.abs()));
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    off.fold(0.0, f64::max) / size.max(f64::MIN_POSITIVE)
}

fn dampenings() -> impl Strategy<Value = f64> {
    (-4.0..2.0_f64).prop_map(|power| 10.0_f64.powf(power))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_ways_are_the_dense_inverse(rows in 1_usize..90, width in 1_usize..40, dampening in dampenings(), seed in 0_u64..1000) {
        let g = gradients(seed, rows, width);
        let x = normal(seed, "x", width);
        let dense = inverse(dampening, &g, width);
        let expected = times(&dense, &x);
        let fixed = FisherInverse::new(dampening, g.clone(), width).unwrap();
        let mut window = GradientWindow::<f64>::new(dampening, rows, width).unwrap();
        g.chunks_exact(width).for_each(|g| window.insert(g).unwrap());
        for found in [
            fixed.product(&x),
            woodbury(dampening, &g, &x).unwrap(),
            window.product(&x),
            BlockFisherInverse::new(dampening, &g, width, width + 3).unwrap().product(&x),
            WoodFisherInverse::new(dampening, &g, width, width).unwrap().product(&x),
        ] {
            prop_assert!(worst(&found, &expected) < 1e-7, "{:e}", worst(&found, &expected));
        }
        prop_assert!(worst(&times(&self::dense(dampening, &g, width), &fixed.product(&x)), &x) < 1e-6);
        let diagonal = fixed.diagonal();
        prop_assert_eq!(diagonal.clamped, 0);
        let squares: f64 = g.iter().map(|g| g * g).sum::<f64>() / rows as f64;
        for (at, &value) in diagonal.values.iter().enumerate() {
            prop_assert!((value - dense[(at, at)]).abs() < 1e-8 / dampening);
            prop_assert!(value <= 1.0 / dampening && value >= 1.0 / (dampening + squares));
            let other = at * 7 % width;
            prop_assert!((fixed.element(at, other) - dense[(at, other)]).abs() < 1e-8 / dampening);
        }
        let form: f64 = fixed.product(&x).iter().zip(&x).map(|(a, b)| a * b).sum();
        prop_assert!(form > 0.0);
    }

    #[test]
    fn vectors_and_coefficients_are_what_they_are_defined_as(rows in 1_usize..80, width in 1_usize..12, dampening in dampenings(), seed in 0_u64..1000) {
        let g = gradients(seed, rows, width);
        let fixed = FisherInverse::new(dampening, g.clone(), width).unwrap();
        let coefficients = of_gram(dampening, &g, width, rows).unwrap();
        let (upper, lower) = (coefficients.upper(), coefficients.combinations());
        let m = rows as f64;
        for i in [0, rows / 3, rows - 1] {
            // F before gradient i: the mean of the first i, of m.
            let before = Mat::from_fn(width, width, |a, b| {
                let sum: f64 = g[..i * width].chunks_exact(width).map(|g| g[a] * g[b]).sum();
                sum / m + if a == b { dampening } else { 0.0 }
            }).partial_piv_lu().inverse();
            let own = &g[i * width..(i + 1) * width];
            let v = times(&before, own);
            let scale = own.iter().fold(0.0_f64, |top, g| top.max(g.abs())) / dampening;
            let off = fixed.vectors()[i * width..].iter().zip(&v).map(|(a, b)| (a - b).abs());
            prop_assert!(off.fold(0.0, f64::max) <= 1e-8 * scale);
            for (j, other) in g.chunks_exact(width).enumerate().skip(i) {
                let product: f64 = v.iter().zip(other).map(|(v, g)| v * g).sum();
                let size: f64 = 1.0 + scale * other.iter().map(|g| g.abs()).sum::<f64>();
                prop_assert!((upper[i * rows + j] - product).abs() < 1e-8 * size);
            }
            let combined: Vec<f64> = (0..width)
                .map(|a| (0..rows).map(|j| lower[i * rows + j] / dampening * g[j * width + a]).sum())
                .collect();
            let off = combined.iter().zip(&v).map(|(a, b)| (a - b).abs());
            prop_assert!(off.fold(0.0, f64::max) <= 1e-8 * scale);
            let denominator = m + upper[i * rows + i];
            prop_assert!((fixed.denominators()[i] - denominator).abs() < 1e-8 * denominator);
        }
    }

    #[test]
    fn the_order_of_gradients_changes_nothing(rows in 1_usize..80, width in 1_usize..20, dampening in dampenings(), seed in 0_u64..1000) {
        let g = gradients(seed, rows, width);
        let turned: Vec<f64> = g.chunks_exact(width).rev().flatten().copied().collect();
        let x = normal(seed, "x", width);
        let product = |g: Vec<f64>| FisherInverse::new(dampening, g, width).unwrap().product(&x);
        prop_assert!(worst(&product(turned), &product(g)) < 1e-7);
    }

    #[test]
    fn scales_are_as_the_formula_says(rows in 1_usize..20, width in 1_usize..20, power in -3_i32..4, dampening in dampenings(), seed in 0_u64..1000) {
        let s = 2.0_f64.powi(power);
        let g = gradients(seed, rows, width);
        let x = normal(seed, "x", width);
        let product = |dampening: f64, g: Vec<f64>| FisherInverse::new(dampening, g, width).unwrap().product(&x);
        let scaled = product(dampening * s * s, g.iter().map(|g| s * g).collect());
        let back: Vec<f64> = scaled.iter().map(|y| y * s * s).collect();
        prop_assert!(worst(&back, &product(dampening, g.clone())) < 1e-9);
        let flat: Vec<f64> = product(1e9, g).iter().map(|y| 1e9 * y).collect();
        prop_assert!(worst(&flat, &x) < 1e-6);
    }

    #[test]
    fn blocks_leave_out_what_is_between_them(rows in 1_usize..30, width in 1_usize..30, block in 1_usize..12, dampening in dampenings(), seed in 0_u64..1000) {
        let g = gradients(seed, rows, width);
        let x = normal(seed, "x", width);
        let full = dense(dampening, &g, width);
        let cut = Mat::from_fn(width, width, |i, j| if i / block == j / block { full[(i, j)] } else { 0.0 });
        let expected = times(&cut.partial_piv_lu().inverse(), &x);
        let blocks = BlockFisherInverse::new(dampening, &g, width, block).unwrap();
        let wood = WoodFisherInverse::new(dampening, &g, width, block).unwrap();
        prop_assert!(worst(&blocks.product(&x), &expected) < 1e-8);
        prop_assert!(worst(&wood.product(&x), &expected) < 1e-8);
        prop_assert!(worst(&wood.diagonal(), &blocks.diagonal().values) < 1e-8);
        let ones = BlockFisherInverse::new(dampening, &g, width, 1).unwrap().diagonal();
        for (at, value) in ones.values.iter().enumerate() {
            prop_assert!((value * full[(at, at)] - 1.0).abs() < 1e-8);
        }
    }

    #[test]
    fn one_gradient_has_a_closed_form(width in 1_usize..50, dampening in dampenings(), seed in 0_u64..1000) {
        let (g, x) = (normal(seed, "gradients", width), normal(seed, "x", width));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let share = dot(&g, &x) / (dampening * (dampening + dot(&g, &g)));
        let expected: Vec<f64> = x.iter().zip(&g).map(|(x, g)| x / dampening - share * g).collect();
        let found = FisherInverse::new(dampening, g, width).unwrap().product(&x);
        prop_assert!(worst(&found, &expected) < 1e-8);
    }

    #[test]
    fn a_ring_holds_the_last_gradients(rows in 1_usize..75, steps in 1_usize..160, dampening in dampenings(), seed in 0_u64..1000) {
        let width = 6;
        let stream = gradients(seed, steps, width);
        let mut window = GradientWindow::<f64>::new(dampening, rows, width).unwrap();
        for (step, gradient) in stream.chunks_exact(width).enumerate() {
            window.insert(gradient).unwrap();
            if step % 7 == 0 || step + 1 == steps {
                let held = (step + 1).min(rows);
                let mut last = vec![0.0; rows * width];
                last[..held * width].copy_from_slice(&stream[(step + 1 - held) * width..(step + 1) * width]);
                let expected = times(&inverse(dampening, &last, width), gradient);
                prop_assert!(worst(&window.product(gradient), &expected) < 1e-7);
                prop_assert!(worst(&window.newest_product(), &expected) < 1e-7);
            }
        }
    }

    #[test]
    fn pages_on_disk_are_those_in_memory(rows in 1_usize..40, width in 1_usize..20, page in 1_usize..16, seed in 0_u64..1000) {
        let (dampening, g, x) = (1e-2, gradients(seed, rows, width), normal(seed, "x", width));
        let whole = FisherInverse::by_pages(dampening, g.clone(), width, page).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        FilePages::append(&mut file, &g).unwrap();
        let pages = FilePages::<f64>::new(file, rows, width, page);
        let mut on_disk = PagedFisherInverse::new(dampening, pages).unwrap();
        let mut in_memory = PagedFisherInverse::new(dampening, MemoryPages::new(g.clone(), width, page)).unwrap();
        prop_assert_eq!(on_disk.product(&x).unwrap(), in_memory.product(&x).unwrap());
        prop_assert_eq!(on_disk.diagonal().unwrap(), whole.diagonal());
        prop_assert_eq!(in_memory.diagonal().unwrap(), whole.diagonal());
        prop_assert!(worst(&on_disk.product(&x).unwrap(), &whole.product(&x)) < 1e-9);
        let other = FisherInverse::new(dampening, g, width).unwrap();
        prop_assert!(worst(&whole.product(&x), &other.product(&x)) < 1e-8);
    }
}

#[test]
fn long_rows_in_single_precision_stay_close() {
    let (rows, width, dampening) = (70, 20_000, 1e-3);
    let g = normal(0, "long", rows * width);
    let narrow: Vec<f32> = g.iter().map(|&g| g as f32).collect();
    let (x, wide) = (
        narrow[..width].to_vec(),
        FisherInverse::new(dampening, g, width).unwrap(),
    );
    let single = FisherInverse::new(dampening, narrow.clone(), width).unwrap();
    let expected = wide.product(&x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    let found: Vec<f64> = single.product(&x).iter().map(|&y| f64::from(y)).collect();
    // x is one of the gradients: what is left of it is a hundred thousandth of x/λ.
    let size = x.iter().fold(0.0_f64, |top, &x| top.max(f64::from(x.abs()))) / dampening;
    let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f64::max) < 1e-5 * size);
    assert!(worst(&single.diagonal().values, &wide.diagonal().values) < 1e-5);
}

#[test]
fn single_precision_never_leaves_a_diagonal_below_its_bound() {
    // One coordinate so well determined that 1/λ less what the gradients tell of it is rounding.
    let gradients: Vec<f32> = (0..64).flat_map(|i| [300.0 + i as f32, 0.01]).collect();
    let inverse = FisherInverse::new(1e-6, gradients.clone(), 2).unwrap();
    let squares: f64 = gradients.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
    let floor = 1.0 / (1e-6 + squares / 64.0);
    let diagonal = inverse.diagonal();
    assert!(
        diagonal.values.iter().all(|&value| value >= 0.999 * floor),
        "{diagonal:?}"
    );
    assert!(diagonal.clamped <= 2);
}

#[test]
fn half_precision_windows_are_those_of_rounded_gradients() {
    fn check<S: Stored<Wide = f32>>() {
        let (rows, width) = (9, 40);
        let mut kept = GradientWindow::<S>::new(1e-2, rows, width).unwrap();
        let mut plain = GradientWindow::<f32>::new(1e-2, rows, width).unwrap();
        for gradient in normal(1, "halves", 13 * width).chunks_exact(width) {
            let gradient: Vec<f32> = gradient.iter().map(|&g| g as f32).collect();
            let rounded: Vec<S> = gradient.iter().copied().map(S::narrowed).collect();
            let mut wide = vec![0.0; width];
            let rounded = S::widened(&rounded, &mut wide);
            kept.insert(&gradient).unwrap();
            plain.insert(rounded).unwrap();
            assert_eq!(kept.newest_product(), plain.newest_product());
            assert_eq!(kept.product(&gradient), plain.product(&gradient));
        }
    }
    check::<f16>();
    check::<bf16>();
    let mut window = GradientWindow::<f16>::new(1.0, 2, 2).unwrap();
    let refused = window.insert(&[0.0, 1e6]).unwrap_err().to_string();
    assert!(refused.contains("coordinate 1"), "{refused}");
}

#[test]
fn what_cannot_be_is_refused() {
    let refusal = |dampening, gradients: &[f64], width| {
        FisherInverse::new(dampening, gradients.to_vec(), width)
            .err()
            .map(|error| error.to_string())
    };
    for dampening in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refusal(dampening, &[1.0], 1).unwrap().contains("dampening"));
    }
    assert!(refusal(1.0, &[], 1).unwrap().contains("no number"));
    assert!(
        refusal(1.0, &[1.0, 2.0, 3.0], 2)
            .unwrap()
            .contains("no rows of 2")
    );
    let found = refusal(1.0, &[1.0, 2.0, 3.0, f64::NAN], 2).unwrap();
    assert!(
        found.contains("gradient 1") && found.contains("coordinate 1"),
        "{found}"
    );
    assert!(refusal(1.0, &[1e200], 1).unwrap().contains("overflow"));
    assert!(matches!(
        GradientWindow::<f64>::new(1.0, 2, 3).unwrap().insert(&[1.0]),
        Err(CurvatureError::Width {
            found: 1,
            expected: 3,
            ..
        })
    ));
    assert!(BlockFisherInverse::new(1.0, &[1.0], 1, 0).is_err());
    assert!(FilePages::<f64>::append(&mut File::open("/dev/null").unwrap(), &[1.0]).is_err());
}
