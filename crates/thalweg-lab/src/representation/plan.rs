//! What is to be compared, and how; the check of it against the data; and its run.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg::objective::{EpisodeShape, ObjectiveEntry, Settings, Task};
use thalweg::optimizer::LearningRates;
use thalweg_data::Dataset;

use super::{Episodes, RepresentationTrial, Training, few_shot, ssl, verification};
use crate::LabError;
use crate::comparison::{
    Contender, Rounds, Tuned, held_out, learning_rates, objective_for, recommend, refuse, summarise,
};
use crate::metrics::{self, Metric};
use crate::pool::Pool;
use crate::results::{Comparison, Condition, DataSummary, Protocol, Recommendation, Summary};
use crate::statistics::summary;
use crate::trial::{DataSpec, JudgedOn, Prepared};

/// What is to be compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What embeddings are trained for.
    pub task: Task,
    /// Names of the objectives.
    pub objectives: Vec<String>,
    /// Paired repetitions.
    pub seeds: usize,
    /// Passes over the training split; none: by its size.
    pub epochs: Option<usize>,
    /// Samples in a batch; none: what the task is used to.
    pub batch_size: Option<usize>,
    /// Sets of parameters tried for each objective.
    pub tries: usize,
    /// What episodes are wanted, where the task has such.
    pub episodes: Episodes,
    /// Name of the ranking metric; none: what the task is used to.
    pub metric: Option<String>,
    /// The exact command, for the record.
    pub command: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// What it was made with.
    pub versions: Vec<(String, String)>,
}

/// Training samples that the default number of epochs sees.
const SAMPLES_SEEN: usize = 64_000;
/// Samples in a batch of views, unless told otherwise.
const BATCH: usize = 200;
/// Samples in a batch of labelled samples, unless told otherwise.
const BATCH_OF_CLASSES: usize = 128;

/// A plan that is known to make sense for its data.
pub struct Checked<'a> {
    plan: &'a Plan,
    dataset: &'a Arc<Dataset>,
    entries: Vec<&'static ObjectiveEntry>,
    metric: &'static Metric,
    rounds: Rounds,
    epochs: usize,
    batch_size: usize,
    data: DataSpec,
}

impl Plan {
    /// Checks the plan against the data, before anything is run.
    ///
    /// # Errors
    /// When an objective or metric is unknown or of another task, a number out of range, or the data does not fit.
    pub fn check<'a>(&'a self, dataset: &'a Arc<Dataset>) -> Result<Checked<'a>, LabError> {
        if self.seeds == 0 || self.batch_size == Some(0) || self.epochs == Some(0) {
            return refuse("seeds, epochs and batch size are at least one each");
        }
        if dataset.classes.is_empty() {
            return refuse("targets here are numbers; embeddings are judged by classes");
        }
        let metric = self.metric()?;
        let mut data = held_out(dataset.fingerprint());
        let (training, validation) = if self.task == Task::SelfSupervised {
            // Splitting once shows whether every class has enough samples, and how large the splits are.
            let prepared = Prepared::new(dataset, &data, 0)?;
            (prepared.train.rows.len(), prepared.validation.rows.len())
        } else {
            data = DataSpec::new(dataset.fingerprint());
            (dataset.len() / 2, dataset.len() / 5)
        };
        let (usual_batch, usual_epochs) = match self.task {
            Task::FewShot => (0, 3),
            Task::Verification => (BATCH_OF_CLASSES, (SAMPLES_SEEN / training.max(1)).clamp(5, 60)),
            Task::SelfSupervised | Task::Classification => {
                (BATCH, (SAMPLES_SEEN / training.max(1)).clamp(5, 100))
            }
        };
        let rounds = Rounds {
            metric,
            tries: self.tries,
            splits: 1,
            seeds: self.seeds,
        };
        Ok(Checked {
            plan: self,
            dataset,
            entries: self.entries()?,
            metric,
            rounds: rounds.over_splits_of(validation),
            epochs: self.epochs.unwrap_or(usual_epochs),
            batch_size: self.batch_size.unwrap_or(usual_batch).min(training),
            data,
        })
    }

