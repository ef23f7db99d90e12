//! Wrong labels, put in on purpose.

use std::str::FromStr;

use thalweg_kernels::random::Stream;

/// How wrong labels come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelNoise {
    /// Every label is replaced with the same probability, by any *other* class with equal probability. Also called
    /// symmetric noise; of `C` classes a rate below `(C − 1)/C` leaves the true class the most likely.
    Uniform,
    /// Each class has its own probability of being replaced, and its own preferences for what replaces it. The
    /// probabilities are spread evenly over `rate ± rate/2` (less where that would exceed 1) and dealt to the classes
    /// at random, so that their mean is `rate`; the preferences of a class are uniform on the simplex.
    ClassDependent,
    /// A label is replaced by the next class (the last one by the first). Also called pair flip or asymmetric noise;
    /// a rate below one half leaves the true class the most likely.
    Pair,
}

impl FromStr for LabelNoise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uniform" => Ok(Self::Uniform),
            "class-dependent" => Ok(Self::ClassDependent),
            "pair" => Ok(Self::Pair),
            _ => Err(format!(
                "`{text}` is none of `uniform`, `class-dependent`, `pair`"
            )),
        }
    }
}

/// Replaces labels at the given rate.
///
/// The same seed replaces the same labels first: those that are wrong at a rate of 0.2 are wrong at 0.4 too, so that
/// results at several rates are comparable sample by sample.
///
/// # Panics
/// When `rate` is not within 0 and 1, or there are fewer than two classes.
pub fn apply(labels: &[u32], classes: usize, rate: f64, kind: LabelNoise, seed: u64) -> Vec<u32> {
    assert!(
        (0.0..=1.0).contains(&rate),
        "a rate of label noise is within 0 and 1, not {rate}"
    );
    assert!(classes >= 2, "label noise needs two classes, not {classes}");
    let replacement = Replacement::new(classes, rate, kind, seed);
    let mut stream = Stream::new(seed, "label noise", 0);
    labels
        .iter()
        .map(|&label| {
            // Both are drawn whether needed or not, so that one label's fate does not move the others'.
            let (chance, choice) = (stream.uniform(), stream.uniform());
            if chance < replacement.rate(label) {
                replacement.choose(label, choice)
            } else {
                label
            }
        })
        .collect()
}

enum Replacement {
    Uniform {
        classes: usize,
        rate: f64,
    },
    Pair {
        classes: usize,
        rate: f64,
    },
    /// Rates by class, and by class the cumulated preferences for the classes that follow it cyclically.
    ClassDependent {
        rates: Vec<f64>,
        preferences: Vec<Vec<f64>>,
    },
}

impl Replacement {
    fn new(classes: usize, rate: f64, kind: LabelNoise, seed: u64) -> Self {
        match kind {
            LabelNoise::Uniform => Self::Uniform { classes, rate },
            LabelNoise::Pair => Self::Pair { classes, rate },
            LabelNoise::ClassDependent => {
                let mut stream = Stream::new(seed, "label noise of classes", 0);
                let spread = (rate / 2.0).min(1.0 - rate);
                let mut rates: Vec<f64> = (0..classes)
                    .map(|class| rate + spread * (2.0 * class as f64 / (classes - 1) as f64 - 1.0))
                    .collect();
                stream.shuffle(&mut rates);
                Self::ClassDependent {
                    rates,
                    preferences: (0..classes).map(|_| simplex(classes - 1, &mut stream)).collect(),
                }
            }
        }
    }

    fn rate(&self, label: u32) -> f64 {
        match self {
            Self::Uniform { rate, .. } | Self::Pair { rate, .. } => *rate,
            Self::ClassDependent { rates, .. } => rates[label as usize],
        }
    }

    /// Another class than `label`, by a number in `[0, 1)`.
    fn choose(&self, label: u32, choice: f64) -> u32 {
        let (classes, step) = match self {
            Self::Uniform { classes, .. } => (*classes, 1 + (choice * (classes - 1) as f64) as usize),
            Self::Pair { classes, .. } => (*classes, 1),
            Self::ClassDependent { preferences, .. } => {
                let cumulated = &preferences[label as usize];
                let step = 1 + cumulated.partition_point(|&bound| bound <= choice);
                (preferences.len(), step.min(cumulated.len()))
            }
        };
        ((label as usize + step) % classes) as u32
    }
}

