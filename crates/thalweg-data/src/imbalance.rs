//! Rare classes, made so on purpose.

use std::str::FromStr;

use thalweg_kernels::random::Stream;

use crate::dataset::indices_by_class;

/// How the sizes of the classes fall, in the order of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imbalance {
    /// Each class is smaller than the one before by the same factor: a long tail.
    Exponential,
    /// The first half of the classes (the larger half of an odd number) are large and of one size, the others small.
    Step,
}

impl FromStr for Imbalance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exponential" => Ok(Self::Exponential),
            "step" => Ok(Self::Step),
            _ => Err(format!("`{text}` is neither `exponential` nor `step`")),
        }
    }
}

impl Imbalance {
    /// The size of class `class` of `classes` relative to the largest.
    fn share(self, class: usize, classes: usize, ratio: f64) -> f64 {
        match self {
            Self::Exponential => ratio.powf(-(class as f64) / (classes.max(2) - 1) as f64),
            Self::Step if class < classes.div_ceil(2) => 1.0,
            Self::Step => 1.0 / ratio,
        }
    }
}

/// The indices of the samples to keep, ascending, so that the largest class is `ratio` times as large as the smallest.
///
/// As many samples are kept as the sizes there are allow, and at least one of every class there is. The same seed
/// removes the same samples first: those kept at a ratio of 100 are kept at 10 too, as far as the classes were of
/// equal size before.
///
/// # Panics
/// When `ratio` is below 1 or not finite.
pub fn keep(labels: &[u32], classes: usize, ratio: f64, kind: Imbalance, seed: u64) -> Vec<usize> {
    assert!(
        ratio >= 1.0 && ratio.is_finite(),
        "a ratio of imbalance is 1 or more, not {ratio}"
    );
    let by_class = indices_by_class(labels, classes);
    let largest = by_class
        .iter()
        .enumerate()
        .filter(|(_, indices)| !indices.is_empty())
        .map(|(class, indices)| indices.len() as f64 / kind.share(class, classes, ratio))
        .fold(f64::INFINITY, f64::min);
    let mut kept = Vec::new();
    for (class, mut indices) in by_class.into_iter().enumerate() {
        Stream::new(seed, "class imbalance", class as u64).shuffle(&mut indices);
        let size = (largest * kind.share(class, classes, ratio)).round().max(1.0);
        indices.truncate(size as usize);
        kept.extend(indices);
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::count_labels;

    fn sizes(counts: &[usize], ratio: f64, kind: Imbalance) -> Vec<usize> {
        let labels: Vec<u32> = counts
            .iter()
            .enumerate()
            .flat_map(|(class, &count)| vec![class as u32; count])
            .collect();
        let kept = keep(&labels, counts.len(), ratio, kind, 1);
        assert!(kept.is_sorted());
        count_labels(
            &kept.iter().map(|&index| labels[index]).collect::<Vec<_>>(),
            counts.len(),
        )
    }

    #[test]
    fn sizes_fall_as_asked() {
        assert_eq!(sizes(&[1000; 3], 100.0, Imbalance::Exponential), [1000, 100, 10]);
        assert_eq!(
            sizes(&[1000; 5], 50.0, Imbalance::Step),
            [1000, 1000, 1000, 20, 20]
        );
        assert_eq!(sizes(&[70, 70], 1.0, Imbalance::Exponential), [70, 70]);
        assert_eq!(sizes(&[5, 5], 100.0, Imbalance::Step), [5, 1]);
    }

    #[test]
    fn classes_of_other_sizes_still_meet_the_ratio() {
        assert_eq!(
            sizes(&[900, 2000, 2000], 100.0, Imbalance::Exponential),
            [900, 90, 9]
        );
        assert_eq!(
            sizes(&[2000, 50, 2000], 100.0, Imbalance::Exponential),
            [500, 50, 5]
        );
    }

    #[test]
    fn stronger_imbalance_keeps_a_part_of_what_weaker_keeps() {
        let labels: Vec<u32> = (0..900).map(|index| index % 3).collect();
        let weak = keep(&labels, 3, 10.0, Imbalance::Exponential, 9);
        let strong = keep(&labels, 3, 100.0, Imbalance::Exponential, 9);
        assert!(strong.iter().all(|index| weak.binary_search(index).is_ok()));
        assert_ne!(weak, keep(&labels, 3, 10.0, Imbalance::Exponential, 10));
    }
}
