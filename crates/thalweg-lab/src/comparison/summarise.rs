//! From the outcomes of trials to the record of a comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg::objective::{ObjectiveEntry, Settings, Task, margin_curve};
use thalweg::robustness::Norm;
use thalweg_data::Dataset;

use super::{Checked, Contender, Tuned};
use crate::LabError;
use crate::metrics::{Metric, pool_reliability};
use crate::results::{BagSummary, Condition, DataSummary, Entry, EpochPoint, MarginPoint, Protocol};
use crate::statistics::{differences, summary};
use crate::trial::{AttackSpec, DataSpec, Outcome, Part, Prepared};
use crate::tuning::Candidate;
use crate::verification::CurvePoint;

impl Checked<'_> {
    pub(super) fn data_summary(&self) -> Result<DataSummary, LabError> {
        let spec = self.data(self.plan.noise[0]);
        data_summary(self.dataset, &spec, self.plan.imbalance.map(|(ratio, _)| ratio))
    }

    pub(super) fn protocol(&self) -> Protocol {
        let dataset = self.dataset;
        Protocol {
            model: self
                .plan
                .model
                .describe(&dataset.feature_shape, dataset.classes.len().max(1)),
            optimizer: self.plan.optimizer_words(),
            seeds: self.plan.seeds,
            epochs: self.epochs,
            batch_size: self.plan.batch_size,
            tuning_trials: self.rounds.tuning_trials(),
            metric: self.metric.name.to_owned(),
            baseline: self.baseline().to_owned(),
            objective: (!self.plan.optimizers.is_empty()).then(|| self.plan.objectives[0].clone()),
            attack: self
                .plan
                .attack
                .map(|AttackSpec { norm, epsilon, .. }| match norm {
                    Norm::LInf => format!("l_inf:{epsilon}"),
                    Norm::L2 => format!("l_2:{epsilon}"),
                }),
            teacher: None,
            task: Task::Classification,
            untrained: BTreeMap::new(),
        }
    }

    /// What differences are taken to: cross-entropy or AdamW where it takes part, else the first named.
    fn baseline(&self) -> &'static str {
        let habits = ["cross_entropy", "adamw"];
        let names = || self.contenders.iter().map(Contender::name);
        let habit = names().find(|name| habits.contains(name));
        habit.unwrap_or_else(|| self.contenders[0].name())
    }

    pub(super) fn condition(
        &self,
        noise: f64,
        judged: &[(&Tuned, &[Outcome])],
    ) -> Result<Condition, LabError> {
        let classes = self.dataset.classes.len();
        let entries = judged
            .iter()
            .map(|(tuned, outcomes)| {
                let Candidate {
                    settings,
                    learning_rate,
                } = &tuned.candidate;
                entry(tuned.contender, settings, *learning_rate, outcomes, classes)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let entries = ranked(entries, self.metric, self.baseline());
        Ok(Condition { noise, entries })
    }
}

/// What trials of a data set see of it.
///
/// # Errors
/// When it cannot be split as asked.
pub(crate) fn data_summary(
    dataset: &Arc<Dataset>,
    spec: &DataSpec,
    imbalance: Option<f64>,
) -> Result<DataSummary, LabError> {
    let prepared = Prepared::new(dataset, spec, 0)?;
    Ok(DataSummary {
        name: dataset.name.clone(),
        samples: dataset.len(),
        features: dataset.width(),
        classes: dataset.classes.clone(),
        class_counts: dataset.class_counts(),
        split: [&prepared.train, &prepared.validation, &prepared.test].map(|part| part.rows.len()),
        imbalance,
        bags: prepared.train.bags.as_ref().map(|part| {
            let parts = [&prepared.train, &prepared.validation, &prepared.test];
            let of_part = |part: &Part| part.bags.as_ref().map_or(0, |part| part.bags.len());
            let sizes = part.bags.sizes();
            BagSummary {
                split: parts.map(of_part),
                smallest: sizes.iter().copied().min().unwrap_or(0),
                largest: sizes.iter().copied().max().unwrap_or(0),
                target: dataset.numbers.as_ref().map(|numbers| numbers.name.clone()),
            }
        }),
    })
}

/// Entries with their differences to the baseline, best first.
///
/// # Panics
/// When the baseline is none of them, or one was not judged by the metric.
pub(crate) fn ranked(mut entries: Vec<Entry>, metric: &Metric, baseline: &str) -> Vec<Entry> {
    let values = |entry: &Entry| entry.metrics[metric.name].values.clone();
    let reference = entries.iter().find(|entry| entry.name == baseline).map(values);
    let reference = reference.expect("the baseline takes part");
    let others: Vec<usize> = (0..entries.len())
        .filter(|&i| entries[i].name != baseline)
        .collect();
    let compared: Vec<Vec<f64>> = others.iter().map(|&i| values(&entries[i])).collect();
    let compared: Vec<&[f64]> = compared.iter().map(Vec::as_slice).collect();
    let found = differences(&compared, &reference, metric.direction);
    for (i, difference) in others.into_iter().zip(found) {
        entries[i].difference = Some(difference);
    }
    // NaN last; equal means in the order in which the objectives were named.
    entries.sort_by(|a, b| {
        let gain = |entry: &Entry| metric.direction.gain(entry.metrics[metric.name].mean);
        gain(a)
            .is_nan()
            .cmp(&gain(b).is_nan())
            .then(gain(b).total_cmp(&gain(a)))
    });
    entries
}

/// What the trials of a contender found, as it was set.
///
/// # Errors
/// When its settings are refused.
pub(crate) fn entry(
    contender: Contender,
    settings: &Settings,
    learning_rate: f64,
    outcomes: &[Outcome],
    classes: usize,
) -> Result<Entry, LabError> {
    let names: BTreeSet<&String> = outcomes
        .iter()
        .flat_map(|outcome| outcome.metrics.keys())
        .collect();
    let metrics = names.into_iter().map(|name| {
        let values: Vec<f64> = outcomes
            .iter()
            .map(|outcome| outcome.metrics.get(name).copied().unwrap_or(f64::NAN))
            .collect();
        (name.clone(), summary(&values))
    });
    let seconds: Vec<f64> = outcomes.iter().map(|outcome| outcome.seconds_per_epoch).collect();
    let reliability: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.reliability.clone())
        .collect();
    Ok(Entry {
        name: contender.name().to_owned(),
        parameters: settings.clone(),
        learning_rate,
        metrics: metrics.collect(),
        difference: None,
        seconds_per_epoch: summary(&seconds),
        peak_bytes: outcomes
            .iter()
            .map(|outcome| outcome.peak_bytes)
            .max()
            .unwrap_or(0),
        curve: mean_curve(outcomes),
        confusion: summed_confusion(outcomes),
        reliability: pool_reliability(&reliability),
        roc: mean_roc(outcomes),
        margin_curve: curve_along_margins(contender.objective, &contender.split(settings)[0], classes)?,
    })
}

