//! Views of a sample: what may be changed of it without its being another one. Images are shifted, turned, cropped,
//! brightened, blurred and cut out; any row, of pixels or of a table's columns, has noise added and values masked.
//!
//! Images are `[channels, height, width]`, row-major. Nothing is clamped: a view may leave the range of the pixels.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_kernels::random::Stream;

/// A random change of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// By whole pixels, uniform in `±pixels` down and across, 0 coming in. Images only.
    Shift {
        /// The most pixels.
        pixels: usize,
    },
    /// By an angle uniform in `±degrees` about the centre, bilinear, 0 coming in. Images only.
    Rotate {
        /// The largest angle.
        degrees: f64,
    },
    /// To a window of the image, enlarged to its size, bilinear: the side is uniform in `[least, 1]` of the image's, the
    /// place uniform within it. Images only.
    Crop {
        /// The smallest side, relative to the image's.
        least: f64,
    },
    /// A square of 0 with its centre anywhere in the image. Images only.
    Cutout {
        /// Its side, pixels.
        side: usize,
    },
    /// The mean of three by three pixels, edges repeated. Images only.
    Blur {
        /// How often.
        chance: f64,
    },
    /// All values times a number uniform in `[low, high)`.
    Intensity {
        /// Lowest factor.
        low: f64,
        /// Highest factor.
        high: f64,
    },
    /// Each value replaced by 0 on its own.
    Mask {
        /// How often.
        rate: f64,
    },
    /// Gaussian noise.
    Noise {
        /// Its standard deviation.
        deviation: f64,
    },
}

/// Random changes of samples of one shape, made one after another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentations {
    shape: Vec<usize>,
    changes: Vec<Augmentation>,
}

/// Why samples cannot be changed so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AugmentationError {
    /// A change of images for other samples.
    #[error("{change:?} changes images [channels, height, width]; the samples have shape {shape:?}")]
    NoImage {
        /// The change.
        change: Augmentation,
        /// The shape of the samples.
        shape: Vec<usize>,
    },
    /// A number out of its range.
    #[error("{change:?}: {accepted}")]
    Range {
        /// The change.
        change: Augmentation,
        /// What would be accepted.
        accepted: &'static str,
    },
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shift { pixels } => write!(f, "shifted by ±{pixels}"),
            Self::Rotate { degrees } => write!(f, "turned by ±{degrees}°"),
            Self::Crop { least } => write!(f, "cropped to {least} or more"),
            Self::Cutout { side } => write!(f, "a square of {side} cut out"),
            Self::Blur { chance } => write!(f, "blurred at {chance}"),
            Self::Intensity { low, high } => write!(f, "times {low} to {high}"),
            Self::Mask { rate } => write!(f, "{rate} masked"),
            Self::Noise { deviation } => write!(f, "noise {deviation}"),
        }
    }
}

impl Augmentation {
    fn is_of_images(self) -> bool {
        !matches!(
            self,
            Self::Intensity { .. } | Self::Mask { .. } | Self::Noise { .. }
        )
    }

    /// What its numbers must be, where they are not.
    fn refused(self) -> Option<&'static str> {
        let (holds, accepted) = match self {
            Self::Shift { .. } | Self::Cutout { .. } => return None,
            Self::Rotate { degrees } => ((0.0..=180.0).contains(&degrees), "degrees are from 0 to 180"),
            Self::Crop { least } => (
                least > 0.0 && least <= 1.0,
                "the smallest side is above 0 and at most 1",
            ),
            Self::Blur { chance } => ((0.0..=1.0).contains(&chance), "a chance is from 0 to 1"),
            Self::Mask { rate } => ((0.0..=1.0).contains(&rate), "a rate is from 0 to 1"),
            Self::Intensity { low, high } => (
                low.is_finite() && high.is_finite() && low <= high,
                "the lowest factor is not above the highest, and both are finite",
            ),
            Self::Noise { deviation } => (
                (0.0..f64::INFINITY).contains(&deviation),
                "a deviation is at least 0 and finite",
            ),
        };
        (!holds).then_some(accepted)
    }
}

impl Augmentations {
    /// Changes of samples of `shape`, in order.
    ///
    /// # Errors
    /// When a change is one of images and the samples are none, or a number of it is out of its range.
    pub fn new(shape: &[usize], changes: Vec<Augmentation>) -> Result<Self, AugmentationError> {
        for &change in &changes {
            if change.is_of_images() && shape.len() != 3 {
                return Err(AugmentationError::NoImage {
                    change,
                    shape: shape.to_vec(),
                });
            }
            if let Some(accepted) = change.refused() {
                return Err(AugmentationError::Range { change, accepted });
            }
        }
        Ok(Self {
            shape: shape.to_vec(),
            changes,
        })
    }

