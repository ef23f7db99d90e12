use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::random::Stream;

fn numbers(seed: u64, name: &str, len: usize) -> Vec<f64> {
    let mut stream = Stream::new(seed, name, 0);
    (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

fn plain(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_product_is_the_plain_one(many in 1_usize..140, others in 1_usize..9, extra in 0_usize..40, seed in 0_u64..99) {
        for width in [1 + extra, BLOCK + extra] {
            let (rows, more) = (numbers(seed, "rows", many * width), numbers(seed, "others", others * width));
            let x = numbers(seed, "x", width);
            let mut found = vec![f64::NAN; many];
            dots(&rows, &x, &mut found);
            for (row, found) in rows.chunks_exact(width).zip(&found) {
                prop_assert!((plain(row, &x) - found).abs() < 1e-10);
            }
            let (gram, cross) = (gram(&rows, width), products(&rows, &more, width));
            for (i, row) in rows.chunks_exact(width).enumerate() {
                for (j, other) in rows.chunks_exact(width).enumerate() {
                    prop_assert!((plain(row, other) - gram[i * many + j]).abs() < 1e-10);
                }
                for (j, other) in more.chunks_exact(width).enumerate() {
                    prop_assert!((plain(row, other) - cross[i * others + j]).abs() < 1e-10);
                }
            }
            let (mut combined, mut squares) = (x.clone(), x.clone());
            subtract_combination(&rows, &found, 0.5, &mut combined);
            add_weighted_squares(&rows, &found, &mut squares);
            for at in [0, width / 2, width - 1] {
                let column: Vec<f64> = rows.iter().skip(at).step_by(width).copied().collect();
                prop_assert!((0.5 * x[at] - plain(&column, &found) - combined[at]).abs() < 1e-9);
                let square: Vec<f64> = column.iter().map(|x| x * x).collect();
                prop_assert!((x[at] + plain(&square, &found) - squares[at]).abs() < 1e-9);
            }
            let mut triangle = numbers(seed, "triangle", many * many);
            for (at, factor) in triangle.iter_mut().enumerate() {
                if at % many > at / many {
                    *factor = 0.0;
                }
            }
            let mut replaced = rows.clone();
            replace_by_triangle(&mut replaced, width, &triangle);
            let factors = numbers(seed, "factors", many * others);
            subtract_products(&mut replaced, width, Matrix::new(&factors, many, others), &more);
            for at in [0, width / 2, width - 1] {
                let column = |rows: &[f64]| rows.iter().skip(at).step_by(width).copied().collect::<Vec<_>>();
                let (of_rows, of_others) = (column(&rows), column(&more));
                for row in 0..many {
                    let expected = plain(&triangle[row * many..][..many], &of_rows)
                        - plain(&factors[row * others..][..others], &of_others);
                    prop_assert!((replaced[row * width + at] - expected).abs() < 1e-10);
                }
            }
        }
    }
}

fn of_halves<S: Stored<Wide = f32>>(narrow: impl Fn(f32) -> S) {
    let width = BLOCK + 5;
    let kept: Vec<S> = numbers(3, "halves", 6 * width)
        .iter()
        .map(|&x| narrow(x as f32))
        .collect();
    let mut wide = vec![0.0; kept.len()];
    let wide = S::widened(&kept, &mut wide).to_vec();
    let x: Vec<f32> = numbers(4, "x", width).iter().map(|&x| x as f32).collect();
    let (mut of_kept, mut of_wide) = ([0.0; 6], [0.0; 6]);
    dots(&kept, &x, &mut of_kept);
    dots(&wide, &x, &mut of_wide);
    assert_eq!(of_kept, of_wide);
    let (mut from_kept, mut from_wide) = (x.clone(), x);
    subtract_combination(&kept, &of_kept, 1.0, &mut from_kept);
    subtract_combination(&wide, &of_kept, 1.0, &mut from_wide);
    assert_eq!(from_kept, from_wide);
}

#[test]
fn halves_are_widened_before_anything_else() {
    of_halves(f16::from_f32);
    of_halves(bf16::from_f32);
    assert_eq!(<f16 as Stored>::narrowed(1e9), f16::INFINITY);
    assert_eq!(<bf16 as Stored>::narrowed(0.5).to_f32(), 0.5);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (many, width) = (70, 3 * BLOCK + 7);
    let rows = numbers(0, "threads", many * width);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut sums = vec![0.0; many];
            dots(&rows, &rows[width..2 * width], &mut sums);
            let mut combined = rows[..width].to_vec();
            subtract_combination(&rows, &sums, 1.0, &mut combined);
            sums.extend(combined);
            sums.extend(gram(&rows, width));
            sums
        })
    };
    let one = on(1);
    assert!([2, 3, 5].into_iter().all(|threads| on(threads) == one));
}

#[test]
#[should_panic(expected = "7 numbers are no rows of 2")]
fn rows_are_whole() {
    gram(&[0.0; 7], 2);
}
