//! Parts A and B: digits whose training and validation labels are corrupted, 13 baselines, LDR-KL and ALDR-KL; and the
//! temperatures that ALDR-KL gives to clean and corrupted samples.

use std::sync::Arc;

use thalweg_data::Dataset;

use crate::LabError;
use crate::model::{Activation, ModelSpec, Normalization, ScoreForm};
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Scale, Table, Verdict, Weight, points};
use crate::trial::{DataSpec, NoiseKind, NoiseSpec, OptimizerSpec, Outcome, Schedule, TrialSpec};

struct Setting {
    label: &'static str,
    noise: Option<NoiseSpec>,
}

/// Of ten classes a label replaced by any class with probability ρ is replaced by another one with 0.9 ρ.
const fn uniform(label: &'static str, level: f64) -> Setting {
    let noise = Some(NoiseSpec {
        rate: 0.9 * level,
        kind: NoiseKind::Uniform,
    });
    Setting { label, noise }
}

const fn next_class(label: &'static str, rate: f64) -> Setting {
    let noise = Some(NoiseSpec {
        rate,
        kind: NoiseKind::Pair,
    });
    Setting { label, noise }
}

const SETTINGS: [Setting; 7] = [
    Setting {
        label: "clean",
        noise: None,
    },
    uniform("uniform .3", 0.3),
    uniform("uniform .6", 0.6),
    uniform("uniform .9", 0.9),
    next_class("class .1", 0.1),
    next_class("class .3", 0.3),
    next_class("class .5", 0.5),
];
const UNIFORM_06: usize = 2;

struct Method {
    label: &'static str,
    objective: &'static str,
    settings: &'static [(&'static str, f64)],
}

const fn method(
    label: &'static str,
    objective: &'static str,
    settings: &'static [(&'static str, f64)],
) -> Method {
    Method {
        label,
        objective,
        settings,
    }
}

const METHODS: [Method; 19] = [
    method("CE", "cross_entropy", &[]),
    method("SCE", "symmetric_cross_entropy", &[]),
    method("GCE", "generalized_cross_entropy", &[]),
    method("truncated GCE", "truncated_gce", &[]),
    method("WW", "weston_watkins", &[]),
    method("CS", "crammer_singer", &[]),
    method("JS", "jensen_shannon", &[]),
    method("RLL", "robust_log_loss", &[]),
    method("NCE+RCE", "nce_rce", &[]),
    method("NCE+AGCE", "nce_agce", &[]),
    method("NCE+AUL", "nce_aul", &[]),
    method("MSE", "brier", &[]),
    // The L1 form, 2 (1 − p_y).
    method("MAE", "symmetric_cross_entropy", &[("balance", 1.0), ("a", 2.0)]),
    method("LDR-KL λ = 0.1", "ldr_kl", &[("lambda", 0.1)]),
    method("LDR-KL λ = 1", "ldr_kl", &[("lambda", 1.0)]),
    method("LDR-KL λ = 10", "ldr_kl", &[("lambda", 10.0)]),
    method("ALDR-KL λ₀ = 0.1", "aldr_kl", &[("lambda0", 0.1)]),
    method("ALDR-KL λ₀ = 1", "aldr_kl", &[("lambda0", 1.0)]),
    method("ALDR-KL λ₀ = 10", "aldr_kl", &[("lambda0", 10.0)]),
];
const CE: usize = 0;
const BASELINES: usize = 13;
const LDR: [usize; 3] = [13, 14, 15];
const ALDR: [usize; 3] = [16, 17, 18];

pub(super) fn specs(scale: &Scale, fingerprint: &str) -> Vec<TrialSpec> {
    let cells = SETTINGS
        .iter()
        .flat_map(|setting| METHODS.iter().map(move |method| (setting, method)));
    cells
        .flat_map(|(setting, method)| {
            (0..scale.seeds() as u64).map(move |seed| trial(scale, fingerprint, setting, method, seed))
        })
        .collect()
}

fn trial(scale: &Scale, fingerprint: &str, setting: &Setting, method: &Method, seed: u64) -> TrialSpec {
    let data = DataSpec {
        test_fraction: 0.3,
        test_seed: seed,
        validation_fraction: 0.2,
        noise: setting.noise,
        ..DataSpec::new(fingerprint.to_owned())
    };
    let model = ModelSpec::Mlp {
        hidden: vec![64],
        activation: Activation::Tanh,
        normalization: Normalization::None,
        scores: ScoreForm::ByClass,
    };
    let settings = method.settings.iter();
    let settings = settings.map(|&(name, value)| (name.to_owned(), value)).collect();
    let mut spec = TrialSpec::new(data, model, method.objective, settings, seed);
    spec.optimizer = OptimizerSpec::sgd(0.9, Schedule::Drops(vec![30, 45]));
    spec.learning_rate = 0.03;
    spec.weight_decay = 5e-3;
    spec.epochs = scale.pick(60, 1);
    spec
}

