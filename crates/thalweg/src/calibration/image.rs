//! Transforms that make views of images, as torchvision has them: greyscale, colour jitter in a fixed order, rotation.

use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// Luma weights of red, green and blue.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// `0.299 R + 0.587 G + 0.114 B` of an image `[3, pixels]`, `[pixels]`.
///
/// # Panics
/// When the image is not of three equal channels.
pub fn image_to_grayscale(image: &[f64]) -> Vec<f64> {
    assert!(image.len().is_multiple_of(3), "an image has three channels");
    let pixels = image.len() / 3;
    (0..pixels)
        .map(|pixel| {
            let channels = LUMA.iter().enumerate();
            channels
                .map(|(channel, weight)| weight * image[channel * pixels + pixel])
                .sum()
        })
        .collect()
}

/// An image `[3, pixels]` in `[0, 1]` with changed brightness `b x`, then contrast `c x + (1 − c) mean(grey)`, then
/// saturation `s x + (1 − s) grey`, clamped to `[0, 1]` after each. Factors are at least 0, and 1 changes nothing.
///
/// # Panics
/// When the image is not of three equal channels.
pub fn color_jitter(image: &[f64], brightness: f64, contrast: f64, saturation: f64) -> Vec<f64> {
    let mut image: Vec<f64> = image.iter().map(|x| (brightness * x).clamp(0.0, 1.0)).collect();
    let grey = image_to_grayscale(&image);
    let mean = grey.iter().sum::<f64>() / grey.len().max(1) as f64;
    for x in &mut image {
        *x = (contrast * *x + (1.0 - contrast) * mean).clamp(0.0, 1.0);
    }
    let grey = image_to_grayscale(&image);
    let pixels = grey.len().max(1);
    for (index, x) in image.iter_mut().enumerate() {
        *x = (saturation * *x + (1.0 - saturation) * grey[index % pixels]).clamp(0.0, 1.0);
    }
    image
}

/// An image `[channels, height, width]` turned counter-clockwise around its centre, bilinear, with 0 outside.
///
/// # Panics
/// When the image is not of whole channels.
pub fn rotate(image: &[f64], height: usize, width: usize, degrees: f64) -> Vec<f64> {
    let pixels = height * width;
    assert!(image.len().is_multiple_of(pixels), "an image has whole channels");
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (middle_x, middle_y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    let channels = image.chunks_exact(pixels);
    channels
        .flat_map(|channel| {
            (0..pixels).map(move |pixel| {
                let x = (pixel % width) as f64 - middle_x;
                let y = (pixel / width) as f64 - middle_y;
                bilinear(
                    channel,
                    width,
                    cos * x - sin * y + middle_x,
                    sin * x + cos * y + middle_y,
                )
            })
        })
        .collect()
}

/// Brightness between four pixels, 0 outside.
fn bilinear(channel: &[f64], width: usize, x: f64, y: f64) -> f64 {
    let height = channel.len() / width;
    let at = |column: f64, row: f64| {
        let is_inside = (0.0..width as f64).contains(&column) && (0.0..height as f64).contains(&row);
        if is_inside {
            channel[row as usize * width + column as usize]
        } else {
            0.0
        }
    };
    let (left, above) = (x.floor(), y.floor());
    let (right, below) = (x - left, y - above);
    (1.0 - below) * ((1.0 - right) * at(left, above) + right * at(left + 1.0, above))
        + below * ((1.0 - right) * at(left, above + 1.0) + right * at(left + 1.0, above + 1.0))
}

fn factor(case: &Case, name: &str) -> Result<f64, QuantityError> {
    match case.param(name)? {
        factor if factor >= 0.0 && factor.is_finite() => Ok(factor),
        _ => case.refuse_param(name, "at least 0 and finite"),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "color_jitter",
            "an image with changed brightness, contrast and saturation, in this order",
        )
        .param("brightness", 1.0)
        .param("contrast", 1.0)
        .param("saturation", 1.0)
        .input("image", "[3, H, W]")
        .eval(|case| {
            let image = case.array("image");
            let (brightness, contrast) = (factor(case, "brightness")?, factor(case, "contrast")?);
            let data = color_jitter(&image.data, brightness, contrast, factor(case, "saturation")?);
            let shape = image.shape.clone();
            Ok(Outputs::new().with("value", Array { shape, data }))
        }),
        Quantity::new(
            "image_to_grayscale",
            "the luma of an image in red, green and blue",
        )
        .input("image", "[3, H, W]")
        .eval(|case| {
            let image = case.array("image");
            let (shape, data) = (image.shape[1..].to_vec(), image_to_grayscale(&image.data));
            Ok(Outputs::new().with("value", Array { shape, data }))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn factors_of_one_change_nothing_and_no_saturation_is_grey(image in prop::collection::vec(0.0..1.0_f64, 12)) {
            let same = color_jitter(&image, 1.0, 1.0, 1.0);
            prop_assert!(same.iter().zip(&image).all(|(a, b)| (a - b).abs() < 1e-15));
            let grey = color_jitter(&image, 1.0, 1.0, 0.0);
            let expected = image_to_grayscale(&image);
            prop_assert!(grey.iter().enumerate().all(|(i, x)| (x - expected[i % 4]).abs() < 1e-15));
            let flat = color_jitter(&image, 1.0, 0.0, 1.0);
            prop_assert!(flat.iter().all(|x| (x - flat[0]).abs() < 1e-12));
        }
    }

    #[test]
    fn right_angles_move_pixels() {
        let dot = |column: usize, row: usize| {
            let mut image = vec![0.0; 64];
            image[row * 8 + column] = 1.0;
            image
        };
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let image = [dot(5, 1), dot(0, 0)].concat();
        for (degrees, first, second) in [
            (0.0, (5, 1), (0, 0)),
            (90.0, (1, 2), (0, 7)),
            (180.0, (2, 6), (7, 7)),
        ] {
            let expected = [dot(first.0, first.1), dot(second.0, second.1)].concat();
            assert!(close(&rotate(&image, 8, 8, degrees), &expected), "{degrees}");
        }
        // A corner leaves the image, and what comes in is dark.
        assert!(rotate(&[1.0; 64], 8, 8, 45.0)[0] < 0.01);
    }

    #[test]
    fn values_stay_in_range() {
        let bright = color_jitter(&[0.9, 0.2, 0.6], 3.0, 2.0, 4.0);
        assert!(bright.iter().all(|x| (0.0..=1.0).contains(x)));
    }
}
