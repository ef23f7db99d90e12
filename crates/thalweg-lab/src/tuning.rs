//! Fair tuning: every objective is given the same number of tries, over its own parameters and the learning rate.
//!
//! The first try is the defaults. The others walk Halton's sequence through the declared ranges, which covers a box
//! evenly whatever its dimension and needs no luck.

use thalweg::objective::{ObjectiveEntry, Settings};

/// The learning rates of an optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRates {
    /// The one to start from.
    pub default: f64,
    /// The range that is tried.
    pub range: (f64, f64),
}

impl LearningRates {
    /// Those of Adam.
    pub const ADAM: Self = Self {
        default: 2e-3,
        range: (5e-4, 1e-2),
    };
    /// Those of gradient descent with momentum 0.9.
    pub const SGD: Self = Self {
        default: 3e-2,
        range: (5e-3, 2e-1),
    };
}

/// A try.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The objective's parameters.
    pub settings: Settings,
    /// Learning rate.
    pub learning_rate: f64,
}

/// The tries an objective is given: at least the defaults. Parameters in `pinned` keep their value there.
pub fn candidates(
    entry: &ObjectiveEntry,
    tries: usize,
    rates: LearningRates,
    pinned: &Settings,
) -> Vec<Candidate> {
    let with_pins = |mut settings: Settings| {
        for (name, value) in pinned {
            if let Some(own) = settings.get_mut(name) {
                *own = *value;
            }
        }
        settings
    };
    let defaults = Candidate {
        settings: with_pins(entry.defaults()),
        learning_rate: rates.default,
    };
    let walked = (1..tries).map(|index| {
        let (low, high) = rates.range;
        let learning_rate = low * (high / low).powf(halton(index, PRIMES[0]));
        let parameters = entry.parameters.iter().zip(&PRIMES[1..]);
        let settings = parameters
            .map(|(parameter, &base)| (parameter.name.to_owned(), parameter.at(halton(index, base))));
        Candidate {
            settings: with_pins(settings.collect()),
            learning_rate,
        }
    });
    std::iter::once(defaults).chain(walked).collect()
}

const PRIMES: [usize; 8] = [2, 3, 5, 7, 11, 13, 17, 19];

/// Element `index` of Halton's sequence: the digits of `index` in `base`, mirrored at the point.
fn halton(mut index: usize, base: usize) -> f64 {
    let (mut value, mut share) = (0.0, 1.0);
    while index > 0 {
        share /= base as f64;
        value += share * (index % base) as f64;
        index /= base;
    }
    value
}

#[cfg(test)]
mod tests {
    use thalweg::catalogue;

    use super::*;

    #[test]
    fn every_objective_has_room_and_gets_the_same_number_of_tries_within_its_ranges() {
        for entry in catalogue::objectives() {
            assert!(entry.parameters.len() < PRIMES.len(), "{}", entry.name);
            let tries = candidates(entry, 9, LearningRates::ADAM, &Settings::new());
            assert_eq!(tries.len(), 9);
            assert_eq!(tries[0].settings, entry.defaults());
            for candidate in &tries {
                entry.check(&candidate.settings).unwrap();
                assert!(
                    (LearningRates::ADAM.range.0..=LearningRates::ADAM.range.1)
                        .contains(&candidate.learning_rate)
                );
            }
        }
    }

    #[test]
    fn a_pinned_parameter_is_not_tuned() {
        let pinned: Settings = [("epsilon".to_owned(), 0.123), ("unknown".to_owned(), 1.0)].into();
        let tries = candidates(
            catalogue::objective("trades").unwrap(),
            5,
            LearningRates::ADAM,
            &pinned,
        );
        assert!(
            tries
                .iter()
                .all(|candidate| candidate.settings["epsilon"] == 0.123)
        );
        assert!(tries.iter().all(|candidate| candidate.settings.len() == 2));
    }

    #[test]
    fn halton_mirrors_digits() {
        assert_eq!([1, 2, 3, 4].map(|i| halton(i, 2)), [0.5, 0.25, 0.75, 0.125]);
        assert!((halton(5, 3) - (2.0 / 3.0 + 1.0 / 9.0)).abs() < 1e-15);
    }
}