    /// For images of a few pixels a side: shifted by a pixel, brightened by ±40 %, 15 % of the pixels masked, noise of 0.1,
    /// blurred three times of ten.
    ///
    /// # Errors
    /// When `shape` is not that of images.
    pub fn small_images(shape: &[usize]) -> Result<Self, AugmentationError> {
        let changes = vec![
            Augmentation::Shift { pixels: 1 },
            Augmentation::Intensity { low: 0.6, high: 1.4 },
            Augmentation::Mask { rate: 0.15 },
            Augmentation::Noise { deviation: 0.1 },
            Augmentation::Blur { chance: 0.3 },
        ];
        Self::new(shape, changes)
    }

    /// For images: those of [`small_images`](Self::small_images) below 16 pixels a side; larger ones are cropped to half their
    /// side or more, turned by up to 15°, brightened by ±40 %, blurred three times of ten, with noise of 0.1.
    ///
    /// # Errors
    /// When `shape` is not that of images.
    pub fn images(shape: &[usize]) -> Result<Self, AugmentationError> {
        if let [_, height, width] = *shape
            && height.min(width) >= 16
        {
            let changes = vec![
                Augmentation::Crop { least: 0.5 },
                Augmentation::Rotate { degrees: 15.0 },
                Augmentation::Intensity { low: 0.6, high: 1.4 },
                Augmentation::Blur { chance: 0.3 },
                Augmentation::Noise { deviation: 0.1 },
            ];
            return Self::new(shape, changes);
        }
        Self::small_images(shape)
    }

    /// For rows of standardised columns: noise of 0.1, 15 % of the values masked by their mean, 0.
    pub fn table(columns: usize) -> Self {
        Self {
            shape: vec![columns],
            changes: vec![
                Augmentation::Noise { deviation: 0.1 },
                Augmentation::Mask { rate: 0.15 },
            ],
        }
    }

    /// The first `count` of the changes alone.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self {
            shape: self.shape.clone(),
            changes: self.changes.iter().take(count).copied().collect(),
        }
    }

    /// The changes, in order.
    pub fn changes(&self) -> &[Augmentation] {
        &self.changes
    }

    /// Changes `sample` in place.
    ///
    /// # Panics
    /// When it is of another size than the shape says.
    pub fn apply(&self, sample: &mut [f32], random: &mut Stream) {
        let size: usize = self.shape.iter().product();
        assert_eq!(sample.len(), size, "a sample of shape {:?}", self.shape);
        for change in &self.changes {
            match *change {
                Augmentation::Intensity { low, high } => {
                    let factor = (low + (high - low) * random.uniform()) as f32;
                    sample.iter_mut().for_each(|value| *value *= factor);
                }
                Augmentation::Mask { rate } => mask(sample, rate as f32, random),
                Augmentation::Noise { deviation } => {
                    let mut noise = vec![0.0; sample.len()];
                    random.fill_normal(&mut noise);
                    let each = sample.iter_mut().zip(noise);
                    each.for_each(|(value, noise)| *value += deviation as f32 * noise);
                }
                of_images => {
                    let [_, height, width] = self.shape[..] else {
                        unreachable!("checked when it was made");
                    };
                    if let Some(warp) = Warp::draw(of_images, height, width, random) {
                        for channel in sample.chunks_exact_mut(height * width) {
                            warp.apply(channel, height, width);
                        }
                    }
                }
            }
        }
    }
}

fn mask(sample: &mut [f32], rate: f32, random: &mut Stream) {
    let mut chances = vec![0.0; sample.len()];
    random.fill_uniform(0.0, 1.0, &mut chances);
    for (value, chance) in sample.iter_mut().zip(chances) {
        if chance < rate {
            *value = 0.0;
        }
    }
}

/// A change of an image, drawn: the same for all channels.
enum Warp {
    /// Pixel `(row, column)` is that at `(row − down, column − across)`.
    Shift { down: isize, across: isize },
    /// Pixel `p`, from the centre, is that at `centre + matrix · p`.
    Affine { centre: [f64; 2], matrix: [[f64; 2]; 2] },
    /// Rows and columns from the first to before the second are 0.
    Cut { rows: [usize; 2], columns: [usize; 2] },
    /// The mean of three by three.
    Blur,
}

