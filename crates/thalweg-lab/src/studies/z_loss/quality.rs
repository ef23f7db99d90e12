//! Part 3: a small word model under the Z-loss, the other spherical losses and log-softmax, by top-k error.

mod language;
mod network;

use thalweg::Reduction;
use thalweg::classification::spherical::{
    SphericalSoftmaxLossConfig, SquaredErrorLossConfig, TaylorSoftmaxLossConfig, ZLossConfig,
};
use thalweg::classification::{CompSumLossConfig, LogitLoss};

use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};
use language::Language;
use network::train;

const SHARPNESS: [f64; 5] = [0.05, 0.1, 0.2, 0.5, 1.0];
const REACH: [f64; 4] = [0.0, 5.0, 10.0, 20.0];
const DEPTHS: [usize; 5] = [1, 5, 10, 50, 100];

/// Depths from which Taylor softmax is to be beaten: the claim is made for large k.
const LARGE: usize = 50;

/// What a network is trained on.
#[derive(Clone, Copy, Debug)]
enum Loss {
    LogSoftmax,
    Taylor,
    Spherical,
    SquaredError,
    Z { a: f64, b: f64 },
}

const BASELINES: [(&str, Loss); 4] = [
    ("log-softmax", Loss::LogSoftmax),
    ("Taylor softmax", Loss::Taylor),
    ("spherical softmax", Loss::Spherical),
    ("squared error", Loss::SquaredError),
];
const LOG_SOFTMAX: usize = 0;
const TAYLOR: usize = 1;
const SPHERICAL: usize = 2;
const SQUARED_ERROR: usize = 3;

impl Loss {
    fn init(self) -> Result<LogitLoss, thalweg::ConfigError> {
        match self {
            Self::LogSoftmax => CompSumLossConfig::new().init(),
            Self::Taylor => TaylorSoftmaxLossConfig::new().init(),
            Self::Spherical => SphericalSoftmaxLossConfig::new().init(),
            Self::SquaredError => SquaredErrorLossConfig::new().init(),
            Self::Z { a, b } => ZLossConfig::new()
                .with_a(a)
                .with_b(b)
                .with_reduction(Reduction::Mean)
                .init(),
        }
    }
}

fn losses() -> Vec<Loss> {
    let grid = SHARPNESS
        .iter()
        .flat_map(|&a| REACH.iter().map(move |&b| Loss::Z { a, b }));
    BASELINES.iter().map(|&(_, loss)| loss).chain(grid).collect()
}

/// One step a training.
pub(super) fn steps(scale: &Scale) -> usize {
    losses().len() * scale.seeds()
}

/// Top-k errors of a trained network, by depth.
#[derive(Clone, Copy, Debug)]
struct Errors {
    validation: [f64; DEPTHS.len()],
    test: [f64; DEPTHS.len()],
}

/// Errors by loss and seed.
struct Grid {
    errors: Vec<Errors>,
    seeds: usize,
}

impl Grid {
    fn of(&self, loss: usize, seed: usize) -> &Errors {
        &self.errors[loss * self.seeds + seed]
    }

    fn baseline(&self, loss: usize, depth: usize) -> Vec<f64> {
        (0..self.seeds)
            .map(|seed| self.of(loss, seed).test[depth])
            .collect()
    }

    /// Of each seed, the member of the grid with the least validation error at this depth, the first of several.
    fn chosen(&self, depth: usize) -> Vec<usize> {
        let choose = |seed: usize| {
            let candidates = BASELINES.len()..self.errors.len() / self.seeds;
            let validated = |loss: usize| self.of(loss, seed).validation[depth];
            candidates
                .min_by(|&a, &b| validated(a).total_cmp(&validated(b)))
                .expect("the grid is not empty")
        };
        (0..self.seeds).map(choose).collect()
    }

    fn z(&self, depth: usize) -> Vec<f64> {
        let chosen = self.chosen(depth);
        chosen
            .iter()
            .enumerate()
            .map(|(seed, &loss)| self.of(loss, seed).test[depth])
            .collect()
    }
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    advance: &Advance,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let languages: Vec<Language> = (0..scale.seeds())
        .map(|seed| Language::new(seed as u64, scale.pick(24_000, 400), scale.pick(6_000, 200)))
        .collect();
    let jobs: Vec<(Loss, usize)> = losses()
        .into_iter()
        .flat_map(|loss| (0..scale.seeds()).map(move |seed| (loss, seed)))
        .collect();
    let epochs = scale.pick(6, 1);
    let errors = pool.try_map(jobs.len(), |index| {
        let (loss, seed) = jobs[index];
        let language = &languages[seed];
        let network = train(language, &loss.init()?, epochs, seed as u64);
        let errors = Errors {
            validation: network.top_k_errors(&language.validation, DEPTHS),
            test: network.top_k_errors(&language.test, DEPTHS),
        };
        advance(1);
        Ok(Some(errors))
    })?;
    let grid = Grid {
        errors,
        seeds: scale.seeds(),
    };
    let claims = vec![
        beats(&grid, SQUARED_ERROR, &DEPTHS),
        beats(&grid, SPHERICAL, &DEPTHS),
        beats(&grid, TAYLOR, &[LARGE, 100]),
        beside_log_softmax(&grid),
    ];
    Ok((vec![error_table(&grid), grid_table(&grid)], claims))
}

