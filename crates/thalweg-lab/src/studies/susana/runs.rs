//! Every choice of terms at one and at five shots.

use thalweg::few_shot::{EpisodeTerm, FewShotLossConfig};
use thalweg::objective::EpisodeShape;

use super::digits::rotated_digits;
use crate::LabError;
use crate::few_shot::{self, FewShot, FewShotOutcome};
use crate::pool::Pool;
use crate::study::{Advance, Scale};

use EpisodeTerm::{Cross, FullIcnn, ProtoTriplet};

/// A choice of terms, and what it is called.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Terms {
    pub label: &'static str,
    terms: &'static [EpisodeTerm],
}

pub(super) const CROSS: Terms = Terms {
    label: "cross",
    terms: &[Cross],
};
pub(super) const CROSS_TRIPLET: Terms = Terms {
    label: "cross + prototriplet",
    terms: &[Cross, ProtoTriplet],
};
/// The choice that was made in advance.
pub(super) const CROSS_ICNN: Terms = Terms {
    label: "cross + fullicnn",
    terms: &[Cross, FullIcnn],
};
pub(super) const ALL_THREE: Terms = Terms {
    label: "all three",
    terms: &[Cross, ProtoTriplet, FullIcnn],
};

pub(super) const CHOICES: [Terms; 7] = [
    CROSS,
    Terms {
        label: "prototriplet",
        terms: &[ProtoTriplet],
    },
    Terms {
        label: "fullicnn",
        terms: &[FullIcnn],
    },
    CROSS_TRIPLET,
    CROSS_ICNN,
    Terms {
        label: "prototriplet + fullicnn",
        terms: &[ProtoTriplet, FullIcnn],
    },
    ALL_THREE,
];

pub(super) const SHOTS: [usize; 2] = [1, 5];

/// All runs, by seed, shots and choice.
pub(super) struct Runs(Vec<FewShotOutcome>);

impl Runs {
    /// A metric of each seed's run.
    pub fn of(&self, shots: usize, terms: Terms, metric: &str) -> Vec<f64> {
        let shots = SHOTS.iter().position(|&other| other == shots);
        let terms = CHOICES.iter().position(|&other| other == terms);
        let at = shots.expect("it is one of them") * CHOICES.len() + terms.expect("it is one of them");
        let seeds = self.0.chunks_exact(SHOTS.len() * CHOICES.len());
        seeds.map(|of_seed| of_seed[at].metrics[metric]).collect()
    }
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * SHOTS.len() * CHOICES.len()
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let digits = rotated_digits();
    let of_run = |index: usize| {
        let (rest, terms) = (index / CHOICES.len(), CHOICES[index % CHOICES.len()]);
        let (seed, shots) = (rest / SHOTS.len(), SHOTS[rest % SHOTS.len()]);
        let shape = |ways, queries| EpisodeShape { ways, shots, queries };
        let trial = FewShot {
            validation_classes: 0,
            novel_classes: 16,
            training: shape(8, 5),
            test: shape(5, 10),
            episodes: scale.pick(250, 4),
            test_episodes: scale.pick(200, 4),
            noise: 0.25,
            ..FewShot::new(digits.classes.len(), seed as u64)
        };
        let mut objective = FewShotLossConfig::new(terms.terms.to_vec()).init()?;
        let outcome = few_shot::run(&digits, &trial, &mut objective, pool.interrupted)?;
        advance(1);
        Ok(outcome)
    };
    Ok(Runs(pool.try_map(steps(scale), of_run)?))
}
