//! The two rounds of every comparison: tuning, in which each contender gets the same number of tries on validation splits,
//! and judging, in which each, as tuned, is trained once per seed.

use thalweg::objective::Settings;
use thalweg::optimizer::LearningRates;

use crate::LabError;
use crate::metrics::Metric;
use crate::pool::Pool;
use crate::trial::{JudgedOn, Outcome, Source, Trial};
use crate::tuning::{Candidate, candidates};

use super::Contender;

/// First seed of the tuning trials, which no final trial uses.
const TUNING_SEED: u64 = 1_000_000;
/// Validation samples that a tuning try is judged on, over as many splits as that takes (but at most
/// [`MOST_TUNING_SPLITS`]): on few samples the best of many tries is the luckiest.
const TUNED_ON: usize = 2_000;
/// Splits a tuning try is judged on at most.
const MOST_TUNING_SPLITS: usize = 3;

/// A contender with the parameters it was given.
pub(crate) struct Tuned {
    /// Share of training labels replaced.
    pub noise: f64,
    pub contender: Contender,
    pub candidate: Candidate,
}

impl Tuned {
    /// What a contender is tried with: one set of parameters, its defaults, where there is no choice.
    pub fn tries(
        contender: Contender,
        noise: f64,
        tries: usize,
        rates: LearningRates,
        pinned: &Settings,
    ) -> Vec<Self> {
        let rates = contender.learning_rates(rates);
        let candidates = candidates(&contender.parameters(), tries.max(1), rates, pinned).into_iter();
        candidates
            .map(|candidate| Self {
                noise,
                contender,
                candidate,
            })
            .collect()
    }
}

/// How many trials there are of an objective.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    /// What tuning goes by.
    pub metric: &'static Metric,
    /// Sets of parameters that each objective may try.
    pub tries: usize,
    /// Validation splits that a try is judged on.
    pub splits: usize,
    /// Paired repetitions of the final trials.
    pub seeds: usize,
}

impl Rounds {
    /// With as many validation splits of `samples` as tell tries apart.
    pub fn over_splits_of(self, samples: usize) -> Self {
        Self {
            splits: TUNED_ON.div_ceil(samples.max(1)).min(MOST_TUNING_SPLITS),
            ..self
        }
    }

    /// Tuning trials that each objective gets; one set of parameters alone is no choice.
    pub fn tuning_trials(&self) -> usize {
        if self.tries > 1 {
            self.tries * self.splits
        } else {
            0
        }
    }

    /// Trials of an objective.
    pub fn trials(&self) -> usize {
        self.tuning_trials() + self.seeds
    }

    /// Runs both. Of each list of tries the best, and the outcomes of its trials seed by seed.
    ///
    /// # Errors
    /// When a trial fails or the run is interrupted.
    pub fn run<'a, T: Trial>(
        &self,
        pool: &Pool,
        source: impl Into<Source<'a>>,
        tries: Vec<Vec<Tuned>>,
        trial: &dyn Fn(&Tuned, u64, JudgedOn) -> T,
    ) -> Result<(Vec<Tuned>, Vec<Outcome>), LabError> {
        let source = source.into();
        let tuned = self.tune(pool, source, tries, trial)?;
        let trials: Vec<T> = tuned
            .iter()
            .flat_map(|tuned| (0..self.seeds as u64).map(|seed| trial(tuned, seed, JudgedOn::Test)))
            .collect();
        let outcomes = pool.run(source, &trials)?;
        Ok((tuned, outcomes))
    }

    fn tune<T: Trial>(
        &self,
        pool: &Pool,
        source: Source,
        tries: Vec<Vec<Tuned>>,
        trial: &dyn Fn(&Tuned, u64, JudgedOn) -> T,
    ) -> Result<Vec<Tuned>, LabError> {
        if self.tuning_trials() == 0 {
            let first = tries.into_iter().filter_map(|tries| tries.into_iter().next());
            return Ok(first.collect());
        }
        let seeds = TUNING_SEED..TUNING_SEED + self.splits as u64;
        let trials: Vec<T> = tries
            .iter()
            .flatten()
            .flat_map(|tuned| seeds.clone().map(|seed| trial(tuned, seed, JudgedOn::Validation)))
            .collect();
        let outcomes = pool.run(source, &trials)?;
        let gains: Vec<f64> = outcomes
            .chunks(self.splits)
            .map(|splits| self.mean_gain(splits))
            .collect();
        let best = tries
            .into_iter()
            .zip(gains.chunks(self.tries))
            .map(|(tries, gains)| {
                // The first of the best: the defaults, where nothing beats them.
                let chosen =
                    (1..gains.len()).fold(0, |best, i| if gains[i] > gains[best] { i } else { best });
                tries.into_iter().nth(chosen).expect("as many gains as tries")
            });
        Ok(best.collect())
    }

    /// The tuning metric over the splits of a try, turned so that more is better.
    fn mean_gain(&self, splits: &[Outcome]) -> f64 {
        let metric = self.metric;
        let value = |outcome: &Outcome| outcome.metrics.get(metric.name).copied().unwrap_or(f64::NAN);
        let gain = splits
            .iter()
            .map(|outcome| metric.direction.gain(value(outcome)))
            .sum::<f64>();
        if gain.is_nan() {
            f64::NEG_INFINITY
        } else {
            gain / splits.len() as f64
        }
    }
}