/// Errors of a baseline less those of the chosen Z-loss, by depth.
fn gains(grid: &Grid, baseline: usize, depths: &[usize]) -> Vec<(usize, Paired)> {
    let at = |&k: &usize| {
        let depth = DEPTHS
            .iter()
            .position(|&depth| depth == k)
            .expect("a depth of the study");
        (k, paired(&grid.baseline(baseline, depth), &grid.z(depth)))
    };
    depths.iter().map(at).collect()
}

fn in_words(gains: &[(usize, Paired)]) -> String {
    let one = |(k, gain): &(usize, Paired)| {
        let [mean, low, high] = [gain.mean, gain.low, gain.high].map(|share| 100.0 * share);
        format!("top-{k} {mean:+.2} pp [{low:+.2}, {high:+.2}]")
    };
    let text: Vec<_> = gains.iter().map(one).collect();
    text.join("; ").replace(" -", " −").replace("[-", "[−")
}

fn beats(grid: &Grid, baseline: usize, depths: &[usize]) -> Claim {
    let gains = gains(grid, baseline, depths);
    let label = BASELINES[baseline].0;
    let depths: Vec<_> = depths.iter().map(usize::to_string).collect();
    Claim {
        text: format!("the Z-loss ranks better than {label}, top-{}", depths.join(", ")),
        criterion: format!(
            "95% intervals of the error of {label} less that of the Z-loss above 0, at each k"
        ),
        evidence: in_words(&gains),
        verdict: Some(Verdict::of_all(
            gains.iter().map(|(_, gain)| Verdict::above_zero(gain)),
        )),
        weight: Weight::Decisive,
    }
}

fn beside_log_softmax(grid: &Grid) -> Claim {
    let gains = gains(grid, LOG_SOFTMAX, &DEPTHS);
    Claim {
        text: "the Z-loss ranks better than log-softmax, as the paper saw on words with heavy tuning"
            .to_owned(),
        criterion: "95% intervals of the error of log-softmax less that of the Z-loss above 0, at each k"
            .to_owned(),
        evidence: in_words(&gains),
        verdict: Some(Verdict::of_all(
            gains.iter().map(|(_, gain)| Verdict::above_zero(gain)),
        )),
        weight: Weight::Supporting,
    }
}

fn heads(first: &[&str]) -> Vec<String> {
    let depths = DEPTHS.iter().map(|k| format!("top-{k}"));
    first.iter().map(|&head| head.to_owned()).chain(depths).collect()
}

fn mean(values: &[f64]) -> String {
    format!("{:.3}", summary(values).mean)
}

fn error_table(grid: &Grid) -> Table {
    let depths = || 0..DEPTHS.len();
    let baselines = BASELINES.iter().enumerate().map(|(loss, (label, _))| {
        let cells = depths().map(|depth| mean(&grid.baseline(loss, depth)));
        std::iter::once((*label).to_owned()).chain(cells).collect()
    });
    let z = std::iter::once("Z-loss, chosen".to_owned()).chain(depths().map(|depth| mean(&grid.z(depth))));
    Table {
        title: "3a. Word model of 500 words: mean test error; a and b of the Z-loss chosen per k on a validation split"
            .to_owned(),
        columns: heads(&["loss"]),
        rows: baselines.chain([z.collect()]).collect(),
    }
}

fn grid_table(grid: &Grid) -> Table {
    let rows = losses().into_iter().enumerate().filter_map(|(index, loss)| {
        let Loss::Z { a, b } = loss else { return None };
        let cells = (0..DEPTHS.len()).map(|depth| mean(&grid.baseline(index, depth)));
        let times: Vec<_> = (0..DEPTHS.len())
            .map(|depth| {
                grid.chosen(depth)
                    .iter()
                    .filter(|&&chosen| chosen == index)
                    .count()
            })
            .collect();
        let marked = cells.zip(times).map(|(cell, times)| match times {
            0 => cell,
            times => format!("{cell} ({times})"),
        });
        Some([a.to_string(), b.to_string()].into_iter().chain(marked).collect())
    });
    Table {
        title: "3b. Z-loss over a and b: mean test error (seeds that chose it)".to_owned(),
        columns: heads(&["a", "b"]),
        rows: rows.collect(),
    }
}
