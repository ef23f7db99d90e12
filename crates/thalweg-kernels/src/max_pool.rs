//! The largest number under each place of a window that moves over planes `[height, width]`, and where it stood.

use std::ops::Range;

use rayon::prelude::*;

use crate::dispatch;
use crate::real::Real;

/// How a window moves over planes: height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Of the planes.
    pub input: [usize; 2],
    /// Of the pooled planes.
    pub output: [usize; 2],
    /// Places of a window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// How far the first window begins before the plane.
    pub padding: [usize; 2],
    /// Steps between places of a window.
    pub dilation: [usize; 2],
}

/// Elements of input that a task reads: fewer are not worth waking another thread.
const TASK: usize = 1 << 14;

/// The largest number of each window and its index in its plane. Numbers beyond the plane do not count; what is not a number
/// is the largest; of equals the first is taken. A window that holds nothing of the plane gives negative infinity, at
/// `u32::MAX`.
///
/// # Panics
/// When the planes are not whole or hold more elements than `u32` counts.
pub fn forward<F: Real>(window: &Window, planes: &[F]) -> (Vec<F>, Vec<u32>) {
    let (size, pooled) = window.sizes(planes.len());
    let outputs = planes.len() / size * pooled;
    let (mut largest, mut places) = (vec![F::NEG_INFINITY; outputs], vec![u32::MAX; outputs]);
    let task = (TASK / size).max(1);
    largest
        .par_chunks_mut(task * pooled)
        .zip(places.par_chunks_mut(task * pooled))
        .zip(planes.par_chunks(task * size))
        .for_each(|((largest, places), planes)| {
            let outputs = largest
                .chunks_exact_mut(pooled)
                .zip(places.chunks_exact_mut(pooled));
            for ((largest, places), plane) in outputs.zip(planes.chunks_exact(size)) {
                dispatch!([F: Real] pool_plane, (
                    window: &Window,
                    plane: &[F],
                    largest: &mut [F],
                    places: &mut [u32],
                ));
            }
        });
    (largest, places)
}

/// Gradient of the planes: each gradient of a largest number goes to where that stood.
///
/// # Panics
/// When `places` are not those that [`forward`] found for as many gradients.
pub fn backward<F: Real>(window: &Window, places: &[u32], upstream: &[F]) -> Vec<F> {
    let (size, pooled) = window.sizes(0);
    assert_eq!(places.len(), upstream.len(), "a gradient for each window");
    let mut gradient = vec![F::ZERO; upstream.len() / pooled * size];
    let task = (TASK / size).max(1);
    gradient
        .par_chunks_mut(task * size)
        .zip(places.par_chunks(task * pooled))
        .zip(upstream.par_chunks(task * pooled))
        .for_each(|((gradient, places), upstream)| {
            let inputs = places.chunks_exact(pooled).zip(upstream.chunks_exact(pooled));
            for (plane, (places, upstream)) in gradient.chunks_exact_mut(size).zip(inputs) {
                for (&place, &more) in places.iter().zip(upstream) {
                    if let Some(sum) = plane.get_mut(place as usize) {
                        *sum += more;
                    }
                }
            }
        });
    gradient
}

impl Window {
    /// Elements of a plane and of a pooled one.
    fn sizes(&self, elements: usize) -> (usize, usize) {
        let (size, pooled) = (self.input[0] * self.input[1], self.output[0] * self.output[1]);
        assert!(
            size > 0 && pooled > 0 && size < u32::MAX as usize,
            "planes of {:?} pooled to {:?}",
            self.input,
            self.output
        );
        assert_eq!(elements % size, 0, "{elements} elements in planes of {size}");
        (size, pooled)
    }

    /// Windows along an axis whose place `tap` is over the plane.
    fn valid(&self, axis: usize, tap: usize) -> Range<usize> {
        let (stride, padding) = (self.stride[axis], self.padding[axis]);
        let ahead = tap * self.dilation[axis];
        let end = (self.input[axis] + padding)
            .saturating_sub(ahead)
            .div_ceil(stride)
            .min(self.output[axis]);
        padding.saturating_sub(ahead).div_ceil(stride).min(end)..end
    }

    /// Where place `tap` of window `at` is along an axis; the window is one of those in [`Window::valid`].
    fn place(&self, axis: usize, at: usize, tap: usize) -> usize {
        at * self.stride[axis] + tap * self.dilation[axis] - self.padding[axis]
    }
}

#[inline(always)]
fn pool_plane<F: Real>(window: &Window, plane: &[F], largest: &mut [F], places: &mut [u32]) {
    let [_, width_in] = window.input;
    let [_, width] = window.output;
    for i in 0..window.kernel[0] {
        for y in window.valid(0, i) {
            let start = window.place(0, y, i) * width_in;
            let line = &plane[start..start + width_in];
            for j in 0..window.kernel[1] {
                let across = window.valid(1, j);
                if across.is_empty() {
                    continue;
                }
                let first = window.place(1, across.start, j);
                let outputs = y * width + across.start..y * width + across.end;
                let (largest, places) = (&mut largest[outputs.clone()], &mut places[outputs]);
                let place = (start + first) as u32;
                match window.stride[1] {
                    1 => raise::<F, 1>(&line[first..], place, largest, places),
                    2 => raise::<F, 2>(&line[first..], place, largest, places),
                    step => {
                        let numbers = line[first..].iter().step_by(step);
                        for (index, (&number, (top, at))) in
                            numbers.zip(largest.iter_mut().zip(places)).enumerate()
                        {
                            raise_one(number, place + (index * step) as u32, top, at);
                        }
                    }
                }
            }
        }
    }
}

