//! Data sets that come with the library.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::dataset::Dataset;

/// A data set that comes with the library.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The name under which [`open`](crate::open) finds it.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Licence and source.
    pub licence: &'static str,
    /// Loads it.
    pub load: fn() -> Dataset,
}

const SETS: [Embedded; 1] = [Embedded {
    name: "digits",
    summary: "1797 handwritten digits, images of 8 x 8 pixels, 10 classes",
    licence: "CC BY 4.0; E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (test part), \
              UCI Machine Learning Repository, doi:10.24432/C50P49",
    load: digits,
}];

const SIDE: usize = 8;

/// All embedded data sets.
pub fn list() -> &'static [Embedded] {
    &SETS
}

/// The embedded data set called `name`.
pub fn find(name: &str) -> Option<&'static Embedded> {
    SETS.iter().find(|set| set.name == name)
}

/// The test part of the UCI optical digits: 1797 images of 8 x 8 pixels, brightness scaled from 0..=16 to `[0, 1]`.
pub fn digits() -> Dataset {
    const SAMPLE: usize = SIDE * SIDE + 1;
    let mut bytes = Vec::new();
    GzDecoder::new(&include_bytes!("../data/digits.gz")[..])
        .read_to_end(&mut bytes)
        .expect("the embedded file is intact");
    let samples = bytes.as_chunks::<SAMPLE>().0;
    Dataset {
        name: "digits".into(),
        features: samples
            .iter()
            .flat_map(|sample| &sample[..SAMPLE - 1])
            .map(|&pixel| f32::from(pixel) / 16.0)
            .collect(),
        labels: samples
            .iter()
            .map(|sample| u32::from(sample[SAMPLE - 1]))
            .collect(),
        classes: (0..10).map(|digit: u32| digit.to_string()).collect(),
        feature_names: (0..SIDE * SIDE)
            .map(|pixel| format!("pixel {},{}", pixel / SIDE + 1, pixel % SIDE + 1))
            .collect(),
        feature_shape: vec![1, SIDE, SIDE],
        published_test: None,
        licence: Some(SETS[0].licence.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_published() {
        let digits = digits();
        assert_eq!(digits.len(), 1797);
        assert_eq!(digits.features.len(), digits.len() * digits.width());
        assert_eq!(
            digits.class_counts(),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
        // The mean pixel of the published file is 4.8841647 of 16.
        let mean = digits.features.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / (1797.0 * 64.0);
        assert!(
            (mean * 16.0 - 4.884_164_579_855_3).abs() < 1e-9,
            "{}",
            mean * 16.0
        );
        let first: Vec<f32> = digits.row(0)[..8].iter().map(|pixel| pixel * 16.0).collect();
        assert_eq!(
            (first, digits.labels[0]),
            (vec![0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0], 0)
        );
        assert_eq!(digits.fingerprint().len(), 32);
    }
}
