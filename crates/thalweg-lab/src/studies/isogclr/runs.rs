//! Long-tailed digits under single temperatures and under one for each sample.

use thalweg::contrastive::NtXentLossConfig;
use thalweg::contrastive::isogclr::{SogClrConfig, TemperatureRule};
use thalweg::objective::ViewObjective;

use super::long_tail::LongTail;
use crate::LabError;
use crate::pool::Pool;
use crate::self_supervised::{Scored, SelfSupervised, ViewedSamples, judge, train, unit};
use crate::studies::digit_views::DigitViews;
use crate::study::{Advance, Scale};

/// How a run is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    NtXent { temperature: f64 },
    SogClr { temperature: f64 },
    ISogClr { rho: f64 },
}

impl Method {
    pub const SINGLE: [Self; 5] = [
        Self::NtXent { temperature: 0.1 },
        Self::NtXent { temperature: 0.2 },
        Self::NtXent { temperature: 0.3 },
        Self::NtXent { temperature: 0.5 },
        Self::NtXent { temperature: 1.0 },
    ];
    const SOGCLR: [Self; 2] = [
        Self::SogClr { temperature: 0.1 },
        Self::SogClr { temperature: 0.3 },
    ];
    pub const INDIVIDUAL: [Self; 4] = [
        Self::ISogClr { rho: 0.1 },
        Self::ISogClr { rho: 0.2 },
        Self::JUDGED,
        Self::ISogClr { rho: 0.8 },
    ];
    /// The ρ that is judged.
    pub const JUDGED: Self = Self::ISogClr { rho: RHO };

    pub fn all() -> Vec<Self> {
        [&Self::SINGLE[..], &Self::SOGCLR, &Self::INDIVIDUAL].concat()
    }

    pub fn label(self) -> String {
        match self {
            Self::NtXent { temperature } => format!("NT-Xent τ = {temperature}"),
            Self::SogClr { temperature } => format!("SogCLR τ = {temperature}"),
            Self::ISogClr { rho } => format!("iSogCLR ρ = {rho}"),
        }
    }
}

pub(super) const RHO: f64 = 0.4;
const GAMMA: f64 = 0.8;
const FIRST_TEMPERATURE: f64 = 0.3;

pub(super) fn rule(rho: f64) -> TemperatureRule {
    TemperatureRule {
        rho,
        beta: 0.5,
        eta: 0.02,
        tau_min: 0.05,
        tau_max: 1.0,
        grad_clip: 3.0,
    }
}

/// What a run ends with.
#[derive(Clone)]
pub(super) struct Run {
    pub scored: Scored,
    /// Mean temperature of samples of frequent classes and of rare ones, where each has its own.
    pub temperatures: Option<[f64; 2]>,
}

/// All runs, by seed, then as [`Method::all`].
pub(super) struct Runs(Vec<Vec<Run>>);

impl Runs {
    /// A number of each seed's run of a method.
    pub fn of(&self, method: Method, number: impl Fn(&Run) -> f64) -> Vec<f64> {
        let index = Method::all().iter().position(|other| *other == method);
        let index = index.expect("it is one of all");
        self.0.iter().map(|runs| number(&runs[index])).collect()
    }
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * Method::all().len()
}

/// The runs, and unit rows `[samples, embedding]` of the clean training samples of the first seed's judged one.
pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Runs, Vec<f64>), LabError> {
    let digits = DigitViews::new(scale.seeds(), scale.pick(60, 1))?;
    let of_seed = |seed: usize| {
        let trial = SelfSupervised {
            batch_size: 64,
            ..digits.trials[seed].clone()
        };
        let (balanced, test) = &digits.splits[seed];
        let tail = LongTail::of(balanced, seed as u64);
        let viewed = ViewedSamples::new(&trial, &tail.samples)?;
        let (mut runs, mut embeddings) = (Vec::new(), Vec::new());
        for method in Method::all() {
            let samples = SogClrConfig::new(tail.samples.len()).with_gamma(GAMMA);
            let mut global = match method {
                Method::NtXent { .. } => None,
                Method::SogClr { temperature } => Some(samples.with_temperature(temperature).init()?),
                Method::ISogClr { rho } => {
                    let samples = samples.with_temperature(FIRST_TEMPERATURE);
                    Some(samples.with_rule(Some(rule(rho))).init()?)
                }
            };
            let mut single = match method {
                Method::NtXent { temperature } => {
                    Some(NtXentLossConfig::new().with_temperature(temperature).init()?)
                }
                _ => None,
            };
            let global_objective = global.as_mut().map(|loss| loss as &mut dyn ViewObjective);
            let objective = global_objective.or(single.as_mut().map(|loss| loss as &mut dyn ViewObjective));
            let objective = objective.expect("every method is one or the other");
            let Some(trained) = train(&viewed, objective, pool.interrupted) else {
                return Ok(None);
            };
            let learned = matches!(method, Method::ISogClr { .. });
            runs.push(Run {
                scored: judge(&trial, &trained.encoder, &tail.samples, test),
                temperatures: global
                    .filter(|_| learned)
                    .map(|global| tail.means(global.temperatures())),
            });
            if method == Method::JUDGED {
                embeddings = unit(&trained.encoder.encoded(&tail.samples).1, trial.encoder.embedding);
            }
            advance(1);
        }
        Ok(Some((runs, embeddings)))
    };
    let (runs, embeddings): (Vec<_>, Vec<_>) = pool.try_map(scale.seeds(), of_seed)?.into_iter().unzip();
    Ok((Runs(runs), embeddings.into_iter().next().unwrap_or_default()))
}
