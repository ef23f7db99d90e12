//! The main job: which objective should this data be trained with?
//!
//! Every objective gets the same number of tuning trials, judged on a validation split; then each, as tuned, is trained
//! once per seed and judged once on the test split. Splits, initial weights and batches at a seed are the same for all,
//! so differences are paired. The test split is one for the whole comparison: no tuning trial ever reads it.

pub(crate) mod recommend;
mod rounds;
pub(crate) mod summarise;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg::catalogue;
use thalweg::objective::{ObjectiveEntry, Settings, Task};
use thalweg::robustness::Norm;
use thalweg_data::Dataset;

use crate::LabError;
use crate::metrics::{self, Metric};
use crate::model::{LEAST_SIDE, ModelSpec};
use crate::pool::Pool;
use crate::results::{Comparison, Condition};
use crate::trial::{
    AttackSpec, BagForming, DataSpec, ImbalanceKind, JudgedOn, NoiseKind, NoiseSpec, OptimizerSpec, Schedule,
    TrialSpec,
};

use crate::tuning::LearningRates;
pub(crate) use rounds::{Rounds, Tuned};

/// What is to be compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of the objectives.
    pub objectives: Vec<String>,
    /// Noise levels, at least one.
    pub noise: Vec<f64>,
    /// Kind of label noise.
    pub noise_kind: NoiseKind,
    /// Ratio and profile of class imbalance.
    pub imbalance: Option<(f64, ImbalanceKind)>,
    /// The network.
    pub model: ModelSpec,
    /// Paired repetitions.
    pub seeds: usize,
    /// Passes over the training split; none: by its size.
    pub epochs: Option<usize>,
    /// Samples in a batch.
    pub batch_size: usize,
    /// How weights are moved.
    pub optimizer: Mover,
    /// Weight decay: decoupled for Adam, part of the gradient for SGD.
    pub weight_decay: f64,
    /// Sets of parameters tried for each objective, at each noise level.
    pub tries: usize,
    /// How bags are formed, where targets are to be known by bag only.
    pub bags: Option<BagForming>,
    /// Name of the ranking metric; none: accuracy, or how well bags are met where there are no classes.
    pub metric: Option<String>,
    /// Attack of the robust accuracy.
    pub attack: Option<AttackSpec>,
    /// The exact command, for the record.
    pub command: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// What it was made with.
    pub versions: Vec<(String, String)>,
}

/// An optimiser to compare under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// Adam at a constant learning rate.
    Adam,
    /// Gradient descent with momentum 0.9, the learning rate falling along a cosine.
    Sgd,
}

impl Mover {
    fn spec(self) -> OptimizerSpec {
        match self {
            Self::Adam => OptimizerSpec::Adam,
            Self::Sgd => OptimizerSpec::Sgd {
                momentum: 0.9,
                schedule: Schedule::Cosine,
            },
        }
    }

    fn learning_rates(self) -> LearningRates {
        match self {
            Self::Adam => LearningRates::ADAM,
            Self::Sgd => LearningRates::SGD,
        }
    }

    /// In words.
    fn words(self) -> &'static str {
        match self {
            Self::Adam => "Adam",
            Self::Sgd => "SGD, momentum 0.9, cosine schedule",
        }
    }
}

/// Share of the samples that the test split takes, where none is published.
const TEST_FRACTION: f64 = 0.2;
/// Share of the others that the validation split takes.
const VALIDATION_FRACTION: f64 = 0.25;
/// Seed of the test split.
const TEST_SEED: u64 = 0;
/// Training samples that the default number of epochs sees: 30 passes over the embedded digits.
const SAMPLES_SEEN: usize = 32_000;

/// All of a data set but a test split and, by seed, a validation split.
pub(crate) fn held_out(fingerprint: String) -> DataSpec {
    DataSpec {
        test_fraction: TEST_FRACTION,
        test_seed: TEST_SEED,
        validation_fraction: VALIDATION_FRACTION,
        ..DataSpec::new(fingerprint)
    }
}