impl Warp {
    fn draw(change: Augmentation, height: usize, width: usize, random: &mut Stream) -> Option<Self> {
        let middle = [0.5 * (height as f64 - 1.0), 0.5 * (width as f64 - 1.0)];
        match change {
            Augmentation::Shift { pixels } => {
                let mut by = || random.below(2 * pixels + 1) as isize - pixels as isize;
                Some(Self::Shift {
                    down: by(),
                    across: by(),
                })
            }
            Augmentation::Rotate { degrees } => {
                let (sin, cos) = (degrees * (2.0 * random.uniform() - 1.0)).to_radians().sin_cos();
                Some(Self::Affine {
                    centre: middle,
                    matrix: [[cos, -sin], [sin, cos]],
                })
            }
            Augmentation::Crop { least } => {
                let side = least + (1.0 - least) * random.uniform();
                let mut place = |middle: f64| middle + (1.0 - side) * middle * (2.0 * random.uniform() - 1.0);
                Some(Self::Affine {
                    centre: middle.map(&mut place),
                    matrix: [[side, 0.0], [0.0, side]],
                })
            }
            Augmentation::Cutout { side } => {
                let mut span = |length: usize| {
                    let centre = random.below(length);
                    let first = centre.saturating_sub(side / 2);
                    [first, (centre + side - side / 2).min(length)]
                };
                Some(Self::Cut {
                    rows: span(height),
                    columns: span(width),
                })
            }
            Augmentation::Blur { chance } => (random.uniform() < chance).then_some(Self::Blur),
            Augmentation::Intensity { .. } | Augmentation::Mask { .. } | Augmentation::Noise { .. } => None,
        }
    }

    fn apply(&self, image: &mut [f32], height: usize, width: usize) {
        let source = image.to_vec();
        let at = |row: isize, column: isize| {
            let within = (0..height as isize).contains(&row) && (0..width as isize).contains(&column);
            if within {
                source[row as usize * width + column as usize]
            } else {
                0.0
            }
        };
        for (index, pixel) in image.iter_mut().enumerate() {
            let (row, column) = (index / width, index % width);
            *pixel = match *self {
                Self::Shift { down, across } => at(row as isize - down, column as isize - across),
                Self::Affine { centre, matrix } => {
                    let from = [
                        row as f64 - 0.5 * (height as f64 - 1.0),
                        column as f64 - 0.5 * (width as f64 - 1.0),
                    ];
                    let place =
                        |axis: usize| centre[axis] + matrix[axis][0] * from[0] + matrix[axis][1] * from[1];
                    bilinear(place(0), place(1), at)
                }
                Self::Cut { rows, columns } => {
                    let inside =
                        (rows[0]..rows[1]).contains(&row) && (columns[0]..columns[1]).contains(&column);
                    if inside { 0.0 } else { *pixel }
                }
                Self::Blur => {
                    let near = |place: usize, length: usize| {
                        [place.saturating_sub(1), place, (place + 1).min(length - 1)]
                    };
                    let mut sum = 0.0;
                    for row in near(row, height) {
                        for column in near(column, width) {
                            sum += source[row * width + column];
                        }
                    }
                    sum / 9.0
                }
            };
        }
    }
}

