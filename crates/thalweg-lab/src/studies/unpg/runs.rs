//! Heads with and without pairs of the batch, on clean and on noisy labels.

use thalweg::Reduction;
use thalweg::verification::{
    ArcFace, CosFace, Head, MarginClassifierConfig, MarginSoftmaxLoss, PairFilter, UnpgLossConfig,
};

use super::identities;
use super::premise::{Embedded, Filtered, Premise};
use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Scale};
use crate::trial::{NoiseKind, NoiseSpec, Scaling};
use crate::verification::{Identities, IdentityShares, Judgement, Told, Verification, judge, train};

const SCALE: f64 = 32.0;
const MARGIN: f64 = 0.35;
/// Length of whiskers.
const WISK: f64 = 1.5;
/// Share of wrong training labels.
pub(super) const NOISE: f64 = 0.2;

/// Which negatives a head is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Negatives {
    /// Other classes.
    Classes,
    /// And all pairs of the batch.
    AllPairs,
    /// And those within the whiskers.
    FilteredPairs,
}

impl Negatives {
    pub const ALL: [Self; 3] = [Self::Classes, Self::AllPairs, Self::FilteredPairs];

    pub fn words(self) -> &'static str {
        match self {
            Self::Classes => "alone",
            Self::AllPairs => "and pairs",
            Self::FilteredPairs => "UNPG",
        }
    }
}

/// What is trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting {
    pub head: Head,
    pub noisy: bool,
}

impl Setting {
    pub const HEADS: [(&str, Head); 2] = [
        ("CosFace", Head::CosFace(CosFace { margin: MARGIN })),
        ("ArcFace", Head::ArcFace(ArcFace { margin: MARGIN })),
    ];

    pub fn all() -> [(String, Self); 4] {
        [(0, false), (1, false), (0, true), (1, true)].map(|(head, noisy)| {
            let (name, head) = Self::HEADS[head];
            let labels = if noisy { "noisy" } else { "clean" };
            (format!("{name}, {labels}"), Self { head, noisy })
        })
    }

    fn loss(self, negatives: Negatives) -> Result<MarginSoftmaxLoss, LabError> {
        let with = |filter| {
            UnpgLossConfig::new(self.head)
                .with_scale(SCALE)
                .with_filter(filter)
                .init()
        };
        Ok(match negatives {
            Negatives::Classes => MarginSoftmaxLoss::new(self.head, SCALE, Reduction::Mean)?,
            Negatives::AllPairs => with(PairFilter::All)?,
            Negatives::FilteredPairs => with(PairFilter::BoxWhisker { wisk: WISK })?,
        })
    }
}

/// What a setting came to at a seed.
pub(super) struct Run {
    /// As [`Negatives::ALL`].
    pub judged: Vec<Judgement>,
    /// Of the head alone.
    pub premise: Premise,
    /// Of the head with filtered pairs.
    pub filtered: Filtered,
}

/// By setting, as [`Setting::all`], then by seed.
pub(super) struct Runs(pub Vec<Vec<Run>>);

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * Setting::all().len() * Negatives::ALL.len()
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let settings = Setting::all();
    let one = |index: usize| {
        let (_, setting) = &settings[index % settings.len()];
        one(scale, *setting, (index / settings.len()) as u64, pool, advance)
    };
    let runs = pool.try_map(scale.seeds() * settings.len(), one)?;
    let mut by_setting: Vec<Vec<Run>> = settings.iter().map(|_| Vec::new()).collect();
    for (index, run) in runs.into_iter().enumerate() {
        by_setting[index % settings.len()].push(run);
    }
    Ok(Runs(by_setting))
}

fn one(
    scale: &Scale,
    setting: Setting,
    seed: u64,
    pool: &Pool,
    advance: &Advance,
) -> Result<Option<Run>, LabError> {
    let trial = Verification {
        identities: IdentityShares {
            validation: 0.0,
            ..IdentityShares::default()
        },
        scaling: Scaling::AsIs,
        noise: setting.noisy.then_some(NoiseSpec {
            rate: NOISE,
            kind: NoiseKind::Uniform,
        }),
        ..Verification::new(scale.pick(20, 1), seed)
    };
    let identities = Identities::of(&identities::dataset(seed), &trial)?;
    let told = Told::of(&trial, &identities);
    let classes = MarginClassifierConfig::new(told.classes, told.width);
    let (mut judged, mut premise, mut filtered) = (Vec::new(), None, Filtered::default());
    for negatives in Negatives::ALL {
        let mut objective = classes.init(setting.loss(negatives)?, told.seed, &told.device)?;
        let Some(trained) = train(&trial, &identities, &mut objective, pool.interrupted)? else {
            return Ok(None);
        };
        judged.push(judge(
            &trial,
            &identities.shape,
            &trained.embedder,
            &identities.test,
        )?);
        let weights = objective.weights().into_data().try_into_vec_as::<f32>();
        let embedded = Embedded {
            embeddings: &trained.embedder.embeddings(&identities.train),
            weights: &weights.expect("weights are floats"),
            width: told.width,
            identities: &identities,
            batch_size: trial.batch_size,
            seed,
        };
        match negatives {
            Negatives::Classes => premise = Some(embedded.premise()?),
            Negatives::AllPairs => {}
            Negatives::FilteredPairs => filtered = embedded.filtered(WISK)?,
        }
        advance(1);
    }
    Ok(premise.map(|premise| Run {
        judged,
        premise,
        filtered,
    }))
}