/// A plan that is known to make sense for its data.
pub struct Checked<'a> {
    plan: &'a Plan,
    dataset: &'a Arc<Dataset>,
    entries: Vec<&'static ObjectiveEntry>,
    metric: &'static Metric,
    rounds: Rounds,
    epochs: usize,
    fingerprint: String,
}

impl Plan {
    /// Checks the plan against the data, before anything is run.
    ///
    /// # Errors
    /// When an objective or metric is unknown, a number out of range, or the data does not fit the model or the splits.
    pub fn check<'a>(&'a self, dataset: &'a Arc<Dataset>) -> Result<Checked<'a>, LabError> {
        let entries = self.entries()?;
        self.check_supervision(&entries, dataset)?;
        let name = match &self.metric {
            Some(name) => name,
            None if dataset.numbers.is_some() => bag_metric(dataset),
            None => "accuracy",
        };
        let metric = metrics::find(name).ok_or_else(|| {
            let known: Vec<_> = metrics::CATALOGUE.iter().map(|metric| metric.name).collect();
            LabError::Plan(format!(
                "there is no metric `{name}`; there are {}",
                known.join(", ")
            ))
        })?;
        self.check_metric(metric, dataset)?;
        if let Some(rate) = self.noise.iter().find(|rate| !(0.0..1.0).contains(*rate)) {
            return refuse(format!("a noise level is at least 0 and below 1, not {rate}"));
        }
        if let Some((ratio, _)) = self.imbalance
            && !(ratio >= 1.0 && ratio.is_finite())
        {
            return refuse(format!(
                "an imbalance is the largest over the smallest class, at least 1, not {ratio}"
            ));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse(format!("a weight decay is at least 0, not {}", self.weight_decay));
        }
        if self.seeds == 0 || self.batch_size == 0 || self.epochs == Some(0) || self.noise.is_empty() {
            return refuse("seeds, epochs, batch size and noise levels are at least one each");
        }
        if self.model == ModelSpec::Cnn {
            match dataset.feature_shape[..] {
                [_, height, width] if height.min(width) >= LEAST_SIDE => {}
                _ => {
                    return refuse(format!(
                        "the model cnn needs images; samples here have shape {:?}",
                        dataset.feature_shape
                    ));
                }
            }
        }
        let checked = Checked {
            plan: self,
            dataset,
            entries,
            metric,
            rounds: Rounds {
                // Tuning knows no more than is known of the validation split.
                metric: match self.bags {
                    Some(_) => metrics::find(bag_metric(dataset)).expect("bags have metrics"),
                    None => metric,
                },
                tries: self.tries,
                splits: 1,
                seeds: self.seeds,
            },
            epochs: 0,
            fingerprint: dataset.fingerprint(),
        };
        // Splitting once shows whether every class has enough samples, and how large the training split is.
        let prepared = crate::trial::Prepared::new(dataset, &checked.data(self.noise[0]), 0)?;
        let by_size = (SAMPLES_SEEN / prepared.train.rows.len().max(1)).clamp(5, 100);
        Ok(Checked {
            epochs: self.epochs.unwrap_or(by_size),
            rounds: checked.rounds.over_splits_of(prepared.validation.rows.len()),
            ..checked
        })
    }

    /// Whether the objectives are told what they need, and the metrics what there is.
    fn check_supervision(&self, entries: &[&ObjectiveEntry], dataset: &Dataset) -> Result<(), LabError> {
        for entry in entries {
            let needs_bags = entry.build(&entry.defaults())?.needs().bag_means;
            let (told, advice) = match (needs_bags, self.bags) {
                (true, None) => (
                    "the class of each sample is told",
                    "give bags with --bag COLUMN or --bags-of N",
                ),
                (false, Some(_)) => (
                    "only the mean of each bag is told",
                    "leave --bag and --bags-of away, or compare the family aggregate",
                ),
                _ => continue,
            };
            return refuse(format!("{} cannot take part where {told}; {advice}", entry.name));
        }
        match self.bags {
            None if dataset.numbers.is_some() => {
                return refuse(
                    "targets here are numbers, not classes; with --bags-of N they are learnt from means of bags",
                );
            }
            None => return Ok(()),
            Some(BagForming::Random(0)) => return refuse("a bag has at least one sample"),
            Some(BagForming::Random(_)) if dataset.published_test.is_some() => {
                return refuse("random bags need data without a published test part");
            }
            Some(BagForming::Column) if dataset.bags.is_none() => {
                return refuse("the data have no column of bags");
            }
            Some(_) => {}
        }
        if self.noise.iter().any(|&rate| rate > 0.0) || self.imbalance.is_some() || self.attack.is_some() {
            return refuse(
                "noise, imbalance and attacks are for samples with classes of their own, not for bags",
            );
        }
        Ok(())
    }

