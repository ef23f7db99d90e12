//! Several ways to learn from one teacher, compared: each method trained once per seed with the same student, initial
//! weights and batches, judged once on the same test split after the last epoch.
//!
//! Methods run with the parameters of their papers unless told otherwise: nothing is tuned, so nothing is held out to tune
//! by, and the students train on all that the teacher trained on.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg::catalogue;
use thalweg::objective::{ObjectiveEntry, Settings, Task};
use thalweg_data::Dataset;

use super::Teacher;
use crate::LabError;
use crate::comparison::{Contender, recommend, summarise};
use crate::metrics::{self, Metric};
use crate::model::{AuxiliaryHeadSpec, ModelSpec};
use crate::pool::Pool;
use crate::results::{Comparison, Condition, Protocol, Recommendation, TeacherSummary};
use crate::trial::{DataSpec, OptimizerSpec, Prepared, Schedule, Source, TrialSpec};

/// Share of the samples that the test split takes, where none is published.
const TEST_FRACTION: f64 = 0.2;
/// Seed of the test split.
const TEST_SEED: u64 = 0;
/// Seed of the teacher, which no student has.
const TEACHER_SEED: u64 = 2_000_000;
/// Share of the last step that a step repeats.
const MOMENTUM: f64 = 0.9;
/// Training samples that the default number of epochs sees, of students; teachers see half of them.
const SAMPLES_SEEN: usize = 96_000;

/// A method: an objective and what of its parameters is not as its paper has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// Name in the catalogue.
    pub objective: String,
    /// Its parameters; defaults for what is left out.
    pub settings: Settings,
}

/// What is to be compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The methods.
    pub methods: Vec<Method>,
    /// The student.
    pub student: ModelSpec,
    /// Its second head, for methods that have one.
    pub auxiliary_head: AuxiliaryHeadSpec,
    /// Paired repetitions.
    pub seeds: usize,
    /// Passes over the training split; none: by its size.
    pub epochs: Option<usize>,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Learning rate of the first epochs.
    pub learning_rate: f64,
    /// Weight decay, as part of the gradient.
    pub weight_decay: f64,
    /// Name of the ranking metric.
    pub metric: String,
    /// The exact command, for the record.
    pub command: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// What it was made with.
    pub versions: Vec<(String, String)>,
}

/// A plan that is known to make sense for its data.
pub struct Checked<'a> {
    plan: &'a Plan,
    dataset: &'a Arc<Dataset>,
    methods: Vec<(&'static ObjectiveEntry, Settings)>,
    metric: &'static Metric,
    epochs: usize,
    data: DataSpec,
}

/// Epochs, counted from 0, before which the learning rate falls tenfold: at .62, .75 and .87 of them.
pub fn step_drops(epochs: usize) -> Schedule {
    let drops = [0.62, 0.75, 0.87].map(|share| (share * epochs as f64).round() as usize);
    Schedule::Drops(drops.to_vec())
}

/// How a teacher is trained: cross-entropy at a constant learning rate on all but the test split. `epochs`: none for half
/// of what students get by default.
pub fn teacher_trial(
    dataset: &Dataset,
    model: ModelSpec,
    epochs: Option<usize>,
    batch_size: usize,
) -> TrialSpec {
    let data = data_spec(dataset.fingerprint());
    let mut spec = TrialSpec::new(data, model, "cross_entropy", Settings::new(), TEACHER_SEED);
    spec.optimizer = OptimizerSpec::sgd(MOMENTUM, Schedule::Constant);
    spec.learning_rate = 0.05;
    spec.weight_decay = 5e-4;
    spec.epochs = epochs.unwrap_or_else(|| by_size(SAMPLES_SEEN / 2, dataset.len()));
    spec.batch_size = batch_size;
    spec
}

/// All but the test split to train on.
pub(crate) fn data_spec(fingerprint: String) -> DataSpec {
    DataSpec {
        test_fraction: TEST_FRACTION,
        test_seed: TEST_SEED,
        ..DataSpec::new(fingerprint)
    }
}

/// Epochs over a training split of so many samples where nothing is said.
pub(crate) fn default_epochs(samples: usize) -> usize {
    by_size(SAMPLES_SEEN, samples)
}

fn by_size(seen: usize, samples: usize) -> usize {
    (seen / samples.max(1)).clamp(5, 100)
}