/// One place of every window of a line, in windows `STEP` apart.
#[inline(always)]
fn raise<F: Real, const STEP: usize>(line: &[F], place: u32, largest: &mut [F], places: &mut [u32]) {
    // The last window may have no whole step left of the line.
    let (last_top, tops) = largest.split_last_mut().expect("a window");
    let (last_at, ats) = places.split_last_mut().expect("a window");
    let steps = line.as_chunks::<STEP>().0;
    let each = tops.iter_mut().zip(ats.iter_mut()).zip(steps);
    for (index, ((top, at), step)) in each.enumerate() {
        raise_one(step[0], place + (index * STEP) as u32, top, at);
    }
    let rest = tops.len() * STEP;
    raise_one(line[rest], place + rest as u32, last_top, last_at);
}

#[inline(always)]
fn raise_one<F: Real>(number: F, place: u32, top: &mut F, at: &mut u32) {
    let is_number = number >= F::NEG_INFINITY;
    // Of a window that holds nothing above negative infinity the first place is taken.
    let above = number > *top || !is_number || *at == u32::MAX;
    *top = if above { number } else { *top };
    *at = if above { place } else { *at };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    /// The first of the largest numbers of a window and where it stands, by looking at all.
    fn of_window(window: &Window, plane: &[f64], y: usize, x: usize) -> Option<(f64, u32)> {
        let mut found: Option<(f64, u32)> = None;
        for i in 0..window.kernel[0] {
            for j in 0..window.kernel[1] {
                let along = (y * window.stride[0] + i * window.dilation[0]).checked_sub(window.padding[0]);
                let across = (x * window.stride[1] + j * window.dilation[1]).checked_sub(window.padding[1]);
                if let (Some(a), Some(b)) = (along, across)
                    && a < window.input[0]
                    && b < window.input[1]
                {
                    let place = a * window.input[1] + b;
                    if found.is_none_or(|(top, _)| plane[place] > top) {
                        found = Some((plane[place], place as u32));
                    }
                }
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn windows_hold_their_largest_number_and_send_its_gradient_back(
            input in [1_usize..12, 1_usize..12],
            kernel in [1_usize..4, 1_usize..4],
            stride in [1_usize..4, 1_usize..4],
            dilation in [1_usize..3, 1_usize..3],
            padding in [0_usize..2, 0_usize..2],
            (planes, seed) in (0_usize..4, 0_u64..1000),
        ) {
            let span = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
            prop_assume!((0..2).all(|a| span[a] <= input[a] + 2 * padding[a] && 2 * padding[a] <= span[a]));
            let output = [0, 1].map(|a| (input[a] + 2 * padding[a] - span[a]) / stride[a] + 1);
            let window = Window { input, output, kernel, stride, padding, dilation };
            let (size, pooled) = (input[0] * input[1], output[0] * output[1]);
            let mut stream = Stream::new(seed, "max pool", 0);
            // Few different numbers, so that many are equal.
            let values: Vec<f64> = (0..planes * size).map(|_| stream.below(5) as f64).collect();
            let upstream: Vec<f64> = (0..planes * pooled).map(|_| stream.uniform()).collect();
            let (largest, places) = forward(&window, &values);
            let mut gradient = vec![0.0; values.len()];
            for at in 0..largest.len() {
                let plane = at / pooled;
                let (y, x) = (at % pooled / output[1], at % output[1]);
                let of_plane = &values[plane * size..(plane + 1) * size];
                let expected = of_window(&window, of_plane, y, x);
                let found = (largest[at], places[at]);
                prop_assert_eq!(found, expected.unwrap_or((f64::NEG_INFINITY, u32::MAX)));
                if let Some((_, place)) = expected {
                    gradient[plane * size + place as usize] += upstream[at];
                }
            }
            let found = backward(&window, &places, &upstream);
            prop_assert!(found.iter().zip(&gradient).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    const PAIRS: Window = Window {
        input: [2, 4],
        output: [1, 2],
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        dilation: [1, 1],
    };

    #[test]
    fn what_is_no_number_is_the_largest_and_nothing_is_below_negative_infinity() {
        let low = f32::NEG_INFINITY;
        let (largest, places) = forward(&PAIRS, &[1.0, f32::NAN, low, low, 7.0, 2.0, low, low]);
        assert!(largest[0].is_nan());
        assert_eq!((places[0], largest[1], places[1]), (1, low, 2));
        let (largest, _) = forward(&PAIRS, &[f32::NAN, 1.0, 0.0, 0.0, 7.0, 2.0, 0.0, 0.0]);
        assert!(largest[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "9 elements in planes of 8")]
    fn planes_are_whole() {
        forward(&PAIRS, &[0.0; 9]);
    }
}