/// Outcomes by setting, method and seed.
struct Grid<'a> {
    outcomes: &'a [Outcome],
    seeds: usize,
}

impl Grid<'_> {
    fn of(&self, setting: usize, method: usize) -> &[Outcome] {
        let first = (setting * METHODS.len() + method) * self.seeds;
        &self.outcomes[first..first + self.seeds]
    }

    /// Test accuracy of each seed.
    fn accuracy(&self, setting: usize, method: usize) -> Vec<f64> {
        let outcomes = self.of(setting, method).iter();
        outcomes.map(|outcome| outcome.metrics["accuracy"]).collect()
    }

    /// Test accuracy of each seed's method of the highest accuracy on its noisy validation split, the first of several.
    fn selected(&self, setting: usize, methods: [usize; 3]) -> Vec<f64> {
        (0..self.seeds)
            .map(|seed| {
                let validated = |method: usize| {
                    let curve = &self.of(setting, method)[seed].curve;
                    curve.last().map_or(f64::NAN, |point| point.validation_accuracy)
                };
                let [first, rest @ ..] = methods;
                let best = rest.into_iter().fold(first, |best, method| {
                    if validated(method) > validated(best) {
                        method
                    } else {
                        best
                    }
                });
                self.of(setting, best)[seed].metrics["accuracy"]
            })
            .collect()
    }

    /// Corrupted and clean mean temperatures of each seed.
    fn temperatures(&self, setting: usize, method: usize) -> (Vec<f64>, Vec<f64>) {
        let remembered = self
            .of(setting, method)
            .iter()
            .filter_map(|outcome| outcome.remembered);
        remembered.map(|means| (means.corrupted, means.clean)).unzip()
    }
}

/// A row of the table: a baseline, or a family with its selected temperature.
struct Contender {
    label: String,
    /// Test accuracy by setting and seed.
    accuracy: Vec<Vec<f64>>,
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    dataset: &Arc<Dataset>,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let outcomes = pool.run(dataset, &specs(scale, &dataset.fingerprint()))?;
    let grid = Grid {
        outcomes: &outcomes,
        seeds: scale.seeds(),
    };
    let settings = || 0..SETTINGS.len();
    let single = |method: usize| Contender {
        label: METHODS[method].label.to_owned(),
        accuracy: settings().map(|setting| grid.accuracy(setting, method)).collect(),
    };
    let selected = |label: &str, methods| Contender {
        label: label.to_owned(),
        accuracy: settings()
            .map(|setting| grid.selected(setting, methods))
            .collect(),
    };
    let baselines: Vec<Contender> = (0..BASELINES).map(single).collect();
    let ldr = selected("LDR-KL, selected", LDR);
    let aldr = selected("ALDR-KL, selected", ALDR);
    let beside = |contender: &Contender| average_ranks(&baselines, contender)[BASELINES];
    let claims = vec![
        beats_cross_entropy(&ldr, &baselines[CE]),
        beats_cross_entropy(&aldr, &baselines[CE]),
        stable(beside(&aldr)),
        higher_for_corrupted(&grid),
    ];
    let mut ranks = average_ranks(&baselines, &aldr);
    let own = ranks.pop().expect("its own");
    let fixed: Vec<Contender> = LDR.into_iter().chain(ALDR).map(single).collect();
    let rows = baselines.iter().zip(ranks.into_iter().map(Some));
    let rows = rows.chain([(&ldr, Some(beside(&ldr))), (&aldr, Some(own))]);
    let rows = rows.chain(fixed.iter().map(|contender| (contender, None)));
    let tables = vec![accuracy_table(rows), temperature_table(&grid)];
    Ok((tables, claims))
}

/// Ranks by mean accuracy in each setting, 1 the best, equal ones sharing theirs, averaged over the settings: of the
/// baselines, then of the contender.
fn average_ranks(baselines: &[Contender], contender: &Contender) -> Vec<f64> {
    let all: Vec<&Contender> = baselines.iter().chain([contender]).collect();
    let mut ranks = vec![0.0; all.len()];
    for setting in 0..SETTINGS.len() {
        let means: Vec<f64> = all.iter().map(|c| summary(&c.accuracy[setting]).mean).collect();
        for (rank, mean) in ranks.iter_mut().zip(&means) {
            let better = means.iter().filter(|other| *other > mean).count() as f64;
            let equal = means.iter().filter(|other| *other == mean).count() as f64;
            *rank += (better + 0.5 * (equal + 1.0)) / SETTINGS.len() as f64;
        }
    }
    ranks
}