fn curve_along_margins(
    objective: &ObjectiveEntry,
    settings: &Settings,
    classes: usize,
) -> Result<Vec<MarginPoint>, LabError> {
    if !objective.tasks().contains(&Task::Classification) {
        return Ok(Vec::new());
    }
    let objective = objective.build(settings)?;
    let Some(loss) = objective.on_scores() else {
        return Ok(Vec::new());
    };
    let margins: Vec<f64> = (-60..=60).map(|step| f64::from(step) / 10.0).collect();
    let points = margin_curve(loss, classes, &margins);
    Ok(points
        .into_iter()
        .map(|(margin, loss, slope)| MarginPoint { margin, loss, slope })
        .collect())
}

fn mean_curve(outcomes: &[Outcome]) -> Vec<EpochPoint> {
    let epochs = outcomes
        .iter()
        .map(|outcome| outcome.curve.len())
        .min()
        .unwrap_or(0);
    let seeds = outcomes.len() as f64;
    let mean = |epoch: usize, value: fn(&EpochPoint) -> f64| {
        outcomes
            .iter()
            .map(|outcome| value(&outcome.curve[epoch]))
            .sum::<f64>()
            / seeds
    };
    (0..epochs)
        .map(|epoch| EpochPoint {
            epoch: epoch + 1,
            train_loss: mean(epoch, |point| point.train_loss),
            validation_accuracy: mean(epoch, |point| point.validation_accuracy),
            fit: None,
            constraint_distance: outcomes
                .iter()
                .map(|outcome| outcome.curve[epoch].constraint_distance)
                .sum::<Option<f64>>()
                .map(|sum| sum / seeds),
        })
        .collect()
}

/// All seeds judge the same pairs, so that their curves have the same rates.
fn mean_roc(outcomes: &[Outcome]) -> Vec<CurvePoint> {
    let length = outcomes
        .iter()
        .map(|outcome| outcome.roc.len())
        .min()
        .unwrap_or(0);
    let share = (outcomes.len() as f64).recip();
    let mean = |of: fn(&CurvePoint) -> f64, at: usize| -> f64 {
        outcomes.iter().map(|outcome| share * of(&outcome.roc[at])).sum()
    };
    (0..length)
        .map(|at| CurvePoint {
            far: mean(|point| point.far, at),
            tar: mean(|point| point.tar, at),
        })
        .collect()
}

fn summed_confusion(outcomes: &[Outcome]) -> Vec<Vec<u64>> {
    let mut sum = outcomes
        .first()
        .map(|outcome| outcome.confusion.clone())
        .unwrap_or_default();
    for outcome in outcomes.iter().skip(1) {
        for (row, other) in sum.iter_mut().zip(&outcome.confusion) {
            row.iter_mut()
                .zip(other)
                .for_each(|(count, other)| *count += other);
        }
    }
    sum
}
