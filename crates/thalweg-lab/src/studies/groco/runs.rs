//! Digits under group ordering and what it is compared with.

use burn::tensor::Device;
use thalweg::contrastive::{GroCoLossConfig, NtXentLossConfig, OrderTarget, OtherSide};
use thalweg::objective::ViewObjective;

use super::ordering::{STRONGEST, ordering_error};
use crate::LabError;
use crate::pool::Pool;
use crate::self_supervised::{Encoder, Scored, SelfSupervised, ViewedSamples, judge, train};
use crate::studies::digit_views::DigitViews;
use crate::study::{Advance, Scale};

/// How a run is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    /// Not at all.
    Untrained,
    /// Group ordering.
    GroCo { steepness: f64, views: usize },
    /// The same at steepness 1 and two views, gradients on both sides of a pair.
    BothSides,
    /// The same, the whole permutation asked for.
    Permutation,
    /// NT-Xent.
    NtXent { temperature: f64 },
}

impl Method {
    /// Those of two views first.
    pub const ALL: [Self; 9] = [
        Self::Untrained,
        Self::NtXent { temperature: 0.1 },
        Self::NtXent { temperature: 0.5 },
        Self::GROCO,
        Self::GroCo {
            steepness: 10.0,
            views: 2,
        },
        Self::BothSides,
        Self::Permutation,
        Self::GroCo {
            steepness: 1.0,
            views: 4,
        },
        Self::GroCo {
            steepness: 10.0,
            views: 4,
        },
    ];
    /// The one that is judged.
    pub const GROCO: Self = Self::GroCo {
        steepness: 1.0,
        views: 2,
    };

    pub fn label(self) -> String {
        match self {
            Self::Untrained => "untrained".to_owned(),
            Self::GroCo { steepness, views } => format!("GroCo β = {steepness}, {views} views"),
            Self::BothSides => "GroCo, both sides".to_owned(),
            Self::Permutation => "permutation".to_owned(),
            Self::NtXent { temperature } => format!("NT-Xent τ = {temperature}"),
        }
    }

    fn views(self) -> usize {
        match self {
            Self::GroCo { views, .. } => views,
            _ => 2,
        }
    }

    /// None of what is not trained.
    fn objective(self) -> Result<Option<Box<dyn ViewObjective>>, LabError> {
        let groco = GroCoLossConfig::new()
            .with_topk_neg(STRONGEST)
            .with_n_pos(self.views());
        Ok(match self {
            Self::Untrained => None,
            Self::GroCo { steepness, .. } => Some(Box::new(groco.with_steepness(steepness).init()?)),
            Self::BothSides => Some(Box::new(groco.with_other_side(OtherSide::Tracked).init()?)),
            Self::Permutation => Some(Box::new(groco.with_order(OrderTarget::Permutation).init()?)),
            Self::NtXent { temperature } => Some(Box::new(
                NtXentLossConfig::new().with_temperature(temperature).init()?,
            )),
        })
    }
}

/// What a run ends with.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub scored: Scored,
    /// Share of pairs in the wrong order, on test views.
    pub ordering_error: f64,
}

/// All runs, by seed, then as [`Method::ALL`].
pub(super) struct Runs(Vec<Vec<Run>>);

impl Runs {
    /// A number of each seed's run of a method.
    pub fn of(&self, method: Method, number: fn(&Run) -> f64) -> Vec<f64> {
        let mut all = Method::ALL.iter();
        let index = all.position(|other| *other == method);
        let index = index.expect("it is one of all");
        self.0.iter().map(|runs| number(&runs[index])).collect()
    }
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * Method::ALL.len()
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let digits = DigitViews::new(scale.seeds(), scale.pick(60, 1))?;
    // A seed at a time, so that its methods share their views and no more are in memory than are needed.
    let of_seed = |seed: usize| {
        let (training, test) = &digits.splits[seed];
        let two = &digits.trials[seed];
        let four = SelfSupervised {
            views_per_sample: 4,
            ..two.clone()
        };
        let viewed = [
            ViewedSamples::new(two, training)?,
            ViewedSamples::new(&four, training)?,
        ];
        let mut runs = Vec::new();
        for method in Method::ALL {
            let encoder = match method.objective()? {
                None => {
                    let encoder = Encoder::new(two.encoder, training.width, two.seed, &Device::flex());
                    encoder.settle(training);
                    encoder
                }
                Some(mut objective) => {
                    let viewed = &viewed[usize::from(method.views() > 2)];
                    let Some(trained) = train(viewed, objective.as_mut(), pool.interrupted) else {
                        return Ok(None);
                    };
                    trained.encoder
                }
            };
            runs.push(Run {
                scored: judge(two, &encoder, training, test),
                ordering_error: ordering_error(two, &encoder, test),
            });
            advance(1);
        }
        Ok(Some(runs))
    };
    Ok(Runs(pool.try_map(scale.seeds(), of_seed)?))
}
