//! Fair tuning: everything compared is given the same number of tries, over its own parameters and the learning rate.
//!
//! The first try is the defaults. The others walk Halton's sequence through the declared ranges, which covers a box
//! evenly whatever its dimension and needs no luck.

use thalweg::objective::{Parameter, Settings};
use thalweg::optimizer::LearningRates;

/// A try.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Values of its own parameters.
    pub settings: Settings,
    /// Learning rate.
    pub learning_rate: f64,
}

/// The tries that something with `parameters` is given: at least the defaults. Parameters in `pinned` keep their value there.
pub fn candidates(
    parameters: &[&Parameter],
    tries: usize,
    rates: LearningRates,
    pinned: &Settings,
) -> Vec<Candidate> {
    let setting = |value: &dyn Fn(&Parameter, usize) -> f64| -> Settings {
        let each = parameters.iter().zip(&PRIMES[1..]);
        each.map(|(parameter, &base)| {
            let pinned = pinned.get(parameter.name).copied();
            let value = pinned.unwrap_or_else(|| value(parameter, base));
            (parameter.name.to_owned(), value)
        })
        .collect()
    };
    let defaults = Candidate {
        settings: setting(&|parameter, _| parameter.default),
        learning_rate: rates.default,
    };
    let walked = (1..tries).map(|index| {
        let (low, high) = rates.range;
        Candidate {
            settings: setting(&|parameter, base| parameter.at(halton(index, base))),
            learning_rate: low * (high / low).powf(halton(index, PRIMES[0])),
        }
    });
    std::iter::once(defaults).chain(walked).collect()
}

const PRIMES: [usize; 10] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29];

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

    const RATES: LearningRates = LearningRates {
        default: 2e-3,
        range: (5e-4, 1e-2),
    };

    fn of(objective: &str) -> Vec<&'static Parameter> {
        catalogue::objective(objective)
            .unwrap()
            .parameters
            .iter()
            .collect()
    }

    #[test]
    fn every_objective_has_room_and_gets_the_same_number_of_tries_within_its_ranges() {
        for entry in catalogue::objectives() {
            assert!(entry.parameters.len() < PRIMES.len(), "{}", entry.name);
            let tries = candidates(&of(entry.name), 9, RATES, &Settings::new());
            assert_eq!(tries.len(), 9);
            assert_eq!(tries[0].settings, entry.defaults());
            for candidate in &tries {
                entry.check(&candidate.settings).unwrap();
                assert!((RATES.range.0..=RATES.range.1).contains(&candidate.learning_rate));
            }
        }
    }

    #[test]
    fn a_pinned_parameter_is_not_tuned() {
        let pinned: Settings = [("epsilon".to_owned(), 0.123), ("unknown".to_owned(), 1.0)].into();
        let tries = candidates(&of("trades"), 5, RATES, &pinned);
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