    /// Whether the trials will know the metric.
    fn check_metric(&self, metric: &Metric, dataset: &Dataset) -> Result<(), LabError> {
        let of_bags: &[&str] = match (self.bags, &dataset.numbers) {
            (None, _) => &[],
            (Some(_), Some(numbers)) if !numbers.are_shares() => &["bag_rmse", "bag_mae"],
            (Some(_), _) => &["bag_rmse", "bag_mae", "bag_cross_entropy"],
        };
        let of_numbers: &[&str] = match &dataset.numbers {
            Some(_) if self.bags.is_some() && singles_known(dataset) => &["rmse", "r2"],
            _ => &[],
        };
        let known: Vec<&str> = metrics::CATALOGUE
            .iter()
            .filter(|metric| metric.task == Task::Classification)
            .filter(|metric| match metric.name {
                "bag_rmse" | "bag_mae" | "bag_cross_entropy" => of_bags.contains(&metric.name),
                "rmse" | "r2" => of_numbers.contains(&metric.name),
                "robust_accuracy" => self.attack.is_some(),
                "top_3_accuracy" => dataset.classes.len() > metrics::TOP_K,
                _ => dataset.numbers.is_none(),
            })
            .map(|metric| metric.name)
            .collect();
        match metric.name {
            name if known.contains(&name) => Ok(()),
            "robust_accuracy" => refuse("robust_accuracy needs an attack, such as --attack l_inf:0.1"),
            "top_3_accuracy" if dataset.numbers.is_none() => {
                refuse("top_3_accuracy says nothing about three classes or fewer")
            }
            name => refuse(format!(
                "{name} is not known here; there are {}",
                known.join(", ")
            )),
        }
    }

    fn entries(&self) -> Result<Vec<&'static ObjectiveEntry>, LabError> {
        let mut entries: Vec<&'static ObjectiveEntry> = Vec::new();
        for name in &self.objectives {
            let entry = objective_for(Task::Classification, name)?;
            if entry.build(&entry.defaults())?.needs().teacher {
                return refuse(format!(
                    "{name} learns from a teacher; compare such objectives with thalweg distill"
                ));
            }
            if !entries.iter().any(|known| known.name == entry.name) {
                entries.push(entry);
            }
        }
        if entries.len() < 2 {
            return refuse("a comparison needs at least two objectives");
        }
        Ok(entries)
    }
}

/// Whether targets that are numbers are known for single samples, and not as means of bags only.
fn singles_known(dataset: &Dataset) -> bool {
    let (Some(numbers), Some(bags)) = (&dataset.numbers, &dataset.bags) else {
        return true;
    };
    let mut first = vec![None; bags.names.len()];
    let mut pairs = numbers.values.iter().zip(&bags.index);
    pairs.any(|(&value, &bag)| *first[bag as usize].get_or_insert(value) != value)
}

/// The metric that bag means alone decide.
fn bag_metric(dataset: &Dataset) -> &'static str {
    match &dataset.numbers {
        Some(numbers) if !numbers.are_shares() => "bag_rmse",
        _ => "bag_cross_entropy",
    }
}

