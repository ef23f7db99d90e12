//! The runs: digits, two families of self-supervised methods with their hyper-parameters varied, several seeds each.

use thalweg::contrastive::NtXentLossConfig;
use thalweg::diagnostics::{DiagnosticError, EPSILON, Embeddings, PowerLawFit, SpectrumFit, alpha_req};
use thalweg::objective::ViewObjective;
use thalweg::self_supervised::VicRegLossConfig;

use crate::LabError;
use crate::pool::Pool;
use crate::self_supervised::{Scored, ViewedSamples, judge, train, untrained};
use crate::studies::digit_views::DigitViews;
use crate::study::{Advance, Scale};

const INVARIANCE: f64 = 25.0;

/// Hyper-parameters of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Setting {
    VicReg { variance: f64, covariance: f64 },
    NtXent { temperature: f64 },
}

/// The hyper-parameters that are tried.
pub(super) struct Grid {
    pub variances: &'static [f64],
    pub covariances: &'static [f64],
    pub temperatures: &'static [f64],
}

impl Grid {
    fn of(scale: &Scale) -> Self {
        scale.pick(
            Self {
                variances: &[0.1, 1.0, 5.0, 25.0, 100.0],
                covariances: &[0.0, 0.01, 0.1, 1.0, 10.0],
                temperatures: &[0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0],
            },
            Self {
                variances: &[1.0, 25.0],
                covariances: &[0.0, 1.0],
                temperatures: &[0.1, 1.0],
            },
        )
    }

    pub fn vicreg(&self) -> Vec<Setting> {
        let pairs = self.variances.iter().flat_map(|&variance| {
            let of_variance = move |&covariance| Setting::VicReg { variance, covariance };
            self.covariances.iter().map(of_variance)
        });
        pairs.collect()
    }

    pub fn nt_xent(&self) -> Vec<Setting> {
        let of_temperature = |&temperature| Setting::NtXent { temperature };
        self.temperatures.iter().map(of_temperature).collect()
    }

    fn settings(&self) -> Vec<Setting> {
        [self.vicreg(), self.nt_xent()].concat()
    }
}

/// What a run ends with.
pub(super) struct Run {
    pub setting: Setting,
    pub scored: Scored,
    pub embeddings: Spectrum,
    pub features: Spectrum,
}

/// Scores of a spectrum, of training samples as they are.
#[derive(Clone, Copy)]
pub(super) struct Spectrum {
    /// 0 of what is all 0 or no numbers.
    pub rankme: f64,
    /// None where a variance in the range of the fit is not positive.
    pub alpha: Option<f64>,
}

pub(super) struct Runs {
    pub grid: Grid,
    /// Of each seed, the untrained encoder.
    pub untrained: Vec<Scored>,
    /// Of each seed, each setting's.
    pub of_seeds: Vec<Vec<Run>>,
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * (1 + Grid::of(scale).settings().len())
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let seeds = scale.seeds();
    let DigitViews { splits, trials } = DigitViews::new(seeds, scale.pick(30, 1))?;
    let before = pool.map(seeds, |seed| {
        let (training, test) = &splits[seed];
        let scored = untrained(&trials[seed], training, test);
        advance(1);
        scored
    })?;
    let viewed = trials
        .iter()
        .zip(&splits)
        .map(|(trial, (training, _))| ViewedSamples::new(trial, training));
    let viewed = viewed.collect::<Result<Vec<_>, _>>()?;
    let grid = Grid::of(scale);
    let settings = grid.settings();
    let one = |index: usize| {
        let (seed, setting) = (index / settings.len(), settings[index % settings.len()]);
        let (trial, (training, test)) = (&trials[seed], &splits[seed]);
        let mut objective = objective(setting)?;
        let Some(trained) = train(&viewed[seed], objective.as_mut(), pool.interrupted) else {
            return Ok(None);
        };
        let (features, embeddings) = trained.encoder.encoded(training);
        let run = Run {
            setting,
            scored: judge(trial, &trained.encoder, training, test),
            embeddings: Spectrum::of(&embeddings, trial.encoder.embedding),
            features: Spectrum::of(&features, trial.encoder.features),
        };
        advance(1);
        Ok(Some(run))
    };
    let mut runs = pool.try_map(seeds * settings.len(), one)?.into_iter();
    Ok(Runs {
        untrained: before,
        of_seeds: (0..seeds)
            .map(|_| runs.by_ref().take(settings.len()).collect())
            .collect(),
        grid,
    })
}

fn objective(setting: Setting) -> Result<Box<dyn ViewObjective>, LabError> {
    Ok(match setting {
        Setting::VicReg { variance, covariance } => Box::new(
            VicRegLossConfig::new()
                .with_invariance(INVARIANCE)
                .with_variance(variance)
                .with_covariance(covariance)
                .init()?,
        ),
        Setting::NtXent { temperature } => {
            Box::new(NtXentLossConfig::new().with_temperature(temperature).init()?)
        }
    })
}

impl Spectrum {
    /// Variances 3 to 39 of 64 features are fitted, and the same share of fewer.
    fn of(values: &[f32], width: usize) -> Self {
        let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let alpha = |embeddings: &Embeddings| -> Result<f64, DiagnosticError> {
            let spectrum = SpectrumFit {
                eigenvalues: &embeddings.covariance_eigenvalues()?,
                range: 3..=39 * width / 64,
            };
            Ok(alpha_req(&spectrum, PowerLawFit::LeastSquares)?.alpha)
        };
        match Embeddings::new(&values, width) {
            Ok(embeddings) => Self {
                rankme: embeddings.rankme(EPSILON).unwrap_or(0.0),
                alpha: alpha(&embeddings).ok(),
            },
            Err(_) => Self {
                rankme: 0.0,
                alpha: None,
            },
        }
    }
}
