//! The main job: which objective should this data be trained with, or by which optimiser?
//!
//! Every objective gets the same number of tuning trials, judged on a validation split; then each, as tuned, is trained
//! once per seed and judged once on the test split. Splits, initial weights and batches at a seed are the same for all,
//! so differences are paired. The test split is one for the whole comparison: no tuning trial ever reads it.

mod contender;
pub(crate) mod recommend;
mod rounds;
pub(crate) mod summarise;

use std::sync::Arc;

use thalweg::catalogue;
use thalweg::objective::{ObjectiveEntry, Settings, Task};
use thalweg::optimizer::{LearningRates, OptimizerEntry};
use thalweg::robustness::Norm;
use thalweg_data::Dataset;

use crate::LabError;
use crate::metrics::{self, Metric};
use crate::model::{LEAST_SIDE, ModelSpec};
use crate::pool::Pool;
use crate::results::{Comparison, Condition};
use crate::trial::{
    AttackSpec, BagForming, DataSpec, ImbalanceKind, JudgedOn, NoiseKind, NoiseSpec, OptimizerSpec, Schedule,
    TrialSpec, WEIGHT_DECAY,
};

pub(crate) use contender::Contender;
pub(crate) use rounds::{Rounds, Tuned};

/// What is to be compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of the objectives; the one that all descend where optimisers are compared.
    pub objectives: Vec<String>,
    /// Names of the optimisers to compare; none where objectives are.
    pub optimizers: Vec<String>,
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
    /// How weights are moved, where objectives are compared.
    pub optimizer: Mover,
    /// Weight decay, as the optimiser understands it; none: 0 where objectives are compared, tuned where optimisers are.
    pub weight_decay: Option<f64>,
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

/// The optimiser that all objectives of a comparison descend by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mover {
    /// Its name in the catalogue.
    pub name: String,
    /// How the learning rate changes.
    pub schedule: Schedule,
}

impl Mover {
    /// AdamW at a constant learning rate.
    pub fn adam() -> Self {
        Self {
            name: "adamw".to_owned(),
            schedule: Schedule::Constant,
        }
    }

    /// The optimiser called so, its learning rate falling along a cosine.
    pub fn along_cosine(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            schedule: Schedule::Cosine,
        }
    }

    /// Its page in the catalogue.
    fn entry(&self) -> Result<&'static OptimizerEntry, LabError> {
        catalogue::optimizer(&self.name).ok_or_else(|| LabError::unknown_optimizer(&self.name))
    }
}