impl Plan {
    /// Checks the plan against the data, before anything is run.
    ///
    /// # Errors
    /// When an objective or metric is unknown, settings are refused, a number is out of range, or the data cannot be split.
    pub fn check<'a>(&'a self, dataset: &'a Arc<Dataset>) -> Result<Checked<'a>, LabError> {
        let metric = metrics::find(&self.metric).filter(|metric| metric.name != "robust_accuracy");
        let metric = metric.ok_or_else(|| {
            let known: Vec<_> = metrics::CATALOGUE.iter().map(|metric| metric.name).collect();
            let known = known.into_iter().filter(|name| *name != "robust_accuracy");
            let known: Vec<_> = known.collect();
            LabError::Plan(format!(
                "students are not ranked by `{}`; there are {}",
                self.metric,
                known.join(", ")
            ))
        })?;
        if self.seeds == 0 || self.batch_size == 0 || self.epochs == Some(0) {
            return refuse("seeds, epochs and batch size are at least one each");
        }
        for (name, value) in [
            ("learning rate", self.learning_rate),
            ("weight decay", self.weight_decay),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return refuse(format!("the {name} is at least 0 and finite, not {value}"));
            }
        }
        if self.student == ModelSpec::Cnn && dataset.feature_shape.len() != 3 {
            return refuse("the model cnn needs images");
        }
        let data = data_spec(dataset.fingerprint());
        // Splitting once shows whether every class has enough samples, and how large the training split is.
        let prepared = Prepared::new(dataset, &data, 0)?;
        Ok(Checked {
            plan: self,
            dataset,
            methods: self.entries()?,
            metric,
            epochs: self
                .epochs
                .unwrap_or_else(|| default_epochs(prepared.train.rows.len())),
            data,
        })
    }

    fn entries(&self) -> Result<Vec<(&'static ObjectiveEntry, Settings)>, LabError> {
        let mut methods: Vec<(&'static ObjectiveEntry, Settings)> = Vec::new();
        for method in &self.methods {
            let entry = catalogue::objective(&method.objective)
                .ok_or_else(|| LabError::unknown_objective(&method.objective))?;
            if methods.iter().any(|(known, _)| known.name == entry.name) {
                continue;
            }
            let mut settings = entry.defaults();
            settings.extend(method.settings.clone());
            entry.build(&settings)?;
            methods.push((entry, settings));
        }
        if methods.len() < 2 {
            return refuse("a comparison needs at least two methods");
        }
        Ok(methods)
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, LabError> {
    Err(LabError::Plan(why.into()))
}

impl Checked<'_> {
    /// Trials there are to run.
    pub fn trials(&self) -> usize {
        self.methods.len() * self.plan.seeds
    }

    /// Runs it.
    ///
    /// # Errors
    /// When a trial fails or the run is interrupted.
    pub fn run(&self, teacher: &Teacher, pool: &Pool) -> Result<Comparison, LabError> {
        let specs = self
            .methods
            .iter()
            .flat_map(|method| (0..self.plan.seeds as u64).map(move |seed| (method, seed)))
            .map(|((entry, settings), seed)| {
                self.spec(entry, settings, seed)
                    .taught(teacher, self.plan.auxiliary_head)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let outcomes = pool.run(Source::taught(self.dataset, teacher), &specs)?;
        let classes = self.dataset.classes.len();
        let judged = self.methods.iter().zip(outcomes.chunks(self.plan.seeds));
        let entries = judged
            .map(|((entry, settings), outcomes)| {
                summarise::entry(
                    Contender::of(entry),
                    settings,
                    self.plan.learning_rate,
                    outcomes,
                    classes,
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        let entries = summarise::ranked(entries, self.metric, self.baseline());
        let mut comparison = Comparison {
            command: self.plan.command.clone(),
            versions: self.plan.versions.clone(),
            started: self.plan.started.clone(),
            data: summarise::data_summary(self.dataset, &self.data, None)?,
            protocol: self.protocol(teacher)?,
            conditions: vec![Condition { noise: 0.0, entries }],
            recommendation: Recommendation::default(),
        };
        comparison.recommendation = recommend::recommend(&comparison);
        Ok(comparison)
    }

    /// What differences are taken to: cross-entropy where it takes part, else the first method named.
    fn baseline(&self) -> &'static str {
        let habit = self
            .methods
            .iter()
            .find(|(entry, _)| entry.name == "cross_entropy");
        habit.unwrap_or(&self.methods[0]).0.name
    }

    fn spec(&self, entry: &ObjectiveEntry, settings: &Settings, seed: u64) -> TrialSpec {
        let mut spec = TrialSpec::new(
            self.data.clone(),
            self.plan.student.clone(),
            entry.name,
            settings.clone(),
            seed,
        );
        spec.optimizer = OptimizerSpec::sgd(MOMENTUM, step_drops(self.epochs));
        spec.learning_rate = self.plan.learning_rate;
        spec.weight_decay = self.plan.weight_decay;
        spec.epochs = self.epochs;
        spec.batch_size = self.plan.batch_size;
        spec
    }

    fn protocol(&self, teacher: &Teacher) -> Result<Protocol, LabError> {
        let dataset = self.dataset;
        let test = Prepared::new(dataset, &self.data, 0)?.test;
        Ok(Protocol {
            model: self
                .plan
                .student
                .describe(&dataset.feature_shape, dataset.classes.len()),
            optimizer: format!(
                "SGD, momentum {MOMENTUM}, tenfold drops at .62, .75 and .87, gradient norm at most 5"
            ),
            seeds: self.plan.seeds,
            epochs: self.epochs,
            batch_size: self.plan.batch_size,
            tuning_trials: 0,
            metric: self.metric.name.to_owned(),
            baseline: self.baseline().to_owned(),
            objective: None,
            attack: None,
            teacher: Some(TeacherSummary {
                description: teacher.description().to_owned(),
                accuracy: teacher.accuracy(&test.rows, &test.labels),
            }),
            task: Task::Classification,
            untrained: BTreeMap::new(),
        })
    }
}