fn beats_cross_entropy(contender: &Contender, cross_entropy: &Contender) -> Claim {
    let difference = paired(
        &contender.accuracy[UNIFORM_06],
        &cross_entropy.accuracy[UNIFORM_06],
    );
    Claim {
        text: format!("{}, beats cross-entropy at uniform noise of 0.6", contender.label),
        criterion: "95% interval of the paired difference above 0".to_owned(),
        evidence: points(&difference),
        verdict: Some(Verdict::above_zero(&difference)),
        weight: Weight::Decisive,
    }
}

fn stable(rank: f64) -> Claim {
    let contenders = BASELINES + 1;
    let third = contenders as f64 / 3.0;
    Claim {
        text: "ALDR-KL is stable: among the best against 13 baselines over 7 settings".to_owned(),
        criterion: format!("its average rank among {contenders} in the top third, at most {third:.2}"),
        evidence: format!("average rank {rank:.2}"),
        verdict: Some(if rank <= third {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    }
}

fn higher_for_corrupted(grid: &Grid) -> Claim {
    let differences = ALDR.map(|method| {
        let (corrupted, clean) = grid.temperatures(UNIFORM_06, method);
        paired(&corrupted, &clean)
    });
    let evidence: Vec<String> = ALDR
        .iter()
        .zip(&differences)
        .map(|(&method, difference)| {
            let Paired { mean, low, high, .. } = difference;
            format!("{}: {mean:+.4} [{low:+.4}, {high:+.4}]", METHODS[method].label).replace('-', "−")
        })
        .collect();
    Claim {
        text: "samples with a wrong label get a higher temperature (uniform noise of 0.6)".to_owned(),
        criterion: "95% intervals of corrupted minus clean above 0 at every λ₀".to_owned(),
        evidence: evidence.join("; ").replace("ALDR−KL", "ALDR-KL"),
        verdict: Some(Verdict::of_all(differences.iter().map(Verdict::above_zero))),
        weight: Weight::Decisive,
    }
}

fn accuracy_table<'a>(rows: impl Iterator<Item = (&'a Contender, Option<f64>)>) -> Table {
    let cell = |values: &Vec<f64>| format!("{:.1}", 100.0 * summary(values).mean);
    let rows = rows.map(|(contender, rank)| {
        let cells = contender.accuracy.iter().map(cell);
        let rank = rank.map_or("—".to_owned(), |rank| format!("{rank:.1}"));
        let label = std::iter::once(contender.label.clone());
        label.chain(cells).chain([rank]).collect()
    });
    let settings = SETTINGS.iter().map(|setting| setting.label);
    let columns = std::iter::once("method").chain(settings).chain(["rank"]);
    Table {
        title: "A. Digits, labels corrupted: mean test accuracy in %; average rank among 14, the baselines beside \
                ALDR-KL"
            .to_owned(),
        columns: columns.map(str::to_owned).collect(),
        rows: rows.collect(),
    }
}

fn temperature_table(grid: &Grid) -> Table {
    let rows = ALDR.into_iter().flat_map(|method| {
        (0..SETTINGS.len()).map(move |setting| {
            let (corrupted, clean) = grid.temperatures(setting, method);
            let mean = |values: &[f64]| {
                let mean = summary(values).mean;
                if mean.is_nan() {
                    "—".to_owned()
                } else {
                    format!("{mean:.4}")
                }
            };
            vec![
                METHODS[method].label.to_owned(),
                SETTINGS[setting].label.to_owned(),
                mean(&corrupted),
                mean(&clean),
            ]
        })
    });
    Table {
        title: "B. Mean temperature λ_i at the end of training".to_owned(),
        columns: ["method", "labels", "corrupted", "clean"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_shared_between_equals_and_averaged() {
        let contender = |accuracy: f64| Contender {
            label: String::new(),
            accuracy: vec![vec![accuracy; 2]; SETTINGS.len()],
        };
        let ranks = average_ranks(&[contender(0.9), contender(0.5), contender(0.5)], &contender(0.7));
        for (rank, expected) in ranks.into_iter().zip([1.0, 3.5, 3.5, 2.0]) {
            assert!((rank - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn families_stand_where_the_indices_say() {
        assert!(LDR.iter().all(|&method| METHODS[method].objective == "ldr_kl"));
        assert!(ALDR.iter().all(|&method| METHODS[method].objective == "aldr_kl"));
        assert_eq!(BASELINES + LDR.len() + ALDR.len(), METHODS.len());
        assert_eq!(SETTINGS[UNIFORM_06].label, "uniform .6");
    }
}
