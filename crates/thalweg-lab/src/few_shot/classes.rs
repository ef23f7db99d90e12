//! The classes of a data set, split by seed into those to train on, those to choose by and those to judge on.

use std::fmt::Display;

use thalweg::objective::EpisodeShape;
use thalweg_data::Dataset;
use thalweg_data::standardize::Standardizer;
use thalweg_kernels::random::Stream;

use super::FewShot;
use crate::LabError;
use crate::model::{LEAST_SIDE, ModelSpec, ScoreForm};

/// What classes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To train on.
    Base,
    /// To choose settings by.
    Validation,
    /// To judge on.
    Novel,
}

/// A data set whose classes are split for a trial.
pub struct Classes<'a> {
    pub(super) trial: &'a FewShot,
    pub(super) dataset: &'a Dataset,
    /// Of table columns; images keep their range.
    pub(super) scaler: Option<Standardizer>,
    /// The rows of each class, classes in the order of the split.
    rows: Vec<Vec<usize>>,
}

fn refuse<T>(problem: impl Display) -> Result<T, LabError> {
    Err(LabError::Plan(problem.to_string()))
}

impl<'a> Classes<'a> {
    /// The split of a trial; columns of a table are standardised on the classes to train on.
    ///
    /// # Errors
    /// When the data have no classes or too few of them, a class has too few samples for an episode, or a number of the trial makes
    /// no sense.
    pub fn new(dataset: &'a Dataset, trial: &'a FewShot) -> Result<Self, LabError> {
        check_numbers(trial)?;
        check_encoder(dataset, trial)?;
        check_classes(dataset, trial)?;
        let mut by_class = vec![Vec::new(); dataset.classes.len()];
        for (row, &label) in dataset.labels.iter().enumerate() {
            by_class[label as usize].push(row);
        }
        Stream::new(trial.novel_seed, "few-shot classes", 0).shuffle(&mut by_class);
        let others = &mut by_class[trial.novel_classes..];
        Stream::new(trial.seed, "few-shot classes", 1).shuffle(others);
        let mut classes = Self {
            trial,
            dataset,
            scaler: None,
            rows: by_class,
        };
        if dataset.feature_shape.len() != 3 {
            let base = classes.of(Part::Base).concat();
            classes.scaler = Some(Standardizer::fit(dataset, &base));
        }
        Ok(classes)
    }

    /// Number of samples of a part.
    pub fn samples(&self, part: Part) -> usize {
        self.of(part).iter().map(Vec::len).sum()
    }

    /// The rows of each class of a part.
    pub(super) fn of(&self, part: Part) -> &[Vec<usize>] {
        let (novel, others) = self.rows.split_at(self.trial.novel_classes);
        let (validation, base) = others.split_at(self.trial.validation_classes);
        match part {
            Part::Base => base,
            Part::Validation => validation,
            Part::Novel => novel,
        }
    }
}

fn check_numbers(trial: &FewShot) -> Result<(), LabError> {
    for (episodes, shape) in [("training", trial.training), ("test", trial.test)] {
        let EpisodeShape { ways, shots, queries } = shape;
        if ways < 2 || shots == 0 || queries == 0 {
            return refuse(format!(
                "{episodes} episodes of {ways} ways, {shots} shots and {queries} queries: at least 2 ways, 1 shot and \
                 1 query are needed"
            ));
        }
    }
    let counts = [
        ("training episodes", trial.episodes),
        ("test episodes", trial.test_episodes),
        ("numbers of the embedding", trial.embedding),
    ];
    if let Some((what, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return refuse(format!("0 {what}: at least 1 is needed"));
    }
    if !(trial.noise >= 0.0 && trial.noise.is_finite()) {
        return refuse(format!("noise is {}; it must be at least 0", trial.noise));
    }
    if !(trial.learning_rate > 0.0 && trial.learning_rate.is_finite()) {
        return refuse(format!(
            "learning rate is {}; it must be above 0",
            trial.learning_rate
        ));
    }
    Ok(())
}

fn check_encoder(dataset: &Dataset, trial: &FewShot) -> Result<(), LabError> {
    match (&trial.encoder, &dataset.feature_shape[..]) {
        (ModelSpec::Cnn, [_, height, width]) if *height.min(width) >= LEAST_SIDE => Ok(()),
        (ModelSpec::Cnn, shape) => refuse(format!(
            "a convolutional encoder needs images of at least {LEAST_SIDE} pixels a side; samples of `{}` have shape {shape:?}",
            dataset.name
        )),
        (
            ModelSpec::Mlp {
                scores: ScoreForm::Single,
                ..
            },
            _,
        ) => refuse("an encoder gives an embedding, not a single score"),
        _ => Ok(()),
    }
}

fn check_classes(dataset: &Dataset, trial: &FewShot) -> Result<(), LabError> {
    let (name, counts) = (&dataset.name, dataset.class_counts());
    if counts.is_empty() {
        return refuse(format!(
            "the targets of `{name}` are numbers; few-shot trials need classes"
        ));
    }
    let (all, novel, validation) = (counts.len(), trial.novel_classes, trial.validation_classes);
    if novel < trial.test.ways {
        return refuse(format!(
            "{}-way test episodes need as many novel classes, not {novel}",
            trial.test.ways
        ));
    }
    if validation == 1 {
        return refuse("1 validation class makes no episode; give none or at least 2");
    }
    let needed = novel + validation + trial.training.ways;
    if all < needed {
        return refuse(format!(
            "`{name}` has {all} classes; {novel} novel ones, {validation} for validation and {}-way training episodes need \
             {needed}",
            trial.training.ways
        ));
    }
    let largest = [trial.training, trial.test]
        .into_iter()
        .max_by_key(|shape| shape.shots + shape.queries)
        .expect("there are two");
    let EpisodeShape { shots, queries, .. } = largest;
    if let Some(class) = counts.iter().position(|&count| count < shots + queries) {
        return refuse(format!(
            "class `{}` of `{name}` has {} samples; {shots} shots and {queries} queries need {}",
            dataset.classes[class],
            counts[class],
            shots + queries
        ));
    }
    Ok(())
}