/// The learning rates of an optimiser.
///
/// # Panics
/// When there is none of its name.
pub(crate) fn learning_rates(optimizer: &str) -> LearningRates {
    catalogue::optimizer(optimizer)
        .expect("an optimiser of the catalogue")
        .learning_rate
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
    contenders: Vec<Contender>,
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
        let contenders = self.contenders()?;
        self.check_supervision(&contenders, dataset)?;
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
        if let Some(decay) = self.weight_decay
            && !(decay >= 0.0 && decay.is_finite())
        {
            return refuse(format!("a weight decay is at least 0, not {decay}"));
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
            contenders,
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
    fn check_supervision(&self, contenders: &[Contender], dataset: &Dataset) -> Result<(), LabError> {
        for entry in contenders.iter().map(|contender| contender.objective) {
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
                "constraint_distance" => false,
                "top_3_accuracy" => dataset.classes.len() > metrics::TOP_K,
                _ => dataset.numbers.is_none(),
            })
            .map(|metric| metric.name)
            .collect();
        match metric.name {
            name if known.contains(&name) => Ok(()),
            "robust_accuracy" => refuse("robust_accuracy needs an attack, such as --attack l_inf:0.1"),
            "constraint_distance" => {
                refuse("constraint_distance is told, but not every optimiser has a constraint")
            }
            "top_3_accuracy" if dataset.numbers.is_none() => {
                refuse("top_3_accuracy says nothing about three classes or fewer")
            }
            name => refuse(format!(
                "{name} is not known here; there are {}",
                known.join(", ")
            )),
        }
    }

    fn contenders(&self) -> Result<Vec<Contender>, LabError> {
        let mut contenders: Vec<Contender> = Vec::new();
        let mut add = |contender: Contender| {
            if !contenders.iter().any(|known| known.name() == contender.name()) {
                contenders.push(contender);
            }
        };
        if self.optimizers.is_empty() {
            if self.optimizer.entry()?.objective.is_some() {
                return refuse(format!(
                    "{} changes the objective; compare it with --optimizers",
                    self.optimizer.name
                ));
            }
            for name in &self.objectives {
                add(Contender::of(self.scored(name)?));
            }
        } else {
            let [objective] = &self.objectives[..] else {
                return refuse("optimisers are compared on one objective; name one with --objectives");
            };
            let objective = self.scored(objective)?;
            for name in &self.optimizers {
                let entry = catalogue::optimizer(name).ok_or_else(|| LabError::unknown_optimizer(name))?;
                if let Some(own) = entry.objective
                    && objective.name != "cross_entropy"
                {
                    return refuse(format!(
                        "{name} descends cross-entropy with a term of its own ({own}), and not {}",
                        objective.name
                    ));
                }
                add(Contender::descending(objective, entry)?);
            }
        }
        if contenders.len() < 2 {
            return refuse(match self.optimizers.len() {
                0 => "a comparison needs at least two objectives",
                _ => "a comparison needs at least two optimisers",
            });
        }
        Ok(contenders)
    }

    /// The objective of scores called `name`.
    fn scored(&self, name: &str) -> Result<&'static ObjectiveEntry, LabError> {
        let entry = objective_for(Task::Classification, name)?;
        if entry.build(&entry.defaults())?.needs().teacher {
            return refuse(format!(
                "{name} learns from a teacher; compare such objectives with thalweg distill"
            ));
        }
        Ok(entry)
    }

    /// How weights are moved, in words.
    fn optimizer_words(&self) -> String {
        let decay = match self.weight_decay {
            Some(decay) if decay > 0.0 => format!(", weight decay {decay}"),
            _ => String::new(),
        };
        let moved = match self.optimizer.name.as_str() {
            _ if !self.optimizers.is_empty() => "each optimiser with a cosine schedule".to_owned(),
            "adamw" if self.optimizer == Mover::adam() => "Adam".to_owned(),
            "sgd" => "SGD, momentum 0.9, cosine schedule".to_owned(),
            name => format!("{name}, cosine schedule"),
        };
        format!("{moved}{decay}, gradient norm at most 5")
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
        self.plan.noise.len() * self.contenders.len() * self.rounds.trials()
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
        let Tuned {
            noise,
            contender,
            candidate,
        } = tuned;
        let [objective, mut optimizer] = contender.split(&candidate.settings);
        let mut spec = TrialSpec::new(
            self.data(*noise),
            self.plan.model.clone(),
            contender.objective.name,
            objective,
            seed,
        );
        let given = self.plan.weight_decay.unwrap_or(0.0);
        spec.weight_decay = optimizer.remove(WEIGHT_DECAY).unwrap_or(given);
        spec.optimizer = match contender.optimizer {
            Some(entry) => OptimizerSpec {
                name: entry.name.to_owned(),
                settings: optimizer,
                schedule: Schedule::Cosine,
            },
            None => OptimizerSpec {
                name: self.plan.optimizer.name.clone(),
                settings: Settings::new(),
                schedule: self.plan.optimizer.schedule.clone(),
            },
        };
        spec.learning_rate = candidate.learning_rate;
        spec.epochs = self.epochs;
        spec.batch_size = self.plan.batch_size;
        spec.judged_on = judged_on;
        spec.attack = self.plan.attack;
        spec
    }

    /// The tries of each contender at each noise level, in that order within levels.
    fn tried(&self) -> Vec<Vec<Tuned>> {
        let pinned = self.pinned();
        let each = self
            .plan
            .noise
            .iter()
            .flat_map(|&noise| self.contenders.iter().map(move |&contender| (noise, contender)));
        let rates = learning_rates(&self.plan.optimizer.name);
        each.map(|(noise, contender)| Tuned::tries(contender, noise, self.rounds.tries, rates, &pinned))
            .collect()
    }

    /// What is not tuned: a given weight decay, and the ball of an adversarial objective, which is the one that robust accuracy
    /// is measured in.
    fn pinned(&self) -> Settings {
        let mut pinned = Settings::new();
        if let Some(decay) = self.plan.weight_decay {
            pinned.insert(WEIGHT_DECAY.to_owned(), decay);
        }
        if let Some(attack) = self.plan.attack
            && attack.norm == Norm::LInf
        {
            pinned.insert("epsilon".to_owned(), attack.epsilon);
        }
        pinned
    }
}