    fn metric(&self) -> Result<&'static Metric, LabError> {
        let of_task = || {
            metrics::CATALOGUE
                .iter()
                .filter(|metric| metric.task == self.task)
        };
        let Some(name) = &self.metric else {
            return Ok(of_task().next().expect("every task has metrics"));
        };
        let found = of_task().find(|metric| metric.name == name.as_str());
        found.ok_or_else(|| {
            let known: Vec<_> = of_task().map(|metric| metric.name).collect();
            let task = self.task.name();
            LabError::Plan(format!(
                "{name} is not measured for {task}; there are {}",
                known.join(", ")
            ))
        })
    }

    fn entries(&self) -> Result<Vec<&'static ObjectiveEntry>, LabError> {
        let mut entries: Vec<&'static ObjectiveEntry> = Vec::new();
        for name in &self.objectives {
            let entry = objective_for(self.task, name)?;
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

impl Checked<'_> {
    /// Trials there are to run.
    pub fn trials(&self) -> usize {
        self.entries.len() * self.rounds.trials()
    }

    /// Runs it.
    ///
    /// # Errors
    /// When a trial fails or the run is interrupted.
    pub fn run(&self, pool: &Pool) -> Result<Comparison, LabError> {
        // Whether a trial can be made does not depend on how it is set.
        self.data_summary()?;
        let trial = |tuned: &Tuned, seed, judged_on| self.trial(tuned, seed, judged_on);
        let tries = self.entries.iter().map(|&entry| {
            let contender = Contender::of(entry);
            Tuned::tries(contender, 0.0, self.rounds.tries, self.rates(), &Settings::new())
        });
        let (tuned, outcomes) = self.rounds.run(pool, self.dataset, tries.collect(), &trial)?;
        let entries = tuned
            .iter()
            .zip(outcomes.chunks(self.rounds.seeds))
            .map(|(tuned, outcomes)| {
                let candidate = &tuned.candidate;
                summarise::entry(
                    tuned.contender,
                    &candidate.settings,
                    candidate.learning_rate,
                    outcomes,
                    self.dataset.classes.len(),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        let baseline = self.baseline();
        let mut comparison = Comparison {
            command: self.plan.command.clone(),
            versions: self.plan.versions.clone(),
            started: self.plan.started.clone(),
            data: self.data_summary()?,
            protocol: self.protocol(self.untrained(pool)?)?,
            conditions: vec![Condition {
                noise: 0.0,
                entries: summarise::ranked(entries, self.metric, baseline),
            }],
            recommendation: Recommendation::default(),
        };
        comparison.recommendation = recommend::recommend(&comparison);
        Ok(comparison)
    }

    fn training(&self, learning_rate: f64, seed: u64) -> Result<Training, LabError> {
        let Self {
            dataset,
            epochs,
            batch_size,
            ..
        } = *self;
        Ok(match self.plan.task {
            Task::FewShot => {
                let asked = self.plan.episodes;
                Training::FewShot(few_shot::training(dataset, asked, epochs, learning_rate, seed))
            }
            Task::Verification => {
                let training = verification::training(dataset, epochs, batch_size, learning_rate, seed);
                Training::Verification(training)
            }
            Task::SelfSupervised | Task::Classification => {
                let training = ssl::training(dataset, epochs, batch_size, learning_rate, seed)?;
                Training::SelfSupervised(training)
            }
        })
    }

    /// What differences are taken to: the habit of the task where it takes part, else the first objective named.
    fn baseline(&self) -> &'static str {
        let habit = match self.plan.task {
            Task::FewShot => "prototypical",
            Task::Verification => "normalized_softmax",
            Task::SelfSupervised | Task::Classification => "nt_xent",
        };
        let found = self.entries.iter().find(|entry| entry.name == habit);
        found.unwrap_or(&self.entries[0]).name
    }

    /// The learning rates of the task's optimiser.
    fn rates(&self) -> LearningRates {
        learning_rates(match self.plan.task {
            Task::Verification => "sgd",
            _ => "adamw",
        })
    }

    fn trial(&self, tuned: &Tuned, seed: u64, judged_on: JudgedOn) -> RepresentationTrial {
        let training = self.training(tuned.candidate.learning_rate, seed);
        let training = training.expect("one was made before the first was run");
        let settings = tuned.candidate.settings.clone();
        RepresentationTrial {
            judged_on,
            ..RepresentationTrial::new(
                self.data.clone(),
                training,
                tuned.contender.objective.name,
                settings,
            )
        }
    }

    /// What an encoder is worth with its first weights, over the seeds of the final trials, where that is told.
    fn untrained(&self, pool: &Pool) -> Result<BTreeMap<String, Summary>, LabError> {
        if self.plan.task != Task::SelfSupervised {
            return Ok(BTreeMap::new());
        }
        let metrics = pool.try_map(self.rounds.seeds, |seed| {
            let (epochs, batch_size) = (self.epochs, self.batch_size);
            let rate = self.rates().default;
            let of_task = ssl::training(self.dataset, epochs, batch_size, rate, seed as u64)?;
            let training = Training::SelfSupervised(of_task.clone());
            let nothing = RepresentationTrial::new(self.data.clone(), training, "", Settings::new());
            ssl::untrained(&nothing, &of_task, self.dataset).map(Some)
        })?;
        let mut values = BTreeMap::<String, Vec<f64>>::new();
        for (name, value) in metrics.into_iter().flatten() {
            values.entry(name.to_owned()).or_default().push(value);
        }
        Ok(values
            .into_iter()
            .map(|(name, values)| (name, summary(&values)))
            .collect())
    }

    /// What trials see of the data; classes, not samples, are held out where embeddings are to tell new classes.
    fn data_summary(&self) -> Result<DataSummary, LabError> {
        let dataset = self.dataset;
        let tuned = self.rounds.tuning_trials() > 0;
        let split = match self.training(self.rates().default, 0)? {
            Training::SelfSupervised(_) => return summarise::data_summary(dataset, &self.data, None),
            Training::FewShot(training) => few_shot::split(&training, dataset, tuned)?,
            Training::Verification(training) => verification::split(&training, dataset, tuned)?,
        };
        Ok(DataSummary {
            name: dataset.name.clone(),
            samples: dataset.len(),
            features: dataset.width(),
            classes: dataset.classes.clone(),
            class_counts: dataset.class_counts(),
            split,
            imbalance: None,
            bags: None,
        })
    }

    fn protocol(&self, untrained: BTreeMap<String, Summary>) -> Result<Protocol, LabError> {
        let (model, optimizer, batch_size) = match self.training(self.rates().default, 0)? {
            Training::SelfSupervised(training) => {
                let model = ssl::describe(&training, self.dataset.width());
                (model, "Adam", training.batch_size)
            }
            Training::FewShot(training) => {
                let EpisodeShape { ways, shots, queries } = training.training;
                let model = few_shot::describe(&training, self.dataset);
                (model, "Adam", ways * (shots + queries))
            }
            Training::Verification(training) => {
                let model = verification::describe(&training, self.dataset.width());
                (
                    model,
                    "SGD, momentum 0.9, weight decay 5e-4, cosine schedule",
                    training.batch_size,
                )
            }
        };
        Ok(Protocol {
            model,
            optimizer: optimizer.to_owned(),
            seeds: self.rounds.seeds,
            epochs: self.epochs,
            batch_size,
            tuning_trials: self.rounds.tuning_trials(),
            metric: self.metric.name.to_owned(),
            baseline: self.baseline().to_owned(),
            objective: None,
            attack: None,
            teacher: None,
            task: self.plan.task,
            untrained,
        })
    }
}