/// The objective called `name`.
///
/// # Errors
/// When there is none, or it trains for other tasks.
pub(crate) fn objective_for(task: Task, name: &str) -> Result<&'static ObjectiveEntry, LabError> {
    let entry = catalogue::objective(name).ok_or_else(|| LabError::unknown_objective(name))?;
    if entry.tasks().contains(&task) {
        return Ok(entry);
    }
    let tasks: Vec<_> = entry.tasks().iter().map(|task| task.name()).collect();
    refuse(format!(
        "{name} trains for {}; compare it with --task {}",
        tasks.join(" and "),
        tasks[0]
    ))
}

pub(crate) fn refuse<T>(why: impl Into<String>) -> Result<T, LabError> {
    Err(LabError::Plan(why.into()))
}

impl Checked<'_> {
    /// Trials there are to run.
    pub fn trials(&self) -> usize {
        self.plan.noise.len() * self.entries.len() * self.rounds.trials()
    }

    /// Passes over the training split.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Runs it.
    ///
    /// # Errors
    /// When a trial fails or the run is interrupted.
    pub fn run(&self, pool: &Pool) -> Result<Comparison, LabError> {
        let spec = |tuned: &Tuned, seed, judged_on| self.spec(tuned, seed, judged_on);
        let (tuned, outcomes) = self.rounds.run(pool, self.dataset, self.tried(), &spec)?;
        let judged = tuned.iter().zip(outcomes.chunks(self.rounds.seeds));
        let mut conditions: Vec<Condition> = Vec::new();
        let mut judged = judged.peekable();
        while let Some((first, _)) = judged.peek() {
            let noise = first.noise;
            let mut of_condition = Vec::new();
            while let Some(pair) = judged.next_if(|(tuned, _)| tuned.noise == noise) {
                of_condition.push(pair);
            }
            conditions.push(self.condition(noise, &of_condition)?);
        }
        let mut comparison = Comparison {
            command: self.plan.command.clone(),
            versions: self.plan.versions.clone(),
            started: self.plan.started.clone(),
            data: self.data_summary()?,
            protocol: self.protocol(),
            conditions,
            recommendation: crate::results::Recommendation::default(),
        };
        comparison.recommendation = recommend::recommend(&comparison);
        Ok(comparison)
    }

    fn data(&self, noise: f64) -> DataSpec {
        DataSpec {
            noise: (noise > 0.0).then_some(NoiseSpec {
                rate: noise,
                kind: self.plan.noise_kind,
            }),
            imbalance: self.plan.imbalance,
            bags: self.plan.bags,
            ..held_out(self.fingerprint.clone())
        }
    }

    fn spec(&self, tuned: &Tuned, seed: u64, judged_on: JudgedOn) -> TrialSpec {
        let settings = tuned.candidate.settings.clone();
        let mut spec = TrialSpec::new(
            self.data(tuned.noise),
            self.plan.model.clone(),
            tuned.entry.name,
            settings,
            seed,
        );
        spec.optimizer = self.plan.optimizer.spec();
        spec.weight_decay = self.plan.weight_decay;
        spec.learning_rate = tuned.candidate.learning_rate;
        spec.epochs = self.epochs;
        spec.batch_size = self.plan.batch_size;
        spec.judged_on = judged_on;
        spec.attack = self.plan.attack;
        spec
    }

    /// The tries of each objective at each noise level, in that order within levels.
    fn tried(&self) -> Vec<Vec<Tuned>> {
        let pinned = self.pinned();
        let each = self
            .plan
            .noise
            .iter()
            .flat_map(|&noise| self.entries.iter().map(move |&entry| (noise, entry)));
        let rates = self.plan.optimizer.learning_rates();
        each.map(|(noise, entry)| Tuned::tries(entry, noise, self.rounds.tries, rates, &pinned))
            .collect()
    }

    /// An adversarial objective trains against the ball that robust accuracy is measured in.
    fn pinned(&self) -> Settings {
        match self.plan.attack {
            Some(attack) if attack.norm == Norm::LInf => [("epsilon".to_owned(), attack.epsilon)].into(),
            _ => BTreeMap::new(),
        }
    }
}
