//! Digits under NT-Xent at several temperatures, and at one with hard negatives after a warm-up.

use thalweg::contrastive::{HardNtXentLossConfig, NtXentLossConfig};
use thalweg::diagnostics::{DiagnosticError, tolerance, uniformity, unit_rows};
use thalweg::objective::ViewObjective;

use crate::LabError;
use crate::pool::Pool;
use crate::self_supervised::{Encoder, Samples, Scored, ViewedSamples, judge, train, untrained};
use crate::studies::digit_views::DigitViews;
use crate::study::{Advance, Scale};

/// t of uniformity.
const T: f64 = 2.0;

/// How a run is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    /// With all negatives.
    Ordinary { temperature: f64 },
    /// The same at τ = 1, as long as with the hard ones.
    OrdinaryShorter,
    /// The hardest 30 % at τ = 1, after 20 epochs with all.
    Hard,
}

/// Temperature of the last two methods.
const OF_HARD: f64 = 1.0;
const SHARE: f64 = 0.3;

impl Method {
    pub const ALL: [Self; 8] = [
        Self::Ordinary { temperature: 0.05 },
        Self::Ordinary { temperature: 0.1 },
        Self::Ordinary { temperature: 0.2 },
        Self::Ordinary { temperature: 0.5 },
        Self::Ordinary { temperature: 1.0 },
        Self::Ordinary { temperature: 2.0 },
        Self::OrdinaryShorter,
        Self::Hard,
    ];

    pub fn label(self, epochs: &Epochs) -> String {
        match self {
            Self::Ordinary { temperature } => format!("τ = {temperature}"),
            Self::OrdinaryShorter => format!("τ = {OF_HARD}, {} epochs", epochs.hard),
            Self::Hard => format!("τ = {OF_HARD}, hard"),
        }
    }

    fn objective(self, epochs: &Epochs) -> Result<Box<dyn ViewObjective>, LabError> {
        let all = |temperature| NtXentLossConfig::new().with_temperature(temperature).init();
        Ok(match self {
            Self::Ordinary { temperature } => Box::new(all(temperature)?),
            Self::OrdinaryShorter => Box::new(all(OF_HARD)?),
            Self::Hard => {
                let hard = HardNtXentLossConfig::new().with_temperature(OF_HARD);
                Box::new(hard.with_alpha(SHARE).with_warm_up(epochs.warm_up).init()?)
            }
        })
    }
}

/// Epochs of training.
pub(super) struct Epochs {
    ordinary: usize,
    hard: usize,
    warm_up: usize,
}

impl Epochs {
    fn of(scale: &Scale) -> Self {
        let [ordinary, hard, warm_up] = scale.pick([60, 50, 20], [2, 2, 1]);
        Self {
            ordinary,
            hard,
            warm_up,
        }
    }
}

/// What a run ends with.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub scored: Scored,
    /// Of the embeddings of test samples; more is more uniform.
    pub minus_uniformity: f64,
    /// Of the same.
    pub tolerance: f64,
}

/// All runs.
pub(super) struct Runs {
    pub epochs: Epochs,
    pub untrained: Vec<Scored>,
    /// By seed, then as [`Method::ALL`].
    of_seeds: Vec<Vec<Run>>,
}

impl Runs {
    /// A number of each seed's run of a method.
    pub fn of(&self, method: Method, number: fn(&Run) -> f64) -> Vec<f64> {
        let index = Method::ALL
            .iter()
            .position(|other| *other == method)
            .expect("it is one of all");
        self.of_seeds.iter().map(|runs| number(&runs[index])).collect()
    }
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * (1 + Method::ALL.len())
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let (seeds, epochs) = (scale.seeds(), Epochs::of(scale));
    let long = DigitViews::new(seeds, epochs.ordinary)?;
    let short = DigitViews::new(seeds, epochs.hard)?;
    let before = pool.map(seeds, |seed| {
        let (training, test) = &long.splits[seed];
        let scored = untrained(&long.trials[seed], training, test);
        advance(1);
        scored
    })?;
    let one = |index: usize| {
        let (seed, method) = (index / Method::ALL.len(), Method::ALL[index % Method::ALL.len()]);
        let digits = match method {
            Method::Ordinary { .. } => &long,
            Method::OrdinaryShorter | Method::Hard => &short,
        };
        let mut objective = method.objective(&epochs)?;
        let viewed = ViewedSamples::new(&digits.trials[seed], &digits.splits[seed].0)?;
        let Some(trained) = train(&viewed, objective.as_mut(), pool.interrupted) else {
            return Ok(None);
        };
        let (training, test) = &digits.splits[seed];
        let (minus_uniformity, tolerance) =
            on_the_sphere(&trained.encoder, test, digits.trials[seed].encoder.embedding)
                .unwrap_or((f64::NAN, f64::NAN));
        let run = Run {
            scored: judge(&digits.trials[seed], &trained.encoder, training, test),
            minus_uniformity,
            tolerance,
        };
        advance(1);
        Ok(Some(run))
    };
    let mut runs = pool.try_map(seeds * Method::ALL.len(), one)?.into_iter();
    Ok(Runs {
        epochs,
        untrained: before,
        of_seeds: (0..seeds)
            .map(|_| runs.by_ref().take(Method::ALL.len()).collect())
            .collect(),
    })
}

/// Minus uniformity, and tolerance, of the embeddings of samples; an error where one has no direction.
fn on_the_sphere(encoder: &Encoder, samples: &Samples, width: usize) -> Result<(f64, f64), DiagnosticError> {
    let (_, embeddings) = encoder.encoded(samples);
    let unit = unit_rows(&embeddings, width)?;
    let even = uniformity(&unit, width, T)?;
    Ok((-even, tolerance(&unit, width, &samples.labels)?.value))
}