/// A point uniform on the simplex, cumulated.
fn simplex(size: usize, stream: &mut Stream) -> Vec<f64> {
    let weights: Vec<f64> = (0..size).map(|_| -(1.0 - stream.uniform()).ln()).collect();
    let total: f64 = weights.iter().sum();
    let cumulate = |sum: &mut f64, weight: &f64| {
        *sum += weight / total;
        Some(*sum)
    };
    weights.iter().scan(0.0, cumulate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [LabelNoise; 3] = [LabelNoise::Uniform, LabelNoise::ClassDependent, LabelNoise::Pair];

    fn labels(count: usize, classes: usize) -> Vec<u32> {
        (0..count).map(|index| (index % classes) as u32).collect()
    }

    fn wrong(labels: &[u32], noisy: &[u32]) -> f64 {
        labels.iter().zip(noisy).filter(|(a, b)| a != b).count() as f64 / labels.len() as f64
    }

    #[test]
    fn the_rate_is_met() {
        let labels = labels(50_000, 5);
        for kind in KINDS {
            for rate in [0.0, 0.1, 0.4, 0.9, 1.0] {
                let found = wrong(&labels, &apply(&labels, 5, rate, kind, 3));
                // Five standard errors.
                let tolerance = 5.0 * (rate * (1.0 - rate) / 50_000.0).sqrt();
                assert!((found - rate).abs() <= tolerance, "{kind:?} {rate}: {found}");
            }
        }
    }

    #[test]
    fn uniform_noise_spreads_evenly_over_the_other_classes() {
        let labels = vec![2; 40_000];
        let noisy = apply(&labels, 5, 0.8, LabelNoise::Uniform, 11);
        for class in [0, 1, 3, 4] {
            let share = noisy.iter().filter(|&&label| label == class).count() as f64 / 40_000.0;
            assert!((share - 0.2).abs() < 0.01, "class {class}: {share}");
        }
    }

    #[test]
    fn pair_noise_moves_to_the_next_class() {
        let labels = labels(600, 3);
        let noisy = apply(&labels, 3, 1.0, LabelNoise::Pair, 0);
        assert!(
            labels
                .iter()
                .zip(&noisy)
                .all(|(&label, &noisy)| noisy == (label + 1) % 3)
        );
    }

    #[test]
    fn class_dependent_rates_differ_between_classes() {
        let labels = labels(60_000, 3);
        let noisy = apply(&labels, 3, 0.4, LabelNoise::ClassDependent, 5);
        let mut rates: Vec<f64> = (0..3)
            .map(|class| {
                let of_class = labels.iter().zip(&noisy).filter(|(label, _)| **label == class);
                of_class.filter(|(a, b)| a != b).count() as f64 / 20_000.0
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        for (found, expected) in rates.iter().zip([0.2, 0.4, 0.6]) {
            assert!((found - expected).abs() < 0.02, "{rates:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_nested_in_the_rate_and_determined_by_the_seed(
            classes in 2usize..8, low in 0.0..1.0, high in 0.0..1.0, seed: u64, kind in 0usize..3,
        ) {
            let (low, high) = if low < high { (low, high) } else { (high, low) };
            let labels = labels(200, classes);
            let kind = KINDS[kind];
            let little = apply(&labels, classes, low, kind, seed);
            let much = apply(&labels, classes, high, kind, seed);
            prop_assert_eq!(&little, &apply(&labels, classes, low, kind, seed));
            prop_assert!(much.iter().all(|&label| (label as usize) < classes));
            // Class-dependent rates of single classes need not grow with the mean where they are capped at 1.
            if kind != LabelNoise::ClassDependent || high <= 2.0 / 3.0 {
                for index in 0..labels.len() {
                    prop_assert!(little[index] == labels[index] || much[index] == little[index]);
                }
            }
        }
    }
}
