use proptest::prelude::*;

use super::*;
use crate::random::Stream;

fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "conv", 0);
    (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

/// An input, its place, a weight and an output, by plain loops.
fn every_product(shape: &Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let groups = shape.options.groups;
    let (inputs, outputs) = (shape.channels_in, shape.channels_out);
    let ([depth, height, width], [kd, kh, kw]) = (shape.output, shape.kernel);
    let place = |axis: usize, out: usize, tap: usize| {
        let at = out * shape.options.stride[axis] + tap * shape.options.dilation[axis];
        at.checked_sub(shape.options.padding[axis].0)
            .filter(|&at| at < shape.input[axis])
    };
    for image in 0..shape.batch {
        for channel in 0..outputs * groups {
            for (z, y, x) in
                (0..depth).flat_map(|z| (0..height).flat_map(move |y| (0..width).map(move |x| (z, y, x))))
            {
                let out = (((image * outputs * groups + channel) * depth + z) * height + y) * width + x;
                for c in 0..inputs {
                    for (i, j, k) in
                        (0..kd).flat_map(|i| (0..kh).flat_map(move |j| (0..kw).map(move |k| (i, j, k))))
                    {
                        let (Some(a), Some(b), Some(d)) = (place(0, z, i), place(1, y, j), place(2, x, k))
                        else {
                            continue;
                        };
                        let from = channel / outputs * inputs + c;
                        let input =
                            (((image * inputs * groups + from) * shape.input[0] + a) * shape.input[1] + b)
                                * shape.input[2]
                                + d;
                        let weight = (((channel * inputs + c) * kd + i) * kh + j) * kw + k;
                        visit(input, weight, out);
                    }
                }
            }
        }
    }
}

fn near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-11)
}

const ALL: Wanted = Wanted {
    input: true,
    weight: true,
    bias: true,
};

fn holds(shape: &Shape, seed: u64) -> Result<(), TestCaseError> {
    let channels = shape.channels_out * shape.options.groups;
    let input = numbers(shape.batch * shape.image_in(), seed);
    let weight = numbers(shape.weights(), seed + 1);
    let bias = numbers(channels, seed + 2);
    let upstream = numbers(shape.batch * shape.image_out(), seed + 3);
    let pixels = shape.pixels_out();
    let mut out: Vec<f64> = (0..upstream.len())
        .map(|at| bias[at / pixels % channels])
        .collect();
    let (mut of_input, mut of_weight) = (vec![0.0; input.len()], vec![0.0; weight.len()]);
    every_product(shape, |x, w, y| {
        out[y] += input[x] * weight[w];
        of_input[x] += upstream[y] * weight[w];
        of_weight[w] += upstream[y] * input[x];
    });
    let mut of_bias = vec![0.0; channels];
    for (at, &gradient) in upstream.iter().enumerate() {
        of_bias[at / pixels % channels] += gradient;
    }
    prop_assert!(near(&forward(shape, &input, &weight, &bias), &out));
    let found = backward(shape, ALL, &input, &weight, &upstream);
    prop_assert!(near(&found.input, &of_input));
    prop_assert!(near(&found.weight, &of_weight));
    prop_assert!(near(&found.bias, &of_bias));
    Ok(())
}

/// Size, kernel, stride, padding, dilation.
type Axis = (usize, usize, usize, (usize, usize), usize);

