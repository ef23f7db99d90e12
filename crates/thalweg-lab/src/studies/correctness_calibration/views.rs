//! Digits changed: the views that the calibrator looks at, and the shifts that it is tested on. Images are 8 x 8, in
//! `[0, 1]`, row by row.

use thalweg::calibration::{color_jitter, rotate};
use thalweg_kernels::random::Stream;

const SIDE: usize = 8;
pub(super) const PIXELS: usize = SIDE * SIDE;

/// Largest angle of a view, degrees.
const ANGLE: f64 = 25.0;
/// Deviation of the blur, pixels.
const BLUR: f64 = 0.6;
/// Brightness and contrast are drawn from `1 ± JITTER`.
const JITTER: f64 = 0.4;

/// Turned by an angle drawn from ±25 degrees; blurred (greyscale leaves a digit as it is); with another brightness and
/// contrast.
pub(super) fn views(image: &[f64], random: &mut Stream) -> [Vec<f64>; 3] {
    let mut around = |centre: f64, room: f64| centre + room * (2.0 * random.uniform() - 1.0);
    let (angle, brightness, contrast) = (around(0.0, ANGLE), around(1.0, JITTER), around(1.0, JITTER));
    let colours = [image, image, image].concat();
    let mut jittered = color_jitter(&colours, brightness, contrast, 1.0);
    jittered.truncate(PIXELS);
    [rotate(image, SIDE, SIDE, angle), blurred(image, BLUR), jittered]
}

/// Convolved with a Gaussian of three by three pixels, edges repeated.
fn blurred(image: &[f64], deviation: f64) -> Vec<f64> {
    let side = (-0.5 / (deviation * deviation)).exp();
    let kernel = [side, 1.0, side].map(|weight| weight / (1.0 + 2.0 * side));
    let along = |image: &[f64], step: fn(usize, usize, usize) -> usize| -> Vec<f64> {
        let pixels = 0..PIXELS;
        pixels
            .map(|pixel| {
                let (column, row) = (pixel % SIDE, pixel / SIDE);
                (0..3)
                    .map(|tap| kernel[tap] * image[step(column, row, tap)])
                    .sum()
            })
            .collect()
    };
    let across = along(image, |column, row, tap| row * SIDE + neighbour(column, tap));
    along(&across, |column, row, tap| neighbour(row, tap) * SIDE + column)
}

/// The place before (tap 0), itself (1) or after (2), within the image.
fn neighbour(place: usize, tap: usize) -> usize {
    (place + tap).saturating_sub(1).min(SIDE - 1)
}

/// With Gaussian noise of a deviation, clamped to `[0, 1]`.
pub(super) fn noisy(image: &[f64], deviation: f64, random: &mut Stream) -> Vec<f64> {
    let mut noise = vec![0.0_f32; image.len()];
    random.fill_normal(&mut noise);
    let each = image.iter().zip(noise);
    each.map(|(x, noise)| (x + deviation * f64::from(noise)).clamp(0.0, 1.0))
        .collect()
}

/// One pixel to the right, with 0 coming in.
pub(super) fn shifted(image: &[f64]) -> Vec<f64> {
    let pixels = 0..PIXELS;
    pixels
        .map(|pixel| if pixel % SIDE == 0 { 0.0 } else { image[pixel - 1] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(column: usize, row: usize) -> Vec<f64> {
        let mut image = vec![0.0; PIXELS];
        image[row * SIDE + column] = 1.0;
        image
    }

    #[test]
    fn blur_keeps_what_there_is_and_flat_images() {
        let blurred_dot = blurred(&dot(4, 4), BLUR);
        assert!((blurred_dot.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(blurred_dot[4 * SIDE + 4] > blurred_dot[4 * SIDE + 5]);
        assert!(
            blurred(&[0.3; PIXELS], BLUR)
                .iter()
                .all(|x| (x - 0.3).abs() < 1e-12)
        );
    }

    #[test]
    fn a_shift_is_by_one_pixel() {
        assert_eq!(shifted(&dot(2, 3)), dot(3, 3));
        assert_eq!(shifted(&dot(7, 3)), vec![0.0; PIXELS]);
    }
}
