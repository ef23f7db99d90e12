//! Digits under AMCL and NT-Xent, at few and at all kinds of change.

use std::sync::atomic::AtomicBool;

use thalweg::contrastive::NtXentLossConfig;
use thalweg::contrastive::amcl::{
    AdaptiveTemperatureConfig, Aggregate, AmclConfig, AmclLossConfig, Candidates,
};

use super::overlap::{Temperatures, overlap};
use crate::LabError;
use crate::pool::Pool;
use crate::self_supervised::{
    EncoderSpec, Samples, Scored, SelfSupervised, ViewedSamples, judge, train_as, untrained,
};
use crate::studies::digit_views::DigitViews;
use crate::study::{Advance, Scale};

/// Range of the temperatures.
const TEMPERATURES: [f64; 2] = [0.1, 1.0];

/// How a run is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    /// Not at all.
    Untrained,
    /// NT-Xent of one head.
    NtXent { temperature: f64 },
    /// AMCL: the max form without the positive among the candidates as it is printed, log-sum-exp with it.
    Amcl {
        heads: usize,
        aggregate: Aggregate,
        beta: f64,
    },
}

/// A method, and how many kinds of change views have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting {
    pub kinds: usize,
    pub method: Method,
}

/// All kinds of change there are.
pub(super) const ALL_KINDS: usize = 5;
/// Shift and intensity.
pub(super) const FEW_KINDS: usize = 2;

impl Method {
    /// The one that is judged, and its single head.
    pub const fn judged(heads: usize) -> Self {
        Self::Amcl {
            heads,
            aggregate: Aggregate::LogSumExp,
            beta: 0.1,
        }
    }

    pub fn label(self) -> String {
        match self {
            Self::Untrained => "untrained".to_owned(),
            Self::NtXent { temperature } => format!("NT-Xent τ = {temperature}"),
            Self::Amcl {
                heads,
                aggregate,
                beta,
            } => {
                let form = match aggregate {
                    Aggregate::Max => "max",
                    Aggregate::LogSumExp => "log-sum-exp",
                };
                format!("AMCL {form}, C = {heads}, β = {beta}")
            }
        }
    }
}

impl Setting {
    pub fn all() -> Vec<Self> {
        let forms = [Aggregate::LogSumExp, Aggregate::Max].into_iter();
        let amcl = forms.flat_map(|aggregate| {
            [0.1, 0.01].into_iter().flat_map(move |beta| {
                [1, 3].map(|heads| Method::Amcl {
                    heads,
                    aggregate,
                    beta,
                })
            })
        });
        let ordinary = [0.1, 0.5].map(|temperature| Method::NtXent { temperature });
        let at_all = [Method::Untrained].into_iter().chain(ordinary).chain(amcl);
        let at_few = [Method::Untrained]
            .into_iter()
            .chain(ordinary)
            .chain([1, 3].map(Method::judged));
        let of = |kinds| move |method| Self { kinds, method };
        at_all
            .map(of(ALL_KINDS))
            .chain(at_few.map(of(FEW_KINDS)))
            .collect()
    }
}

/// What a run ends with.
#[derive(Clone)]
pub(super) struct Run {
    pub scored: Scored,
    /// Of pairs of test views; not known of an encoder that was not trained.
    pub overlap: f64,
}

/// All runs, by seed, then as [`Setting::all`].
pub(super) struct Runs(Vec<Vec<Run>>);

impl Runs {
    /// A number of each seed's run of a setting.
    pub fn of(&self, setting: Setting, number: fn(&Run) -> f64) -> Vec<f64> {
        let index = Setting::all().iter().position(|other| *other == setting);
        let index = index.expect("it is one of all");
        self.0.iter().map(|runs| number(&runs[index])).collect()
    }
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * Setting::all().len()
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let digits = DigitViews::new(scale.seeds(), scale.pick(40, 1))?;
    // A seed at a time, so that its methods share their views and no more are in memory than are needed.
    let of_seed = |seed: usize| {
        let (training, test) = &digits.splits[seed];
        let all = &digits.trials[seed];
        let few = SelfSupervised {
            views: all.views.first(FEW_KINDS),
            ..all.clone()
        };
        let trials = [all, &few];
        let viewed = [
            ViewedSamples::new(all, training)?,
            ViewedSamples::new(&few, training)?,
        ];
        let mut runs = Vec::new();
        for setting in Setting::all() {
            let at = usize::from(setting.kinds == FEW_KINDS);
            let seen = Seen {
                trial: trials[at],
                viewed: &viewed[at],
                training,
                test,
            };
            let Some(run) = seen.run(setting.method, pool.interrupted)? else {
                return Ok(None);
            };
            runs.push(run);
            advance(1);
        }
        Ok(Some(runs))
    };
    Ok(Runs(pool.try_map(scale.seeds(), of_seed)?))
}

/// What the methods of a seed and a number of kinds have in common.
struct Seen<'a> {
    trial: &'a SelfSupervised,
    viewed: &'a ViewedSamples<'a>,
    training: &'a Samples,
    test: &'a Samples,
}

impl Seen<'_> {
    /// None when interrupted.
    fn run(&self, method: Method, interrupted: &AtomicBool) -> Result<Option<Run>, LabError> {
        let Self {
            trial,
            viewed,
            training,
            test,
        } = *self;
        match method {
            Method::Untrained => Ok(Some(Run {
                scored: untrained(trial, training, test),
                overlap: f64::NAN,
            })),
            Method::NtXent { temperature } => {
                let mut objective = NtXentLossConfig::new().with_temperature(temperature).init()?;
                let trained = train_as(viewed, trial.encoder, &mut objective, interrupted);
                Ok(trained.map(|trained| Run {
                    scored: judge(trial, &trained.encoder, training, test),
                    overlap: overlap(trial, &trained.encoder, Temperatures::Common, test),
                }))
            }
            Method::Amcl {
                heads,
                aggregate,
                beta,
            } => {
                let [lower, upper] = TEMPERATURES;
                let candidates = match aggregate {
                    Aggregate::Max => Candidates::Negatives,
                    Aggregate::LogSumExp => Candidates::WithPositive,
                };
                let loss = AmclLossConfig::new()
                    .with_beta(beta)
                    .with_aggregate(aggregate)
                    .with_candidates(candidates);
                let temperature = AdaptiveTemperatureConfig::new()
                    .with_lower(lower)
                    .with_upper(upper);
                let mut objective = AmclConfig::new()
                    .with_heads(heads)
                    .with_temperature(temperature)
                    .with_loss(loss)
                    .init()?;
                let encoder = EncoderSpec {
                    heads,
                    ..trial.encoder
                };
                let trained = train_as(viewed, encoder, &mut objective, interrupted);
                Ok(trained.map(|trained| {
                    let network = objective.network().expect("it was trained");
                    Run {
                        scored: judge(trial, &trained.encoder, training, test),
                        overlap: overlap(trial, &trained.encoder, Temperatures::Learned(network), test),
                    }
                }))
            }
        }
    }
}
