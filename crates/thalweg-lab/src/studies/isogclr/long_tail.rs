//! Digits of which five classes are rare.

use thalweg_kernels::random::Stream;

use crate::self_supervised::Samples;

const CLASSES: u32 = 10;
const RARE: usize = 5;
/// One of so many samples of a rare class is kept, and these at least.
const ONE_OF: usize = 10;
const AT_LEAST: usize = 6;

/// Training samples, and which of them are of a rare class.
pub(super) struct LongTail {
    pub samples: Samples,
    pub rare: Vec<bool>,
}

impl LongTail {
    /// Of balanced samples, rare classes and their samples by chance.
    pub fn of(balanced: &Samples, seed: u64) -> Self {
        let mut classes: Vec<u32> = (0..CLASSES).collect();
        Stream::new(seed, "rare classes", 0).shuffle(&mut classes);
        let is_rare = |label: u32| classes[..RARE].contains(&label);
        let mut left: Vec<usize> = (0..CLASSES)
            .map(|class| {
                let count = balanced.labels.iter().filter(|&&label| label == class).count();
                if is_rare(class) {
                    (count / ONE_OF).max(AT_LEAST)
                } else {
                    count
                }
            })
            .collect();
        // The order of the samples is by chance already.
        let mut samples = Samples {
            width: balanced.width,
            values: Vec::new(),
            labels: Vec::new(),
        };
        for (row, &label) in balanced.labels.iter().enumerate() {
            let left = &mut left[label as usize];
            if *left > 0 {
                *left -= 1;
                samples.values.extend_from_slice(balanced.row(row));
                samples.labels.push(label);
            }
        }
        let rare = samples.labels.iter().map(|&label| is_rare(label)).collect();
        Self { samples, rare }
    }

    /// Mean of a number of each sample over the frequent classes' samples, and over the rare ones'.
    pub fn means(&self, numbers: &[f64]) -> [f64; 2] {
        [false, true].map(|rare| {
            let of = self.rare.iter().zip(numbers).filter(|(is, _)| **is == rare);
            let (sum, count) = of.fold((0.0, 0.0), |(sum, count), (_, number)| {
                (sum + number, count + 1.0)
            });
            sum / count
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_classes_keep_a_tenth() {
        let digits = thalweg_data::digits();
        let balanced = Samples::of(&digits, &(0..1200).collect::<Vec<_>>());
        let tail = LongTail::of(&balanced, 3);
        let count = |samples: &Samples, class| samples.labels.iter().filter(|&&label| label == class).count();
        let kept: Vec<bool> = (0..CLASSES)
            .map(|class| {
                let (all, left) = (count(&balanced, class), count(&tail.samples, class));
                assert!(
                    left == all || left == (all / 10).max(6),
                    "{class}: {left} of {all}"
                );
                left == all
            })
            .collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 5);
        let is_rare: Vec<f64> = tail.rare.iter().map(|&rare| f64::from(u8::from(rare))).collect();
        assert_eq!(tail.means(&is_rare), [0.0, 1.0]);
    }
}