fn bilinear(row: f64, column: f64, at: impl Fn(isize, isize) -> f32) -> f32 {
    let (top, left) = (row.floor(), column.floor());
    let (down, across) = ((row - top) as f32, (column - left) as f32);
    let (top, left) = (top as isize, left as isize);
    let upper = at(top, left) * (1.0 - across) + at(top, left + 1) * across;
    let lower = at(top + 1, left) * (1.0 - across) + at(top + 1, left + 1) * across;
    upper * (1.0 - down) + lower * down
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [1, 5, 5];

    fn dot(row: usize, column: usize) -> Vec<f32> {
        let mut image = vec![0.0; 25];
        image[row * 5 + column] = 1.0;
        image
    }

    fn changed(change: Augmentation, image: &[f32], seed: u64) -> Vec<f32> {
        let mut image = image.to_vec();
        let changes = Augmentations::new(&SHAPE, vec![change]).unwrap();
        changes.apply(&mut image, &mut Stream::new(seed, "augment", 0));
        image
    }

    #[test]
    fn shifts_reach_every_neighbour_and_lose_what_leaves() {
        let mut places: Vec<usize> = (0..100)
            .map(|seed| changed(Augmentation::Shift { pixels: 1 }, &dot(2, 2), seed))
            .map(|image| image.iter().position(|&pixel| pixel == 1.0).unwrap())
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places, [6, 7, 8, 11, 12, 13, 16, 17, 18]);
        let lost = (0..100).filter(|&seed| {
            changed(Augmentation::Shift { pixels: 1 }, &dot(0, 2), seed)
                .iter()
                .sum::<f32>()
                == 0.0
        });
        assert!((20..50).contains(&lost.count()));
    }

    #[test]
    fn nothing_changes_where_nothing_is_asked() {
        let mut image = vec![0.0; 25];
        Stream::new(0, "image", 0).fill_uniform(0.0, 1.0, &mut image);
        for change in [
            Augmentation::Shift { pixels: 0 },
            Augmentation::Rotate { degrees: 0.0 },
            Augmentation::Crop { least: 1.0 },
            Augmentation::Cutout { side: 0 },
            Augmentation::Blur { chance: 0.0 },
            Augmentation::Intensity { low: 1.0, high: 1.0 },
            Augmentation::Mask { rate: 0.0 },
            Augmentation::Noise { deviation: 0.0 },
        ] {
            assert_eq!(changed(change, &image, 1), image, "{change:?}");
        }
    }

    #[test]
    fn turns_keep_the_centre_and_crops_enlarge() {
        let turned = changed(Augmentation::Rotate { degrees: 90.0 }, &dot(2, 2), 3);
        assert!((turned[12] - 1.0).abs() < 1e-6);
        let flat = changed(Augmentation::Crop { least: 0.5 }, &[1.0; 25], 4);
        assert!(
            flat.iter().all(|pixel| (pixel - 1.0).abs() < 1e-6),
            "a crop stays within the image"
        );
        let slope: Vec<f32> = (0..25).map(|i| (i % 5) as f32).collect();
        let enlarged = changed(Augmentation::Crop { least: 0.5 }, &slope, 5);
        let step = enlarged[1] - enlarged[0];
        assert!((0.5..1.0).contains(&step) && (enlarged[4] - enlarged[0] - 4.0 * step).abs() < 1e-5);
    }

    #[test]
    fn squares_are_cut_out_and_blurs_keep_the_mean() {
        for seed in 0..30 {
            let cut = changed(Augmentation::Cutout { side: 2 }, &[1.0; 25], seed);
            let zeros = cut.iter().filter(|&&pixel| pixel == 0.0).count();
            assert!([1, 2, 4].contains(&zeros), "{zeros}");
        }
        let blurred = changed(Augmentation::Blur { chance: 1.0 }, &dot(2, 2), 0);
        assert!((blurred.iter().sum::<f32>() - 1.0).abs() < 1e-6 && (blurred[6] - 1.0 / 9.0).abs() < 1e-6);
    }

    #[test]
    fn values_are_masked_scaled_and_made_noisy_as_often_and_as_much_as_said() {
        let row = vec![1.0_f32; 10_000];
        let of = |change| {
            let mut row = row.clone();
            let changes = Augmentations::new(&[10_000], vec![change]).unwrap();
            changes.apply(&mut row, &mut Stream::new(0, "row", 0));
            row
        };
        let masked = of(Augmentation::Mask { rate: 0.15 })
            .iter()
            .filter(|&&value| value == 0.0)
            .count();
        assert!((1400..1600).contains(&masked), "{masked}");
        let noisy = of(Augmentation::Noise { deviation: 0.1 });
        let spread = noisy.iter().map(|value| (value - 1.0).powi(2)).sum::<f32>() / 1e4;
        assert!((spread.sqrt() - 0.1).abs() < 0.005);
        let scaled = of(Augmentation::Intensity { low: 0.6, high: 1.4 });
        assert!((0.6..1.4).contains(&scaled[0]) && scaled.iter().all(|value| *value == scaled[0]));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let refused = |shape: &[usize], change| Augmentations::new(shape, vec![change]).err();
        let shift = Augmentation::Shift { pixels: 1 };
        assert!(matches!(
            refused(&[64], shift),
            Some(AugmentationError::NoImage { .. })
        ));
        for change in [
            Augmentation::Crop { least: 0.0 },
            Augmentation::Mask { rate: 1.5 },
            Augmentation::Noise { deviation: f64::NAN },
            Augmentation::Intensity { low: 2.0, high: 1.0 },
            Augmentation::Rotate { degrees: -1.0 },
            Augmentation::Blur { chance: 2.0 },
        ] {
            assert!(
                matches!(refused(&SHAPE, change), Some(AugmentationError::Range { .. })),
                "{change:?}"
            );
        }
        assert!(Augmentations::small_images(&[64]).is_err() && Augmentations::small_images(&SHAPE).is_ok());
        assert_eq!(Augmentations::table(4).changes().len(), 2);
    }

    #[test]
    fn the_first_changes_are_kept_in_order() {
        let all = Augmentations::small_images(&SHAPE).unwrap();
        assert_eq!(all.first(2).changes(), &all.changes()[..2]);
        assert_eq!(all.first(9), all);
    }
}