fn axis() -> impl Strategy<Value = Axis> {
    // Kernels up to as large as the padded input.
    (
        1_usize..9,
        1_usize..5,
        1_usize..4,
        (0_usize..4, 0_usize..4),
        1_usize..4,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn outputs_and_gradients_are_those_of_plain_loops(
        axes in [axis(), axis(), axis()],
        flat in any::<bool>(),
        (batch, inputs, outputs, groups) in (0_usize..4, 1_usize..4, 1_usize..4, 1_usize..4),
        seed in 0_u64..1000,
    ) {
        let mut axes = axes;
        if flat {
            axes[0] = (1, 1, 1, (0, 0), 1);
        }
        let of = |pick: fn(&Axis) -> usize| {
            [pick(&axes[0]), pick(&axes[1]), pick(&axes[2])]
        };
        let ([d, h, w], [i, j, k]) = (of(|a| a.0), of(|a| a.1));
        let options = Options {
            stride: of(|a| a.2),
            padding: [axes[0].3, axes[1].3, axes[2].3],
            dilation: of(|a| a.4),
            groups,
        };
        let input = [batch, inputs * groups, d, h, w];
        let Ok(shape) = Shape::new(input, [outputs * groups, inputs, i, j, k], options) else {
            return Ok(());
        };
        holds(&shape, seed)?;
    }
}

const PLAIN: Options = Options {
    stride: [1; 3],
    padding: [(0, 0), (1, 1), (1, 1)],
    dilation: [1; 3],
    groups: 1,
};

#[test]
fn images_of_several_tiles_and_blocks_of_several_images() {
    let shape = Shape::new([19, 64, 1, 20, 20], [3, 64, 1, 3, 3], PLAIN).unwrap();
    assert!(shape.tile_lines() < 20 && shape.images_per_block() == 2);
    holds(&shape, 0).unwrap();
}

#[test]
fn a_kernel_as_large_as_the_padded_input_gives_one_pixel() {
    let shape = Shape::new([2, 3, 1, 4, 5], [2, 3, 1, 6, 7], PLAIN).unwrap();
    assert_eq!(shape.output(), [2, 2, 1, 1, 1]);
    holds(&shape, 0).unwrap();
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for batch in [1, 33] {
        let shape = Shape::new([batch, 16, 1, 28, 28], [24, 16, 1, 3, 3], PLAIN).unwrap();
        let (input, weight) = (numbers(batch * shape.image_in(), 0), numbers(shape.weights(), 1));
        let upstream = numbers(batch * shape.image_out(), 2);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let out = forward(&shape, &input, &weight, &[]);
                (out, backward(&shape, ALL, &input, &weight, &upstream))
            })
        };
        let one = on(1);
        assert!([2, 3, 5].into_iter().all(|threads| on(threads) == one));
    }
}

#[test]
fn only_what_is_wanted_is_computed() {
    let shape = Shape::new([2, 1, 1, 4, 4], [2, 1, 1, 3, 3], PLAIN).unwrap();
    let (input, weight) = (numbers(32, 0), numbers(18, 1));
    let all = backward(&shape, ALL, &input, &weight, &numbers(64, 2));
    let one = Wanted {
        input: false,
        weight: true,
        bias: false,
    };
    let found = backward(&shape, one, &input, &weight, &numbers(64, 2));
    assert_eq!(found.weight, all.weight);
    assert!(found.input.is_empty() && found.bias.is_empty());
}

#[test]
fn what_is_no_number_stays_so() {
    let shape = Shape::new([1, 1, 1, 3, 3], [1, 1, 1, 3, 3], PLAIN).unwrap();
    let mut input = vec![1.0_f32; 9];
    input[4] = f32::NAN;
    let out = forward(&shape, &input, &[0.0; 9], &[]);
    assert!(out.iter().all(|x| x.is_nan()), "{out:?}");
}

#[test]
fn impossible_shapes_say_why() {
    let refused = |input, weight, options| Shape::new(input, weight, options).unwrap_err().to_string();
    let input = [1, 4, 1, 5, 5];
    assert_eq!(
        refused(input, [2, 4, 1, 8, 3], PLAIN),
        "a kernel that spans 8 does not fit into a padded height of 7"
    );
    assert_eq!(
        refused(input, [2, 3, 1, 3, 3], PLAIN),
        "the weight is for 3 input channels in each group, the input has 4 in 1 group(s)"
    );
    let grouped = Options { groups: 3, ..PLAIN };
    assert_eq!(
        refused(input, [3, 1, 1, 3, 3], grouped),
        "4 input channels do not make 3 equal groups"
    );
    let grouped = Options { groups: 2, ..PLAIN };
    assert_eq!(
        refused(input, [3, 2, 1, 3, 3], grouped),
        "3 output channels do not make 2 equal groups"
    );
    let still = Options {
        stride: [1, 0, 1],
        ..PLAIN
    };
    assert_eq!(
        refused(input, [2, 4, 1, 3, 3], still),
        "a stride is 0; it must be at least 1"
    );
    let no_width = [2, 4, 1, 3, 0];
    assert_eq!(
        refused(input, no_width, PLAIN),
        "a side of the kernel is 0; it must be at least 1"
    );
}
